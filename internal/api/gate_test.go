package api

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestGate: no more than it says are inside, of one caller half of that, and all
// who wait come in.
func TestGate(t *testing.T) {
	g := NewGate(4)
	var all, greedy, most, mostGreedy atomic.Int64
	max := func(of *atomic.Int64, n int64) {
		for old := of.Load(); n > old && !of.CompareAndSwap(old, n); old = of.Load() {
		}
	}
	var calls sync.WaitGroup
	call := func(caller string, count *atomic.Int64) {
		calls.Go(func() {
			leave, ok := g.enter(t.Context(), caller)
			if !ok {
				t.Errorf("%s did not come in", caller)
				return
			}
			defer leave()
			max(&most, all.Add(1))
			if count != nil {
				max(&mostGreedy, count.Add(1))
				defer count.Add(-1)
			}
			defer all.Add(-1)
			time.Sleep(time.Millisecond)
		})
	}
	for range 100 {
		call("greedy", &greedy)
		call("another", nil)
		call("third", nil)
	}
	calls.Wait()
	if most.Load() != 4 || mostGreedy.Load() > 2 {
		t.Errorf("%d at once, %d of one caller", most.Load(), mostGreedy.Load())
	}
	if len(g.callers) > 0 {
		t.Errorf("%d callers are left", len(g.callers))
	}
}

func TestGateInVain(t *testing.T) {
	g := NewGate(2)
	g.patience = 20 * time.Millisecond
	leave, _ := g.enter(t.Context(), "a")
	for _, caller := range []string{"a", "b", "c"} {
		other, ok := g.enter(t.Context(), caller)
		if ok != (caller == "b") {
			t.Errorf("%s came in: %t", caller, ok)
		}
		if ok {
			defer other()
		}
	}
	leave()
	if again, ok := g.enter(t.Context(), "a"); !ok {
		t.Error("a did not come in again")
	} else {
		again()
	}
}
