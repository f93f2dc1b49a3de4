package main

import (
	"reflect"
	"testing"

	"atrium/collab/docsync"
)

func TestEphemeral(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	alice := dial(t, s, "alice", docs("*", "read"))
	var others []*client
	for name, inCodec := range everyCodec {
		others = append(others, dial(t, s, "bob", senderID(name), docs("*", "read"), inCodec))
	}
	for _, c := range append(others, alice) {
		c.ask(syncMsg(c, doc, nothingYet()))
	}
	alice.shout(doc, "hello", 1<<40) // stock clients count from the time of day
	alice.shout(doc, "once more", 1<<40+1)
	for _, c := range others {
		got := c.await("hello", func(m msg) bool { return m["type"] == "ephemeral" }).msg
		want := msg{"type": "ephemeral", "senderId": "alice/peer-alice", "documentId": doc, "sessionId": "tab", "count": float64(1 << 40), "data": []byte("hello")}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
		c.until("once more")
	}
	for _, f := range alice.ping() {
		if f.msg["type"] == "ephemeral" {
			t.Errorf("alice got her own %v", f.msg)
		}
	}
}

// TestEphemeralOnce: each message is relayed once, in the order of its counts.
func TestEphemeralOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	alice, bob := dial(t, s, "alice", docs("*", "write")), dial(t, s, "bob", docs("*", "write"))
	bob.ask(shoutMsg(bob, doc, "here", 1)) // who only shouts hears too
	in := func(tab string, m msg) msg { m["sessionId"] = tab; return m }
	tests := []struct {
		m       msg
		relayed bool
	}{
		{shoutMsg(alice, doc, "a", 5), true},
		{shoutMsg(alice, doc, "b", 5), false},
		{shoutMsg(alice, doc, "c", 4), false},
		{shoutMsg(alice, doc, "d", 6), true},
		{in("other tab", shoutMsg(alice, doc, "e", 1)), true},
		{in("other tab", shoutMsg(alice, doc, "f", 1)), false},
		{shoutMsg(alice, doc, "g", 7), true},
		{shoutMsg(alice, doc, "h", -1), false},
	}
	want := ""
	for _, test := range tests {
		if test.relayed {
			want += string(test.m["data"].([]byte))
		}
		if answer := alice.ask(test.m); outcome(answer) != "ack" {
			t.Errorf("got %v, want an ack: what is old is dropped silently", answer)
		}
	}
	alice.shout(doc, "end", 1000)
	got := ""
	for _, m := range bob.until("end") {
		if m["type"] == "ephemeral" {
			got += string(m["data"].([]byte))
			// Every client echoes what it gets, as it got it.
			m["targetId"] = "server"
			bob.send(m)
		}
	}
	if got != want {
		t.Errorf("relayed %q, want %q", got, want)
	}
	bob.expectNothing()
	bob.shout(doc, "end of echoes", 1000)
	for _, m := range alice.until("end of echoes") {
		if m["type"] == "ephemeral" && m["senderId"] != "bob/peer-bob" || m["type"] == "error" {
			t.Errorf("an echo went on: %v", m)
		}
	}
}

func TestNobodySpeaksForOthers(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	alice := dial(t, s, "alice", docs("*", "write")).author(doc)
	bob := dial(t, s, "bob", docs("*", "write"))
	mallory := dial(t, s, "mallory", docs("*", "write"))
	alice.write()
	for _, c := range []*client{bob, mallory} {
		c.ask(syncMsg(c, doc, nothingYet()))
	}

	for _, as := range []string{"peer-alice", "alice/peer-alice", "mallory/peer-mallory", ""} {
		for _, asked := range []bool{false, true} {
			shout := shoutMsg(mallory, doc, "forged", 1e9)
			sync := syncMsg(mallory, doc, docsync.Message{Changes: [][]byte{mallory.author(doc).next().Encode()}})
			shout["senderId"], sync["senderId"] = as, as
			if !asked {
				mallory.send(shout)
				mallory.expectNothing()
				mallory.send(sync)
				mallory.expectError("forbidden", nil)
				continue
			}
			for _, m := range []msg{shout, sync} {
				if answer := mallory.ask(m); outcome(answer) != "forbidden" {
					t.Errorf("as %q: got %v, want forbidden", as, answer)
				}
			}
		}
	}
	// Nobody is locked out by the large count, nor by the changes.
	alice.shout(doc, "really alice", 1)
	for _, m := range bob.until("really alice") {
		if m["type"] == "ephemeral" || len(changesIn(t, m)) > 1 {
			t.Errorf("bob got %v", m)
		}
	}
	h := alice.write()
	bob.receives(doc, h)
	mallory.receives(doc, h)
	s.stop()
	if got := stored(t, s)[doc]; len(got) != 2 {
		t.Errorf("stored %v, want alice's two changes", got)
	}
}

// TestStampIsUnambiguous: the first slash of a stamp ends the user id.
func TestStampIsUnambiguous(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	bob := dial(t, s, "bob", docs("*", "read"))
	bob.ask(syncMsg(bob, doc, nothingYet()))
	seen := make(map[any]bool)
	users := [][2]string{{"alice", "a/b"}, {"alice/a", "b"}, {"alice%2Fa", "b"}, {"alice", "a%2Fb"}, {"alice/a/b", "x"}}
	for _, user := range users {
		dial(t, s, user[0], senderID(user[1]), docs("*", "read")).shout(doc, "hello", 1)
		seen[bob.await("hello", func(m msg) bool { return m["type"] == "ephemeral" }).msg["senderId"]] = true
	}
	if len(seen) != len(users) {
		t.Errorf("%d users are %v", len(users), seen)
	}
}
