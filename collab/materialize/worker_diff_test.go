package materialize

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestCompare wants the hunks between random sequences to make one of the
// other, and to be as few insertions and deletions as a table finds.
func TestCompare(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		a, b := letters(rng), letters(rng)
		if rng.IntN(2) == 0 {
			b = slices.Concat(a[:rng.IntN(len(a)+1)], b, a[rng.IntN(len(a)+1):])
		}
		hunks := compare(a, b)
		var made []byte
		at, changed := 0, 0
		for _, h := range hunks {
			if h.aFrom < at || h.aFrom == h.aTo && h.bFrom == h.bTo {
				t.Fatalf("%s to %s: hunks %v", a, b, hunks)
			}
			made = append(made, a[at:h.aFrom]...)
			made = append(made, b[h.bFrom:h.bTo]...)
			at = h.aTo
			changed += h.aTo - h.aFrom + h.bTo - h.bFrom
		}
		if made = append(made, a[at:]...); !slices.Equal(made, b) {
			t.Fatalf("%s to %s: hunks %v make %s", a, b, hunks, made)
		}
		if want := len(a) + len(b) - 2*commonLen(a, b); changed != want {
			t.Fatalf("%s to %s: %d changes, want %d", a, b, changed, want)
		}
	}
}

func letters(rng *rand.Rand) []byte {
	s := make([]byte, rng.IntN(30))
	for i := range s {
		s[i] = 'a' + byte(rng.IntN(4))
	}
	return s
}

// commonLen returns the length of the longest common subsequence.
func commonLen(a, b []byte) int {
	last := make([]int, len(b)+1)
	for i := range a {
		row := make([]int, len(b)+1)
		for j := range b {
			if a[i] == b[j] {
				row[j+1] = last[j] + 1
			} else {
				row[j+1] = max(last[j+1], row[j])
			}
		}
		last = row
	}
	return last[len(b)]
}

// TestCompareIsBounded compares what has nothing in common but its ends.
func TestCompareIsBounded(t *testing.T) {
	a, b := make([]int, 500_000), make([]int, 500_000)
	for i := range a {
		a[i], b[i] = i, -i
	}
	a[0], b[0] = 7, 7
	if got := compare(a, b); len(got) != 1 || got[0] != (hunk{1, len(a), 1, len(b)}) {
		t.Errorf("got %d hunks: %v", len(got), got[:1])
	}
}
