package collab

import (
	"sync"
	"time"

	"atrium/collab/awareness"
	"atrium/internal/mux"
)

// cursors are those of one document. Readers of sessions move them, the room
// tells of them, at its own pace. It is safe for concurrent use.
type cursors struct {
	mu      sync.Mutex
	set     awareness.Cursors[whose, *cursorUpdate] // guarded by mu
	waiting bool                                    // the room knows that there is something to tell; guarded by mu
	told    uint64                                  // version that was told of last; owned by the room
}

// whose cursor it is: a session's of this node, or another node's.
type whose struct {
	session         *mux.Session
	node, sessionID string
}

// move says where a session is now. It reports whether the room has to be told.
func (c *cursors) move(s *mux.Session, u *cursorUpdate) (wake bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set.Move(whose{session: s}, u)
	wake = !c.waiting
	c.waiting = true
	return wake
}

// enter makes what a session has moved before it was let in count from now on: by
// then it may have been passed over. It reports whether that is to be told.
func (c *cursors) enter(s *mux.Session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.set.Of(whose{session: s})
	if ok {
		c.set.Move(whose{session: s}, at)
		c.waiting = true
	}
	return ok
}

// leave takes a session's cursor away. It reports whether that is to be told.
func (c *cursors) leave(s *mux.Session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, ok := c.set.Of(whose{session: s})
	if !ok {
		return false
	}
	c.waiting = true
	return c.set.Leave(whose{session: s}, &cursorUpdate{UserID: last.UserID, Username: last.Username, SessionID: last.SessionID})
}

// tellCursors tells those who joined of the cursors that have moved: all of them
// if it is time, or else those who could not be told the last time. All who are
// as far get the same frame.
func (r *room) tellCursors() {
	began := time.Now()
	ticked := !r.tickAt.IsZero() && !began.Before(r.tickAt)
	c := &r.cursors
	if !ticked && len(r.dirty) == 0 {
		return
	}
	clear(r.frames.cursors)
	c.mu.Lock()
	version := c.set.Version()
	all := r.dirty
	var moved []cursorNote
	if ticked {
		if r.module.opts.Bus != nil {
			moved = r.movedHere(c.told)
		}
		c.waiting, all = false, nil
		r.tickAt = time.Time{}
		for _, m := range r.members {
			r.owedCursors(m, version)
		}
		c.told = version
	}
	for _, m := range all {
		if m.seen < c.told {
			r.owedCursors(m, version)
		}
	}
	c.mu.Unlock()
	if len(moved) > 0 {
		r.tellNodes(&note{Cursors: moved})
	}
	r.sending.send(func(_ int, m *member) { m.seen = version })
	if ticked {
		r.forgetCursors(version)
		r.pace.Told(began, time.Since(began))
	}
}

// owedCursors prepares what a member is to be told. It is called with
// cursors.mu held.
func (r *room) owedCursors(m *member, version uint64) {
	if !m.joined || m.busy || m.seen == version || !r.mayRead(m) {
		return
	}
	f, known := r.frames.cursors[m.seen]
	if !known {
		f = r.cursorFrame(m.seen)
		r.frames.cursors[m.seen] = f
	}
	if f.frame == nil || f.only == m.session { // nothing, or nothing new to it
		m.seen = version
		return
	}
	r.sending.add(m, f.frame)
}

// cursorFrame is what is told to those who have seen a version.
type cursorFrame struct {
	frame *mux.Frame   // nil: nothing
	only  *mux.Session // the only one that has moved
}

func (r *room) cursorFrame(seen uint64) (f cursorFrame) {
	updates := r.cursors.set.Since(seen)
	kept := updates[:0]
	for _, u := range updates {
		if u.session == nil || r.isAmong(u.session) {
			kept = append(kept, u)
		}
	}
	if len(kept) == 0 {
		return f
	}
	if len(kept) == 1 {
		f.only = kept[0].session
	}
	f.frame = mux.NewFrame(&cursorUpdates{Type: "collab:cursor_update", DocumentID: r.documentID, Updates: kept})
	return f
}

// isAmong reports whether a session counts among the users. The cursor of one
// that does not, since it is still to be let in, is not told.
func (r *room) isAmong(s *mux.Session) bool {
	m := r.members[s]
	return m != nil && m.among != ""
}

// forgetCursors drops those that have gone, once everybody has been told.
func (r *room) forgetCursors(version uint64) {
	for _, m := range r.members {
		if m.joined {
			version = min(version, m.seen)
		}
	}
	r.cursors.mu.Lock()
	defer r.cursors.mu.Unlock()
	r.cursors.set.Forget(version)
}

// activeUsers are the document's users, each with the newest cursor.
func (r *room) activeUsers() []activeUser {
	if r.active != nil {
		return r.active
	}
	r.cursors.mu.Lock()
	moved := r.cursors.set.Since(0)
	r.cursors.mu.Unlock()
	newest := make(map[string]position)
	for _, u := range moved {
		if _, known := newest[u.UserID]; !known && u.here && (u.session == nil || r.isAmong(u.session)) {
			newest[u.UserID] = u.position
		}
	}
	all := r.users.All()
	users := make([]activeUser, len(all))
	for i, u := range all {
		users[i] = activeUser{UserID: u.ID, Username: u.Name, Avatar: u.Avatar, Sessions: u.Sessions, position: newest[u.ID]}
	}
	r.active = users
	return users
}
