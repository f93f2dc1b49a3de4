// Package presence is who is online, where, and since when: the sessions of
// users, the status that they show, when they were last seen, and whose tokens
// are refused.
//
// It decides nothing about access to anything else, and knows users only by the
// id in their token.
package presence

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"atrium/internal/db"
	"atrium/internal/limit"
	"atrium/internal/mux"
)

// Options of New.
type Options struct {
	DB  *db.DB   // required
	Mux *mux.Mux // required; New registers routes and hooks

	// Grace is how long a user whose last connection has dropped is not said to
	// have gone; default: 10 s. After a start it holds for those seen just before.
	Grace time.Duration

	Logger *slog.Logger // default: slog.Default()
}

// Module is safe for concurrent use.
type Module struct {
	opts    Options
	store   store
	log     *slog.Logger
	started time.Time

	mu      sync.Mutex
	users   map[string]*user      // those who are online; guarded by mu
	subs    map[*mux.Session]subs // guarded by mu
	revoked map[string]time.Time  // tokens issued before are refused; guarded by mu
	telling [64]sync.Mutex        // by user id: one tells of a user at a time; taken before mu
}

// user is somebody who is online, or has just dropped.
type user struct {
	sessions int
	status   Status
	leaving  *time.Timer // ends the grace; nil: there are sessions
	lastSeen time.Time   // while leaving
}

// subs are whom a session has subscribed to.
type subs map[string]struct{}

// Status is what a user shows.
type Status string

// Online is every user's first. Offline cannot be set.
const (
	Online  Status = "online"
	Away    Status = "away"
	Busy    Status = "busy"
	Offline Status = "offline"
)

// New returns the module, plugged into o.Mux.
func New(ctx context.Context, o Options) (*Module, error) {
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	m := &Module{
		opts: o, store: store{o.DB}, log: o.Logger, started: time.Now(),
		users: make(map[string]*user),
		subs:  make(map[*mux.Session]subs),
	}
	var err error
	if m.revoked, err = m.store.revocations(ctx); err != nil {
		return nil, fmt.Errorf("load revocations: %w", err)
	}
	if err := m.expect(ctx); err != nil {
		return nil, err
	}
	o.Mux.Use(mux.Hooks{Joined: m.joined, Left: m.left})
	o.Mux.Handle("presence:subscribe", mux.Route{Class: limit.Join, Handle: m.subscribe})
	o.Mux.Handle("presence:unsubscribe", mux.Route{Class: limit.Join, Handle: m.unsubscribe})
	o.Mux.Handle("presence:set", mux.Route{Handle: m.set})
	return m, nil
}

// expect takes those who were here when the server stopped for people who have
// dropped and will be back, so that a restart is no news of anybody.
func (m *Module) expect(ctx context.Context) error {
	seen, err := m.store.seenSince(ctx, m.started.Add(-m.opts.Grace))
	if err != nil {
		return fmt.Errorf("load users seen last: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, at := range seen {
		u := &user{status: Online, lastSeen: at}
		m.users[id] = u
		u.leaving = time.AfterFunc(m.opts.Grace, func() { m.gone(id, u) })
	}
	return nil
}

// Close ends what is under way.
func (m *Module) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range m.users {
		if u.leaving != nil {
			u.leaving.Stop()
		}
	}
	m.users = make(map[string]*user)
}

func (m *Module) joined(s *mux.Session) {
	if m.Revoked(s.Identity()) { // since it was checked
		s.Close(mux.CloseBadToken, "token revoked")
	}
	m.seen(s)
	id := s.Identity().UserID
	m.mu.Lock()
	u := m.users[id]
	news := u == nil
	if news {
		u = &user{status: Online}
		m.users[id] = u
	}
	if u.leaving != nil {
		u.leaving.Stop()
		u.leaving = nil
	}
	u.sessions++
	m.mu.Unlock()
	if news {
		m.tell(id)
	}
}

func (m *Module) left(s *mux.Session) {
	m.seen(s)
	id := s.Identity().UserID
	m.mu.Lock()
	delete(m.subs, s)
	u := m.users[id]
	if u == nil { // closed
		m.mu.Unlock()
		return
	}
	u.sessions--
	if u.sessions == 0 {
		u.lastSeen = time.Now()
		if s.SaidGoodbye() {
			delete(m.users, id)
		} else {
			u.leaving = time.AfterFunc(m.opts.Grace, func() { m.gone(id, u) })
		}
	}
	over := m.users[id] == nil
	m.mu.Unlock()
	if over {
		m.tell(id)
	}
}

// gone is the end of a user's grace.
func (m *Module) gone(id string, u *user) {
	m.mu.Lock()
	over := m.users[id] == u && u.sessions == 0
	if over {
		delete(m.users, id)
	}
	m.mu.Unlock()
	if over {
		m.tell(id)
	}
}

// seen writes down who came or went. A failing store keeps nobody out.
func (m *Module) seen(s *mux.Session) {
	if err := m.store.save(context.Background(), s.Identity(), time.Now()); err != nil {
		m.log.Error("user cannot be stored", "user", s.Identity().UserID, "error", err)
	}
}
