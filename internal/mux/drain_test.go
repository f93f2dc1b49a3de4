package mux_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"atrium/internal/auth"
	"atrium/internal/mux"
)

// TestDrain: StopReading lets handlers finish, and their answers go out; then
// Close ends everything with 4503, without a goroutine left.
func TestDrain(t *testing.T) {
	end := goroutinesEnd(t)
	handling, finish := make(chan bool), make(chan bool)
	var later *mux.Reply
	s := start(t, mux.Options{JoinWithin: time.Minute}, func(s *server) {
		s.Handle("slow", mux.Route{Handle: func(*mux.Message) (mux.Acknowledgement, error) {
			handling <- true
			<-finish
			return nil, nil
		}})
		s.Handle("later", mux.Route{Handle: func(m *mux.Message) (mux.Acknowledgement, error) {
			later = m.Reply()
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

// TestDrainWhileVerifying: a join whose token takes long is refused if meanwhile
// the end of service has begun.
func TestDrainWhileVerifying(t *testing.T) {
	t.Parallel()
	verifying, goOn := make(chan bool), make(chan bool)
	s := start(t, mux.Options{Verify: func(token string) (*auth.Identity, error) {
		verifying <- true
		<-goOn
		return verify(token)
	}})
	c := s.connect()
	c.send(msg{"type": "join", "id": 1, "senderId": "a", "token": "alice"})
	<-verifying
	stopped := make(chan bool)
	go func() {
		s.StopReading()
		close(stopped)
	}()
	other := s.connect() // tells when that has begun
	for other.next()["code"] != "unavailable" {
	}
	goOn <- true
	c.expectError(mux.Unavailable, 1.0)
	c.expectClose(mux.CloseGoingAway)
	<-stopped
	if len(s.noted()) != 0 {
		t.Errorf("modules saw %v", s.noted())
	}
	c.ws.Close()
	other.ws.Close()
}

// TestGate: what is shut stays shut, but for the last reading.
func TestGate(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	peer, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	extend, shut, linger := mux.Gate(conn)
	one := make([]byte, 1)
	extend(time.Hour)
	reading := make(chan error)
	go func() {
		_, err := conn.Read(one)
		reading <- err
	}()
	shut()
	if err := <-reading; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("shut while reading: %v", err)
	}
	extend(time.Hour)
	if _, err := conn.Read(one); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("extended after it was shut: %v", err)
	}
	linger(time.Hour)
	shut()
	extend(0)
	peer.Write(one)
	if _, err := conn.Read(one); err != nil {
		t.Errorf("the last reading: %v", err)
	}
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
