package mux_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
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

// TestDrain: StopReading lets handlers finish, and their answers go out; then
// Close ends everything with 4503, without a goroutine left.
func TestDrain(t *testing.T) {
	end := goroutinesEnd(t)
	handling, finish := make(chan bool), make(chan bool)
	var later *mux.Message
	s := start(t, mux.Options{JoinWithin: time.Minute}, func(s *server) {
		s.Handle("slow", mux.Route{Handle: func(*mux.Message) (mux.Acknowledgement, error) {
			handling <- true
			<-finish
			return nil, nil
		}})
		s.Handle("later", mux.Route{Handle: func(m *mux.Message) (mux.Acknowledgement, error) {
			later = m
			return mux.Later, nil
		}})
	})
	alice, bob, unjoined := dial(s, "alice"), dial(s, "bob", inJSON), s.connect()
	waitFor(t, "the connection", func() bool { return s.Conns() == 3 })
	bob.send(msg{"type": "later", "id": "l"})
	bob.ping()
	alice.send(msg{"type": "slow", "id": 1})
	<-handling
	alice.send(msg{"type": "slow", "id": 2}) // not read any more
	stopped := make(chan bool)
	go func() {
		s.StopReading()
		s.StopReading() // is the same
		close(stopped)
	}()
	unjoined.expectError(mux.Unavailable, nil)
	unjoined.expectClose(mux.CloseGoingAway)
	select {
	case <-stopped:
		t.Fatal("stopped while a handler runs")
	default:
	}
	newcomer := s.connect()
	newcomer.expectError(mux.Unavailable, nil)
	newcomer.expectClose(mux.CloseGoingAway)

	finish <- true
	<-stopped
	if m := alice.next(); m["type"] != "ack" || m["id"] != 1.0 {
		t.Errorf("got %v", m)
	}
	later.Ack(nil)
	if m := bob.next(); m["type"] != "ack" || m["id"] != "l" {
		t.Errorf("got %v", m)
	}
	s.Publish("nobody", &text{}, nil)
	alice.session.Send(frame("still", 0, 0))
	if m := alice.next(); m["type"] != "still" {
		t.Errorf("got %v", m)
	}
	closed := make(chan bool)
	go func() {
		s.Close(context.Background())
		close(closed)
	}()
	for _, c := range []*client{alice, bob} {
		if rest := c.expectClose(mux.CloseGoingAway); len(rest) != 0 {
			t.Errorf("%s: %v before the close", c.user, rest)
		}
		c.ws.Close()
	}
	unjoined.ws.Close()
	newcomer.ws.Close()
	<-closed
	if late, _, err := s.tryConnect(); err == nil {
		if _, _, err = late.ws.ReadMessage(); !errors.Is(err, io.EOF) && !websocket.IsCloseError(err, 1006) {
			t.Errorf("after Close: %v, want to be hung up on", err)
		}
		late.ws.Close()
	}
	if n := s.Stats().Refusals(mux.BadRequest); n != 0 {
		t.Errorf("%d refusals of the drained counted as their fault", n)
	}
	s.http.Close()
	end()
}

// TestCloseIsBounded: when ctx is done, peers that neither read nor hang up are
// waited for no longer.
func TestCloseIsBounded(t *testing.T) {
	end := goroutinesEnd(t)
	s := start(t, mux.Options{})
	var clients []*client
	for _, user := range []string{"alice", "bob", "carol"} {
		c := dial(s, user)
		if user != "carol" {
			c.stall()
		}
		clients = append(clients, c)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	s.Close(ctx) // also without StopReading
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	for _, c := range clients {
		c.ws.Close()
	}
	s.http.Close()
	end()
}

// TestStopWhileJoining races joins with StopReading: nobody is left waiting for
// a join that nobody reads.
func TestStopWhileJoining(t *testing.T) {
	t.Parallel()
	for range 20 {
		s := start(t, mux.Options{JoinWithin: time.Minute})
		ready := make(chan bool)
		done := make(chan bool)
		for range 4 {
			go func() {
				defer func() { done <- true }()
				<-ready
				c, _, err := s.tryConnect()
				if err != nil {
					return
				}
				defer c.ws.Close()
				c.ws.WriteMessage(c.kind(), mux.EncodeCBOR(msg{"type": "join", "senderId": "x", "token": "alice"}))
				for err == nil {
					_, err = c.tryNext()
				}
				if !websocket.IsCloseError(err, 4503, 4409, 1006) && !errors.Is(err, syscall.ECONNRESET) { // the last two: after Close
					t.Errorf("ended with %v", err)
				}
			}()
		}
		close(ready)
		s.StopReading()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		s.Close(ctx)
		if ctx.Err() != nil {
			t.Error("somebody had to be cut")
		}
		cancel()
		for range 4 {
			<-done
		}
	}
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
