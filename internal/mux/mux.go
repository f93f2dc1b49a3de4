// Package mux is the authenticated connection multiplexer: it upgrades
// requests, joins sessions, decodes their messages and hands each to the module
// that registered its type, and carries messages out to sessions and topics.
//
// It knows no domain word: what a message means is its module's business. It
// never waits for a peer to read, and it never forwards a message that it has
// not understood.
//
// Locks: under Session.ticking the locks of outbox, gate and Stats may be taken,
// which are leaves; under Mux.mu those of outbox and Stats. topics.mu is held alone.
package mux

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"atrium/internal/auth"
	"atrium/internal/bus"
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

	AllowedOrigins  []string // browsers' origins, exact; default: the same host
	LoopbackOrigins bool     // also allow http origins on loopback, any port
	RefuseQuery     bool     // do not take tokens from ?token=

	Bus *bus.Bus // to the other nodes; nil: there are none

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
	// Joined comes before the client is told so: nothing may be sent to it yet.
	Joined func(*Session)
	// Refreshed follows a new token. It reports whether the session can go on
	// only with a new connection.
	Refreshed func(s *Session, before *auth.Identity) (reconnect bool)
	Left      func(*Session)
}

// Mux is safe for concurrent use once it serves.
type Mux struct {
	opts       Options
	log        *slog.Logger
	upgrader   websocket.Upgrader
	routes     map[string]*Route    // by message type; set before serving
	hooks      []Hooks              // set before serving
	userRoutes map[string]UserRoute // by kind; set before serving
	topics     topics
	stats      Stats

	mu       sync.Mutex
	conns    map[*Session]struct{}   // guarded by mu; joined or not; each has its read goroutine
	joined   map[sessionKey]*Session // guarded by mu
	users    map[string][]*Session   // the same by user id; lists are replaced, never altered; guarded by mu
	hearing  map[string]func()       // ends listening to a user's topic of the bus; guarded by mu
	draining bool                    // guarded by mu; no session may begin
	closed   bool                    // guarded by mu; no connection may begin
	gone     sync.Cond               // of mu; a connection has ended
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
		routes:  make(map[string]*Route),
		conns:   make(map[*Session]struct{}),
		joined:  make(map[sessionKey]*Session),
		users:   make(map[string][]*Session),
		hearing: make(map[string]func()), userRoutes: make(map[string]UserRoute),
		topics: topics{byName: make(map[string]*topic), of: make(map[*Session]map[string]struct{})},
	}
	m.gone.L = &m.mu
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
	r.name = messageType
	m.routes[messageType] = &r
}

// Use registers a module's hooks; before serving only.
func (m *Mux) Use(h Hooks) { m.hooks = append(m.hooks, h) }

// ServeHTTP upgrades the request and returns; the session goes on by itself.
// Refusals are told inside the socket, since an HTTP error at the upgrade ends
// stock Node clients; only a bad browser origin gets 403.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !m.AllowsOrigin(r) {
		m.stats.badOrigins.Add(1)
		http.Error(w, "origin not allowed", http.StatusForbidden)
		return
	}
	ws, in, err := m.upgrade(w, r)
	if err != nil {
		return // upgrade has answered
	}
	s := newSession(m, ws, in, requestToken(r, !m.opts.RefuseQuery))
	m.mu.Lock()
	draining, closed := m.draining, m.closed
	if !closed {
		m.conns[s] = struct{}{}
	}
	m.mu.Unlock()
	if closed {
		in.Conn.Close()
		return
	}
	if draining {
		s.Refuse(CloseGoingAway, NewError(Unavailable, goingAway))
	}
	go s.run() // Close waits for it
}

const goingAway = "the server is going away"

// admit makes s the session of its user and sender id, closes the one that was
// it before, and waits until modules have seen that leave. It reports false when
// no session may begin any more.
func (m *Mux) admit(s *Session) bool {
	key := s.key()
	m.mu.Lock()
	if m.draining {
		m.mu.Unlock()
		return false
	}
	old := m.joined[key]
	m.joined[key] = s
	m.mu.Unlock()
	m.stats.sessions.Add(1)
	if old != nil {
		old.Close(CloseReplaced, "replaced by a newer connection")
		<-old.left
	}
	return true
}

// forget is the end of a connection.
func (m *Mux) forget(s *Session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.conns, s)
	m.gone.Broadcast()
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
// Answers still go out. It must not be called from a handler.
func (m *Mux) StopReading() {
	sessions := m.drain()
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

// drain lets no session begin any more, and returns those that have.
func (m *Mux) drain() []*Session {
	m.mu.Lock()
	m.draining = true
	m.mu.Unlock()
	return m.all()
}

// Close ends all sessions with GoingAway and waits until they are gone. When
// ctx is done, peers are waited for no longer, handlers still are.
func (m *Mux) Close(ctx context.Context) {
	for _, s := range m.drain() {
		s.Close(CloseGoingAway, goingAway)
	}
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cut)
		m.refuseAll()
		for _, s := range m.all() {
			s.out.fail(false)
		}
	})
	m.mu.Lock()
	for len(m.conns) > 0 {
		m.gone.Wait()
	}
	m.closed = true
	m.mu.Unlock()
	if !stop() {
		<-cut
	}
}

// refuseAll hangs up on every connection that comes from now on.
func (m *Mux) refuseAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
}
