package dashboard

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestOwn: once a tick while somebody listens, and not at all otherwise.
func TestOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, published atomic.Int64
		o := newOwn(func() []Value {
			asked.Add(1)
			return []Value{{Metric: "atrium.n"}}
		}, time.Second, func(values []Value) {
			published.Add(1)
			if len(values) != 1 || values[0].Timestamp.IsZero() || time.Since(values[0].Timestamp) > time.Second/2 {
				t.Errorf("published %v", values)
			}
		})
		after := func(d time.Duration, want int64) {
			t.Helper()
			before := published.Load()
			time.Sleep(d)
			synctest.Wait()
			if n := published.Load() - before; n != want {
				t.Errorf("%d times in %v, want %d", n, d, want)
			}
		}
		after(time.Minute, 0)
		o.listen(1)
		after(10*time.Second+time.Millisecond, 10)
		o.listen(1)
		o.listen(-1)
		after(10*time.Second, 10)
		o.listen(-1)
		after(time.Minute, 0)
		o.listen(2)
		after(5*time.Second+time.Millisecond, 5)

		before := asked.Load()
		o.now()
		o.now()
		if asked.Load() != before {
			t.Errorf("asked %d times for what was known", asked.Load()-before)
		}
		o.close()
		after(time.Minute, 0)
		o.now()
		if asked.Load() != before+1 {
			t.Errorf("asked %d times, want once", asked.Load()-before)
		}
	})
}

func TestHearsOwn(t *testing.T) {
	for pattern, want := range map[string]bool{
		"*": true, "a*": true, "atrium.*": true, "atrium.sess*": true, "atrium.sessions": true, "atrium*": true,
		"atrium": false, "b*": false, "atriums*": false, "app.*": false, "x": false,
	} {
		if got := hearsOwn(pattern); got != want {
			t.Errorf("%s: got %v", pattern, got)
		}
	}
}
