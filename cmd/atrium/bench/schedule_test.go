package bench

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestScheduleIsAbsolute: a sender that is held up does what is overdue at once,
// and what it did late counts as late.
func TestScheduleIsAbsolute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := schedule{start: time.Now().Add(time.Second), rate: 10}
		var lateness []time.Duration
		err := s.run(t.Context(), 15, func(k int) error {
			lateness = append(lateness, s.now()-s.due(k))
			if k == 3 {
				time.Sleep(550 * time.Millisecond)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for k, got := range lateness {
			var want time.Duration
			if k > 3 { // held up until 850 ms
				want = max(0, time.Duration(850-100*k)*time.Millisecond)
			}
			if got != want {
				t.Errorf("number %d is %v late, want %v", k, got, want)
			}
		}
	})
}

func TestScheduleStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 350*time.Millisecond)
		defer cancel()
		done := 0
		err := schedule{start: time.Now(), rate: 10}.run(ctx, 100, func(int) error { done++; return nil })
		if !errors.Is(err, context.DeadlineExceeded) || done != 4 {
			t.Errorf("got %v after %d", err, done)
		}
		full := errors.New("full")
		if err := (schedule{start: time.Now(), rate: 10}).run(t.Context(), 100, func(int) error { return full }); err != full {
			t.Errorf("got %v", err)
		}
	})
}
