package main

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestClusterNotifications: pushes to any node reach a user's sessions wherever they
// are, once and in order; what is read on one node is so on all.
func TestClusterNotifications(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	sessions := []*client{
		dial(t, c.nodes[0], "alice", senderID("0")), dial(t, c.nodes[1], "alice", senderID("1"), inJSON),
		dial(t, c.nodes[1], "alice", senderID("again")),
	}
	bob := dial(t, c.nodes[0], "bob")
	const each = 25
	ids := make(map[any]bool)
	var mu sync.Mutex // guards ids
	var pushing sync.WaitGroup
	for i, s := range c.nodes {
		pushing.Go(func() {
			for n := range each {
				id := s.notify("alice", fmt.Sprint(i, "-", n))
				mu.Lock()
				ids[id] = true
				mu.Unlock()
			}
		})
	}
	pushing.Wait()
	var order []any
	for _, a := range sessions {
		var got []any
		for n := range 3 * each {
			m := a.expect("notification:new").msg
			if m["seq"] != float64(n+1) || m["unread"].(float64) < float64(n+1) || !ids[m["id"]] {
				t.Fatalf("%s: %v comes as number %d", a.senderID, m, n+1)
			}
			got = append(got, m["id"])
		}
		if order == nil {
			order = got
		}
		if !slices.Equal(got, order) {
			t.Errorf("%s was told in another order", a.senderID)
		}
	}
	for i, a := range sessions { // reading is told to the others
		answer := a.acks(markMsg(msg{"notificationId": order[i]}))
		for _, b := range sessions {
			if b != a {
				b.isToldOfReading(msg{"notificationId": order[i], "unread": float64(3*each - 1 - i)})
			}
		}
		if answer["unread"] != float64(3*each-1-i) {
			t.Errorf("got %v", answer)
		}
		a.ping()
	}

	for i, s := range c.nodes {
		s.post("/api/v1/users/alice/send", map[string]any{"event": "e", "data": i}).expect(t, 202)
		for _, a := range sessions {
			a.tells("event", msg{"event": "e", "data": float64(i)})
		}
	}
	bob.expectNothing()
}

// TestClusterReplaced: the same user and sender on another node takes the place of
// the first, to and fro; others stay.
func TestClusterReplaced(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	namesake := dial(t, c.nodes[0], "bob", senderID("laptop"))
	other := dial(t, c.nodes[0], "alice", senderID("phone"))
	last := dial(t, c.nodes[0], "alice", senderID("laptop"))
	for n := range 6 {
		next := dial(t, c.nodes[1-n%2], "alice", senderID("laptop"))
		last.expectClose(4409)
		last = next
	}
	for _, x := range []*client{namesake, other, last} {
		x.ping()
	}
}

// TestClusterDashboard: values put on any node are shown on all, the newest wins.
func TestClusterDashboard(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	watchers := c.each("watcher", metric("*", "read"))
	for _, w := range watchers {
		w.watch("cpu*")
	}
	for n := range 10 {
		c.nodes[n%2].put("cpu.load", n, int64(1_000_000_000+n))
		for _, w := range watchers {
			w.isShown("cpu.load", float64(n))
		}
	}
	for _, s := range c.nodes {
		s.put("cpu.load", "older", 1_000_000_000)
	}
	var putting sync.WaitGroup
	for i, s := range c.nodes {
		putting.Go(func() {
			for n := range 40 {
				s.put("cpu.heat", 2*n+i, int64(1_000_000_000+2*n+i))
			}
		})
	}
	putting.Wait()
	for i, w := range watchers {
		last := -1.0
		for last < 79 {
			m := w.expect("dashboard:update").msg
			if m["metric"] != "cpu.heat" || m["value"].(float64) <= last {
				t.Fatalf("node %d shows %v after %v", i, m, last)
			}
			last = m["value"].(float64)
		}
		w.expectNothing()
		if got := dial(t, c.nodes[i], "late", metric("*", "read")).watch("cpu*"); got != "cpu.heat=79 cpu.load=9" {
			t.Errorf("node %d has %s", i, got)
		}
	}
}

// TestClusterWebhooks: an event is told once, though both nodes could, and though
// they have both taken part in it.
func TestClusterWebhooks(t *testing.T) {
	t.Parallel()
	r := receiveWebhooks(t)
	c := newCluster(t, 2, r.settings()...)
	var docs []string
	for n := range 10 {
		docs = append(docs, c.nodes[n%2].create(map[string]any{"n": n}))
	}
	for _, doc := range docs {
		for n, s := range c.nodes {
			s.patch(doc, "merge-patch", fmt.Sprintf(`{"n":%d}`, n)).expect(t, 200)
		}
	}
	kinds := make(map[string]int)
	ids := make(map[any]bool)
	count := func(n int) {
		for range n {
			h := r.taken()
			kinds[fmt.Sprint(h.msg["type"], " ", h.msg["documentId"])]++
			if ids[h.msg["id"]] {
				t.Errorf("%s came again", h.raw)
			}
			ids[h.msg["id"]] = true
		}
	}
	count(2 * len(docs))
	for n, doc := range docs {
		c.nodes[n%2].delete(doc)
	}
	count(len(docs))
	time.Sleep(3 * time.Second) // in which another node would tell them
	if len(r.came) > 0 {
		t.Errorf("%s came besides", r.next().raw)
	}
	for _, doc := range docs {
		for _, kind := range []string{"created", "changed", "deleted"} {
			if n := kinds["document."+kind+" "+doc]; n != 1 {
				t.Errorf("%s of %s was told %d times", kind, doc, n)
			}
		}
	}
}
