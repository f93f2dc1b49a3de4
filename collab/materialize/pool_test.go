package materialize_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"atrium/collab/change/changetest"
	"atrium/collab/materialize"
)

const patience = 30 * time.Second // for what must come

// deadly is a change that ends the process which takes it in: it names an actor
// that it does not list.
var deadly = changetest.Change{Ops: []changetest.Op{
	changetest.Set(changetest.ID{Actor: 7, Ctr: 1}, "key", "value"),
}}.Encode()

// greedy is a change of some bytes with 2^22 operations.
var greedy = func() []byte {
	run := func(value ...byte) []byte { return append([]byte{0x80, 0x80, 0x80, 0x02}, value...) }
	return changetest.Change{
		Ops: []changetest.Op{changetest.Set(changetest.ID{}, "key", nil)},
		Replace: []changetest.Column{
			{Spec: changetest.KeyStr, Data: run(1, 'a')},
			{Spec: changetest.Inserted, Data: []byte{0x80, 0x80, 0x80, 0x02}},
			{Spec: changetest.Action, Data: run(1)},
			{Spec: changetest.ValueMeta, Data: run(0)},
			{Spec: changetest.PredNum, Data: run(0)},
		},
	}.Encode()
}()

func TestDeadlyChange(t *testing.T) {
	p := newPool(t, "works", materialize.Options{})
	now := time.Now()
	p.SetNow(func() time.Time { return now })
	ctx := context.Background()
	good := create(t, p, `{"a":1}`)
	for i := range 3 {
		if got := p.Quarantined(); len(got) > 0 {
			t.Fatalf("after %d failures %v is quarantined", i, got)
		}
		_, err := p.JSON(ctx, "bad", deadly)
		if !errors.Is(err, materialize.ErrUnavailable) || !strings.Contains(err.Error(), "automerge.rs:") {
			t.Fatalf("got %v", err)
		}
		wantJSON(t, p, good, `{"a":1}`)
	}
	if got := p.Quarantined(); !slices.Equal(got, []string{"bad"}) {
		t.Errorf("%v is quarantined", got)
	}
	if _, err := p.JSON(ctx, "bad", good); !errors.Is(err, materialize.ErrQuarantined) {
		t.Errorf("got %v", err)
	}
	wantJSON(t, p, good, `{"a":1}`)

	now = now.Add(5 * time.Minute)
	if _, err := p.JSON(ctx, "bad", good); err != nil || len(p.Quarantined()) > 0 {
		t.Errorf("after the quarantine: %v", err)
	}
	// Failures that are long past do not count.
	for range 6 {
		if _, err := p.JSON(ctx, "bad", deadly); !errors.Is(err, materialize.ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
		now = now.Add(5 * time.Minute)
	}
}

func TestGreedyChange(t *testing.T) {
	p := newPool(t, "works", materialize.Options{Memory: 64 << 20})
	good := create(t, p, `{"a":1}`)
	if _, err := p.JSON(context.Background(), "bad", greedy); !errors.Is(err, materialize.ErrUnavailable) || !strings.Contains(err.Error(), "out of memory") {
		t.Fatalf("got %v", err)
	}
	wantJSON(t, p, good, `{"a":1}`)
}

func TestBadWorkers(t *testing.T) {
	for kind, want := range map[string]string{"hangs": "no answer within 1s", "babbles": "signal: killed", "exits": "exit status 3"} {
		t.Run(kind, func(t *testing.T) {
			p := newPool(t, kind, materialize.Options{Deadline: time.Second})
			_, err := p.JSON(context.Background(), "doc", nil)
			if !errors.Is(err, materialize.ErrUnavailable) || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
			// It need not read, either.
			if _, err := p.JSON(context.Background(), "doc", make([]byte, 1<<20)); !errors.Is(err, materialize.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			waitUntil(t, "the worker is gone", func() bool { return len(p.Processes()) == 0 })
		})
	}
	p := materialize.New(materialize.Options{Command: []string{"/nowhere/atrium"}})
	defer p.Close()
	for range 5 { // a worker that does not start is not the document's fault
		if _, err := p.JSON(context.Background(), "doc", nil); !errors.Is(err, materialize.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	}
}

func TestCancel(t *testing.T) {
	p := newPool(t, "hangs", materialize.Options{Workers: 1})
	for range 4 { // more often than a document may fail
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		var waiting sync.WaitGroup
		for range 3 { // one has the worker, two wait for it
			waiting.Go(func() {
				if _, err := p.JSON(ctx, "doc", nil); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
			})
		}
		waiting.Wait()
		cancel()
		waitUntil(t, "the worker is gone", func() bool { return len(p.Processes()) == 0 })
	}
	if got := p.Quarantined(); len(got) > 0 {
		t.Errorf("%v is quarantined", got)
	}
}

func TestClose(t *testing.T) {
	p := newPool(t, "hangs", materialize.Options{})
	failed := make(chan error)
	go func() {
		_, err := p.JSON(context.Background(), "doc", nil)
		failed <- err
	}()
	waitUntil(t, "there is a worker", func() bool { return len(p.Processes()) == 1 })
	pid := p.Processes()[0]
	p.Close()
	if _, err := os.Stat(fmt.Sprint("/proc/", pid)); err == nil {
		t.Error("the worker is left")
	}
	if err := <-failed; !errors.Is(err, materialize.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if _, err := p.JSON(context.Background(), "doc", nil); !errors.Is(err, materialize.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	p.Close()
}

// TestManyRequests has many at once, some of which kill their workers.
func TestManyRequests(t *testing.T) {
	p := newPool(t, "works", materialize.Options{Workers: 3})
	log := create(t, p, `{"n":0}`)
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			if i%6 == 5 {
				if _, err := p.JSON(context.Background(), fmt.Sprint("bad ", i), deadly); !errors.Is(err, materialize.ErrUnavailable) {
					t.Errorf("got %v", err)
				}
				return
			}
			key := fmt.Sprint("doc ", i)
			chunk, err := p.Patch(context.Background(), key, log, materialize.MergePatch, json.RawMessage(fmt.Sprintf(`{"n":%d}`, i+1)), commit(""))
			if err != nil {
				t.Error(err)
				return
			}
			got, err := p.JSON(context.Background(), key, slices.Concat(log, chunk))
			if want := fmt.Sprintf(`{"n":%d}`, i+1); err != nil || string(got) != want {
				t.Errorf("got %s, %v, want %s", got, err, want)
			}
		})
	}
	all.Wait()
	if n := len(p.Processes()); n > 3 {
		t.Errorf("there are %d workers", n)
	}
	waitUntil(t, "no zombie is left", func() bool { return zombies(t) == 0 })
}

// TestWorkersDieWithTheirParent kills a parent, one of whose workers is busy.
func TestWorkersDieWithTheirParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), asWorker+"=parent", "GORACE=atexit_sleep_ms=0")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pids [2]int
	if _, err := fmt.Fscan(out, &pids[0], &pids[1]); err != nil {
		t.Fatal(err)
	}
	parent.Process.Kill()
	parent.Wait()
	for _, pid := range pids {
		waitUntil(t, "the worker is gone", func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err != nil || strings.Contains(string(stat), ") Z ")
		})
	}
}

// beParent has a worker that hangs and one that waits, and tells their ids.
func beParent() {
	ctx := context.Background()
	hanging := materialize.New(materialize.Options{Command: os.Args[:1], Env: append(os.Environ(), asWorker+"=hangs")})
	go hanging.JSON(ctx, "doc", nil)
	working := materialize.New(materialize.Options{Command: os.Args[:1], Env: append(os.Environ(), asWorker+"=works")})
	working.JSON(ctx, "doc", nil)
	for len(hanging.Processes()) == 0 {
		time.Sleep(time.Millisecond)
	}
	fmt.Println(hanging.Processes()[0], working.Processes()[0])
	time.Sleep(time.Hour)
}

// zombies counts children of this process that nobody has waited for.
func zombies(t *testing.T) (n int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[0] == "Z" && f[1] == strconv.Itoa(os.Getpid()) {
			n++
		}
	}
	return n
}

func waitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still waiting until %s", what)
		}
	}
}
