// Package bench is a load generator: it speaks the WebSocket protocol of Atrium
// and of automerge-repo as many clients at once, and measures what they get.
//
// It plays stock clients as the server sees them, and holds no documents: a
// change is a hash that has come or has not. It does not retry, reconnect or
// repair, so that what a server fails to deliver is missing from its figures. It
// measures other processes only, never a server within its own, and prints no
// verdict.
//
// Work is due by a clock that does not wait for anybody: a latency counts from
// when its edit was due, not from when a busy sender came to it.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Server says where a server is and how to get in, or how to start one.
type Server struct {
	URLs   []string // ws://host:port/path of each node; none: an atrium of the bench's own
	Token  string   // for all sessions; empty: none is sent
	Secret string   // what to sign a token with for each user, instead
	APIKey string   // for calls
	PIDs   []int    // of the nodes, for their CPU and memory; none: unknown

	// Of the bench's own: how many nodes, and what they are on.
	Nodes       int
	DatabaseURL string // Postgres; empty: SQLite, for one node
	RedisURL    string // what nodes hear each other by; empty: there is one
}

func (s *Server) check() error {
	switch {
	case len(s.URLs) > 0 && s.Nodes > 1:
		return errors.New("nodes that run already are named by --url, all of them; --nodes is for those of the bench's own")
	case len(s.PIDs) > 0 && len(s.PIDs) != len(s.URLs):
		return fmt.Errorf("%d processes (--pid) for %d nodes (--url): CPU and memory are those of all or of none", len(s.PIDs), len(s.URLs))
	case len(s.URLs) == 0 && s.Nodes < 1:
		return errors.New("at least one node is needed")
	case s.Nodes > 1 && (s.DatabaseURL == "" || s.RedisURL == ""):
		return errors.New("nodes share a Postgres and a Redis: --database-url and --redis-url are needed")
	}
	return nil
}

// bounds of waiting for what has to come
const (
	joinTimeout = 30 * time.Second
	openTimeout = 2 * time.Minute
	joinsAtOnce = 64 // connections being made at the same time
)

// pause lets a server get over one run before the next begins.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failures counts the errors of many goroutines, and keeps the first. It is safe
// for concurrent use.
type failures struct {
	any chan struct{} // closed at the first

	mu    sync.Mutex
	first error // guarded by mu
	n     int   // guarded by mu
}

func newFailures() *failures { return &failures{any: make(chan struct{})} }

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n++; f.n == 1 {
		f.first = err
		close(f.any)
	}
}

// told returns how many there are, and what the first one says.
func (f *failures) told() (n int, first string) {
	n, err := f.get()
	if err != nil {
		first = err.Error()
	}
	return n, first
}

func (f *failures) get() (n int, first error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n, f.first
}

// inTurns measures each target so often, one after the other, and gives each run to
// add, with the target's place.
func inTurns[R any](ctx context.Context, log io.Writer, runs int, all targets, measure func(*target) (R, error), add func(k int, run R)) error {
	for i := range runs {
		for k, t := range all {
			progress(log, "run %d of %d: %s", i+1, runs, t.name)
			run, err := measure(t)
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			add(k, run)
			if err := pause(ctx, time.Second); err != nil { // the server sees all of them go
				return err
			}
		}
	}
	return nil
}

// each calls f for 0 … n-1, some at a time, and returns the first error.
func each(n int, f func(i int) error) error {
	failed := newFailures()
	var wg sync.WaitGroup
	places := make(chan struct{}, joinsAtOnce)
	for i := range n {
		places <- struct{}{}
		if k, _ := failed.get(); k > 0 {
			break
		}
		wg.Go(func() {
			defer func() { <-places }()
			if err := f(i); err != nil {
				failed.add(err)
			}
		})
	}
	wg.Wait()
	_, err := failed.get()
	return err
}

// progress writes a line about what is being done.
func progress(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, format+"\n", args...)
}
