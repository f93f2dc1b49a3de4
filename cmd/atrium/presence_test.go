package main

import (
	"fmt"
	"testing"
	"time"
)

func presenceMsg(what string, userIDs ...string) msg {
	ids := make([]any, len(userIDs))
	for i, id := range userIDs {
		ids[i] = id
	}
	return msg{"type": "presence:" + what, "userIds": ids}
}

// statuses are those in an answer, as "user status sessions".
func statuses(t *testing.T, m msg) (all []string) {
	t.Helper()
	users, ok := m["users"].([]any)
	if !ok {
		t.Fatalf("got %v, want users", m)
	}
	for _, u := range users {
		user := u.(map[string]any)
		all = append(all, fmt.Sprint(user["userId"], " ", user["status"], " ", user["sessions"]))
	}
	return all
}

// isToldOf waits for the news that a user has a status.
func (c *client) isToldOf(user, status string) msg {
	c.t.Helper()
	m := c.expect("presence:update").msg
	if m["userId"] != user || m["status"] != status {
		c.t.Fatalf("%s: got %v, want %s to be %s", c.user, m, user, status)
	}
	return m
}

func TestPresence(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	for _, codec := range []option{func(*dialing) {}, inJSON} {
		bob := dial(t, s, "bob", codec)
		if got := fmt.Sprint(statuses(t, bob.ask(presenceMsg("subscribe", "alice", "bob")))); got != "[alice offline 0 bob online 1]" {
			t.Fatalf("got %s", got)
		}
		alice := dial(t, s, "alice", codec)
		bob.isToldOf("alice", "online")
		second := dial(t, s, "alice", codec, senderID("second"))
		second.ping()
		if got := fmt.Sprint(statuses(t, bob.ask(presenceMsg("subscribe", "alice")))); got != "[alice online 2]" {
			t.Errorf("got %s", got) // and no news: she was online
		}
		for _, status := range []string{"away", "busy", "busy", "online"} {
			if answer := second.ask(msg{"type": "presence:set", "status": status}); outcome(answer) != "ack" {
				t.Fatalf("got %v", answer)
			}
		}
		bob.isToldOf("alice", "away")
		bob.isToldOf("alice", "busy") // once
		bob.isToldOf("alice", "online")
		for _, status := range []any{"offline", "", nil, 5} {
			if answer := alice.ask(msg{"type": "presence:set", "status": status}); outcome(answer) != "bad_request" {
				t.Errorf("status %v: got %v", status, answer)
			}
		}
		alice.goodbye()
		bob.expectNothing()
		left := time.Now()
		second.goodbye()
		seen := bob.isToldOf("alice", "offline")["lastSeen"].(string)
		if at, err := time.Parse(time.RFC3339, seen); err != nil || at.Before(left.Add(-time.Second)) || at.After(time.Now()) {
			t.Errorf("last seen %s, left %s", seen, left)
		}
		if got := fmt.Sprint(statuses(t, s.read("/api/v1/presence?userId=alice&userId=nobody").expect(t, 200).msg)); got != "[alice offline 0 nobody offline 0]" {
			t.Errorf("got %s", got)
		}
		bob.ask(presenceMsg("unsubscribe", "alice"))
		dial(t, s, "alice", codec).goodbye()
		bob.expectNothing()
		bob.goodbye()
	}
}

// goodbye closes the connection as one should, and waits until the server has
// seen it.
func (c *client) goodbye() {
	c.t.Helper()
	c.ws.WriteControl(8, []byte{3, 232}, time.Now().Add(patience))
	c.expectClose(1000)
}

// TestDroppedUserIsNotGone: who comes back soon has never left.
func TestDroppedUserIsNotGone(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	bob := dial(t, s, "bob")
	alice := dial(t, s, "alice")
	bob.ask(presenceMsg("subscribe", "alice"))
	for range 3 {
		alice.ws.NetConn().Close()
		alice = dial(t, s, "alice")
	}
	bob.expectNothing()
	alice.ws.NetConn().Close()
	dropped := time.Now()
	for s.read("/api/v1/users/alice/sessions").expect(t, 200).raw != "{\"sessions\":[]}\n" {
		time.Sleep(10 * time.Millisecond)
	}
	if got := fmt.Sprint(statuses(t, s.read("/api/v1/presence?userId=alice").msg)); got != "[alice online 0]" {
		t.Errorf("got %s", got)
	}
	bob.isToldOf("alice", "offline")
	if after := time.Since(dropped); after < 9*time.Second || after > 20*time.Second {
		t.Errorf("said to be gone after %v, want 10 s", after)
	}
}

// TestRestartIsNoNews: those who were here come back without anybody being told.
func TestRestartIsNoNews(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	dial(t, s, "alice")
	dial(t, s, "bob")
	s.stop()
	s.start()
	bob := dial(t, s, "bob")
	if got := fmt.Sprint(statuses(t, bob.ask(presenceMsg("subscribe", "alice", "carol")))); got != "[alice online 0 carol offline 0]" {
		t.Errorf("got %s", got)
	}
	dial(t, s, "alice")
	bob.expectNothing()
	dial(t, s, "carol")
	bob.isToldOf("carol", "online")
}

func TestBadPresence(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	alice := dial(t, s, "alice")
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprint("user", i)
	}
	for _, m := range []msg{presenceMsg("subscribe"), presenceMsg("subscribe", ""), presenceMsg("subscribe", many...),
		{"type": "presence:subscribe", "userIds": "alice"}, {"type": "presence:subscribe"}, presenceMsg("unsubscribe")} {
		if answer := alice.ask(m); outcome(answer) != "bad_request" {
			t.Errorf("got %v", answer)
		}
	}
	for i := range 6 { // 5,000 users at most
		for k := range many[:1000] {
			many[k] = fmt.Sprint(i, " ", k)
		}
		want := "ack"
		if i == 5 {
			want = "bad_request"
		}
		if answer := alice.ask(presenceMsg("subscribe", many[:1000]...)); outcome(answer) != want {
			t.Errorf("the %dth thousand: got %s, want %s", i+1, outcome(answer), want)
		}
	}
}

// TestDisconnectAndRevoke: operators can send a user away, and make them sign in
// again.
func TestDisconnectAndRevoke(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	old := token(t, "alice")
	alice := dial(t, s, "alice", withToken(old))
	second := dial(t, s, "alice", withToken(old), senderID("second"))
	list := s.read("/api/v1/users/alice/sessions").expect(t, 200).msg["sessions"].([]any)
	if len(list) != 2 || list[0].(map[string]any)["senderId"] != alice.senderID {
		t.Errorf("got %v", list)
	}
	if n := s.post("/api/v1/users/alice/disconnect", nil).expect(t, 200).msg["sessions"]; n != 2.0 {
		t.Errorf("%v sessions closed, want 2", n)
	}
	alice.expectClose(4403)
	second.expectClose(4403)
	alice = dial(t, s, "alice", withToken(old))
	s.post("/api/v1/users/alice/revoke", nil).expect(t, 200)
	alice.expectClose(4401)
	for range 2 {
		again := connect(t, s, "alice", withToken(old))
		again.join(withToken(old))
		again.expectError("unauthenticated", nil)
		again.expectClose(4401)
		s.stop() // it is remembered
		s.start()
	}
	dial(t, s, "bob").ping()                                  // others are not meant
	next := time.Now().Add(time.Second).Truncate(time.Second) // tokens tell seconds
	time.Sleep(time.Until(next))
	dial(t, s, "alice", withToken(token(t, "alice"))).ping()
}
