package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Self is how to start this program again.
type Self struct {
	Path string
	Env  []string // with no settings of atrium's in it
}

// process is a server that the bench has started, in a process group of its own.
type process struct {
	cmd     *exec.Cmd
	foreign bool // not this program
	output  tail
	ended   chan struct{} // closed when it has
	err     error         // how it ended; good after ended
}

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 15 * time.Second // longer than atrium drains
)

// start starts this program with other arguments and settings (NAME=value), and
// returns the address that it says it listens on.
func (s Self) start(settings []string, args ...string) (*process, string, error) {
	p := &process{cmd: exec.Command(s.Path, args...), ended: make(chan struct{})}
	p.cmd.Env = append(append([]string(nil), s.Env...), settings...)
	p.cmd.SysProcAttr = ownGroup()
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, "", err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("start %s: %w", args[0], err)
	}
	addr := make(chan string, 1)
	go func() {
		p.listen(stderr, addr) // before Wait, which closes the pipe
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case a, ok := <-addr:
		if ok {
			return p, a, nil
		}
	case <-timeout.C:
	}
	p.stop()
	return nil, "", fmt.Errorf("%s does not listen:\n%s", args[0], p.output.text())
}

// listen reads what the process logs, and sends the address it listens on.
func (p *process) listen(stderr io.Reader, addr chan<- string) {
	defer close(addr)
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for told := false; lines.Scan(); {
		p.output.Write(append(lines.Bytes(), '\n'))
		var line struct{ Msg, Addr string }
		if !told && json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			addr <- line.Addr
			told = true
		}
	}
	io.Copy(io.Discard, stderr)
}

// startShell starts a command that listens on the port named in PORT, and
// returns its address.
func startShell(ctx context.Context, command string, env []string) (*process, string, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	_, port, _ := net.SplitHostPort(addr)
	p := &process{cmd: exec.Command("sh", "-c", command), foreign: true, ended: make(chan struct{})}
	p.cmd.Env = append(append([]string(nil), env...), "PORT="+port)
	p.cmd.SysProcAttr = ownGroup()
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("start %q: %w", command, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			conn.Close()
			return p, addr, nil
		}
		if pause(ctx, 50*time.Millisecond) != nil || p.hasEnded() {
			break
		}
	}
	p.stop()
	return nil, "", fmt.Errorf("%q does not listen on PORT:\n%s", command, p.output.text())
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// stop ends the process and what it has started, and waits for that. That it has
// ended before is an error, and that one of Atrium's own ends badly.
func (p *process) stop() error {
	if p.hasEnded() {
		return fmt.Errorf("it has ended before time: %w", cmp.Or(p.err, errors.New("exit status 0")))
	}
	group := p.cmd.Process.Pid
	syscall.Kill(-group, syscall.SIGTERM)
	kill := time.AfterFunc(stopTimeout, func() { syscall.Kill(-group, syscall.SIGKILL) })
	defer kill.Stop()
	<-p.ended
	if p.foreign {
		return nil
	}
	return p.err
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// meters measure processes together.
type meters []meter

// cpu returns the CPU time spent so far by all, 0 if unknown.
func (all meters) cpu() (sum time.Duration, err error) {
	for _, m := range all {
		d, err := m.cpu()
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// rss returns the resident memory of all in bytes, 0 if unknown.
func (all meters) rss() (sum int64, err error) {
	for _, m := range all {
		n, err := m.rss()
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// meter measures a process, or a whole group of them.
type meter struct {
	pid   int
	group bool
}

// cpu returns the CPU time spent so far.
func (m meter) cpu() (sum time.Duration, err error) {
	for _, pid := range m.pids() {
		d, err := cpuTime(pid)
		if err != nil && m.group {
			continue // it has ended meanwhile
		}
		if err != nil {
			return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
		}
		sum += d
	}
	return sum, nil
}

// rss returns the resident memory in bytes.
func (m meter) rss() (sum int64, err error) {
	for _, pid := range m.pids() {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil && m.group {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("memory of process %d: %w", pid, err)
		}
		_, rest, _ := strings.Cut(string(status), "\nVmRSS:")
		var kB int64
		fmt.Sscan(rest, &kB)
		sum += kB << 10
	}
	return sum, nil
}

func (m meter) pids() []int {
	if !m.group {
		return []int{m.pid}
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if group, err := syscall.Getpgid(pid); err == nil && group == m.pid {
			pids = append(pids, pid)
		}
	}
	return pids
}

// tail keeps the end of what is written to it. It is safe for concurrent use.
type tail struct {
	mu  sync.Mutex
	end []byte // guarded by mu
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = append(t.end, b...)
	if over := len(t.end) - 4<<10; over > 0 {
		t.end = append(t.end[:0], t.end[over:]...)
	}
	return len(b), nil
}

func (t *tail) text() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.end)
}
