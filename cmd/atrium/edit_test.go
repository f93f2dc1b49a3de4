package main

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"atrium/collab/change"
	ct "atrium/collab/change/changetest"
)

func editMsg(doc string, chunks ...[]byte) msg {
	return msg{"type": "collab:edit", "documentId": doc, "changes": chunks}
}

// submit sends the author's next change by collab:edit, which must be stored.
func (a *author) submit() change.Hash {
	a.t.Helper()
	c := a.next()
	if answer := a.ask(editMsg(a.doc, c.Encode())); outcome(answer) != "ack" {
		a.t.Fatalf("%s: got %v, want an ack", a.user, answer)
	}
	return c.Hash()
}

// joinWith is collab:join_document of a client that has these heads.
func joinWith(doc string, heads ...any) msg {
	m := joinDocumentMsg(doc)
	m["heads"] = append([]any{}, heads...)
	return m
}

// follow joins a document so that collab:changes come, and returns the changes
// that the client was told of at once.
func (c *client) follow(doc string, heads ...any) []change.Hash {
	c.t.Helper()
	answer := c.ask(joinWith(doc, heads...))
	if outcome(answer) != "ack" {
		c.t.Fatalf("%s: got %v, want to be let in", c.user, answer)
	}
	c.expect("collab:active_users")
	return c.bringsChanges(answer)
}

// bringsChanges returns the hashes of the changes that a message has under
// "changes".
func (c *client) bringsChanges(m msg) (hashes []change.Hash) {
	c.t.Helper()
	chunks, ok := m["changes"].([]any)
	if !ok {
		c.t.Fatalf("%s: got %v, want changes", c.user, m)
	}
	for _, x := range chunks {
		chunk, ok := x.([]byte)
		if text, isText := x.(string); c.json && isText {
			var err error
			chunk, err = base64.StdEncoding.DecodeString(text)
			ok = err == nil
		}
		parsed, err := change.Parse(chunk)
		if !ok || err != nil {
			c.t.Fatalf("%s: got %v for a change: %v", c.user, x, err)
		}
		hashes = append(hashes, parsed.Hash)
	}
	return hashes
}

// expectChanges fails unless the next message is collab:changes with just these.
func (c *client) expectChanges(doc string, by any, heads []any, hashes ...change.Hash) {
	c.t.Helper()
	m := c.expect("collab:changes").msg
	if got := c.bringsChanges(m); !slices.Equal(got, hashes) {
		c.t.Fatalf("%s: got changes %.8s, want %.8s", c.user, got, hashes)
	}
	delete(m, "changes")
	want := msg{"type": "collab:changes", "documentId": doc, "heads": heads}
	if by != nil {
		want["userId"] = by
	}
	if !reflect.DeepEqual(m, want) {
		c.t.Fatalf("%s: got %v, want %v", c.user, m, want)
	}
}

// inHex are heads as the server tells them.
func inHex(hashes ...change.Hash) (heads []any) {
	slices.SortFunc(hashes, func(a, b change.Hash) int { return slices.Compare(a[:], b[:]) })
	for _, h := range hashes {
		heads = append(heads, h.String())
	}
	return heads
}

// TestEditIsStored before it is acknowledged: nothing comes after the kill.
func TestEditIsStored(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	logs := make(map[string][]change.Hash)
	for range 2 {
		var editing sync.WaitGroup
		var mu sync.Mutex // guards logs
		for i := range 4 {
			doc := newDocument()
			in := everyCodec[[]string{"cbor", "json"}[i%2]]
			alice := dial(t, s, "alice", docs("*", "write"), senderID(doc), in).author(doc)
			editing.Go(func() {
				var log []change.Hash
				for range 3 {
					c := alice.next()
					answer := alice.ask(editMsg(doc, c.Encode()))
					log = append(log, c.Hash())
					if outcome(answer) != "ack" || !reflect.DeepEqual(answer["heads"], inHex(c.Hash())) {
						t.Errorf("got %v, want the heads with the change", answer)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				logs[doc] = log
			})
		}
		editing.Wait()
		s.kill9()
		if got := stored(t, s); !reflect.DeepEqual(got, logs) {
			t.Fatalf("stored %.8s, want %.8s", got, logs)
		}
		s.start()
		bob := dial(t, s, "bob", docs("*", "read"))
		for doc, log := range logs {
			if got := bob.follow(doc); !slices.Equal(got, log) {
				t.Errorf("got %.8s, want %.8s", got, log)
			}
		}
	}
}

// TestEditWaitsForTheStore: no answer, and nobody is told, before the commit.
// What has gathered meanwhile is one commit, and told under each one's name.
func TestEditWaitsForTheStore(t *testing.T) {
	t.Parallel()
	s := startServer(t, onFile)
	s.errorsOK = true
	doc := newDocument()
	alice, bob := dial(t, s, "alice", docs("*", "write")).author(doc), dial(t, s, "bob", docs("*", "write"), inJSON).author(doc)
	carol := dial(t, s, "carol", docs("*", "write")).author(doc)
	log := []change.Hash{alice.submit()}
	carol.open(doc).receives(doc, log...)
	watcher := dial(t, s, "watcher", docs("*", "read"))
	bob.follow(doc)
	watcher.follow(doc)
	bob.expect("collab:user_joined")

	db := openDB(t, s)
	exec := func(query string) {
		t.Helper()
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TRIGGER fail BEFORE INSERT ON document_changes BEGIN SELECT RAISE(ABORT,'injected'); END`)
	for _, a := range []*author{alice, alice, bob, alice, carol, bob} {
		if a == carol { // who does it the other way
			log = append(log, a.edit())
		} else {
			c := a.next()
			m := editMsg(doc, c.Encode())
			m["id"] = a.id()
			a.send(m)
			log = append(log, c.Hash())
		}
		if before := a.ping(); len(before) > 0 {
			t.Fatalf("%s was told %v before the commit", a.user, before[0].msg)
		}
	}
	watcher.settle(doc)
	watcher.expectNothing()

	exec(`DROP TRIGGER fail`)
	heads := inHex(log[4], log[5], log[6])
	watcher.expectChanges(doc, "alice", heads, log[1], log[2])
	watcher.expectChanges(doc, "bob", heads, log[3])
	watcher.expectChanges(doc, "alice", heads, log[4])
	watcher.expectChanges(doc, "carol", heads, log[5])
	watcher.expectChanges(doc, "bob", heads, log[6])
	for a, acks := range map[*author]int{alice: 3, bob: 2} {
		for range acks {
			if f := a.expect("ack"); !reflect.DeepEqual(f.msg["heads"], heads) {
				t.Errorf("%s: got %v, want heads %v", a.user, f.msg, heads)
			}
		}
	}
	// bob follows: he is told what is not his own.
	bob.expectChanges(doc, "alice", heads, log[1], log[2])
	bob.expectChanges(doc, "alice", heads, log[4])
	bob.expectChanges(doc, "carol", heads, log[5])
	carol.receives(doc, log[1], log[2], log[3], log[4], log[6])
	watcher.settle(doc)
	for _, c := range []*client{alice.client, bob.client} {
		c.expectNothing()
	}
}

func TestEditAccess(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for name, inCodec := range everyCodec {
		for _, level := range []string{"none", "read", "write"} {
			t.Run(name+"/"+level, func(t *testing.T) {
				doc, other := newDocument(), newDocument()
				dial(t, s, "olga", docs("*", "write"), senderID(doc)).author(doc).write()
				alice := dial(t, s, "alice", docs("*", level), senderID(doc), inCodec)
				want := map[string]string{"none": "forbidden", "read": "forbidden", "write": "ack"}[level]
				for _, doc := range []string{doc, other} {
					if answer := alice.ask(editMsg(doc, alice.author(doc).next().Encode())); outcome(answer) != want {
						t.Errorf("got %v, want %s", answer, want)
					}
				}
				reader := dial(t, s, "reader", docs("*", "read"), senderID(doc))
				found, changes := "not_found", 1
				if level == "write" {
					found, changes = "ack", 2
				}
				if answer := reader.ask(joinDocumentMsg(other)); outcome(answer) != found {
					t.Errorf("the other document: got %v, want %s", answer, found)
				}
				if got := reader.follow(doc); len(got) != changes {
					t.Errorf("%d changes are there, want %d", len(got), changes)
				}
			})
		}
	}
	t.Run("lowered", func(t *testing.T) {
		doc := newDocument()
		alice := dial(t, s, "alice", docs("*", "write")).author(doc)
		alice.submit()
		if answer := alice.enter(doc); answer["access"] != "write" {
			t.Errorf("got %v, want to be let in to write", answer)
		}
		alice.refreshed(docs("*", "read"))
		if answer := alice.ask(editMsg(doc, alice.next().Encode())); outcome(answer) != "forbidden" {
			t.Errorf("got %v, want forbidden", answer)
		}
		if answer := alice.enter(doc); answer["access"] != "read" {
			t.Errorf("got %v, want to be let in to read", answer)
		}
	})
}

func TestBadEdits(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for name, inCodec := range everyCodec {
		t.Run(name, func(t *testing.T) {
			doc := newDocument()
			alice := dial(t, s, "alice", docs("*", "write"), senderID(name), inCodec).author(doc)
			good := alice.next().Encode()
			tests := []struct {
				name string
				m    msg
				want string
			}{
				{"a bad documentId", editMsg(doc[1:], good), "bad_request"},
				{"no changes", msg{"type": "collab:edit", "documentId": doc}, "bad_request"},
				{"an empty list", editMsg(doc), "bad_request"},
				{"changes that are one text", msg{"type": "collab:edit", "documentId": doc, "changes": "x"}, "bad_request"},
				{"a change that is a number", msg{"type": "collab:edit", "documentId": doc, "changes": []any{7}}, "bad_request"},
				{"an empty change", editMsg(doc, []byte{}), "bad_request"},
				{"nonsense", editMsg(doc, []byte("nonsense, and long enough")), "bad_request"},
				{"a change cut off", editMsg(doc, good[:len(good)-1]), "bad_request"},
				{"a good one", editMsg(doc, good), "ack"},
				{"the same", editMsg(doc, good), "ack"},
				{"the same twice", editMsg(doc, good, good), "ack"},
			}
			for _, test := range tests {
				if answer := alice.ask(test.m); outcome(answer) != test.want {
					t.Errorf("%s: got %v, want %s", test.name, answer, test.want)
				}
			}
			alice.send(editMsg(doc, []byte("nonsense, and long enough")))
			alice.expectError("bad_request", nil)
			if got := alice.follow(doc); !slices.Equal(got, alice.head) {
				t.Errorf("the document has %.8s, want %.8s", got, alice.head)
			}
		})
	}
}

// TestRefusedEdits: what is refused is named; the good changes beside it are
// stored and told.
func TestRefusedEdits(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for name, inCodec := range everyCodec {
		t.Run(name, func(t *testing.T) {
			doc := newDocument()
			alice := dial(t, s, "alice", docs("*", "write"), senderID(name), inCodec).author(doc)
			log := []change.Hash{alice.submit()}
			bob := dial(t, s, "bob", docs("*", "read"), senderID(name), inCodec)
			bob.follow(doc)
			refused := func(code string, c ct.Change, m msg) {
				t.Helper()
				answer := alice.ask(m)
				if text, _ := answer["message"].(string); outcome(answer) != code || !strings.Contains(text, c.Hash().String()) || answer["retryable"] != false {
					t.Errorf("got %v, want %s that names %s", answer, code, c.Hash())
				}
			}

			// What depends on unknown changes may come again.
			second, third := alice.next(), alice.next()
			refused("conflict", third, editMsg(doc, third.Encode()))
			refused("conflict", third, editMsg(doc, third.Encode()))
			for _, c := range []ct.Change{second, third} {
				if answer := alice.ask(editMsg(doc, c.Encode())); outcome(answer) != "ack" || !reflect.DeepEqual(answer["heads"], inHex(c.Hash())) {
					t.Fatalf("got %v, want it taken", answer)
				}
				bob.expectChanges(doc, "alice", inHex(c.Hash()), c.Hash())
				log = append(log, c.Hash())
			}

			// A bad change among good ones, and what builds on it.
			fourth, fifth := alice.next(), alice.next()
			bad := ct.Change{Actor: ct.Actor(9), Deps: inHashes(third), Seq: 1, StartOp: fourth.StartOp, Ops: []ct.Op{{Key: "x", Action: 99}}}
			onBad := ct.Change{Actor: ct.Actor(9), Deps: inHashes(bad), Seq: 2, StartOp: fifth.StartOp, Ops: fifth.Ops}
			refused("bad_request", bad, editMsg(doc, fourth.Encode(), bad.Encode(), onBad.Encode(), fifth.Encode()))
			bob.expectChanges(doc, "alice", inHex(fifth.Hash()), fourth.Hash(), fifth.Hash())
			log = append(log, fourth.Hash(), fifth.Hash())
			refused("bad_request", bad, editMsg(doc, bad.Encode()))
			alice.expectNothing() // each was answered once
			bob.expectNothing()
			alice.send(editMsg(doc, bad.Encode()))
			alice.expectError("bad_request", nil)
			if got := dial(t, s, "carol", docs("*", "read"), senderID(name)).follow(doc); !slices.Equal(got, log) {
				t.Errorf("the document has %.8s, want %.8s", got, log)
			}
		})
	}
}

func inHashes(changes ...ct.Change) (hashes []change.Hash) {
	for _, c := range changes {
		hashes = append(hashes, c.Hash())
	}
	return hashes
}

// TestJoinWithHeads: the answer brings what the client lacks.
func TestJoinWithHeads(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	writer := dial(t, s, "writer", docs("*", "write"))
	a, b := writer.author(doc), writer.author(doc)
	var log []change.Hash
	for _, author := range []*author{a, b, a, b, a} { // two branches, side by side
		log = append(log, author.submit())
	}
	heads := inHex(log[3], log[4])
	bytesOf := func(h change.Hash) []byte { return h[:] }
	unknown := change.Hash{0, 0, 1}
	tests := []struct {
		name  string
		heads []any
		want  []change.Hash
	}{
		{"nothing", nil, log},
		{"all", heads, nil},
		{"one branch", []any{log[4].String()}, []change.Hash{log[1], log[3]}},
		{"a part of one", []any{log[2].String()}, []change.Hash{log[1], log[3], log[4]}},
		{"a part of both", []any{log[0].String(), log[1].String()}, []change.Hash{log[2], log[3], log[4]}},
		{"what is unknown", []any{unknown.String()}, log},
		{"something unknown too", []any{log[3].String(), unknown.String(), log[2].String()}, []change.Hash{log[4]}},
		{"capitals", []any{strings.ToUpper(log[4].String()), log[3].String()}, nil},
		{"in bs58check", []any{base58Check(log[3][:]), base58Check(log[2][:]), base58Check(unknown[:])}, []change.Hash{log[4]}},
		{"in bytes", []any{bytesOf(log[3]), bytesOf(log[2])}, []change.Hash{log[4]}},
		{"in all ways", []any{bytesOf(log[0]), base58Check(log[3][:]), log[2].String()}, []change.Hash{log[4]}},
	}
	bad := []any{"", "x", 7, nil, true, []any{}, msg{}, log[0].String()[1:], log[0].String() + "00", strings.Repeat("x", 64),
		base58Check(log[0][1:]), base58Check(log[0][:])[1:], doc, bytesOf(log[0])[1:], append(bytesOf(log[0]), 0)}
	for name, inCodec := range everyCodec {
		for _, test := range tests {
			if name == "json" && (test.name == "in bytes" || test.name == "in all ways") {
				continue // which has no byte strings
			}
			t.Run(name+"/"+test.name, func(t *testing.T) {
				alice := dial(t, s, "alice", docs("*", "read"), senderID(name+test.name), inCodec)
				answer := alice.ask(joinWith(doc, test.heads...))
				if outcome(answer) != "ack" || !reflect.DeepEqual(answer["heads"], heads) {
					t.Fatalf("got %v, want an ack with heads %v", answer, heads)
				}
				if got := alice.bringsChanges(answer); !slices.Equal(got, test.want) {
					t.Errorf("got %.8s, want %.8s", got, test.want)
				}
				// The same without an id, where no answer can bring it.
				alice.quit(doc)
				alice.send(joinWith(doc, test.heads...))
				if len(test.want) > 0 {
					alice.expectChanges(doc, nil, heads, test.want...)
				}
				alice.expect("collab:active_users")
				alice.expectNothing()
			})
		}
		t.Run(name+"/bad", func(t *testing.T) {
			alice := dial(t, s, "alice", docs("*", "read"), senderID(name+"bad"), inCodec)
			for _, head := range bad {
				if answer := alice.ask(joinWith(doc, log[0].String(), head)); outcome(answer) != "bad_request" {
					t.Errorf("%v: got %v, want bad_request", head, answer)
				}
			}
			for _, heads := range []any{"x", 7, msg{}, log[0].String()} {
				m := joinDocumentMsg(doc)
				m["heads"] = heads
				if answer := alice.ask(m); outcome(answer) != "bad_request" {
					t.Errorf("%v: got %v, want bad_request", heads, answer)
				}
			}
			m := joinDocumentMsg(doc)
			m["heads"] = nil
			answer := alice.ask(m)
			if _, brings := answer["changes"]; outcome(answer) != "ack" || brings {
				t.Errorf("without heads: got %v, want an ack without changes", answer)
			}
		})
	}
}

// TestChangesGoToThoseWhoFollow, in the way that each has asked for.
func TestChangesGoToThoseWhoFollow(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	alice := dial(t, s, "alice", docs("*", "write")).author(doc)
	dave := dial(t, s, "dave", docs("*", "write")).author(doc)
	log := []change.Hash{alice.submit()}
	alice.follow(doc)
	dave.open(doc).receives(doc, log...)
	bob, carol := dial(t, s, "bob", docs("*", "read")), dial(t, s, "carol", docs("*", "read"), inJSON)
	only, both := dial(t, s, "only joined", docs("*", "read")), dial(t, s, "both", docs("*", "read"))
	both.open(doc).receives(doc, log...)
	for _, c := range []*client{only, both, bob, carol} {
		if c == only {
			c.enter(doc)
		} else {
			c.follow(doc, log[0].String())
		}
	}
	witness := dial(t, s, "witness", docs("*", "read"))
	for _, c := range []*client{alice.client, bob, carol, only, both} {
		c.collab(doc, witness) // who has joined
	}

	for range 3 {
		h := alice.submit()
		heads := inHex(append(slices.Clone(dave.head), h)...)
		for _, c := range []*client{bob, carol, both} {
			if c == both {
				c.receives(doc, h)
			}
			c.expectChanges(doc, "alice", heads, h)
		}
		dave.receives(doc, h)
		h = dave.write()
		heads = inHex(alice.head[0], h)
		for _, c := range []*client{alice.client, bob, carol, both} {
			if c == both {
				c.receives(doc, h)
			}
			c.expectChanges(doc, "dave", heads, h)
		}
	}
	for _, c := range []*client{alice.client, dave.client, bob, carol, only, both} {
		for _, m := range c.collab(doc, witness) {
			t.Errorf("%s got %v too", c.user, m)
		}
	}
}

// TestAuthorsAtOnce: however edits fall into commits, those who follow get each
// one once, in the order of the log, and under its author's name.
func TestAuthorsAtOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	const rounds = 40
	var authors []*author
	for i := range 6 {
		in := everyCodec[[]string{"cbor", "json"}[i%2]]
		a := dial(t, s, fmt.Sprint("author ", i), docs("*", "write"), in).author(doc)
		a.submit()
		authors = append(authors, a)
	}
	readers := []*client{dial(t, s, "cbor", docs("*", "read")), dial(t, s, "json", docs("*", "read"), inJSON)}
	for _, a := range authors[:4] {
		readers = append(readers, a.client)
	}
	for _, c := range readers {
		c.follow(doc)
	}
	syncs := authors[4] // in CBOR
	by := make(map[change.Hash]string)
	for range rounds {
		for _, a := range authors {
			if a == syncs {
				by[a.edit()] = a.user
				continue
			}
			c := a.next()
			by[c.Hash()] = a.user
			a.send(editMsg(doc, c.Encode()))
		}
	}
	got := make(map[*client][]change.Hash)
	for _, c := range readers {
		all := len(by)
		if strings.HasPrefix(c.user, "author") {
			all -= rounds
		}
		messages := 0
		for ; len(got[c]) < all; messages++ {
			m := c.await("changes", func(m msg) bool { return m["type"] == "collab:changes" }).msg
			hashes := c.bringsChanges(m)
			for _, h := range hashes {
				if user, of := m["userId"]; of && user != by[h] {
					t.Errorf("%s was told that %v has made a change of %s", c.user, user, by[h])
				}
			}
			if _, of := m["userId"]; !of {
				t.Errorf("%s was told of %d changes without a name", c.user, len(hashes))
			}
			got[c] = append(got[c], hashes...)
		}
		if c == readers[0] {
			t.Logf("%d changes came in %d messages", all, messages)
		}
	}
	witness := dial(t, s, "witness", docs("*", "read"))
	for _, c := range readers {
		for _, m := range c.collab(doc, witness) {
			if m["type"] == "collab:changes" {
				t.Errorf("%s got %v too", c.user, m)
			}
		}
	}
	s.stop()
	log := stored(t, s)[doc][len(authors):]
	for _, c := range readers {
		want := slices.DeleteFunc(slices.Clone(log), func(h change.Hash) bool { return by[h] == c.user })
		if !slices.Equal(got[c], want) {
			t.Errorf("%s got %d changes, want the %d of others, in the order of the log", c.user, len(got[c]), len(want))
		}
	}
}

// TestSlowFollower: who stops reading gets what was missed later, in few
// messages.
func TestSlowFollower(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	alice := dial(t, s, "alice", docs("*", "write")).author(doc)
	alice.value = strings.Repeat("x", 60_000)
	log := []change.Hash{alice.submit()}
	bob := dial(t, s, "bob", docs("*", "read"))
	bob.follow(doc)
	slow := dial(t, s, "slow", docs("*", "read"), receiveBuffer(4096))
	slow.follow(doc)
	bob.expect("collab:user_joined")
	slow.pause()
	for range 50 { // 3 MB, more than sockets hold, and than may be queued
		h := alice.submit()
		bob.expectChanges(doc, "alice", inHex(h), h)
		log = append(log, h)
	}
	slow.resume()
	messages := 0
	for missing := log[1:]; len(missing) > 0; messages++ {
		m := slow.expect("collab:changes").msg
		hashes := slow.bringsChanges(m)
		if len(hashes) > len(missing) || !slices.Equal(hashes, missing[:len(hashes)]) {
			t.Fatalf("message %d has %.8s, want the next of the log: %.8s", messages, hashes, missing)
		}
		missing = missing[len(hashes):]
	}
	t.Logf("%d messages brought %d edits", messages, len(log)-1)
	if messages > 35 {
		t.Errorf("%d messages: what waited was not sent as one", messages)
	}
	h := alice.submit()
	slow.expectChanges(doc, "alice", inHex(h), h)
}

// TestEditorsAreNotMembers: who only edits has no document open, however many
// were edited.
func TestEditorsAreNotMembers(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	alice, bob := dial(t, s, "alice", docs("*", "write")), dial(t, s, "bob", docs("*", "write"))
	var edited []*author
	for range 200 {
		a := alice.author(newDocument())
		m := editMsg(a.doc, a.next().Encode())
		m["id"] = a.doc
		alice.send(m)
		edited = append(edited, a)
	}
	acked := make(map[any]bool)
	for range edited {
		acked[alice.expect("ack").msg["id"]] = true
	}
	if len(acked) != len(edited) {
		t.Errorf("%d edits were acknowledged, want %d", len(acked), len(edited))
	}
	for _, a := range edited[:50] {
		if users := usersIn(bob.enter(a.doc)); users != "bob×1" {
			t.Fatalf("got users %s, want bob alone", users)
		}
		if answer := alice.ask(msg{"type": "collab:cursor_move", "documentId": a.doc, "x": 1}); outcome(answer) != "forbidden" {
			t.Fatalf("got %v, want forbidden to who has not joined", answer)
		}
		b := bob.author(a.doc)
		b.head, b.seq = a.head, 1
		c := b.next()
		c.Seq = 1
		if answer := bob.ask(editMsg(a.doc, c.Encode())); outcome(answer) != "ack" {
			t.Fatalf("got %v, want an ack", answer)
		}
	}
	for _, f := range alice.ping() {
		t.Errorf("alice got %v", f.msg)
	}
	bob.expectNothing()
}
