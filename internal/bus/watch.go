package bus

import (
	"math/rand/v2"
	"time"
)

const lookEvery = 5 * time.Second

// Watch calls look every five seconds or so, until done is closed: what other nodes
// have stored is in the database, also if their messages have got lost.
func Watch(done <-chan struct{}, look func()) {
	for {
		select {
		case <-done:
			return
		case <-time.After(Near(lookEvery)):
		}
		look()
	}
}

// Near returns a time near d: nodes need not do everything at once.
func Near(d time.Duration) time.Duration { return d*4/5 + rand.N(d*2/5) }
