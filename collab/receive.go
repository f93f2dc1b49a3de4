package collab

import (
	"errors"
	"slices"

	"atrium/collab/change"
	"atrium/collab/docsync"
	"atrium/internal/auth"
	"atrium/internal/mux"
)

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
