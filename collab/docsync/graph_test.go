package docsync

import (
	"math/rand/v2"
	"slices"
	"testing"

	"atrium/collab/change"
	"atrium/collab/change/changetest"
)

// randomGraph has n changes of a few actors that merge at random.
func randomGraph(t testing.TB, rng *rand.Rand, n int) *graph {
	g := &graph{}
	type branch struct {
		seq     uint64
		heads   []change.Hash
		startOp uint64
	}
	branches := make([]branch, 4)
	for range n {
		i := rng.IntN(len(branches))
		b := &branches[i]
		if rng.IntN(4) == 0 {
			other := branches[rng.IntN(len(branches))]
			b.heads = append(b.heads, other.heads...)
			b.startOp = max(b.startOp, other.startOp)
		}
		slices.SortFunc(b.heads, compareHashes)
		b.seq++
		b.startOp++
		c, err := change.Parse(changetest.Change{
			Actor: changetest.Actor(byte(i + 1)), Seq: b.seq, StartOp: b.startOp, Deps: slices.Compact(b.heads),
			Ops: []changetest.Op{changetest.Set(changetest.ID{}, "x", int(b.seq))},
		}.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if err := g.check(&c); err != nil {
			t.Fatal(err)
		}
		g.add(&c)
		b.heads = []change.Hash{c.Hash}
	}
	return g
}

func TestMissingAgreesWithAWalkOfTheGraph(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		g := randomGraph(t, rng, 1+rng.IntN(80))
		var base []position
		for range rng.IntN(4) {
			base = append(base, position(rng.IntN(g.n)))
		}
		past := make(map[position]bool)
		for stack := slices.Clone(base); len(stack) > 0; {
			p := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if !past[p] {
				past[p] = true
				g.eachDep(p, func(dep position) { stack = append(stack, dep) })
			}
		}
		var want []position
		for p := range position(g.n) {
			if !past[p] {
				want = append(want, p)
			}
		}
		got, from := g.missing(base, g.n)
		if len(got) > 0 && int(got[len(got)-1]) == from-1 {
			t.Errorf("seed %d: %v and all from %d overlap with what could be one range", seed, got, from)
		}
		for p := from; p < g.n; p++ {
			got = append(got, position(p))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: missing behind %v is %v, want %v", seed, base, got, want)
		}
	}
}

func TestTruncateUndoesAdd(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 4))
	g := randomGraph(t, rng, 300)
	whole := *g
	var all []change.Change
	for p := range position(g.n) {
		c, _, err := change.Next(g.at(p).chunk)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	headsAt := map[int][]position{}
	again := &graph{}
	for i := range all {
		headsAt[i] = slices.Clone(again.heads)
		again.add(&all[i])
	}
	for n := 300; n >= 0; n -= 1 + rng.IntN(40) {
		again.truncate(n, headsAt[min(n, 299)])
		if n == 300 {
			again.heads = slices.Clone(whole.heads)
		}
		for i := range all {
			p, known := again.find(all[i].Hash)
			if known != (i < n) || known && int(p) != i {
				t.Fatalf("after going back to %d: change %d found: %t, at %d", n, i, known, p)
			}
		}
	}
	again.truncate(0, nil)
	for i := range all {
		if err := again.check(&all[i]); err != nil {
			t.Fatalf("adding change %d again: %v", i, err)
		}
		again.add(&all[i])
	}
	if !slices.Equal(again.heads, whole.heads) {
		t.Errorf("heads are %v, want %v", again.heads, whole.heads)
	}
}

func TestChecksAgainstTheGraph(t *testing.T) {
	g := &graph{}
	add := func(c changetest.Change) change.Hash {
		parsed, err := change.Parse(c.Encode())
		if err != nil {
			t.Fatal(err)
		}
		g.add(&parsed)
		return parsed.Hash
	}
	set := func(n int) []changetest.Op {
		return slices.Repeat([]changetest.Op{changetest.Set(changetest.ID{}, "x", 1)}, n)
	}
	first := add(changetest.Change{Seq: 1, StartOp: 1, Ops: set(3)})
	for _, tt := range []struct {
		name string
		c    changetest.Change
		want error
	}{
		{"the next one", changetest.Change{Seq: 2, StartOp: 4, Deps: []change.Hash{first}, Ops: set(1)}, nil},
		{"another actor's first", changetest.Change{Actor: changetest.Actor(9), Seq: 1, StartOp: 1, Ops: set(1)}, nil},
		{"the same sequence number", changetest.Change{Seq: 1, StartOp: 4, Deps: []change.Hash{first}, Ops: set(1)}, errDuplicateSeq},
		{"a sequence number left out", changetest.Change{Seq: 3, StartOp: 4, Deps: []change.Hash{first}, Ops: set(1)}, errSeqGap},
		{"another actor that begins at 2", changetest.Change{Actor: changetest.Actor(9), Seq: 2, StartOp: 4, Ops: set(1)}, errSeqGap},
		{"operations that overlap", changetest.Change{Seq: 2, StartOp: 3, Deps: []change.Hash{first}, Ops: set(1)}, errStartOp},
	} {
		c, err := change.Parse(tt.c.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if err := g.check(&c); err != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}
