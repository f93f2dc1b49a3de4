package materialize

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"time"
)

// A process is one worker, seen from the parent.
type process struct {
	cmd     *exec.Cmd
	in      *os.File      // its stdin
	out     *os.File      // its stdout
	answers *bufio.Reader // on out
	errors  head          // of its stderr
	gone    chan struct{} // closed when it has ended and been waited for
	idle    *time.Timer   // ends it; set while it is idle; guarded by Pool.mu
}

// start starts a worker and tells it how to be.
func start(o Options) (*process, error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		theirIn.Close()
		in.Close()
		return nil, err
	}
	w := &process{in: in, out: out, answers: bufio.NewReaderSize(out, 64<<10), gone: make(chan struct{})}
	w.cmd = exec.Command(o.Command[0], o.Command[1:]...)
	w.cmd.Env = o.Env
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = theirIn, theirOut, &w.errors
	w.cmd.WaitDelay = time.Second // for whoever else might hold its stderr
	w.cmd.SysProcAttr = dieWithParent()
	err = w.cmd.Start()
	theirIn.Close()
	theirOut.Close()
	if err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	go func() {
		w.cmd.Wait()
		w.in.Close()
		w.out.Close()
		close(w.gone)
	}()
	if err := writeFrame(w.in, hello{Memory: o.Memory}); err != nil {
		w.kill()
		return nil, err
	}
	return w, nil
}

// exchange sends a request and reads its answer. It returns when the worker has
// been killed, at the latest. Its error says no more than that there is none;
// a worker that answers what it should not is killed.
func (w *process) exchange(r request, a *answer) error {
	err := writeFrame(w.in, r)
	if err == nil {
		err = readFrame(w.answers, a)
	}
	if err != nil {
		w.kill()
	}
	return err
}

// end lets a worker end by itself that has nothing to do.
func (w *process) end() {
	w.in.Close()
	time.AfterFunc(time.Second, w.kill)
}

// kill ends the worker at once.
func (w *process) kill() { w.cmd.Process.Kill() }

func (w *process) alive() bool {
	select {
	case <-w.gone:
		return false
	default:
		return true
	}
}

// why says how the worker has ended, once it is gone: never what a document
// says, only the place in the core that gave up.
func (w *process) why() string {
	why, said := w.cmd.ProcessState.String(), w.errors.bytes()
	if outOfMemory.Match(said) {
		return why + ", out of memory"
	}
	if at := panicked.FindSubmatch(said); at != nil {
		return why + " at " + string(at[1])
	}
	return why
}

// What Rust and Go say when they give up.
var (
	panicked    = regexp.MustCompile(`panicked at (?:'[^\n]*', )?([\w./\\-]+:\d+)`)
	outOfMemory = regexp.MustCompile(`(?m)^memory allocation of \d+ bytes failed|^fatal error: .*(?:out of memory|cannot allocate)`)
)

// head keeps the beginning of what is written to it.
type head struct {
	mu   sync.Mutex
	kept []byte // guarded by mu
}

const maxHead = 8 << 10

func (h *head) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept = append(h.kept, b[:min(len(b), maxHead-len(h.kept))]...)
	return len(b), nil
}

func (h *head) bytes() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.kept
}
