package awareness_test

import (
	"cmp"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"atrium/collab/awareness"
)

// naive does what Cursors does, by looking at everything each time.
type naive struct {
	version uint64
	all     []naiveCursor
}

type naiveCursor struct {
	session int
	at      int
	version uint64
	gone    bool
}

func (n *naive) find(session int) int {
	return slices.IndexFunc(n.all, func(c naiveCursor) bool { return c.session == session })
}

func (n *naive) set(session, at int, gone bool) {
	if i := n.find(session); i >= 0 {
		n.all = slices.Delete(n.all, i, i+1)
	}
	n.version++
	n.all = append(n.all, naiveCursor{session, at, n.version, gone})
}

func (n *naive) of(session int) (at int, ok bool) {
	if i := n.find(session); i >= 0 && !n.all[i].gone {
		return n.all[i].at, true
	}
	return 0, false
}

func (n *naive) since(version uint64) (moved []int) {
	newestFirst := slices.SortedFunc(slices.Values(n.all), func(a, b naiveCursor) int { return -cmp.Compare(a.version, b.version) })
	for _, c := range newestFirst {
		if c.version > version {
			moved = append(moved, c.at)
		}
	}
	return moved
}

func (n *naive) forget(version uint64) {
	n.all = slices.DeleteFunc(n.all, func(c naiveCursor) bool { return c.gone && c.version <= version })
}

func TestCursorsAgreeWithANaiveModel(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var cs awareness.Cursors[int, int]
		var model naive
		sessions := 1 + rng.IntN(8)
		for step := range 60 {
			session := rng.IntN(sessions)
			switch n := rng.IntN(10); {
			case n < 5:
				cs.Move(session, step)
				model.set(session, step, false)
			case n < 8:
				_, had := model.of(session)
				if left := cs.Leave(session, step); left != had {
					t.Fatalf("seed %d, step %d: leaving says %t, want %t", seed, step, left, had)
				}
				if had {
					model.set(session, step, true)
				}
			default:
				version := rng.Uint64N(model.version + 1)
				cs.Forget(version)
				model.forget(version)
			}
			if cs.Version() != model.version {
				t.Fatalf("seed %d, step %d: version %d, want %d", seed, step, cs.Version(), model.version)
			}
			for version := range model.version + 2 {
				if got, want := cs.Since(version), model.since(version); !slices.Equal(got, want) {
					t.Fatalf("seed %d, step %d: since version %d %v has moved, want %v", seed, step, version, got, want)
				}
			}
			for session := range sessions {
				at, ok := cs.Of(session)
				if wantAt, want := model.of(session); at != wantAt || ok != want {
					t.Fatalf("seed %d, step %d: session %d is at %d, %t, want %d, %t", seed, step, session, at, ok, wantAt, want)
				}
			}
		}
	}
}

// TestCursorsForgetThoseWhoLeft: sessions come and go for as long as one stays,
// and nothing is left of them.
func TestCursorsForgetThoseWhoLeft(t *testing.T) {
	type large [1 << 10]byte
	var cs awareness.Cursors[int, *large]
	const stays = -1
	cs.Move(stays, new(large))
	come := func(from, to int) {
		for session := from; session < to; session++ {
			cs.Move(session, new(large))
			cs.Leave(session, new(large))
			cs.Forget(cs.Version())
		}
	}
	come(0, 100)
	before := heap()
	come(100, 10_100)
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("10,000 sessions that have left take %d bytes", grown)
	}
	if moved := cs.Since(0); len(moved) != 1 {
		t.Errorf("%d cursors are left, want the one of who stayed", len(moved))
	}
	if _, ok := cs.Of(stays); !ok {
		t.Error("who stayed has no cursor")
	}
}

func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
