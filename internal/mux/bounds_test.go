package mux_test

import (
	"testing"

	"atrium/internal/mux"
)

func TestSizes(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{}, func(s *server) {
		s.Handle("big", mux.Route{MaxBytes: mux.MaxFrame, Handle: func(m *mux.Message) (mux.Acknowledgement, error) {
			return nil, nil
		}})
	})
	// sized returns a message that is size bytes long.
	sized := func(m msg, size int) []byte {
		var data []byte
		for pad := size; len(data) != size; pad -= len(data) - size {
			m["pad"] = make([]byte, pad)
			data = mux.EncodeCBOR(m)
		}
		return data
	}
	join := msg{"type": "join", "senderId": "a", "token": "alice"}
	c := s.connect()
	c.sendRaw(c.kind(), sized(join, 16<<10))
	if m := c.next(); m["type"] != "peer" {
		t.Fatalf("got %v", m)
	}
	for _, test := range []struct {
		kind string
		size int
		ok   bool
	}{{"ping", 64 << 10, true}, {"ping", 64<<10 + 1, false}, {"big", 64<<10 + 1, true}, {"big", 16 << 20, true}} {
		data := sized(msg{"id": 1, "type": test.kind}, test.size)
		c.sendRaw(c.kind(), data)
		if !test.ok {
			c.expectError(mux.TooLarge, 1.0)
		} else if m := c.next(); m["type"] != "ack" {
			t.Errorf("%s of %d bytes: got %v", test.kind, len(data), m)
		}
	}
	big := sized(msg{"id": 1, "type": "big"}, 16<<20+1)
	go func() { // in many frames, too
		w, _ := c.ws.NextWriter(c.kind())
		w.Write(big)
		w.Close()
	}()
	c.expectClose(mux.CloseTooLarge)

	c = s.connect()
	c.sendRaw(c.kind(), sized(join, 16<<10+1))
	c.expectClose(mux.CloseTooLarge)
}

func TestNotUnderstood(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{})
	for _, test := range []struct {
		codec, data string
		code        mux.CloseCode
	}{
		{"json", "{", mux.CloseNotUnderstood},
		{"json", "[]", mux.CloseNotUnderstood},
		{"json", `{"type":"ping","id":"` + "\xff" + `"}`, mux.CloseBadUTF8},
		{"json", "\xed\xa0\x80", mux.CloseBadUTF8},
		{"cbor", "", mux.CloseNotUnderstood},
		{"cbor", "\x80", mux.CloseNotUnderstood},
		{"cbor", "\xa1\x64type\x61\xff", mux.CloseNotUnderstood},
	} {
		c := dial(s, "alice", in(test.codec))
		c.sendRaw(c.kind(), []byte(test.data))
		before := c.expectClose(test.code)
		if test.code == mux.CloseNotUnderstood && (len(before) != 1 || before[0]["code"] != "bad_request") {
			t.Errorf("%q: got %v before the close", test.data, before)
		}
		c.ws.Close()
	}
	// A rune may be cut by a fragment.
	c := dial(s, "alice", inJSON)
	c.ws.NetConn().Write(append(masked(0x01, `{"type":"ping","id":"`+"\xc3"), masked(0x80, "\xa9\"}")...))
	if m := c.next(); m["id"] != "é" {
		t.Errorf("got %v", m)
	}
}
