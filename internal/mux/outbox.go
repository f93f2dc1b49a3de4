package mux

import (
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	joinedWrite  = 64 << 10        // pending frames are joined into writes of about this size
	closeTimeout = 5 * time.Second // for the last bytes to a peer, and for its answer to our close
)

// outbox is the way to one socket. A frame is first tried as one non-blocking
// write; what the kernel does not take waits in the queue for a flush goroutine
// that lives as long as the queue. So nobody who sends ever waits for the peer,
// and an idle session costs no goroutine and no buffer.
//
// It is safe for concurrent use. Its lock is a leaf: nothing is locked under it.
type outbox struct {
	conn   net.Conn        // set once
	raw    syscall.RawConn // set once; nil: conn is no plain socket, everything is queued
	budget int             // set once; bytes that may wait

	mu      sync.Mutex
	queue   [][]byte // guarded by mu; whole frames, but for the first when cut
	queued  int      // guarded by mu; bytes in queue, less those of an offered frame
	offered bool     // guarded by mu; queue[0] was offered
	cut     bool     // guarded by mu; the kernel has taken the start of queue[0]
	latest  latest   // guarded by mu
	busy    bool     // guarded by mu; the flush goroutine runs
	closing bool     // guarded by mu; the close frame is queued, nothing may follow
	broken  bool     // guarded by mu; the socket takes nothing more
	waiters []func() // guarded by mu; called when the queue has drained

	flushed sync.WaitGroup // the flush goroutine

	// For the non-blocking write, which must not allocate: guarded by mu.
	tryBuf []byte
	tryN   int
	tryFn  func(fd uintptr) bool
}

func newOutbox(conn net.Conn, budget int) *outbox {
	o := &outbox{conn: conn, budget: budget}
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			o.raw = raw
		}
	}
	o.tryFn = func(fd uintptr) bool {
		n, err := syscall.Write(int(fd), o.tryBuf)
		if err == nil {
			o.tryN = n
		}
		return true // whatever came of it: never wait in here
	}
	return o
}

// send writes or queues a whole frame. It reports false if the frame would
// overrun the budget.
func (o *outbox) send(frame []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing || o.broken {
		return true
	}
	if o.busy && o.queued+len(frame) > o.budget {
		return false
	}
	o.put(frame)
	return true
}

// sendLatest is send for a message of which only the newest by its key counts:
// one that still waits is replaced, and waiting ones use none of the budget.
func (o *outbox) sendLatest(key string, f *Frame, c codec) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closing || o.broken:
	case o.busy:
		o.latest.set(key, f, c)
	default:
		o.put(f.bytes(c))
	}
}

// offer sends the frame and reports true if nothing waits for the socket.
// Otherwise it reports false and calls drained, once, when that has changed.
// Offered frames use none of the budget: there is one at most.
func (o *outbox) offer(frame []byte, drained func()) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closing || o.broken:
		return true
	case o.busy:
		o.waiters = append(o.waiters, drained)
		return false
	}
	o.put(frame)
	o.offered, o.queued = o.busy, 0
	return true
}

// put is called with mu held.
func (o *outbox) put(frame []byte) {
	if !o.busy && o.raw != nil {
		n := o.try(frame)
		if n == len(frame) {
			return
		}
		frame, o.cut = frame[n:], n > 0
	}
	o.queue = append(o.queue, frame)
	o.queued += len(frame)
	o.startFlush()
}

// try writes what the kernel takes at once. Errors show up again, and are
// acted on, in the flush goroutine.
func (o *outbox) try(frame []byte) int {
	o.tryBuf, o.tryN = frame, 0
	o.raw.Write(o.tryFn) // an error leaves tryN 0
	o.tryBuf = nil
	return o.tryN
}

func (o *outbox) startFlush() {
	if !o.busy {
		o.busy = true
		o.flushed.Go(o.flush)
	}
}

func (o *outbox) flush() {
	var joined []byte
	for {
		o.mu.Lock()
		if len(o.queue) == 0 {
			o.latest.drainTo(func(frame []byte) { o.queue = append(o.queue, frame) })
		}
		if len(o.queue) == 0 || o.broken {
			o.busy, o.queue, o.queued = false, nil, 0
			waiters := o.waiters
			o.waiters = nil
			o.mu.Unlock()
			for _, drained := range waiters {
				drained()
			}
			return
		}
		var next []byte
		next, joined = o.take(joined[:0])
		o.mu.Unlock()

		if _, err := o.conn.Write(next); err != nil {
			o.fail()
		}
	}
}

// take removes the next bytes to write from the queue: one large frame, or
// small ones joined in buf, which it returns for the next time.
func (o *outbox) take(buf []byte) (next, joined []byte) {
	n, size := 0, 0
	for n < len(o.queue) && (n == 0 || size+len(o.queue[n]) <= joinedWrite) {
		size += len(o.queue[n])
		n++
	}
	next = o.queue[0]
	if n > 1 {
		for _, frame := range o.queue[:n] {
			buf = append(buf, frame...)
		}
		next = buf
	}
	if o.offered {
		size -= len(o.queue[0])
	}
	clear(o.queue[:n])
	o.queue = o.queue[n:]
	o.queued -= size
	o.offered, o.cut = false, false
	return next, buf
}

// close queues the close frame, behind what waits or, with drop, instead of it.
// Only the first call counts.
func (o *outbox) close(frame []byte, drop bool) (first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing {
		return false
	}
	o.closing = true
	o.latest = latest{}
	if drop {
		keep := 0
		if o.cut {
			keep = 1
		}
		clear(o.queue[keep:])
		o.queue, o.queued, o.offered = o.queue[:keep], 0, keep == 1
	}
	if !o.broken {
		o.conn.SetWriteDeadline(time.Now().Add(closeTimeout))
		o.put(frame)
	}
	return true
}

// fail gives the socket up: what waits is dropped, and the read side wakes.
func (o *outbox) fail() {
	o.mu.Lock()
	o.broken = true
	o.mu.Unlock()
	o.conn.Close()
}

// extendRead moves the read deadline, unless the session is closing: then the
// deadline is past, so that the read side wakes.
func (o *outbox) extendRead(until time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closing {
		o.conn.SetReadDeadline(until)
	}
}

// latest keeps frames by key, in the order in which their keys first came.
type latest struct {
	index  map[string]int
	frames []latestFrame
}

type latestFrame struct {
	frame *Frame
	codec codec
}

func (l *latest) set(key string, f *Frame, c codec) {
	if i, ok := l.index[key]; ok {
		l.frames[i].frame = f
		return
	}
	if l.index == nil {
		l.index = make(map[string]int)
	}
	l.index[key] = len(l.frames)
	l.frames = append(l.frames, latestFrame{f, c})
}

// drainTo hands over every frame and forgets them.
func (l *latest) drainTo(send func(frame []byte)) {
	for _, f := range l.frames {
		send(f.frame.bytes(f.codec))
	}
	*l = latest{}
}
