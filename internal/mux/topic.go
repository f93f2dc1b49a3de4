package mux

import "sync"

// topics says which sessions hear what.
type topics struct {
	mu       sync.RWMutex
	sessions map[string]map[*Session]struct{} // by topic; guarded by mu
	of       map[*Session]map[string]struct{} // its topics; guarded by mu
}

// Subscribe makes a session hear a topic, until it unsubscribes or leaves.
func (m *Mux) Subscribe(s *Session, topic string) {
	t := &m.topics
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.dismissed {
		return
	}
	if t.sessions[topic] == nil {
		t.sessions[topic] = make(map[*Session]struct{})
	}
	t.sessions[topic][s] = struct{}{}
	if t.of[s] == nil {
		t.of[s] = make(map[string]struct{})
	}
	t.of[s][topic] = struct{}{}
}

// Unsubscribe undoes Subscribe.
func (m *Mux) Unsubscribe(s *Session, topic string) {
	t := &m.topics
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(s, topic)
	delete(t.of[s], topic)
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
	m.topics.each(topic, except, func(s *Session) { s.out.sendLatest(key, f, s.codec); m.stats.messagesOut.Add(1) })
}

// each calls send with the read lock held: it must not subscribe anybody.
func (t *topics) each(topic string, except *Session, send func(*Session)) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for s := range t.sessions[topic] {
		if s != except {
			send(s)
		}
	}
}

func (t *topics) leaveAll(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.dismissed = true
	for topic := range t.of[s] {
		t.remove(s, topic)
	}
	delete(t.of, s)
}

func (t *topics) remove(s *Session, topic string) {
	delete(t.sessions[topic], s)
	if len(t.sessions[topic]) == 0 {
		delete(t.sessions, topic)
	}
}
