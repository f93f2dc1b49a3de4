package mux

import (
	"runtime"
	"sync"
)

// Delivery is a frame for one session: on offer, see Session.Offer, or to be sent.
type Delivery struct {
	Session *Session
	Frame   *Frame
	Drained func()
	Taken   bool // what Offer has reported
}

// OfferAll makes all offers, spread over the cores, and returns when they are
// made. No session may be among them twice.
func OfferAll(list []Delivery) {
	spread(len(list), func(i int) {
		d := &list[i]
		d.Taken = d.Session.offer(d.Frame, d.Drained)
	})
	taken := 0
	for i := range list {
		if list[i].Taken {
			taken++
		}
	}
	if taken > 0 {
		list[0].Session.mux.stats.out[Offered].Add(int64(taken))
	}
}

// SendAll sends each frame to its session, spread over the cores, and returns when
// all are sent or queued. No session may be among them twice.
func SendAll(list []Delivery) {
	spread(len(list), func(i int) { list[i].Session.Send(list[i].Frame) })
}

// spreadFrom is how many writes, of some 10 µs each, are worth a goroutine.
const spreadFrom = 128

// spread calls f for 0 to n-1, in parallel where that pays, and returns when
// all have been called.
func spread(n int, f func(i int)) {
	parts := min(runtime.GOMAXPROCS(0), n/spreadFrom)
	if parts < 2 {
		for i := range n {
			f(i)
		}
		return
	}
	var done sync.WaitGroup
	for p := range parts {
		from, to := n*p/parts, n*(p+1)/parts
		done.Go(func() {
			for i := from; i < to; i++ {
				f(i)
			}
		})
	}
	done.Wait()
}
