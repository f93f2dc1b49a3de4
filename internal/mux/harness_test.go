package mux_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/gorilla/websocket"

	"atrium/internal/auth"
	"atrium/internal/limit"
	"atrium/internal/mux"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

type msg = map[string]any

// server is a Mux behind a real listener. Its tokens are user names, with a
// lifetime after an @ or without one.
type server struct {
	*mux.Mux
	t    testing.TB
	http *httptest.Server
	keep bool // peers outlive the test

	mu       sync.Mutex
	sessions map[string]*mux.Session // by id
	log      []string                // joined and left, with user names
}

// buffers makes sockets whose kernel buffers fill soon.
type buffers struct{ net.Listener }

func (b buffers) Accept() (net.Conn, error) {
	conn, err := b.Listener.Accept()
	if err == nil {
		conn.(*net.TCPConn).SetWriteBuffer(16 << 10)
	}
	return conn, err
}

func start(t testing.TB, o mux.Options, setup ...func(*server)) *server {
	t.Helper()
	s := newServer(t, o, setup...)
	s.http.Start()
	return s
}

func startTLS(t testing.TB, o mux.Options, setup ...func(*server)) *server {
	t.Helper()
	s := newServer(t, o, setup...)
	s.http.StartTLS()
	return s
}

func newServer(t testing.TB, o mux.Options, setup ...func(*server)) *server {
	if o.Verify == nil {
		o.Verify = verify
	}
	if o.Limits == nil {
		o.Limits = &limit.Limits{}
	}
	o.SenderID, o.StorageID, o.Version = "the-server", "the-storage", "v0"
	o.Logger = slog.New(slog.DiscardHandler)
	s := &server{Mux: mux.New(o), t: t, sessions: make(map[string]*mux.Session)}
	s.Use(mux.Hooks{
		Joined: func(x *mux.Session) { s.note("joined", x) },
		Left:   func(x *mux.Session) { s.note("left", x) },
	})
	for _, f := range setup {
		f(s)
	}
	s.http = httptest.NewUnstartedServer(s.Mux)
	s.http.Listener = buffers{s.http.Listener}
	s.http.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	t.Cleanup(s.stop)
	return s
}

// stop ends the server, and looks for what it has left behind.
func (s *server) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	s.StopReading()
	s.Close(ctx)
	s.http.Close()
	topics, hearing := s.Topics()
	if n := s.Conns() + s.Joined() + int(s.Stats().Sessions()) + topics + hearing; n != 0 {
		s.t.Errorf("left behind: %d connections, %d and %d sessions, %d topics with %d sessions",
			s.Conns(), s.Joined(), s.Stats().Sessions(), topics, hearing)
	}
}

func verify(token string) (*auth.Identity, error) {
	user, lifetime, _ := strings.Cut(token, "@")
	ttl := time.Hour
	switch {
	case user == "mallory":
		return nil, auth.ErrInvalid
	case user == "judge":
		return nil, auth.ErrUnavailable
	case lifetime != "":
		ttl, _ = time.ParseDuration(lifetime)
	}
	return &auth.Identity{UserID: user, Name: strings.ToUpper(user), Expires: time.Now().Add(ttl)}, nil
}

func (s *server) note(what string, x *mux.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[x.ID] = x
	s.log = append(s.log, what+" "+x.Identity().UserID)
}

func (s *server) noted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.log...)
}

// client is a peer. It decodes what it gets into maps, numbers into float64.
type client struct {
	t       testing.TB
	ws      *websocket.Conn
	codec   string
	user    string
	session *mux.Session // once joined
}

type option func(*dialing)

type dialing struct {
	codec, senderID, query string
	header                 http.Header
}

func inJSON(d *dialing)             { d.codec = "json" }
func in(codec string) option        { return func(d *dialing) { d.codec = codec } }
func senderID(id string) option     { return func(d *dialing) { d.senderID = id } }
func query(q string) option         { return func(d *dialing) { d.query = q } }
func header(key, val string) option { return func(d *dialing) { d.header = http.Header{key: {val}} } }

var dialer = websocket.Dialer{
	HandshakeTimeout: patience,
	ReadBufferSize:   512,
	TLSClientConfig:  &tls.Config{InsecureSkipVerify: true},
	NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			conn.(*net.TCPConn).SetReadBuffer(128 << 10) // less than a segment of loopback makes TCP crawl
		}
		return conn, err
	},
}

// connect upgrades without joining.
func (s *server) connect(options ...option) *client {
	s.t.Helper()
	c, _, err := s.tryConnect(options...)
	if err != nil {
		s.t.Fatalf("connect: %v", err)
	}
	return c
}

func (s *server) tryConnect(options ...option) (*client, *http.Response, error) {
	d := dialing{codec: "cbor"}
	for _, o := range options {
		o(&d)
	}
	ws, answer, err := dialer.Dial("ws"+strings.TrimPrefix(s.http.URL, "http")+"/ws"+d.query, d.header)
	if err != nil {
		return nil, answer, err
	}
	if !s.keep {
		s.t.Cleanup(func() { ws.Close() })
	}
	return &client{t: s.t, ws: ws, codec: d.codec}, answer, nil
}

// dial returns a session's peer.
func dial(s *server, token string, options ...option) *client {
	s.t.Helper()
	c := s.connect(options...)
	user, _, _ := strings.Cut(token, "@")
	c.user = user
	d := dialing{senderID: "peer-" + user}
	for _, o := range options {
		o(&d)
	}
	c.send(msg{"type": "join", "senderId": d.senderID, "token": token})
	peer := c.next()
	if peer["type"] != "peer" {
		s.t.Fatalf("%s: got %v, want peer", user, peer)
	}
	s.waitFor("the session", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.session = s.sessions[peer["sessionId"].(string)]
		return c.session != nil
	})
	return c
}

func (s *server) waitFor(what string, done func() bool) {
	s.t.Helper()
	waitFor(s.t, what, done)
}

func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waiting for %s: in vain", what)
		}
	}
}

func (c *client) kind() int {
	if c.codec == "json" {
		return websocket.TextMessage
	}
	return websocket.BinaryMessage
}

func (c *client) send(m any) {
	c.t.Helper()
	data := mux.EncodeCBOR(m)
	if c.codec == "json" {
		data = mux.EncodeJSON(m)
	}
	c.sendRaw(c.kind(), data)
}

func (c *client) sendRaw(kind int, data []byte) {
	c.t.Helper()
	c.ws.SetWriteDeadline(time.Now().Add(patience))
	if err := c.ws.WriteMessage(kind, data); err != nil {
		c.t.Fatalf("%s: send: %v", c.user, err)
	}
}

var cborClient, _ = cbor.DecOptions{DefaultMapType: nil}.DecMode()

// tryNext reads one message.
func (c *client) tryNext() (msg, error) {
	c.ws.SetReadDeadline(time.Now().Add(patience))
	kind, data, err := c.ws.ReadMessage()
	if err != nil {
		return nil, err
	}
	if kind != c.kind() && c.codec != "" {
		return nil, fmt.Errorf("a frame of kind %d, want %d", kind, c.kind())
	}
	m := make(msg)
	if kind == websocket.TextMessage {
		err = mux.DecodeJSON(data, &m)
	} else if err = cborClient.Unmarshal(data, &m); err == nil {
		for k, v := range m {
			switch v := v.(type) {
			case uint64:
				m[k] = float64(v)
			case int64:
				m[k] = float64(v)
			}
		}
	}
	return m, err
}

func (c *client) next() msg {
	c.t.Helper()
	m, err := c.tryNext()
	if err != nil {
		c.t.Fatalf("%s: read: %v", c.user, err)
	}
	return m
}

// ping makes a round trip; all that was sent before has been handled then. It
// returns what came before the answer.
func (c *client) ping() (before []msg) {
	c.t.Helper()
	c.send(msg{"type": "ping", "id": "the ping"})
	for {
		m := c.next()
		if m["id"] == "the ping" && m["type"] == "ack" {
			return before
		}
		before = append(before, m)
	}
}

func (c *client) expectError(code mux.Code, id any) msg {
	c.t.Helper()
	m := c.next()
	if m["type"] != "error" || m["code"] != string(code) || m["id"] != id {
		c.t.Fatalf("%s: got %v, want error %s with id %v", c.user, m, code, id)
	}
	return m
}

// expectClose reads to the end, which must be a close frame of code.
func (c *client) expectClose(code mux.CloseCode) (before []msg) {
	c.t.Helper()
	for {
		m, err := c.tryNext()
		if err == nil {
			before = append(before, m)
			continue
		}
		var bye *websocket.CloseError
		if !errors.As(err, &bye) || bye.Code != int(code) {
			c.t.Fatalf("%s: ended with %v, want close code %d", c.user, err, code)
		}
		return before
	}
}

// goroutinesEnd returns a function that waits until there are no more
// goroutines than now.
func goroutinesEnd(t testing.TB) func() {
	before := runtime.NumGoroutine()
	return func() {
		t.Helper()
		for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				stacks := make([]byte, 1<<16)
				t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
			}
		}
	}
}

// text is a message of the tests.
type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
	N    int    `json:"n"`
}

func frame(kind string, n, size int) *mux.Frame {
	return mux.NewFrame(&text{Type: kind, N: n, Text: strings.Repeat("x", size)})
}

// stall sends filler to a peer that does not read, until more waits than the
// kernel could still take, and returns the number of messages sent. It needs
// the default budget.
func (c *client) stall() (sent int) {
	for ; c.session.Counted() < 600<<10; sent++ {
		c.session.Send(frame("filler", sent, 4<<10))
	}
	return sent
}
