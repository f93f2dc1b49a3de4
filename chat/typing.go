package chat

import (
	"time"

	"atrium/internal/auth"
	"atrium/internal/mux"
)

type (
	typingRequest struct {
		RoomID   string `json:"roomId"`
		IsTyping bool   `json:"isTyping"`
	}
	typingMessage struct {
		Type     string `json:"type"`
		RoomID   string `json:"roomId"`
		UserID   string `json:"userId"`
		Username string `json:"username"`
		IsTyping bool   `json:"isTyping"`
	}
)

// typing is that a person types, in one of their sessions.
type typing struct {
	session *mux.Session
	end     *time.Timer
}

// typing handles chat:typing. Others are told of changes only.
func (m *Module) typing(msg *mux.Message) (mux.Acknowledgement, error) {
	var req typingRequest
	if err := decode(msg, &req, &req.RoomID, auth.Write); err != nil {
		return nil, err
	}
	s := msg.Session
	r := m.room(s, req.RoomID)
	if r == nil {
		return nil, errNotJoined
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.people[s.Identity().UserID]
	if !req.IsTyping {
		m.hush(r, p, s)
		return nil, nil
	}
	if p.typing == nil {
		m.tellTyping(r, p, s, true)
	} else {
		p.typing.end.Stop()
		m.tellNodes(r.id, &note{Typing: &typingNote{p.user.ID, p.user.Name, true}}) // they have an end of their own
	}
	t := &typing{session: s} // a new one: the end of the last one may be under way
	p.typing = t
	t.end = time.AfterFunc(m.opts.TypingFor, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if p.typing == t {
			m.hush(r, p, s)
		}
	})
	return nil, nil
}

// hush ends a person's typing, if it is in this session. It is called with r.mu
// held.
func (m *Module) hush(r *room, p *person, s *mux.Session) {
	if p.typing == nil || p.typing.session != s {
		return
	}
	p.typing.end.Stop()
	p.typing = nil
	m.tellTyping(r, p, s, false)
}

// stopTyping is hush for who may hold no lock yet.
func (m *Module) stopTyping(r *room, s *mux.Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.hush(r, r.people[s.Identity().UserID], s)
}

func (m *Module) tellTyping(r *room, p *person, s *mux.Session, is bool) {
	t := &typingNote{p.user.ID, p.user.Name, is}
	m.tellTypingHere(r, t, s)
	m.tellNodes(r.id, &note{Typing: t})
}

func (m *Module) tellTypingHere(r *room, t *typingNote, except *mux.Session) {
	m.opts.Mux.PublishLatest(topic(r.id), "typing\x00"+t.UserID, &typingMessage{"chat:typing", r.id, t.UserID, t.Username, t.IsTyping}, except)
}
