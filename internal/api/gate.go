package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Gate bounds how many calls of some kind are handled at once: in all, and half as
// many of one caller. What is beyond waits, before its body is read.
type Gate struct {
	all      chan struct{}
	patience time.Duration

	mu      sync.Mutex
	callers map[string]*queue // by name; guarded by mu
}

// queue is those calls of one caller that are handled or wait.
type queue struct {
	slots chan struct{}
	calls int // guarded by Gate.mu
}

// NewGate returns a gate for n calls at once, 2 at least.
func NewGate(n int) *Gate {
	return &Gate{all: make(chan struct{}, n), patience: 10 * time.Second, callers: make(map[string]*queue)}
}

// enter waits for a place. It reports false if none came in time.
func (g *Gate) enter(ctx context.Context, caller string) (leave func(), ok bool) {
	ctx, cancel := context.WithTimeout(ctx, g.patience)
	defer cancel()
	g.mu.Lock()
	q := g.callers[caller]
	if q == nil {
		q = &queue{slots: make(chan struct{}, cap(g.all)/2)}
		g.callers[caller] = q
	}
	q.calls++
	g.mu.Unlock()
	gone := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if q.calls--; q.calls == 0 {
			delete(g.callers, caller)
		}
	}
	select {
	case q.slots <- struct{}{}:
	case <-ctx.Done():
		gone()
		return nil, false
	}
	select {
	case g.all <- struct{}{}:
	case <-ctx.Done():
		<-q.slots
		gone()
		return nil, false
	}
	return func() {
		<-g.all
		<-q.slots
		gone()
	}, true
}

const gateKey = "gate"

// Through has the calls of an operation go through a gate.
func Through(g *Gate, op huma.Operation) huma.Operation {
	op.Metadata = map[string]any{gateKey: g}
	op.Errors = append(op.Errors, http.StatusServiceUnavailable)
	return op
}

// pass lets a call through a gate. It comes behind authorise.
func (a *API) pass(g *Gate) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		leave, ok := g.enter(ctx.Context(), CallerOf(ctx.Context()).Name)
		if !ok {
			ctx.SetHeader("Retry-After", "1")
			huma.WriteErr(a.root, ctx, http.StatusServiceUnavailable, "too many such calls at once")
			return
		}
		defer leave()
		next(ctx)
	}
}
