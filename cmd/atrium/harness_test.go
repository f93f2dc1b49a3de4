package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"atrium/internal/scratch"
)

// asAtrium makes the test binary behave as atrium: so the tests meet the real
// program, with the race detector if they have it, and can kill it.
const asAtrium = "ATRIUM_TEST_IS_ATRIUM"

func TestMain(m *testing.M) {
	if os.Getenv(asAtrium) != "" {
		main()
		os.Exit(0)
	}
	flag.Parse()
	if !parallelSet() {
		flag.Set("test.parallel", "6") // most of the time they wait
	}
	os.Exit(m.Run())
}

func parallelSet() (set bool) {
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "test.parallel" })
	return set
}

const (
	secret   = "a secret for tests, long enough for HS256"
	patience = 30 * time.Second // for what must come
)

// atrium makes a command that runs atrium with nothing but these settings:
// NAME=value is environment, all else are arguments.
func atrium(settings ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ATRIUM_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, asAtrium+"=1", "GORACE=atexit_sleep_ms=0") // or every end takes a second
	for _, s := range settings {
		if strings.HasPrefix(s, "ATRIUM_") {
			cmd.Env = append(cmd.Env, s)
		} else {
			cmd.Args = append(cmd.Args, s)
		}
	}
	return cmd
}

// onCluster has every server be a node of a cluster, the only one: what they do is
// to be the same.
var onCluster = flag.Bool("cluster", false, "run servers on Postgres and Redis")

// onFile is a setting of servers that are to have a SQLite file all the same.
const onFile = "SQLite"

// testServer is an atrium that serves, over restarts on one data directory.
type testServer struct {
	t           *testing.T
	dir         string
	addr        string
	databaseURL string // empty: it has a SQLite file
	settings    []string
	wrapper     []string // a program to run it under
	cmd         *exec.Cmd
	log         *serverLog
	errorsOK    bool // ERROR lines are expected
}

// startServer starts atrium on a free port and a data directory of its own. When the
// test ends, the server must stop properly, and have logged neither an error
// nor a token.
func startServer(t *testing.T, settings ...string) *testServer {
	t.Helper()
	s := newServer(t, settings...)
	s.start()
	return s
}

// newServer is a server that is still to be started.
func newServer(t *testing.T, settings ...string) *testServer {
	t.Helper()
	s := &testServer{t: t, dir: t.TempDir(), addr: "127.0.0.1:0", log: newServerLog()}
	s.settings = slices.DeleteFunc(slices.Clone(settings), func(x string) bool { return x == onFile })
	if *onCluster && len(s.settings) == len(settings) {
		s.databaseURL = scratch.Database(t)
		s.settings = append(s.settings, "ATRIUM_DATABASE_URL="+s.databaseURL, "ATRIUM_REDIS_URL="+scratch.Redis(t))
	}
	t.Cleanup(func() {
		s.stop()
		s.checkLog()
	})
	return s
}

func (s *testServer) start() {
	s.t.Helper()
	settings := append([]string{"serve", "ATRIUM_DATA_DIR=" + s.dir, "ATRIUM_ADDR=" + s.addr}, s.settings...)
	if !slices.Contains(s.settings, "--dev") {
		settings = append(settings, "ATRIUM_JWT_SECRET="+secret)
	}
	s.cmd = atrium(settings...)
	if len(s.wrapper) > 0 {
		path, err := exec.LookPath(s.wrapper[0])
		if err != nil {
			s.t.Fatalf("%s is missing: install it (apt-get install %s)", s.wrapper[0], s.wrapper[0])
		}
		s.cmd.Path, s.cmd.Args = path, slices.Concat(s.wrapper, s.cmd.Args)
	}
	// A group of its own, so that a signal gets past the wrapper; and nothing
	// survives the tests.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	from := s.log.read(stderr)
	line, ok := s.log.wait(from, `"msg":"listening"`)
	if !ok {
		s.cmd.Process.Kill()
		s.t.Fatalf("the server does not listen:\n%s", s.log)
	}
	var listening struct{ Addr string }
	if err := json.Unmarshal([]byte(line), &listening); err != nil {
		s.t.Fatalf("%v in %s", err, line)
	}
	if s.addr != listening.Addr { // others may look at it by the second start
		s.addr = listening.Addr
	}
}

// stop ends the server by SIGTERM. It must exit with 0.
func (s *testServer) stop() {
	s.t.Helper()
	if s.cmd == nil {
		return
	}
	s.signal(syscall.SIGTERM)
	s.exited()
}

// exited waits until the server has ended by itself, with 0.
func (s *testServer) exited() {
	s.t.Helper()
	timer := time.AfterFunc(patience, func() { s.cmd.Process.Signal(syscall.SIGQUIT) })
	defer timer.Stop()
	s.log.done.Wait() // before Wait, which closes the pipe
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("the server ended badly: %v\n%s", err, s.log)
	}
	s.cmd = nil
}

// kill9 ends the server with no chance to say goodbye.
func (s *testServer) kill9() {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
	s.log.done.Wait()
	s.cmd.Wait()
	s.cmd = nil
}

func (s *testServer) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(-s.cmd.Process.Pid, sig); err != nil {
		s.t.Fatalf("%v\n%s", err, s.log)
	}
}

func (s *testServer) checkLog() {
	s.t.Helper()
	for _, line := range s.log.all() {
		switch {
		case strings.Contains(line, "eyJ"):
			s.t.Errorf("a token is in the log: %s", line)
		case strings.Contains(line, `"level":"ERROR"`) && !s.errorsOK, strings.Contains(line, "DATA RACE"), strings.HasPrefix(line, "panic"):
			s.t.Errorf("the log says: %s", line)
		}
	}
}

func (s *testServer) url(path string) string { return "http://" + s.addr + path }

// get returns the status and the body of a page.
func (s *testServer) get(path string) (int, string) {
	s.t.Helper()
	return s.fetch(s.url(path))
}

// profile is get for a server that was started with ATRIUM_PPROF_ADDR.
func (s *testServer) profile(path string) (int, string) {
	s.t.Helper()
	line, _ := s.log.wait(0, `"msg":"profiles"`)
	var profiles struct{ URL string }
	if err := json.Unmarshal([]byte(line), &profiles); err != nil {
		s.t.Fatalf("%v in %s", err, line)
	}
	return s.fetch(profiles.URL + path)
}

func (s *testServer) fetch(url string) (int, string) {
	s.t.Helper()
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	resp, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// serverLog is all that a server has written, over its restarts.
type serverLog struct {
	done  sync.WaitGroup // readers
	mu    sync.Mutex
	lines []string      // guarded by mu
	grown chan struct{} // closed when there are more lines, or no more will come; guarded by mu
	ended bool          // guarded by mu
}

func newServerLog() *serverLog { return &serverLog{grown: make(chan struct{})} }

// read takes r's lines in, in the background, and returns where they begin.
func (l *serverLog) read(r io.Reader) (from int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = false
	l.done.Go(func() {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			l.add(lines.Text(), false)
		}
		l.add(fmt.Sprint("end of log: ", lines.Err()), true)
	})
	return len(l.lines)
}

func (l *serverLog) add(line string, last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	l.ended = last
	close(l.grown)
	l.grown = make(chan struct{})
}

// wait returns the first line from the given one on that contains text.
func (l *serverLog) wait(from int, text string) (line string, ok bool) {
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		lines, grown, ended := l.lines[from:], l.grown, l.ended
		l.mu.Unlock()
		if i := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, text) }); i >= 0 {
			return lines[i], true
		}
		if ended {
			return "", false
		}
		select {
		case <-grown:
		case <-deadline:
			return "", false
		}
	}
}

func (l *serverLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

func (l *serverLog) String() string { return strings.Join(l.all(), "\n") }
