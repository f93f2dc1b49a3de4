package collab

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"atrium/collab/awareness"
	"atrium/collab/change"
	"atrium/collab/docsync"
	"atrium/internal/auth"
	"atrium/internal/mux"
	"atrium/internal/roster"
)

// room is the actor of one open document. Its fields are owned by run, but for
// the mailbox.
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
		r.reset()
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
	t, err := r.module.store.load(ctx, r.documentID, r.version)
	if errors.Is(err, errDeleted) {
		r.vanish()
		return nil
	}
	if err != nil {
		return err
	}
	return r.add(t)
}

func (r *room) add(t tail) error {
	counted := r.doc.Len()
	count := func() {
		for _, chunk := range r.doc.Chunks(counted, r.doc.Len()) {
			r.bytes += len(chunk)
		}
		counted = r.doc.Len()
	}
	take := func(run []byte) error {
		refused, err := r.doc.Extend(run)
		r.refuse(refused, nil)
		return err
	}
	for _, p := range t.packs {
		run, err := unpack(&r.doc, p)
		if err == nil {
			err = take(run)
		}
		if err != nil {
			return err
		}
		count()
		r.keeping.sealed(p)
		r.keeping.bytes = r.bytes
	}
	for _, run := range t.runs {
		if err := take(run); err != nil {
			return err
		}
	}
	count()
	if !t.empty() {
		r.hasGrown()
	}
	r.setVersion(t.version)
	if t.snapshotted <= r.doc.Len() && change.CheckDocument(t.snapshot) == nil {
		r.takeSnapshot(t.snapshot, t.snapshotted)
	}
	return nil
}

// reset forgets the log.
func (r *room) reset() {
	r.doc, r.bytes, r.keeping = docsync.Document{}, 0, keeping{}
	r.version = 0
	r.known.Store(-1)
}

func (r *room) setVersion(version int64) {
	r.version = version
	r.known.Store(version)
}

func (r *room) hasGrown() {
	r.grown = true
	r.frames.clear()
	r.runs = r.runs[:0]
	r.recent.add(r.doc.Heads(), r.doc.Len())
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

func (r *room) receive(e received, st *seat) {
	m := r.join(e.reply.Session, st)
	if m == nil {
		e.reply.Fail(errNoAccess)
		return
	}
	if m.peer == nil {
		m.peer = docsync.NewPeer(m, m.level < auth.Write)
		r.hearShouts(m)
		r.enter(m)
	}
	if top := st.top.Load(); top != unsettled {
		m.peer.Told(int(top))
		st.top.Store(unsettled)
	}
	r.touch(m)
	refused, err := r.doc.Receive(m.peer, e.message)
	if r.doc.Misses(m.peer) {
		r.lookFor()
	}
	if !r.takes(m, m.peer, err) {
		return
	}
	if m.level < auth.Write && len(e.message.Changes) > 0 {
		e.reply.Fail(errReadOnly)
		return
	}
	r.refuse(refused, e.reply)
	if !e.reply.ID.IsZero() {
		m.replies = append(m.replies, e.reply)
	}
}

// edit takes in changes of a session that may not sync.
func (r *room) edit(e edited, st *seat) {
	m := r.join(e.reply.Session, st)
	switch {
	case m == nil:
		e.reply.Fail(errNoAccess)
		return
	case m.level < auth.Write:
		e.reply.Fail(errReadOnly)
		r.leaveIfIdle(m)
		return
	}
	if m.author == nil {
		m.author = docsync.NewAuthor(m)
	}
	r.touch(m)
	refused, err := r.submit(m.author, e.changes)
	if !r.takes(m, m.author, err) {
		return
	}
	r.refuse(refused, e.reply)
	if !e.reply.ID.IsZero() && !e.reply.Answered() {
		m.edits = append(m.edits, e.reply)
	}
}

// submit takes in an author's changes. Those that build on what is not here may
// do so on what another node has committed.
func (r *room) submit(author *docsync.Peer, changes [][]byte) (refused []docsync.Refusal, err error) {
	refused, err = r.doc.Submit(author, changes)
	isMissing := func(x docsync.Refusal) bool { return errors.Is(x.Err, docsync.ErrMissing) }
	if err != nil || !slices.ContainsFunc(refused, isMissing) || !r.lookFor() {
		return refused, err
	}
	refused = slices.DeleteFunc(refused, isMissing)
	again, err := r.doc.Submit(author, changes)
	for _, x := range again {
		if !errors.Is(x.Err, docsync.ErrAgain) { // those have been told
			refused = append(refused, x)
		}
	}
	return refused, err
}

// takes reports whether what a member has sent was taken in; if it was too
// much, the session is closed.
func (r *room) takes(m *member, p *docsync.Peer, err error) bool {
	if !r.charge(m, p) {
		return false
	}
	if err != nil || r.doc.StagedBytes() > maxStagedBytes {
		m.session.Refuse(mux.CloseGoingAway, mux.NewError(mux.Unavailable, "the document cannot take more changes at the moment"))
		return false
	}
	return true
}

// refuse tells of refused changes: reply's sender by that, others by an error
// of its own. One that was refused before is told to those who ask.
func (r *room) refuse(refused []docsync.Refusal, reply *mux.Reply) {
	for _, x := range refused {
		if errors.Is(x.Err, docsync.ErrAgain) && (reply == nil || reply.ID.IsZero()) {
			continue
		}
		w := x.Peer.Tag.(writer)
		r.module.stats.Refused.Add(1)
		r.log.Warn("change refused", "change", x.Change.String(), "reason", x.Err.Error(), "user", w.userID())
		if errors.Is(x.Err, docsync.ErrFull) {
			w.sendAway(mux.NewError(mux.Unavailable, x.Err.Error()))
			continue
		}
		what := "change " + x.Change.String()
		if x.Change == (change.Hash{}) {
			what = "a change" // that could not be read
		}
		code := mux.BadRequest
		if errors.Is(x.Err, docsync.ErrMissing) {
			code = mux.Conflict
		}
		w.refuse(x.Peer, reply, mux.NewError(code, what+" refused: "+x.Err.Error()))
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
