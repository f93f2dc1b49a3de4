package main

import (
	"bytes"
	"slices"
	"testing"

	"atrium/collab/change"
	"atrium/collab/docsync"
)

// TestRefusedEditsPlayNoPingPong: a client keeps what it was refused, and tells
// heads of it with every message. Stock ones answer everything they get; old
// ones also send the change again each time.
func TestRefusedEditsPlayNoPingPong(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	tests := []struct {
		name        string
		level       string
		seq         uint64 // of the change: 2 leaves a gap, and is refused to writers too
		sendsAlways bool
	}{
		{"a reader", "read", 1, false},
		{"an old reader", "read", 1, true},
		{"a writer of a bad change", "write", 2, false},
		{"an old writer of a bad change", "write", 2, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			doc := newDocument()
			owner := dial(t, s, "owner", docs("*", "write")).author(doc)
			alice := dial(t, s, "alice", docs("*", test.level)).author(doc)
			theirs := []change.Hash{owner.write()}
			alice.open(doc).receives(doc, theirs...)
			alice.settle(doc)

			c := alice.next()
			c.Seq = test.seq
			own := c.Hash()
			sent, got, errors := 0, 0, 0
			answer := func(withChange bool) {
				m := docsync.Message{Heads: append(slices.Clone(theirs), own), Have: []docsync.Have{{LastSync: theirs}}}
				slices.SortFunc(m.Heads, func(a, b change.Hash) int { return bytes.Compare(a[:], b[:]) })
				if withChange {
					m.Changes = [][]byte{c.Encode()}
				}
				alice.sync(doc, m)
				sent++
			}
			settle := func() {
				t.Helper()
				for range 20 {
					before := got
					for _, m := range alice.settle(doc) {
						switch m["type"] {
						case "error":
							errors++
						case "sync":
							got++
							if heads := syncOf(t, m).Heads; len(heads) > 0 {
								theirs = heads
							}
							answer(test.sendsAlways)
						}
					}
					if got == before {
						return
					}
				}
				t.Fatalf("no end of it: %d messages from alice, %d to her", sent, got)
			}
			answer(true)
			settle()
			if got > 3 || errors < 1 {
				t.Errorf("after the edit: %d messages to alice and %d errors, want some at most, and an error", got, errors)
			}
			sent, got = 0, 0
			const edits = 10
			for range edits {
				owner.write()
				settle()
			}
			if got > edits+2 {
				t.Errorf("for %d edits of others: %d messages to alice, %d from her", edits, got, sent)
			}
		})
	}
}
