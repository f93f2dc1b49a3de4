package materialize

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// Work is what a worker process does: it reads requests from in and writes
// answers to out, until in ends. It returns an error for whatever it does not
// expect.
func Work(in io.Reader, out io.Writer) error {
	// Whoever interrupts the parent means the parent, which ends its workers.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	// malloc keeps a heap for each thread: what one has freed, another cannot use.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	requests, answers := bufio.NewReaderSize(in, 64<<10), bufio.NewWriterSize(out, 64<<10)
	var h hello
	if err := readFrame(requests, &h); err != nil {
		return fmt.Errorf("read hello: %w", err)
	}
	debug.SetMemoryLimit(h.Memory / 2) // Go's part
	full, err := limitMemory(h.Memory)
	if err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	for {
		a, err := next(requests)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		release()
		a.Grown = full()
		if err := writeFrame(answers, a); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
		if err := answers.Flush(); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
	}
}

// next reads and answers one request, and keeps nothing of it.
func next(requests io.Reader) (answer, error) {
	var r request
	if err := readFrame(requests, &r); err != nil {
		if err == io.EOF {
			return answer{}, err
		}
		return answer{}, fmt.Errorf("read request: %v", err)
	}
	a, err := r.do()
	var patch *PatchError
	switch {
	case err == nil:
	case errors.As(err, &patch):
		a = answer{Patch: patch}
	case errors.Is(err, ErrUnreadable):
		a = answer{Unreadable: err.Error()}
	default:
		a = answer{Failed: err.Error()}
	}
	return a, nil
}

func (r *request) do() (answer, error) {
	switch r.Op {
	case opSnapshot:
		return r.snapshot()
	case opJSON:
		return r.json()
	case opCreate:
		return r.create()
	case opPatch:
		return r.patch()
	case opRestore:
		return r.restore()
	case opDiff:
		return r.diff()
	case opChanges:
		return r.changes()
	}
	return answer{}, errors.New("unknown operation")
}

// release frees what automerge-go has let go of: it does so in finalizers.
func release() {
	// A collection queues finalizers in no order, and they run one after the
	// other. So those of this one come before any of the next.
	runtime.GC()
	done := make(chan struct{})
	runtime.SetFinalizer(&struct{ p *int }{}, func(any) { close(done) })
	runtime.GC()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
	}
}
