package mux_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"atrium/internal/mux"
)

func TestPublish(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{})
	alice, bob, carol := dial(s, "alice"), dial(s, "bob", inJSON), dial(s, "carol")
	for _, c := range []*client{alice, bob, carol} {
		s.Subscribe(c.session, "topic")
		s.Subscribe(c.session, "topic") // twice is once
	}
	publish := func(n int, except *client, latest bool) {
		var not *mux.Session
		if except != nil {
			not = except.session
		}
		if latest {
			s.PublishLatest("topic", "key", &text{Type: "x", N: n}, not)
		} else {
			s.Publish("topic", &text{Type: "x", N: n}, not)
		}
	}
	heard := func(c *client, want ...float64) {
		t.Helper()
		var got []float64
		for _, m := range c.ping() {
			got = append(got, m["n"].(float64))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s heard %v, want %v", c.user, got, want)
		}
	}
	for _, latest := range []bool{false, true} {
		publish(1, nil, latest)
		publish(2, bob, latest)
		heard(alice, 1, 2)
		heard(bob, 1)
		heard(carol, 1, 2)
	}
	s.Unsubscribe(bob.session, "topic")
	s.Unsubscribe(bob.session, "topic")
	s.Unsubscribe(bob.session, "another")
	publish(3, nil, false)
	heard(bob)
	heard(alice, 3)

	carol.session.Close(mux.CloseForbidden, "")
	<-mux.LeftOf(carol.session)
	if topics, sessions := s.Topics(); topics != 1 || sessions != 1 {
		t.Errorf("%d topics, %d sessions, want alice's alone", topics, sessions)
	}
	s.Subscribe(carol.session, "topic") // too late: it would never end
	publish(4, nil, false)
	heard(alice, 3+1)
	if _, sessions := s.Topics(); sessions != 1 {
		t.Errorf("%d sessions after one has left, want 1", sessions)
	}
}

// TestLatestWins: of many keys' many messages to a peer that does not read, it
// gets the newest of each, in the order in which the keys came, and they use
// no budget.
func TestLatestWins(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(testing.TB, mux.Options, ...func(*server)) *server{"plain": start, "TLS": startTLS} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t, mux.Options{})
			for range 3 { // what one round leaves behind would spoil the next
				c := dial(s, "alice")
				s.Subscribe(c.session, "topic")
				fillers := c.stall()
				counted := c.session.Counted()
				const keys, rounds = 50, 100
				for n := range rounds {
					for k := range keys {
						s.PublishLatest("topic", fmt.Sprint(k), &text{Type: "latest", N: n*keys + k, Text: strings.Repeat("x", 1000)}, nil)
					}
				}
				if got := c.session.Counted(); got > counted {
					t.Errorf("%d bytes of the budget used, %d before", got, counted)
				}
				for i := range fillers + keys {
					m, want := c.next(), float64(i)
					if i >= fillers {
						want = float64((rounds-1)*keys + i - fillers)
					}
					if m["n"] != want {
						t.Fatalf("message %d is %v, want %v", i, m["n"], want)
					}
				}
				if got := c.ping(); len(got) != 0 {
					t.Errorf("%d messages too much", len(got))
				}
				waitFor(t, "the queue to end", func() bool { return !c.session.Busy() })
				if n := c.session.Counted(); n != 0 {
					t.Errorf("%d bytes of the budget used by nothing", n)
				}
			}
		})
	}
}

// TestLatestStaysReplaceable: what waits behind much that is latest-wins itself
// is still the newest when its turn comes.
func TestLatestStaysReplaceable(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{})
	c := dial(s, "alice")
	big := strings.Repeat("x", 200_000)
	publish := func(n int) {
		for k := range 10 {
			c.session.SendLatest(fmt.Sprint(k), mux.NewFrame(&text{Type: "latest", N: n, Text: big}))
		}
	}
	publish(0)
	waitFor(t, "the socket to be full", c.session.Busy)
	for n := range 20 {
		publish(n + 1)
	}
	old := 0
	for newest := 0; newest < 10; {
		if c.next()["n"] == 20.0 {
			newest++
		} else {
			old++
		}
	}
	if old > 10 { // in the kernel, and being written
		t.Errorf("%d messages that were no longer the newest", old)
	}
}

// TestOfferPassesLatest: a slow reader whose cursors never end gets what is
// offered all the same.
func TestOfferPassesLatest(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(testing.TB, mux.Options, ...func(*server)) *server{"plain": start, "TLS": startTLS} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t, mux.Options{})
			c := dial(s, "alice")
			cursors := func() {
				for k := range 10 { // more than the socket takes
					c.session.SendLatest(fmt.Sprint(k), frame("latest", k, 200_000))
				}
			}
			cursors()
			waitFor(t, "the socket to be full", c.session.Busy)
			var drained atomic.Int32
			tell := func() { drained.Add(1) }
			if !c.session.Offer(frame("offered", 0, 10), tell) {
				t.Error("kept out by what can be replaced")
			}
			if c.session.Offer(frame("offered", 1, 10), tell) {
				t.Error("taken while another offer waits")
			}
			for n := range 10 {
				if cursors(); c.next()["type"] == "offered" {
					break
				} else if n == 9 {
					t.Error("the offer has to wait for all that can be replaced")
				}
			}
			for n := 0; drained.Load() == 0; n++ { // the cursors have not ended
				if cursors(); n == 100 {
					t.Fatal("whoever waits to offer waits for what can be replaced")
				}
				c.next()
			}
			if !c.session.Busy() || !c.session.Offer(frame("offered", 1, 10), tell) {
				t.Error("kept out by what can be replaced, once told")
			}
		})
	}
}

// TestDeadlineGoes: after a slow spell frames are tried at once again.
func TestDeadlineGoes(t *testing.T) {
	t.Parallel()
	const silence = time.Second
	s := start(t, mux.Options{Silence: silence})
	c := dial(s, "alice")
	c.session.Send(frame("large", 0, 1<<20))
	c.next()
	c.ping()
	for end := time.Now().Add(silence + silence/5); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		c.send(msg{"type": "ping"}) // not answered: an answer would move the deadline
	}
	if !c.session.TryPing() {
		t.Error("a frame had to take the slow way")
	}
}

func TestOffer(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{QueueBytes: 1 << 18})
	c := dial(s, "alice")
	var calls atomic.Int32
	drained := func() { calls.Add(1) }
	if !c.session.Offer(frame("small", 0, 10), drained) {
		t.Fatal("refused by an idle session")
	}
	c.ping()
	// A frame larger than the budget, and than any socket: there is one at most.
	if !c.session.Offer(frame("large", 0, 8<<20), drained) {
		t.Fatal("refused by an idle session")
	}
	if c.session.Counted() != 0 {
		t.Errorf("an offered frame uses %d bytes of the budget", c.session.Counted())
	}
	for range 3 {
		if c.session.Offer(frame("refused", 0, 10), drained) {
			t.Fatal("taken while one waits")
		}
	}
	c.session.Send(frame("small", 1, 10)) // all else has its budget still
	if calls.Load() != 0 {
		t.Error("drained too early")
	}
	if m := c.next(); m["type"] != "large" || len(m["text"].(string)) != 8<<20 {
		t.Fatalf("got %v", m["type"])
	}
	if m := c.next(); m["n"] != 1.0 {
		t.Fatalf("got %v", m["type"])
	}
	waitFor(t, "drained", func() bool { return calls.Load() == 3 })
	if !c.session.Offer(frame("again", 0, 10), drained) {
		t.Error("refused by an idle session")
	}
	c.ping()
	if calls.Load() != 3 {
		t.Errorf("drained %d times, want once each", calls.Load())
	}
}

// TestOfferEnds: who waits to offer hears of it also when the session ends.
func TestOfferEnds(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{})
	for _, end := range []func(*client){
		func(c *client) { c.session.Close(mux.CloseForbidden, "") },
		func(c *client) { c.session.Close(mux.CloseTooSlow, "") },
		func(c *client) { c.ws.Close() },
	} {
		c := dial(s, "alice")
		c.stall()
		var calls atomic.Int32
		if c.session.Offer(frame("x", 0, 0), func() { calls.Add(1) }) {
			t.Fatal("taken while much waits")
		}
		end(c)
		c.ws.Close()
		waitFor(t, "drained", func() bool { return calls.Load() > 0 })
		<-mux.LeftOf(c.session)
		if !c.session.Offer(frame("x", 0, 0), func() { calls.Add(1) }) || calls.Load() != 1 {
			t.Errorf("drained %d times, want once, and offers to nobody to be taken", calls.Load())
		}
	}
}

// TestTooSlow: a peer that does not read is closed when its budget is used up,
// and nobody else notices.
func TestTooSlow(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{QueueBytes: 256 << 10})
	stalled, reader := dial(s, "stalled"), dial(s, "reader")
	s.Subscribe(stalled.session, "topic")
	s.Subscribe(reader.session, "topic")
	var slowest time.Duration
	n := 0
	for ; s.Stats().Closes(mux.CloseTooSlow) == 0; n++ {
		if n == 10_000 {
			t.Fatal("never too slow")
		}
		began := time.Now()
		s.Publish("topic", &text{Type: "x", N: n, Text: strings.Repeat("x", 2000)}, nil)
		slowest = max(slowest, time.Since(began))
		if got := stalled.session.Counted(); got > 256<<10 {
			t.Fatalf("%d bytes wait", got)
		}
		if m := reader.next(); m["n"] != float64(n) {
			t.Fatalf("got %v, want %d", m["n"], n)
		}
	}
	if slowest > 500*time.Millisecond {
		t.Errorf("Publish took %v", slowest)
	}
	t.Logf("slowest of %d publishes: %v", n, slowest)
	for i, m := range stalled.expectClose(mux.CloseTooSlow) { // whole frames, in order, then the code
		if m["n"] != float64(i) {
			t.Fatalf("message %d is %v", i, m["n"])
		}
	}
	if reader.ping(); s.Stats().Closes(mux.CloseTooSlow) != 1 {
		t.Errorf("%d sessions were too slow, want 1", s.Stats().Closes(mux.CloseTooSlow))
	}
}

// TestStalledTalker: a peer that talks but takes nothing is given up.
func TestStalledTalker(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{Silence: 300 * time.Millisecond, QueueBytes: 1 << 30})
	c := dial(s, "alice")
	c.session.Send(frame("x", 0, 8<<20))
	for end := time.Now().Add(patience); s.Stats().Closes(mux.CloseTooSlow) == 0; time.Sleep(20 * time.Millisecond) {
		c.ws.WriteMessage(c.kind(), mux.EncodeCBOR(msg{"type": "ping"}))
		if time.Now().After(end) {
			t.Fatal("never given up")
		}
	}
	<-mux.LeftOf(c.session)
}

// TestSlowIsNotStalled: a peer that takes longer than Silence for all, but not
// for each part, gets everything. After it the deadline is gone.
func TestSlowIsNotStalled(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{Silence: 1500 * time.Millisecond, PingEvery: 20 * time.Millisecond})
	c := dial(s, "alice")
	c.session.Send(frame("x", 0, 4<<20))
	raw, began := c.ws.NetConn(), time.Now()
	read := 0
	for buf := make([]byte, 256<<10); read < 4<<20; {
		raw.SetReadDeadline(time.Now().Add(patience))
		n, err := raw.Read(buf)
		if read += n; err != nil {
			t.Fatalf("after %d bytes and %v: %v", read, time.Since(began), err)
		}
		if time.Since(began) < 3*time.Second {
			time.Sleep(15 * time.Millisecond) // the pace of a slow link, not a wait
			c.ws.WriteMessage(c.kind(), mux.EncodeCBOR(msg{"type": "pong?"}))
		}
	}
}

// TestJoinedWrites: frames that waited arrive whole and in order, also where
// each write may block.
func TestJoinedWrites(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(testing.TB, mux.Options, ...func(*server)) *server{"plain": start, "TLS": startTLS} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t, mux.Options{QueueBytes: 64 << 20})
			c := dial(s, "alice")
			if c.session.Plain() != (name == "plain") {
				t.Fatal("the wrong kind of connection")
			}
			random := rand.New(rand.NewPCG(1, 2))
			sizes := make([]int, 5000)
			c.session.Send(frame("large", 0, 1<<20)) // then the socket is full
			for i := range sizes {
				sizes[i] = random.IntN(200)
				if i%500 == 0 {
					sizes[i] = 200_000
				}
				c.session.Send(frame("x", i, sizes[i]))
				if i%100 == 0 {
					c.session.Tick() // pings in between
				}
			}
			c.next()
			for i, size := range sizes {
				if m := c.next(); m["n"] != float64(i) || len(m["text"].(string)) != size {
					t.Fatalf("message %d is %v with %d bytes, want %d", i, m["n"], len(m["text"].(string)), size)
				}
			}
			if got := c.ping(); len(got) != 0 {
				t.Errorf("got %v too much", got)
			}
		})
	}
}
