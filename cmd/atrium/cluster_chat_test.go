package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// hearsChat returns the next n events of a room's sequence that a client is told,
// as lines, which must go on from a seq.
func (c *client) hearsChat(room string, from, n int) (heard []string) {
	c.t.Helper()
	for seq := from; seq < from+n; seq++ {
		m := c.await("an event of the room", func(m msg) bool {
			return m["roomId"] == room && strings.HasPrefix(m["type"].(string), "chat:") && m["seq"] != nil
		}).msg
		if m["seq"] != float64(seq) {
			c.t.Fatalf("%s: %v comes where %d should", c.user, m, seq)
		}
		heard = append(heard, line(m))
	}
	return heard
}

// TestClusterChat: two write on two nodes at once, and a backend on a third. On all
// nodes the room has one order, in which everything is told once, live and later.
func TestClusterChat(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	const each = 40
	readers := c.each("reader", rooms("*", "read"))
	for _, r := range readers {
		r.enters("a")
	}
	var writing sync.WaitGroup
	for i, s := range c.nodes {
		w := dial(t, s, fmt.Sprint("writer ", i), rooms("*", "write"))
		w.enters("a")
		writing.Go(func() {
			for n := range each {
				if i == 2 {
					s.post("/api/v1/rooms/a/messages", map[string]any{"content": fmt.Sprint(i, "-", n)}).expect(t, 201)
				} else if _, err := w.trySay("a", fmt.Sprint(i, "-", n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	heard := readers[0].hearsChat("a", 1, 3*each)
	for i, s := range c.nodes {
		if i > 0 {
			if got := readers[i].hearsChat("a", 1, 3*each); !slices.Equal(got, heard) {
				t.Errorf("on node %d the room is %v, on another %v", i, got, heard)
			}
		}
		late := dial(t, s, "late", rooms("*", "read")).acks(chatMsg("join", "a", msg{"since": 0}))
		if got := lines(t, late); got != strings.Join(heard, ", ") || late["lastSeq"] != float64(3*each) {
			t.Errorf("who joins on node %d reads %s", i, got)
		}
	}
	for i := range c.nodes { // of one writer, as written
		var own, want []string
		for _, line := range heard {
			if _, text, _ := strings.Cut(line, " "); strings.HasPrefix(text, fmt.Sprint(i, "-")) {
				own = append(own, text)
			}
		}
		for n := range each {
			want = append(want, fmt.Sprint(i, "-", n))
		}
		if !slices.Equal(own, want) {
			t.Errorf("writer %d's messages are %v", i, own)
		}
	}
}

// TestClusterChatChanges: editing and deleting on one node what was written on
// another; and a clientId that is sent again elsewhere is stored once.
func TestClusterChatChanges(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	here, there := dial(t, c.nodes[0], "alice", rooms("*", "write")), dial(t, c.nodes[1], "alice", rooms("*", "write"), senderID("there"))
	bob := dial(t, c.nodes[1], "bob", rooms("*", "write"))
	readers := c.each("reader", rooms("*", "read"))
	for _, x := range append(readers, here, there, bob) {
		x.enters("a")
	}
	first, err := here.trySay("a", "once")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := there.trySay("a", "once"); err != nil || again != first {
		t.Errorf("sent again on another node it is %s, was %s: %v", again, first, err)
	}
	if other, err := bob.trySay("a", "once"); err != nil || other == first {
		t.Errorf("another user's message is %s: %v", other, err)
	}
	hear := func(from int, want ...string) {
		t.Helper()
		for _, x := range readers {
			if got := x.hearsChat("a", from, len(want)); !slices.Equal(got, want) {
				t.Errorf("%s is told %q, want %q", x.user, got, want)
			}
		}
	}
	hear(1, "1 once", "2 once")
	there.acks(chatMsg("edit", "a", msg{"messageId": first, "message": "better"}))
	hear(3, "3 edit better")
	here.acks(chatMsg("delete", "a", msg{"messageId": first}))
	hear(4, "4 delete")
}

// TestClusterMembers: who is in a room, who types and how far one has read is known
// on all nodes.
func TestClusterMembers(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	alice, bob := dial(t, c.nodes[0], "alice", rooms("*", "write")), dial(t, c.nodes[1], "bob", rooms("*", "write"))
	alice.enters("a")
	bob.enters("a")
	alice.tells("chat:user_joined", msg{"roomId": "a", "userId": "bob"})
	second := dial(t, c.nodes[1], "alice", rooms("*", "write"), senderID("second"))
	for _, x := range []*client{second, alice} {
		x.isAmong("a", "alice×2 bob×1")
	}

	alice.acks(chatMsg("typing", "a", msg{"isTyping": true}))
	bob.tells("chat:typing", msg{"userId": "alice", "username": "alice", "isTyping": true})
	alice.acks(chatMsg("typing", "a", msg{"isTyping": false}))
	bob.tells("chat:typing", msg{"userId": "alice", "isTyping": false})
	alice.acks(chatMsg("typing", "a", msg{"isTyping": true}))
	began := time.Now()
	bob.tells("chat:typing", msg{"userId": "alice", "isTyping": true})
	bob.tells("chat:typing", msg{"userId": "alice", "isTyping": false}) // by itself
	if took := time.Since(began); took < 5*time.Second || took > 15*time.Second {
		t.Errorf("typing ended after %v, want 6 s", took)
	}

	seq := bob.says("a", "hello")["seq"]
	for _, x := range []*client{alice, second} {
		x.tells("chat:message", msg{"seq": seq, "content": "hello"})
	}
	if unread := alice.acks(chatMsg("read", "a", msg{"seq": int(seq.(float64))}))["unread"]; unread != 0.0 {
		t.Errorf("%v are unread", unread)
	}
	second.tells("chat:read", msg{"roomId": "a", "seq": seq})
	room := second.acks(msg{"type": "chat:rooms"})["rooms"].([]any)[0].(map[string]any)
	if room["readSeq"] != seq || room["unread"] != 0.0 || room["lastSeq"] != seq {
		t.Errorf("got %v, want all of %v read", room, seq)
	}

	c.nodes[0].post("/api/v1/rooms/a/broadcast", map[string]any{"event": "deploy", "data": 7}).expect(t, 202)
	for _, x := range []*client{alice, second, bob} {
		x.tells("event", msg{"event": "deploy", "data": 7.0, "roomId": "a"})
	}

	// The user goes with the last session, on whichever node.
	alice.goodbye()
	second.isAmong("a", "alice×1 bob×1")
	second.acks(chatMsg("leave", "a", nil))
	bob.tells("chat:user_left", msg{"roomId": "a", "userId": "alice"})
	bob.isAmong("a", "bob×1")
}

// isAmong joins a room again and again until its members are these.
func (c *client) isAmong(room, members string) {
	c.t.Helper()
	eventually(c.t, c.user+" is among "+members, patience, func() bool {
		var all []string
		for _, m := range c.enters(room)["members"].([]any) {
			m := m.(map[string]any)
			all = append(all, fmt.Sprintf("%v×%v", m["userId"], m["sessions"]))
		}
		slices.Sort(all)
		return strings.Join(all, " ") == members
	})
}
