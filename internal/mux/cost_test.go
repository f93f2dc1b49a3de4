package mux_test

import (
	"fmt"
	"io"
	"runtime"
	"testing"

	"atrium/internal/limit"
	"atrium/internal/mux"
)

// reading lets a peer read all that comes.
func (c *client) reading() { go io.Copy(io.Discard, c.ws.NetConn()) }

// TestSendAllocatesNothing: one shared frame to a session whose socket is free.
func TestSendAllocatesNothing(t *testing.T) {
	s := start(t, mux.Options{})
	for _, codec := range []string{"cbor", "json"} {
		c := dial(s, "alice", in(codec))
		s.Subscribe(c.session, "topic")
		c.reading()
		f := frame("x", 0, 100)
		send := map[string]func(){
			"Send":       func() { c.session.Send(f) },
			"Offer":      func() { c.session.Offer(f, nil) },
			"SendLatest": func() { c.session.SendLatest("key", f) },
			"a ping":     c.session.Tick,
		}
		for name, send := range send {
			allocs := testing.AllocsPerRun(200, func() {
				send()
				for c.session.Busy() { // the peer was late: that is another path
					runtime.Gosched()
				}
			})
			if allocs != 0 {
				t.Errorf("%s in %s: %v allocations", name, codec, allocs)
			}
		}
	}
}

func BenchmarkSend(b *testing.B) {
	s := start(b, mux.Options{QueueBytes: 1 << 30})
	c := dial(s, "alice")
	c.reading()
	f := frame("x", 0, 100)
	b.ReportAllocs()
	for b.Loop() {
		c.session.Send(f)
		for c.session.Busy() { // the peer reads more slowly than we can write
			runtime.Gosched()
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := start(b, mux.Options{QueueBytes: 1 << 30})
			for i := range n {
				c := dial(s, fmt.Sprint("user", i))
				s.Subscribe(c.session, "topic")
				c.reading()
			}
			b.ReportAllocs()
			for b.Loop() {
				s.Publish("topic", &text{Type: "x", Text: "something to say"}, nil)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/session")
		})
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	for _, codec := range []string{"cbor", "json"} {
		b.Run(codec, func(b *testing.B) {
			s := start(b, mux.Options{Limits: &limit.Limits{}})
			c := dial(s, "alice", in(codec))
			b.ReportAllocs()
			for b.Loop() {
				c.ping()
			}
		})
	}
}
