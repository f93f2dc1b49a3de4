package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"atrium/internal/scratch"
)

// startNodes starts the nodes of a cluster on real servers that others use, too.
func startNodes(t *testing.T, n int, settings ...string) []*testServer {
	t.Helper()
	return startNodesOn(t, n, scratch.Database(t), scratch.Redis(t), settings...)
}

func startNodesOn(t *testing.T, n int, databaseURL, redisURL string, settings ...string) (nodes []*testServer) {
	t.Helper()
	settings = append(settings, onFile, withAPIKey, "ATRIUM_DATABASE_URL="+databaseURL, "ATRIUM_REDIS_URL="+redisURL)
	for range n {
		s := newServer(t, settings...)
		s.databaseURL = databaseURL
		s.start()
		nodes = append(nodes, s)
	}
	for _, s := range nodes {
		if _, ok := s.log.wait(0, "Redis is there"); !ok {
			t.Fatal("a node does not hear Redis")
		}
	}
	return nodes
}

// TestNodesDocuments: what happens to a document on one node is told on another.
func TestNodesDocuments(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, 2)
	a, b := nodes[0], nodes[1]
	write := docs("*", "write")

	// Edits of both kinds are told on the other node.
	doc := newDocument()
	alice := dial(t, a, "alice", write).author(doc)
	first := alice.write()
	bob := dial(t, b, "bob", write)
	bob.open(doc).receives(doc, first)
	bob.receives(doc, alice.write())
	follower := dial(t, b, "follower", write)
	follower.follow(doc)
	third := alice.submit()
	follower.expectChanges(doc, "alice", inHex(third), third)
	bob.receives(doc, third)

	// Who builds on what another node has just committed is understood at once.
	carol := dial(t, b, "carol", write)
	for i := range 10 {
		h := alice.submit()
		c := carol.author(doc).next()
		c.Deps, c.StartOp = append(c.Deps, h), uint64(1000+i)
		carol.acks(editMsg(doc, c.Encode()))
		bob.receives(doc, h, c.Hash())
	}
}

// TestNodesAwareness: users, cursors and ephemeral messages cross nodes; and a user
// with sessions on both is one.
func TestNodesAwareness(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, 2)
	a, b := nodes[0], nodes[1]
	doc := existingDocument(t, a)
	alice := moverIn(t, a, doc, "alice")
	bob := moverIn(t, b, doc, "bob")
	alice.await("bob's coming", func(m msg) bool { return m["type"] == "collab:user_joined" && m["userId"] == "bob" })
	bob.sees(alice, alice.moves(msg{"x": 1.0}))
	alice.sees(bob, bob.moves(msg{"x": 2.0, "cursor": map[string]any{"anchor": 3.0}}))

	carol := moverIn(t, b, doc, "carol")
	carol.sees(alice, msg{"x": 1.0}) // who comes later is told where all are
	again := dial(t, a, "bob", docs("*", "read"), senderID("second"))
	again.enter(doc)
	carol.settledOn(doc, "alice×1 bob×2 carol×1")
	again.quit(doc)
	carol.settledOn(doc, "alice×1 bob×1 carol×1")
	bob.ws.Close()
	alice.await("bob's leaving", func(m msg) bool { return m["type"] == "collab:user_left" && m["userId"] == "bob" })
	carol.settledOn(doc, "alice×1 carol×1")
	alice.settledOn(doc, "alice×1 carol×1")

	dave, erin := dial(t, a, "dave", docs("*", "write")), dial(t, b, "erin", docs("*", "write"))
	dave.open(doc)
	erin.open(doc)
	erin.settle(doc)
	dave.shout(doc, "hello", 1)
	got := erin.await("the message", func(m msg) bool { return m["type"] == "ephemeral" }).msg
	if got["senderId"] != "dave/"+dave.senderID || got["documentId"] != doc {
		t.Errorf("got %v", got)
	}
}

// moves moves a cursor, and returns where to.
func (c *mover) moves(at msg) msg {
	c.move(at)
	return at
}

// settledOn waits until a document's users are these, in whatever order they came.
func (c *client) settledOn(doc, users string) {
	c.t.Helper()
	var got string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(150 * time.Millisecond) { // ten a second are allowed
		all := strings.Fields(usersIn(c.enter(doc)))
		slices.Sort(all)
		if got = strings.Join(all, " "); got == users {
			return
		}
	}
	c.t.Fatalf("users are %s, want %s", got, users)
}

// TestNodesCalls: a backend may call any node.
func TestNodesCalls(t *testing.T) {
	t.Parallel()
	r := receiveWebhooks(t)
	settings := append(r.settings()[1:], "ATRIUM_WEBHOOK_SECRET="+webhookSecret)
	nodes := startNodes(t, 2, settings...)
	a, b := nodes[0], nodes[1]
	doc := a.create(map[string]any{"n": -1})
	live := dial(t, b, "live", docs("*", "read"))
	live.follow(doc)
	for i := range 20 { // who has written here reads it there
		s, other := a, b
		if i%2 == 1 {
			s, other = b, a
		}
		s.patch(doc, "merge-patch", fmt.Sprintf(`{"n":%d}`, i)).expect(t, 200)
		if got := fmt.Sprint(other.content(doc)); got != fmt.Sprintf("map[n:%d]", i) {
			t.Fatalf("read %s after writing %d", got, i)
		}
	}
	for range 20 {
		live.await("the change", func(m msg) bool { return m["type"] == "collab:changes" })
	}
	id := newDocument()
	var creating sync.WaitGroup
	for _, s := range nodes {
		creating.Go(func() {
			s.post(documentsPath, map[string]any{"documentId": id, "content": map[string]any{"list": []any{1}}}).expect(t, 201)
		})
	}
	creating.Wait()
	for _, s := range nodes {
		if got := fmt.Sprint(s.content(id)); got != "map[list:[1]]" {
			t.Errorf("two who create it at once make %s", got)
		}
	}
	a.delete(doc)
	live.await("the end", func(m msg) bool { return m["type"] == "doc-unavailable" })
	if got := b.read(documentsPath + "/" + doc); got.status != 410 {
		t.Errorf("reading it elsewhere got %d", got.status)
	}
	kinds := make(map[string]int)
	for kinds["document.deletedtrue"] == 0 || kinds["document.createdfalse"] == 0 {
		h := r.taken()
		kinds[fmt.Sprint(h.msg["type"], h.msg["documentId"] == doc)]++
	}
	for _, want := range []string{"document.createdtrue", "document.createdfalse", "document.deletedtrue"} {
		if kinds[want] != 1 {
			t.Errorf("%s was told %d times: %v", want, kinds[want], kinds)
		}
	}
	time.Sleep(time.Second)
	if len(r.came) > 0 {
		t.Errorf("told besides: %s", r.next().raw)
	}
}

// TestNodesChat: two who write on two nodes at once are read in one order on both.
func TestNodesChat(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, 2)
	const each = 60
	var readers []*client
	for i, s := range nodes {
		r := dial(t, s, fmt.Sprint("reader ", i), rooms("*", "read"))
		r.enters("a")
		readers = append(readers, r)
	}
	var writing sync.WaitGroup
	for i, s := range nodes {
		w := dial(t, s, fmt.Sprint("writer ", i), rooms("*", "write"))
		w.enters("a")
		writing.Go(func() {
			for n := range each {
				w.says("a", fmt.Sprint(i, "-", n))
				time.Sleep(105 * time.Millisecond)
			}
		})
	}
	writing.Wait()
	var all []string
	for i, r := range readers {
		var lines []string
		for seq := 1; seq <= 2*each; seq++ {
			m := r.await("a message", func(m msg) bool { return m["type"] == "chat:message" }).msg
			if m["seq"] != float64(seq) {
				t.Fatalf("reader %d got seq %v, want %d", i, m["seq"], seq)
			}
			lines = append(lines, line(m))
		}
		all = append(all, strings.Join(lines, ", "))
	}
	if all[0] != all[1] {
		t.Errorf("read %s and %s", all[0], all[1])
	}

	// A message sent again on another node is there once.
	one := dial(t, nodes[0], "moving", rooms("*", "write"))
	one.enters("b")
	first := one.acks(chatMsg("message", "b", msg{"message": "once", "clientId": "x"}))["message"].(map[string]any)
	two := dial(t, nodes[1], "moving", rooms("*", "write"), senderID("elsewhere"))
	ack := two.enters("b")
	if again := two.acks(chatMsg("message", "b", msg{"message": "once", "clientId": "x"}))["message"].(map[string]any); again["id"] != first["id"] {
		t.Errorf("it is there twice: %v, %v", first, again)
	}
	if got := fmt.Sprint(ack["memberCount"]); got != "1" {
		t.Errorf("the user's sessions on two nodes are %s members", got)
	}
	// Who types on one node is seen to on the other, and that they stop.
	watcher := dial(t, nodes[1], "watcher", rooms("*", "read"))
	watcher.enters("b")
	one.acks(chatMsg("typing", "b", msg{"isTyping": true}))
	watcher.await("typing", func(m msg) bool {
		return m["type"] == "chat:typing" && m["isTyping"] == true && m["userId"] == "moving"
	})
	watcher.await("the end of typing", func(m msg) bool { return m["type"] == "chat:typing" && m["isTyping"] == false })
	one.acks(chatMsg("read", "b", msg{"seq": 1}))
	two.await("the mark", func(m msg) bool { return m["type"] == "chat:read" && m["seq"] == 1.0 })
	nodes[0].post("/api/v1/rooms/b/broadcast", map[string]any{"event": "e", "data": 1}).expect(t, 202)
	two.await("the event", func(m msg) bool { return m["type"] == "event" })
	one.ws.Close()
	two.ws.Close()
	watcher.await("the leaving", func(m msg) bool { return m["type"] == "chat:user_left" && m["userId"] == "moving" })
}

// TestNodesUsers: what is a user's reaches them wherever they are, once and in
// order.
func TestNodesUsers(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, 3)
	at := func(i int) *client {
		return dial(t, nodes[i], "alice", senderID(fmt.Sprint("alice ", i)), metric("*", "read"))
	}
	sessions := []*client{at(0), at(1)}
	const each = 30
	var pushing sync.WaitGroup
	for _, s := range nodes {
		pushing.Go(func() {
			for i := range each {
				s.notify("alice", fmt.Sprint(i))
			}
		})
	}
	pushing.Wait()
	var ids []any
	for _, c := range sessions {
		for n := 1; n <= 3*each; n++ {
			m := c.await("a notification", func(m msg) bool { return m["type"] == "notification:new" }).msg
			if m["seq"] != float64(n) {
				t.Fatalf("%v came as number %d", m, n)
			}
			if len(ids) < 3*each {
				ids = append(ids, m["id"])
			}
		}
	}
	sessions[0].acks(markMsg(msg{"notificationId": ids[0]}))
	got := sessions[1].await("the mark", func(m msg) bool { return m["type"] == "notification:read" }).msg
	if got["notificationId"] != ids[0] || got["unread"] != float64(3*each-1) {
		t.Errorf("got %v", got)
	}
	nodes[2].post("/api/v1/users/alice/send", map[string]any{"event": "e", "data": msg{"n": 1}}).expect(t, 202)
	for _, c := range sessions {
		c.await("the event", func(m msg) bool { return m["type"] == "event" && m["event"] == "e" })
	}

	// The same peer on another node takes the place of the first.
	dial(t, nodes[2], "alice", senderID("alice 0"))
	sessions[0].expectClose(4409)
	if n := nodes[1].read("/api/v1/users/alice/sessions").msg["sessions"].([]any); len(n) == 0 {
		t.Error("no sessions are listed")
	}
	nodes[0].post("/api/v1/users/alice/disconnect", nil).expect(t, 200)
	sessions[1].expectClose(4403)

	watcher := dial(t, nodes[0], "watcher", metric("*", "read"))
	watcher.watch("cpu*")
	for i := range 50 {
		nodes[1+i%2].put("cpu.load", float64(i), int64(1000+i))
	}
	watcher.await("the newest value", func(m msg) bool { return m["type"] == "dashboard:update" && m["value"] == 49.0 })
}
