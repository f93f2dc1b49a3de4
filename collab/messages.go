package collab

import (
	"strings"

	"atrium/collab/docsync"
	"atrium/internal/auth"
	"atrium/internal/mux"
)

// documentMessage is sync, request or ephemeral, as clients send it.
type documentMessage struct {
	SenderID   string     `json:"senderId"`
	DocumentID string     `json:"documentId"`
	Data       []byte     `json:"data"`
	SessionID  string     `json:"sessionId"` // ephemeral only
	Count      mux.Number `json:"count"`     // ephemeral only
}

// syncMessage is sync as Atrium sends it: without targetId, which stock clients
// ignore, one frame serves everybody.
type syncMessage struct {
	Type       string `json:"type"`
	SenderID   string `json:"senderId"`
	DocumentID string `json:"documentId"`
	Data       []byte `json:"data"`
}

type unavailableMessage struct {
	Type       string `json:"type"`
	SenderID   string `json:"senderId"`
	DocumentID string `json:"documentId"`
}

type ephemeralMessage struct {
	Type       string     `json:"type"`
	SenderID   string     `json:"senderId"` // <userId>/<senderId>
	SessionID  string     `json:"sessionId"`
	Count      mux.Number `json:"count"`
	DocumentID string     `json:"documentId"`
	Data       []byte     `json:"data"`
}

func (m *Module) unavailable(documentID string) *unavailableMessage {
	return &unavailableMessage{Type: "doc-unavailable", SenderID: m.opts.SenderID, DocumentID: documentID}
}

// open decodes a message about a document and returns what its sender may do there.
func (m *Module) open(msg *mux.Message) (req documentMessage, level auth.Level, err error) {
	if err := msg.Decode(&req); err != nil {
		return req, auth.None, err
	}
	if !validDocumentID(req.DocumentID) {
		return req, auth.None, mux.NewError(mux.BadRequest, msg.Type+": documentId is not one")
	}
	return req, msg.Session.Identity().Docs.Level(req.DocumentID), nil
}

// sync handles sync and request.
func (m *Module) sync(msg *mux.Message) (mux.Acknowledgement, error) {
	if m.answers(msg) {
		return mux.Later, nil
	}
	req, level, err := m.open(msg)
	if err != nil {
		return nil, err
	}
	s := msg.Session
	if req.SenderID != s.SenderID {
		return nil, mux.NewError(mux.Forbidden, msg.Type+": senderId is not this session's")
	}
	if level == auth.None {
		s.Send(mux.NewFrame(m.unavailable(req.DocumentID)))
		if !msg.ID.IsZero() {
			return nil, errNoAccess
		}
		return mux.Later, nil
	}
	sync, err := docsync.ParseMessage(req.Data)
	if err != nil {
		return nil, mux.NewError(mux.BadRequest, msg.Type+": "+err.Error())
	}
	return mux.Later, m.post(s, req.DocumentID, received{msg.Reply(), sync, len(req.Data)})
}

// ephemeral relays what is not kept. Clients echo what they receive: messages
// that bear another sender's id are dropped silently, unless they ask.
func (m *Module) ephemeral(msg *mux.Message) (mux.Acknowledgement, error) {
	req, level, err := m.open(msg)
	if err != nil {
		return nil, err
	}
	s := msg.Session
	switch {
	case req.SenderID != s.SenderID && msg.ID.IsZero():
		return mux.Later, nil
	case req.SenderID != s.SenderID:
		return nil, mux.NewError(mux.Forbidden, "ephemeral: senderId is not this session's")
	case level == auth.None:
		return nil, errNoAccess
	case len(req.SessionID) > maxEphemeralSession:
		return nil, mux.NewError(mux.BadRequest, "ephemeral: sessionId is too long")
	}
	return mux.Later, m.post(s, req.DocumentID, shouted{msg.Reply(), &ephemeralMessage{
		Type:      "ephemeral",
		SenderID:  stampedSender(s),
		SessionID: req.SessionID, Count: req.Count, DocumentID: req.DocumentID, Data: req.Data,
	}})
}

const maxEphemeralSession = 256

// stampedSender names a session so that no other user can: the first slash ends
// the user id.
func stampedSender(s *mux.Session) string {
	userID := strings.NewReplacer("%", "%25", "/", "%2F").Replace(s.Identity().UserID)
	return userID + "/" + s.SenderID
}
