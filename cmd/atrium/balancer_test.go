package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startNginx starts nginx as deploy/nginx.conf has it, in front of these nodes, and
// returns it as a server to dial and to call.
func startNginx(t *testing.T, nodes []*testServer) *testServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front := &testServer{t: t, addr: l.Addr().String()}
	l.Close()
	text, err := os.ReadFile("../../deploy/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := "daemon off; pid nginx.pid; error_log stderr;\n" + strings.NewReplacer(
		"atrium1:8080", nodes[0].addr, "atrium2:8080", nodes[1].addr, "listen 8080", "listen "+front.addr,
		"http {", "http {\nclient_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;",
	).Replace(string(text))
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // its workers are somebody else, started by root
		t.Fatal(err)
	}
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // not on everybody's path
	}
	cmd := exec.Command(program, "-p", dir, "-c", path)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatalf("nginx does not start: %v: make tools installs what the tests need", err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if status, _ := front.get("/healthz"); status == http.StatusOK {
			return front
		}
		if time.Now().After(deadline) {
			t.Fatal("nginx does not answer")
		}
	}
}

// TestBehindNginx: with the example of a load balancer, clients come to all nodes,
// are refused inside of their sockets, and never meet an HTTP error though a node
// is killed.
func TestBehindNginx(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2).nodes
	front := startNginx(t, nodes)
	doc := newDocument()
	author := dial(t, front, "author", docs("*", "write")).author(doc)
	h := author.submit()
	for i := range 20 {
		dial(t, front, fmt.Sprint("reader ", i), docs("*", "read")).open(doc).receives(doc, h)
	}
	for i, s := range nodes {
		if n := s.metric("atrium_sessions"); n < 5 {
			t.Errorf("node %d has %v of 21 sessions", i, n)
		}
	}
	if _, raw := front.get("/readyz"); !strings.Contains(raw, `"ok"`) {
		t.Errorf("/readyz says %s", raw)
	}
	stranger := connect(t, front, "stranger")
	stranger.send(msg{"type": "join", "senderId": "x", "token": "none"})
	stranger.expectError("unauthenticated", nil)
	stranger.expectClose(4401)

	nodes[0].errorsOK = true
	nodes[0].kill9()
	for i := range 20 {
		c := dial(t, front, fmt.Sprint("late reader ", i), docs("*", "read"))
		c.open(doc).receives(doc, h)
		front.notify("author", fmt.Sprint("push ", i))
	}
	nodes[0].start()
}
