package bench

import (
	"io"
	"sync"
)

// crew is the sessions of a run and the goroutines that read them. It is safe
// for concurrent use.
type crew struct {
	mu        sync.Mutex
	members   []io.Closer // guarded by mu
	dismissed bool        // guarded by mu
	at        sync.WaitGroup
}

func (c *crew) add(member io.Closer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members = append(c.members, member)
}

// start lets a goroutine read a session until its connection ends. That it ends
// before the crew is dismissed is a failure.
func (c *crew) start(work func() error, failed *failures) {
	c.at.Go(func() {
		err := work()
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil && !c.dismissed {
			failed.add(err)
		}
	})
}

// dismiss hangs up and waits for all goroutines.
func (c *crew) dismiss() {
	c.mu.Lock()
	c.dismissed = true
	members := c.members
	c.members = nil
	c.mu.Unlock()
	for _, m := range members {
		m.Close()
	}
	c.at.Wait()
}
