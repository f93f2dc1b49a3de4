package mux

import (
	"maps"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"atrium/internal/bus"
)

// The sessions of one user on all nodes. While a node has any, it listens to the
// user's topic of the bus.

func userTopic(userID string) string { return "user/" + userID }

// userNote is what a node tells the others that have sessions of a user.
type userNote struct {
	Kind string `cbor:"k"`
	Data []byte `cbor:"d"`
}

// Kinds of the mux's own notes.
const (
	noteFrame  = "frame"  // a message for all sessions
	noteJoined = "joined" // a session has begun
	noteClose  = "close"  // all sessions are to end
)

type (
	joinedNote struct {
		SenderID  string `cbor:"p"`
		SessionID string `cbor:"s"`
	}
	closeNote struct {
		Code   CloseCode `cbor:"c"`
		Reason string    `cbor:"r"`
	}
)

// UserRoute hears of one kind of notes. Its functions are called one after the
// other, and must not block.
type UserRoute struct {
	Message func(userID string, data []byte)
	Missed  func(userID string) // notes may have been missed until now; nil: never mind
}

// HandleUser registers the route of a kind of notes; before serving only.
func (m *Mux) HandleUser(kind string, r UserRoute) { m.userRoutes[kind] = r }

// TellNodes tells all other nodes that have sessions of a user.
func (m *Mux) TellNodes(userID, kind string, data []byte) {
	if m.opts.Bus != nil {
		m.opts.Bus.Publish(userTopic(userID), bus.Encode(userNote{kind, data}))
	}
}

// SessionsOf returns the sessions of a user on this node. The caller must not
// alter them.
func (m *Mux) SessionsOf(userID string) []*Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.users[userID]
}

// SessionsAfter returns sessions on this node behind an id, in the order of their
// ids: the first ones, limit at most, and whether there are more. If userID is not
// empty, they are those of that user.
func (m *Mux) SessionsAfter(userID, after string, limit int) (list []*Session, more bool) {
	var all [][]*Session
	m.mu.Lock()
	if userID != "" {
		all = [][]*Session{m.users[userID]}
	} else {
		all = slices.AppendSeq(make([][]*Session, 0, len(m.users)), maps.Values(m.users))
	}
	m.mu.Unlock()
	return firstBehind(all, after, limit)
}

// firstBehind sorts only what may be among the first, for there may be very many.
func firstBehind(all [][]*Session, after string, limit int) (list []*Session, more bool) {
	const spare = 1000 // of a list that is to be sorted
	keep := func() {
		slices.SortFunc(list, func(x, y *Session) int { return strings.Compare(x.ID, y.ID) })
		if len(list) > limit {
			list, more = list[:limit], true
		}
	}
	for _, sessions := range all {
		for _, s := range sessions {
			if s.ID <= after || more && s.ID > list[limit-1].ID {
				continue
			}
			if list = append(list, s); len(list) >= limit+spare {
				keep()
			}
		}
	}
	keep()
	return list, more
}

// PublishUser sends a message to all sessions of a user, on every node, but one,
// which may be nil.
func (m *Mux) PublishUser(userID string, message any, except *Session) {
	m.PublishHere(userID, message, except)
	if m.opts.Bus != nil {
		m.TellNodes(userID, noteFrame, EncodeRaw(message))
	}
}

// PublishHere is PublishUser for the sessions on this node.
func (m *Mux) PublishHere(userID string, message any, except *Session) {
	f := NewFrame(message)
	for _, s := range m.SessionsOf(userID) {
		if s != except {
			s.Send(f)
		}
	}
}

// CloseUser closes all sessions of a user, on every node.
func (m *Mux) CloseUser(userID string, code CloseCode, reason string) {
	m.closeHere(userID, code, reason)
	m.TellNodes(userID, noteClose, bus.Encode(closeNote{code, reason}))
}

func (m *Mux) closeHere(userID string, code CloseCode, reason string) {
	for _, s := range m.SessionsOf(userID) {
		s.Close(code, reason)
	}
}

// welcome tells a session that it has joined: the first message that it gets,
// before all that is published to its user from now on.
func (m *Mux) welcome(s *Session, id ID) {
	userID := s.Identity().UserID
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opts.Bus != nil && len(m.users[userID]) == 0 {
		m.hearing[userID] = m.opts.Bus.Listen(userTopic(userID), bus.Listener{
			Message: func(_ string, data []byte) { m.noted(userID, data) },
			Missed:  func() { m.missed(userID) },
		})
	}
	m.users[userID] = append(slices.Clip(m.users[userID]), s)
	s.greet(id)
	m.announce(s)
}

// announce tells other nodes of a session, so that an older one with the same
// user and sender id ends.
func (m *Mux) announce(s *Session) {
	m.TellNodes(s.Identity().UserID, noteJoined, bus.Encode(joinedNote{s.SenderID, s.ID}))
}

// dismiss is the end of a session that modules have seen leave.
func (m *Mux) dismiss(s *Session) {
	m.stats.sessions.Add(-1)
	key := s.key()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.joined[key] == s {
		delete(m.joined, key)
	}
	rest := slices.DeleteFunc(slices.Clone(m.users[key.userID]), func(x *Session) bool { return x == s })
	if m.users[key.userID] = rest; len(rest) > 0 {
		return
	}
	delete(m.users, key.userID)
	if stop := m.hearing[key.userID]; stop != nil {
		stop()
		delete(m.hearing, key.userID)
	}
}

// noted takes in what another node tells.
func (m *Mux) noted(userID string, data []byte) {
	var note userNote
	if cbor.Unmarshal(data, &note) != nil {
		return // of an atrium that knows more
	}
	switch note.Kind {
	case noteFrame:
		m.PublishHere(userID, Raw(note.Data), nil)
	case noteJoined:
		var j joinedNote
		if cbor.Unmarshal(note.Data, &j) == nil {
			m.replacedBy(userID, j)
		}
	case noteClose:
		var c closeNote
		if cbor.Unmarshal(note.Data, &c) == nil {
			m.closeHere(userID, c.Code, c.Reason)
		}
	default:
		if r, ok := m.userRoutes[note.Kind]; ok {
			r.Message(userID, note.Data)
		}
	}
}

// replacedBy ends the session that a newer one on another node takes the place
// of. Their ids tell which one is newer.
func (m *Mux) replacedBy(userID string, j joinedNote) {
	m.mu.Lock()
	s := m.joined[sessionKey{userID, j.SenderID}]
	m.mu.Unlock()
	if s != nil && s.ID < j.SessionID {
		s.Close(CloseReplaced, "replaced by a newer connection")
	}
}

// missed is called when other nodes may have told something in vain.
func (m *Mux) missed(userID string) {
	for _, s := range m.SessionsOf(userID) {
		m.announce(s) // they may have missed it, too
	}
	for _, r := range m.userRoutes {
		if r.Missed != nil {
			r.Missed(userID)
		}
	}
}
