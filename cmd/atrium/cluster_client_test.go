package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"atrium/collab/change"
	ct "atrium/collab/change/changetest"
	"atrium/collab/docsync"
)

// tryDial is dial for when the server may go.
func tryDial(t *testing.T, s *testServer, user string, options ...option) (*client, error) {
	c, err := tryConnect(t, s, user, options...)
	if err != nil {
		return nil, err
	}
	c.join(options...)
	f, err := c.tryNext()
	if err == nil && f.msg["type"] != "peer" {
		err = fmt.Errorf("got %v", f.msg)
	}
	if err != nil {
		c.ws.Close()
		return nil, err
	}
	return c, nil
}

// tryAcks is acks for when the server may go, or be unable. What it refuses for
// good fails the test.
func (c *client) tryAcks(m msg) (answer msg, err error) {
	id := c.id()
	m["id"] = id
	c.send(m)
	for {
		f, err := c.tryNext()
		if err != nil {
			return nil, err
		}
		if f.msg["id"] != id {
			continue
		}
		if outcome(f.msg) == "ack" {
			return f.msg, nil
		}
		if f.msg["retryable"] != true {
			c.t.Errorf("%s: %v is refused for good: %v", c.user, m["type"], f.msg)
		}
		if ms, ok := f.msg["retryAfterMs"].(float64); ok {
			time.Sleep(time.Duration(ms) * time.Millisecond)
		}
		return nil, fmt.Errorf("got %v", f.msg)
	}
}

// trySync sends a change as stock clients do, and waits until it is acknowledged.
func (c *client) trySync(doc string, x ct.Change) error {
	h := x.Hash()
	c.sync(doc, docsync.Message{Heads: []change.Hash{h}, Have: []docsync.Have{{LastSync: x.Deps}}, Changes: [][]byte{x.Encode()}})
	for {
		f, err := c.tryNext()
		if err != nil {
			return err
		}
		if f.msg["documentId"] == doc && slices.Contains(syncOf(c.t, f.msg).Heads, h) {
			return nil
		}
	}
}
