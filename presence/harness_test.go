package presence

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"atrium/internal/auth"
	"atrium/internal/bus"
	"atrium/internal/db"
	"atrium/internal/mux"
	"atrium/internal/scratch"
)

const longWait = 20 * time.Second

// quick is a pace for tests; states are not read again by themselves.
var quick = pace{lifetime: 3 * time.Second, refresh: 500 * time.Millisecond, sweep: 50 * time.Millisecond, reread: time.Hour}

// cloud is what nodes have in common.
type cloud struct {
	redis, name, postgres string
}

func newCloud(t *testing.T, redis string) *cloud {
	return &cloud{redis, fmt.Sprint(t.Name(), time.Now().UnixNano()), scratch.Database(t)}
}

// node is a module with all that stands below it, on a real socket.
type node struct {
	t      *testing.T
	bus    *bus.Bus
	db     *db.DB
	module *Module
	url    string
}

func (c *cloud) start(t *testing.T, grace time.Duration, p pace) *node {
	t.Helper()
	silent := slog.New(slog.DiscardHandler)
	b, err := bus.New(bus.Options{URL: c.redis, Cluster: c.name, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, bus: b, db: scratch.Open(t, db.Options{URL: c.postgres})}
	m := mux.New(mux.Options{SenderID: "server", Bus: b, Logger: silent, Verify: func(user string) (*auth.Identity, error) {
		return &auth.Identity{UserID: user, Name: user, IssuedAt: time.Now().Truncate(time.Second), Expires: time.Now().Add(time.Hour)}, nil
	}})
	if n.module, err = newModule(t.Context(), Options{DB: n.db, Mux: m, Bus: b, Grace: grace, Logger: silent}, p); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(m)
	n.url = "ws" + strings.TrimPrefix(srv.URL, "http")
	t.Cleanup(func() {
		m.StopReading()
		m.Close(t.Context())
		n.module.Close()
		b.Close()
		srv.Close()
	})
	n.until(b.Connected)
	return n
}

func (n *node) until(ok func() bool) {
	n.t.Helper()
	for deadline := time.Now().Add(longWait); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			n.t.Fatal("it did not come to pass")
		}
	}
}

// state is that of a user as the node sees it: "online 2".
func (n *node) state(user string) string {
	n.t.Helper()
	states, err := n.module.States(n.t.Context(), []string{user})
	if err != nil {
		n.t.Fatal(err)
	}
	return fmt.Sprint(states[0].Status, " ", states[0].Sessions)
}

func (n *node) shows(user, want string) {
	n.t.Helper()
	if got := n.state(user); got != want {
		n.t.Fatalf("%s is %s, want %s", user, got, want)
	}
}

type client struct {
	t  *testing.T
	ws *websocket.Conn
}

type answer struct {
	Type     string
	UserID   string
	Status   Status
	LastSeen time.Time
	Users    []State
}

func (n *node) join(user, senderID string) *client {
	n.t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(n.url, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { ws.Close() })
	c := &client{n.t, ws}
	c.send(map[string]any{"type": "join", "senderId": senderID, "token": user})
	if a := c.next(); a.Type != "peer" {
		n.t.Fatalf("got %+v, want to be admitted", a)
	}
	return c
}

func (c *client) send(m map[string]any) {
	c.t.Helper()
	if err := c.ws.WriteJSON(m); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) next() (a answer) {
	c.t.Helper()
	c.ws.SetReadDeadline(time.Now().Add(longWait))
	if err := c.ws.ReadJSON(&a); err != nil {
		c.t.Fatal(err)
	}
	return a
}

func (c *client) set(status Status) {
	c.t.Helper()
	c.send(map[string]any{"type": "presence:set", "status": status, "id": 1})
	if a := c.next(); a.Type != "ack" {
		c.t.Fatalf("got %+v", a)
	}
}

// subscribe compares the answer, as "online 2", too.
func (c *client) subscribe(user, want string) {
	c.t.Helper()
	c.send(map[string]any{"type": "presence:subscribe", "userIds": []string{user}, "id": 1})
	a := c.next()
	if a.Type != "ack" || len(a.Users) != 1 || fmt.Sprint(a.Users[0].Status, " ", a.Users[0].Sessions) != want {
		c.t.Fatalf("got %+v, want %s to be %s", a, user, want)
	}
}

// isTold expects this update, and none before it.
func (c *client) isTold(user string, status Status) answer {
	c.t.Helper()
	a := c.next()
	if a.Type != "presence:update" || a.UserID != user || a.Status != status {
		c.t.Fatalf("got %+v, want %s to be %s", a, user, status)
	}
	return a
}

// goodbye closes as one should, and waits until the server has, too.
func (c *client) goodbye() {
	c.t.Helper()
	c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(longWait))
	c.isClosed(websocket.CloseNormalClosure)
}

func (c *client) isClosed(code int) {
	c.t.Helper()
	c.ws.SetReadDeadline(time.Now().Add(longWait))
	for {
		if _, _, err := c.ws.ReadMessage(); websocket.IsCloseError(err, code) {
			return
		} else if err != nil {
			c.t.Fatalf("got %v, want close code %d", err, code)
		}
	}
}
