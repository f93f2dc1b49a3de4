package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"atrium/collab/change"
)

var killRounds = flag.Int("kill-rounds", 3, "how often each TestKill9 kills what it watches")

// TestSyncBeforeAck watches the server's system calls: before anything of an
// edit is written to a socket, it has been written to the log, and that synced.
func TestSyncBeforeAck(t *testing.T) {
	t.Parallel()
	s := newServer(t, onFile)
	trace := filepath.Join(t.TempDir(), "trace")
	s.wrapper = []string{"strace", "-f", "-y", "-x", "-s", "8192", "-e", "trace=write,writev,sendto,sendmsg,pwrite64,fsync,fdatasync", "-e", "signal=none", "-o", trace}
	s.start()
	doc := newDocument()
	dial(t, s, "bob", docs("*", "read")).open(doc)
	author := dial(t, s, "alice", docs("*", "write")).author(doc)
	var edits []change.Hash
	for range 20 {
		edits = append(edits, author.write())
	}
	s.stop()

	calls := readTrace(t, trace)
	for i, h := range edits {
		// A change begins with the first bytes of its hash as the checksum.
		asChange := hexadecimal(append([]byte("\x85\x6f\x4a\x83"), h[:4]...))
		told := find(calls, 0, func(c call) bool {
			return c.isWrite() && strings.HasPrefix(c.file, "socket:") && (strings.Contains(c.args, hexadecimal(h[:])) || strings.Contains(c.args, asChange))
		})
		logged := find(calls, 0, func(c call) bool {
			return c.isWrite() && strings.HasSuffix(c.file, "atrium.db-wal") && strings.Contains(c.args, asChange)
		})
		if told < 0 || logged < 0 {
			t.Fatalf("edit %d: written to the log by call %d, to a socket by call %d of %d: the trace shows too little", i, logged, told, len(calls))
		}
		synced := find(calls, 0, func(c call) bool {
			return (c.name == "fsync" || c.name == "fdatasync") && strings.HasSuffix(c.file, "atrium.db-wal") &&
				c.ok && c.began > calls[logged].ended
		})
		if synced < 0 || calls[synced].ended > calls[told].began {
			t.Errorf("edit %d was told before it was on disk", i)
		}
	}
}

// call is one system call. It began and ended at lines of the trace.
type call struct {
	name, file, args string
	began, ended     int
	ok               bool
}

func (c call) isWrite() bool {
	return strings.Contains(c.name, "write") || strings.HasPrefix(c.name, "send")
}

func find(calls []call, from int, ok func(call) bool) int {
	for i := from; i < len(calls); i++ {
		if ok(calls[i]) {
			return i
		}
	}
	return -1
}

func hexadecimal(data []byte) string {
	var b strings.Builder
	for _, x := range data {
		fmt.Fprintf(&b, `\x%02x`, x)
	}
	return b.String()
}

var (
	callLine    = regexp.MustCompile(`^(\d+) +(\w+)\(\d+<(.*?)>(.*)$`)
	resumedLine = regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>(.*)$`)
	succeeded   = regexp.MustCompile(`\) += \d+$`)
)

// readTrace reads what strace has written, calls in the order of their beginning.
func readTrace(t *testing.T, path string) (calls []call) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	open := make(map[string]int) // by thread
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 0; lines.Scan(); n++ {
		line := lines.Text()
		if m := resumedLine.FindStringSubmatch(line); m != nil {
			if i, ok := open[m[1]]; ok {
				calls[i].ended, calls[i].ok = n, succeeded.MatchString(line)
				calls[i].args += m[2]
				delete(open, m[1])
			}
			continue
		}
		line, unfinished := strings.CutSuffix(line, " <unfinished ...>")
		if m := callLine.FindStringSubmatch(line); m != nil {
			c := call{name: m[2], file: m[3], args: m[4], began: n, ended: n, ok: succeeded.MatchString(line)}
			if unfinished {
				c.ended, c.ok = 1<<60, false
				open[m[1]] = len(calls)
			}
			calls = append(calls, c)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return calls
}

// TestKill9 kills the server while people write: every head that it has told is
// there after the restart.
func TestKill9(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for round := range *killRounds {
		told := make(map[string][]change.Hash) // by document
		var mu sync.Mutex                      // guards told
		var total atomic.Int64
		enough := make(chan struct{})
		var writing sync.WaitGroup
		for d := range 3 {
			doc := newDocument()
			for w := range 2 {
				author := dial(t, s, fmt.Sprintf("writer %d", w), senderID(fmt.Sprint(round, d, w)), docs("*", "write")).author(doc)
				writing.Go(func() {
					for {
						h, err := author.tryWrite()
						if err != nil {
							return
						}
						mu.Lock()
						told[doc] = append(told[doc], h)
						mu.Unlock()
						if total.Add(1) == 100 {
							close(enough)
						}
					}
				})
			}
		}
		<-enough
		s.kill9()
		writing.Wait()
		log := stored(t, s)
		s.start()
		for doc, hashes := range told {
			for _, h := range hashes {
				if !slices.Contains(log[doc], h) {
					t.Errorf("round %d: %s was told to be stored, and is not", round, h)
				}
			}
			dial(t, s, "reader", docs("*", "read")).open(doc).receives(doc, hashes...)
		}
		t.Logf("round %d: %d acknowledged", round, total.Load())
	}
}

// tryWrite is write for when the connection may end.
func (a *author) tryWrite() (change.Hash, error) {
	h := a.edit()
	for {
		f, err := a.tryNext()
		if err != nil {
			return h, err
		}
		if slices.Contains(syncOf(a.t, f.msg).Heads, h) {
			return h, nil
		}
	}
}
