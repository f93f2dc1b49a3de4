package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// WebSocket opcodes, as of RFC 6455.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10

	finBit  = 0x80
	maskBit = 0x80

	maxFrame = 256 << 20 // bytes; no server sends more
)

// frameReader reads the frames of one connection, from either side. It asks the
// connection for as much as fits its buffer, so that a frame of the steady state
// costs one read and no copy.
type frameReader struct {
	src io.Reader
	// buf[r:w] has been read and not looked at; buf is of the size that
	// frames have needed.
	buf   []byte
	r, w  int
	parts []byte // of a fragmented message
	op    byte   // of it; 0: there is none
}

func newFrameReader(src io.Reader, size int) *frameReader {
	return &frameReader{src: src, buf: make([]byte, size)}
}

// next returns the next message, or a control frame. Its payload is unmasked and
// good until the following call.
func (f *frameReader) next() (op byte, payload []byte, err error) {
	for {
		fin, op, payload, err := f.frame()
		switch {
		case err != nil:
			return 0, nil, err
		case op >= opClose:
			return op, payload, nil
		case op == opContinuation && f.op == 0:
			return 0, nil, errors.New("a continuation of nothing")
		case op != opContinuation && f.op != 0:
			return 0, nil, errors.New("a message within a message")
		case op != opContinuation && fin:
			return op, payload, nil
		case op != opContinuation:
			f.op, f.parts = op, f.parts[:0]
		}
		f.parts = append(f.parts, payload...)
		if fin {
			op, f.op = f.op, 0
			return op, f.parts, nil
		}
	}
}

// frame returns the next frame; payload is good until the following call.
func (f *frameReader) frame() (fin bool, op byte, payload []byte, err error) {
	if err := f.need(2); err != nil {
		return false, 0, nil, err
	}
	head, size := 2, uint64(f.buf[f.r+1]&^maskBit)
	switch size {
	case 126:
		head = 4
	case 127:
		head = 10
	}
	masked := f.buf[f.r+1]&maskBit != 0
	if masked {
		head += 4
	}
	if err := f.need(head); err != nil {
		return false, 0, nil, err
	}
	h := f.buf[f.r:]
	switch size {
	case 126:
		size = uint64(binary.BigEndian.Uint16(h[2:]))
	case 127:
		size = binary.BigEndian.Uint64(h[2:])
	}
	if size > maxFrame {
		return false, 0, nil, fmt.Errorf("a frame of %d bytes", size)
	}
	if err := f.need(head + int(size)); err != nil {
		return false, 0, nil, err
	}
	h = f.buf[f.r:]
	payload = h[head : head+int(size)]
	f.r += head + int(size)
	if masked {
		unmask(payload, [4]byte(h[head-4:head]))
	}
	return h[0]&finBit != 0, h[0] & 0x0f, payload, nil
}

// need reads until n bytes are there.
func (f *frameReader) need(n int) error {
	if f.w-f.r >= n {
		return nil
	}
	if f.r == f.w {
		f.r, f.w = 0, 0
	}
	if len(f.buf)-f.r < n { // make place
		buf := f.buf
		if len(buf) < n {
			buf = make([]byte, n+n/4)
		}
		f.w = copy(buf, f.buf[f.r:f.w])
		f.buf, f.r = buf, 0
	}
	for f.w-f.r < n {
		m, err := f.src.Read(f.buf[f.w:])
		f.w += m
		if err != nil && f.w-f.r < n {
			return err
		}
	}
	return nil
}

// shrink gives a buffer back that was needed for once.
func (f *frameReader) shrink(size int) {
	if len(f.buf) > size && f.w-f.r <= size {
		buf := make([]byte, size)
		f.w = copy(buf, f.buf[f.r:f.w])
		f.buf, f.r = buf, 0
	}
	f.parts = nil
}

func unmask(b []byte, key [4]byte) {
	if key == [4]byte{} {
		return
	}
	for i := range b {
		b[i] ^= key[i&3]
	}
}

// appendHead appends the header of a frame of n bytes. A client's is masked, as
// it must be, with a key of zeros, which alters nothing.
func appendHead(dst []byte, op byte, n int, client bool) []byte {
	mask := byte(0)
	if client {
		mask = maskBit
	}
	dst = append(dst, finBit|op)
	switch {
	case n < 126:
		dst = append(dst, mask|byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, mask|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, mask|127), uint64(n))
	}
	if client {
		dst = append(dst, 0, 0, 0, 0)
	}
	return dst
}
