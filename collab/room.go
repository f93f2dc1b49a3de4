package collab

import (
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"atrium/collab/awareness"
	"atrium/collab/docsync"
	"atrium/internal/mux"
	"atrium/internal/roster"
)

// room is the actor of one open document. Its fields are owned by run, but for
// the mailbox and atomics.
//
// A change's way: apply stages it, commit makes it durable, tell sends it.
type room struct {
	module     *Module
	documentID string
	topic      string // of those who have the document open
	events     string // topic of those who get collab:* events
	log        *slog.Logger
	mail       *mailbox
	recent     recent
	cursors    cursors

	doc     docsync.Document
	version int64        // of the log, as far as doc has it
	known   atomic.Int64 // the same, for others; -1: the log has not been read
	bytes   int          // length of the log's chunks
	gone    bool         // the document has been deleted
	calls   []*call
	keeping keeping
	members map[*mux.Session]*member
	entered atomic.Int64 // members who are among the users
	users   awareness.Users
	active  []activeUser // the users as they are told, of one call of tell
	asking  []*member    // those to be told that there is no such document
	dirty   []*member    // members that may have to be sent something
	grown   bool         // the log has grown: all members may
	frames  frames       // of the log as it is
	runs    []run        // of the newest commit
	sending deliveries   // of one step of tell
	stop    bool
	usedAt  time.Time // by somebody here

	others    roster.Roster           // who is on other nodes
	here      map[string]*roster.User // who is on this one, as the others know it
	announced bool                    // that somebody is, the last time
	vain      *rate.Limiter           // of looks at the database that bring nothing; nil: none so far

	pace   awareness.Pace // of telling of cursors
	tickAt time.Time      // when to; zero: nothing has moved

	failing  time.Time // since when the store has been failing; zero: it is not
	retryAt  time.Time
	attempts int
	timer    *time.Timer
}

const (
	maxStagedBytes = 64 << 20
	maxShouts      = 16 // sessionIds of one session; stock clients use one
)

func newRoom(m *Module, documentID string) *room {
	r := &room{
		module: m, documentID: documentID,
		topic:   "document/" + documentID,
		events:  "document/" + documentID + "/events",
		log:     m.log.With("document", documentID),
		mail:    newMailbox(),
		members: make(map[*mux.Session]*member),
		frames:  newFrames(),
		timer:   time.NewTimer(0),
		here:    make(map[string]*roster.User),
		usedAt:  time.Now(),
	}
	r.known.Store(-1)
	return r
}

func (r *room) run() {
	defer r.timer.Stop()
	defer r.listen()()
	if !r.load() {
		return
	}
	var events []event
	for {
		idle := r.wait()
		events = r.mail.take(events)
		idle = idle && len(events) == 0
		for i, e := range events {
			r.apply(e)
			events[i] = nil
		}
		r.commit()
		r.tell()
		r.keep()
		// What is being done about the log, another room would not know of.
		if r.stop || idle && !r.keeping.busy && r.module.remove(r) {
			return
		}
	}
}

// wait returns when there is something to do. It reports true when there has
// been nothing for the idle time, and nobody has the document open.
func (r *room) wait() (idle bool) {
	if r.failing.IsZero() && r.tickAt.IsZero() && r.doc.Len() > 0 && r.frames.since.IsZero() && len(r.members) > 0 {
		<-r.mail.wake
		return false
	}
	idleAt := r.usedAt.Add(r.module.opts.IdleAfter)
	next := time.Now().Add(r.module.opts.IdleAfter)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	if len(r.members) == 0 {
		sooner(idleAt)
	}
	sooner(r.retryAt)
	sooner(r.tickAt)
	if !r.frames.since.IsZero() {
		sooner(r.frames.since.Add(keepFrames))
	}
	for _, m := range r.asking {
		sooner(m.unavailableAt)
	}
	r.timer.Reset(time.Until(next))
	select {
	case <-r.mail.wake:
		return false
	case <-r.timer.C:
	}
	if !r.frames.since.IsZero() {
		if time.Since(r.frames.since) >= keepFrames {
			r.frames.clear()
		}
		return false
	}
	return r.failing.IsZero() && len(r.asking) == 0 && r.tickAt.IsZero() && len(r.members) == 0 && !time.Now().Before(idleAt)
}

func (r *room) apply(e event) {
	switch e := e.(type) {
	case posted:
		r.usedAt = time.Now()
		r.take(e.event, e.seat)
		s := e.from()
		if e.seat.pending.Add(-1) == 0 && !e.seat.among.Load() {
			r.cursors.leave(s) // it may have moved on its way in, and was not let in
		}
		if left, ok := e.event.(closed); ok {
			left.reply.Ack(nil) // from here on the seat refuses cursors
		}
		if r.members[s] == nil {
			r.module.vacate(s, e.seat)
		}
	case moved:
		r.tickAt = r.pace.Next(time.Now())
	case drained:
		e.m.busy = false
		r.touch(e.m)
	case regranted:
		if m := r.members[e.s]; m != nil {
			r.touch(m)
		}
	case leaving:
		r.usedAt = time.Now()
		r.leave(e.s)
	case asked:
		r.usedAt = time.Now()
		e.do(r)
	case noted:
		r.hear(e)
	case reunited:
		r.tellHere(true, true)
		r.look()
	case behind:
		r.look()
	case announcing:
		r.announce()
	case stopping:
		r.stop = true
	}
}

// take applies what a session has posted.
func (r *room) take(e event, st *seat) {
	if r.gone {
		r.turnAway(e)
		return
	}
	switch e := e.(type) {
	case received:
		r.receive(e, st)
	case shouted:
		r.shout(e, st)
	case opened:
		r.open(e, st)
	case edited:
		r.edit(e, st)
	case closed:
		r.close(e, st)
	}
}

// touch says that a member may have to be sent something.
func (r *room) touch(m *member) {
	if !m.dirty {
		m.dirty = true
		r.dirty = append(r.dirty, m)
	}
}

// shout relays an ephemeral message to everyone else who has the document open.
func (r *room) shout(e shouted, st *seat) {
	m := r.join(e.reply.Session, st)
	if m == nil {
		e.reply.Fail(errNoAccess)
		return
	}
	r.hearShouts(m)
	msg := e.message
	if last, seen := m.shouts[msg.SessionID]; !seen || float64(msg.Count) > last {
		if m.shouts == nil || len(m.shouts) >= maxShouts {
			m.shouts = make(map[string]float64)
		}
		m.shouts[msg.SessionID] = float64(msg.Count)
		r.module.opts.Mux.Publish(r.topic, msg, m.session)
		if r.module.opts.Bus != nil {
			r.tellNodes(&note{Shout: mux.EncodeRaw(msg)})
		}
	}
	e.reply.Ack(nil)
}
