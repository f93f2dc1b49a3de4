package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"atrium/collab/change"
)

var (
	stallFor     = flag.Duration("stall", 4*time.Second, "how long readers do not read in TestStalledReaders")
	stallChanges = flag.Int("stall-changes", 600, "how many changes they miss")
)

// TestStalledReaders: readers that stop reading cost the server next to nothing,
// delay nobody, and get what they have missed as one message.
func TestStalledReaders(t *testing.T) {
	const stalled = 8
	const most = 256 << 10 // bytes of memory for one of them
	s := startServer(t, "ATRIUM_PPROF_ADDR=127.0.0.1:0")
	doc := newDocument()
	alice := dial(t, s, "alice", docs("*", "write")).author(doc)
	alice.value = strings.Repeat("x", 1<<10)
	log := []change.Hash{alice.write()}
	bob := dial(t, s, "bob", docs("*", "read"))
	bob.open(doc).receives(doc, log...)
	bob.ask(msg{"type": "collab:join_document", "documentId": doc})
	var slow []*client
	for i := range stalled {
		c := dial(t, s, fmt.Sprint("slow-", i), docs("*", "read"), receiveBuffer(4096))
		c.open(doc).receives(doc, log...)
		slow = append(slow, c)
	}
	// write sends changes at an even pace, and returns how late each reached bob.
	write := func(n int, every time.Duration) (late []time.Duration) {
		began := time.Now()
		for i := range n {
			due := began.Add(time.Duration(i) * every)
			time.Sleep(time.Until(due))
			h := alice.edit()
			bob.receives(doc, h)
			log = append(log, h)
			late = append(late, time.Since(due))
		}
		slices.Sort(late)
		return late
	}
	every := *stallFor / time.Duration(*stallChanges)
	before := write(*stallChanges/5, every)
	for _, c := range slow {
		c.receives(doc, log[1:]...)
		c.pause()
	}
	missedFrom := len(log)
	during := write(*stallChanges, every)

	for _, c := range slow {
		if n := s.unsent(c); n == 0 {
			t.Errorf("%s: the server's write has not blocked", c.user)
		}
	}
	p99 := func(late []time.Duration) time.Duration { return late[len(late)*99/100] }
	t.Logf("p99 %v before, %v while %d readers stalled", p99(before), p99(during), stalled)
	slack := 20 * time.Millisecond
	if *stallFor < 30*time.Second {
		slack = time.Second // for other tests on the same cores
	}
	if p99(during) > 2*p99(before)+slack {
		t.Errorf("p99 %v while readers stalled, %v before", p99(during), p99(before))
	}

	// Half of them read again, the others go: what they cost is what that frees.
	with := s.heap()
	for _, c := range slow[stalled/2:] {
		c.ws.Close()
		c.resume()
		bob.await(c.user+" to have left", func(m msg) bool { return m["type"] == "collab:user_left" && m["userId"] == c.user })
	}
	without := s.heap()
	for deadline := time.Now().Add(patience); without > with && time.Now().Before(deadline); {
		without = s.heap() // what was made ready for them is kept for a moment
	}
	each := (with - without) / (stalled / 2)
	t.Logf("%d bytes of memory for a reader that missed %d changes of 1 KiB in %v", each, *stallChanges, *stallFor)
	if each > most {
		t.Errorf("a stalled reader costs %d bytes, more than %d", each, most)
	}

	for _, c := range slow[:stalled/2] {
		c.resume()
		missing, largest, last := log[missedFrom:], 0, 0
		for len(missing) > 0 {
			hashes := changesIn(t, c.expect("sync").msg)
			if len(hashes) > len(missing) || !bytes.Equal(join(hashes), join(missing[:len(hashes)])) {
				t.Fatalf("%s got %d changes, want the next of the log", c.user, len(hashes))
			}
			missing = missing[len(hashes):]
			largest, last = max(largest, len(hashes)), len(hashes)
		}
		t.Logf("%s: %d changes in the last message", c.user, last)
		// What the kernel had taken before comes first, one change a message.
		if inKernel := 300; last != largest || last < *stallChanges-inKernel {
			t.Errorf("%s: %d of %d changes in the last message, %d in the largest: not one that catches up", c.user, last, *stallChanges, largest)
		}
	}
}

// heap is what is in use after garbage collections, in bytes.
func (s *testServer) heap() int {
	s.t.Helper()
	least := math.MaxInt
	for range 3 { // pools are emptied by the second
		_, body := s.profile("heap?gc=1&debug=1")
		_, rest, _ := strings.Cut(body, "# HeapAlloc = ")
		line, _, _ := strings.Cut(rest, "\n")
		n, err := strconv.Atoi(line)
		if err != nil {
			s.t.Fatal(err)
		}
		least = min(least, n)
	}
	return least
}

// unsent is how many bytes the server's kernel holds that the client has not
// taken: proc_net_tcp(5).
func (s *testServer) unsent(c *client) int {
	s.t.Helper()
	port := func(a net.Addr) string { return fmt.Sprintf(":%04X", a.(*net.TCPAddr).Port) }
	conn := c.ws.NetConn()
	table, err := os.Open("/proc/net/tcp")
	if err != nil {
		s.t.Fatal(err)
	}
	defer table.Close()
	for lines := bufio.NewScanner(table); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if strings.HasSuffix(f[1], port(conn.RemoteAddr())) && strings.HasSuffix(f[2], port(conn.LocalAddr())) {
			queued, _, _ := strings.Cut(f[4], ":")
			n, err := strconv.ParseInt(queued, 16, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return int(n)
		}
	}
	s.t.Fatalf("no socket of the server leads to %s", c.user)
	return 0
}
