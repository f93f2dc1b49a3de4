package main

import (
	"fmt"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"atrium/internal/auth"
)

// dialing is how a client comes.
type dialing struct {
	claims   auth.Claims
	token    *string // instead of one made of the claims
	query    string
	header   http.Header
	senderID string
	json     bool
	receive  int // SO_RCVBUF
}

type option func(*dialing)

func docs(pattern, level string) option {
	return func(d *dialing) {
		if d.claims.Docs == nil {
			d.claims.Docs = make(map[string]string)
		}
		d.claims.Docs[pattern] = level
	}
}

func rooms(pattern, level string) option {
	return func(d *dialing) {
		if d.claims.Rooms == nil {
			d.claims.Rooms = make(map[string]string)
		}
		d.claims.Rooms[pattern] = level
	}
}

func metric(pattern, level string) option {
	return func(d *dialing) {
		if d.claims.Metrics == nil {
			d.claims.Metrics = make(map[string]string)
		}
		d.claims.Metrics[pattern] = level
	}
}

func named(name, picture string) option {
	return func(d *dialing) { d.claims.Name, d.claims.Avatar = name, picture }
}

func expiresIn(ttl time.Duration) option {
	return func(d *dialing) { d.claims.Expires = d.claims.IssuedAt.Add(ttl) }
}

func senderID(id string) option      { return func(d *dialing) { d.senderID = id } }
func withToken(token string) option  { return func(d *dialing) { d.token = &token } }
func inJSON(d *dialing)              { d.json = true }
func tokenInQuery(tok string) option { return func(d *dialing) { d.query = "?token=" + tok } }
func receiveBuffer(n int) option     { return func(d *dialing) { d.receive = n } }
func header(name, value string) option {
	return func(d *dialing) { d.header.Set(name, value) }
}

func newDialing(user string, options []option) *dialing {
	now := time.Now()
	d := &dialing{
		claims:   auth.Claims{UserID: user, IssuedAt: now, Expires: now.Add(time.Hour)},
		header:   make(http.Header),
		senderID: "peer-" + user,
	}
	for _, o := range options {
		o(d)
	}
	return d
}

// token returns a good token for a user.
func token(t *testing.T, user string, options ...option) string {
	t.Helper()
	tok, err := auth.Mint([]byte(secret), newDialing(user, options).claims)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// connect opens a connection and says nothing.
func connect(t *testing.T, s *testServer, user string, options ...option) *client {
	t.Helper()
	c, err := tryConnect(t, s, user, options...)
	if err != nil {
		t.Fatalf("%s: connect: %v", user, err)
	}
	return c
}

func tryConnect(t *testing.T, s *testServer, user string, options ...option) (*client, error) {
	d := newDialing(user, options)
	dialer := websocket.Dialer{HandshakeTimeout: patience}
	if d.receive > 0 {
		dialer.NetDialContext = (&net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
			raw.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, d.receive)
			})
			return err
		}}).DialContext
	}
	ws, resp, err := dialer.Dial("ws://"+s.addr+"/ws"+d.query, d.header)
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("%w: %s", err, resp.Status)
		}
		return nil, err
	}
	c := &client{t: t, user: user, senderID: d.senderID, json: d.json, ws: ws, grown: make(chan struct{})}
	done := make(chan struct{})
	go func() { defer close(done); c.read() }()
	t.Cleanup(func() {
		ws.Close()
		c.resume()
		<-done
	})
	return c, nil
}

// dial connects and joins.
func dial(t *testing.T, s *testServer, user string, options ...option) *client {
	t.Helper()
	c := connect(t, s, user, options...)
	c.join(options...)
	c.expect("peer")
	return c
}

// join sends the join message, with a token in it.
func (c *client) join(options ...option) {
	c.t.Helper()
	d := newDialing(c.user, options)
	if d.token == nil {
		tok := token(c.t, c.user, options...)
		d.token = &tok
	}
	m := msg{"type": "join", "senderId": c.senderID, "token": *d.token}
	if *d.token == "" {
		delete(m, "token")
	}
	c.send(m)
}
