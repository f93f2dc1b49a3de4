package docsync

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"atrium/collab/change"
)

// TestExtendHashed: a log whose hashes are known makes the same document as one
// that is hashed, and what is staged comes behind both.
func TestExtendHashed(t *testing.T) {
	g := randomGraph(t, rand.New(rand.NewPCG(1, 6)), 60)
	var chunks [][]byte
	var hashes []change.Hash
	for p := range position(g.n) {
		chunks, hashes = append(chunks, g.at(p).chunk), append(hashes, g.at(p).hash)
	}
	run := slices.Concat(chunks...)
	var want Document
	if _, err := want.Extend(run); err != nil {
		t.Fatal(err)
	}
	var d Document
	half := len(slices.Concat(chunks[:30]...))
	if _, err := d.ExtendHashed(run[:half], hashes[:30]); err != nil {
		t.Fatal(err)
	}
	c, err := change.Parse(chunks[30])
	if err != nil {
		t.Fatal(err)
	}
	if refused := d.stage(&c, new(Peer), nil); len(refused) > 0 || len(d.Staged()) != 1 {
		t.Fatalf("%d staged, refused %v", len(d.Staged()), refused)
	}
	// The second half begins with what is known and ends with what was staged.
	from := len(slices.Concat(chunks[:25]...))
	if refused, err := d.ExtendHashed(run[from:], hashes[25:]); err != nil || len(refused) > 0 {
		t.Fatal(refused, err)
	}
	if d.Len() != want.Len() || !slices.Equal(d.Heads(), want.Heads()) || len(d.Staged()) != 0 {
		t.Errorf("%d changes, %d staged, heads %v; want %d, heads %v", d.Len(), len(d.Staged()), d.Heads(), want.Len(), want.Heads())
	}
	for p, h := range hashes {
		if at, ok := d.Position(h); !ok || at != p || d.HashAt(p) != h {
			t.Errorf("change %d stands at %d", p, at)
		}
	}
}

func TestExtendHashedRefuses(t *testing.T) {
	g := randomGraph(t, rand.New(rand.NewPCG(2, 6)), 3)
	run := slices.Concat(g.at(0).chunk, g.at(1).chunk)
	h := []change.Hash{g.at(0).hash, g.at(1).hash, g.at(2).hash}
	for name, tt := range map[string]struct {
		hashes []change.Hash
		want   error
		n      int // changes that it takes
	}{
		"too few":  {h[:1], errHashes, 1},
		"too many": {h, errHashes, 2},
		"others":   {h[1:], change.ErrChecksum, 0},
	} {
		var d Document
		if _, err := d.ExtendHashed(run, tt.hashes); !errors.Is(err, tt.want) || d.Len() != tt.n {
			t.Errorf("%s: %d changes, %v; want %d, %v", name, d.Len(), err, tt.n, tt.want)
		}
	}
}
