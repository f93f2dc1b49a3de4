package docsync_test

import (
	"os"
	"testing"

	"atrium/collab/change"
	"atrium/collab/docsync"
)

// readCorpus returns the documents of package change's corpus: what stock
// clients wrote, in dependency order.
func readCorpus(t testing.TB) (docs [][][]byte) {
	data, err := os.ReadFile("../change/testdata/corpus.bin")
	if err != nil {
		t.Fatal(err)
	}
	take := func(src []byte) (b, rest []byte) {
		n, rest, err := change.ParseUleb(src)
		if err != nil {
			t.Fatal(err)
		}
		return rest[:n:n], rest[n:]
	}
	for len(data) > 0 {
		var record []byte
		record, data = take(data)
		chunk, _ := take(record[1:]) // behind the client's version
		c, err := change.Parse(chunk)
		if err != nil {
			t.Fatal(err)
		}
		if c.NumDeps() == 0 {
			docs = append(docs, nil)
		}
		docs[len(docs)-1] = append(docs[len(docs)-1], chunk)
	}
	return docs
}

// TestCorpusIsAccepted gives a document what 2.2.9 and 3.5.0 wrote, with merges,
// edits of older states, marks, blocks, counters and empty changes.
func TestCorpusIsAccepted(t *testing.T) {
	accepted := 0
	for i, chunks := range readCorpus(t) {
		doc, peer := new(docsync.Document), docsync.NewPeer(nil, false)
		for _, chunk := range chunks {
			c, err := change.Parse(chunk)
			if err != nil {
				t.Fatal(err)
			}
			if change.Check(&c) != nil {
				break // an empty mark of 2.2, and what depends on it
			}
			refused, err := doc.Receive(peer, docsync.Message{Changes: [][]byte{chunk}})
			if err != nil || len(refused) > 0 {
				t.Fatalf("document %d: refused %v, error %v", i, refused, err)
			}
			doc.Commit()
			accepted++
		}
	}
	if accepted < 500 {
		t.Errorf("only %d changes", accepted)
	}
}

func TestTypedTraceIsAccepted(t *testing.T) {
	chunks, err := typed()
	if err != nil {
		t.Fatal(err)
	}
	doc, peer := new(docsync.Document), docsync.NewPeer(nil, false)
	for _, chunk := range chunks {
		refused, err := doc.Receive(peer, docsync.Message{Changes: [][]byte{chunk}})
		if err != nil || len(refused) > 0 {
			t.Fatalf("refused %v, error %v", refused, err)
		}
		doc.Commit()
	}
	if doc.Len() != len(chunks) {
		t.Errorf("%d changes of %d", doc.Len(), len(chunks))
	}
}

// BenchmarkReceive takes in the last change of a long trace, with everything
// that this takes, and gives it up again.
func BenchmarkReceive(b *testing.B) {
	chunks, err := typed()
	if err != nil {
		b.Fatal(err)
	}
	doc, peer := new(docsync.Document), docsync.NewPeer(nil, false)
	for _, run := range runs(chunks[:len(chunks)-1], 1000) {
		if _, err := doc.Extend(run); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		refused, err := doc.Receive(peer, docsync.Message{Changes: chunks[len(chunks)-1:]})
		if err != nil || len(refused) > 0 || len(doc.Staged()) != 1 {
			b.Fatalf("refused %v, error %v", refused, err)
		}
		doc.Abandon()
	}
}
