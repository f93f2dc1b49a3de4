package mux

import (
	"sync"
	"sync/atomic"
)

// topics says which sessions hear what.
type topics struct {
	mu     sync.RWMutex
	byName map[string]*topic                // guarded by mu
	of     map[*Session]map[string]struct{} // its topics; guarded by mu
}

// topic is those who hear it. No lock is held while they are written to, so
// that joining and leaving do not wait for a fan-out.
type topic struct {
	listeners map[*Session]*listener // guarded by topics.mu
	list      []*listener            // the same, never altered; nil: to be made anew; guarded by topics.mu
}

type listener struct {
	session *Session
	gone    atomic.Bool // it has left, though the list at hand still has it
}

// Subscribe makes a session hear a topic, until it unsubscribes or leaves.
func (m *Mux) Subscribe(s *Session, name string) {
	t := &m.topics
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.dismissed {
		return
	}
	if t.byName[name] == nil {
		t.byName[name] = &topic{listeners: make(map[*Session]*listener)}
	}
	if tp := t.byName[name]; tp.listeners[s] == nil {
		tp.listeners[s] = &listener{session: s}
		tp.list = nil
	}
	if t.of[s] == nil {
		t.of[s] = make(map[string]struct{})
	}
	t.of[s][name] = struct{}{}
}

// Unsubscribe undoes Subscribe. What is being written to the session at this
// moment may still go out, nothing after.
func (m *Mux) Unsubscribe(s *Session, name string) {
	t := &m.topics
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(s, name)
	delete(t.of[s], name)
	if len(t.of[s]) == 0 {
		delete(t.of, s)
	}
}

// Publish sends a message to all sessions of a topic but one, which may be nil.
// It is encoded once for all of them.
func (m *Mux) Publish(topic string, message any, except *Session) {
	f := NewFrame(message)
	m.topics.each(topic, except, func(s *Session) { s.Send(f) })
}

// PublishLatest is Publish for what only counts until something newer with the
// same key comes: sessions that cannot keep up are spared all but the newest.
func (m *Mux) PublishLatest(topic, key string, message any, except *Session) {
	f := NewFrame(message)
	key = topic + "\x00" + key
	m.topics.each(topic, except, func(s *Session) { s.SendLatest(key, f) })
}

// each calls send for every session of a topic but one.
func (t *topics) each(name string, except *Session, send func(*Session)) {
	list := t.listeners(name)
	spread(len(list), func(i int) {
		if l := list[i]; l.session != except && !l.gone.Load() {
			send(l.session)
		}
	})
}

func (t *topics) listeners(name string) []*listener {
	t.mu.RLock()
	tp := t.byName[name]
	var list []*listener
	if tp != nil {
		list = tp.list
	}
	t.mu.RUnlock()
	if tp == nil || list != nil {
		return list
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if tp.list == nil {
		tp.list = make([]*listener, 0, len(tp.listeners))
		for _, l := range tp.listeners {
			tp.list = append(tp.list, l)
		}
	}
	return tp.list
}

func (t *topics) leaveAll(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.dismissed = true
	for name := range t.of[s] {
		t.remove(s, name)
	}
	delete(t.of, s)
}

func (t *topics) remove(s *Session, name string) {
	tp := t.byName[name]
	if tp == nil || tp.listeners[s] == nil {
		return
	}
	tp.listeners[s].gone.Store(true)
	delete(tp.listeners, s)
	tp.list = nil
	if len(tp.listeners) == 0 {
		delete(t.byName, name)
	}
}
