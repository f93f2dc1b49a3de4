package chat

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"atrium/internal/inorder"
	"atrium/internal/mux"
	"atrium/internal/roster"
)

// room is one that somebody is in. Its messages are in the database.
type room struct {
	id   string
	uses int // sessions that are in it or joining; guarded by Module.mu

	mu     sync.Mutex
	events inorder.Sequence[any] // as those in here have been told; guarded by mu
	people map[string]*person    // by user id; guarded by mu
	news   news                  // guarded by mu

	nodes     nodes
	others    roster.Roster          // who is in it on other nodes; guarded by mu
	announced bool                   // that somebody is in it here, the last time; guarded by mu
	typing    map[string]*time.Timer // who types on other nodes, and what ends that; guarded by mu
	filling   bool                   // a gap in events is about to be filled; guarded by mu
}

// person is a user who is in a room. It is guarded by room.mu.
type person struct {
	user      mux.User
	sessions  []*mux.Session
	elsewhere int     // sessions on other nodes
	typing    *typing // nil: not here
}

// live is what those in a room are told at a seq.
type live struct {
	seq     int64
	message any
}

const (
	maxRoomsOfSession = 1000
	maxMembers        = 1000 // in one answer
	maxMembersBytes   = 128 << 10
)

// topic is where those in a room hear who is typing.
func topic(roomID string) string { return "chat/" + roomID }

// hold returns a room, to be released.
func (m *Module) hold(roomID string) *room {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rooms[roomID]
	if r == nil {
		r = &room{id: roomID, people: make(map[string]*person), typing: make(map[string]*time.Timer)}
		r.news.sent.L = &r.mu
		m.rooms[roomID] = r
		m.listen(r)
	}
	r.uses++
	return r
}

func (m *Module) release(r *room) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.uses--; r.uses == 0 {
		delete(m.rooms, r.id)
		r.nodes.stop()
	}
}

// room returns the room that a session is in, nil if it is not.
func (m *Module) room(s *mux.Session, roomID string) *room {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.in[s][roomID]
}

func (m *Module) roomsOf(s *mux.Session) (list []*room) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.in[s] {
		list = append(list, r)
	}
	return list
}

// record says that a session is in a room. It reports whether that is new, and
// false for ok if it is in too many.
func (m *Module) record(s *mux.Session, r *room) (fresh, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rooms := m.in[s]
	if rooms[r.id] != nil {
		return false, true
	}
	if len(rooms) == maxRoomsOfSession {
		return false, false
	}
	if rooms == nil {
		rooms = make(map[string]*room)
		m.in[s] = rooms
	}
	rooms[r.id] = r
	r.uses++
	return true, true
}

// tell tells those in a room what has been committed.
func (m *Module) tell(roomID string, events []live) {
	m.mu.Lock()
	r := m.rooms[roomID]
	m.mu.Unlock()
	if r == nil {
		return // who joins from now on reads it
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m.take(r, events)
}

// announce puts an event into its room's line; it is called in the transaction,
// and what it returns after the commit.
func (m *Module) announce(roomID string, seq int64, message any) (deliver func()) {
	m.lines.Put(roomID, seq, live{seq, message})
	return func() {
		m.lines.Send(roomID, seq, func(events []live) { m.tell(roomID, events) })
		if m.opts.Bus != nil {
			m.tellNodes(roomID, &note{Seq: seq, Message: mux.EncodeRaw(message)})
		}
	}
}

// broadcast tells those in a room what is not stored.
func (m *Module) broadcast(roomID string, message any) {
	if m.opts.Bus != nil {
		m.tellNodes(roomID, &note{Message: mux.EncodeRaw(message)})
	}
	m.mu.Lock()
	r := m.rooms[roomID]
	m.mu.Unlock()
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		m.publish(r, message)
	}
}

// enter takes a session in. What it is told of the past is to end where those in
// the room are: what they have been told since p was read is added to it, and
// welcome is called with the seq behind which the session hears everything.
func (m *Module) enter(r *room, s *mux.Session, p *past, welcome func(told int64, people []member, total int)) error {
	u := mux.UserOf(s.Identity())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.news.settle(s)
	if r.events.Told() > p.last {
		if err := m.extend(p, r.id); err != nil {
			return err
		}
	}
	fresh, ok := m.record(s, r)
	if !ok {
		return mux.NewError(mux.BadRequest, "chat:join: more than 1000 rooms in one session")
	}
	if len(r.news.listeners) == 0 {
		r.events.Reset(p.last)
	}
	if fresh {
		who := r.people[u.ID]
		if who == nil {
			who = m.arrives(r, u)
		}
		who.user = u
		who.sessions = append(who.sessions, s)
		m.tellNodesOf(r, who)
		r.news.hear(s)
		m.opts.Mux.Subscribe(s, topic(r.id))
	}
	people, total := r.members()
	welcome(r.events.Told(), people, total)
	return nil
}

// members are those who are in the room. It is called with mu held.
func (r *room) members() (list []member, total int) {
	list = make([]member, 0, len(r.people))
	for _, p := range r.people {
		list = append(list, member{p.user.ID, p.user.Name, p.user.Avatar, len(p.sessions) + p.elsewhere})
	}
	slices.SortFunc(list, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.Username, b.Username), cmp.Compare(a.UserID, b.UserID))
	})
	total = len(list)
	list = list[:min(total, maxMembers)]
	size := 0
	for i, m := range list {
		if size += len(m.UserID) + len(m.Username) + len(m.Avatar); size > maxMembersBytes {
			return list[:i], total
		}
	}
	return list, total
}

// remove takes a session out of a room, if it is in.
func (m *Module) remove(r *room, s *mux.Session) {
	m.mu.Lock()
	if m.in[s][r.id] != r {
		m.mu.Unlock()
		return
	}
	delete(m.in[s], r.id)
	if len(m.in[s]) == 0 {
		delete(m.in, s)
	}
	m.mu.Unlock()
	defer m.release(r)

	m.opts.Mux.Unsubscribe(s, topic(r.id))
	id := s.Identity().UserID
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.news.listeners, s)
	p := r.people[id]
	m.hush(r, p, s)
	p.sessions = slices.DeleteFunc(p.sessions, func(x *mux.Session) bool { return x == s })
	m.tellNodesOf(r, p)
	m.departs(r, p)
}

// arrives tells those in a room of somebody who was not there. It is called with
// r.mu held.
func (m *Module) arrives(r *room, u mux.User) *person {
	m.publish(r, &userMessage{"chat:user_joined", r.id, u.ID, u.Name})
	p := &person{user: u}
	r.people[u.ID] = p
	return p
}

// departs tells them of somebody who is there no more. It is called with r.mu held.
func (m *Module) departs(r *room, p *person) {
	if len(p.sessions) == 0 && p.elsewhere == 0 {
		delete(r.people, p.user.ID)
		m.publish(r, &userMessage{"chat:user_left", r.id, p.user.ID, p.user.Name})
	}
}

// tellNodesOf tells the other nodes how many sessions somebody has here. It is
// called with r.mu held.
func (m *Module) tellNodesOf(r *room, p *person) {
	u := p.here()
	m.tellNodes(r.id, &note{User: &u})
}
