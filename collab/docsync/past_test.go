package docsync

import (
	"math/rand/v2"
	"testing"
)

func TestPastAgreesWithAWalkOfTheGraph(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 5))
		g := randomGraph(t, rng, 1+rng.IntN(150))
		for range 60 {
			tips := make([]position, 1+rng.IntN(3))
			want := make(map[position]bool)
			var stack []position
			for i := range tips {
				tips[i] = position(rng.IntN(g.n))
				stack = append(stack, tips[i])
			}
			for len(stack) > 0 {
				p := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				if !want[p] {
					want[p] = true
					g.eachDep(p, func(dep position) { stack = append(stack, dep) })
				}
			}
			var got past
			for _, p := range tips {
				g.pastOf(&got, p)
			}
			for p := range position(g.n) {
				actor := g.at(p).actor &^ soleHead
				if has := got.has(p, actor, g.seqAt(actor, p)); has != want[p] {
					t.Fatalf("seed %d: past of %v has %d: %t, want %t", seed, tips, p, has, want[p])
				}
			}
		}
	}
}
