package collab

import (
	"slices"
	"time"

	"golang.org/x/time/rate"

	"atrium/collab/awareness"
	"atrium/collab/docsync"
	"atrium/internal/auth"
	"atrium/internal/mux"
	"atrium/internal/roster"
)

// member is one session in the room, for one reason or more: it syncs, it
// joined by collab:join_document, it edits by collab:edit, or it has sent
// ephemeral messages.
type member struct {
	session *mux.Session
	seat    *seat
	drained func()        // what its socket calls when it is free again
	costs   *rate.Limiter // of answers past the steady state; nil: none so far
	busy    bool          // its socket is: a drained event will come
	dirty   bool          // it is in room.dirty

	identity *auth.Identity // that level was read from
	level    auth.Level     // what it may do with the document
	among    string         // the user that it counts for; empty: none

	peer          *docsync.Peer      // nil: it does not sync
	replies       []*mux.Reply       // to be acknowledged once the peer's changes are committed
	unavailableAt time.Time          // when to say that there is no such document, while in room.asking
	hears         bool               // ephemeral messages
	shouts        map[string]float64 // newest count of its own, by their sessionId

	author *docsync.Peer // nil: it has not used collab:edit
	edits  []*mux.Reply  // to be acknowledged once the author's changes are committed

	opening []opened // collab:join_document, to be answered
	joined  bool     // it gets collab:* events
	greeted bool     // it has been sent the users since it joined last
	seen    uint64   // version of the cursors that it has been told
	feed    bool     // it gets collab:changes
	pos     int      // position in the log of what it has not been sent so
}

const (
	costBurst     = 100
	costPerSecond = 1
)

// join returns the session's member, a new one if need be. It returns nil if
// the session has lost its grant since the event was posted.
func (r *room) join(s *mux.Session, st *seat) *member {
	m := r.members[s]
	if m == nil {
		m = &member{session: s}
		m.drained = func() { r.mail.put(drained{m}) }
	}
	m.seat = st
	if !r.mayRead(m) {
		return nil
	}
	r.members[s] = m
	return m
}

// hearShouts lets a member hear ephemeral messages.
func (r *room) hearShouts(m *member) {
	if !m.hears {
		m.hears = true
		r.module.opts.Mux.Subscribe(m.session, r.topic)
	}
}

// mayRead looks at the newest token. It reports false if the member may not
// even read any more.
func (r *room) mayRead(m *member) bool {
	if id := m.session.Identity(); id != m.identity {
		m.identity, m.level = id, id.Docs.Level(r.documentID)
		if m.level < auth.Write && m.peer != nil {
			m.peer.SetReadOnly()
		}
	}
	return m.level > auth.None
}

func (r *room) leave(s *mux.Session) {
	if m := r.members[s]; m != nil {
		r.exit(m)
		if s.Identity().Docs.Level(r.documentID) == auth.None {
			m.unanswered(errNoAccess)
		}
		delete(r.members, s)
		r.asking = slices.DeleteFunc(r.asking, func(x *member) bool { return x == m })
		if m.peer != nil {
			r.doc.Forget(m.peer)
		}
	}
	r.cursors.leave(s) // if it was no member
	r.module.opts.Mux.Unsubscribe(s, r.topic)
}

// unanswered tells a member why what it asked will not be answered any more.
// Changes of its may be stored all the same.
func (m *member) unanswered(why *mux.Error) {
	for _, list := range [][]*mux.Reply{m.replies, m.edits} {
		for _, reply := range list {
			reply.Fail(why)
		}
	}
	for _, e := range m.opening {
		e.reply.Fail(why)
	}
	m.replies, m.edits, m.opening = nil, nil, nil
}

// leaveIfIdle drops a member that nothing keeps here.
func (r *room) leaveIfIdle(m *member) {
	if m.peer != nil || m.author != nil || m.hears || m.joined || len(m.opening) > 0 {
		return
	}
	if m.costs != nil && m.costs.TokensAt(time.Now()) < costBurst {
		return // or it could spend it again as a new member
	}
	r.leave(m.session)
	r.module.vacate(m.session, m.seat)
}

// enter counts a member among the users.
func (r *room) enter(m *member) {
	if m.among != "" {
		return
	}
	id := m.identity
	m.among = id.UserID
	m.seat.among.Store(true)
	r.entered.Add(1)
	u := roster.User{ID: id.UserID, Name: id.Name, Avatar: id.Avatar}
	r.countIn(u, m.session)
	r.countHere(u, 1)
	if r.cursors.enter(m.session) {
		r.tickAt = r.pace.Next(time.Now())
	}
}

// unjoin ends what collab:join_document began.
func (r *room) unjoin(m *member) {
	if m.joined {
		m.joined, m.feed, m.seen, m.greeted = false, false, 0, false
		r.module.opts.Mux.Unsubscribe(m.session, r.events)
	}
	if r.cursors.leave(m.session) {
		r.tickAt = r.pace.Next(time.Now())
	}
}

// exit ends what enter and collab:join_document began.
func (r *room) exit(m *member) {
	m.seat.among.Store(false)
	r.unjoin(m)
	if m.among != "" {
		r.countOut(m.among, m.identity.Name, m.session)
		r.countHere(roster.User{ID: m.among, Name: m.identity.Name, Avatar: m.identity.Avatar}, -1)
		m.among = ""
		r.entered.Add(-1)
	}
}

// countIn counts a session among the users, and tells of a user's first; not that
// session, if it is here.
func (r *room) countIn(u roster.User, s *mux.Session) {
	if r.users.Join(awareness.User{ID: u.ID, Name: u.Name, Avatar: u.Avatar}) {
		r.publish("collab:user_joined", u.ID, u.Name, s)
	}
}

// countOut undoes countIn.
func (r *room) countOut(userID, name string, s *mux.Session) {
	if r.users.Leave(userID) {
		r.publish("collab:user_left", userID, name, s)
	}
}

// publish tells all but one that a user has come or gone.
func (r *room) publish(event, userID, name string, except *mux.Session) {
	r.module.opts.Mux.Publish(r.events, &userMessage{Type: event, DocumentID: r.documentID, UserID: userID, Username: name}, except)
}

// charge holds the member to what its peer, or author, may cost. It reports
// false when that was too much, and the session is closed.
func (r *room) charge(m *member, p *docsync.Peer) bool {
	n := p.Costs
	if n == 0 {
		return true
	}
	p.Costs = 0
	if m.costs == nil {
		m.costs = rate.NewLimiter(costPerSecond, costBurst)
	}
	if m.costs.AllowN(time.Now(), min(n, costBurst)) {
		return true
	}
	m.session.Refuse(mux.CloseGoingAway, mux.NewError(mux.RateLimited, "the document was asked for too much"))
	return false
}

func (m *member) userID() string { return m.session.Identity().UserID }

func (m *member) refuse(p *docsync.Peer, reply *mux.Reply, e *mux.Error) {
	if reply == nil || reply.Session != m.session {
		reply = m.takeReply(p)
	}
	reply.Fail(e)
}

func (m *member) sendAway(e *mux.Error) { m.session.Refuse(mux.CloseGoingAway, e) }

// takeReply returns the reply that is to be acknowledged next for changes of p,
// or one without an id.
func (m *member) takeReply(p *docsync.Peer) *mux.Reply {
	waiting := &m.replies
	if p == m.author {
		waiting = &m.edits
	}
	n := len(*waiting)
	if n == 0 {
		return &mux.Reply{Session: m.session}
	}
	reply := (*waiting)[n-1]
	*waiting = (*waiting)[:n-1]
	return reply
}
