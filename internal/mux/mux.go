// Package mux is the authenticated connection multiplexer: it upgrades
// requests, joins sessions, decodes their messages and hands each to the module
// that registered its type, and carries messages out to sessions and topics.
//
// It knows no domain word: what a message means is its module's business. It
// never waits for a peer to read, and it never forwards a message that it has
// not understood.
//
// Locks: Mux.mu, topics.mu and outbox.mu are never held together.
package mux

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"atrium/internal/auth"
	"atrium/internal/limit"
)

// Bounds of the protocol.
const (
	MaxFrame        = 16 << 20 // a frame from a client; sync messages may be as large
	MaxMessage      = 64 << 10 // all other messages
	maxBeforeJoin   = 16 << 10
	maxSenderID     = 256
	protocolVersion = "1"
)

// Options of New.
type Options struct {
	SenderID  string // what the server calls itself
	StorageID string // the storage that clients keep their sync state for
	Version   string // of this program, told at join

	Verify func(token string) (*auth.Identity, error) // required

	AllowedOrigins  []string // browsers' origins besides the same host, exact
	LoopbackOrigins bool     // also allow http origins on loopback, any port
	RefuseQuery     bool     // do not take tokens from ?token=

	Limits     *limit.Limits // default: limit.Defaults()
	QueueBytes int           // that may wait for one session; default: 1 MiB

	JoinWithin time.Duration // default: 10 s
	PingEvery  time.Duration // default: 25 s
	Silence    time.Duration // after which a peer is dropped; default: 60 s

	Logger *slog.Logger // default: slog.Default()
}

// Hooks tell a module what becomes of sessions. They are called from a
// session's read goroutine, Joined first and Left last. Nil ones are skipped.
type Hooks struct {
	Joined func(*Session)
	// Refreshed follows a new token. It reports whether the session can go on
	// only with a new connection.
	Refreshed func(s *Session, before *auth.Identity) (reconnect bool)
	Left      func(*Session)
}

// Mux is safe for concurrent use once it serves.
type Mux struct {
	opts     Options
	log      *slog.Logger
	upgrader websocket.Upgrader
	routes   map[string]Route // set before serving
	hooks    []Hooks          // set before serving
	topics   topics
	stats    Stats

	mu       sync.Mutex
	conns    map[*Session]struct{}   // guarded by mu; joined or not
	joined   map[sessionKey]*Session // guarded by mu
	draining bool                    // guarded by mu; no session may begin
	running  sync.WaitGroup          // read goroutines
}

// sessionKey is what a session is known by: the peer ids of two users are
// different things, even when equal.
type sessionKey struct{ userID, senderID string }

// New returns a Mux that serves nothing but auth and ping yet.
func New(o Options) *Mux {
	if o.Limits == nil {
		limits := limit.Defaults()
		o.Limits = &limits
	}
	setDefault(&o.QueueBytes, 1<<20)
	setDefault(&o.JoinWithin, 10*time.Second)
	setDefault(&o.PingEvery, 25*time.Second)
	setDefault(&o.Silence, 60*time.Second)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	m := &Mux{
		opts: o, log: o.Logger,
		routes: make(map[string]Route),
		conns:  make(map[*Session]struct{}),
		joined: make(map[sessionKey]*Session),
		topics: topics{sessions: make(map[string]map[*Session]struct{}), of: make(map[*Session]map[string]struct{})},
	}
	m.upgrader = websocket.Upgrader{
		ReadBufferSize:  512,                                      // control frames and small messages; large ones are read past it
		WriteBufferPool: new(sync.Pool),                           // gorilla never writes after the upgrade
		CheckOrigin:     func(*http.Request) bool { return true }, // ServeHTTP has
	}
	m.Handle("ping", Route{Handle: func(*Message) (Acknowledgement, error) { return nil, nil }})
	m.Handle("auth", Route{Handle: m.refresh})
	m.Handle("join", Route{Handle: func(*Message) (Acknowledgement, error) {
		return nil, NewError(BadRequest, "join: this session has joined already")
	}})
	return m
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Handle registers the route of a message type; before serving only.
func (m *Mux) Handle(messageType string, r Route) {
	setDefault(&r.MaxBytes, MaxMessage)
	m.routes[messageType] = r
}

// Use registers a module's hooks; before serving only.
func (m *Mux) Use(h Hooks) { m.hooks = append(m.hooks, h) }

// ServeHTTP upgrades the request and returns; the session goes on by itself.
// Refusals are told inside the socket, since an HTTP error at the upgrade ends
// stock Node clients; only a bad browser origin gets 403.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !m.originAllowed(r) {
		m.stats.badOrigins.Add(1)
		http.Error(w, "origin not allowed", http.StatusForbidden)
		return
	}
	ws, err := m.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	s := newSession(m, ws, requestToken(r, !m.opts.RefuseQuery))
	m.mu.Lock()
	draining := m.draining
	m.conns[s] = struct{}{}
	m.running.Add(1)
	m.mu.Unlock()
	if draining {
		s.Refuse(CloseGoingAway, NewError(Unavailable, "the server is going away"))
	}
	go s.run()
}

// admit makes s the session of its user and sender id, and closes the one that
// was it before.
func (m *Mux) admit(s *Session) {
	key := s.key()
	m.mu.Lock()
	old := m.joined[key]
	m.joined[key] = s
	m.mu.Unlock()
	m.stats.sessions.Add(1)
	if old != nil {
		old.Close(CloseReplaced, "replaced by a newer connection")
		<-old.left // so that modules see the old one leave before the new one comes
	}
}

// dismiss is the end of a session for mux.
func (m *Mux) dismiss(s *Session) {
	m.topics.leaveAll(s)
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.joined {
		m.stats.sessions.Add(-1)
		if key := s.key(); m.joined[key] == s {
			delete(m.joined, key)
		}
	}
}

// forget is the end of a connection.
func (m *Mux) forget(s *Session) {
	m.mu.Lock()
	delete(m.conns, s)
	m.mu.Unlock()
	m.running.Done()
}

func (m *Mux) all() []*Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	sessions := make([]*Session, 0, len(m.conns))
	for s := range m.conns {
		sessions = append(sessions, s)
	}
	return sessions
}

// StopReading begins the end of service: no session may begin, and no message
// is read any more. It returns when the handlers under way have returned.
// Answers still go out.
func (m *Mux) StopReading() {
	m.mu.Lock()
	m.draining = true
	m.mu.Unlock()
	sessions := m.all()
	for _, s := range sessions {
		s.stopReading()
	}
	for _, s := range sessions {
		select {
		case <-s.quiet:
		case <-s.left:
		}
	}
}

// Close ends all sessions with GoingAway and waits until they are gone, at most
// until ctx is done.
func (m *Mux) Close(ctx context.Context) {
	for _, s := range m.all() {
		s.Close(CloseGoingAway, "the server is going away")
	}
	done := make(chan struct{})
	go func() {
		m.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	for _, s := range m.all() {
		s.out.fail()
	}
	<-done
}
