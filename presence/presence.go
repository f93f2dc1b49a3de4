// Package presence is who is online, where, and since when: the sessions of
// users, the status that they show, when they were last seen, and whose tokens
// are refused.
//
// It decides nothing about access to anything else, and knows users only by the
// id in their token.
//
// Locks: those of telling, in their order, are taken before Module.mu; under that, only those of the bus. The
// registries' locks are leaves.
package presence

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"atrium/internal/bus"
	"atrium/internal/db"
	"atrium/internal/limit"
	"atrium/internal/mux"
)

// Options of New.
type Options struct {
	DB  *db.DB   // required
	Mux *mux.Mux // required; New registers routes and hooks
	Bus *bus.Bus // nil: there is one node

	// Grace is how long a user whose last connection has dropped is not said to
	// have gone; default: 10 s. After a start it holds for those seen just before.
	Grace time.Duration

	Logger *slog.Logger // default: slog.Default()
}

// Module is safe for concurrent use.
type Module struct {
	opts  Options
	store store
	users registry
	log   *slog.Logger
	pace  pace

	ctx     context.Context // done when Close has been called
	cancel  context.CancelFunc
	running sync.WaitGroup
	stop    func()        // ends listening to revocations
	doubts  chan struct{} // holds a token when there are any

	mu       sync.Mutex
	subs     map[*mux.Session]subs // guarded by mu
	watched  map[string]*watch     // who is subscribed to, by user id; guarded by mu
	doubtful map[string]struct{}   // those of them who are to be read again; guarded by mu
	revoked  map[string]time.Time  // tokens issued before are refused; guarded by mu
	telling  [stripes]sync.Mutex   // by stripe of user ids: one tells of a user at a time; taken before mu
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
	return newModule(ctx, o, pace{lifetime: 45 * time.Second, refresh: 15 * time.Second, sweep: time.Second, reread: 15 * time.Second})
}

func newModule(ctx context.Context, o Options, p pace) (*Module, error) {
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	m := &Module{
		opts: o, store: store{o.DB}, log: o.Logger, pace: p,
		doubts: make(chan struct{}, 1),
		subs:   make(map[*mux.Session]subs), watched: make(map[string]*watch), doubtful: make(map[string]struct{}),
		revoked: make(map[string]time.Time),
	}
	revoked, err := m.store.revocations(ctx, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("load revocations: %w", err)
	}
	m.revoke(revoked)
	if err := m.register(ctx); err != nil {
		return nil, err
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.stop = m.hearRevocations()
	if o.Bus != nil {
		m.running.Go(m.reread)
	}
	if o.DB.Shared() {
		m.running.Go(m.watchRevocations)
	}
	o.Mux.Use(mux.Hooks{Joined: m.joined, Left: m.left})
	o.Mux.Handle("presence:subscribe", mux.Route{Class: limit.Join, Handle: m.subscribe})
	o.Mux.Handle("presence:unsubscribe", mux.Route{Class: limit.Join, Handle: m.unsubscribe})
	o.Mux.Handle("presence:set", mux.Route{Handle: m.set})
	return m, nil
}

// register makes the registry.
func (m *Module) register(ctx context.Context) error {
	if m.opts.Bus != nil {
		m.users = newCluster(m.opts, m.pace, m.learn, m.sawLast)
		return nil
	}
	seen, err := m.store.seenSince(ctx, time.Now().Add(-m.opts.Grace))
	if err != nil {
		return fmt.Errorf("load users seen last: %w", err)
	}
	alone := newMemory(m.opts.Grace, m.learn)
	alone.expect(seen)
	m.users = alone
	return nil
}

// Close ends what is under way. It comes after the end of all sessions, and before
// that of the bus.
func (m *Module) Close() {
	m.stop()
	m.cancel()
	m.running.Wait()
	m.users.close()
}

func (m *Module) joined(s *mux.Session) {
	if m.Revoked(s.Identity()) { // since it was checked
		s.Close(mux.CloseBadToken, tokenRevoked)
	}
	m.seen(s)
	m.users.join(s)
}

func (m *Module) left(s *mux.Session) {
	m.seen(s)
	m.mu.Lock()
	for id := range m.subs[s] {
		m.unwatch(id)
	}
	delete(m.subs, s)
	m.mu.Unlock()
	m.users.leave(s)
}

// seen writes down who came or went. A failing store keeps nobody out.
func (m *Module) seen(s *mux.Session) {
	if err := m.store.save(context.Background(), s.Identity(), time.Now()); err != nil {
		m.log.Error("user cannot be stored", "user", s.Identity().UserID, "error", err)
	}
}

// sawLast writes down that users have gone whose node could not do so.
func (m *Module) sawLast(seen map[string]time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := m.store.sawLast(ctx, seen); err != nil {
		m.log.Error("users who have gone cannot be stored", "users", len(seen), "error", err)
	}
}
