package webhook

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"atrium/internal/db"
	"atrium/internal/scratch"
)

const patience = 20 * time.Second

// receiver hears of documents.
type receiver struct {
	*httptest.Server
	t     *testing.T
	heard chan heard

	mu     sync.Mutex
	answer func(heard) int // guarded by mu
}

// heard is a message, as it came.
type heard struct {
	body
	raw string
	at  time.Time
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, heard: make(chan heard, 1000), answer: func(heard) int { return http.StatusOK }}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		raw, err := io.ReadAll(req.Body)
		h := heard{raw: string(raw), at: time.Now()}
		if err == nil {
			err = json.Unmarshal(raw, &h.body)
		}
		if err != nil || h.ID != req.Header.Get("Webhook-Id") {
			t.Errorf("got %s under id %s: %v", raw, req.Header.Get("Webhook-Id"), err)
		}
		r.mu.Lock()
		answer := r.answer
		r.mu.Unlock()
		status := answer(h)
		r.heard <- h
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answers(answer func(heard) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) next() heard {
	r.t.Helper()
	select {
	case h := <-r.heard:
		return h
	case <-time.After(patience):
		r.t.Fatal("nothing came")
		panic("unreachable")
	}
}

func (r *receiver) nothing(during time.Duration) {
	r.t.Helper()
	select {
	case h := <-r.heard:
		r.t.Fatalf("got %s", h.raw)
	case <-time.After(during):
	}
}

// start starts a module in a hurry.
func start(t *testing.T, d *db.DB, url string, more ...func(*Options)) *Module {
	t.Helper()
	o := Options{
		DB: d, URL: url, Secret: []byte("a secret for tests"),
		Quiet: 100 * time.Millisecond, AtMost: 400 * time.Millisecond, FirstWait: 10 * time.Millisecond,
	}
	for _, f := range more {
		f(&o)
	}
	m := New(o)
	t.Cleanup(m.Close)
	return m
}

// add keeps an event, and says that it is committed.
func (m *Module) add(t *testing.T, kind Kind, documentID string, users ...string) {
	t.Helper()
	m.keep(t, kind, documentID, users...)()
}

func (m *Module) keep(t *testing.T, kind Kind, documentID string, users ...string) (committed func()) {
	t.Helper()
	e := Event{Kind: kind, DocumentID: documentID, UserIDs: users, At: time.Now()}
	if kind != Deleted {
		e.Heads = []string{"aa", "bb"}
	}
	err := m.write(func(tx *db.Tx) (err error) {
		committed, err = m.Add(tx, e)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return committed
}

// empty waits until nothing is left to tell.
func (m *Module) empty(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if list, err := m.upcoming(1); err != nil || len(list) == 0 {
			if err != nil {
				t.Fatal(err)
			}
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("%v is left", list)
		}
	}
}

func TestWait(t *testing.T) {
	want := []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600, 3600}
	for i, seconds := range want {
		full := seconds * time.Second
		for random, want := range map[float64]time.Duration{0: full / 2, 0.5: full * 3 / 4, 1: full} {
			if got := wait(i+1, time.Second, random); got != want {
				t.Errorf("after %d failures, %v: got %v, want %v", i+1, random, got, want)
			}
		}
	}
	if got := wait(1<<40, time.Second, 1); got != time.Hour {
		t.Errorf("after many: got %v", got)
	}
}

// TestSign: as the libraries of standardwebhooks.com, whose example this is.
func TestSign(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`)
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestLife: one event each, in order, with who did it.
func TestLife(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		r := newReceiver(t)
		m := start(t, d, r.URL)
		m.add(t, Created, "doc", "alice")
		if h := r.next(); h.Type != Created || h.DocumentID != "doc" || h.URL != "automerge:doc" ||
			!slices.Equal(h.UserIDs, []string{"alice"}) || !slices.Equal(h.Heads, []string{"aa", "bb"}) {
			t.Errorf("got %s", h.raw)
		}
		m.add(t, Changed, "doc", "bob")
		m.add(t, Changed, "doc", "alice", "bob", "carol")
		m.add(t, Changed, "doc", "alicia", "bo")
		began := time.Now()
		h := r.next()
		if want := []string{"bob", "alice", "carol", "alicia", "bo"}; h.Type != Changed || !slices.Equal(h.UserIDs, want) {
			t.Errorf("got %s, want %v", h.raw, want)
		}
		if at, err := time.Parse(time.RFC3339, h.At); err != nil || h.at.Sub(at) < 100*time.Millisecond || h.at.Sub(began) > 5*time.Second {
			t.Errorf("%s came at %v: %v", h.raw, h.at, err)
		}
		m.add(t, Changed, "doc", "bob")
		m.add(t, Deleted, "doc", "root") // in the place of the change
		if h := r.next(); h.Type != Deleted || h.Heads != nil || !slices.Equal(h.UserIDs, []string{"bob", "root"}) {
			t.Errorf("got %s", h.raw)
		}
		m.empty(t)
		r.nothing(0)
		if n := m.Stats().Delivered.Load(); n != 3 {
			t.Errorf("%d delivered, want 3", n)
		}
	})
}

// TestDebounce: an event while changes follow each other, and one after the last.
func TestDebounce(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		r := newReceiver(t)
		m := start(t, d, r.URL)
		began := time.Now()
		for time.Since(began) < time.Second {
			m.add(t, Changed, "doc", "alice")
			time.Sleep(10 * time.Millisecond)
		}
		m.empty(t)
		var at []time.Time
		for len(r.heard) > 0 {
			at = append(at, r.next().at)
		}
		if len(at) < 2 || len(at) > 4 {
			t.Errorf("%d came, want 3", len(at))
		}
		for i := range at {
			if i > 0 && at[i].Sub(at[i-1]) < 100*time.Millisecond {
				t.Errorf("two within %v", at[i].Sub(at[i-1]))
			}
		}
	})
}

func TestManyUsers(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		r := newReceiver(t)
		m := start(t, d, r.URL)
		var users []string
		for i := range 30 {
			users = append(users, fmt.Sprint("user ", i))
		}
		m.add(t, Changed, "one at a time", users[0])
		for i := range users {
			m.add(t, Changed, "one at a time", users[i])
		}
		m.add(t, Changed, "all at once", users...)
		m.add(t, Created, "new", users...)
		for range 3 {
			if h := r.next(); !slices.Equal(h.UserIDs, users[:20]) {
				t.Errorf("%s: got %q", h.DocumentID, h.UserIDs)
			}
		}
	})
}

// TestRetries: the same message comes until it is taken; what happens meanwhile
// waits, as one message of its own.
func TestRetries(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		r := newReceiver(t)
		tries := 0
		r.answers(func(h heard) int { // one at a time: they are of one document
			if tries++; tries < 5 {
				return []int{500, 404, 302, 199 + 301}[tries-1]
			}
			return http.StatusNoContent
		})
		m := start(t, d, r.URL)
		m.add(t, Changed, "doc", "alice")
		first := r.next()
		m.add(t, Changed, "doc", "bob")
		m.add(t, Changed, "doc", "carol")
		for range 4 {
			if h := r.next(); h.raw != first.raw {
				t.Errorf("got %s, and before %s", h.raw, first.raw)
			}
		}
		if h := r.next(); h.ID == first.ID || !slices.Equal(h.UserIDs, []string{"bob", "carol"}) {
			t.Errorf("got %s behind %s", h.raw, first.raw)
		}
		m.empty(t)
		if s := m.Stats(); s.Retried.Load() != 4 || s.Delivered.Load() != 2 || s.GivenUp.Load() != 0 {
			t.Errorf("counted %d retried, %d delivered, %d given up", s.Retried.Load(), s.Delivered.Load(), s.GivenUp.Load())
		}
	})
}

func TestGivingUp(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		t.Run("410", func(t *testing.T) {
			r := newReceiver(t)
			r.answers(func(h heard) int {
				if h.Type == Created {
					return http.StatusGone
				}
				return http.StatusOK
			})
			m := start(t, d, r.URL)
			m.add(t, Created, "doc", "alice")
			m.add(t, Deleted, "doc", "alice")
			if a, b := r.next(), r.next(); a.Type != Created || b.Type != Deleted {
				t.Errorf("got %s and %s", a.raw, b.raw)
			}
			m.empty(t)
			if s := m.Stats(); s.GivenUp.Load() != 1 || s.Retried.Load() != 0 || s.Delivered.Load() != 1 {
				t.Errorf("counted %d given up, %d retried, %d delivered", s.GivenUp.Load(), s.Retried.Load(), s.Delivered.Load())
			}
		})
		t.Run("after a while", func(t *testing.T) {
			r := newReceiver(t)
			r.answers(func(heard) int { return http.StatusInternalServerError })
			m := start(t, d, r.URL, func(o *Options) { o.GiveUp = 200 * time.Millisecond })
			m.add(t, Created, "doc", "alice")
			m.empty(t)
			if n := len(r.heard); n < 2 || n > 7 || m.Stats().GivenUp.Load() != 1 {
				t.Errorf("%d attempts, %d given up", n, m.Stats().GivenUp.Load())
			}
		})
	})
}

// TestParallel: documents do not wait for each other, up to eight; the events of
// one do.
func TestParallel(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		r := newReceiver(t)
		release := make(chan struct{})
		var mu sync.Mutex
		inside, most := make(map[string]int), 0
		r.answers(func(h heard) int {
			mu.Lock()
			inside[h.DocumentID]++
			if inside[h.DocumentID] > 1 {
				t.Errorf("two of %s at once", h.DocumentID)
			}
			most = max(most, len(inside))
			mu.Unlock()
			<-release
			mu.Lock()
			if inside[h.DocumentID]--; inside[h.DocumentID] == 0 {
				delete(inside, h.DocumentID)
			}
			mu.Unlock()
			return http.StatusOK
		})
		m := start(t, d, r.URL)
		for i := range 20 {
			m.add(t, Created, fmt.Sprint("doc ", i), "alice")
			m.add(t, Deleted, fmt.Sprint("doc ", i), "alice")
		}
		for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			mu.Lock()
			n := len(inside)
			mu.Unlock()
			if n == maxAtOnce {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("%d at once", n)
			}
		}
		close(release)
		m.empty(t)
		deleted := make(map[string]bool)
		for range 40 {
			h := r.next()
			if h.Type == Created && deleted[h.DocumentID] {
				t.Errorf("%s was deleted first", h.DocumentID)
			}
			deleted[h.DocumentID] = h.Type == Deleted
		}
		if most != maxAtOnce {
			t.Errorf("%d at once", most)
		}
	})
}

// TestTimeout: who does not answer is asked again.
func TestTimeout(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		r := newReceiver(t)
		var again atomic.Bool
		r.answers(func(heard) int {
			if !again.Swap(true) {
				time.Sleep(500 * time.Millisecond)
			}
			return http.StatusOK
		})
		m := start(t, d, r.URL, func(o *Options) { o.Timeout = 200 * time.Millisecond })
		m.add(t, Created, "doc", "alice")
		if a, b := r.next(), r.next(); a.raw != b.raw {
			t.Errorf("got %s and %s", a.raw, b.raw)
		}
		m.empty(t)
	})
}

// TestRestart: what was there, and what was being told, is told after.
func TestRestart(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		r := newReceiver(t)
		called, stopped := make(chan struct{}), make(chan struct{})
		r.answers(func(heard) int {
			close(called)
			<-stopped
			return http.StatusOK
		})
		m := New(Options{DB: d, URL: r.URL, Quiet: time.Second})
		m.add(t, Created, "new", "alice")
		m.add(t, Changed, "old", "alice")
		<-called
		m.cancel() // it does not hear the answer
		m.Close()
		m.keep(t, Deleted, "gone", "alice")
		close(stopped)
		before := r.next()
		r.answers(func(heard) int { return http.StatusOK })
		again := start(t, d, r.URL)
		got := make(map[string]heard)
		for range 3 {
			h := r.next()
			got[h.DocumentID] = h
		}
		if got["new"].raw != before.raw || got["old"].Type != Changed || got["gone"].Type != Deleted {
			t.Errorf("got %v, and before %s", got, before.raw)
		}
		again.empty(t)
	})
}

// TestRolledBack: what did not happen is not told.
func TestRolledBack(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		r := newReceiver(t)
		m := start(t, d, r.URL)
		failure := errors.New("no")
		for _, kind := range []Kind{Created, Changed, Deleted} {
			err := m.write(func(tx *db.Tx) error {
				if _, err := m.Add(tx, Event{Kind: kind, DocumentID: "doc", UserIDs: []string{"alice"}, At: time.Now()}); err != nil {
					return err
				}
				return failure
			})
			if !errors.Is(err, failure) {
				t.Fatal(err)
			}
		}
		m.empty(t)
		r.nothing(200 * time.Millisecond)
	})
}

// BenchmarkAdd is what a change of a document costs more, beside others.
func BenchmarkAdd(b *testing.B) {
	d, err := db.Open(b.Context(), db.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	m := New(Options{DB: d, URL: "http://127.0.0.1:9", Quiet: time.Hour, AtMost: time.Hour})
	defer m.Close()
	heads := []string{strings.Repeat("ab", 32)}
	err = m.write(func(tx *db.Tx) error {
		for b.Loop() {
			if _, err := m.Add(tx, Event{Kind: Changed, DocumentID: "doc", UserIDs: []string{"alice"}, Heads: heads, At: time.Now()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
