package mux

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"atrium/internal/auth"
	"atrium/internal/limit"
)

// Session is one connection: from its join on, one user's client. Its exported
// methods are safe for concurrent use.
type Session struct {
	ID       string    // set once
	SenderID string    // set once, at join
	Since    time.Time // when it connected; set once

	mux     *Mux            // set once
	conn    net.Conn        // set once
	ws      *websocket.Conn // owned by run; it only reads
	in      *readSide       // owned by run; ws's connection
	gate    gate            // when reading ends
	out     outbox
	codec   codec         // set once, by the first frame
	token   string        // owned by run, until the join
	limits  limit.Session // owned by run
	joined  bool          // owned by run
	goodbye bool          // the peer has closed the connection as one should; owned by run
	stopped atomic.Bool   // nothing more is to be handled

	// Memo is for handlers of messages: what one of them wants to find again at
	// the session's next message. Owned by the read goroutine.
	Memo any

	identity  atomic.Pointer[auth.Identity]
	dismissed bool // guarded by mux.topics.mu; it may hear nothing any more

	ticking sync.Mutex  // held during a tick
	timer   *time.Timer // guarded by ticking; nil before the join and after the end

	closeOnce sync.Once
	closed    chan struct{} // closed by Close
	quiet     chan struct{} // closed when a stopped session has handled what it read
	left      chan struct{} // closed when modules have seen it leave
}

func newSession(m *Mux, ws *websocket.Conn, in *readSide, token string) *Session {
	s := &Session{
		ID: uuid.Must(uuid.NewV7()).String(), Since: time.Now(), mux: m, conn: in.Conn, ws: ws, in: in, token: token,
		gate:   gate{conn: in.Conn},
		limits: limit.NewSession(m.opts.Limits),
		closed: make(chan struct{}), quiet: make(chan struct{}), left: make(chan struct{}),
	}
	s.out.open(in.Conn, m.opts.QueueBytes, m.opts.Silence)
	// gorilla's own handlers would write to the socket past the outbox.
	ws.SetPingHandler(s.pinged)
	ws.SetPongHandler(func(string) error {
		s.extendRead()
		return nil
	})
	ws.SetCloseHandler(func(int, string) error { return nil })
	return s
}

// Identity is who the session's user is and what they may do, as of the newest
// token.
func (s *Session) Identity() *auth.Identity { return s.identity.Load() }

func (s *Session) key() sessionKey { return sessionKey{s.Identity().UserID, s.SenderID} }

// SaidGoodbye reports, to Hooks.Left, whether the client closed the session of
// its own will: it will not be back in a moment.
func (s *Session) SaidGoodbye() bool { return s.goodbye }

// Queued is how many bytes wait for the client to read, besides those that the
// kernel has taken.
func (s *Session) Queued() int { return s.out.waiting() }

// RemoteAddr is where the connection comes from: a proxy's address, behind one.
func (s *Session) RemoteAddr() net.Addr { return s.conn.RemoteAddr() }

// Send queues a frame. A session whose queue overflows is closed as too slow.
func (s *Session) Send(f *Frame) {
	s.mux.stats.out[Queued].Add(f.messages())
	s.write(f.bytes(s.codec))
}

// SendLatest is Send for a frame that only counts until something newer with the
// same key comes: who does not keep up is spared all but the newest. What is
// sent later may overtake it.
func (s *Session) SendLatest(key string, f *Frame) {
	s.out.sendLatest(key, f, s.codec)
	s.mux.stats.out[Latest].Add(1)
}

// Offer sends a frame and reports true if nothing waits for the socket. If
// something does, it reports false and calls drained once when nothing waits
// any more, so that the sender needs no queue: it then sends what is newest.
// drained must not block.
func (s *Session) Offer(f *Frame, drained func()) bool {
	if s.offer(f, drained) {
		s.mux.stats.out[Offered].Add(1)
		return true
	}
	return false
}

func (s *Session) offer(f *Frame, drained func()) bool { return s.out.offer(f.bytes(s.codec), drained) }

func (s *Session) write(frame []byte) {
	if !s.out.send(frame) {
		s.Close(CloseTooSlow, "too slow")
	}
}

// Refuse tells the client an error that belongs to no request, and closes.
func (s *Session) Refuse(code CloseCode, e *Error) {
	s.mux.stats.refused(e.Code)
	s.Send(NewFrame(newErrorMessage(ID{}, e)))
	s.Close(code, e.Message)
}

// Close ends the session, after what waits to be sent; TooSlow instead of it.
// Only the first call counts. reason is cut to 123 bytes.
func (s *Session) Close(code CloseCode, reason string) {
	s.end(code, closeFrame(code, reason))
}

func (s *Session) end(code CloseCode, frame []byte) {
	s.closeOnce.Do(func() {
		s.stopped.Store(true)
		s.mux.stats.closed(code)
		s.out.close(frame, code == CloseTooSlow)
		close(s.closed)
		s.gate.shut()
	})
}

func (s *Session) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

func (s *Session) stopReading() {
	s.stopped.Store(true)
	s.gate.shut()
}

// run is the session's life: join, read, leave.
func (s *Session) run() {
	defer s.mux.forget(s)
	s.gate.extend(s.mux.opts.JoinWithin)
	if s.join() {
		s.readAll()
	}
	s.leave()
	s.hangUp()
}

// leave comes after Close. Until the modules have seen it, the session is still
// the one of its user and sender id: a newer one waits for it.
func (s *Session) leave() {
	s.mux.topics.leaveAll(s)
	if s.joined {
		s.stopTicking()
		for _, h := range s.mux.hooks {
			if h.Left != nil {
				h.Left(s)
			}
		}
		s.mux.dismiss(s)
	}
	close(s.left)
}

// hangUp ends the connection: after our close frame the peer is read until it
// hangs up too, or the kernel would throw that frame away with the rest.
func (s *Session) hangUp() {
	s.out.flushed.Wait()
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		s.gate.linger(closeTimeout)
		io.Copy(io.Discard, io.LimitReader(s.conn, MaxFrame))
	}
	s.conn.Close()
}

func (s *Session) startTicking() {
	s.ticking.Lock()
	defer s.ticking.Unlock()
	s.timer = time.AfterFunc(s.nextTick(), s.tick)
}

// tokenChanged makes the next tick come in time for a new identity.
func (s *Session) tokenChanged() {
	s.ticking.Lock()
	defer s.ticking.Unlock()
	s.timer.Reset(s.nextTick())
}

// stopTicking returns when no tick runs, and none will.
func (s *Session) stopTicking() {
	s.ticking.Lock()
	defer s.ticking.Unlock()
	s.timer.Stop()
	s.timer = nil
}

// tick pings, and ends the session with its token.
func (s *Session) tick() {
	s.ticking.Lock()
	defer s.ticking.Unlock()
	if s.timer == nil || s.isClosed() {
		return
	}
	if !time.Now().Before(s.Identity().Expires) {
		s.Refuse(CloseBadToken, NewError(Unauthenticated, "token expired"))
		return
	}
	s.write(pingFrame)
	s.timer.Reset(s.nextTick())
}

func (s *Session) nextTick() time.Duration {
	return max(0, min(s.mux.opts.PingEvery, time.Until(s.Identity().Expires)))
}
