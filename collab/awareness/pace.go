package awareness

import "time"

// Pace says when to tell of cursors next: often while that is cheap, more and
// more seldom as the room grows or the machine gets busy, so that telling takes
// no more than a share of the time. The zero value begins at MinTick.
type Pace struct {
	last time.Time
	cost time.Duration // of telling once, smoothed
}

const (
	// MinTick is 60 times a second: more often than screens are drawn, and than
	// a session may move.
	MinTick = time.Second / 60
	// MaxTick keeps cursors alive, however crowded it is.
	MaxTick = 250 * time.Millisecond
	share   = 3 // telling takes one part in so many
)

// Tick is the time between two tellings.
func (p *Pace) Tick() time.Duration { return min(max(MinTick, p.cost*share), MaxTick) }

// Next returns when to tell, if something has moved now.
func (p *Pace) Next(now time.Time) time.Time {
	if next := p.last.Add(p.Tick()); next.After(now) {
		return next
	}
	return now
}

// Told says that telling began at a time and took so long.
func (p *Pace) Told(began time.Time, took time.Duration) {
	p.last = began
	p.cost += (took - p.cost) / 8
}
