package mux_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"atrium/internal/auth"
	"atrium/internal/limit"
	"atrium/internal/mux"
)

func TestJoin(t *testing.T) {
	t.Parallel()
	limits := limit.Defaults()
	s := start(t, mux.Options{Limits: &limits})
	for _, codec := range []string{"cbor", "json"} {
		c := s.connect(in(codec))
		c.send(msg{"type": "join", "id": "j", "senderId": "peer-" + codec, "token": "alice", "supportedProtocolVersions": []string{"0", "1"}, "peerMetadata": msg{"x": 1}})
		m := c.next()
		sessionID, _ := m["sessionId"].(string)
		user, _ := m["user"].(map[string]any)
		if user == nil { // the CBOR library's choice of map
			user = make(msg)
			for k, v := range m["user"].(map[any]any) {
				user[k.(string)] = v
			}
		}
		if m["type"] != "peer" || m["senderId"] != "the-server" || m["targetId"] != "peer-"+codec || m["selectedProtocolVersion"] != "1" ||
			len(sessionID) != 36 || user["id"] != "alice" || user["name"] != "ALICE" || m["serverVersion"] != "v0" || m["limits"] == nil || m["peerMetadata"] == nil {
			t.Errorf("got %v", m)
		}
		if m := c.next(); m["type"] != "ack" || m["id"] != "j" {
			t.Errorf("got %v, want the join's ack", m)
		}
		c.send(msg{"type": "join", "id": 1, "senderId": "x"})
		c.expectError(mux.BadRequest, 1.0)
		c.send(msg{"type": "unheard", "id": 2})
		c.expectError(mux.BadRequest, 2.0)
		c.send(msg{"type": "unheard"})
		c.expectError(mux.BadRequest, nil)
		c.send(msg{"type": "ping"})
		if before := c.ping(); len(before) != 0 {
			t.Errorf("got %v", before)
		}
	}
}

func TestRefusedJoins(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{})
	for _, test := range []struct {
		name  string
		join  msg
		code  mux.Code
		close mux.CloseCode
	}{
		{"no token", msg{"type": "join", "senderId": "a"}, mux.Unauthenticated, mux.CloseBadToken},
		{"bad token", msg{"type": "join", "senderId": "a", "token": "mallory"}, mux.Unauthenticated, mux.CloseBadToken},
		{"no keys to check it", msg{"type": "join", "senderId": "a", "token": "judge"}, mux.Unavailable, mux.CloseGoingAway},
		{"no sender", msg{"type": "join", "token": "alice"}, mux.BadRequest, mux.CloseNotUnderstood},
		{"long sender", msg{"type": "join", "token": "alice", "senderId": strings.Repeat("x", 257)}, mux.BadRequest, mux.CloseNotUnderstood},
		{"no version", msg{"type": "join", "token": "alice", "senderId": "a", "supportedProtocolVersions": []string{}}, mux.BadRequest, mux.CloseNotUnderstood},
		{"other versions", msg{"type": "join", "token": "alice", "senderId": "a", "supportedProtocolVersions": []string{"2"}}, mux.BadRequest, mux.CloseNotUnderstood},
		{"not a join", msg{"type": "ping"}, mux.BadRequest, mux.CloseNotUnderstood},
	} {
		for _, codec := range []string{"cbor", "json"} {
			t.Run(test.name+"/"+codec, func(t *testing.T) {
				c := s.connect(in(codec))
				test.join["id"] = 7
				c.send(test.join)
				c.expectError(test.code, 7.0)
				if rest := c.expectClose(test.close); len(rest) != 0 {
					t.Errorf("and then %v", rest)
				}
			})
		}
	}
	if n := len(s.noted()); n != 0 {
		t.Errorf("modules saw %v", s.noted())
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	for _, refuse := range []bool{false, true} {
		s := start(t, mux.Options{RefuseQuery: refuse})
		for _, test := range []struct {
			name    string
			options []option
			token   string
			user    string // empty: refused
		}{
			{"header", []option{header("Authorization", "Bearer alice")}, "", "alice"},
			{"header, in lower case", []option{header("Authorization", "bearer  alice ")}, "", "alice"},
			{"join", nil, "alice", "alice"},
			{"join before header", []option{header("Authorization", "Bearer bob")}, "alice", "alice"},
			{"header before query", []option{header("Authorization", "Bearer alice"), query("?token=bob")}, "", "alice"},
			{"query", []option{query("?token=alice")}, "", map[bool]string{false: "alice"}[refuse]},
			{"basic", []option{header("Authorization", "Basic alice")}, "", ""},
		} {
			c := s.connect(test.options...)
			c.send(msg{"type": "join", "senderId": test.name, "token": test.token})
			if test.user == "" {
				c.expectError(mux.Unauthenticated, nil)
				c.expectClose(mux.CloseBadToken)
			} else if m := c.next(); m["type"] != "peer" {
				t.Errorf("%s: got %v", test.name, m)
			} else {
				waitFor(t, "the session", func() bool { return slices.Contains(s.noted(), "joined "+test.user) })
			}
		}
	}
}

func TestJoinDeadline(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{JoinWithin: 50 * time.Millisecond})
	silent := s.connect()
	pinging := s.connect() // does not extend it
	go func() {
		for {
			if _, err := pinging.ws.NetConn().Write(masked(0x89, "")); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	for _, c := range []*client{silent, pinging} {
		c.expectError(mux.BadRequest, nil)
		c.expectClose(mux.CloseJoinTooLate)
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		options mux.Options
		origin  string
		ok      bool
	}{
		{mux.Options{}, "", true},
		{mux.Options{}, "http://SELF", true},
		{mux.Options{}, "https://SELF", true},
		{mux.Options{}, "https://evil.example", false},
		{mux.Options{}, "null", false},
		{mux.Options{}, "http://localhost:1", false},
		{mux.Options{LoopbackOrigins: true}, "http://localhost:1", true},
		{mux.Options{LoopbackOrigins: true}, "http://127.0.0.1:1", true},
		{mux.Options{LoopbackOrigins: true}, "http://[::1]:1", true},
		{mux.Options{LoopbackOrigins: true}, "http://localhost.evil.example", false},
		{mux.Options{AllowedOrigins: []string{"https://app.example"}}, "https://app.example", true},
		{mux.Options{AllowedOrigins: []string{"https://app.example"}}, "http://app.example", false},
		{mux.Options{AllowedOrigins: []string{"https://app.example"}}, "https://app.example.evil.example", false},
		{mux.Options{AllowedOrigins: []string{"https://app.example"}}, "http://SELF", false},
	} {
		s := start(t, test.options)
		origin := strings.Replace(test.origin, "SELF", s.http.Listener.Addr().String(), 1)
		var options []option
		if origin != "" {
			options = append(options, header("Origin", origin))
		}
		_, answer, err := s.tryConnect(options...)
		if (err == nil) != test.ok || err != nil && (answer == nil || answer.StatusCode != http.StatusForbidden) {
			t.Errorf("%+v from %q: %v", test.options, test.origin, err)
		}
	}
}

// TestReplace: the same user and sender id again is the session from then on,
// and modules see the old one leave before the new one joins.
func TestReplace(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{}, func(s *server) {
		s.Use(mux.Hooks{Left: func(x *mux.Session) {
			if x.Identity().UserID == "alice" {
				time.Sleep(20 * time.Millisecond) // whoever does not wait comes too early
			}
		}})
		s.Use(mux.Hooks{Left: func(x *mux.Session) { s.note("gone", x) }})
	})
	dial(s, "bob", senderID("same"))
	first := dial(s, "alice", senderID("same"))
	second := dial(s, "alice", senderID("same"))
	first.expectClose(mux.CloseReplaced)
	second.ping()
	second.ws.Close() // gone by itself, and still leaving when the next one comes
	<-mux.ClosedOf(second.session)
	third := dial(s, "alice", senderID("same"))
	third.ping()
	another := dial(s, "alice", senderID("another"))
	another.ping()
	third.ping()
	want := "joined bob, joined alice, left alice, gone alice, joined alice, left alice, gone alice, joined alice, joined alice"
	if got := strings.Join(s.noted(), ", "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if n := s.Stats().Sessions(); n != 3 {
		t.Errorf("%d sessions, want 3", n)
	}
}

// TestReplacedInHandlers: a session is replaced, and closed, from anywhere.
func TestCloseFromAnywhere(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{}, func(s *server) {
		s.Handle("publish", mux.Route{Handle: func(m *mux.Message) (mux.Acknowledgement, error) {
			m.Session.Close(mux.CloseForbidden, "")
			s.Publish("topic", &text{Type: "x"}, nil)
			s.Unsubscribe(m.Session, "topic")
			return nil, nil
		}})
		s.Use(mux.Hooks{
			Joined: func(x *mux.Session) {
				s.Subscribe(x, "topic")
				if x.SenderID == "early" {
					x.Close(mux.CloseForbidden, "")
				}
			},
			Left: func(x *mux.Session) {
				x.Close(mux.CloseTooMany, "")
				x.Send(frame("x", 0, 0))
				s.Publish("topic", &text{Type: "left"}, nil)
			},
		})
	})
	c := s.connect()
	c.send(msg{"type": "join", "token": "alice", "senderId": "early"})
	c.expectClose(mux.CloseForbidden) // it has not even been welcomed
	c = dial(s, "alice")
	c.send(msg{"type": "publish", "id": 1})
	c.expectClose(mux.CloseForbidden)
	c = dial(s, "alice")
	c.stall()
	c.session.Offer(frame("x", 0, 0), func() { c.session.Close(mux.CloseForbidden, "") })
	for m, err := c.tryNext(); ; m, err = c.tryNext() {
		if err != nil {
			break
		}
		_ = m
	}
	<-mux.LeftOf(c.session)
	if n := s.Stats().Closes(mux.CloseForbidden); n != 3 {
		t.Errorf("%d closes, want 3", n)
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	reconnect := make(chan bool, 1)
	var before, after string
	s := start(t, mux.Options{}, func(s *server) {
		s.Use(mux.Hooks{Refreshed: func(x *mux.Session, was *auth.Identity) bool {
			before, after = was.Name, x.Identity().Name
			return <-reconnect
		}})
	})
	c := dial(s, "alice@150ms")
	for _, test := range []struct {
		token string
		code  mux.Code
	}{{"", mux.Unauthenticated}, {"mallory", mux.Unauthenticated}, {"judge", mux.Unavailable}, {"bob", mux.Forbidden}} {
		c.send(msg{"type": "auth", "id": 1, "token": test.token})
		c.expectError(test.code, 1.0)
	}
	reconnect <- false
	c.send(msg{"type": "auth", "id": 2, "token": "alice@1h"})
	if m := c.next(); m["type"] != "ack" || m["id"] != 2.0 {
		t.Fatalf("got %v", m)
	}
	if before != "ALICE" || after != "ALICE" {
		t.Errorf("modules saw %q and %q", before, after)
	}
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
		c.ping() // past the first token's end
	}
	reconnect <- true
	c.send(msg{"type": "auth", "id": 3, "token": "alice"})
	if m := c.next(); m["type"] != "ack" || m["id"] != 3.0 {
		t.Fatalf("got %v", m)
	}
	c.expectClose(mux.CloseGoingAway)

	// A new token may also end earlier than the old one.
	c = dial(s, "carol")
	reconnect <- false
	c.send(msg{"type": "auth", "id": 4, "token": "carol@20ms"})
	c.next()
	c.expectError(mux.Unauthenticated, nil)
	c.expectClose(mux.CloseBadToken)
}

func TestTokenEnds(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{})
	began := time.Now()
	c := dial(s, "alice@60ms", inJSON)
	c.expectError(mux.Unauthenticated, nil)
	c.expectClose(mux.CloseBadToken)
	if took := time.Since(began); took < 60*time.Millisecond {
		t.Errorf("ended after %v", took)
	}
	c = s.connect() // ends while it joins
	c.send(msg{"type": "join", "senderId": "a", "token": "alice@0s"})
	c.next()
	c.expectError(mux.Unauthenticated, nil)
	c.expectClose(mux.CloseBadToken)
}
