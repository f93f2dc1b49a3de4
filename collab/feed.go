package collab

import (
	"slices"

	"atrium/internal/auth"
	"atrium/internal/mux"
)

// run is a part of the log from from up to but without to, which one member, or
// several of one user, have added; by is nil, and userID empty, where that is
// not known any more.
type run struct {
	from, to int
	by       writer
	userID   string
}

// stagedRuns are the runs that the staged changes will be.
func (r *room) stagedRuns(runs []run) []run {
	at := r.doc.Len()
	for i, s := range r.doc.Staged() {
		w := s.From.Tag.(writer)
		if n := len(runs); n > 0 && runs[n-1].by == w {
			runs[n-1].to++
		} else {
			runs = append(runs, run{at + i, at + i + 1, w, w.userID()})
		}
	}
	return runs
}

// nextRun is what follows in the log from a position on. For who is up to date
// that is one run of the newest commit, for all others everything, as one.
func (r *room) nextRun(pos int) run {
	for _, x := range r.runs {
		if x.from == pos {
			return x
		}
	}
	return run{from: pos, to: r.doc.Len()}
}

// tellChanges sends collab:changes, one run to each, and reports whether there
// is more to send.
func (r *room) tellChanges() (more bool) {
	r.each(func(m *member) {
		if !m.feed || m.busy || m.pos >= r.doc.Len() || !r.mayRead(m) {
			return
		}
		x := r.nextRun(m.pos)
		for x.by == writer(m) && m.pos < r.doc.Len() { // its own: it has been told by the answer
			m.pos = x.to
			x = r.nextRun(m.pos)
		}
		if m.pos < r.doc.Len() {
			r.sending.add(m, r.changesFrame(x))
		}
	})
	if len(r.sending.list) == 0 {
		return false
	}
	r.sending.send(func(_ int, m *member) {
		m.pos = r.nextRun(m.pos).to
		more = more || m.pos < r.doc.Len()
	})
	return more
}

func (r *room) changesFrame(x run) *mux.Frame {
	return shared(r.frames.changes, x, func() *mux.Frame {
		return mux.NewFrame(r.changesMessage(x.userID, r.doc.Chunks(x.from, x.to)))
	})
}

func (r *room) changesMessage(userID string, chunks [][]byte) *changesMessage {
	return &changesMessage{
		Type: "collab:changes", DocumentID: r.documentID, UserID: userID, Changes: chunks, Heads: hexHeads(r.doc.Heads()),
	}
}

// open takes in collab:join_document.
func (r *room) open(e opened, st *seat) {
	m := r.join(e.reply.Session, st)
	if m == nil {
		e.reply.Fail(errNoAccess)
		return
	}
	if r.doc.Len() == 0 && len(r.doc.Staged()) == 0 && !r.lookFor() {
		e.reply.Fail(errNotFound)
		r.leaveIfIdle(m)
		return
	}
	m.opening = append(m.opening, e)
	r.enter(m)
	r.touch(m)
}

var errNotFound = mux.NewError(mux.NotFound, "there is no such document")

// answer answers collab:join_document. It reports false if that has to wait: for
// the socket, or for the document's first changes to be stored.
func (r *room) answer(m *member, e opened) bool {
	switch {
	case !r.mayRead(m):
		e.reply.Fail(errNoAccess)
		return true
	case r.doc.Len() == 0 && len(r.doc.Staged()) > 0:
		return false
	case r.doc.Len() == 0:
		e.reply.Fail(errNotFound)
		if m.peer == nil {
			r.exit(m)
		}
		return true
	}
	ack := &joinAck{Access: "read", Users: r.activeUsers(), Heads: hexHeads(r.doc.Heads())}
	if m.level == auth.Write {
		ack.Access = "write"
	}
	if snapshot, _ := r.doc.Snapshot(); e.feed && len(e.heads) == 0 && snapshot != nil && !e.reply.ID.IsZero() {
		ack.Document = slices.Concat(r.doc.Whole()...)
	} else if e.feed {
		chunks := r.doc.Since(e.heads)
		ack.Changes = &chunks
	}
	if !e.reply.Offer(ack, m.drained) {
		m.busy = true
		return false
	}
	if e.reply.ID.IsZero() && e.feed && len(*ack.Changes) > 0 { // there is no answer that could bring them
		if !m.session.Offer(mux.NewFrame(r.changesMessage("", *ack.Changes)), m.drained) {
			m.busy = true
			return false
		}
	}
	m.greeted = false
	if !m.joined {
		m.joined, m.seen = true, 0
		r.module.opts.Mux.Subscribe(m.session, r.events)
	}
	if e.feed {
		m.feed, m.pos = true, r.doc.Len()
	}
	return true
}

// greet sends a member that has joined the users, in the one frame that all get
// who join at the same time.
func (r *room) greet(m *member) {
	if r.frames.users == nil {
		r.frames.users = mux.NewFrame(&activeUsers{Type: "collab:active_users", DocumentID: r.documentID, Users: r.activeUsers()})
	}
	m.busy = !m.session.Offer(r.frames.users, m.drained)
	m.greeted = !m.busy
}

// close takes in collab:leave_document.
func (r *room) close(e closed, st *seat) {
	if m := r.members[e.reply.Session]; m != nil {
		for _, unanswered := range m.opening {
			unanswered.reply.Fail(mux.NewError(mux.Conflict, "the document was left at once"))
		}
		m.opening = nil
		if m.peer == nil {
			r.exit(m)
		} else { // it goes on syncing, and counts for that
			r.unjoin(m)
		}
		r.leaveIfIdle(m)
	}
}
