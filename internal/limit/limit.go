// Package limit holds the token buckets of one session: how often it may send
// messages of each class, and how many refusals it gets before it is closed.
//
// It only counts. It sends nothing, sleeps nowhere and reads no clock: the time
// is passed in, and what a verdict means on the wire is the caller's business.
package limit

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// Class is a kind of message with a bucket of its own.
type Class uint8

const (
	Control   Class = iota // control and chat, typing too: over the limit they are refused
	Join                   // joins and subscriptions: over the limit they are refused
	Cursor                 // cursors: over the limit they are coalesced, silently
	Sync                   // sync messages: never refused, reading waits
	Ephemeral              // stock ephemeral messages: never refused, reading waits

	NumClasses // how many there are
)

func (c Class) String() string {
	return [NumClasses]string{"control", "join", "cursor", "sync", "ephemeral"}[c]
}

// Limit is one bucket's size. A Rate of 0 or less means no limit.
type Limit struct {
	Rate  float64 // messages per second
	Burst int     // messages at once, after a pause; less than 1 counts as 1
}

// Limits is the table that every session is held to. The zero value limits
// nothing.
type Limits struct {
	Classes  [NumClasses]Limit // indexed by Class
	Refusals int               // as many refusals within Window are too many; 0: never
	Window   time.Duration
}

// Defaults returns the limits that the protocol promises.
func Defaults() Limits {
	return Limits{
		Classes: [NumClasses]Limit{
			Control:   {Rate: 10, Burst: 20},
			Join:      {Rate: 10, Burst: 200},
			Cursor:    {Rate: 60, Burst: 60},
			Sync:      {Rate: 1000, Burst: 4000},
			Ephemeral: {Rate: 100, Burst: 200},
		},
		Refusals: 100,
		Window:   10 * time.Second,
	}
}

// Session is the buckets of one session. A bucket is made by the first message
// of its class, so that an idle session costs little more than the pointers.
// It is not safe for concurrent use: the session's read goroutine owns it.
type Session struct {
	limits   *Limits // shared by all sessions, never written to
	buckets  [NumClasses]*rate.Limiter
	refusals *refusals // nil until the first one
}

// refusals is a ring of the last refusals, as many as are too many.
type refusals struct {
	first time.Time       // of all refusals
	at    []time.Duration // since first
	next  int             // the oldest entry, once the ring is full
}

// NewSession returns full buckets. It keeps l, which must not change any more.
func NewSession(l *Limits) Session {
	return Session{limits: l}
}

// Allow takes a message of class c out of its bucket, if it is in there. If it
// is not, retryAfter says when it will be, in whole milliseconds rounded up;
// asking costs nothing. It is for Control, Join and Cursor.
func (s *Session) Allow(c Class, now time.Time) (ok bool, retryAfter time.Duration) {
	b := s.bucket(c)
	if b == nil || b.AllowN(now, 1) {
		return true, 0
	}
	missing := 1 - b.TokensAt(now)
	ms := math.Ceil(missing / float64(b.Limit()) * 1000)
	if ms > math.MaxInt32 {
		ms = math.MaxInt32
	}
	return false, time.Duration(max(ms, 1)) * time.Millisecond
}

// Delay takes a message of class c out of its bucket, on credit if it is not in
// there, and returns how long to wait before reading the next one. It is for
// Sync and Ephemeral, which are never dropped. Credit adds up: who reads on
// without waiting is told to wait longer.
func (s *Session) Delay(c Class, now time.Time) time.Duration {
	b := s.bucket(c)
	if b == nil || b.AllowN(now, 1) { // which allocates nothing
		return 0
	}
	return b.ReserveN(now, 1).DelayFrom(now)
}

// Refused counts one refusal and reports whether the session has had too many
// of them: limits.Refusals within limits.Window, counted exactly. Coalesced
// cursors are no refusals.
func (s *Session) Refused(now time.Time) (tooMany bool) {
	n := s.limits.Refusals
	if n <= 0 {
		return false
	}
	if s.refusals == nil {
		s.refusals = &refusals{first: now, at: make([]time.Duration, 0, n)}
	}
	r := s.refusals
	at := now.Sub(r.first)
	if len(r.at) < n {
		r.at = append(r.at, at)
	} else {
		r.at[r.next] = at
		r.next = (r.next + 1) % n
	}
	return len(r.at) == n && at-r.at[r.next] < s.limits.Window
}

// bucket returns the bucket of c, nil if c is not limited.
func (s *Session) bucket(c Class) *rate.Limiter {
	if s.buckets[c] == nil {
		l := s.limits.Classes[c]
		if l.Rate <= 0 {
			return nil
		}
		s.buckets[c] = rate.NewLimiter(rate.Limit(l.Rate), max(l.Burst, 1))
	}
	return s.buckets[c]
}
