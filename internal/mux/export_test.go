package mux

import (
	"net"
	"time"
)

// What tests look at from outside.

// Busy reports whether the flush goroutine runs.
func (s *Session) Busy() bool {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return s.out.busy
}

// Counted returns the bytes that use the session's budget.
func (s *Session) Counted() int {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return s.out.counted
}

// Plain reports whether frames are tried at once.
func (s *Session) Plain() bool { return s.out.raw != nil }

// NetConn returns the session's connection.
func (s *Session) NetConn() net.Conn { return s.conn }

// Tick runs the session's timer now.
func (s *Session) Tick() { s.tick() }

// Conns returns the number of connections, joined or not.
func (m *Mux) Conns() int { return len(m.all()) }

// Topics returns the number of topics, and of sessions that hear any.
func (m *Mux) Topics() (topics, sessions int) {
	m.topics.mu.Lock()
	defer m.topics.mu.Unlock()
	return len(m.topics.byName), len(m.topics.of)
}

// Joined returns the number of sessions by user and sender id.
func (m *Mux) Joined() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.joined)
}

// FirstBehind returns the ids that SessionsAfter would, of users' sessions.
func FirstBehind(users [][]string, after string, limit int) (ids []string, more bool) {
	var all [][]*Session
	for _, list := range users {
		var sessions []*Session
		for _, id := range list {
			sessions = append(sessions, &Session{ID: id})
		}
		all = append(all, sessions)
	}
	list, more := firstBehind(all, after, limit)
	for _, s := range list {
		ids = append(ids, s.ID)
	}
	return ids, more
}

// WithHeader returns payload as a whole frame.
func WithHeader(payload []byte, opcode byte) []byte {
	return withHeader(append(make([]byte, maxHeader), payload...), opcode)
}

// CloseFrame returns a close frame.
func CloseFrame(code CloseCode, reason string) []byte { return closeFrame(code, reason) }

// EncodeCBOR and EncodeJSON write v as messages are written; DecodeCBOR and
// DecodeJSON read it.
func EncodeCBOR(v any) []byte { return encoded(cborCodec, v) }
func EncodeJSON(v any) []byte { return encoded(jsonCodec, v) }

func DecodeCBOR(data []byte, v any) error { return cborCodec.decode(data, v) }
func DecodeJSON(data []byte, v any) error { return jsonCodec.decode(data, v) }

func encoded(c codec, v any) []byte {
	frame := NewFrame(v).bytes(c)
	switch frame[1] {
	case 126:
		return frame[4:]
	case 127:
		return frame[10:]
	}
	return frame[2:]
}

// LeftOf is closed when modules have seen s leave.
func LeftOf(s *Session) <-chan struct{} { return s.left }

// ClosedOf is closed by s.Close.
func ClosedOf(s *Session) <-chan struct{} { return s.closed }

// Gate returns the methods of a gate.
func Gate(conn net.Conn) (extend func(time.Duration), shut func(), linger func(time.Duration)) {
	g := &gate{conn: conn}
	return g.extend, g.shut, g.linger
}

// TryPing reports whether the kernel takes a ping at once.
func (s *Session) TryPing() bool {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return s.out.try(pingFrame) == len(pingFrame)
}

// Scan returns what can be known of a message without decoding it.
func Scan(data []byte) (found map[string]any, ok bool) {
	var f fields
	if !f.scan(data) {
		return nil, false
	}
	found = make(map[string]any)
	for _, x := range f.list[:f.n] {
		if x.major == majorText {
			found[string(x.name)] = string(f.get(string(x.name), majorText))
		} else {
			found[string(x.name)] = f.get(string(x.name), majorBytes)
		}
	}
	return found, true
}
