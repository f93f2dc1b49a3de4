package chat

import (
	"sync"

	"atrium/internal/mux"
)

// news is what those in a room are about to be told. Whoever brings some adds it,
// and one goroutine tells all listeners; what comes while it does is told next,
// as one write to each. A listener is a position: the room keeps no queue for it.
type news struct {
	items     []any                 // messages
	first     int                   // position of items[0]
	listeners map[*mux.Session]*int // the position of what each is to be told next
	telling   bool                  // somebody does
	sending   bool                  // some of it is being written, and may yet come to who has left
	sent      sync.Cond             // sending has ended; of room.mu
}

// end is the position of what comes next.
func (n *news) end() int { return n.first + len(n.items) }

// hear makes a session a listener of what comes from now on.
func (n *news) hear(s *mux.Session) {
	if n.listeners == nil {
		n.listeners = make(map[*mux.Session]*int)
	}
	at := n.end()
	n.listeners[s] = &at
}

// settle waits until nothing is being written, and gives a session that listens
// what it has not been told: what it gets next comes after all that.
func (n *news) settle(s *mux.Session) {
	for n.sending {
		n.sent.Wait()
	}
	if at := n.listeners[s]; at != nil && *at < n.end() {
		s.Send(mux.NewBatch(n.items[*at-n.first:]))
		*at = n.end()
	}
}

// take returns what each listener is to be told now, and takes it for told.
func (n *news) take(list []mux.Delivery) []mux.Delivery {
	end := n.end()
	frames := make(map[int]*mux.Frame, 1) // by position
	for s, at := range n.listeners {
		if *at == end {
			continue
		}
		f := frames[*at]
		if f == nil {
			f = mux.NewBatch(n.items[*at-n.first:])
			frames[*at] = f
		}
		*at = end
		list = append(list, mux.Delivery{Session: s, Frame: f})
	}
	n.items, n.first = nil, end // frames keep what they need
	return list
}

// publish adds to what those in the room are told. It is called with r.mu held.
func (m *Module) publish(r *room, message any) {
	r.news.items = append(r.news.items, message)
	if !r.news.telling {
		r.news.telling = true
		m.telling.Go(r.tellNews)
	}
}

// tellNews tells until there is nothing to tell any more.
func (r *room) tellNews() {
	var list []mux.Delivery
	for {
		r.mu.Lock()
		if len(r.news.items) == 0 {
			r.news.telling = false
			r.mu.Unlock()
			return
		}
		list = r.news.take(list[:0])
		r.news.sending = true
		r.mu.Unlock()
		mux.SendAll(list)
		clear(list)
		r.mu.Lock()
		r.news.sending = false
		r.news.sent.Broadcast()
		r.mu.Unlock()
	}
}
