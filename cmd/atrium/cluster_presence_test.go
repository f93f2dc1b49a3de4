package main

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestClusterSessions: sessions on all nodes are listed on each, and are closed by a
// call to any.
func TestClusterSessions(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	list := func(s *testServer) (ids []string) {
		for _, x := range s.read("/api/v1/users/alice/sessions").expect(t, 200).msg["sessions"].([]any) {
			ids = append(ids, x.(map[string]any)["senderId"].(string))
		}
		slices.Sort(ids)
		return ids
	}
	old := token(t, "alice")
	dialBoth := func() []*client {
		return []*client{dial(t, c.nodes[0], "alice", senderID("0"), withToken(old)), dial(t, c.nodes[1], "alice", senderID("1"), withToken(old))}
	}
	sessions, bob := dialBoth(), c.each("bob")
	for i, s := range c.nodes {
		eventually(t, fmt.Sprintf("node %d lists both", i), patience, func() bool { return slices.Equal(list(s), []string{"0", "1"}) })
	}
	c.nodes[0].post("/api/v1/users/alice/disconnect", nil).expect(t, 200)
	for _, a := range sessions {
		a.expectClose(4403)
	}
	for i, s := range c.nodes {
		eventually(t, fmt.Sprintf("node %d lists none", i), patience, func() bool { return len(list(s)) == 0 })
	}

	sessions = dialBoth()
	c.nodes[1].post("/api/v1/users/alice/revoke", nil).expect(t, 200)
	for _, a := range sessions {
		a.expectClose(4401)
	}
	for _, s := range c.nodes {
		again := connect(t, s, "alice", withToken(old))
		again.join(withToken(old))
		again.expectError("unauthenticated", nil)
		again.expectClose(4401)
	}
	for _, b := range bob { // others are not meant
		b.ping()
	}
	time.Sleep(time.Until(time.Now().Add(time.Second).Truncate(time.Second))) // tokens tell seconds
	for _, s := range c.nodes {
		dial(t, s, "alice").ping()
	}
}

// TestClusterPresence: who is on any node is online on every other, with the status
// set last.
func TestClusterPresence(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	watchers := c.each("watcher")
	for _, w := range watchers {
		if got := fmt.Sprint(statuses(t, w.acks(presenceMsg("subscribe", "alice")))); got != "[alice offline 0]" {
			t.Errorf("got %s", got)
		}
	}
	told := func(status string) (m msg) {
		t.Helper()
		for _, w := range watchers {
			m = w.isToldOf("alice", status)
		}
		return m
	}
	seen := func(status string, sessions int) {
		t.Helper()
		want := fmt.Sprintf("[alice %s %d]", status, sessions)
		for i, s := range c.nodes {
			eventually(t, fmt.Sprintf("node %d says %s", i, want), patience, func() bool {
				return fmt.Sprint(statuses(t, s.read("/api/v1/presence?userId=alice").expect(t, 200).msg)) == want
			})
		}
	}
	first := dial(t, c.nodes[0], "alice")
	told("online")
	seen("online", 1)
	second := dial(t, c.nodes[1], "alice", senderID("second"))
	seen("online", 2)
	for i, status := range []string{"away", "busy", "online", "busy"} {
		[]*client{first, second}[i%2].acks(msg{"type": "presence:set", "status": status})
		told(status)
	}
	first.goodbye()
	seen("busy", 1)
	for _, w := range watchers {
		w.expectNothing() // she is still here
	}
	left := time.Now()
	second.goodbye()
	if at, err := time.Parse(time.RFC3339, told("offline")["lastSeen"].(string)); err != nil || at.Sub(left).Abs() > 3*time.Second {
		t.Errorf("last seen at %v, left at %v: %v", at, left, err)
	}
	seen("offline", 0)

	// Who drops and comes back elsewhere has never left.
	third := dial(t, c.nodes[0], "alice")
	told("online")
	third.ws.NetConn().Close()
	third = dial(t, c.nodes[1], "alice")
	seen("online", 1)
	third.ping()
	for _, w := range watchers {
		w.expectNothing()
	}
}
