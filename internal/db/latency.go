package db

import (
	"sync/atomic"
	"time"
)

// Latencies counts how long commits took. It is safe for concurrent use.
type Latencies struct {
	counts [len(latencyBounds) + 1]atomic.Int64
	nanos  atomic.Int64
}

// latencyBounds are the upper bounds of the buckets; the last one has none.
var latencyBounds = [...]time.Duration{
	250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 4 * time.Millisecond,
	8 * time.Millisecond, 16 * time.Millisecond, 32 * time.Millisecond, 64 * time.Millisecond, 125 * time.Millisecond,
	250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second,
}

func (l *Latencies) observe(d time.Duration) {
	i := 0
	for i < len(latencyBounds) && d > latencyBounds[i] {
		i++
	}
	l.counts[i].Add(1)
	l.nanos.Add(int64(d))
}

// LatencyCounts is what Latencies held at one moment.
type LatencyCounts struct {
	Counts [len(latencyBounds) + 1]int64 // by bucket
	Sum    time.Duration
}

// Counts returns what there is.
func (l *Latencies) Counts() (c LatencyCounts) {
	for i := range l.counts {
		c.Counts[i] = l.counts[i].Load()
	}
	c.Sum = time.Duration(l.nanos.Load())
	return c
}

// Cumulative returns the number of commits, and of those that took no longer
// than each bound, in seconds.
func (c LatencyCounts) Cumulative() (n uint64, upTo map[float64]uint64) {
	upTo = make(map[float64]uint64)
	for i, count := range c.Counts {
		n += uint64(count)
		if i < len(latencyBounds) {
			upTo[latencyBounds[i].Seconds()] = n
		}
	}
	return n, upTo
}

// P99 returns the bound that 99 in 100 commits since an earlier moment have kept.
// It is 0 if there were none, and the last bound if they took longer.
func (c LatencyCounts) P99(since LatencyCounts) time.Duration {
	n := int64(0)
	for i := range c.Counts {
		n += c.Counts[i] - since.Counts[i]
	}
	seen := int64(0)
	for i, bound := range latencyBounds {
		if seen += c.Counts[i] - since.Counts[i]; n > 0 && seen*100 >= n*99 {
			return bound
		}
	}
	if n == 0 {
		return 0
	}
	return latencyBounds[len(latencyBounds)-1]
}
