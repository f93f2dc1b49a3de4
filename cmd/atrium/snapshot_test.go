package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"atrium/collab/change"
	"atrium/collab/docsync"
)

// snapshotted waits until a document has a snapshot.
func (s *testServer) snapshotted(doc string) {
	s.t.Helper()
	db := openDB(s.t, s)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		n := 0
		if err := db.QueryRow(`SELECT count(*) FROM document_snapshots WHERE document_id = $1`, doc).Scan(&n); err != nil {
			s.t.Fatal(err)
		}
		if n > 0 {
			return
		}
		if time.Now().After(end) {
			s.t.Fatal("no snapshot is made")
		}
	}
}

// TestFirstSync: who has nothing is sent the snapshot and what came after it, if
// it can read that; all others are sent changes, and nobody anything twice.
func TestFirstSync(t *testing.T) {
	t.Parallel()
	s := startServer(t, withAPIKey)
	doc := s.create(map[string]any{"text": strings.Repeat("lorem ipsum ", 8000)})
	opened := func(flags docsync.Flags, has ...change.Hash) (docsync.Message, byte) {
		t.Helper()
		c := dial(t, s, "reader", docs("*", "write"))
		c.sync(doc, docsync.Message{Heads: has, Have: []docsync.Have{{}}, Flags: flags})
		got := c.await("the document", func(m msg) bool { return m["type"] == "sync" })
		return syncOf(t, got.msg), got.msg["data"].([]byte)[0]
	}
	const readsV2 = docsync.Flags(4)
	first := head(t, s.patch(doc, "merge-patch", `{}`))
	s.snapshotted(doc)
	author := dial(t, s, "alice", docs("*", "write")).author(doc)
	edit := author.next()
	if got := outcome(author.ask(editMsg(doc, edit.Encode()))); got != "ack" {
		t.Fatal(got)
	}
	for range 2 {
		m, version := opened(readsV2)
		if version != 0x43 || len(m.Changes) != 1 {
			t.Fatalf("got version %x with %d entries, want 43 with one", version, len(m.Changes))
		}
		snapshot, isWhole := bytes.CutSuffix(m.Changes[0], edit.Encode())
		if err := change.CheckDocument(snapshot); err != nil || !isWhole || len(snapshot) > 10_000 {
			t.Errorf("got %d bytes, with the newest change %v: %v", len(snapshot), isWhole, err)
		}
		if m, version := opened(0); version != 0x42 || len(m.Changes) != 2 {
			t.Errorf("who does not say so gets version %x with %d entries, want 42 with two", version, len(m.Changes))
		}
		known, err := change.ParseHash(first)
		if err != nil {
			t.Fatal(err)
		}
		if m, version := opened(readsV2, known); version != 0x42 || len(m.Changes) != 1 || !bytes.Equal(m.Changes[0], edit.Encode()) {
			t.Errorf("who has the first change gets version %x with %d entries", version, len(m.Changes))
		}
		for name, inCodec := range everyCodec {
			bob := dial(t, s, "bob", senderID(name), docs("*", "read"), inCodec)
			answer := bob.ask(joinWith(doc))
			if answer["changes"] != nil || answer["document"] == nil {
				t.Errorf("%s: joining got %.200v", name, answer)
			}
			if n := len(bob.follow(doc, first)); n != 1 {
				t.Errorf("%s: joining with the first change got %d", name, n)
			}
		}
		s.kill9()
		s.start()
	}
	// It is derived: without it everything is as it was, and it is made again.
	if _, err := openDB(t, s).Exec(`DELETE FROM document_snapshots`); err != nil {
		t.Fatal(err)
	}
	content := s.content(doc)
	if got := content.(map[string]any)["text"]; got != strings.Repeat("lorem ipsum ", 8000) {
		t.Errorf("the text has %d letters", len(got.(string)))
	}
	s.snapshotted(doc)
}
