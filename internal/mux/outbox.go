package mux

import (
	"errors"
	"net"
	"os"
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
	conn     net.Conn        // set once
	raw      syscall.RawConn // set once; nil: conn is no plain socket, everything is queued
	budget   int             // set once; bytes that may wait
	patience time.Duration   // set once; in which the peer has to take joinedWrite bytes

	mu      sync.Mutex
	queue   []pending // guarded by mu; whole frames, but for the first when cut
	counted int       // guarded by mu; bytes in queue that use the budget
	writing int       // guarded by mu; bytes that the flush goroutine has taken, and is still to write
	cut     bool      // guarded by mu; the kernel has taken the start of queue[0]
	latest  latest    // guarded by mu; goes out when queue is empty
	busy    bool      // guarded by mu; the flush goroutine runs
	light   bool      // guarded by mu; while busy: with nothing but frames of latest
	closing bool      // guarded by mu; the close frame is queued, nothing may follow
	broken  bool      // guarded by mu; the socket takes nothing more
	stalled bool      // guarded by mu; it broke since the peer ran out of patience's time
	waiters []func()  // guarded by mu; called when nothing but latest waits

	flushed sync.WaitGroup // the flush goroutine

	// For the non-blocking write, which must not allocate: guarded by mu.
	tryBuf []byte
	tryN   int
	tryFn  func(fd uintptr) bool
}

// pending is a frame that waits, or its end.
type pending struct {
	frame []byte
	free  bool // it uses none of the budget
}

func (o *outbox) open(conn net.Conn, budget int, patience time.Duration) {
	o.conn, o.budget, o.patience = conn, budget, patience
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
}

// send writes or queues a whole frame. It reports false if the frame would
// overrun the budget.
func (o *outbox) send(frame []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing || o.broken {
		return true
	}
	if o.busy && o.counted+len(frame) > o.budget {
		return false
	}
	o.put(frame, false)
	return true
}

// sendLatest is send for a message of which only the newest by its key counts:
// one that still waits is replaced, and waiting ones use none of the budget.
// What is sent later may overtake it.
func (o *outbox) sendLatest(key string, f *Frame, c codec) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closing || o.broken:
	case o.busy:
		o.latest.set(key, f, c)
	default:
		o.put(f.bytes(c), true)
		o.light = true
	}
}

// offer sends the frame and reports true if nothing waits for the socket but
// frames of which only the latest count; they may come without end, and must
// not keep out what somebody waits to offer. Otherwise it reports false and
// calls drained, once, when that has changed. Offered frames use none of the
// budget: there is one at most.
func (o *outbox) offer(frame []byte, drained func()) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closing || o.broken:
		return true
	case o.busy && !o.light:
		o.waiters = append(o.waiters, drained)
		return false
	}
	o.put(frame, true)
	return true
}

// put is called with mu held.
func (o *outbox) put(frame []byte, free bool) {
	if !o.busy && o.raw != nil {
		n := o.try(frame)
		if n == len(frame) {
			return
		}
		frame, o.cut = frame[n:], n > 0
	}
	o.queue = append(o.queue, pending{frame, free})
	if !free {
		o.counted += len(frame)
	}
	o.light = false
	if !o.busy {
		o.busy = true
		o.flushed.Go(o.flush)
	}
}

// try writes what the kernel takes at once. Errors show up again, and are
// acted on, in the flush goroutine.
func (o *outbox) try(frame []byte) int {
	o.tryBuf, o.tryN = frame, 0
	o.raw.Write(o.tryFn) // an error leaves tryN 0
	o.tryBuf = nil
	return o.tryN
}

func (o *outbox) flush() {
	var buf []byte
	for {
		next, buf2, drained := o.advance(buf[:0])
		buf = buf2
		for _, f := range drained {
			f()
		}
		if next == nil {
			return
		}
		o.write(next)
	}
}

// advance returns what to write next, nil at the flush goroutine's end, and
// whom to tell before that the queue has drained. buf is for joining frames in.
func (o *outbox) advance(buf []byte) (next, joined []byte, drained []func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken {
		o.queue, o.counted, o.latest = nil, 0, latest{}
	}
	if len(o.queue) > 0 {
		next, joined = o.take(buf)
		o.writing = len(next)
		return next, joined, nil
	}
	drained, o.waiters = o.waiters, nil
	for len(o.latest.frames) > 0 {
		f := o.latest.frames[0]
		frame := f.frame.bytes(f.codec)
		if len(buf) > 0 && len(buf)+len(frame) > joinedWrite {
			break
		}
		buf = append(buf, frame...)
		o.latest.pop()
	}
	if len(buf) > 0 {
		o.light, o.writing = true, len(buf)
		return buf, buf, drained
	}
	o.busy, o.queue, o.writing = false, nil, 0
	if !o.closing {
		o.conn.SetWriteDeadline(time.Time{}) // or the next try would find it past
	}
	return nil, buf, drained
}

// take removes the next bytes to write from the queue: one large frame, or
// small ones joined in buf, which it returns for the next time.
func (o *outbox) take(buf []byte) (next, joined []byte) {
	n, size := 0, 0
	for n < len(o.queue) && (n == 0 || size+len(o.queue[n].frame) <= joinedWrite) {
		size += len(o.queue[n].frame)
		if !o.queue[n].free {
			o.counted -= len(o.queue[n].frame)
		}
		n++
	}
	next = o.queue[0].frame
	if n > 1 {
		for _, p := range o.queue[:n] {
			buf = append(buf, p.frame...)
		}
		next = buf
	}
	clear(o.queue[:n])
	o.queue = o.queue[n:]
	o.cut = false
	return next, buf
}

// write hands data to the kernel in pieces, each of which has its time: a peer
// may be slow with much, but not with everything.
func (o *outbox) write(data []byte) {
	for len(data) > 0 {
		piece := data[:min(len(data), joinedWrite)]
		o.mu.Lock()
		o.writing = len(data)
		if !o.closing { // the close has a deadline of its own
			o.conn.SetWriteDeadline(time.Now().Add(o.patience))
		}
		o.mu.Unlock()
		if _, err := o.conn.Write(piece); err != nil {
			o.fail(errors.Is(err, os.ErrDeadlineExceeded))
			return
		}
		data = data[len(piece):]
	}
}

// close queues the close frame, behind what waits or, with drop, instead of
// it. It is called once.
func (o *outbox) close(frame []byte, drop bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closing = true
	o.latest = latest{}
	if drop {
		keep := 0
		if o.cut {
			keep = 1
		}
		clear(o.queue[keep:])
		o.queue = o.queue[:keep]
	}
	if !o.broken {
		o.conn.SetWriteDeadline(time.Now().Add(closeTimeout))
		o.put(frame, true)
	}
}

// fail gives the socket up: what waits is dropped, and the read side wakes.
func (o *outbox) fail(stalled bool) {
	o.mu.Lock()
	o.broken = true
	o.stalled = o.stalled || stalled && !o.closing
	o.mu.Unlock()
	o.conn.Close()
}

// waiting is how many bytes the kernel has not taken yet; those of the write under
// way count until it has taken all of it.
func (o *outbox) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.writing
	for _, p := range o.queue {
		n += len(p.frame)
	}
	for _, f := range o.latest.frames {
		n += len(f.frame.bytes(f.codec))
	}
	return n
}

// hasStalled reports whether the socket was given up because the peer took
// nothing for too long.
func (o *outbox) hasStalled() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stalled
}

// latest keeps frames by key, in the order in which their keys first came.
type latest struct {
	index  map[string]int // position in frames, plus popped
	frames []latestFrame
	popped int
}

type latestFrame struct {
	key   string
	frame *Frame
	codec codec
}

func (l *latest) set(key string, f *Frame, c codec) {
	if i, ok := l.index[key]; ok {
		l.frames[i-l.popped].frame = f
		return
	}
	if l.index == nil {
		l.index = make(map[string]int)
	}
	l.index[key] = l.popped + len(l.frames)
	l.frames = append(l.frames, latestFrame{key, f, c})
}

// pop removes the first frame.
func (l *latest) pop() {
	delete(l.index, l.frames[0].key)
	l.frames[0] = latestFrame{}
	l.frames = l.frames[1:]
	l.popped++
	if len(l.frames) == 0 {
		*l = latest{}
	}
}
