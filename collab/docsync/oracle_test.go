package docsync_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/automerge/automerge-go"

	"atrium/collab/docsync"
)

// TestRandomDocumentsOfTheReferenceImplementation sends what automerge-go writes
// through a Document, out of order and in pieces, and reads it back with
// automerge-go: the same heads, the same content.
func TestRandomDocumentsOfTheReferenceImplementation(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			source := randomDocument(t, rng)
			changes, err := source.Changes()
			if err != nil {
				t.Fatal(err)
			}
			var m docsync.Message
			for _, c := range changes {
				m.Changes = append(m.Changes, c.Save())
			}
			rng.Shuffle(len(m.Changes), func(i, j int) { m.Changes[i], m.Changes[j] = m.Changes[j], m.Changes[i] })

			doc := new(docsync.Document)
			writer, reader := docsync.NewPeer("writer", false), docsync.NewPeer("reader", false)
			for part := range slices.Chunk(m.Changes, 1+rng.IntN(20)) {
				refused, err := doc.Receive(writer, docsync.Message{Changes: part})
				if err != nil || len(refused) > 0 {
					t.Fatalf("refused %v, error %v", refused, err)
				}
				doc.Commit()
			}
			if doc.Len() != len(changes) {
				t.Fatalf("the log has %d changes, want %d", doc.Len(), len(changes))
			}
			var want []string
			for _, h := range source.Heads() {
				want = append(want, h.String())
			}
			slices.Sort(want)
			var got []string
			for _, h := range doc.Heads() {
				got = append(got, h.String())
			}
			if !slices.Equal(got, want) {
				t.Fatalf("heads are %v, want %v", got, want)
			}

			if _, err := doc.Receive(reader, docsync.Message{Have: []docsync.Have{{}}}); err != nil {
				t.Fatal(err)
			}
			out, ok := doc.Next(reader)
			if !ok {
				t.Fatal("a new reader is sent nothing")
			}
			copied := automerge.New()
			if _, err := automerge.NewSyncState(copied).ReceiveMessage(doc.Append(nil, out)); err != nil {
				t.Fatal(err)
			}
			if got, want := copied.Root().Interface(), source.Root().Interface(); !reflect.DeepEqual(got, want) {
				t.Errorf("content is %v, want %v", got, want)
			}
		})
	}
}

// randomDocument is edited by three actors that merge now and then.
func randomDocument(t *testing.T, rng *rand.Rand) *automerge.Doc {
	docs := []*automerge.Doc{automerge.New()}
	root := docs[0].RootMap()
	for key, value := range map[string]any{"text": automerge.NewText("start"), "list": automerge.NewList(), "count": automerge.NewCounter(1), "map": automerge.NewMap()} {
		if err := root.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := docs[0].Commit("begin"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		fork, err := docs[0].Fork()
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, fork)
	}
	for range 20 + rng.IntN(60) {
		doc := docs[rng.IntN(len(docs))]
		var err error
		switch rng.IntN(7) {
		case 0:
			err = doc.Path("list").List().Append(rng.Int64(), "x", 1.5, true, nil, []byte{1})
		case 1:
			err = doc.Path("count").Counter().Inc(int64(rng.IntN(9) - 4))
		case 2:
			err = doc.Path("map", fmt.Sprint("key ", rng.IntN(5))).Set(rng.IntN(100))
		case 3:
			err = doc.Path("map", "deep", fmt.Sprint(rng.IntN(3))).Set(automerge.NewMap())
		case 4:
			if other := docs[rng.IntN(len(docs))]; other != doc { // merging with itself never returns
				_, err = doc.Merge(other)
			}
		default:
			text := doc.Path("text").Text()
			at := rng.IntN(text.Len() + 1)
			err = text.Splice(at, rng.IntN(min(3, text.Len()-at)+1), []string{"", "a", "ñ", "𝄞"}[rng.IntN(4)])
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := doc.Commit("", automerge.CommitOptions{AllowEmpty: true}); err != nil {
			t.Fatal(err)
		}
	}
	for _, doc := range docs[1:] {
		if _, err := docs[0].Merge(doc); err != nil {
			t.Fatal(err)
		}
	}
	return docs[0]
}
