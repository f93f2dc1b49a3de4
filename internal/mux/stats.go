package mux

import (
	"maps"
	"sync"
	"sync/atomic"

	"atrium/internal/limit"
)

// Stats counts what a Mux has done. Its methods are safe for concurrent use.
type Stats struct {
	in  [limit.NumClasses]counter // messages, by the class of their limit
	out [numWays]counter

	sessions   atomic.Int64 // joined now
	slowed     atomic.Int64 // messages after which reading paused
	coalesced  atomic.Int64 // cursors dropped for newer ones
	badOrigins atomic.Int64

	mu       sync.Mutex
	refusals map[Code]int64      // guarded by mu
	closes   map[CloseCode]int64 // guarded by mu
}

// counter has a cache line of its own: all cores count messages.
type counter struct {
	atomic.Int64
	_ [56]byte
}

// Way is how a message goes out.
type Way uint8

const (
	Queued  Way = iota // answers and events: each is sent, or the session closed
	Offered            // documents: what a session can take, at its own pace
	Latest             // what counts until something newer comes
	numWays
)

func (w Way) String() string { return [numWays]string{"queued", "offered", "latest"}[w] }

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

// MessagesIn is how many messages of a class have come.
func (st *Stats) MessagesIn(c limit.Class) int64 { return st.in[c].Load() }

// MessagesOut is how many messages have been sent in a way.
func (st *Stats) MessagesOut(w Way) int64 { return st.out[w].Load() }

// Ways are all that there are.
func Ways() []Way { return []Way{Queued, Offered, Latest} }

// Slowed, Coalesced and BadOrigins are how many messages made a session's
// reading pause, how many cursors were over the limit, and how many connections
// were refused for where their page came from.
func (st *Stats) Slowed() int64     { return st.slowed.Load() }
func (st *Stats) Coalesced() int64  { return st.coalesced.Load() }
func (st *Stats) BadOrigins() int64 { return st.badOrigins.Load() }

// AllRefusals and AllCloses return the counts of errors told, by code, and of
// sessions ended, by close code.
func (st *Stats) AllRefusals() map[Code]int64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return maps.Clone(st.refusals)
}

func (st *Stats) AllCloses() map[CloseCode]int64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return maps.Clone(st.closes)
}

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
