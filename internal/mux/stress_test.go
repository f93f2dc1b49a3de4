package mux_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"atrium/internal/limit"
	"atrium/internal/mux"
)

var seed = flag.Uint64("seed", 0, "of TestStress; 0: the time")

// crowd is the model that TestStress holds a Mux to.
type crowd struct {
	*server
	refused, drained atomic.Int64 // offers

	mu      sync.Mutex
	active  map[string]*mux.Session // by user and sender id
	wrong   []string
	counter map[int]int // by publisher
}

func (c *crowd) complain(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

func key(x *mux.Session) string { return x.Identity().UserID + "/" + x.SenderID }

func (c *crowd) joined(x *mux.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active[key(x)] != nil {
		c.wrong = append(c.wrong, key(x)+" joined before the one before left")
	}
	c.active[key(x)] = x
}

func (c *crowd) left(x *mux.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active[key(x)] != x {
		c.wrong = append(c.wrong, key(x)+" left without having joined")
	}
	delete(c.active, key(x))
}

// some returns any session that is there, or nil.
func (c *crowd) some() *mux.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range c.active {
		return x
	}
	return nil
}

// TestStress lets 200 peers join, leave, be replaced, publish, stall and
// misbehave at random. Everybody hears what they hear in order, modules see
// sessions one after the other, and in the end nothing is left.
func TestStress(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again with -seed %d", *seed)
		}
	})
	end := goroutinesEnd(t)
	limits := limit.Limits{}
	limits.Classes[limit.Sync] = limit.Limit{Rate: 100, Burst: 10}
	c := &crowd{active: make(map[string]*mux.Session), counter: make(map[int]int)}
	c.server = start(t, mux.Options{
		QueueBytes: 64 << 10, PingEvery: 10 * time.Millisecond, Silence: 500 * time.Millisecond, JoinWithin: time.Second, Limits: &limits,
	}, func(s *server) {
		s.Use(mux.Hooks{Joined: c.joined, Left: c.left})
		s.Handle("sync", mux.Route{Class: limit.Sync, Handle: func(*mux.Message) (mux.Acknowledgement, error) { return nil, nil }})
		s.Handle("subscribe", mux.Route{Handle: func(m *mux.Message) (mux.Acknowledgement, error) {
			var req text
			if err := m.Decode(&req); err != nil {
				return nil, err
			}
			s.Subscribe(m.Session, req.Text)
			reply := m.Reply()
			go func() { reply.Ack(nil); reply.Fail(nil) }()
			return mux.Later, nil
		}})
	})
	const peers = 200
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var workers sync.WaitGroup
	var lives atomic.Int64
	for i := range peers {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(*seed, uint64(i)))
			for ctx.Err() == nil {
				c.live(ctx, i, random)
				lives.Add(1)
			}
		})
	}
	workers.Wait()
	c.StopReading()
	bounded, cancel2 := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel2()
	c.Close(bounded)
	c.http.Close()
	end()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, wrong := range c.wrong {
		t.Error(wrong)
	}
	if len(c.active) != 0 {
		t.Errorf("modules still see %d sessions", len(c.active))
	}
	if r, d := c.refused.Load(), c.drained.Load(); r != d {
		t.Errorf("%d offers refused, drained called %d times", r, d)
	}
	closes := ""
	for _, code := range []mux.CloseCode{mux.CloseNormal, mux.CloseProtocol, mux.CloseReplaced, mux.CloseForbidden, mux.CloseTooSlow, mux.CloseJoinTooLate, mux.CloseGoingAway} {
		closes += fmt.Sprintf(" %d: %d", code, c.Stats().Closes(code))
	}
	t.Logf("%d lives, %d offers refused, closed with%s", lives.Load(), c.refused.Load(), closes)
}

// live is one connection of a peer.
func (c *crowd) live(ctx context.Context, number int, random *rand.Rand) {
	p, _, err := c.tryConnect(in([]string{"cbor", "json"}[random.IntN(2)]))
	if err != nil {
		return
	}
	defer p.ws.Close()
	if random.IntN(50) == 0 {
		p.tryNext() // never joins
		return
	}
	topic := func() string { return fmt.Sprint("topic", random.IntN(5)) }
	say := func(m msg) bool {
		data := mux.EncodeCBOR(m)
		if p.codec == "json" {
			data = mux.EncodeJSON(m)
		}
		p.ws.SetWriteDeadline(time.Now().Add(patience))
		return p.ws.WriteMessage(p.kind(), data) == nil
	}
	say(msg{"type": "join", "senderId": fmt.Sprint(random.IntN(2)), "token": fmt.Sprint("user", random.IntN(150))})
	for range 1 + random.IntN(3) {
		say(msg{"type": "subscribe", "id": 1, "text": topic()})
	}
	reader := make(chan struct{})
	pause := make(chan time.Duration, 1)
	go func() {
		defer close(reader)
		c.hear(p, pause)
	}()
	defer func() {
		p.ws.Close()
		<-reader
	}()
	for range random.IntN(60) {
		if ctx.Err() != nil {
			return
		}
		switch random.IntN(10) {
		case 0:
			say(msg{"type": "ping", "id": "x"})
		case 1:
			say(msg{"type": "sync"})
		case 2, 3:
			c.publish(number, topic(), random.IntN(2000), false)
		case 4, 5:
			c.publish(number, topic(), random.IntN(2000), true)
		case 6, 7:
			if x := c.some(); x != nil && !x.Offer(frame("offered", 0, random.IntN(20_000)), func() { c.drained.Add(1) }) {
				c.refused.Add(1)
			}
		case 8:
			select {
			case pause <- time.Duration(random.IntN(400)) * time.Millisecond:
			default:
			}
		case 9:
			time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
		}
	}
	switch random.IntN(6) {
	case 0:
		p.ws.NetConn().(*net.TCPConn).SetLinger(0)
	case 1:
		p.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(time.Second))
		<-reader
	case 2:
		p.ws.NetConn().Write(masked(0x83, ""))
		<-reader
	case 3:
		if x := c.some(); x != nil {
			x.Close(mux.CloseForbidden, "")
		}
	}
}

// publish counts up by publisher, so that the order can be seen.
func (c *crowd) publish(number int, topic string, size int, latest bool) {
	c.mu.Lock()
	c.counter[number]++
	n := c.counter[number]
	except := c.active["user1/1"]
	c.mu.Unlock()
	f := &text{N: n, Text: fmt.Sprintf("%*s", size, "")}
	if f.Type = fmt.Sprint("sent ", number); latest {
		f.Type = fmt.Sprint("latest ", number)
		c.PublishLatest(topic, f.Type, f, except)
		return
	}
	c.Publish(topic, f, except)
}

// hear reads until the end.
func (c *crowd) hear(p *client, pause chan time.Duration) {
	newest := make(map[string]float64)
	p = &client{t: p.t, ws: p.ws} // who is refused before the join is told in CBOR
	for {
		select {
		case d := <-pause:
			time.Sleep(d)
		default:
		}
		m, err := p.tryNext()
		if websocket.IsCloseError(err, 1007, 1009, 4400) {
			c.complain("ended with %v", err)
		}
		if _, isClose := err.(*websocket.CloseError); err != nil && !isClose {
			if _, isNet := err.(net.Error); !isNet {
				c.complain("read: %v", err)
			}
		}
		if err != nil {
			return
		}
		kind, _ := m["type"].(string)
		n, counted := m["n"].(float64)
		if !counted || kind == "offered" {
			continue
		}
		if kind[0] == 'l' { // latest ones wait by topic
			continue
		}
		if newest[kind] >= n {
			c.complain("heard %s %v after %v", kind, n, newest[kind])
		}
		newest[kind] = n
	}
}
