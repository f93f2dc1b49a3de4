package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

func newChatRun(rate float64, members, writers int) *chatRun {
	load := &ChatLoad{Members: members, Writers: writers, Rate: rate, Duration: time.Second}
	r := &chatRun{load: load, room: "room", left: newCountdown(load.messages() * members)}
	return r
}

func TestChatLoad(t *testing.T) {
	t.Parallel()
	ok := ChatLoad{Members: 20, Writers: 10, Rate: 80, Duration: 100 * time.Millisecond}
	if err := ok.check(); err != nil || ok.messages() != 8 {
		t.Errorf("got %d messages and %v", ok.messages(), err)
	}
	for says, change := range map[string]func(*ChatLoad){
		"at least one writer": func(l *ChatLoad) { l.Writers = 0 },
		"no more than":        func(l *ChatLoad) { l.Writers = 21 },
		"nothing is written":  func(l *ChatLoad) { l.Duration = 0 },
		"more writers":        func(l *ChatLoad) { l.Rate = 81 },
	} {
		l := ok
		change(&l)
		if err := l.check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

// TestReadsDelivery: what the floor is given has the fields of a chat:message, and
// is read without allocating.
func TestReadsDelivery(t *testing.T) {
	r := newChatRun(1, 1000, 10)
	for _, k := range []int{0, 9, 22, 23, 255, 65_534, 70_000} {
		msg := r.delivery(k)
		var got map[string]any
		if err := cbor.Unmarshal(msg, &got); err != nil {
			t.Fatal(err)
		}
		if user := got["user"].(map[any]any); len(got) != 8 || got["roomId"] != "room" || len(got["id"].(string)) != 36 ||
			len(user) != 3 || user["id"] != memberID(k%10) {
			t.Errorf("the floor is given %v", got)
		}
		told, err := readTold(msg)
		if err != nil || string(told.typ) != "chat:message" || told.seq != uint64(k+1) {
			t.Errorf("%d: got %s %d: %v", k, told.typ, told.seq, err)
		}
		if number, err := told.number(); err != nil || number != k {
			t.Errorf("got number %d, want %d: %v", number, k, err)
		}
		for n := range msg {
			if _, err := readTold(msg[:n]); err == nil {
				t.Errorf("no error after %d bytes", n)
			}
		}
	}
	msg := r.delivery(70_000)
	allocs := testing.AllocsPerRun(10, func() {
		told, _ := readTold(msg)
		told.number()
	})
	if allocs != 0 {
		t.Errorf("reading a delivery costs %g allocations", allocs)
	}
}

func TestReadsOthers(t *testing.T) {
	t.Parallel()
	joined := mustCBOR(map[string]any{"type": "chat:user_joined", "roomId": "room", "userId": "a", "username": "A"})
	if told, err := readTold(joined); err != nil || string(told.typ) != "chat:user_joined" {
		t.Errorf("got %s: %v", told.typ, err)
	}
	for _, bad := range []any{5, []string{"type"}, map[string]any{"seq": "1"}, map[string]any{"content": 1}, map[int]any{1: 2}} {
		if _, err := readTold(mustCBOR(bad)); err == nil {
			t.Errorf("no error for %v", bad)
		}
	}
	for _, content := range []string{"", "x", " 1", "1x y"} {
		told := told{content: []byte(content)}
		if k, err := told.number(); err == nil {
			t.Errorf("%q has number %d", content, k)
		}
	}
}

// TestMemberCounts: a latency counts from when a message was due, what comes
// twice is one delivery, and each seq that does not follow is counted.
func TestMemberCounts(t *testing.T) {
	t.Parallel()
	r := newChatRun(10, 1, 1)
	m := &chatMember{run: r, has: make([]uint64, 1)}
	start := time.Now()
	if err := m.take(1, 0, start); err == nil {
		t.Error("no error before anything was written")
	}
	r.clock.Store(&schedule{start: start, rate: 10})
	for i, step := range []struct {
		seq, k     int
		outOfOrder int // in all
		delivered  uint64
	}{
		{1, 0, 0, 1},
		{2, 1, 0, 2},
		{4, 3, 1, 3}, // 3 is missing
		{3, 2, 2, 4}, // and comes late
		{4, 3, 2, 4}, // again
		{4, 3, 3, 4},
		{5, 4, 3, 5},
	} {
		if err := m.take(uint64(step.seq), step.k, start.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if m.outOfOrder != step.outOfOrder || m.late.n != step.delivered || r.left.left.Load() != 10-int64(step.delivered) {
			t.Errorf("step %d: %d out of order, %d delivered, %d left: want %+v", i, m.outOfOrder, m.late.n, r.left.left.Load(), step)
		}
	}
	if got := m.late.quantile(0); m.late.max != time.Second || !close1(got, 600*time.Millisecond) {
		t.Errorf("late by %v to %v, want 600ms to 1s", got, m.late.max)
	}
	for _, k := range []int{-1, 10} {
		if err := m.take(6, k, start); err == nil {
			t.Errorf("no error for message %d of 10", k)
		}
	}
}
