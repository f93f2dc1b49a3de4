package mux_test

import (
	"sync/atomic"
	"testing"
	"time"

	"atrium/internal/limit"
	"atrium/internal/mux"
)

// TestPings: the server pings every PingEvery, and a peer that answers lives.
func TestPings(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{PingEvery: 20 * time.Millisecond, Silence: time.Second})
	c := dial(s, "alice")
	pings := make(chan time.Time, 100)
	answer := c.ws.PingHandler()
	c.ws.SetPingHandler(func(data string) error {
		pings <- time.Now()
		return answer(data)
	})
	go c.tryNext() // reads, and so answers, until the end
	began := time.Now()
	for i := 0; time.Since(began) < 1500*time.Millisecond; i++ { // longer than Silence
		select {
		case at := <-pings:
			if i == 10 && at.Sub(began) < 150*time.Millisecond {
				t.Errorf("ten pings within %v", at.Sub(began))
			}
		case <-time.After(patience):
			t.Fatal("no ping")
		}
	}
	if s.Stats().Sessions() != 1 {
		t.Error("dropped though it answered")
	}
}

// TestSilence: a peer that reads all and says nothing is dropped, and told to
// come back.
func TestSilence(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{PingEvery: 20 * time.Millisecond, Silence: 150 * time.Millisecond})
	c := dial(s, "alice")
	c.ws.SetPingHandler(func(string) error { return nil })
	began := time.Now()
	c.expectClose(mux.CloseTooSlow)
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("dropped after %v", took)
	}
}

// TestOwnSilence: while a handler keeps us from reading, the peer's silence
// does not count.
func TestOwnSilence(t *testing.T) {
	t.Parallel()
	const silence = 300 * time.Millisecond
	s := start(t, mux.Options{Silence: silence}, func(s *server) {
		s.Handle("slow", mux.Route{Handle: func(*mux.Message) (mux.Acknowledgement, error) {
			time.Sleep(2 * silence)
			return nil, nil
		}})
	})
	c := dial(s, "alice")
	c.send(msg{"type": "slow", "id": 1})
	if m := c.next(); m["type"] != "ack" {
		t.Errorf("got %v", m)
	}
	c.ping()
	c.send(msg{"type": "slow", "id": 2})
	c.send(msg{"type": "ping", "id": 3}) // waits in the kernel
	for id := 2.0; id <= 3; id++ {
		if m := c.next(); m["type"] != "ack" || m["id"] != id {
			t.Errorf("got %v", m)
		}
	}
}

// limited starts a server with one limit for each class.
func limited(t *testing.T, o mux.Options, limits limit.Limits, got *[5]atomic.Int64) *server {
	o.Limits = &limits
	return start(t, o, func(s *server) {
		for name, class := range map[string]limit.Class{"control": limit.Control, "join?": limit.Join, "cursor": limit.Cursor, "sync": limit.Sync, "ephemeral": limit.Ephemeral} {
			s.Handle(name, mux.Route{Class: class, Handle: func(*mux.Message) (mux.Acknowledgement, error) {
				got[class].Add(1)
				return nil, nil
			}})
		}
	})
}

func TestLimits(t *testing.T) {
	t.Parallel()
	limits := limit.Limits{Refusals: 50, Window: time.Hour}
	limits.Classes[limit.Control] = limit.Limit{Rate: 0.001, Burst: 5}
	limits.Classes[limit.Join] = limit.Limit{Rate: 0.001, Burst: 7}
	limits.Classes[limit.Cursor] = limit.Limit{Rate: 0.001, Burst: 9}
	limits.Classes[limit.Sync] = limit.Limit{Rate: 200, Burst: 10}
	limits.Classes[limit.Ephemeral] = limit.Limit{Rate: 200, Burst: 10}
	var got [5]atomic.Int64
	s := limited(t, mux.Options{}, limits, &got)
	c := dial(s, "alice")
	for _, test := range []struct {
		name    string
		class   limit.Class
		sent    int
		handled int64
		refused int
		atLeast time.Duration
	}{
		{"control", limit.Control, 10, 5, 5, 0},
		{"join?", limit.Join, 10, 7, 3, 0},
		{"cursor", limit.Cursor, 100, 100, 0, 200 * time.Millisecond}, // past 9 they count as sync messages
		{"sync", limit.Sync, 60, 60, 0, 200 * time.Millisecond},
		{"ephemeral", limit.Ephemeral, 60, 60, 0, 200 * time.Millisecond},
	} {
		began, refused := time.Now(), 0
		for i := range test.sent {
			c.send(msg{"type": test.name, "id": i})
		}
		for i := range test.sent {
			m := c.next()
			if m["id"] != float64(i) {
				t.Fatalf("%s: got %v, want the answer to %d", test.name, m, i)
			}
			if m["type"] == "error" {
				refused++
				if after, _ := m["retryAfterMs"].(float64); m["code"] != "rate_limited" || m["retryable"] != true || after < 1 {
					t.Fatalf("%s: got %v", test.name, m)
				}
			}
		}
		if n := got[test.class].Load(); n != test.handled || refused != test.refused || time.Since(began) < test.atLeast {
			t.Errorf("%s: %d handled, %d refused in %v, want %d and %d", test.name, n, refused, time.Since(began), test.handled, test.refused)
		}
	}
	// What cannot even be told apart counts too: 8 refusals so far.
	for range 42 {
		c.send(msg{"type": "sync", "id": []int{1}})
	}
	before := c.expectClose(mux.CloseTooMany)
	if len(before) != 42 {
		t.Errorf("%d answers before the end, want 42", len(before))
	}
	if n := got[limit.Sync].Load(); n != 60 {
		t.Errorf("%d sync messages handled, want 60", n)
	}
}

// TestSlowedIsNotSilent: reading more slowly neither drops the peer as silent
// nor keeps Close waiting.
func TestSlowedIsNotSilent(t *testing.T) {
	t.Parallel()
	limits := limit.Limits{}
	limits.Classes[limit.Sync] = limit.Limit{Rate: 2, Burst: 1}
	var got [5]atomic.Int64
	s := limited(t, mux.Options{Silence: 200 * time.Millisecond}, limits, &got)
	c := dial(s, "alice")
	for i := range 20 {
		c.send(msg{"type": "sync", "id": i})
	}
	for i := range 3 { // half a second between them
		if m := c.next(); m["id"] != float64(i) {
			t.Fatalf("got %v", m)
		}
	}
	began := time.Now()
	c.session.Close(mux.CloseForbidden, "")
	c.expectClose(mux.CloseForbidden)
	<-mux.LeftOf(c.session)
	if took := time.Since(began); took > 450*time.Millisecond {
		t.Errorf("left %v after Close", took)
	}
}
