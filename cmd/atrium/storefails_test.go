package main

import (
	"slices"
	"testing"

	"atrium/collab/change"
)

// TestStoreFailsForAWhile: while a document's changes cannot be stored, nobody
// is told of them; when they can, everybody is, with nobody asking again.
func TestStoreFailsForAWhile(t *testing.T) {
	t.Parallel()
	s := startServer(t, onFile)
	s.errorsOK = true
	failing, other := newDocument(), newDocument()
	alice := dial(t, s, "alice", docs("*", "write")).author(failing)
	bob := dial(t, s, "bob", docs("*", "write"))
	log := []change.Hash{alice.write()}
	bob.open(failing).receives(failing, log...)

	db := openDB(t, s)
	exec := func(query string) {
		t.Helper()
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TRIGGER fail BEFORE INSERT ON document_changes WHEN NEW.document_id = '` + failing + `' BEGIN SELECT RAISE(ABORT,'injected'); END`)
	h := alice.edit()
	if _, ok := s.log.wait(0, "changes cannot be stored"); !ok {
		t.Fatalf("the failure is not in the log:\n%s", s.log)
	}
	second := alice.edit()
	bob.author(other).write()
	carol := dial(t, s, "carol", docs("*", "read"))
	carol.open(failing).receives(failing, log...)
	for _, c := range []*client{alice.client, bob, carol} {
		for _, m := range c.settle(failing) {
			if m["documentId"] == failing && m["type"] != "ephemeral" {
				t.Errorf("%s was told %v while nothing could be stored", c.user, syncOf(t, m))
			}
		}
	}
	if got := stored(t, s)[failing]; !slices.Equal(got, log) {
		t.Errorf("stored %v, want %v", got, log)
	}

	exec(`DROP TRIGGER fail`)
	alice.acknowledged(second)
	bob.receives(failing, h, second)
	carol.receives(failing, h, second)
	log = append(log, h, second)
	s.stop()
	if got := stored(t, s)[failing]; !slices.Equal(got, log) {
		t.Errorf("stored %v, want %v", got, log)
	}
}

// TestLoadFailsClosed damages the log of a document: it must never be shown as
// empty, or as one that does not exist.
func TestLoadFailsClosed(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, damage string }{
		{"a byte flipped",
			`UPDATE document_changes SET chunks = CAST(substr(chunks, 1, 20) || x'ff' || substr(chunks, 22) AS BLOB) WHERE document_id = $1 AND version = 2`},
		{"cut off",
			`UPDATE document_changes SET chunks = substr(chunks, 1, length(chunks) - 1) WHERE document_id = $1 AND version = 2`},
		{"a row lost",
			`DELETE FROM document_changes WHERE document_id = $1 AND version = 2`},
		{"the first row lost",
			`DELETE FROM document_changes WHERE document_id = $1 AND version = 1`},
		{"the last row lost",
			`DELETE FROM document_changes WHERE document_id = $1 AND version = 3`},
		{"all rows lost",
			`DELETE FROM document_changes WHERE document_id = $1`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, onFile)
			s.errorsOK = true
			damaged, other := newDocument(), newDocument()
			owner := dial(t, s, "owner", docs("*", "write"))
			author := owner.author(damaged)
			log := []change.Hash{author.write(), author.write(), author.write()}
			kept := owner.author(other).write()
			s.stop()

			db := openDB(t, s)
			if _, err := db.Exec(`CREATE TABLE backup AS SELECT * FROM document_changes`); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(test.damage, damaged); err != nil {
				t.Fatal(err)
			}
			s.start()
			reader := dial(t, s, "reader", docs("*", "read"))
			writer := author.again(dial(t, s, "writer", docs("*", "write")))
			reader.open(damaged)
			writer.edit()
			for attempt := range 3 { // well past the time after which unknown documents are said to be so
				if _, ok := s.log.wait(0, `"attempt":`+string(rune('1'+attempt))); !ok {
					t.Fatalf("no attempt to load it:\n%s", s.log)
				}
				for _, c := range []*client{reader, writer.client} {
					c.expectNothing()
				}
			}
			reader.open(other).receives(other, kept)

			if _, err := db.Exec(`INSERT OR REPLACE INTO document_changes SELECT * FROM backup`); err != nil {
				t.Fatal(err)
			}
			reader.receives(damaged, append(log, writer.head...)...)
			writer.acknowledged(writer.head[0])
		})
	}
}
