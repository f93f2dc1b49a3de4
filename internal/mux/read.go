package mux

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"atrium/internal/limit"
)

// gate is the read deadline of a session's connection: a wait for the peer
// that anybody can end for good. It is safe for concurrent use; its lock is a
// leaf.
type gate struct {
	conn net.Conn // set once

	mu       sync.Mutex
	state    gateState // guarded by mu
	deadline time.Time // set by extend; guarded by mu
}

type gateState uint8

const (
	gateOpen gateState = iota
	gateShut           // every read fails: nothing more is to be handled
	gateLast           // the connection is read to its end, for the kernel's sake
)

// extend gives the peer time from now, unless the gate is shut: d, and up to a
// 32nd more, so that not every read has to move the deadline.
func (g *gate) extend(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	slack := d / 32
	if left := g.deadline.Sub(now); g.state == gateOpen && (left < d || left > d+slack) {
		g.deadline = now.Add(d + slack)
		g.conn.SetReadDeadline(g.deadline)
	}
}

// shut ends the read under way and all later ones.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == gateOpen {
		g.state = gateShut
		g.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// linger allows reading for a last while, which shut does not end.
func (g *gate) linger(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = gateLast
	g.conn.SetReadDeadline(time.Now().Add(d))
}

// extendRead gives the peer another while of silence. It is called just before
// reading: time in which we do not read is not the peer's silence.
func (s *Session) extendRead() {
	if s.joined { // the join has a deadline of its own
		s.gate.extend(s.mux.opts.Silence)
	}
}

// pinged answers a ping, within the limit for small messages: a flood of pings
// is not answered one by one.
func (s *Session) pinged(data string) error {
	s.extendRead()
	if ok, _ := s.limits.Allow(limit.Control, time.Now()); ok {
		s.write(controlFrame(opPong, []byte(data)))
	}
	return nil
}

// readAll handles messages until the session is over, and closed.
func (s *Session) readAll() {
	for {
		s.extendRead()
		kind, r, err := s.ws.NextReader()
		if err == nil {
			err = s.receive(kind, r)
		}
		if s.stopped.Load() {
			close(s.quiet)
			<-s.closed
			return
		}
		if err != nil {
			s.closeAfter(err)
			return
		}
	}
}

// closeAfter closes the session, after reading has failed, with the code that
// the failure asks for.
func (s *Session) closeAfter(err error) {
	var bye *websocket.CloseError
	var timeout net.Error
	switch {
	case s.in.violation != 0:
		s.Close(s.in.violation, s.in.reason)
	case errors.Is(err, websocket.ErrReadLimit): // a length that no message has
		s.Close(CloseTooLarge, "message too large")
	case s.out.hasStalled():
		s.Close(CloseTooSlow, "too slow")
	case errors.As(err, &bye) && bye.Code == websocket.CloseNoStatusReceived:
		s.goodbye = true
		s.end(CloseNormal, emptyCloseFrame)
	case errors.As(err, &bye) && bye.Code != websocket.CloseAbnormalClosure:
		s.goodbye = true
		s.end(CloseNormal, closeFrame(CloseCode(bye.Code), ""))
	case errors.As(err, &timeout) && timeout.Timeout():
		s.Close(CloseTooSlow, "nothing heard for too long")
	default: // the peer has gone
		s.Close(CloseNormal, "")
	}
}

// reading is what a session needs while a message is read and handled. Between
// messages it has none.
type reading struct {
	buf     []byte
	message Message
}

var readings = sync.Pool{New: func() any { return new(reading) }}

func (r *reading) free() {
	if cap(r.buf) <= 1<<20 {
		r.message = Message{} // nothing is kept of it but the reply
		readings.Put(r)
	}
}

var (
	errClosed   = errors.New("session closed")
	errTooLarge = errors.New("message too large")
	errBadUTF8  = errors.New("text is not UTF-8")
)

// receive reads the message that has begun, and handles it.
func (s *Session) receive(kind int, r io.Reader) error {
	reading := readings.Get().(*reading)
	defer reading.free()
	if err := s.readMessage(&reading.buf, kind, r, MaxFrame); err != nil {
		return err
	}
	if s.stopped.Load() { // it was read ahead
		return errClosed
	}
	m := &reading.message
	*m = Message{Session: s, codec: frameCodec(kind == websocket.TextMessage), data: reading.buf}
	s.dispatch(m)
	return nil
}

// readMessage reads one message of at most limit bytes into buf, which grows
// with what comes, never by what the peer claims.
func (s *Session) readMessage(buf *[]byte, kind int, r io.Reader, limit int) error {
	b, pieces := (*buf)[:0], 0
	for {
		if len(b) == cap(b) {
			b = slices.Grow(b, 512)
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		*buf = b
		if len(b) > limit {
			s.Close(CloseTooLarge, "message too large")
			return errTooLarge
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if pieces++; pieces%16 == 0 { // it takes long, but it comes
			s.extendRead()
		}
	}
	if kind == websocket.TextMessage && !utf8.Valid(b) {
		s.Close(CloseBadUTF8, "text is not UTF-8")
		return errBadUTF8
	}
	return nil
}

func frameCodec(text bool) codec {
	if text {
		return jsonCodec
	}
	return cborCodec
}

// dispatch hands one message to its route.
func (s *Session) dispatch(m *Message) {
	var route *Route
	var badID bool
	if m.codec == cborCodec && m.fields.scan(m.data) {
		route = s.mux.routes[string(m.fields.get("type", majorText))]
	} else {
		m.fields.n = 0
		var env envelope
		err := m.codec.decode(m.data, &env)
		if badID = errors.Is(err, errBadID); err != nil && !badID {
			s.Refuse(CloseNotUnderstood, NewError(BadRequest, "not a message: neither CBOR map nor JSON object"))
			return
		}
		if route = s.mux.routes[env.Type]; !badID {
			m.ID = env.ID
		}
	}
	class := limit.Control
	if route != nil {
		m.Type = route.name
		if !badID { // it could be answered, but for what?
			class = route.Class
		}
	}
	s.mux.stats.in[class].Add(1)
	if !s.within(m, class) {
		return
	}
	switch {
	case badID:
		m.Reply().Fail(NewError(BadRequest, errBadID.Error()))
		return
	case route == nil:
		m.Reply().Fail(NewError(BadRequest, "unknown message type"))
		return
	case len(m.data) > route.MaxBytes:
		m.Reply().Fail(NewError(TooLarge, "message too large"))
		return
	}
	body, err := route.Handle(m)
	switch {
	case err != nil:
		m.Reply().Fail(err)
	case body != Later && !m.ID.IsZero():
		m.Reply().Ack(body)
	}
}

// within holds the session to the limit of a class. It reports false when the
// message was refused. Cursors over the limit are not: of those that come close
// to each other only the last is told, whoever sent them. They count as sync
// messages besides, so that a flood of them is read more slowly.
func (s *Session) within(m *Message, c limit.Class) bool {
	now := time.Now()
	if c == limit.Cursor {
		if ok, _ := s.limits.Allow(c, now); ok {
			return true
		}
		s.mux.stats.coalesced.Add(1)
		c = limit.Sync
	}
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
	m.Reply().Fail(&Error{Code: RateLimited, Message: "too many messages", RetryAfter: after})
	if s.limits.Refused(now) {
		s.Close(CloseTooMany, "too many messages")
	}
	return false
}
