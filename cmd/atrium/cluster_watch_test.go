package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"atrium/collab/change"
)

// watcher is a session on one node that takes part in all of a load, and checks what
// it is told: nothing twice, nothing left out, in order. It comes back when it loses
// its connection, from where it was.
type watcher struct {
	*load
	at     int
	seen   *watched
	lost   atomic.Int64  // connections
	gone   chan struct{} // closed by leave
	leave  func()        // ends it
	ended  sync.WaitGroup
	live   []msg // what was pushed before it had caught up; owned by run
	last   int   // seq of what was pushed last in this session, 0: nothing; owned by run
	ready  bool  // it has caught up; owned by run
	listed int   // seq of what the inbox had then: it may be told yet; owned by run
}

// watched is what a watcher has been told.
type watched struct {
	mu       sync.Mutex
	changes  map[string]map[change.Hash]bool // by document; guarded by mu
	heads    map[string][]any                // guarded by mu
	messages []string                        // ids, in the order of seqs; guarded by mu
	pushes   []string                        // ids, in the order of seqs; guarded by mu
}

// watch starts a watcher, and waits until it is there.
func (l *load) watch(at int) *watcher {
	l.t.Helper()
	w := &watcher{load: l, at: at, gone: make(chan struct{}), seen: &watched{
		changes: make(map[string]map[change.Hash]bool), heads: make(map[string][]any),
	}}
	for _, doc := range l.docs {
		w.seen.changes[doc] = make(map[change.Hash]bool)
	}
	w.leave = sync.OnceFunc(func() {
		close(w.gone)
		w.ended.Wait()
	})
	there := make(chan struct{})
	w.ended.Go(func() { w.run(sync.OnceFunc(func() { close(there) })) })
	l.t.Cleanup(w.leave)
	select {
	case <-there:
	case <-time.After(patience):
		l.t.Fatalf("watcher %d does not come in", at)
	}
	return w
}

func (w *watcher) run(there func()) {
	for {
		err := w.session(there)
		var wrong wrongError
		if errors.As(err, &wrong) {
			w.t.Errorf("watcher of node %d: %v", w.at, err)
			return
		}
		select {
		case <-w.gone:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// wrongError is what must not be told.
type wrongError string

func (e wrongError) Error() string { return string(e) }

func wrong(format string, args ...any) error { return wrongError(fmt.Sprintf(format, args...)) }

// session connects, catches up, and takes in what is told until the connection ends.
func (w *watcher) session(there func()) error {
	c, err := tryDial(w.t, w.c.nodes[w.at], w.inbox, senderID(fmt.Sprint("watcher ", w.at)), docs("*", "read"), rooms("*", "read"))
	if err != nil {
		return err
	}
	defer c.ws.Close()
	defer func() {
		select {
		case <-w.gone:
		default:
			w.lost.Add(1)
		}
	}()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-w.gone:
			c.ws.Close()
		case <-over:
		}
	}()
	w.live, w.last, w.ready = nil, 0, false
	for _, catchUp := range []func(*client) error{w.enterDocuments, w.enterRoom, w.openInbox} {
		if err := catchUp(c); err != nil {
			return err
		}
	}
	there()
	for {
		f, err := c.tryNext()
		if err == nil {
			err = w.take(c, f.msg)
		}
		if err != nil && !errors.Is(err, errNothing) {
			return err
		}
	}
}

// answer is tryAcks, which takes in what comes before the answer.
func (w *watcher) answer(c *client, m msg) (msg, error) {
	m["id"] = c.id()
	c.send(m)
	for {
		f, err := c.tryNext()
		switch {
		case err != nil:
			return nil, err
		case f.msg["id"] != m["id"]:
			if err := w.take(c, f.msg); err != nil {
				return nil, err
			}
		case outcome(f.msg) != "ack":
			return nil, fmt.Errorf("got %v", f.msg)
		default:
			return f.msg, nil
		}
	}
}

// take takes in what is told while the watcher is there.
func (w *watcher) take(c *client, m msg) error {
	s := w.seen
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m["type"] {
	case "collab:changes":
		return s.takeChanges(c, m["documentId"].(string), m)
	case "chat:message":
		return s.takeMessage(m)
	case "notification:new":
		seq := int(m["seq"].(float64))
		if w.last > 0 && seq != w.last+1 {
			return wrong("notification %v is told after %d", m, w.last)
		}
		w.last = seq
		switch {
		case !w.ready:
			w.live = append(w.live, m)
		case seq > w.listed:
			return s.takePush(m)
		}
	case "doc-unavailable", "error":
		return wrong("it is told %v", m)
	}
	return nil
}

func (w *watcher) enterDocuments(c *client) error {
	for _, doc := range w.docs {
		w.seen.mu.Lock()
		heads := slices.Clone(w.seen.heads[doc])
		w.seen.mu.Unlock()
		answer, err := w.answer(c, joinWith(doc, heads...))
		if err != nil {
			return err
		}
		w.seen.mu.Lock()
		err = w.seen.takeChanges(c, doc, answer)
		w.seen.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) enterRoom(c *client) error {
	w.seen.mu.Lock()
	since := len(w.seen.messages)
	w.seen.mu.Unlock()
	answer, err := w.answer(c, chatMsg("join", w.room, msg{"since": since}))
	if err != nil {
		return err
	}
	w.seen.mu.Lock()
	defer w.seen.mu.Unlock()
	for _, m := range answer["messages"].([]any) {
		if err := w.seen.takeMessage(m.(map[string]any)); err != nil {
			return err
		}
	}
	if answer["lastSeq"] != float64(len(w.seen.messages)) {
		return wrong("the room goes up to %v, with messages up to %d", answer["lastSeq"], len(w.seen.messages))
	}
	return nil
}

// openInbox reads what has been pushed. What is told of it before the answer may
// be in that, too.
func (w *watcher) openInbox(c *client) error {
	answer, err := w.answer(c, listMsg(msg{"limit": 200}))
	if err != nil {
		return err
	}
	w.ready = true
	for _, n := range answer["notifications"].([]any) {
		w.live = append(w.live, n.(map[string]any))
	}
	seq := func(m msg) int { return int(m["seq"].(float64)) }
	slices.SortStableFunc(w.live, func(a, b msg) int { return seq(a) - seq(b) })
	s := w.seen
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range w.live {
		if seq(m) > len(s.pushes) {
			if err := s.takePush(m); err != nil {
				return err
			}
		}
	}
	w.listed = len(s.pushes)
	return nil
}

// takeChanges takes in the changes of a message. It is called with mu held, as the
// next ones are.
func (s *watched) takeChanges(c *client, doc string, m msg) error {
	if m["changes"] == nil {
		return wrong("there are no changes in %v", m)
	}
	for _, h := range c.bringsChanges(m) {
		if s.changes[doc][h] {
			return wrong("change %v is told again", h)
		}
		s.changes[doc][h] = true
	}
	s.heads[doc] = m["heads"].([]any)
	return nil
}

func (s *watched) takeMessage(m msg) error {
	if m["seq"] != float64(len(s.messages)+1) {
		return wrong("message %v comes after %d", m, len(s.messages))
	}
	s.messages = append(s.messages, m["id"].(string))
	return nil
}

func (s *watched) takePush(m msg) error {
	if m["seq"] != float64(len(s.pushes)+1) {
		return wrong("notification %v comes after %d", m, len(s.pushes))
	}
	s.pushes = append(s.pushes, m["id"].(string))
	return nil
}
