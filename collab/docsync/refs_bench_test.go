package docsync

import (
	"math/rand/v2"
	"slices"
	"testing"

	"atrium/collab/change"
	ct "atrium/collab/change/changetest"
)

func parse(t testing.TB, c ct.Change) *change.Change {
	parsed, err := change.Parse(c.Encode())
	if err == nil {
		err = change.Check(&parsed)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &parsed
}

// keystrokes returns a graph of n changes of one character each, every one
// behind a random one, and the hash of the last.
func keystrokes(t testing.TB, n int) (*graph, change.Hash) {
	rng := rand.New(rand.NewPCG(1, 6))
	g := &graph{}
	first := parse(t, ct.Change{Actor: alice, Ops: []ct.Op{ct.Make(root, "t", ct.MakeText), ct.Insert(old(1), root, "a")}})
	g.add(first)
	last := first.Hash
	for i := 1; i < n; i++ {
		c, err := change.Parse(ct.Change{
			Actor: alice, Seq: uint64(i + 1), StartOp: uint64(i + 2), Deps: []change.Hash{last},
			Ops: []ct.Op{ct.Insert(old(1), old(2+rng.Uint64N(uint64(i))), "a")},
		}.Encode())
		if err != nil {
			t.Fatal(err)
		}
		g.add(&c)
		last = c.Hash
	}
	return g, last
}

// bulk returns a graph with one change of n operations, of which the i-th is f's.
func bulk(t testing.TB, n int, f func(i int) ct.Op) (*graph, change.Hash) {
	ops := make([]ct.Op, n)
	for i := range ops {
		ops[i] = f(i)
	}
	g := &graph{}
	c := parse(t, ct.Change{Actor: alice, Ops: ops})
	g.add(c)
	c = parse(t, ct.Change{Actor: bob, StartOp: uint64(n + 1), Deps: []change.Hash{c.Hash}, Ops: []ct.Op{ct.Set(root, "x", 1)}})
	g.add(c)
	return g, c.Hash
}

func pasted(i int) ct.Op {
	if i == 0 {
		return ct.Make(root, "t", ct.MakeText)
	}
	after := old(uint64(i))
	if i == 1 {
		after = root
	}
	return ct.Insert(old(1), after, "a")
}

// imported makes a list of maps with three keys each, as JSON comes to be.
func imported(i int) ct.Op {
	switch at := uint64(i) - 1; {
	case i == 0:
		return ct.Make(root, "t", ct.MakeList)
	case at == 0:
		return ct.Op{Obj: old(1), Key: root, Insert: true, Action: ct.MakeMap}
	case at%4 == 0:
		return ct.Op{Obj: old(1), Key: old(at - 2), Insert: true, Action: ct.MakeMap}
	default:
		return ct.Set(old(2+at-at%4), []string{"", "x", "y", "z"}[at%4], int(at))
	}
}

// BenchmarkCheckReferences checks edits against the graph.
func BenchmarkCheckReferences(b *testing.B) {
	edit := func(startOp uint64, dep change.Hash, seq uint64, ops ...ct.Op) *change.Change {
		return parse(b, ct.Change{Actor: alice, Seq: seq, StartOp: startOp, Deps: []change.Hash{dep}, Ops: ops})
	}
	run := func(name string, make func() (g *graph, edits []*change.Change)) {
		b.Run(name, func(b *testing.B) {
			g, edits := make()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := g.check(edits[i%len(edits)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	const long = 260_000
	rng := rand.New(rand.NewPCG(1, 7))
	run("key among 260k changes", func() (*graph, []*change.Change) {
		g, last := keystrokes(b, long)
		var edits []*change.Change
		for range 1000 {
			edits = append(edits, edit(long+2, last, long+1, ct.Insert(old(1), old(2+rng.Uint64N(long-1)), "a")))
		}
		return g, edits
	})
	run("delete 100k of 260k changes", func() (*graph, []*change.Change) {
		g, last := keystrokes(b, long)
		var ops []ct.Op
		for _, i := range rng.Perm(100_000) {
			ops = append(ops, ct.Delete(old(1), old(uint64(i+2))))
		}
		return g, []*change.Change{edit(long+2, last, long+1, ops...)}
	})
	for _, x := range []struct {
		name string
		op   func(i int) ct.Op
		elem func(i int) ct.ID
		n    int
	}{
		{"pasted 100k", pasted, func(i int) ct.ID { return old(uint64(i + 2)) }, 99_999},
		{"imported 100k", imported, func(i int) ct.ID { return old(uint64(4*i + 2)) }, 24_999},
	} {
		run("key in "+x.name, func() (*graph, []*change.Change) {
			g, last := bulk(b, 100_000, x.op)
			var edits []*change.Change
			for range 1000 {
				edits = append(edits, edit(100_002, last, 2, ct.Insert(old(1), x.elem(rng.IntN(x.n)), "a")))
			}
			return g, edits
		})
		for _, order := range []string{"forwards", "backwards", "at random"} {
			run("delete "+x.name+" "+order, func() (*graph, []*change.Change) {
				g, last := bulk(b, 100_000, x.op)
				perm := rng.Perm(x.n)
				if order != "at random" {
					slices.Sort(perm)
				}
				if order == "backwards" {
					slices.Reverse(perm)
				}
				var ops []ct.Op
				for _, i := range perm {
					ops = append(ops, ct.Delete(old(1), x.elem(i)))
				}
				return g, []*change.Change{edit(100_002, last, 2, ops...)}
			})
		}
	}
}
