package main

import (
	"slices"
	"testing"

	"atrium/collab/change"
	"atrium/collab/docsync"
)

// TestSyncIsNeverRefused: the protocol brings no sync message a second time, so
// one that comes too fast is read more slowly, and that is all.
func TestSyncIsNeverRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	const sent = 5000 // more than the 4,000 that a session may send at once
	doc := newDocument()
	alice := dial(t, s, "alice", docs("*", "write")).author(doc)
	bob := dial(t, s, "bob", docs("*", "read"))
	bob.open(doc).expect("doc-unavailable")
	var log []change.Hash
	for i := range sent {
		if i%2 == 0 {
			log = append(log, alice.edit())
		} else { // what clients answer to edits of others
			alice.sync(doc, docsync.Message{Heads: alice.head, Have: []docsync.Have{{LastSync: alice.head}}})
		}
	}
	last := alice.head[0]
	alice.await("the last acknowledgement", func(m msg) bool {
		if m["type"] != "sync" {
			t.Errorf("got %v", m)
		}
		return slices.Contains(syncOf(t, m).Heads, last)
	})
	bob.receives(doc, log...)
	alice.expectNothing()
	s.stop()
	if got := stored(t, s)[doc]; !slices.Equal(got, log) {
		t.Errorf("stored %d changes, want %d in the order in which they came", len(got), len(log))
	}
}
