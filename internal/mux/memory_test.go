//go:build !race

// The race detector's memory is not ours to measure: make test runs this without it.

package mux_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"atrium/internal/limit"
	"atrium/internal/mux"
)

// TestIdleMemory measures what an idle session costs, in a process of its own
// whose peers live in this one.
func TestIdleMemory(t *testing.T) {
	const sessions = 1000
	if os.Getenv("MUX_TEST_SERVER") != "" {
		serveForMemory(t)
		return
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
