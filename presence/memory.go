package presence

import (
	"context"
	"slices"
	"sync"
	"time"

	"atrium/internal/mux"
)

// memory is the registry of a node that is alone.
type memory struct {
	grace time.Duration
	news  func(state)

	mu      sync.Mutex
	users   map[string]*user // those who are online; guarded by mu
	version int64            // of the newest change of anybody; guarded by mu
}

// user is somebody who is online, or has just dropped.
type user struct {
	sessions []session // oldest first
	status   Status
	version  int64
	leaving  *time.Timer // ends the grace; nil: there are sessions
	lastSeen time.Time   // while leaving
}

func newMemory(grace time.Duration, news func(state)) *memory {
	return &memory{grace: grace, news: news, users: make(map[string]*user)}
}

// expect takes those who were here when the server stopped for people who have
// dropped and will be back, so that a restart is no news of anybody.
func (r *memory) expect(seen map[string]time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, at := range seen {
		r.drop(id, r.add(id), at)
	}
}

// add is called with mu held.
func (r *memory) add(id string) *user {
	r.version++
	u := &user{status: Online, version: r.version}
	r.users[id] = u
	return u
}

// drop is called with mu held.
func (r *memory) drop(id string, u *user, at time.Time) {
	u.lastSeen = at
	u.leaving = time.AfterFunc(r.grace, func() { r.gone(id, u) })
}

func (r *memory) join(s *mux.Session) {
	id := s.Identity().UserID
	r.mu.Lock()
	u := r.users[id]
	news := u == nil
	if news {
		u = r.add(id)
	}
	if u.leaving != nil {
		u.leaving.Stop()
		u.leaving = nil
	}
	u.sessions = append(slices.Clip(u.sessions), newSession(s, ""))
	st := r.state(id)
	r.mu.Unlock()
	if news {
		r.news(st)
	}
}

func (r *memory) leave(s *mux.Session) {
	id := s.Identity().UserID
	r.mu.Lock()
	u := r.users[id]
	if u == nil { // closed
		r.mu.Unlock()
		return
	}
	u.sessions = slices.DeleteFunc(slices.Clone(u.sessions), func(x session) bool { return x.SessionID == s.ID })
	over := len(u.sessions) == 0 && s.SaidGoodbye()
	switch {
	case over:
		u.lastSeen = time.Now()
	case len(u.sessions) == 0:
		r.drop(id, u, time.Now())
	}
	r.mu.Unlock()
	if over {
		r.gone(id, u)
	}
}

// gone is the end of somebody without sessions.
func (r *memory) gone(id string, u *user) {
	r.mu.Lock()
	over := r.users[id] == u && len(u.sessions) == 0
	if over {
		delete(r.users, id)
		r.version++
	}
	st := r.state(id)
	st.at = u.lastSeen
	r.mu.Unlock()
	if over {
		r.news(st)
	}
}

func (r *memory) set(id string, status Status) {
	r.mu.Lock()
	u := r.users[id]
	news := u != nil && u.status != status
	if news {
		r.version++
		u.status, u.version = status, r.version
	}
	st := r.state(id)
	r.mu.Unlock()
	if news {
		r.news(st)
	}
}

// state is called with mu held.
func (r *memory) state(id string) state {
	u := r.users[id]
	if u == nil {
		return state{userID: id, status: Offline, version: r.version}
	}
	return state{userID: id, status: u.status, version: u.version, sessions: len(u.sessions), where: u.sessions}
}

func (r *memory) look(_ context.Context, userIDs []string) []state {
	states := make([]state, len(userIDs))
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, id := range userIDs {
		states[i] = r.state(id)
	}
	return states
}

func (r *memory) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.users {
		if u.leaving != nil {
			u.leaving.Stop()
		}
	}
	r.users = make(map[string]*user)
}
