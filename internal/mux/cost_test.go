package mux_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"atrium/internal/limit"
	"atrium/internal/mux"
)

// reading lets a peer read all that comes.
func (c *client) reading() { go io.Copy(io.Discard, c.ws.NetConn()) }

// TestSendAllocatesNothing: one shared frame to a session whose socket is free.
func TestSendAllocatesNothing(t *testing.T) {
	s := start(t, mux.Options{})
	for _, codec := range []string{"cbor", "json"} {
		c := dial(s, "alice", in(codec))
		s.Subscribe(c.session, "topic")
		c.reading()
		f := frame("x", 0, 100)
		send := map[string]func(){
			"Send":       func() { c.session.Send(f) },
			"Offer":      func() { c.session.Offer(f, nil) },
			"SendLatest": func() { c.session.SendLatest("key", f) },
			"a ping":     c.session.Tick,
		}
		for name, send := range send {
			allocs := testing.AllocsPerRun(200, func() {
				send()
				for c.session.Busy() { // the peer was late: that is another path
					runtime.Gosched()
				}
			})
			if allocs != 0 {
				t.Errorf("%s in %s: %v allocations", name, codec, allocs)
			}
		}
	}
}

func BenchmarkSend(b *testing.B) {
	s := start(b, mux.Options{QueueBytes: 1 << 30})
	c := dial(s, "alice")
	c.reading()
	f := frame("x", 0, 100)
	b.ReportAllocs()
	for b.Loop() {
		c.session.Send(f)
		for c.session.Busy() { // the peer reads more slowly than we can write
			runtime.Gosched()
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := start(b, mux.Options{QueueBytes: 1 << 30})
			for i := range n {
				c := dial(s, fmt.Sprint("user", i))
				s.Subscribe(c.session, "topic")
				c.reading()
			}
			b.ReportAllocs()
			for b.Loop() {
				s.Publish("topic", &text{Type: "x", Text: "something to say"}, nil)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/session")
		})
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	for _, codec := range []string{"cbor", "json"} {
		b.Run(codec, func(b *testing.B) {
			s := start(b, mux.Options{Limits: &limit.Limits{}})
			c := dial(s, "alice", in(codec))
			b.ReportAllocs()
			for b.Loop() {
				c.ping()
			}
		})
	}
}

// TestIdleMemory measures what an idle session costs, in a process of its own
// whose peers live in this one.
func TestIdleMemory(t *testing.T) {
	const sessions = 1000
	if os.Getenv("MUX_TEST_SERVER") != "" {
		serveForMemory(t)
		return
	}
	if testing.Short() || raceEnabled {
		t.Skip("the race detector's memory is not ours")
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestIdleMemory$")
	cmd.Env = append(os.Environ(), "MUX_TEST_SERVER=1")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	line := func() string {
		var b bytes.Buffer
		for one := make([]byte, 1); ; {
			if _, err := out.Read(one); err != nil || one[0] == '\n' {
				return b.String()
			}
			b.WriteByte(one[0])
		}
	}
	rss := func() int {
		fmt.Fprintln(in)
		kb, _ := strconv.Atoi(line())
		return kb << 10
	}
	remote := &server{t: t}
	remote.http = &httptest.Server{URL: "http://" + line()}
	join := func(i int) {
		c := remote.connect()
		c.send(msg{"type": "join", "senderId": fmt.Sprint(i), "token": "alice"})
		c.next()
		c.send(msg{"type": "ping", "id": 1, "x": strings.Repeat("x", 10_000)}) // it has not always been idle
		c.next()
	}
	for i := range 100 { // what is needed once
		join(i)
	}
	before := rss()
	for i := range sessions {
		join(100 + i)
	}
	each := (rss() - before) / sessions
	t.Logf("%d bytes of RSS for each of %d idle sessions", each, sessions)
	if each > 16<<10 {
		t.Errorf("%d bytes of RSS per idle session; the goal is 10 KB", each)
	}
}

// serveForMemory tells its address, and its RSS for every line it reads.
func serveForMemory(t *testing.T) {
	m := mux.New(mux.Options{Verify: verify, Limits: &limit.Limits{}})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go http.Serve(listener, m)
	fmt.Println(listener.Addr())
	for one := make([]byte, 1); ; {
		if _, err := os.Stdin.Read(one); err != nil {
			os.Exit(0)
		}
		for range 3 { // pools are emptied, stacks shrink
			debug.FreeOSMemory()
			time.Sleep(10 * time.Millisecond)
		}
		status, _ := os.ReadFile("/proc/self/status")
		_, rest, _ := strings.Cut(string(status), "VmRSS:")
		fmt.Println(strings.Fields(rest)[0])
	}
}
