package mux

import (
	"errors"
	"net"
	"slices"

	"github.com/gorilla/websocket"

	"atrium/internal/auth"
	"atrium/internal/limit"
)

// joinRequest is the first message of a client.
type joinRequest struct {
	Type                      string   `json:"type"`
	ID                        ID       `json:"id"`
	SenderID                  string   `json:"senderId"`
	SupportedProtocolVersions []string `json:"supportedProtocolVersions"`
	Token                     string   `json:"token"`
}

// peerMessage answers a join.
type peerMessage struct {
	Type                    string       `json:"type"`
	SenderID                string       `json:"senderId"`
	TargetID                string       `json:"targetId"`
	SelectedProtocolVersion string       `json:"selectedProtocolVersion"`
	PeerMetadata            peerMetadata `json:"peerMetadata"`
	SessionID               string       `json:"sessionId"`
	User                    User         `json:"user"`
	ServerVersion           string       `json:"serverVersion"`
	Limits                  peerLimits   `json:"limits"`
}

type peerMetadata struct {
	StorageID   string `json:"storageId"`
	IsEphemeral bool   `json:"isEphemeral"`
}

type peerLimits struct {
	MaxMessageBytes   int    `json:"maxMessageBytes"`
	MessagesPerSecond Number `json:"messagesPerSecond"`
	CursorsPerSecond  Number `json:"cursorsPerSecond"`
}

// User is how others are shown a user.
type User struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Avatar string `json:"avatar"`
}

// UserOf returns how others are shown an identity.
func UserOf(id *auth.Identity) User { return User{ID: id.UserID, Name: id.Name, Avatar: id.Avatar} }

// join reads the first message and admits the session. It reports false when
// the session is over.
func (s *Session) join() bool {
	req, ok := s.readJoin()
	if !ok {
		return false
	}
	token := req.Token
	if token == "" {
		token = s.token
	}
	s.token = ""
	identity, refusal := s.mux.verify(token)
	if refusal != nil {
		code := CloseBadToken
		if refusal.Code == Unavailable {
			code = CloseGoingAway
		}
		(&Reply{Session: s, ID: req.ID}).Fail(refusal)
		s.Close(code, refusal.Message)
		return false
	}
	s.SenderID = req.SenderID
	s.identity.Store(identity)
	if !s.mux.admit(s) {
		(&Reply{Session: s, ID: req.ID}).Fail(NewError(Unavailable, goingAway))
		s.Close(CloseGoingAway, goingAway)
		return false
	}
	s.joined = true
	s.mux.log.Debug("session joined", "session", s.ID, "user", identity.UserID)
	for _, h := range s.mux.hooks {
		if h.Joined != nil {
			h.Joined(s)
		}
	}
	s.mux.welcome(s, req.ID)
	s.startTicking()
	return true
}

func (s *Session) readJoin() (req joinRequest, ok bool) {
	var buf []byte
	kind, r, err := s.ws.NextReader()
	if err == nil {
		err = s.readMessage(&buf, kind, r, maxBeforeJoin)
	}
	var timeout net.Error
	switch {
	case s.isClosed():
		return req, false
	case s.stopped.Load():
		s.Refuse(CloseGoingAway, NewError(Unavailable, goingAway))
		return req, false
	case errors.As(err, &timeout) && timeout.Timeout():
		s.Refuse(CloseJoinTooLate, NewError(BadRequest, "no join within the time allowed"))
		return req, false
	case err != nil:
		s.closeAfter(err)
		return req, false
	}
	s.mux.stats.in[limit.Control].Add(1)
	s.codec = frameCodec(kind == websocket.TextMessage)
	refuse := func(message string) (joinRequest, bool) {
		(&Reply{Session: s, ID: req.ID}).Fail(NewError(BadRequest, message))
		s.Close(CloseNotUnderstood, message)
		return req, false
	}
	switch err := s.codec.decode(buf, &req); {
	case err != nil:
		return refuse("not a join message")
	case req.Type != "join":
		return refuse("the first message must be a join")
	case req.SenderID == "" || len(req.SenderID) > maxSenderID:
		return refuse("senderId must have 1 to 256 bytes")
	case req.SupportedProtocolVersions != nil && !slices.Contains(req.SupportedProtocolVersions, protocolVersion):
		return refuse("unsupported protocol version")
	}
	return req, true
}

// greet sends the peer message and, to a join with an id, its ack.
func (s *Session) greet(id ID) {
	o := &s.mux.opts
	s.Send(NewFrame(&peerMessage{
		Type: "peer", SenderID: o.SenderID, TargetID: s.SenderID,
		SelectedProtocolVersion: protocolVersion,
		PeerMetadata:            peerMetadata{StorageID: o.StorageID},
		SessionID:               s.ID,
		User:                    UserOf(s.Identity()),
		ServerVersion:           o.Version,
		Limits: peerLimits{
			MaxMessageBytes:   MaxFrame,
			MessagesPerSecond: Number(o.Limits.Classes[limit.Control].Rate),
			CursorsPerSecond:  Number(o.Limits.Classes[limit.Cursor].Rate),
		},
	}))
	(&Reply{Session: s, ID: id}).Ack(nil)
}

// verify turns a token into an identity, or into what the client is told.
func (m *Mux) verify(token string) (*auth.Identity, *Error) {
	if token == "" {
		return nil, NewError(Unauthenticated, "token missing")
	}
	identity, err := m.opts.Verify(token)
	switch {
	case err == nil:
		return identity, nil
	case errors.Is(err, auth.ErrUnavailable):
		return nil, NewError(Unavailable, "tokens cannot be checked at the moment")
	}
	return nil, NewError(Unauthenticated, err.Error())
}

// refresh handles auth: a new token for the same user.
func (m *Mux) refresh(msg *Message) (Acknowledgement, error) {
	var req struct {
		Token string `json:"token"`
	}
	if err := msg.Decode(&req); err != nil {
		return nil, err
	}
	identity, refusal := m.verify(req.Token)
	if refusal != nil {
		return nil, refusal
	}
	s := msg.Session
	before := s.Identity()
	if identity.UserID != before.UserID {
		return nil, NewError(Forbidden, "the token is another user's")
	}
	s.identity.Store(identity)
	s.tokenChanged()
	reconnect := false
	for _, h := range m.hooks {
		if h.Refreshed != nil && h.Refreshed(s, before) {
			reconnect = true
		}
	}
	msg.Reply().Ack(nil)
	if reconnect {
		s.Close(CloseGoingAway, "the new grants need a new connection")
	}
	return Later, nil
}
