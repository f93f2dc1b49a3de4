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
	"fmt"
	"io"
	"sync"
	"time"
)

// Server says where a server is and how to get in.
type Server struct {
	URL   string // ws://host:port/path; empty: an atrium of the bench's own
	Token string // for all sessions; empty: none is sent
	PID   int    // of the server, for its CPU and memory; 0: unknown
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

func (f *failures) get() (n int, first error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n, f.first
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
