package collab

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"atrium/collab/change"
	"atrium/collab/change/changetest"
	"atrium/collab/docsync"
	"atrium/collab/pack"
	"atrium/internal/db"
	"atrium/internal/scratch"
)

// chain are changes of one actor, each on the one before, as entries of a log.
func chain(n int) (log []pack.Entry) {
	var last []change.Hash
	for i := range n {
		c := changetest.Change{Seq: uint64(i + 1), StartOp: uint64(i + 1), Deps: last, Ops: []changetest.Op{changetest.Set(changetest.ID{}, "x", i)}}
		last = []change.Hash{c.Hash()}
		log = append(log, pack.Entry{Chunk: c.Encode(), UserID: fmt.Sprintf("user %d", i/3), At: 1e6})
	}
	return log
}

func wantEntries(t *testing.T, what string, got, want []pack.Entry) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(a, b pack.Entry) bool {
		return bytes.Equal(a.Chunk, b.Chunk) && a.UserID == b.UserID && a.At == b.At
	}) {
		t.Errorf("%s: got %d entries, want other ones, %d", what, len(got), len(want))
	}
}

// store appends a log, each change a version.
func (s store) add(t *testing.T, id string, log []pack.Entry) {
	t.Helper()
	var entries []entry
	for _, e := range log {
		entries = append(entries, entry{e.Chunk, e.UserID})
	}
	s.mustAppend(t, id, 0, entries...)
	s.exec(t, `UPDATE documents SET changes = $1, bytes = $2 WHERE id = $3`, len(log), len(slices.Concat(chunksOf(log)...)), id)
}

func chunksOf(log []pack.Entry) (chunks [][]byte) {
	for _, e := range log {
		chunks = append(chunks, e.Chunk)
	}
	return chunks
}

func (s store) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if err := s.db.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// packOf is a pack of versions first to last of a log that has a change in each.
func packOf(t *testing.T, log []pack.Entry, first, last int) sealedRun {
	t.Helper()
	at := make(map[change.Hash]int)
	for i, e := range log {
		c, err := change.Parse(e.Chunk)
		if err != nil {
			t.Fatal(err)
		}
		at[c.Hash] = i
	}
	data, err := pack.Append(nil, log[first-1:last], first-1, func(h change.Hash) (int, bool) { p, ok := at[h]; return p, ok })
	if err != nil {
		t.Fatal(err)
	}
	return sealedRun{first: int64(first), last: int64(last), position: first - 1, changes: last - first + 1, data: data}
}

// sealed makes a store one with a document alone whose log is sealed up to each of
// those versions.
func sealed(t *testing.T, d *db.DB, log []pack.Entry, upTo ...int) store {
	t.Helper()
	s := store{db: d}
	for _, table := range []string{"documents", "document_changes", "document_packs", "document_snapshots"} {
		s.exec(t, "DELETE FROM "+table)
	}
	s.add(t, testDocument, log)
	first := 1
	for _, last := range upTo {
		if err := s.seal(t.Context(), testDocument, packOf(t, log, first, last)); err != nil {
			t.Fatal(err)
		}
		first = last + 1
	}
	return s
}

func TestSealOnlyWhatIsThere(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		log := chain(30)
		s := sealed(t, d, log, 10)
		for _, versions := range [][2]int{{1, 10}, {5, 15}, {25, 31}} {
			p := packOf(t, log, versions[0], min(versions[1], 30))
			p.last = int64(versions[1])
			if err := s.seal(t.Context(), testDocument, p); !errors.Is(err, errSealed) {
				t.Errorf("versions %v: got %v, want errSealed", versions, err)
			}
		}
		got, err := s.entries(t.Context(), testDocument, 11, 20)
		if err != nil {
			t.Fatal(err)
		}
		wantEntries(t, "entries", got, log[10:20])
		if _, err := s.entries(t.Context(), testDocument, 11, 31); !errors.Is(err, errSealed) {
			t.Errorf("entries past the end: got %v, want errSealed", err)
		}
		if _, err := s.entries(t.Context(), testDocument, 1, 20); err == nil {
			t.Error("entries that are sealed: got no error")
		}
		s.wantWhole(t, log)

		s.exec(t, `UPDATE documents SET deleted_at = 1, changes = 0, bytes = 0`) // as by erase
		s.exec(t, `DELETE FROM document_changes`)
		s.exec(t, `DELETE FROM document_packs`)
		if err := s.seal(t.Context(), testDocument, packOf(t, log, 11, 20)); !errors.Is(err, errSealed) {
			t.Errorf("a deleted document: got %v, want errSealed", err)
		}
		if err := s.replacePacks(t.Context(), testDocument, 1, packOf(t, log, 1, 10)); !errors.Is(err, errSealed) {
			t.Errorf("packs of a deleted document: got %v, want errSealed", err)
		}
		if err := s.saveSnapshot(t.Context(), testDocument, 30, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if tally, faults := s.verify(t); len(faults) > 0 || tally != (Tally{Deleted: 1}) {
			t.Errorf("after its deletion: %+v, %v", tally, faults)
		}
	})
}

// wantWhole checks that the log is there, and in order, and has no fault.
func (s store) wantWhole(t *testing.T, log []pack.Entry) {
	t.Helper()
	l, err := s.read(t.Context(), testDocument)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.doc.Chunks(0, l.doc.Len()); !slices.EqualFunc(got, chunksOf(log), bytes.Equal) {
		t.Errorf("%d changes are there, want other ones, %d", len(got), len(log))
	}
	if _, faults := s.verify(t); len(faults) > 0 {
		t.Errorf("found %v", faults)
	}
}

func (s store) verify(t *testing.T) (tally Tally, faults []Fault) {
	t.Helper()
	tally, err := Verify(t.Context(), s.db, func(f Fault) { faults = append(faults, f) })
	if err != nil {
		t.Fatal(err)
	}
	return tally, faults
}

func TestReplacePacks(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		log := chain(60)
		s := sealed(t, d, log, 10, 11, 35, 50)
		if err := s.replacePacks(t.Context(), testDocument, 4, packOf(t, log, 1, 35)); !errors.Is(err, errSealed) {
			t.Errorf("three packs for four: got %v, want errSealed", err)
		}
		s.wantWhole(t, log)
		if _, err := s.packs(t.Context(), testDocument, 40); !errors.Is(err, errSealed) {
			t.Errorf("packs up to the middle of one: got %v, want errSealed", err)
		}
		packs, err := s.packs(t.Context(), testDocument, 35)
		if err != nil || len(packs) != 3 {
			t.Fatalf("got %d packs, error %v", len(packs), err)
		}
		entries, err := unpackAll(packs)
		if err != nil {
			t.Fatal(err)
		}
		wantEntries(t, "unpacked", entries, log[:35])
		if err := s.replacePacks(t.Context(), testDocument, 3, packOf(t, log, 1, 35)); err != nil {
			t.Fatal(err)
		}
		s.wantWhole(t, log)
		s.exec(t, `UPDATE document_packs SET first_position = 34 WHERE first_version = 36`)
		if _, err := s.packs(t.Context(), testDocument, 50); !errors.Is(err, errLogDamaged) {
			t.Errorf("packs that overlap: got %v, want errLogDamaged", err)
		}
	})
}

// TestHistoryPages: wherever a page begins and ends, in packs, rows or both.
func TestHistoryPages(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		log := chain(40)
		for _, upTo := range [][]int{nil, {40}, {7, 20, 33}} {
			s := sealed(t, d, log, upTo...)
			for range 300 {
				before, limit := rand.IntN(45), 1+rand.IntN(45)
				end := len(log)
				if before > 0 {
					end = min(end, before)
				}
				from := max(0, end-limit)
				got, first, err := s.history(t.Context(), testDocument, before, limit)
				if err != nil || first != from {
					t.Fatalf("sealed up to %v: %d before %d begin at %d, error %v", upTo, limit, before, first, err)
				}
				wantEntries(t, fmt.Sprintf("sealed up to %v: %d before %d", upTo, limit, before), got, log[from:end])
			}
		}
	})
}

// TestUnpackWithAPart: who knows a part of a log can take in packs that were made
// since, and that begin before or behind what is known.
func TestUnpackWithAPart(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		log := chain(60)
		chunks := chunksOf(log)
		for _, upTo := range [][]int{{50}, {10, 50}, {10, 20, 50}, {30, 31, 32}} {
			s := sealed(t, d, log, upTo...)
			for known := range 50 {
				var doc docsync.Document
				if _, err := doc.Extend(slices.Concat(chunks[:known]...)); err != nil {
					t.Fatal(err)
				}
				r := &room{doc: doc, version: int64(known), frames: newFrames()}
				tail, err := s.load(t.Context(), testDocument, r.version)
				if err == nil {
					err = r.add(tail)
				}
				if err != nil {
					t.Fatalf("with %d, sealed up to %v: %v", known, upTo, err)
				}
				if got := r.doc.Chunks(0, r.doc.Len()); !slices.EqualFunc(got, chunks, bytes.Equal) || r.version != 60 {
					t.Fatalf("with %d, sealed up to %v: %d changes, version %d", known, upTo, len(got), r.version)
				}
				if last := upTo[len(upTo)-1]; known < last && (r.keeping.version != int64(last) || r.keeping.changes != last) {
					t.Errorf("with %d, sealed up to %v: it takes %d versions with %d changes for sealed", known, upTo, r.keeping.version, r.keeping.changes)
				}
			}
		}
		var doc docsync.Document
		if _, err := unpack(&doc, packOf(t, log, 11, 20)); !errors.Is(err, errLogDamaged) {
			t.Errorf("a pack of what comes later: got %v, want errLogDamaged", err)
		}
		p := packOf(t, log, 1, 20)
		p.changes--
		if _, err := unpack(&doc, p); !errors.Is(err, errLogDamaged) {
			t.Errorf("a pack with more than its row says: got %v, want errLogDamaged", err)
		}
	})
}

// TestDamagedPack: a document that cannot be read is not there and not empty, and
// takes nothing in.
func TestDamagedPack(t *testing.T) {
	h := build(t, Options{IdleAfter: 20 * time.Millisecond})
	log := chain(20)
	s := store{db: h.db}
	s.add(t, testDocument, log)
	p := packOf(t, log, 1, 15)
	if err := s.seal(t.Context(), testDocument, p); err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(p.data)
	damaged[len(damaged)/2] ^= 1
	s.exec(t, `UPDATE document_packs SET data = $1`, damaged)

	alice := h.join("alice")
	alice.sync("alice", docsync.Message{Have: []docsync.Have{{}}})
	alice.send(about("collab:join_document"))
	alice.send(editOf(by(5)))
	alice.ws.SetReadDeadline(time.Now().Add(time.Second)) // twenty times what it takes to say that there is none
	var m map[string]any
	if err := alice.ws.ReadJSON(&m); err == nil {
		t.Errorf("got %v of a document that cannot be read", m)
	}
	if _, err := s.load(t.Context(), testDocument, 20); err != nil {
		t.Errorf("something was added: %v", err)
	}

	// Once it is whole again, what waited goes on.
	bob := h.join("bob")
	bob.sync("bob", docsync.Message{Have: []docsync.Have{{}}})
	s.exec(t, `UPDATE document_packs SET data = $1`, p.data)
	for {
		m, err := bob.next()
		if err != nil {
			t.Fatal(err)
		}
		if m.Type == "sync" {
			break
		}
	}
}

// TestVerifyFinds what is wrong, and in one line where the rest follows from it.
func TestVerifyFinds(t *testing.T) {
	d := scratch.Open(t, db.Options{Dir: t.TempDir()}) // the damage is done in its dialect
	log := chain(40)
	whole := sealed(t, d, log, 10, 20)
	tally, faults := whole.verify(t)
	if want := (Tally{Documents: 1, Changes: 40, Bytes: len(slices.Concat(chunksOf(log)...)), Packs: 2}); tally != want || len(faults) > 0 {
		t.Errorf("got %+v and %v, want %+v", tally, faults, want)
	}
	one := func(query string, args ...any) func(*testing.T, store) {
		return func(t *testing.T, s store) { s.exec(t, query, args...) }
	}
	stranger := changetest.Change{Actor: changetest.Actor(9), Deps: []change.Hash{{1}}}.Encode()
	for _, test := range []struct {
		name   string
		damage func(*testing.T, store)
		finds  []string
	}{
		{"a byte of a row", one(`UPDATE document_changes SET chunks = CAST(substr(chunks, 1, 20) || x'ff' || substr(chunks, 22) AS BLOB) WHERE version = 30`), []string{"version 30: "}},
		{"a row cut off", one(`UPDATE document_changes SET chunks = substr(chunks, 1, 20) WHERE version = 30`), []string{"version 30: "}},
		{"an empty row", one(`UPDATE document_changes SET chunks = x'' WHERE version = 30`), []string{"version 30 has no changes"}},
		{"no row", one(`DELETE FROM document_changes WHERE version = 30`), []string{"version 29 is followed by 31"}},
		{"not the last row", one(`DELETE FROM document_changes WHERE version = 40`), []string{"ends at version 39 of 40"}},
		{"a row twice", one(`UPDATE document_changes SET chunks = (SELECT chunks FROM document_changes WHERE version = 29) WHERE version = 40`), []string{"is there twice"}},
		{"rows that have changed places", func(t *testing.T, s store) {
			s.exec(t, `UPDATE document_changes SET version = 100 WHERE version = 30`)
			s.exec(t, `UPDATE document_changes SET version = 30 WHERE version = 31`)
			s.exec(t, `UPDATE document_changes SET version = 31 WHERE version = 100`)
		}, []string{"does not come after"}},
		{"another change", one(`UPDATE document_changes SET chunks = $1 WHERE version = 40`, stranger), []string{"does not come after", "is said to have"}},
		{"a byte of a pack", one(`UPDATE document_packs SET data = CAST(substr(data, 1, 50) || x'ff00ff' || substr(data, 54) AS BLOB) WHERE first_version = 11`), []string{"versions 11 to 20: "}},
		{"a pack's version", one(`UPDATE document_packs SET data = CAST(x'02' || substr(data, 2) AS BLOB) WHERE first_version = 11`), []string{"unknown version"}},
		{"no pack", one(`DELETE FROM document_packs WHERE first_version = 1`), []string{"version 0 is followed by the pack of versions 11 to 20", "11 to 20 cannot be checked"}},
		{"a pack's position", one(`UPDATE document_packs SET first_position = 9 WHERE first_version = 11`), []string{"begins at change 9, not 10"}},
		{"a pack's count", one(`UPDATE document_packs SET changes = 9 WHERE first_version = 11`), []string{"has 10 changes, not 9"}},
		{"a row that a pack has", one(`INSERT INTO document_changes SELECT document_id, 20, chunks, user_id, created_at FROM document_changes WHERE version = 21`), []string{"version 20 is followed by 20", "twice"}},
		{"the version", one(`UPDATE documents SET version = 41`), []string{"ends at version 40 of 41"}},
		{"the number of changes", one(`UPDATE documents SET changes = 39`), []string{"is said to have 39 changes"}},
		{"the bytes", one(`UPDATE documents SET bytes = 1`), []string{"changes of 1 bytes"}},
		{"a snapshot", one(`INSERT INTO document_snapshots VALUES ($1, 10, x'856f4a83000000000101')`, testDocument), []string{"its snapshot: "}},
		{"a snapshot of more", one(`INSERT INTO document_snapshots VALUES ($1, 41, $2)`, testDocument, changetest.Chunk(0, nil)), []string{"of 41 changes, and there are 40"}},
		{"an id", func(t *testing.T, s store) {
			s.exec(t, `UPDATE documents SET id = 'x'`)
			s.exec(t, `UPDATE document_changes SET document_id = 'x'`)
			s.exec(t, `UPDATE document_packs SET document_id = 'x'`)
		}, []string{"its id is none"}},
		{"no document", one(`DELETE FROM documents`), []string{"there are changes, and no such document", "there are packs, and no such document"}},
		{"a deleted one", one(`UPDATE documents SET deleted_at = 1, changes = 0, bytes = 0`), []string{"is deleted, and its changes are there", "is said to have 0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sealed(t, d, log, 10, 20)
			test.damage(t, s)
			_, faults := s.verify(t)
			ok := len(faults) == len(test.finds)
			for i := range min(len(faults), len(test.finds)) {
				ok = ok && bytes.Contains([]byte(faults[i].What), []byte(test.finds[i]))
			}
			if !ok {
				t.Errorf("found %q, want %q", faults, test.finds)
			}
		})
	}
}

// TestSealThatFails: it is not tried again and again, and the room does not go
// while something is done about its log.
func TestSealThatFails(t *testing.T) {
	var log bytes.Buffer // written by one room at a time
	h := build(t, Options{IdleAfter: 10 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	h.exec(`CREATE TRIGGER fail BEFORE INSERT ON document_packs BEGIN SELECT RAISE(ABORT, 'injected'); END`)
	h.module.chore <- struct{}{} // another room's
	long := first
	long.Ops = []changetest.Op{changetest.Set(changetest.ID{}, "x", string(make([]byte, sealBytes)))}
	alice := h.join("alice")
	alice.ask(1, editOf(long))
	alice.ws.Close()
	time.Sleep(200 * time.Millisecond)
	if n := h.module.Stats().Open.Load(); n != 1 {
		t.Errorf("%d documents are open while one is to be sealed", n)
	}
	<-h.module.chore
	h.waitForOpen(0)
	bob := h.join("bob")
	bob.ask(1, about("collab:join_document"))
	for i := range 20 {
		c := by(byte(5 + i))
		c.Deps = []change.Hash{long.Hash()}
		bob.ask(2+i, editOf(c))
	}
	bob.ws.Close()
	h.waitForOpen(0)
	if n := bytes.Count(log.Bytes(), []byte("cannot be kept")); n < 1 || n > 2 { // once in each room
		t.Errorf("it failed %d times", n)
	}
	s := store{db: h.db}
	if tally, faults := s.verify(t); len(faults) > 0 || tally.Packs > 0 || tally.Changes != 21 {
		t.Errorf("found %+v, %v", tally, faults)
	}
}
