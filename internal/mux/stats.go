package mux

import (
	"sync"
	"sync/atomic"
)

// Stats counts what a Mux has done. Its methods are safe for concurrent use.
type Stats struct {
	messagesIn  atomic.Int64
	_           [56]byte // a cache line of its own: all cores count these two
	messagesOut atomic.Int64
	_           [56]byte

	sessions   atomic.Int64 // joined now
	slowed     atomic.Int64 // messages after which reading paused
	coalesced  atomic.Int64 // cursors dropped for newer ones
	badOrigins atomic.Int64

	mu       sync.Mutex
	refusals map[Code]int64      // guarded by mu
	closes   map[CloseCode]int64 // guarded by mu
}

func (st *Stats) refused(c Code) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.refusals == nil {
		st.refusals = make(map[Code]int64)
	}
	st.refusals[c]++
}

func (st *Stats) closed(c CloseCode) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closes == nil {
		st.closes = make(map[CloseCode]int64)
	}
	st.closes[c]++
}

// Stats returns the counters.
func (m *Mux) Stats() *Stats { return &m.stats }

// Sessions is how many have joined and not left.
func (st *Stats) Sessions() int64 { return st.sessions.Load() }

// Refusals is how many errors of a code clients were told.
func (st *Stats) Refusals(c Code) int64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.refusals[c]
}

// Closes is how many sessions ended with a code. Those that the peer ended
// count as CloseNormal, whatever code it gave.
func (st *Stats) Closes(c CloseCode) int64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.closes[c]
}
