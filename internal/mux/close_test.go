package mux_test

import (
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"atrium/internal/limit"
	"atrium/internal/mux"
)

// TestCloseArrives: our close code reaches a peer that is sending itself, and
// whose data nobody reads any more.
func TestCloseArrives(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(testing.TB, mux.Options, ...func(*server)) *server{"plain": start, "TLS": startTLS} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handling := make(chan struct{})
			s := begin(t, mux.Options{}, func(s *server) {
				s.Handle("block", mux.Route{Handle: func(m *mux.Message) (mux.Acknowledgement, error) {
					handling <- struct{}{}
					<-handling
					return nil, nil
				}})
			})
			for range 5 {
				c := dial(s, "alice")
				c.send(msg{"type": "block", "id": 1})
				<-handling
				for range 20 { // unread when we close
					c.send(msg{"type": "ping", "id": 2, "x": strings.Repeat("x", 10_000)})
				}
				c.session.Close(mux.CloseForbidden, "because")
				c.session.Close(mux.CloseTooMany, "only the first counts")
				for range 10 {
					c.send(msg{"type": "ping", "id": 3})
				}
				handling <- struct{}{}
				if before := c.expectClose(mux.CloseForbidden); len(before) != 0 {
					t.Errorf("got %v after the close", before)
				}
				for range 10 { // it is read until it hangs up, or it might not have got that far
					if _, err := c.ws.NetConn().Write(make([]byte, 1000)); err != nil {
						t.Fatalf("hung up on: %v", err)
					}
					time.Sleep(time.Millisecond)
				}
				c.ws.Close()
				<-mux.LeftOf(c.session)
			}
		})
	}
}

func TestPeerCloses(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{})
	for _, code := range []int{1000, 1001, 3000, 4999, websocket.CloseNoStatusReceived} {
		c := dial(s, "alice")
		c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, "bye"), time.Now().Add(patience))
		c.expectClose(mux.CloseCode(code))
		c.ws.Close()
		<-mux.LeftOf(c.session)
	}
	if n := s.Stats().Closes(mux.CloseNormal); n != 5 {
		t.Errorf("%d closes counted as normal, want 5", n)
	}
	c := dial(s, "alice") // just gone
	c.ws.NetConn().(*net.TCPConn).SetLinger(0)
	c.ws.Close()
	<-mux.LeftOf(c.session)
	waitFor(t, "the connections to end", func() bool { return s.Conns() == 0 })
}

// masked returns a client's frame; first is its first byte.
func masked(first byte, payload string) []byte {
	f := []byte{first}
	switch n := len(payload); {
	case n < 126:
		f = append(f, 0x80|byte(n))
	default:
		f = binary.BigEndian.AppendUint16(append(f, 0x80|126), uint16(n))
	}
	return append(append(f, 0, 0, 0, 0), payload...)
}

// TestViolations: what is wrong with the protocol itself is answered with a
// close through the outbox, behind whatever is being written.
func TestViolations(t *testing.T) {
	t.Parallel()
	s := start(t, mux.Options{})
	tests := []struct {
		name string
		data []byte
		code mux.CloseCode
	}{
		{"bad opcode", masked(0x83, ""), mux.CloseProtocol},
		{"bad control opcode", masked(0x8B, ""), mux.CloseProtocol},
		{"RSV1", masked(0xC1, "{}"), mux.CloseProtocol},
		{"RSV2", masked(0xA1, "{}"), mux.CloseProtocol},
		{"RSV3", masked(0x91, "{}"), mux.CloseProtocol},
		{"long ping", masked(0x89, strings.Repeat("x", 126)), mux.CloseProtocol},
		{"fragmented ping", masked(0x09, ""), mux.CloseProtocol},
		{"continuation of nothing", masked(0x80, "x"), mux.CloseProtocol},
		{"data within data", append(masked(0x02, "x"), masked(0x82, "x")...), mux.CloseProtocol},
		{"no mask", []byte{0x82, 0x01, 'x'}, mux.CloseProtocol},
		{"bad close code", masked(0x88, "\x03\xed"), mux.CloseProtocol},
		{"bad close text", masked(0x88, "\x03\xe8\xff"), mux.CloseProtocol},
		{"a length with 64 bits", []byte{0x82, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0}, mux.CloseTooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := dial(s, "alice", senderID(test.name))
			n := c.stall()
			if _, err := c.ws.NetConn().Write(test.data); err != nil {
				t.Fatal(err)
			}
			<-mux.LeftOf(c.session)
			for i, m := range c.expectClose(test.code) {
				if m["n"] != float64(i) || i >= n {
					t.Fatalf("message %d is %v", i, m["n"])
				}
			}
		})
	}
	t.Run("before the join", func(t *testing.T) {
		c := s.connect()
		c.ws.NetConn().Write(masked(0x83, ""))
		c.expectClose(mux.CloseProtocol)
	})
}

// TestAfterClose: what was read ahead of a close is not handled.
func TestAfterClose(t *testing.T) {
	t.Parallel()
	var handled int
	s := start(t, mux.Options{}, func(s *server) {
		s.Handle("end", mux.Route{Handle: func(m *mux.Message) (mux.Acknowledgement, error) {
			m.Session.Close(mux.CloseForbidden, "")
			return nil, nil
		}})
		s.Handle("count", mux.Route{Handle: func(m *mux.Message) (mux.Acknowledgement, error) {
			handled++
			return nil, nil
		}})
	})
	c := dial(s, "alice", inJSON)
	both := append(masked(0x81, `{"type":"end"}`), masked(0x81, `{"type":"count"}`)...)
	c.ws.NetConn().Write(both)
	c.expectClose(mux.CloseForbidden)
	<-mux.LeftOf(c.session)
	if handled != 0 {
		t.Error("a message was handled after Close")
	}
}

// TestPingFlood: pings are answered within a limit, and cost a peer nothing else.
func TestPingFlood(t *testing.T) {
	t.Parallel()
	limits := limit.Defaults()
	s := start(t, mux.Options{Limits: &limits})
	c := dial(s, "alice")
	pongs := 0
	c.ws.SetPongHandler(func(data string) error {
		pongs++
		return nil
	})
	var flood []byte
	for range 1000 {
		flood = append(flood, masked(0x89, "x")...)
	}
	c.ws.NetConn().Write(flood)
	c.ws.NetConn().Write(masked(0x88, "\x03\xe8"))
	c.expectClose(mux.CloseNormal)
	if pongs < 20 || pongs > 200 {
		t.Errorf("%d pongs, want about 20", pongs)
	}
}
