package materialize

import "time"

// SetNow has a pool believe in another time. No request may be under way.
func (p *Pool) SetNow(now func() time.Time) { p.now = now }

// Processes returns the ids of the workers that are there.
func (p *Pool) Processes() (ids []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.live {
		ids = append(ids, w.cmd.Process.Pid)
	}
	return ids
}
