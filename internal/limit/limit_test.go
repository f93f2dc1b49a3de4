package limit

import (
	"testing"
	"time"
	"unsafe"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// each calls f once per step, with the time moving on by step in between.
func each(n int, step time.Duration, f func(now time.Time)) {
	for i := range n {
		f(start.Add(time.Duration(i) * step))
	}
}

func TestAllow(t *testing.T) {
	tests := []struct {
		name  string
		class Class
		n     int
		step  time.Duration
		want  int // allowed
	}{
		{"control: a burst passes", Control, 20, 0, 20},
		{"control: the 21st does not", Control, 21, 0, 20},
		{"control: the rate is kept for ever", Control, 1000, 100 * time.Millisecond, 1000},
		{"control: twice the rate, burst and half", Control, 1000, 50 * time.Millisecond, 519},
		{"join: a page of subscriptions passes", Join, 200, 0, 200},
		{"join: the 201st does not", Join, 201, 0, 200},
		{"join: at its rate", Join, 1000, 100 * time.Millisecond, 1000},
		{"cursor: at its rate", Cursor, 600, time.Second / 60, 600},
		{"cursor: a mouse at 1,000/s for 10 s", Cursor, 10000, time.Millisecond, 659},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			limits := Defaults()
			s := NewSession(&limits)
			got := 0
			each(tt.n, tt.step, func(now time.Time) {
				if ok, after := s.Allow(tt.class, now); ok {
					got++
				} else if after <= 0 || after > time.Second || after%time.Millisecond != 0 {
					t.Fatalf("refused with retryAfter %v", after)
				}
			})
			if got != tt.want {
				t.Errorf("%d allowed, want %d", got, tt.want)
			}
		})
	}
}

func TestRetryAfterIsTrue(t *testing.T) {
	for class := range NumClasses {
		limits := Defaults()
		s := NewSession(&limits)
		now := start
		for range limits.Classes[class].Burst {
			s.Allow(class, now)
		}
		// Odd steps, so that the bucket holds fractions.
		for i := range 200 {
			now = now.Add(time.Duration(i) * 777 * time.Nanosecond)
			ok, after := s.Allow(class, now)
			if ok {
				continue
			}
			if ok, _ := s.Allow(class, now.Add(after)); !ok {
				t.Fatalf("class %d: refused again after the %v it named", class, after)
			}
			now = now.Add(after)
		}
	}
}

func TestAskingCostsNothing(t *testing.T) {
	limits := Defaults()
	s := NewSession(&limits)
	each(1020, 0, func(now time.Time) { s.Allow(Control, now) })
	if ok, _ := s.Allow(Control, start.Add(100*time.Millisecond)); !ok {
		t.Error("a thousand refusals made the wait longer")
	}
}

func TestDelay(t *testing.T) {
	tests := []struct {
		name  string
		class Class
		n     int
		step  time.Duration
		want  time.Duration // of the last one
	}{
		{"sync: a burst does not wait", Sync, 4000, 0, 0},
		{"sync: then a millisecond each", Sync, 4001, 0, time.Millisecond},
		{"sync: credit adds up", Sync, 4500, 0, 500 * time.Millisecond},
		{"sync: at its rate", Sync, 20000, time.Millisecond, 0},
		{"ephemeral: a burst does not wait", Ephemeral, 200, 0, 0},
		{"ephemeral: then 10 ms", Ephemeral, 201, 0, 10 * time.Millisecond},
		{"ephemeral: at its rate", Ephemeral, 1000, 10 * time.Millisecond, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			limits := Defaults()
			s := NewSession(&limits)
			var last time.Duration
			each(tt.n, tt.step, func(now time.Time) { last = s.Delay(tt.class, now) })
			if last.Round(time.Microsecond) != tt.want {
				t.Errorf("delay %v, want %v", last, tt.want)
			}
		})
	}
}

func TestWaitingKeepsTheRate(t *testing.T) {
	limits := Defaults()
	s := NewSession(&limits)
	now := start
	for range 10000 { // who waits as told is never behind by more than one message
		d := s.Delay(Sync, now)
		if d > time.Millisecond {
			t.Fatalf("told to wait %v", d)
		}
		now = now.Add(d)
	}
	if took := now.Sub(start).Round(time.Millisecond); took != 6*time.Second {
		t.Errorf("10,000 messages took %v, want 6s: 4,000 at once, then 1,000/s", took)
	}
}

func TestClassesAreApart(t *testing.T) {
	limits := Defaults()
	s := NewSession(&limits)
	each(1000, 0, func(now time.Time) { s.Allow(Control, now); s.Delay(Ephemeral, now) })
	for _, c := range []Class{Join, Cursor} {
		if ok, _ := s.Allow(c, start); !ok {
			t.Errorf("class %d is refused because of another", c)
		}
	}
	if d := s.Delay(Sync, start); d != 0 {
		t.Errorf("sync waits %v because of another class", d)
	}
}

func TestRefused(t *testing.T) {
	tests := []struct {
		name string
		n    int
		step time.Duration
		want int // the refusal that is one too many, 0 if none is
	}{
		{"99 at once", 99, 0, 0},
		{"100 at once", 100, 0, 100},
		{"9 a second, for ever", 5000, time.Second / 9, 0},
		{"10 a second: the 100th comes after 9.9 s", 200, 100 * time.Millisecond, 100},
		{"100 in 10 s and a little", 200, 10*time.Second/99 + 1, 0},
		{"100 in a little less", 200, 10*time.Second/99 - time.Microsecond, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			limits := Defaults()
			s := NewSession(&limits)
			i, got := 0, 0
			each(tt.n, tt.step, func(now time.Time) {
				i++
				if s.Refused(now) && got == 0 {
					got = i
				}
			})
			if got != tt.want {
				t.Errorf("too many at refusal %d, want %d", got, tt.want)
			}
		})
	}

	t.Run("a burst across any window", func(t *testing.T) {
		limits := Defaults()
		s := NewSession(&limits)
		each(60, 0, func(now time.Time) { s.Refused(now) })
		for i := range 40 {
			if got, want := s.Refused(start.Add(9*time.Second)), i == 39; got != want {
				t.Fatalf("refusal %d: %v, want %v", 61+i, got, want)
			}
		}
		if s.Refused(start.Add(30 * time.Second)) {
			t.Error("old refusals still count")
		}
	})
}

func TestOddLimits(t *testing.T) {
	none := NewSession(&Limits{})
	each(100000, 0, func(now time.Time) {
		if ok, _ := none.Allow(Control, now); !ok || none.Delay(Sync, now) != 0 || none.Refused(now) {
			t.Fatal("zero Limits limit something")
		}
	})

	slow := NewSession(&Limits{Classes: [NumClasses]Limit{Control: {Rate: 1e-12}, Sync: {Rate: 1}}})
	if ok, _ := slow.Allow(Control, start); !ok {
		t.Error("a burst of 0 should count as 1")
	}
	if ok, after := slow.Allow(Control, start); ok || after <= 0 {
		t.Errorf("Allow: %v, %v", ok, after)
	}
	if d := slow.Delay(Sync, start); d != 0 {
		t.Errorf("a burst of 0 should count as 1, waits %v", d)
	}
	if d := slow.Delay(Sync, start); d != time.Second {
		t.Errorf("waits %v, want 1s", d)
	}
}

func TestClockGoingBack(t *testing.T) {
	limits := Defaults()
	s := NewSession(&limits)
	each(20, 0, func(now time.Time) { s.Allow(Control, now.Add(time.Hour)) })
	if ok, after := s.Allow(Control, start); ok || after > time.Second {
		t.Errorf("Allow: %v, %v; want a refusal that ends soon", ok, after)
	}
}

func TestSessionIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Session{}); n > 64 {
		t.Errorf("an idle session costs %d bytes", n)
	}
	limits := Defaults()
	s := NewSession(&limits)
	now := start
	s.Allow(Control, now)
	s.Delay(Sync, now)
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(50 * time.Millisecond)
		s.Allow(Control, now)
		s.Delay(Sync, now)
	}); n > 0 {
		t.Errorf("a message allocates %v times", n)
	}
}
