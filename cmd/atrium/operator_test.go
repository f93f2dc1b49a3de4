package main

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"atrium/internal/bus"
)

const sessionsPath = "/api/v1/sessions"

// held is what the answer to a call for all sessions says of one.
type held = map[string]any

// sessions are all of them, as an operator is told, by user and sender id.
func (s *testServer) sessions(query string) (all map[string]held, page msg) {
	s.t.Helper()
	page = s.read(sessionsPath+query).expect(s.t, 200).msg
	all = make(map[string]held)
	for _, x := range page["sessions"].([]any) {
		h := x.(held)
		all[fmt.Sprint(h["userId"], "/", h["senderId"])] = h
	}
	return all, page
}

// places are where a document is open, as the list of all documents says.
func (s *testServer) places(doc string) (places []any, page msg) {
	s.t.Helper()
	page = s.read(documentsPath).expect(s.t, 200).msg
	for _, x := range page["documents"].([]any) {
		if d := x.(map[string]any); d["documentId"] == doc {
			return d["open"].([]any), page
		}
	}
	s.t.Fatalf("%s is not among %v", doc, page)
	return nil, nil
}

func sessionIDs(page msg) (ids []string) {
	for _, x := range page["sessions"].([]any) {
		ids = append(ids, x.(held)["sessionId"].(string))
	}
	return ids
}

// TestSessions: an operator sees who is here, with what open, page by page.
func TestSessions(t *testing.T) {
	t.Parallel()
	s := startServer(t, onFile, withAPIKey)
	if all, page := s.sessions(""); len(all) > 0 || page["more"] != false {
		t.Errorf("got %v of a server without sessions", page)
	}
	alice := dial(t, s, "alice", senderID("laptop"), named("Alice", ""), docs("*", "write"))
	var written []any
	for range 3 {
		doc := newDocument()
		alice.author(doc).write()
		written = append(written, doc)
	}
	slices.SortFunc(written, func(x, y any) int { return strings.Compare(x.(string), y.(string)) })
	doc := written[0].(string)
	phone := dial(t, s, "alice", senderID("phone"), docs("*", "read"))
	phone.ask(msg{"type": "collab:join_document", "documentId": doc})
	bob := dial(t, s, "bob", inJSON)

	all, page := s.sessions("")
	if len(all) != 3 || page["more"] != false || page["missing"] != nil {
		t.Fatalf("got %v, want three sessions", page)
	}
	for key, want := range map[string]struct {
		client    *client
		name      string
		documents []any
	}{
		"alice/laptop": {alice, "Alice", written},
		"alice/phone":  {phone, "alice", []any{doc}},
		"bob/peer-bob": {bob, "bob", []any{}},
	} {
		h := all[key]
		at, err := time.Parse(time.RFC3339, fmt.Sprint(h["connectedAt"]))
		if err != nil || time.Since(at).Abs() > patience {
			t.Errorf("%s connected at %v", key, h["connectedAt"])
		}
		if h["username"] != want.name || h["node"] != nil || h["queuedBytes"] != 0.0 ||
			!reflect.DeepEqual(h["documents"], want.documents) || h["documentCount"] != float64(len(want.documents)) ||
			h["remoteAddress"] != want.client.ws.LocalAddr().String() {
			t.Errorf("%s is %v", key, h)
		}
	}
	if places, page := s.places(doc); !reflect.DeepEqual(places, []any{map[string]any{"sessions": 2.0}}) || page["missing"] != nil {
		t.Errorf("the document is open in %v", places)
	}
	unopened := s.create(map[string]any{})
	if places, _ := s.places(unopened); len(places) != 0 {
		t.Errorf("a document that nobody has open is open in %v", places)
	}

	ids := sessionIDs(page)
	if !slices.IsSorted(ids) {
		t.Errorf("sessions are in the order %v", ids)
	}
	for _, test := range []struct {
		query string
		ids   []string
		more  bool
	}{
		{"?limit=2", ids[:2], true},
		{"?limit=2&after=" + ids[1], ids[2:], false},
		{"?limit=1&after=" + ids[0], ids[1:2], true},
		{"?limit=3", ids, false},
		{"?after=" + ids[2], nil, false},
		{"?userId=alice", ids[:2], false},
		{"?userId=alice&limit=1", ids[:1], true},
		{"?userId=alice&after=" + ids[0], ids[1:2], false},
		{"?userId=ali", nil, false},
		{"?userId=" + url.QueryEscape("alice/laptop"), nil, false},
	} {
		if _, page := s.sessions(test.query); !slices.Equal(sessionIDs(page), test.ids) || page["more"] != test.more {
			t.Errorf("%s: got %v, want %v and more %v", test.query, page, test.ids, test.more)
		}
	}
	s.read(sessionsPath+"?limit=1001").expect(t, 422)
	s.read(sessionsPath+"?limit=0").expect(t, 422)

	// What is left, or who leaves, counts no more.
	phone.ask(msg{"type": "collab:leave_document", "documentId": doc})
	if all, _ := s.sessions(""); all["alice/phone"]["documentCount"] != 0.0 {
		t.Errorf("a document that was left is open in %v", all["alice/phone"])
	}
	alice.ws.Close()
	eventually(t, "nobody has the document open", patience, func() bool {
		all, _ := s.sessions("")
		places, _ := s.places(doc)
		return len(all) == 2 && len(places) == 0
	})
}

// TestSessionsOfMany: documents of one session are told up to a hundred.
func TestSessionsOfMany(t *testing.T) {
	t.Parallel()
	s := startServer(t, onFile, withAPIKey)
	alice := dial(t, s, "alice", docs("*", "write"))
	var all []string
	for range 105 {
		doc := newDocument()
		alice.open(doc)
		all = append(all, doc)
	}
	slices.Sort(all)
	alice.ping()
	var h held
	eventually(t, "all documents are open", patience, func() bool {
		sessions, _ := s.sessions("")
		h = sessions["alice/peer-alice"]
		return h["documentCount"] == 105.0
	})
	if told := fmt.Sprint(h["documents"]); told != fmt.Sprint(all[:100]) {
		t.Errorf("got %v, want the first hundred", told)
	}
}

// TestSessionsQueue: of a client that does not read, an operator sees what waits.
func TestSessionsQueue(t *testing.T) {
	t.Parallel()
	s := startServer(t, onFile, withAPIKey)
	slow := dial(t, s, "slow", receiveBuffer(4096))
	slow.pause()
	body := map[string]any{"event": "e", "data": strings.Repeat("x", 50<<10)}
	queued := func() float64 {
		all, _ := s.sessions("")
		return all["slow/peer-slow"]["queuedBytes"].(float64)
	}
	eventually(t, "events wait", patience, func() bool {
		s.post("/api/v1/users/slow/send", body).expect(t, 202)
		return queued() > 300<<10
	})
	slow.resume()
	eventually(t, "nothing waits any more", patience, func() bool { return queued() == 0 })
}

// TestOperators: who may see all sessions.
func TestOperators(t *testing.T) {
	t.Parallel()
	s := startServer(t, onFile, withAPIKey)
	for _, path := range []string{sessionsPath, documentsPath} {
		for status, credentials := range map[int][]string{
			401: {"", "no key at all"},
			403: {token(t, "alice", docs("*", "write"))},
			200: {apiKey, token(t, "root", func(d *dialing) { d.claims.Admin = true })},
		} {
			for _, credential := range credentials {
				s.call(request{method: http.MethodGet, path: path, credential: credential}).expect(t, status)
			}
		}
	}
}

// TestFitting: pages that nodes tell each other do not get long.
func TestFitting(t *testing.T) {
	documents := make([]string, maxDocuments)
	for i := range documents {
		documents[i] = strings.Repeat("1", 64)
	}
	full := sessionRecord{
		SessionID: strings.Repeat("0", 36), SenderID: strings.Repeat("s", 256), UserID: strings.Repeat("u", 256), Username: strings.Repeat("n", 256),
		ConnectedAt: "2026-11-23T03:03:34.239362Z", QueuedBytes: 1 << 24, Documents: documents, DocumentCount: 10_000,
		RemoteAddress: "[2001:0db8:85a3:0000:0000:8a2e:0370:7334]:65535",
	}
	list := slices.Repeat([]sessionRecord{full}, maxSessions)
	for bytes, want := range map[int]int{1: 1, 8 << 10: 2, maxAnswers: maxAnswers/7668 + 1} {
		if n := fitting(list, bytes); n != want {
			t.Errorf("%d fit into %d bytes, want %d", n, bytes, want)
		}
	}
	told := nodeAnswer{Sessions: list[:fitting(list, maxAnswers)], More: true}
	if n := len(bus.Encode(told)); n > maxAnswers+8<<10 {
		t.Errorf("an answer has %d bytes, more than %d", n, maxAnswers)
	}
	empty := slices.Repeat([]sessionRecord{{Documents: []string{}}}, maxSessions)
	if n := fitting(empty, maxAnswers); n != maxSessions {
		t.Errorf("%d of %d small ones fit", n, maxSessions)
	}
}
