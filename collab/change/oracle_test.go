package change_test

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"github.com/automerge/automerge-go"

	"atrium/collab/change"
)

// TestReference compares with the reference core: random documents of several
// actors, made by it.
func TestReference(t *testing.T) {
	docs := 30
	if testing.Short() {
		docs = 5
	}
	total := 0
	for seed := range uint64(docs) {
		doc := randomDoc(t, rand.New(rand.NewPCG(seed, 1)))
		changes, err := doc.Changes()
		if err != nil {
			t.Fatal(err)
		}
		last := map[change.Hash]uint64{} // counter of the last operation
		for _, want := range changes {
			got, err := change.Parse(want.Save())
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if err := change.Check(&got); err != nil {
				t.Fatalf("seed %d: %v: %v", seed, want.Hash(), err)
			}
			compare(t, &got, want)
			n, err := got.Ops()
			if err != nil {
				t.Fatal(err)
			}
			last[got.Hash] = got.StartOp + n - 1
			for i := range got.NumDeps() {
				if end, ok := last[got.Dep(i)]; !ok || end >= got.StartOp {
					t.Fatalf("seed %d: change begins at %d, a dependency ends at %d", seed, got.StartOp, end)
				}
			}
			total++
		}
		// The whole history is one run for Next, and the same to the reference.
		run := automerge.SaveChanges(changes)
		var raw []byte
		for _, c := range changes {
			got, _ := change.Parse(c.Save())
			raw = append(raw, got.Chunk...)
		}
		for rest := raw; len(rest) > 0; {
			if _, rest, err = change.Next(rest); err != nil {
				t.Fatal(err)
			}
		}
		if again, err := automerge.LoadChanges(raw); err != nil || !bytes.Equal(automerge.SaveChanges(again), run) {
			t.Fatalf("seed %d: the reference reads another history: %v", seed, err)
		}
	}
	t.Logf("%d changes", total)
}

func compare(t *testing.T, got *change.Change, want *automerge.Change) {
	t.Helper()
	if got.Hash.String() != want.Hash().String() || hex.EncodeToString(got.Actor) != want.ActorID() ||
		got.Seq != want.ActorSeq() || string(got.Message()) != want.Message() ||
		got.Time != want.Timestamp().Unix() && got.Time != want.Timestamp().UnixMilli() {
		t.Errorf("got %v %x %d %d %q, want %v %v %d %v %q", got.Hash, got.Actor, got.Seq, got.Time, got.Message(),
			want.Hash(), want.ActorID(), want.ActorSeq(), want.Timestamp(), want.Message())
	}
	deps := want.Dependencies()
	if got.NumDeps() != len(deps) {
		t.Fatalf("%v: %d dependencies, want %d", got.Hash, got.NumDeps(), len(deps))
	}
	for i, d := range deps {
		if got.Dep(i).String() != d.String() {
			t.Errorf("%v: dependency %v, want %v", got.Hash, got.Dep(i), d)
		}
	}
}

func randomDoc(t *testing.T, r *rand.Rand) *automerge.Doc {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	first := automerge.New()
	must(first.Path("list").Set([]any{1, "two", nil}))
	must(first.Path("map").Set(map[string]any{"a": map[string]any{"b": 1.5}}))
	must(first.Path("text").Set(automerge.NewText("hello")))
	must(first.Path("n").Set(automerge.NewCounter(1)))
	_, err := first.Commit("first")
	must(err)
	docs := []*automerge.Doc{first}
	for range 1 + r.IntN(3) {
		d, err := first.Fork()
		must(err)
		docs = append(docs, d)
	}
	for range 60 {
		d := docs[r.IntN(len(docs))]
		switch r.IntN(10) {
		case 0:
			// A document locks itself when merged with itself.
			if other := docs[r.IntN(len(docs))]; other != d {
				_, err := d.Merge(other)
				must(err)
			}
		case 1:
			must(d.Path("n").Counter().Inc(int64(r.IntN(100) - 50)))
		case 2, 3, 4:
			text := d.Path("text").Text()
			at := r.IntN(text.Len() + 1)
			must(text.Splice(at, r.IntN(min(4, text.Len()-at)+1), []string{"", "x", "日本", "some more"}[r.IntN(4)]))
		case 5:
			list := d.Path("list").List()
			must(list.Insert(r.IntN(list.Len()+1), []any{true, uint64(7), []byte{1, 2}, -1 << 40, []any{1, 2}}[r.IntN(5)]))
		case 6:
			if list := d.Path("list").List(); list.Len() > 0 {
				must(d.Path("list", r.IntN(list.Len())).Delete())
			}
		case 7:
			must(d.Path("map", string('a'+rune(r.IntN(4)))).Set([]any{1, "v", map[string]any{"deep": []any{}}}[r.IntN(3)]))
		case 8:
			must(d.Path("map", string('a'+rune(r.IntN(4)))).Delete())
		case 9:
			_, err := d.Commit([]string{"", "message"}[r.IntN(2)], automerge.CommitOptions{AllowEmpty: true})
			must(err)
		}
		if r.IntN(2) == 0 {
			// It is an error if there is nothing to commit.
			_, _ = d.Commit("", automerge.CommitOptions{AllowEmpty: r.IntN(4) == 0})
		}
	}
	for _, d := range docs[1:] {
		_, err := d.Commit("", automerge.CommitOptions{AllowEmpty: true})
		must(err)
		_, err = first.Merge(d)
		must(err)
	}
	_, err = first.Commit("last", automerge.CommitOptions{AllowEmpty: true})
	must(err)
	return first
}
