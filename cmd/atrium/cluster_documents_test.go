package main

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"atrium/collab/change"
)

// TestClusterDocuments: people write on three nodes at once, in both ways. All who
// listen are told of every change once, and all nodes have the same in the end.
func TestClusterDocuments(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	doc := newDocument()
	first := dial(t, c.nodes[0], "first", docs("*", "write")).author(doc).submit()
	followers, readers := c.each("follower", docs("*", "read")), c.each("reader", docs("*", "read"), inJSON)
	var syncing []*client
	for i, s := range c.nodes {
		if got := followers[i].follow(doc); !slices.Equal(got, []change.Hash{first}) {
			t.Fatalf("node %d shows %v, want what another has stored", i, got)
		}
		readers[i].follow(doc)
		syncing = append(syncing, dial(t, s, fmt.Sprint("syncing ", i), docs("*", "read")).open(doc))
	}
	const each = 25
	var mu sync.Mutex
	want := make(map[change.Hash]bool) // guarded by mu
	var writing sync.WaitGroup
	for i, s := range c.nodes {
		for way, write := range map[string]func(*author) change.Hash{"sync": (*author).write, "edit": (*author).submit} {
			author := dial(t, s, fmt.Sprint(way, i), docs("*", "write")).author(doc)
			writing.Go(func() {
				for range each {
					h := write(author)
					mu.Lock()
					want[h] = true
					mu.Unlock()
				}
			})
		}
	}
	writing.Wait()
	if len(want) != 6*each {
		t.Fatalf("%d of %d were written", len(want), 6*each)
	}
	var heads any
	for i := range c.nodes {
		for _, f := range []*client{followers[i], readers[i]} {
			told := make(map[change.Hash]bool)
			for len(told) < len(want) {
				m := f.tells("collab:changes", msg{"documentId": doc})
				for _, h := range f.bringsChanges(m) {
					if told[h] || !want[h] {
						t.Errorf("%s is told of %v again", f.user, h)
					}
					told[h] = true
				}
				heads = m["heads"]
			}
		}
		syncing[i].receives(doc, append(keysOf(want), first)...)
	}
	for i, s := range c.nodes {
		fresh := dial(t, s, "fresh", docs("*", "read"))
		answer := fresh.ask(joinWith(doc))
		if !reflect.DeepEqual(answer["heads"], heads) || len(heads.([]any)) != 7 {
			t.Errorf("node %d has heads %v, want %v", i, answer["heads"], heads)
		}
		if got := fresh.bringsChanges(answer); len(got) != len(want)+1 {
			t.Errorf("node %d has %d changes, want %d", i, len(got), len(want)+1)
		}
	}
	if log := stored(t, c.nodes[0])[doc]; len(log) != len(want)+1 {
		t.Errorf("%d changes are stored, want %d", len(log), len(want)+1)
	}
}

func keysOf(set map[change.Hash]bool) (all []change.Hash) {
	for h := range set {
		all = append(all, h)
	}
	return all
}

// TestClusterBackends: a backend reads on any node what it has written on another,
// people there see it, and what is deleted is so everywhere.
func TestClusterBackends(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	doc := c.nodes[0].create(map[string]any{"n": -1})
	live, syncing := c.each("live", docs("*", "write")), c.each("syncing", docs("*", "write"))
	for i := range c.nodes {
		live[i].follow(doc)
		syncing[i].open(doc).await("the document", func(m msg) bool { return len(syncOf(t, m).Changes) > 0 })
	}
	for n := range 20 {
		here, there := c.nodes[n%2], c.nodes[1-n%2]
		before := there.read(documentsPath+"/"+doc).expect(t, 200).header.Get("ETag")
		patched := head(t, here.patch(doc, "merge-patch", fmt.Sprintf(`{"n":%d}`, n)).expect(t, 200))
		if got := there.content(doc); !reflect.DeepEqual(got, map[string]any{"n": float64(n)}) {
			t.Fatalf("%d was written, and on the other node it is %v", n, got)
		}
		there.patch(doc, "merge-patch", `{"n":"late"}`, "If-Match", before).expect(t, 412)
		for _, f := range live {
			m := f.tells("collab:changes", msg{"documentId": doc})
			if by, named := m["userId"]; !reflect.DeepEqual(m["heads"], []any{patched}) || named && by != "api" { // read back, it has no user
				t.Errorf("%s: got heads %v by %v, want %s", f.user, m["heads"], by, patched)
			}
		}
		for _, f := range syncing {
			f.receives(doc, mustHash(t, patched))
		}
	}

	c.nodes[0].delete(doc)
	for i, s := range c.nodes {
		for _, f := range []*client{live[i], syncing[i]} {
			f.tells("doc-unavailable", msg{"documentId": doc})
		}
		s.read(documentsPath+"/"+doc).expect(t, 410)
		late := dial(t, s, "late", docs("*", "write")).author(doc)
		if answer := late.ask(editMsg(doc, func() []byte { c := late.next(); return c.Encode() }())); outcome(answer) != "not_found" {
			t.Errorf("editing what is deleted on another node got %v", answer)
		}
	}
}

// TestClusterOneKey: calls under one Idempotency-Key to several nodes at once have
// one effect, and one answer.
func TestClusterOneKey(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	ids := make(map[any]bool)
	for n := range 10 {
		push := request{
			method: http.MethodPost, path: inboxPath("alice"), credential: apiKey, body: notification(fmt.Sprint(n)),
			header: http.Header{"Idempotency-Key": {fmt.Sprint("key ", n)}},
		}
		var mu sync.Mutex
		var calling sync.WaitGroup
		answers := make(map[any]bool) // guarded by mu
		for _, s := range c.nodes {
			calling.Go(func() {
				a := s.call(push)
				for a.status == http.StatusConflict { // another is being answered
					a = s.call(push)
				}
				mu.Lock()
				answers[a.expect(t, 201).msg["id"]] = true
				ids[a.msg["id"]] = true
				mu.Unlock()
			})
		}
		calling.Wait()
		if len(answers) != 1 {
			t.Errorf("push %d was stored as %v", n, answers)
		}
	}
	for _, s := range c.nodes {
		page := s.read(inboxPath("alice")).expect(t, 200).msg
		if got := titles(t, page); got != "9 8 7 6 5 4 3 2 1 0" || len(ids) != 10 {
			t.Errorf("the inbox has %s, %d answered for", got, len(ids))
		}
	}
}

// seesUsers is settled for users in any order.
func (c *client) seesUsers(doc, users string) {
	c.t.Helper()
	eventually(c.t, c.user+" sees "+users, patience, func() bool {
		time.Sleep(100 * time.Millisecond) // joins are limited
		got := strings.Split(usersIn(c.ask(joinDocumentMsg(doc))), " ")
		slices.Sort(got)
		return strings.Join(got, " ") == users
	})
}

// TestClusterPeople: who is in a document, where their cursors are and what they
// shout is known on all nodes; a user on two of them is one.
func TestClusterPeople(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	doc := existingDocument(t, c.nodes[0])
	alice, bob := moverIn(t, c.nodes[0], doc, "alice"), moverIn(t, c.nodes[1], doc, "bob")
	alice.tells("collab:user_joined", msg{"documentId": doc, "userId": "bob", "username": "bob"})
	alice.seesUsers(doc, "alice×1 bob×1")
	bob.seesUsers(doc, "alice×1 bob×1")
	for n := range 5 {
		alice.move(msg{"x": float64(n)})
		bob.sees(alice, msg{"x": float64(n)})
		bob.move(msg{"y": float64(n), "cursor": map[string]any{"anchor": float64(n)}})
		alice.sees(bob, msg{"y": float64(n), "cursor": map[string]any{"anchor": float64(n)}})
	}
	carol := moverIn(t, c.nodes[1], doc, "carol") // who comes later sees where others are
	carol.sees(alice, msg{"x": 4.0})

	// A second session of a user on the other node is no news, nor is its end.
	alice.tells("collab:user_joined", msg{"userId": "carol"})
	second := moverIn(t, c.nodes[0], doc, "bob", senderID("second"))
	carol.seesUsers(doc, "alice×1 bob×2 carol×1")
	second.goodbye()
	carol.seesUsers(doc, "alice×1 bob×1 carol×1")
	bob.goodbye()
	left := func(f frame) bool { return strings.HasPrefix(f.msg["type"].(string), "collab:user_") }
	if m := alice.await("news of users", func(m msg) bool { return left(frame{msg: m}) }).msg; m["type"] != "collab:user_left" || m["userId"] != "bob" {
		t.Errorf("got %v, want that bob has left", m)
	}
	for _, f := range alice.ping() {
		if left(f) {
			t.Errorf("got %v besides", f.msg)
		}
	}

	// Ephemeral messages come in order, and bear who has sent them.
	dave, erin := dial(t, c.nodes[0], "dave", docs("*", "write")).open(doc), dial(t, c.nodes[1], "erin", docs("*", "write")).open(doc)
	for _, x := range []*client{dave, erin} {
		x.settle(doc)
	}
	eventually(t, "erin hears dave", patience, func() bool {
		dave.shout(doc, "are you there?", float64(dave.asked))
		for _, m := range erin.settle(doc) {
			if m["type"] == "ephemeral" && m["sessionId"] == "tab" {
				return true
			}
		}
		return false
	})
	for n := range 20 {
		dave.shout(doc, fmt.Sprint("shout ", n), float64(1000+n))
	}
	n := 0
	erin.await("all shouts", func(m msg) bool {
		text, _ := m["data"].([]byte)
		if m["type"] != "ephemeral" || !strings.HasPrefix(string(text), "shout ") {
			return false
		}
		if string(text) != fmt.Sprint("shout ", n) || m["senderId"] != "dave/"+dave.senderID {
			t.Errorf("got %q of %v, want the %dth", text, m["senderId"], n)
		}
		n++
		return n == 20
	})
}
