package notify

import (
	"slices"
	"sync"
)

// lines bring what happens to inboxes to their users in the order in which it
// was committed, though many may call for it at once: what happens is put into
// the user's line inside its transaction, and taken out when it, or anything
// behind it, is known to be committed.
type lines struct {
	mu     sync.Mutex
	byUser map[string]*line // those with something under way; guarded by mu
}

// line is what is under way for one user. It is guarded by lines.mu.
type line struct {
	waiting   []event
	committed int64 // the newest version known to be
	sending   bool  // somebody sends what is committed
}

// event is a message to the user's sessions, at a version of the inbox.
type event struct {
	version int64
	message any
}

func newLines() lines { return lines{byUser: make(map[string]*line)} }

// put is called in the transaction that made the version. Whatever is waiting
// with this version or a later one was rolled back: transactions of one inbox
// come one after the other.
func (l *lines) put(userID string, e event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.byUser[userID]
	if ln == nil {
		ln = new(line)
		l.byUser[userID] = ln
	}
	ln.waiting = slices.DeleteFunc(ln.waiting, func(x event) bool { return x.version >= e.version })
	ln.waiting = append(ln.waiting, e)
}

// send sends what waits up to a committed version. If somebody does already, it
// leaves this to them.
func (l *lines) send(userID string, version int64, send func(message any)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.byUser[userID]
	if ln == nil {
		return // others have sent it
	}
	ln.committed = max(ln.committed, version)
	if ln.sending {
		return
	}
	ln.sending = true
	for len(ln.waiting) > 0 && ln.waiting[0].version <= ln.committed {
		e := ln.waiting[0]
		ln.waiting = ln.waiting[1:]
		l.mu.Unlock()
		send(e.message)
		l.mu.Lock()
	}
	ln.sending = false
	if len(ln.waiting) == 0 {
		delete(l.byUser, userID)
	}
}
