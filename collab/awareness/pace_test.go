package awareness_test

import (
	"testing"
	"time"

	"atrium/collab/awareness"
)

var noon = time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC)

func TestPaceFollowsTheCost(t *testing.T) {
	tests := []struct {
		name  string
		costs time.Duration
		want  time.Duration
	}{
		{"nothing", 0, awareness.MinTick},
		{"little", time.Millisecond, awareness.MinTick},
		{"a third of the time", 20 * time.Millisecond, 60 * time.Millisecond},
		{"much", 50 * time.Millisecond, 150 * time.Millisecond},
		{"very much", time.Second, awareness.MaxTick},
		{"far too much", time.Hour, awareness.MaxTick},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var p awareness.Pace
			if p.Tick() != awareness.MinTick {
				t.Fatalf("it begins at %v, want %v", p.Tick(), awareness.MinTick)
			}
			for range 100 {
				before := p.Tick()
				p.Told(noon, test.costs)
				if p.Tick() < before {
					t.Fatalf("the tick fell from %v to %v while the cost did not", before, p.Tick())
				}
			}
			if got := p.Tick(); got < test.want-time.Millisecond || got > test.want+time.Millisecond {
				t.Errorf("telling takes %v: got a tick of %v, want about %v", test.costs, got, test.want)
			}
			for range 200 {
				p.Told(noon, 0)
			}
			if got := p.Tick(); got != awareness.MinTick {
				t.Errorf("it costs nothing any more: got a tick of %v, want %v", got, awareness.MinTick)
			}
		})
	}
}

// One telling that took long, as when the machine was busy elsewhere, does not
// make cursors crawl.
func TestPaceIsSmooth(t *testing.T) {
	var p awareness.Pace
	p.Told(noon, 100*time.Millisecond)
	if got := p.Tick(); got <= awareness.MinTick || got > awareness.MaxTick/4 {
		t.Errorf("after one slow telling: got a tick of %v", got)
	}
}

func TestPaceNext(t *testing.T) {
	var idle, cheap, costly awareness.Pace
	cheap.Told(noon, 0)
	for range 100 {
		costly.Told(noon, time.Second)
	}
	const ms = time.Millisecond
	tests := []struct {
		name  string
		pace  *awareness.Pace
		moved time.Duration // after noon
		told  time.Duration
	}{
		{"the first move", &idle, 0, 0},
		{"right after a telling", &cheap, 0, awareness.MinTick},
		{"a little later", &cheap, 5 * ms, awareness.MinTick},
		{"just in time", &cheap, awareness.MinTick, awareness.MinTick},
		{"after a pause", &cheap, time.Minute, time.Minute},
		{"when it is crowded", &costly, 5 * ms, awareness.MaxTick},
		{"after a pause when it is crowded", &costly, time.Minute, time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.pace.Next(noon.Add(test.moved)).Sub(noon); got != test.told {
				t.Errorf("moved %v after the last telling: to be told after %v, want %v", test.moved, got, test.told)
			}
		})
	}
}
