package bench

import (
	"context"
	"time"
)

// schedule says when work is due: the k-th at start + k/rate, whatever became of
// those before.
type schedule struct {
	start time.Time
	rate  float64 // per second
}

// due returns when the k-th is due, counted from the start.
func (s schedule) due(k int) time.Duration {
	return time.Duration(float64(k) / s.rate * float64(time.Second))
}

// now returns the time since the start; before it, it is negative.
func (s schedule) now() time.Duration { return time.Since(s.start) }

// run calls do for 0 … n-1, none before it is due. Who is late is not waited
// for: what is overdue is done at once. It stops at the first error.
func (s schedule) run(ctx context.Context, n int, do func(k int) error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for k := range n {
		if wait := s.due(k) - s.now(); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := do(k); err != nil {
			return err
		}
	}
	return nil
}
