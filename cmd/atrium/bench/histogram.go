package bench

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets that grow with them: a quantile is wrong
// by less than 1 %, or half a microsecond. The zero value is empty. It is not
// safe for concurrent use: each goroutine has its own, merged at the end.
type histogram struct {
	counts []uint32 // by bucket, as long as needed so far
	n      uint64
	max    time.Duration
}

// Up to 2^linearBits units every unit has its bucket; from there on, every
// doubling has 2^(linearBits-1) of them.
const (
	histogramUnit = time.Microsecond
	linearBits    = 8
	half          = 1 << (linearBits - 1)
	maxUnits      = 1<<40 - 1 // twelve days
)

func bucketOf(d time.Duration) int {
	u := uint64(min(max(d/histogramUnit, 0), maxUnits))
	shift := max(bits.Len64(u)-linearBits, 0)
	return shift*half + int(u>>shift)
}

// middleOf is what stands for the durations in a bucket.
func middleOf(bucket int) time.Duration {
	shift := max(bucket/half-1, 0)
	u := uint64(bucket-shift*half) << shift
	return time.Duration(u)*histogramUnit + histogramUnit<<shift/2
}

// add counts d; a negative one counts as 0.
func (h *histogram) add(d time.Duration) {
	b := bucketOf(d)
	if b >= len(h.counts) {
		h.counts = append(h.counts, make([]uint32, b+half-len(h.counts))...)
	}
	h.counts[b]++
	h.n++
	h.max = max(h.max, d)
}

// merge adds what other has counted.
func (h *histogram) merge(other *histogram) {
	if len(other.counts) > len(h.counts) {
		h.counts = append(h.counts, make([]uint32, len(other.counts)-len(h.counts))...)
	}
	for b, n := range other.counts {
		h.counts[b] += n
	}
	h.n += other.n
	h.max = max(h.max, other.max)
}

// quantile returns what a share q of the durations does not exceed, 0 if there
// are none.
func (h *histogram) quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := min(uint64(q*float64(h.n)), h.n-1)
	for b, n := range h.counts {
		if rank < uint64(n) {
			return min(middleOf(b), h.max)
		}
		rank -= uint64(n)
	}
	return h.max
}
