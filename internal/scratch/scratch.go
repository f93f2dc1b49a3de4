// Package scratch starts real servers for tests, Postgres and Redis, from what is
// installed, each on a free port and in a temporary directory. They end with the
// process that has started them, also when that is killed.
//
// It is for tests and for measuring alone.
package scratch

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long a server may take to start, beside other work.
const patience = time.Minute

// T is whom a server is started for: a test, or who takes its place (see run).
type T interface {
	Helper()
	Cleanup(f func())
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// Server is one that has been started, or is down for a while.
type Server struct {
	Addr string // host:port, the same for its whole life

	t       T
	dir     string
	command []string
	answers func() error // nil once it can be used
	cmd     *exec.Cmd
	stdin   interface{ Close() error } // closing it kills the server
	done    chan struct{}              // closed when it is gone
}

// freeAddr is an address on loopback that nobody listens on at the moment.
func freeAddr(t T) (addr, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return l.Addr().String(), port
}

// unprivileged is whom servers run as that refuse to be root; nil: we are not.
func unprivileged(t T) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.ParseUint(nobody.Uid, 10, 32)
	gid, _ := strconv.ParseUint(nobody.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// tempDir makes a directory that the unprivileged user owns, below one that
// everybody may enter. It goes when the server does, whatever becomes of the test.
func tempDir(t T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "atrium-scratch-")
	if err != nil {
		t.Fatal(err)
	}
	if c := unprivileged(t); c != nil {
		if err := os.Chown(dir, int(c.Uid), int(c.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// find returns an installed program, which may stand outside of the path.
func find(t T, name string, elsewhere ...string) string {
	t.Helper()
	for _, pattern := range elsewhere {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return slices.Max(found)
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: make tools installs what the tests need", name)
	}
	return path
}

// supervise runs a command until its standard input ends, which it does with the
// process that holds the other end; then it removes the server's directory, if it
// was told to.
const supervise = `exec 3<&0; dir=$1; shift; "$@" 3<&- & pid=$!; (read how <&3; kill -KILL $pid; [ "$how" = keep ] || rm -rf "$dir") & wait $pid`

// Start starts a server that is down.
func (s *Server) Start() {
	s.t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"-c", supervise, "sh", s.dir}, s.command...)...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: unprivileged(s.t), Setpgid: true}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd, s.stdin, s.done = cmd, stdin, make(chan struct{})
	go func() {
		cmd.Wait()
		close(s.done)
	}()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if err = s.answers(); err == nil {
			return
		}
		select {
		case <-s.done:
		default:
			if time.Now().Before(deadline) {
				continue
			}
		}
		text, _ := os.ReadFile(log.Name())
		s.t.Fatalf("%s does not answer: %v\n%s", s.command[0], err, text)
	}
}

// Kill ends a server as a crash does. Start brings it back with what it had.
func (s *Server) Kill() {
	s.t.Helper()
	family := s.family()
	fmt.Fprintln(s.stdin.(interface{ Write([]byte) (int, error) }), "keep")
	<-s.done
	// What it has forked goes on for a moment, and takes what comes.
	for _, pid := range family {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	// What still holds its port.
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL); err != nil || time.Now().After(deadline) {
			return
		}
	}
}

// Stall stops a server so that it does not answer, and neither hangs up; Resume
// has it go on.
func (s *Server) Stall() { s.signal(syscall.SIGSTOP) }

// Resume undoes Stall.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	for _, pid := range s.family() {
		syscall.Kill(pid, sig)
	}
}

// family returns a server's processes; Postgres' have groups of their own.
func (s *Server) family() []int {
	children := make(map[int][]int)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(text), ") ") // behind the program's name
		var pid, parent int
		var state string
		fmt.Sscan(string(text), &pid)
		fmt.Sscan(rest, &state, &parent)
		children[parent] = append(children[parent], pid)
	}
	all := []int{s.cmd.Process.Pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}
