package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"atrium/collab/change"
)

// TestSlowReader: who stops reading a document delays nobody, and gets all of
// it later.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	alice := dial(t, s, "alice", docs("*", "write")).author(doc)
	alice.value = strings.Repeat("x", 60_000)
	bob := dial(t, s, "bob", docs("*", "read"))
	slow := dial(t, s, "slow", docs("*", "read"), receiveBuffer(4096))
	log := []change.Hash{alice.write()}
	for _, c := range []*client{bob, slow} {
		c.open(doc).receives(doc, log...)
	}
	slow.pause()
	longest := time.Duration(0)
	for range 150 { // 9 MB, far more than sockets hold
		began := time.Now()
		h := alice.write()
		bob.receives(doc, h)
		longest = max(longest, time.Since(began))
		log = append(log, h)
	}
	if longest > 5*time.Second {
		t.Errorf("an edit took %s to reach those who read", longest)
	}
	slow.resume()
	messages := 0
	for missing := log[1:]; len(missing) > 0; messages++ {
		hashes := changesIn(t, slow.expect("sync").msg)
		if len(hashes) > len(missing) || !bytes.Equal(join(hashes), join(missing[:len(hashes)])) {
			t.Fatalf("message %d has %v, want the next of the log: %v", messages, hashes, missing)
		}
		missing = missing[len(hashes):]
	}
	t.Logf("%d messages brought %d edits; the longest took %s", messages, len(log)-1, longest)
	if messages > 100 {
		t.Errorf("%d messages: what waited was not sent as one", messages)
	}
	h := alice.write()
	slow.receives(doc, h)
}

func join(hashes []change.Hash) (all []byte) {
	for _, h := range hashes {
		all = append(all, h[:]...)
	}
	return all
}

// TestStalledReaderIsClosed: what is not kept in a log waits in a queue, and
// the queue has an end.
func TestStalledReaderIsClosed(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	doc := newDocument()
	var all []*client
	for _, user := range []string{"alice", "bob", "carol"} {
		all = append(all, dial(t, s, user, docs("*", "write")))
	}
	slow := dial(t, s, "slow", docs("*", "write"), receiveBuffer(4096))
	for _, c := range append(all, slow) {
		c.ask(syncMsg(c, doc, nothingYet()))
	}
	slow.pause()
	alice, bob := all[0], all[1]
	text := strings.Repeat("x", 60_000)
	// 6 MB, more than sockets and the queue hold. It must be read soon after:
	// the close frame does not wait for ever.
	for i := range 12 {
		for j := range 8 {
			alice.shout(doc, text, float64(8*i+j+1))
		}
		for range 8 {
			bob.until(text)
		}
	}
	slow.resume()
	slow.expectClose(4508)
	for _, c := range all {
		c.ping()
	}
	back := dial(t, s, "slow", docs("*", "write"))
	back.open(doc)
	back.settle(doc)
}
