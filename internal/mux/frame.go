package mux

import (
	"bytes"
	"encoding/binary"
	"strings"
	"sync"
	"unicode/utf8"
)

// Frame is one message on its way to any number of sessions: encoded at most
// once for each codec, WebSocket header included. It is safe for concurrent use.
//
// It keeps the message, for the codec that has not been asked for yet. What
// waits in a session's queue is the encoding alone.
type Frame struct {
	message any // or a batch
	encoded [numCodecs]struct {
		once sync.Once
		data []byte
	}
}

// NewFrame makes a frame of a message, a struct with json tags, that nobody
// changes any more.
func NewFrame(message any) *Frame { return &Frame{message: message} }

// batch is several messages that go out together.
type batch []any

// NewBatch makes one frame, for senders, of several messages: each goes out as a
// WebSocket frame of its own, and all of them in one write. Nobody changes
// messages any more.
func NewBatch(messages []any) *Frame {
	if len(messages) == 1 {
		return NewFrame(messages[0])
	}
	return &Frame{message: batch(messages)}
}

// messages is how many go out.
func (f *Frame) messages() int64 {
	if b, ok := f.message.(batch); ok {
		return int64(len(b))
	}
	return 1
}

// bytes returns the whole WebSocket frame; callers must not alter it.
func (f *Frame) bytes(c codec) []byte {
	e := &f.encoded[c]
	e.once.Do(func() {
		b, ok := f.message.(batch)
		if !ok {
			e.data = encodeFrame(c, f.message)
			return
		}
		for _, message := range b {
			e.data = append(e.data, encodeFrame(c, message)...)
		}
	})
	return e.data
}

func encodeFrame(c codec, message any) []byte {
	var buf bytes.Buffer
	buf.Write(make([]byte, maxHeader))
	if err := c.encode(&buf, message); err != nil {
		// Messages are our own structs of plain fields. One that cannot be
		// encoded is a fault of the program, and its client is told so.
		buf.Truncate(maxHeader)
		c.encode(&buf, newErrorMessage(ID{}, NewError(Internal, "message could not be encoded")))
	}
	opcode := opBinary
	if c == jsonCodec {
		opcode = opText
	}
	return withHeader(buf.Bytes(), opcode)
}

// Opcodes of RFC 6455, section 5.2.
const (
	opText   byte = 0x1
	opBinary byte = 0x2
	opClose  byte = 0x8
	opPing   byte = 0x9
	opPong   byte = 0xA
)

const (
	maxHeader  = 10             // the longest header of an unmasked frame
	maxControl = 125            // payload of a control frame
	maxReason  = maxControl - 2 // after the code in a close frame
)

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

// controlFrame is a whole control frame; data is cut at the bytes that one may hold.
func controlFrame(opcode byte, data []byte) []byte {
	data = data[:min(len(data), maxControl)]
	return withHeader(append(make([]byte, maxHeader), data...), opcode)
}

// closeFrame is a close frame; reason is cut to what one may hold, between runes.
func closeFrame(code CloseCode, reason string) []byte {
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	if len(reason) > maxReason {
		n := maxReason
		for !utf8.RuneStart(reason[n]) {
			n--
		}
		reason = reason[:n]
	}
	return controlFrame(opClose, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...))
}

// Two frames that are always the same.
var (
	pingFrame       = controlFrame(opPing, nil)
	emptyCloseFrame = controlFrame(opClose, nil)
)
