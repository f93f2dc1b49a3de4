package dashboard

import (
	"context"
	"strings"
	"sync"
	"time"
)

// own publishes Atrium's own values while anybody listens.
type own struct {
	values  func() []Value // set once
	every   time.Duration  // set once
	publish func([]Value)  // set once
	wake    chan struct{}  // somebody has begun to listen

	stop context.CancelFunc
	done sync.WaitGroup // run

	mu        sync.Mutex
	listeners int       // subscriptions that own values may match; guarded by mu
	newest    []Value   // guarded by mu
	taken     time.Time // when newest was; guarded by mu
}

func newOwn(values func() []Value, every time.Duration, publish func([]Value)) *own {
	ctx, stop := context.WithCancel(context.Background())
	o := &own{values: values, every: every, publish: publish, wake: make(chan struct{}, 1), stop: stop}
	o.done.Go(func() { o.run(ctx) })
	return o
}

// close returns when nothing is being published any more.
func (o *own) close() {
	o.stop()
	o.done.Wait()
}

func (o *own) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		}
		o.publishAll(ctx)
	}
}

// publishAll publishes until nobody listens.
func (o *own) publishAll(ctx context.Context) {
	tick := time.NewTicker(o.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		o.mu.Lock()
		listeners := o.listeners
		o.mu.Unlock()
		if listeners == 0 {
			return
		}
		o.publish(o.take(o.every / 2))
	}
}

// now returns the values as of now, or of at most one tick ago.
func (o *own) now() []Value { return o.take(o.every) }

// take returns values that are no older than maxAge.
func (o *own) take(maxAge time.Duration) []Value {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); now.Sub(o.taken) >= maxAge {
		o.newest, o.taken = o.values(), now
		for i := range o.newest {
			if o.newest[i].Timestamp.IsZero() {
				o.newest[i].Timestamp = now
			}
		}
	}
	return o.newest
}

// listen counts subscriptions, of which more begin, or end if n is negative.
func (o *own) listen(n int) {
	o.mu.Lock()
	before := o.listeners
	o.listeners += n
	o.mu.Unlock()
	if before == 0 && n > 0 {
		select {
		case o.wake <- struct{}{}:
		default:
		}
	}
}

// hearsOwn reports whether a pattern may match names of own metrics.
func hearsOwn(pattern string) bool {
	prefix, isPrefix := strings.CutSuffix(pattern, "*")
	return strings.HasPrefix(pattern, ownPrefix) || isPrefix && strings.HasPrefix(ownPrefix, prefix)
}
