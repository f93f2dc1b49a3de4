package bench

import (
	"context"
	"sync/atomic"
	"time"
)

// countdown says when so many things have happened. It is safe for concurrent
// use.
type countdown struct {
	left atomic.Int64
	zero chan struct{} // closed when nothing is left
}

func newCountdown(n int) *countdown {
	c := &countdown{zero: make(chan struct{})}
	c.left.Store(int64(n))
	if n == 0 {
		close(c.zero)
	}
	return c
}

func (c *countdown) done() { c.add(1) }

func (c *countdown) add(n int) {
	if c.left.Add(-int64(n)) == 0 {
		close(c.zero)
	}
}

// wait waits until all has happened, or for as long as grace.
func (c *countdown) wait(ctx context.Context, grace time.Duration) error {
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case <-c.zero:
	case <-late.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
