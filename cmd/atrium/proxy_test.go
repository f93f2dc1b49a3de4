package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// tcpProxy stands between nodes and Redis, and fails as networks do.
type tcpProxy struct {
	t      *testing.T
	addr   string
	target string
	passed atomic.Int64 // messages that were published, and let through
	lost   atomic.Int64 // those that were not

	mu       sync.Mutex
	listener net.Listener          // nil: it refuses; guarded by mu
	conns    map[net.Conn]struct{} // both halves; guarded by mu
	share    float64               // of the messages that get lost; guarded by mu
	running  sync.WaitGroup
}

func newProxy(t *testing.T, target string) *tcpProxy {
	t.Helper()
	p := &tcpProxy{t: t, addr: "127.0.0.1:0", target: target, conns: make(map[net.Conn]struct{})}
	p.allow()
	t.Cleanup(func() {
		p.refuse()
		p.running.Wait()
	})
	return p
}

// RedisURL is the address of Redis through the proxy.
func (p *tcpProxy) RedisURL() string { return "redis://" + p.addr }

// allow accepts connections, at the same address as before.
func (p *tcpProxy) allow() {
	p.t.Helper()
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.addr = l.Addr().String()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener = l
	p.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { p.serve(conn) })
		}
	})
}

// refuse ends all connections, and accepts no new ones.
func (p *tcpProxy) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	for conn := range p.conns {
		conn.Close()
	}
}

// drop has a share of the messages that Redis passes on get lost, from 0 to 1.
func (p *tcpProxy) drop(share float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.share = share
}

func (p *tcpProxy) serve(conn net.Conn) {
	defer conn.Close()
	redis, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer redis.Close()
	p.mu.Lock()
	ok := p.listener != nil
	p.conns[conn], p.conns[redis] = struct{}{}, struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, conn)
		delete(p.conns, redis)
	}()
	if !ok {
		return
	}
	var up sync.WaitGroup
	up.Go(func() {
		io.Copy(redis, conn)
		redis.Close()
	})
	p.down(conn, bufio.NewReader(redis))
	conn.Close()
	up.Wait()
}

// down passes on what Redis says, but for messages that get lost.
func (p *tcpProxy) down(to io.Writer, from *bufio.Reader) {
	out := bufio.NewWriter(to)
	for {
		raw, isMessage, err := readRESP(nil, from)
		if err != nil {
			return
		}
		if isMessage && p.loses() {
			p.lost.Add(1)
			continue
		}
		if isMessage {
			p.passed.Add(1)
		}
		out.Write(raw)
		if from.Buffered() == 0 && out.Flush() != nil {
			return
		}
	}
}

func (p *tcpProxy) loses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return rand.Float64() < p.share
}

// readRESP appends the next value that Redis sends, of version 2 or 3 of its
// protocol, and reports whether that is a message which somebody has published.
func readRESP(dst []byte, r *bufio.Reader) (raw []byte, isMessage bool, err error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return dst, false, err
	}
	dst = append(dst, line...)
	kind, text := line[0], strings.TrimSpace(string(line[1:]))
	if strings.IndexByte("+-:_,#(", kind) >= 0 || text == "-1" {
		return dst, false, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return dst, false, fmt.Errorf("not RESP: %q", line)
	}
	switch kind {
	case '$', '=', '!':
		body := make([]byte, n+2)
		_, err = io.ReadFull(r, body)
		return append(dst, body...), false, err
	case '%', '|':
		n *= 2
	case '*', '>', '~':
	default:
		return dst, false, fmt.Errorf("not RESP: %q", line)
	}
	for i := range n {
		from := len(dst)
		if dst, _, err = readRESP(dst, r); err != nil {
			return dst, false, err
		}
		isMessage = isMessage || i == 0 && n == 3 && kind != '%' && bytes.HasSuffix(dst[from:], []byte("\r\nmessage\r\n"))
	}
	if kind == '|' { // attributes stand before the value that they are of
		return readRESP(dst, r)
	}
	return dst, isMessage, nil
}

// TestProxyReadsRESP in both versions: it finds the messages, and changes nothing.
func TestProxyReadsRESP(t *testing.T) {
	t.Parallel()
	message := "3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\na\r\nb\r\n"
	for value, want := range map[string]bool{
		"+OK\r\n": false, ":1\r\n": false, "$-1\r\n": false, "_\r\n": false, "$3\r\na\r\n\r\n": false, "*-1\r\n": false, "*0\r\n": false,
		"%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n": false, ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n": false,
		"*2\r\n*" + message + ":1\r\n": false, "*" + message: true, ">" + message: true, "|1\r\n+k\r\n+v\r\n>" + message: true,
	} {
		raw, isMessage, err := readRESP(nil, bufio.NewReader(strings.NewReader(value+"+next\r\n")))
		if string(raw) != value || isMessage != want || err != nil {
			t.Errorf("%q: got %q, a message: %v, %v", value, raw, isMessage, err)
		}
	}
}
