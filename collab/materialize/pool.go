package materialize

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultWorkers  = 2
	defaultMemory   = 1 << 30
	defaultDeadline = 30 * time.Second
	idleTime        = time.Minute
)

// A Pool has requests done by workers, each by one that does nothing else
// meanwhile. It may be used by many goroutines.
type Pool struct {
	o          Options // set once
	quarantine quarantine
	now        func() time.Time // set once
	slots      chan struct{}    // one element for each worker that is busy or being ended
	closing    chan struct{}    // closed by Close
	reaped     sync.WaitGroup   // of processes

	mu     sync.Mutex
	live   map[*process]bool // guarded by mu
	idle   []*process        // the last used at the end; guarded by mu
	closed bool              // guarded by mu
}

// New returns a pool that has started no worker yet.
func New(o Options) *Pool {
	if len(o.Command) == 0 {
		panic("materialize: no command")
	}
	o.Command = slices.Clone(o.Command)
	if o.Env == nil {
		o.Env = os.Environ()
	}
	o.Env = slices.Clone(o.Env)
	if o.Workers <= 0 {
		o.Workers = defaultWorkers
	}
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	if o.Deadline <= 0 {
		o.Deadline = defaultDeadline
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Pool{
		o: o, now: time.Now,
		slots: make(chan struct{}, o.Workers), closing: make(chan struct{}),
		live: make(map[*process]bool),
	}
}

// Close kills the workers and waits until they are gone. Requests that are
// under way fail with [ErrUnavailable], and so do later ones.
func (p *Pool) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.closing)
	}
	for w := range p.live {
		w.kill()
	}
	p.mu.Unlock()
	p.reaped.Wait()
}

// Quarantined returns the keys of the documents that are quarantined, sorted.
func (p *Pool) Quarantined() []string { return p.quarantine.list(p.now()) }

var errClosed = fmt.Errorf("%w: closed", ErrUnavailable)

// call has a worker answer one request.
func (p *Pool) call(ctx context.Context, key string, r request) (answer, error) {
	if len(r.Log)+len(r.Other) > MaxLog {
		return answer{}, fmt.Errorf("log is longer than %d bytes", MaxLog)
	}
	if p.quarantine.held(key, p.now()) {
		return answer{}, ErrQuarantined
	}
	select {
	case <-p.closing:
		return answer{}, errClosed
	default:
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return answer{}, ctx.Err()
	case <-p.closing:
		return answer{}, errClosed
	}
	release := func() { <-p.slots }
	if err := ctx.Err(); err != nil {
		release()
		return answer{}, err
	}
	// Others may have waited for a worker on the same document, and killed it.
	if p.quarantine.held(key, p.now()) {
		release()
		return answer{}, ErrQuarantined
	}
	w, err := p.take()
	if err != nil {
		release()
		return answer{}, err
	}

	var overdue atomic.Bool
	deadline := time.AfterFunc(p.o.Deadline, func() {
		overdue.Store(true)
		w.kill()
	})
	cancel := context.AfterFunc(ctx, w.kill)
	var a answer
	err = w.exchange(r, &a)
	// What has been called off kills the worker, now or soon, even if it has
	// answered in time.
	inTime := deadline.Stop()
	reuse := cancel() && inTime && err == nil && !a.Grown
	if reuse && p.put(w) {
		release()
	} else {
		if err == nil && a.Grown {
			w.end()
		} else {
			w.kill()
		}
		go func() {
			<-w.gone
			release()
		}()
	}
	if err == nil {
		return a, a.err()
	}
	if ctx.Err() != nil && !overdue.Load() {
		return answer{}, ctx.Err()
	}
	return answer{}, p.failed(ctx, key, w, overdue.Load())
}

// failed counts and logs that a worker has died of a request.
func (p *Pool) failed(ctx context.Context, key string, w *process, overdue bool) error {
	select {
	case <-p.closing:
		return errClosed
	case <-w.gone: // it has been killed, or has ended by itself
	}
	why := w.why()
	if overdue {
		why = "no answer within " + p.o.Deadline.String()
	}
	p.o.Logger.WarnContext(ctx, "document worker failed", "document", key, "why", why)
	if p.quarantine.strike(key, p.now()) {
		p.o.Logger.ErrorContext(ctx, "document quarantined: it makes workers fail", "document", key, "for", quarantineFor)
	}
	return fmt.Errorf("%w: %s", ErrUnavailable, why)
}

// take returns the worker that was idle for the shortest time, or a new one.
func (p *Pool) take() (*process, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	for len(p.idle) > 0 {
		w := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		// Without its timer, it may be ending.
		if w.idle.Stop() && w.alive() {
			return w, nil
		}
	}
	w, err := start(p.o)
	if err != nil {
		return nil, fmt.Errorf("%w: start worker: %w", ErrUnavailable, err)
	}
	p.live[w] = true
	p.reaped.Go(func() {
		<-w.gone
		p.forget(w)
	})
	return w, nil
}

// put keeps a worker for the next request. If it says false, it has not.
func (p *Pool) put(w *process) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	w.idle = time.AfterFunc(idleTime, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if i := slices.Index(p.idle, w); i >= 0 {
			p.idle = slices.Delete(p.idle, i, i+1)
		}
		w.end()
	})
	p.idle = append(p.idle, w)
	return true
}

func (p *Pool) forget(w *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.live, w)
	if i := slices.Index(p.idle, w); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		w.idle.Stop()
	}
}
