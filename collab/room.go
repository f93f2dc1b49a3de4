package collab

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"atrium/collab/change"
	"atrium/collab/docsync"
	"atrium/internal/auth"
	"atrium/internal/mux"
)

// room is the actor of one open document. Its fields are owned by run, but for
// the mailbox.
//
// A change's way: apply stages it, commit makes it durable, tell sends it.
type room struct {
	module     *Module
	documentID string
	topic      string
	log        *slog.Logger
	mail       *mailbox

	doc     docsync.Document
	version int64 // of the log, as far as doc has it
	members map[*mux.Session]*member
	asking  []*member                    // those to be told that there is no such document
	dirty   []*member                    // members that may have to be sent something
	grown   bool                         // the log has grown: all members may
	frames  map[docsync.Range]*mux.Frame // shared messages of the log as it is
	stop    bool

	failing  time.Time // since when the store has been failing; zero: it is not
	retryAt  time.Time
	attempts int
	timer    *time.Timer
}

// member is one session in the room.
type member struct {
	session *mux.Session
	drained func()        // what its socket calls when it is free again
	peer    *docsync.Peer // nil: it has only sent ephemeral messages
	costs   *rate.Limiter // of answers past the steady state
	replies []*mux.Reply  // to be acknowledged once the peer's changes are committed
	busy    bool          // its socket is: a drained event will come
	dirty   bool          // it is in room.dirty

	identity *auth.Identity // that level was read from
	level    auth.Level     // what it may do with the document

	unavailableAt time.Time          // when to say that there is no such document, while in room.asking
	shouts        map[string]float64 // newest count of ephemeral messages, by their sessionId
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

const (
	maxStagedBytes = 64 << 20
	maxShouts      = 16 // sessionIds of one session; stock clients use one
	costBurst      = 100
	costPerSecond  = 1
)

func newRoom(m *Module, documentID string) *room {
	return &room{
		module: m, documentID: documentID, topic: "document/" + documentID,
		log:     m.log.With("document", documentID),
		mail:    newMailbox(),
		members: make(map[*mux.Session]*member),
		frames:  make(map[docsync.Range]*mux.Frame),
		timer:   time.NewTimer(0),
	}
}

func (r *room) run() {
	defer r.timer.Stop()
	if !r.load() {
		return
	}
	var events []event
	for {
		idle := r.wait()
		events = r.mail.take(events)
		for i, e := range events {
			r.apply(e)
			events[i] = nil
		}
		r.commit()
		r.tell()
		if r.stop || idle && r.module.remove(r) {
			return
		}
	}
}

// wait returns when there is something to do. It reports true when there has
// been nothing for the idle time, and nobody has the document open.
func (r *room) wait() (idle bool) {
	if r.failing.IsZero() && r.doc.Len() > 0 && len(r.frames) == 0 && len(r.members) > 0 {
		<-r.mail.wake
		return false
	}
	next := time.Now().Add(r.module.opts.IdleAfter)
	if !r.retryAt.IsZero() && r.retryAt.Before(next) {
		next = r.retryAt
	}
	for _, m := range r.asking {
		if m.unavailableAt.Before(next) {
			next = m.unavailableAt
		}
	}
	r.timer.Reset(time.Until(next))
	select {
	case <-r.mail.wake:
		return false
	case <-r.timer.C:
	}
	if !r.failing.IsZero() || len(r.asking) > 0 {
		return false
	}
	clear(r.frames) // nobody has needed them for a while
	return len(r.members) == 0
}

// load reads the log. It does not give up while anybody waits: until it
// succeeds the document is neither there nor empty. It reports false when the
// room has ended instead.
func (r *room) load() bool {
	for attempt := 0; ; attempt++ {
		err := r.extend()
		if err == nil {
			return true
		}
		if attempt&(attempt-1) == 0 { // more and more seldom
			r.log.Error("document cannot be loaded; trying again", "error", err, "attempt", attempt+1)
		}
		r.doc, r.version = docsync.Document{}, 0
		r.timer.Reset(backoff(attempt))
		<-r.timer.C
		r.mail.forgetLeft()
		if r.module.isClosing() || r.module.remove(r) {
			return false
		}
	}
}

func backoff(attempt int) time.Duration {
	return min(2*time.Second, 50*time.Millisecond<<min(attempt, 6))
}

// extend adds what the log has past r.version.
func (r *room) extend() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	runs, version, err := r.module.store.load(ctx, r.documentID, r.version)
	if err != nil {
		return err
	}
	return r.add(runs, version)
}

func (r *room) add(runs [][]byte, version int64) error {
	for _, run := range runs {
		refused, err := r.doc.Extend(run)
		if err != nil {
			return err
		}
		r.refuse(refused, nil)
	}
	if len(runs) > 0 {
		r.hasGrown()
	}
	r.version = version
	return nil
}

func (r *room) hasGrown() {
	r.grown = true
	clear(r.frames)
}

func (r *room) apply(e event) {
	switch e := e.(type) {
	case received:
		r.receive(e)
	case shouted:
		r.shout(e)
	case drained:
		e.m.busy = false
		r.touch(e.m)
	case regranted:
		if m := r.members[e.s]; m != nil {
			r.touch(m)
		}
	case leaving:
		r.leave(e.s)
	case stopping:
		r.stop = true
	}
}

// touch says that a member may have to be sent something.
func (r *room) touch(m *member) {
	if !m.dirty {
		m.dirty = true
		r.dirty = append(r.dirty, m)
	}
}

// join returns the session's member, a new one if need be. It returns nil if
// the session has lost its grant since the event was posted.
func (r *room) join(s *mux.Session) *member {
	m := r.members[s]
	if m == nil {
		m = &member{session: s}
		m.drained = func() { r.mail.put(drained{m}) }
	}
	if !r.mayRead(m) {
		return nil
	}
	if r.members[s] == nil {
		r.members[s] = m
		r.module.opts.Mux.Subscribe(s, r.topic)
	}
	return m
}

func (r *room) leave(s *mux.Session) {
	if m := r.members[s]; m != nil {
		delete(r.members, s)
		r.asking = slices.DeleteFunc(r.asking, func(x *member) bool { return x == m })
		if m.peer != nil {
			r.doc.Forget(m.peer)
		}
	}
	r.module.opts.Mux.Unsubscribe(s, r.topic)
}

var errNoAccess = mux.NewError(mux.Forbidden, "no access to this document")

func (r *room) receive(e received) {
	m := r.join(e.reply.Session)
	if m == nil {
		e.reply.Fail(errNoAccess)
		return
	}
	if m.peer == nil {
		m.peer = docsync.NewPeer(m, m.level < auth.Write)
		m.costs = rate.NewLimiter(costPerSecond, costBurst)
	}
	r.touch(m)
	refused, err := r.doc.Receive(m.peer, e.message)
	if !r.charge(m) {
		return
	}
	if err != nil || r.doc.StagedBytes() > maxStagedBytes {
		m.session.Refuse(mux.CloseGoingAway, mux.NewError(mux.Unavailable, "the document cannot take more changes at the moment"))
		return
	}
	if m.level < auth.Write && len(e.message.Changes) > 0 {
		e.reply.Fail(mux.NewError(mux.Forbidden, "this document may only be read"))
		return
	}
	r.refuse(refused, e.reply)
	if !e.reply.ID.IsZero() {
		m.replies = append(m.replies, e.reply)
	}
}

// charge holds the member to what it may cost. It reports false when that was
// too much, and the session is closed.
func (r *room) charge(m *member) bool {
	n := m.peer.Costs
	m.peer.Costs = 0
	if n == 0 || m.costs.AllowN(time.Now(), min(n, costBurst)) {
		return true
	}
	m.session.Refuse(mux.CloseGoingAway, mux.NewError(mux.RateLimited, "the document was asked for too much"))
	return false
}

// refuse tells of refused changes: reply's sender by that, others by an error
// of its own. One that was refused before is told to those who ask.
func (r *room) refuse(refused []docsync.Refusal, reply *mux.Reply) {
	for _, x := range refused {
		if errors.Is(x.Err, docsync.ErrAgain) && (reply == nil || reply.ID.IsZero()) {
			continue
		}
		s := x.Peer.Tag.(*member).session
		r.module.stats.Refused.Add(1)
		r.log.Warn("change refused", "change", x.Change.String(), "reason", x.Err.Error(), "user", s.Identity().UserID, "session", s.ID)
		if errors.Is(x.Err, docsync.ErrFull) {
			s.Refuse(mux.CloseGoingAway, mux.NewError(mux.Unavailable, x.Err.Error()))
			continue
		}
		to := reply
		if reply == nil || reply.Session != s {
			to = x.Peer.Tag.(*member).takeReply()
		}
		what := "change " + x.Change.String()
		if x.Change == (change.Hash{}) {
			what = "a change" // that could not be read
		}
		to.Fail(mux.NewError(mux.BadRequest, what+" refused: "+x.Err.Error()))
	}
}

// takeReply returns the reply that is to be acknowledged next, or one without an id.
func (m *member) takeReply() *mux.Reply {
	n := len(m.replies)
	if n == 0 {
		return &mux.Reply{Session: m.session}
	}
	reply := m.replies[n-1]
	m.replies = m.replies[:n-1]
	return reply
}

// shout relays an ephemeral message to everyone else who has the document open.
func (r *room) shout(e shouted) {
	m := r.join(e.reply.Session)
	if m == nil {
		e.reply.Fail(errNoAccess)
		return
	}
	msg := e.message
	if last, seen := m.shouts[msg.SessionID]; !seen || float64(msg.Count) > last {
		if m.shouts == nil || len(m.shouts) >= maxShouts {
			m.shouts = make(map[string]float64)
		}
		m.shouts[msg.SessionID] = float64(msg.Count)
		r.module.opts.Mux.Publish(r.topic, msg, m.session)
	}
	e.reply.Ack(nil)
}
