package inorder_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"atrium/internal/inorder"
)

// TestSequence: in whatever order versions come, and however often, each is told
// once, in order; those that never come are told by other means.
func TestSequence(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var q inorder.Sequence[int64]
		const from, n = 100, 30
		q.Reset(from)
		var told []int64
		var come []int64
		lost := make(map[int64]bool)
		for v := int64(from + 1); v <= from+n; v++ {
			if lost[v] = rng.IntN(8) == 0; !lost[v] {
				come = append(come, v)
			}
			if rng.IntN(3) == 0 {
				come = append(come, from+rng.Int64N(v-from)) // again, or from before
			}
		}
		come = slices.DeleteFunc(come, func(v int64) bool { return lost[v] })
		rng.Shuffle(len(come), func(i, j int) { come[i], come[j] = come[j], come[i] })
		for _, v := range come {
			told = append(told, q.Take(v, v)...)
			if q.Gap() && rng.IntN(5) == 0 { // read what is there
				upTo := q.Told() + 1 + rng.Int64N(3)
				for v := q.Told() + 1; v <= upTo; v++ {
					told = append(told, v)
				}
				told = append(told, q.Skip(upTo)...)
			}
		}
		for v := q.Told() + 1; v <= from+n; v++ {
			told = append(told, v)
		}
		for _, v := range q.Skip(from + n) {
			t.Fatalf("seed %d: %d is told again", seed, v)
		}
		for i, v := range told {
			if v != from+1+int64(i) {
				t.Fatalf("seed %d: told %v", seed, told)
			}
		}
		if len(told) < n || q.Gap() {
			t.Fatalf("seed %d: told %d of %d", seed, len(told), n)
		}
	}
}
