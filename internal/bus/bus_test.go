package bus_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"atrium/internal/bus"
	"atrium/internal/scratch"
)

const patience = 20 * time.Second

func connect(t *testing.T, url, cluster string) *bus.Bus {
	t.Helper()
	b, err := bus.New(bus.Options{URL: url, Cluster: cluster})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// ear is a listener.
type ear struct {
	t        *testing.T
	messages chan string
	missed   chan struct{}
}

func listen(t *testing.T, b *bus.Bus, topic string) (e ear, stop func()) {
	t.Helper()
	e = ear{t, make(chan string, 100_000), make(chan struct{}, 1000)}
	stop = b.Listen(topic, bus.Listener{
		Message: func(_ string, data []byte) { e.messages <- string(data) },
		Missed:  func() { e.missed <- struct{}{} },
	})
	return e, stop
}

func (e ear) hears(want string) {
	e.t.Helper()
	select {
	case got := <-e.messages:
		if got != want {
			e.t.Fatalf("heard %q, want %q", got, want)
		}
	case <-time.After(patience):
		e.t.Fatalf("heard nothing, want %q", want)
	}
}

func (e ear) isTold() {
	e.t.Helper()
	select {
	case <-e.missed:
	case <-time.After(patience):
		e.t.Fatal("was not told that messages may have been missed")
	}
}

func (e ear) hearsNothing(during time.Duration) {
	e.t.Helper()
	select {
	case got := <-e.messages:
		e.t.Fatalf("heard %q", got)
	case <-time.After(during):
	}
}

func TestOthersHear(t *testing.T) {
	url := scratch.Redis(t)
	a, b, other := connect(t, url, t.Name()), connect(t, url, t.Name()), connect(t, url, t.Name()+"2")
	own, _ := listen(t, a, "x")
	inB, stop := listen(t, b, "x")
	inY, _ := listen(t, b, "y")
	elsewhere, _ := listen(t, other, "x")
	for _, e := range []ear{own, inB, inY, elsewhere} {
		e.isTold()
	}
	const n = 10_000
	for i := range n {
		a.Publish("x", fmt.Append(nil, i))
	}
	for i := range n {
		inB.hears(fmt.Sprint(i))
	}
	own.hearsNothing(50 * time.Millisecond)
	inY.hearsNothing(0)
	elsewhere.hearsNothing(0)

	stop()
	again, _ := listen(t, b, "x") // at once: it is still subscribed to, and told
	again.isTold()
	a.Publish("x", []byte("again"))
	again.hears("again")

	// What a script publishes comes to all, also to where it ran.
	client, _ := a.Redis()
	if err := client.Publish(t.Context(), a.Channel("x"), bus.Nobody+"script").Err(); err != nil {
		t.Fatal(err)
	}
	own.hears("script")
	again.hears("script")
	if in, out := b.Stats().In.Load(), a.Stats().Out.Load(); in < n || out != n+1 {
		t.Errorf("%d messages in, %d out", in, out)
	}
}

// TestStopped: who has stopped listening hears nothing any more.
func TestStopped(t *testing.T) {
	url := scratch.Redis(t)
	a, b := connect(t, url, t.Name()), connect(t, url, t.Name())
	e, stop := listen(t, b, "x")
	e.isTold()
	stop()
	f, _ := listen(t, b, "y")
	f.isTold()
	a.Publish("x", []byte("1"))
	a.Publish("y", []byte("2"))
	f.hears("2")
	e.hearsNothing(0)
}

// TestRedisAway: who listens is told when it is back, and who publishes does not
// wait.
func TestRedisAway(t *testing.T) {
	for name, away := range map[string]struct{ leave, back func(*scratch.Server) }{
		"killed":  {(*scratch.Server).Kill, (*scratch.Server).Start},
		"stalled": {(*scratch.Server).Stall, (*scratch.Server).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			server := scratch.NewRedis(t)
			a, b := connect(t, server.RedisURL(), "c"), connect(t, server.RedisURL(), "c")
			e, _ := listen(t, b, "x")
			e.isTold()
			away.leave(server)
			for deadline := time.Now().Add(patience); b.Connected(); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("it is still thought to be there")
				}
			}
			began := time.Now()
			for range 1000 {
				a.Publish("x", make([]byte, 1000))
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("publishing to nobody took %v", took)
			}
			during, _ := listen(t, b, "y")
			away.back(server)
			e.isTold()
			during.isTold()
			for len(e.messages) > 0 {
				<-e.messages
			}
			var heard sync.WaitGroup
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			heard.Go(func() { // a's connection comes back when it is used
				for ctx.Err() == nil && len(during.messages) == 0 {
					a.Publish("y", []byte("back"))
					time.Sleep(20 * time.Millisecond)
				}
			})
			heard.Wait()
			during.hears("back")
			if !b.Connected() || b.Stats().Lost.Load() != 1 {
				t.Errorf("connected: %t, lost %d times", b.Connected(), b.Stats().Lost.Load())
			}
		})
	}
}

// TestAlone: a node without a bus.
func TestAlone(t *testing.T) {
	var b *bus.Bus
	b.Listen("x", bus.Listener{})()
	b.Publish("x", nil)
	b.Close()
	if !b.Connected() || b.Node() != "" || b.Stats() != nil {
		t.Error("it is not alone")
	}
}
