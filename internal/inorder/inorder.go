// Package inorder brings what happens to many things to those who are to be
// told, in the order in which it was committed, though transactions end side by
// side and many may call for it at once.
//
// It keeps nothing that has been sent, and knows nothing of who is told.
package inorder

import (
	"slices"
	"sync"
)

// Lines are one line of events for each key. What happens is put into its key's
// line inside its transaction, and taken out when it, or anything behind it, is
// known to be committed. The zero value is ready; it is safe for concurrent use.
type Lines[E any] struct {
	mu    sync.Mutex
	byKey map[string]*line[E] // those with something under way; guarded by mu
}

// line is what is under way for one key. It is guarded by Lines.mu.
type line[E any] struct {
	waiting   []entry[E]
	committed int64 // the newest version known to be
	sending   bool  // somebody sends what is committed
}

type entry[E any] struct {
	version int64
	event   E
}

// Put is called in the transaction that made the version; versions of a key rise,
// and its transactions come one after the other. Whatever is waiting with this
// version or a later one was rolled back.
func (l *Lines[E]) Put(key string, version int64, event E) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byKey == nil {
		l.byKey = make(map[string]*line[E])
	}
	ln := l.byKey[key]
	if ln == nil {
		ln = new(line[E])
		l.byKey[key] = ln
	}
	ln.waiting = slices.DeleteFunc(ln.waiting, func(x entry[E]) bool { return x.version >= version })
	ln.waiting = append(ln.waiting, entry[E]{version, event})
}

// Send sends what waits up to a version that has been committed, as many events
// at a time as there are. If somebody does already, it leaves this to them and
// returns: of one key, one send runs at a time.
func (l *Lines[E]) Send(key string, version int64, send func(events []E)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.byKey[key]
	if ln == nil {
		return // others have sent it
	}
	ln.committed = max(ln.committed, version)
	if ln.sending {
		return
	}
	ln.sending = true
	for {
		var events []E
		for len(ln.waiting) > 0 && ln.waiting[0].version <= ln.committed {
			events = append(events, ln.waiting[0].event)
			ln.waiting = ln.waiting[1:]
		}
		if len(events) == 0 {
			break
		}
		l.mu.Unlock()
		send(events)
		l.mu.Lock()
	}
	ln.sending = false
	if len(ln.waiting) == 0 {
		delete(l.byKey, key)
	}
}

// Waiting returns how many events wait in all lines.
func (l *Lines[E]) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, ln := range l.byKey {
		n += len(ln.waiting)
	}
	return n
}
