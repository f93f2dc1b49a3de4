package collab

import (
	"context"
	"slices"
	"sync"
	"time"

	"atrium/collab/change"
	"atrium/collab/docsync"
	"atrium/internal/mux"
)

// event is what happens to a room. Each stands in its mailbox until the room's
// goroutine takes it.
type event interface {
	from() *mux.Session // nil: nobody's
	size() int          // bytes that it keeps
}

type (
	received struct { // a sync message
		reply   *mux.Reply
		message docsync.Message
		bytes   int
	}
	shouted struct { // an ephemeral message
		reply   *mux.Reply
		message *ephemeralMessage
	}
	opened struct { // collab:join_document
		reply *mux.Reply
		feed  bool          // it wants changes
		heads []change.Hash // what it has
	}
	edited struct { // collab:edit
		reply   *mux.Reply
		changes [][]byte
	}
	closed struct{ reply *mux.Reply } // collab:leave_document
	moved  struct{}                   // cursors have
	asked  struct {                   // something for the room's goroutine
		ctx context.Context // of who waits for it; nil: nobody does
		do  func(*room)
	}
	noted struct { // another node has told something
		node string
		data []byte
	}
	reunited   struct{}                 // other nodes can be heard from now on
	behind     struct{}                 // the database has more than the room
	announcing struct{}                 // the other nodes are to be told who is here
	drained    struct{ m *member }      // a busy socket is free again
	regranted  struct{ s *mux.Session } // has a new token
	leaving    struct{ s *mux.Session }
	stopping   struct{}
)

func (e received) from() *mux.Session  { return e.reply.Session }
func (e shouted) from() *mux.Session   { return e.reply.Session }
func (e opened) from() *mux.Session    { return e.reply.Session }
func (e edited) from() *mux.Session    { return e.reply.Session }
func (e closed) from() *mux.Session    { return e.reply.Session }
func (moved) from() *mux.Session       { return nil }
func (asked) from() *mux.Session       { return nil }
func (noted) from() *mux.Session       { return nil }
func (reunited) from() *mux.Session    { return nil }
func (behind) from() *mux.Session      { return nil }
func (announcing) from() *mux.Session  { return nil }
func (e drained) from() *mux.Session   { return e.m.session }
func (e regranted) from() *mux.Session { return e.s }
func (e leaving) from() *mux.Session   { return e.s }
func (stopping) from() *mux.Session    { return nil }

const eventBytes = 200 // of one that is posted, besides what it carries

func (e received) size() int { return eventBytes + e.bytes }
func (e shouted) size() int  { return eventBytes + len(e.message.Data) }
func (e opened) size() int   { return eventBytes + len(e.heads)*len(change.Hash{}) }
func (e edited) size() int {
	n := eventBytes
	for _, c := range e.changes {
		n += eventBytes + len(c)
	}
	return n
}
func (closed) size() int     { return eventBytes }
func (moved) size() int      { return 0 }
func (asked) size() int      { return 0 }
func (e noted) size() int    { return eventBytes + len(e.data) }
func (reunited) size() int   { return 0 }
func (behind) size() int     { return 0 }
func (announcing) size() int { return 0 }
func (drained) size() int    { return 0 }
func (regranted) size() int  { return 0 }
func (leaving) size() int    { return 0 }
func (stopping) size() int   { return 0 }

// posted is an event that a session's reader has put, on behalf of its seat.
type posted struct {
	event
	seat *seat
}

// mailboxBytes is what a mailbox holds before those who put into it have to wait.
const mailboxBytes = 32 << 20

// mailbox holds the events of one room. Putting never blocks, so that whoever
// holds locks, or flushes a socket, can do it; who may wait, waits afterwards.
type mailbox struct {
	mu     sync.Mutex
	events []event       // guarded by mu
	bytes  int           // guarded by mu
	wake   chan struct{} // holds one token when there is something new
	space  chan struct{} // closed when there is space again; nil while there is; guarded by mu
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

func (b *mailbox) put(e event) {
	b.mu.Lock()
	b.events = append(b.events, e)
	b.bytes += e.size()
	if b.bytes > mailboxBytes && b.space == nil {
		b.space = make(chan struct{})
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// offer is put for what may get lost: nothing more comes into a full mailbox.
func (b *mailbox) offer(e event) {
	b.mu.Lock()
	full := b.space != nil
	b.mu.Unlock()
	if !full {
		b.put(e)
	}
}

// take returns all events and gives buf its room back.
func (b *mailbox) take(buf []event) []event {
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	b.events, b.bytes = buf[:0], 0
	b.freed()
	return events
}

// freed lets those go on who wait for space, if there is some. It is called
// with mu held.
func (b *mailbox) freed() {
	if b.space != nil && b.bytes <= mailboxBytes {
		close(b.space)
		b.space = nil
	}
}

// forgetLeft drops the events of sessions that have left since, and of calls that
// wait no longer, while nobody takes any.
func (b *mailbox) forgetLeft() {
	b.mu.Lock()
	defer b.mu.Unlock()
	var kept []event
	hasMoved := false
	for _, e := range b.events {
		if _, is := e.(moved); is {
			hasMoved = true
			continue
		}
		if a, is := e.(asked); is && a.ctx != nil && a.ctx.Err() != nil {
			continue
		}
		gone, leaves := e.(leaving)
		if !leaves {
			kept = append(kept, e)
			continue
		}
		kept = slices.DeleteFunc(kept, func(e event) bool { return e.from() == gone.s })
	}
	if hasMoved && len(kept) > 0 { // somebody is left to be told
		kept = append(kept, moved{})
	}
	b.events, b.bytes = kept, 0
	for _, e := range kept {
		b.bytes += e.size()
	}
	b.freed()
}

func (b *mailbox) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.events) == 0
}

// waitForSpace waits until the mailbox is not over full, and reports whether
// that came in time.
func (b *mailbox) waitForSpace(patience time.Duration) bool {
	b.mu.Lock()
	space := b.space
	b.mu.Unlock()
	if space == nil {
		return true
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-space:
		return true
	case <-timer.C:
		return false
	}
}
