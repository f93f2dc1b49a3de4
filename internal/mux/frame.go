package mux

import (
	"bytes"
	"encoding/binary"
	"sync"
)

// Frame is one message on its way to any number of sessions: encoded at most
// once for each codec, WebSocket header included. It is safe for concurrent use.
type Frame struct {
	message any
	encoded [numCodecs]struct {
		once sync.Once
		data []byte
	}
}

// NewFrame makes a frame of a message, a struct with json tags, that nobody
// changes any more.
func NewFrame(message any) *Frame { return &Frame{message: message} }

// bytes returns the whole WebSocket frame; callers must not alter it.
func (f *Frame) bytes(c codec) []byte {
	e := &f.encoded[c]
	e.once.Do(func() {
		var buf bytes.Buffer
		buf.Write(make([]byte, maxHeader))
		if err := c.encode(&buf, f.message); err != nil {
			// Messages are our own structs of plain fields. One that cannot be
			// encoded is a fault of the program, and its client is told so.
			buf.Truncate(maxHeader)
			c.encode(&buf, newErrorMessage(ID{}, NewError(Internal, "message could not be encoded")))
		}
		opcode := opBinary
		if c == jsonCodec {
			opcode = opText
		}
		e.data = withHeader(buf.Bytes(), opcode)
	})
	return e.data
}

// Opcodes of RFC 6455, section 5.2.
const (
	opText   byte = 0x1
	opBinary byte = 0x2
	opClose  byte = 0x8
	opPing   byte = 0x9
	opPong   byte = 0xA
)

// maxHeader is the longest header of an unmasked frame.
const maxHeader = 10

// withHeader writes a final, unmasked frame's header into the end of the
// maxHeader spare bytes at the front of buf and returns the frame.
func withHeader(buf []byte, opcode byte) []byte {
	n := len(buf) - maxHeader
	var start int
	switch {
	case n <= 125:
		start = maxHeader - 2
		buf[start+1] = byte(n)
	case n <= 0xFFFF:
		start = maxHeader - 4
		buf[start+1] = 126
		binary.BigEndian.PutUint16(buf[start+2:], uint16(n))
	default:
		start = 0
		buf[1] = 127
		binary.BigEndian.PutUint64(buf[2:], uint64(n))
	}
	buf[start] = 0x80 | opcode
	return buf[start:]
}

// controlFrame is a whole control frame; data is cut at the 125 bytes that one may hold.
func controlFrame(opcode byte, data []byte) []byte {
	data = data[:min(len(data), 125)]
	return withHeader(append(make([]byte, maxHeader), data...), opcode)
}

func closeFrame(code CloseCode, reason string) []byte {
	return controlFrame(opClose, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...))
}
