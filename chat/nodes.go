package chat

import (
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"atrium/internal/bus"
	"atrium/internal/mux"
	"atrium/internal/roster"
)

// A room is on every node that has somebody in it. The nodes tell each other, in
// the room's topic of the bus, what is stored, and who is there. Messages may get
// lost there: a gap in the seqs is filled from the database.

func busTopic(roomID string) string { return "room/" + roomID }

// note is what a node tells the others.
type note struct {
	Seq     int64         `cbor:"q,omitempty"`
	Message []byte        `cbor:"m,omitempty"` // what those in the room are told: at Seq, if that is there
	Typing  *typingNote   `cbor:"t,omitempty"`
	User    *roster.User  `cbor:"u,omitempty"` // how many sessions of one are here now
	Users   []roster.User `cbor:"a,omitempty"` // all who are here, if All
	All     bool          `cbor:"w,omitempty"`
	Hello   bool          `cbor:"h,omitempty"` // the others are to tell the same of theirs
}

type typingNote struct {
	UserID   string `cbor:"u"`
	Username string `cbor:"n"`
	IsTyping bool   `cbor:"t"`
}

// nodes is what a room hears from other nodes, and waits to be looked at.
type nodes struct {
	stop func() // ends listening; set once

	mu      sync.Mutex
	queue   []heard // guarded by mu
	looking bool    // somebody looks at them; guarded by mu
}

// heard is what has come over the bus. Without data, it says that something may
// not have.
type heard struct {
	node string
	data []byte
}

const (
	maxHeard = 10_000 // of one room; what is beyond is lost

	// gapPatience is how long events that are missing are waited for: those of two
	// nodes may come in another order than they were stored in.
	gapPatience = 20 * time.Millisecond
)

func (m *Module) tellNodes(roomID string, n *note) {
	if m.opts.Bus != nil {
		m.opts.Bus.Publish(busTopic(roomID), bus.Encode(n))
	}
}

// listen has a room hear the other nodes.
func (m *Module) listen(r *room) {
	hear := func(h heard) {
		n := &r.nodes
		n.mu.Lock()
		defer n.mu.Unlock()
		if len(n.queue) == maxHeard {
			return
		}
		n.queue = append(n.queue, h)
		if !n.looking {
			n.looking = true
			m.telling.Go(func() { m.lookAt(r) })
		}
	}
	r.nodes.stop = m.opts.Bus.Listen(busTopic(r.id), bus.Listener{
		Message: func(node string, data []byte) { hear(heard{node, data}) },
		Missed:  func() { hear(heard{}) },
	})
}

// lookAt takes in what a room hears, until there is no more.
func (m *Module) lookAt(r *room) {
	n := &r.nodes
	for {
		n.mu.Lock()
		queue := n.queue
		n.queue = nil
		n.looking = len(queue) > 0
		n.mu.Unlock()
		if len(queue) == 0 {
			return
		}
		m.hearAll(r, queue)
	}
}

func (m *Module) hearAll(r *room, queue []heard) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var events []live
	for _, h := range queue {
		var n note
		switch {
		case h.data == nil:
			m.meetNodes(r)
			m.fill(r)
		case cbor.Unmarshal(h.data, &n) != nil: // of an atrium that knows more
		case n.Seq > 0:
			events = append(events, live{n.Seq, mux.Raw(n.Message)})
		default:
			m.hear(r, h.node, &n)
		}
	}
	m.take(r, events)
}

// hear takes in what is not stored. It is called with r.mu held.
func (m *Module) hear(r *room, node string, n *note) {
	now := time.Now()
	if n.Message != nil {
		m.publish(r, mux.Raw(n.Message))
	}
	if n.All {
		m.meet(r, r.others.Replace(node, n.Users, now))
	}
	if n.User != nil {
		m.meet(r, r.others.Set(node, *n.User, now))
	}
	if n.Typing != nil {
		m.typesElsewhere(r, n.Typing)
	}
	if n.Hello {
		m.tellHere(r, false)
	}
}

// take tells those in a room of events that are committed, in the order of their
// seqs. It is called with r.mu held.
func (m *Module) take(r *room, events []live) {
	if len(r.news.listeners) == 0 { // who is about to come reads them
		for _, e := range events {
			r.events.Skip(e.seq)
		}
		return
	}
	for _, e := range events {
		m.publishAll(r, r.events.Take(e.seq, e.message))
	}
	if r.events.Gap() && !r.filling {
		r.filling = true
		time.AfterFunc(gapPatience, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.filling = false
			if r.events.Gap() {
				m.fill(r)
			}
		})
	}
}

func (m *Module) publishAll(r *room, messages []any) {
	for _, message := range messages {
		m.publish(r, message)
	}
}

// fill tells those in a room what is stored and has not come. It is called with
// r.mu held.
func (m *Module) fill(r *room) {
	if len(r.news.listeners) == 0 {
		return
	}
	p := &past{last: r.events.Told()}
	if err := m.extend(p, r.id); err != nil {
		return // the next look finds it, too
	}
	for i := range p.events {
		m.publish(r, p.events[i].message())
	}
	m.publishAll(r, r.events.Skip(p.last))
}

// meet takes in who comes and goes on other nodes. It is called with r.mu held.
func (m *Module) meet(r *room, changes []roster.Change) {
	for _, c := range changes {
		p := r.people[c.ID]
		if p == nil {
			p = m.arrives(r, mux.User{ID: c.ID, Name: c.Name, Avatar: c.Avatar})
		}
		p.elsewhere += c.By
		m.departs(r, p)
	}
}

// tellHere tells the other nodes who is here. It is called with r.mu held.
func (m *Module) tellHere(r *room, hello bool) {
	n := &note{All: true, Hello: hello}
	for _, p := range r.people {
		if len(p.sessions) > 0 {
			n.Users = append(n.Users, p.here())
		}
	}
	r.announced = len(n.Users) > 0
	m.tellNodes(r.id, n)
}

// meetNodes begins to hear the others. It is called with r.mu held.
func (m *Module) meetNodes(r *room) { m.tellHere(r, true) }

// here is how many sessions of a person are on this node.
func (p *person) here() roster.User {
	return roster.User{ID: p.user.ID, Name: p.user.Name, Avatar: p.user.Avatar, Sessions: len(p.sessions)}
}

// announceHere tells the other nodes again what they may have missed, and forgets
// those that are silent.
func (m *Module) announceHere(r *room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.meet(r, r.others.Expire(time.Now()))
	if r.announced || len(r.news.listeners) > 0 {
		m.tellHere(r, false)
	}
}

// typesElsewhere tells those here of somebody who types on another node, and of the
// end of it, also if nobody says so. It is called with r.mu held.
func (m *Module) typesElsewhere(r *room, t *typingNote) {
	if end := r.typing[t.UserID]; end != nil {
		end.Stop()
	}
	if _, was := r.typing[t.UserID]; was != t.IsTyping {
		m.tellTypingHere(r, t, nil)
	}
	if !t.IsTyping {
		delete(r.typing, t.UserID)
		return
	}
	var end *time.Timer
	end = time.AfterFunc(m.opts.TypingFor+time.Second, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.typing[t.UserID] == end {
			delete(r.typing, t.UserID)
			m.tellTypingHere(r, &typingNote{t.UserID, t.Username, false}, nil)
		}
	})
	r.typing[t.UserID] = end
}
