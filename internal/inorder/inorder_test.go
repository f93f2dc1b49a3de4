package inorder

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestSend: whoever comes first sends what was committed before, too.
func TestSend(t *testing.T) {
	var sent []string
	send := func(events []string) { sent = append(sent, strings.Join(events, " ")) }
	var l Lines[string]
	for i := range 5 {
		l.Put("alice", int64(i+1), fmt.Sprint(i+1))
	}
	l.Put("bob", 1, "bob's")
	tests := []struct {
		key     string
		version int64
		want    string
	}{
		{"nobody", 1, ""}, {"alice", 3, "1 2 3"}, {"alice", 1, ""}, {"alice", 2, ""}, {"bob", 1, "bob's"}, {"alice", 5, "4 5"}, {"alice", 4, ""},
	}
	for _, test := range tests {
		sent = nil
		l.Send(test.key, test.version, send)
		if got := strings.Join(sent, ", "); got != test.want {
			t.Errorf("%s at %d: sent %q, want %q", test.key, test.version, got, test.want)
		}
	}
	if len(l.byKey) != 0 {
		t.Errorf("%d lines are left", len(l.byKey))
	}
}

// TestSendWhileSending: what comes while somebody sends is sent by them.
func TestSendWhileSending(t *testing.T) {
	var sent []string
	var l Lines[string]
	l.Put("alice", 6, "6")
	var send func(events []string)
	send = func(events []string) {
		sent = append(sent, events...)
		if events[0] == "6" {
			l.Put("alice", 7, "7")
			l.Send("alice", 7, send)
			if len(sent) != 1 {
				t.Errorf("sent %v while 6 was being sent", sent)
			}
		}
	}
	l.Send("alice", 6, send)
	if got := strings.Join(sent, " "); got != "6 7" || len(l.byKey) != 0 {
		t.Errorf("sent %q, want 6 7; %d lines are left", got, len(l.byKey))
	}
}

// TestRolledBack: what takes the place of something was put when that had been
// rolled back.
func TestRolledBack(t *testing.T) {
	var got []string
	var l Lines[string]
	l.Put("a", 1, "kept")
	l.Put("a", 2, "lost")
	l.Put("a", 3, "lost")
	l.Put("a", 2, "last")
	if n := l.Waiting(); n != 2 {
		t.Errorf("%d wait, want 2", n)
	}
	l.Send("a", 2, func(events []string) { got = append(got, events...) })
	if strings.Join(got, " ") != "kept last" || l.Waiting() != 0 {
		t.Errorf("sent %v, %d wait", got, l.Waiting())
	}
}

// TestManyAtOnce: one after the other, each once, whoever calls.
func TestManyAtOnce(t *testing.T) {
	const n = 1000
	var l Lines[int]
	var got []int // by one at a time: the race detector sees to that
	var wg sync.WaitGroup
	for i := range n {
		l.Put("a", int64(i), i)
		wg.Go(func() { l.Send("a", int64(i), func(events []int) { got = append(got, events...) }) })
	}
	wg.Wait()
	for i := range n {
		if i >= len(got) || got[i] != i {
			t.Fatalf("%d came out, wrong from %d on", len(got), i)
		}
	}
}
