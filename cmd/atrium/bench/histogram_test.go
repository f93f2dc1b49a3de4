package bench

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// close1 reports whether got is want, but for 1 % or a microsecond.
func close1(got, want time.Duration) bool {
	return (got - want).Abs() <= max(want/100, time.Microsecond)
}

func TestHistogramBuckets(t *testing.T) {
	t.Parallel()
	previous := -1
	for d := time.Duration(0); d < 24*time.Hour; d += max(d/1000, 500*time.Nanosecond) {
		b := bucketOf(d)
		if b < previous || b > previous+1 {
			t.Fatalf("%v is in bucket %d, after %d", d, b, previous)
		}
		previous = b
		if !close1(middleOf(b), d) {
			t.Fatalf("%v counts as %v", d, middleOf(b))
		}
	}
	var h histogram
	h.add(-time.Second)
	h.add(1 << 62)
	if h.n != 2 {
		t.Errorf("got %d durations, want 2", h.n)
	}
}

func TestHistogramQuantiles(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	var all []time.Duration
	var whole, merged histogram
	for range 5 {
		var part histogram
		for range 10_001 {
			d := time.Duration(rng.ExpFloat64() * float64(20*time.Millisecond))
			all = append(all, d)
			part.add(d)
			whole.add(d)
		}
		merged.merge(&part)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.95, 0.99, 0.9999, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		if got := whole.quantile(q); !close1(got, want) {
			t.Errorf("quantile %g is %v, want %v", q, got, want)
		}
		if got := merged.quantile(q); got != whole.quantile(q) {
			t.Errorf("quantile %g of merged histograms is %v, want %v", q, got, whole.quantile(q))
		}
	}
	if merged.n != whole.n || merged.max != whole.max || whole.max != all[len(all)-1] {
		t.Errorf("merged has %d durations up to %v, want %d up to %v", merged.n, merged.max, whole.n, all[len(all)-1])
	}
	if got := (&histogram{}).quantile(0.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		runs []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 4}, 4}, {[]float64{9, 1, 4, 2}, 3}} {
		before := slices.Clone(test.runs)
		if got := median(test.runs, func(f *float64) float64 { return *f }); got != test.want {
			t.Errorf("median of %v is %g, want %g", test.runs, got, test.want)
		}
		if !reflect.DeepEqual(test.runs, before) {
			t.Errorf("runs are %v, were %v", test.runs, before)
		}
	}
}
