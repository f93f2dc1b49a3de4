package main

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/fxamacker/cbor/v2"

	"atrium/collab"
	"atrium/internal/api"
	"atrium/internal/bus"
	"atrium/internal/mux"
)

// operator knows what is at the moment, on all nodes together. What a node holds
// only that node knows, so the others are asked.
type operator struct {
	server *server
	vitals *vitals
	others *bus.Questions
}

const (
	operatorTopic = "operator"
	answersWithin = time.Second
	maxAnswers    = 1 << 20 // bytes of sessions, about, that all other nodes together answer with
	maxSessions   = 1000    // on one page
	maxDocuments  = 100     // that are told of one session
	maxOperators  = 8       // calls at once
	recordBytes   = 300     // of a session, besides what is counted
	documentBytes = 66      // of a document id, at most, as it is told
)

// question is what nodes ask each other: for one thing.
type question struct {
	Sessions  *sessionsQuestion `cbor:"s,omitempty"`
	Documents []string          `cbor:"d,omitempty"` // ids
}

// sessionsQuestion asks for a page of a node's sessions. One that would be longer
// than Bytes, about, ends sooner, and has More.
type sessionsQuestion struct {
	UserID string `cbor:"u,omitempty"` // empty: all users'
	After  string `cbor:"a,omitempty"`
	Limit  int    `cbor:"l"`
	Bytes  int    `cbor:"b"`
}

// nodeAnswer is what one node says.
type nodeAnswer struct {
	Node     string          `cbor:"-"` // as people are shown it
	Sessions []sessionRecord `cbor:"s,omitempty"`
	More     bool            `cbor:"m,omitempty"`
	Open     []int           `cbor:"o,omitempty"` // sessions that have it open, for each document asked for
}

type (
	sessionRecord struct {
		SessionID     string   `json:"sessionId"`
		SenderID      string   `json:"senderId"`
		UserID        string   `json:"userId"`
		Username      string   `json:"username"`
		ConnectedAt   string   `json:"connectedAt" format:"date-time"`
		Node          string   `json:"node,omitempty" doc:"The node that has it; none if there is one node only"`
		QueuedBytes   int      `json:"queuedBytes" doc:"What waits in the server for the client to read"`
		Documents     []string `json:"documents" nullable:"false" doc:"Ids of those that it syncs, or has joined: the first 100"`
		DocumentCount int      `json:"documentCount" doc:"How many there are"`
		RemoteAddress string   `json:"remoteAddress,omitempty" doc:"Where the connection comes from: a proxy, if there is one"`
	}
	sessionsQuery struct {
		After  string `query:"after" maxLength:"64" doc:"A session id: only those behind it"`
		Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
		UserID string `query:"userId" maxLength:"256" doc:"Only this user's"`
	}
	sessionsPage struct {
		Body struct {
			Sessions []sessionRecord `json:"sessions" nullable:"false" doc:"In the order of their ids: the oldest first"`
			More     bool            `json:"more" doc:"There are more behind the last, even if there are fewer than limit"`
			Missing  int             `json:"missing,omitempty" doc:"How many nodes have not told theirs"`
		}
	}
)

func newOperator(s *server, v *vitals) *operator {
	o := &operator{server: s, vitals: v}
	o.others = s.bus.Questions(operatorTopic, o.answerNode)
	return o
}

// Routes registers the calls.
func (o *operator) Routes(a *api.API) {
	api.Get(a, api.Through(api.NewGate(maxOperators), huma.Operation{
		Method: http.MethodGet, Path: "/sessions", OperationID: "list-all-sessions", Tags: []string{"Sessions"},
		Summary: "All sessions", Description: "And what each has open. All nodes of a cluster are asked, for a second at most.",
	}), api.Backend, func(ctx context.Context, in *sessionsQuery) (*sessionsPage, error) {
		out := new(sessionsPage)
		b := &out.Body
		b.Sessions, b.More, b.Missing = o.sessions(ctx, sessionsQuestion{UserID: in.UserID, After: in.After, Limit: in.Limit})
		return out, nil
	})
}

// sessions returns a page of all nodes' sessions.
func (o *operator) sessions(ctx context.Context, q sessionsQuestion) (list []sessionRecord, more bool, silent int) {
	nodes := o.vitals.nodes(ctx)
	here := o.sessionsHere(q)
	q.Bytes = maxAnswers / max(1, len(nodes))
	answers, silent := o.ask(ctx, nodes, question{Sessions: &q})
	list, more = merge(append(answers, here), q.Limit)
	return list, more, silent
}

// merge makes one page of those of all nodes.
func merge(pages []nodeAnswer, limit int) (list []sessionRecord, more bool) {
	end := "" // behind it a node has more than it has told
	for _, p := range pages {
		if n := len(p.Sessions); p.More && n > 0 && (!more || p.Sessions[n-1].SessionID < end) {
			end, more = p.Sessions[n-1].SessionID, true
		}
	}
	list = []sessionRecord{}
	for _, p := range pages {
		for _, r := range p.Sessions {
			if !more || r.SessionID <= end {
				r.Node = p.Node
				list = append(list, r)
			}
		}
	}
	slices.SortFunc(list, func(x, y sessionRecord) int { return strings.Compare(x.SessionID, y.SessionID) })
	if len(list) > limit {
		list, more = list[:limit], true
	}
	return list, more
}

// places is collab.Options.Places.
func (o *operator) places(ctx context.Context, documentIDs []string) (places [][]collab.Place, silent int) {
	places = make([][]collab.Place, len(documentIDs))
	if len(documentIDs) == 0 {
		return places, 0
	}
	q := question{Documents: documentIDs}
	answers, silent := o.ask(ctx, o.vitals.nodes(ctx), q)
	answers = append(answers, o.answer(q))
	slices.SortFunc(answers, func(x, y nodeAnswer) int { return cmp.Compare(x.Node, y.Node) })
	for _, a := range answers {
		for i, n := range a.Open[:min(len(a.Open), len(places))] {
			if n > 0 {
				places[i] = append(places[i], collab.Place{Node: a.Node, Sessions: n})
			}
		}
	}
	return places, silent
}

// ask returns what other nodes answer, and how many of these have not.
func (o *operator) ask(ctx context.Context, nodes []string, q question) (list []nodeAnswer, silent int) {
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	answers, silent := o.others.Ask(ctx, bus.Encode(q), nodes)
	for _, x := range answers {
		a := nodeAnswer{Node: bus.NodeName(x.Node)}
		if cbor.Unmarshal(x.Data, &a) != nil {
			silent++ // it is of an atrium that knows more
			continue
		}
		list = append(list, a)
	}
	return list, silent
}

// answerNode answers what another node asks.
func (o *operator) answerNode(data []byte) []byte {
	var q question
	if cbor.Unmarshal(data, &q) != nil {
		return nil // of an atrium that knows more
	}
	return bus.Encode(o.answer(q))
}

// answer is what this node knows.
func (o *operator) answer(q question) nodeAnswer {
	switch {
	case q.Sessions != nil:
		return o.sessionsHere(*q.Sessions)
	case q.Documents != nil:
		return nodeAnswer{Node: o.name(), Open: o.server.collab.OpenHere(q.Documents)}
	}
	return nodeAnswer{}
}

func (o *operator) name() string { return bus.NodeName(o.server.bus.Node()) }

func (o *operator) sessionsHere(q sessionsQuestion) nodeAnswer {
	a := nodeAnswer{Node: o.name()}
	list, more := o.server.mux.SessionsAfter(q.UserID, q.After, min(max(q.Limit, 1), maxSessions))
	for _, s := range list {
		a.Sessions = append(a.Sessions, o.record(s))
	}
	a.More = more
	if n := fitting(a.Sessions, q.Bytes); q.Bytes > 0 && n < len(a.Sessions) {
		a.Sessions, a.More = a.Sessions[:n], true
	}
	return a
}

// fitting is how many of the first records have so many bytes, about: one at least.
func fitting(list []sessionRecord, bytes int) (n int) {
	for size := 0; n < len(list) && (n == 0 || size <= bytes); n++ {
		r := &list[n]
		size += recordBytes + len(r.SenderID) + len(r.UserID) + len(r.Username) + len(r.Documents)*documentBytes
	}
	return n
}

func (o *operator) record(s *mux.Session) sessionRecord {
	id := s.Identity()
	r := sessionRecord{
		SessionID: s.ID, SenderID: s.SenderID, UserID: id.UserID, Username: id.Name,
		ConnectedAt: mux.Timestamp(s.Since), QueuedBytes: s.Queued(), RemoteAddress: s.RemoteAddr().String(),
	}
	r.Documents, r.DocumentCount = o.server.collab.OpenIn(s, maxDocuments)
	return r
}
