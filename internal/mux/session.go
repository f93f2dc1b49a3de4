package mux

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"atrium/internal/auth"
	"atrium/internal/limit"
)

// Session is one connection: from its join on, one user's client. Its exported
// methods are safe for concurrent use.
type Session struct {
	ID       string // set once
	SenderID string // set once, at join

	mux     *Mux            // set once
	ws      *websocket.Conn // read side owned by run; nothing is written through it
	out     *outbox         // set once
	codec   codec           // set once, by the first frame
	token   string          // owned by run, until the join
	limits  limit.Session   // owned by run
	joined  bool            // set once, at join
	timer   *time.Timer     // set once, at join: tick
	stopped atomic.Bool     // no more reading

	identity  atomic.Pointer[auth.Identity]
	dismissed bool // guarded by mux.topics.mu; it may hear nothing any more

	closeOnce sync.Once
	closed    chan struct{} // closed by Close
	quiet     chan struct{} // closed when a stopped session has handled what it read
	left      chan struct{} // closed when modules have seen it leave
}

func newSession(m *Mux, ws *websocket.Conn, token string) *Session {
	s := &Session{
		ID: uuid.Must(uuid.NewV7()).String(), mux: m, ws: ws, token: token,
		out:    newOutbox(ws.NetConn(), m.opts.QueueBytes),
		limits: limit.NewSession(m.opts.Limits),
		closed: make(chan struct{}), quiet: make(chan struct{}), left: make(chan struct{}),
	}
	// gorilla's own handlers would write to the socket past the outbox.
	ws.SetPingHandler(func(data string) error {
		s.extendRead()
		s.write(controlFrame(opPong, []byte(data)))
		return nil
	})
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

// Send queues a frame. A session whose queue overflows is closed as too slow.
func (s *Session) Send(f *Frame) {
	s.mux.stats.messagesOut.Add(1)
	s.write(f.bytes(s.codec))
}

// Offer sends a frame and reports true if nothing waits for the socket. If
// something does, it reports false and calls drained once when nothing waits
// any more, so that the sender needs no queue: it then sends what is newest.
// drained must not block.
func (s *Session) Offer(f *Frame, drained func()) bool {
	if s.out.offer(f.bytes(s.codec), drained) {
		s.mux.stats.messagesOut.Add(1)
		return true
	}
	return false
}

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

// Close ends the session, after what waits to be sent. Only the first call counts.
func (s *Session) Close(code CloseCode, reason string) {
	s.closeOnce.Do(func() {
		s.mux.stats.closed(code)
		s.out.close(closeFrame(code, reason), code == CloseTooSlow)
		close(s.closed)
		s.ws.NetConn().SetReadDeadline(time.Unix(1, 0)) // wakes the read side
	})
}

func (s *Session) stopReading() {
	s.stopped.Store(true)
	s.ws.NetConn().SetReadDeadline(time.Unix(1, 0))
}

// extendRead gives the peer another while of silence. It is called just before
// reading: time in which we do not read is not the peer's silence.
func (s *Session) extendRead() {
	until := s.mux.opts.Silence
	if !s.joined {
		return // the join has a deadline of its own
	}
	s.out.extendRead(time.Now().Add(until))
	if s.stopped.Load() {
		s.stopReading()
	}
}

// run is the session's life: join, read, leave.
func (s *Session) run() {
	defer s.mux.forget(s)
	s.out.extendRead(time.Now().Add(s.mux.opts.JoinWithin))
	if s.join() {
		s.readAll()
	}
	s.leave()
	s.hangUp()
}

func (s *Session) leave() {
	s.mux.dismiss(s)
	if s.joined {
		s.timer.Stop()
		for _, h := range s.mux.hooks {
			if h.Left != nil {
				h.Left(s)
			}
		}
	}
	close(s.left)
}

// hangUp ends the connection: after our close frame the peer is read until it
// hangs up too, or the kernel would throw that frame away with the rest.
func (s *Session) hangUp() {
	s.Close(CloseNormal, "") // if nobody has yet: the peer has gone, or asked to go
	s.out.flushed.Wait()
	conn := s.ws.NetConn()
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		if half.CloseWrite() == nil {
			conn.SetReadDeadline(time.Now().Add(closeTimeout))
			io.Copy(io.Discard, io.LimitReader(conn, MaxFrame))
		}
	}
	conn.Close()
}

func (s *Session) readAll() {
	for {
		s.extendRead()
		buf := readBuffers.Get().(*[]byte)
		text, err := s.readFrame(buf, MaxFrame)
		if err == nil && !s.stopped.Load() {
			s.mux.stats.messagesIn.Add(1)
			s.dispatch(text, *buf)
		}
		putReadBuffer(buf)
		if s.stopped.Load() {
			close(s.quiet)
			<-s.closed
			return
		}
		if err != nil {
			return
		}
	}
}

// readBuffers are shared by all sessions; one is in use only while a message
// is being read and handled.
var readBuffers = sync.Pool{New: func() any { return new([]byte) }}

func putReadBuffer(buf *[]byte) {
	if cap(*buf) <= 1<<20 {
		readBuffers.Put(buf)
	}
}

// readFrame reads one message of at most limit bytes into buf, which grows with
// what comes, never by what the peer claims. Whatever is wrong closes the session.
func (s *Session) readFrame(buf *[]byte, limit int) (text bool, err error) {
	kind, r, err := s.ws.NextReader()
	if err != nil {
		return false, err
	}
	text = kind == websocket.TextMessage
	b := (*buf)[:0]
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		*buf = b
		if len(b) > limit {
			s.Close(CloseTooLarge, "message too large")
			return text, errTooLarge
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return text, err
		}
		if n > 0 {
			s.extendRead()
		}
	}
	if text && !utf8.Valid(b) {
		s.Close(CloseBadUTF8, "text is not UTF-8")
		return text, errBadUTF8
	}
	return text, nil
}

var (
	errTooLarge = errors.New("message too large")
	errBadUTF8  = errors.New("text is not UTF-8")
)

func frameCodec(text bool) codec {
	if text {
		return jsonCodec
	}
	return cborCodec
}

// dispatch hands one message to its route.
func (s *Session) dispatch(text bool, data []byte) {
	c := frameCodec(text)
	var env envelope
	if err := c.decode(data, &env); err != nil {
		if errors.Is(err, errBadID) {
			(&Reply{Session: s}).Fail(NewError(BadRequest, "id must be a string or an integer"))
			return
		}
		s.Refuse(CloseNotUnderstood, NewError(BadRequest, "not a message: neither CBOR map nor JSON object"))
		return
	}
	m := &Message{Type: env.Type, Reply: &Reply{Session: s, ID: env.ID}, codec: c, data: data}
	route, known := s.mux.routes[env.Type]
	if !s.within(m, route.Class) {
		return
	}
	if !known {
		m.Fail(NewError(BadRequest, "unknown message type"))
		return
	}
	if len(data) > route.MaxBytes {
		m.Fail(NewError(TooLarge, "message too large"))
		return
	}
	body, err := route.Handle(m)
	switch {
	case err != nil:
		m.Fail(err)
	case body != Later:
		m.Ack(body)
	}
}

// within holds the session to the limit of a class. It reports false when the
// message was refused or dropped.
func (s *Session) within(m *Message, c limit.Class) bool {
	now := time.Now()
	switch c {
	case limit.Sync, limit.Ephemeral:
		if d := s.limits.Delay(c, now); d > 0 {
			s.mux.stats.slowed.Add(1)
			select {
			case <-time.After(d):
			case <-s.closed:
			}
		}
		return true
	}
	ok, after := s.limits.Allow(c, now)
	if ok {
		return true
	}
	if c == limit.Cursor {
		s.mux.stats.coalesced.Add(1)
		m.Ack(nil)
		return false
	}
	if s.limits.Refused(now) {
		s.Refuse(CloseTooMany, NewError(RateLimited, "too many messages"))
		return false
	}
	m.Fail(&Error{Code: RateLimited, Message: "too many messages", RetryAfter: after})
	return false
}

// tick pings, and ends the session with its token.
func (s *Session) tick() {
	select {
	case <-s.closed:
		return
	default:
	}
	if !time.Now().Before(s.Identity().Expires) {
		s.Refuse(CloseBadToken, NewError(Unauthenticated, "token expired"))
		return
	}
	s.write(controlFrame(opPing, nil))
	s.timer.Reset(s.nextTick())
}

func (s *Session) nextTick() time.Duration {
	return max(0, min(s.mux.opts.PingEvery, time.Until(s.Identity().Expires)))
}

// RemoteAddr is for logs.
func (s *Session) RemoteAddr() net.Addr { return s.ws.NetConn().RemoteAddr() }
