package docsync

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"atrium/collab/change"
	"atrium/collab/change/changetest"
)

// chain returns n changes of an actor, each on top of the one before.
func chain(actor byte, n int) (chain []changetest.Change) {
	var deps []change.Hash
	for i := range n {
		c := changetest.Change{
			Actor: changetest.Actor(actor), Seq: uint64(i + 1), StartOp: uint64(i + 1), Deps: deps,
			Ops: []changetest.Op{changetest.Set(changetest.ID{}, "x", i)},
		}
		chain, deps = append(chain, c), []change.Hash{c.Hash()}
	}
	return chain
}

func encoded(changes ...changetest.Change) (chunks [][]byte) {
	for _, c := range changes {
		chunks = append(chunks, c.Encode())
	}
	return chunks
}

// submit submits and commits. Of each refused change it returns its place in
// changes.
func submit(t *testing.T, d *Document, p *Peer, changes ...changetest.Change) map[int]error {
	t.Helper()
	refused, err := d.Submit(p, encoded(changes...))
	if err != nil {
		t.Fatal(err)
	}
	if p.Waiting() != (len(d.Staged()) > 0) {
		t.Errorf("the author waits: %t, with %d changes staged", p.Waiting(), len(d.Staged()))
	}
	d.Commit()
	if p.Waiting() {
		t.Error("the author waits after the commit")
	}
	at := make(map[int]error)
	for _, r := range refused {
		if r.Peer != p {
			t.Errorf("the refusal of %.8s is %v's", r.Change, r.Peer)
		}
		at[slices.IndexFunc(changes, func(c changetest.Change) bool { return c.Hash() == r.Change })] = r.Err
	}
	return at
}

// TestSubmitWithoutDependencies: what depends on unknown changes is neither held
// nor remembered, and is taken when it comes again behind them.
func TestSubmitWithoutDependencies(t *testing.T) {
	d, p, c := new(Document), NewAuthor(nil), chain(1, 4)
	for range 2 { // the second time no ErrAgain
		for _, early := range c[1:] {
			if refused := submit(t, d, p, early); !errors.Is(refused[0], ErrMissing) {
				t.Errorf("got %v, want ErrMissing", refused)
			}
		}
	}
	if d.Len() > 0 || len(d.orphans.byHash) > 0 {
		t.Fatalf("%d changes in the log, %d held, want none", d.Len(), len(d.orphans.byHash))
	}
	// In the wrong order: the first is taken, the second came too early.
	if refused := submit(t, d, p, c[1], c[0]); len(refused) != 1 || !errors.Is(refused[0], ErrMissing) {
		t.Errorf("got %v, want ErrMissing of the one that came too early", refused)
	}
	if d.Len() != 1 || d.Heads()[0] != c[0].Hash() {
		t.Fatalf("the log has %d changes, want the first", d.Len())
	}
	if refused := submit(t, d, p, c[1:]...); len(refused) > 0 || d.Len() != 4 {
		t.Errorf("got %v and %d changes, want all taken", refused, d.Len())
	}
	if refused := submit(t, d, p, c...); len(refused) > 0 || d.Len() != 4 {
		t.Errorf("once more: got %v and %d changes, want none refused and none added", refused, d.Len())
	}
}

// TestSubmitOnTopOfAnothersStagedChange: what is staged is there.
func TestSubmitOnTopOfAnothersStagedChange(t *testing.T) {
	d, alice, bob, c := new(Document), NewAuthor("alice"), NewAuthor("bob"), chain(1, 2)
	for i, p := range []*Peer{alice, bob} {
		if refused, err := d.Submit(p, encoded(c[i])); err != nil || len(refused) > 0 {
			t.Fatal(refused, err)
		}
	}
	again := NewAuthor("again")
	if _, err := d.Submit(again, encoded(c[0])); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Peer{alice, bob, again} {
		if !p.Waiting() {
			t.Errorf("%v does not wait, though what was sent is not stored", p.Tag)
		}
	}
	d.Commit()
	if d.Len() != 2 {
		t.Errorf("%d changes in the log, want 2", d.Len())
	}
}

// TestSubmitBadChanges: they are remembered, with what builds on them; the good
// ones beside them are taken.
func TestSubmitBadChanges(t *testing.T) {
	d, p, good := new(Document), NewAuthor(nil), chain(1, 2)
	bad := changetest.Change{Actor: changetest.Actor(2), Ops: []changetest.Op{{Key: "x", Action: 99}}}
	onBad := changetest.Change{
		Actor: changetest.Actor(2), Seq: 2, StartOp: 2, Deps: []change.Hash{bad.Hash()},
		Ops: []changetest.Op{changetest.Set(changetest.ID{}, "x", 1)},
	}
	refused := submit(t, d, p, good[0], bad, onBad, good[1])
	if len(refused) != 2 || refused[1] == nil || refused[1] == ErrMissing || refused[2] != errOnRefused {
		t.Errorf("got %v, want the bad one and what is on it refused", refused)
	}
	if d.Len() != 2 {
		t.Errorf("%d changes in the log, want the good ones", d.Len())
	}
	if refused := submit(t, d, p, bad, onBad); refused[0] != ErrAgain || refused[1] != ErrAgain {
		t.Errorf("sent again: got %v, want ErrAgain", refused)
	}
	if refused := submit(t, d, NewAuthor(nil), onBad); refused[0] != ErrMissing {
		t.Errorf("sent by another: got %v, want ErrMissing", refused)
	}
	if refused, err := d.Submit(p, [][]byte{[]byte("no chunk at all")}); err != nil || len(refused) != 1 || refused[0].Change != (change.Hash{}) {
		t.Errorf("no chunk: got %v, %v, want it refused without a hash", refused, err)
	}
}

func TestSinceAndChunksAgreeWithAWalkOfTheGraph(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 6))
		g := randomGraph(t, rng, 1+rng.IntN(80))
		var d Document
		var log [][]byte
		for p := range position(g.n) {
			log = append(log, g.at(p).chunk)
		}
		if _, err := d.Extend(slices.Concat(log...)); err != nil {
			t.Fatal(err)
		}
		same := func(what string, got, want [][]byte) {
			t.Helper()
			if !slices.EqualFunc(got, want, slices.Equal) {
				t.Fatalf("seed %d: %s has %d chunks, want %d, or they are others", seed, what, len(got), len(want))
			}
		}
		for range 30 {
			var heads []change.Hash
			var stack []position
			for range rng.IntN(4) {
				p := position(rng.IntN(g.n))
				heads, stack = append(heads, g.at(p).hash), append(stack, p)
			}
			if rng.IntN(4) == 0 {
				heads = slices.Insert(heads, rng.IntN(len(heads)+1), change.Hash{byte(rng.Uint32()), 1, 2, 3})
			}
			past := make(map[position]bool)
			for len(stack) > 0 {
				p := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				if !past[p] {
					past[p] = true
					g.eachDep(p, func(dep position) { stack = append(stack, dep) })
				}
			}
			var want [][]byte
			for p := range log {
				if !past[position(p)] {
					want = append(want, log[p])
				}
			}
			same("what comes after some heads", d.Since(heads), want)
			from := rng.IntN(g.n + 1)
			to := from + rng.IntN(g.n-from+1)
			same("a part", d.Chunks(from, to), log[from:to])
		}
		same("what comes after the heads", d.Since(d.Heads()), nil)
		same("what comes after nothing", d.Since(nil), log)
	}
}
