package presence

import (
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"atrium/internal/bus"
)

// watch is a user whom sessions on this node have subscribed to, and what they have
// been told. It is guarded by Module.mu.
type watch struct {
	subscribers int
	known       bool      // there is a last
	last        state     // as the subscribers know it
	lost        time.Time // since when Redis has had nothing of somebody online; zero: it has
	stop        func()    // ends listening
}

// watch counts a subscriber. It is called with mu held.
func (m *Module) watch(id string) {
	w := m.watched[id]
	if w == nil {
		w = &watch{}
		m.watched[id] = w
		w.stop = m.opts.Bus.Listen(topic(id), bus.Listener{
			Message: func(_ string, data []byte) {
				if st, err := parseUpdate(data); err == nil { // or it is of an atrium that knows more
					m.learn(st)
				}
			},
			Missed: func() { m.doubt(id) },
		})
	}
	w.subscribers++
}

// unwatch is called with mu held.
func (m *Module) unwatch(id string) {
	w := m.watched[id]
	if w.subscribers--; w.subscribers == 0 {
		w.stop()
		delete(m.watched, id)
	}
}

// learn takes in how a user is, and tells subscribers if that is news.
func (m *Module) learn(st state) {
	lock := &m.telling[stripe(st.userID)]
	lock.Lock()
	defer lock.Unlock()
	m.mu.Lock()
	w := m.watched[st.userID]
	news := w != nil && w.learn(st)
	m.mu.Unlock()
	if news {
		m.opts.Mux.PublishLatest(topic(st.userID), "", st.update(), nil)
	}
}

const stripes = 64

var seed = maphash.MakeSeed()

func stripe(userID string) int {
	return int(maphash.String(seed, userID) % stripes)
}

// learn reports whether subscribers are to be told. What comes before there is
// anything that they know is told them by the answer that is on its way.
func (w *watch) learn(st state) bool {
	before := w.last
	st.where = nil // which nobody is told
	switch {
	case !w.known:
		w.known, w.last = true, st
		return false
	case st.guessed:
		return false
	case st.here:
		st.version = before.version
		w.last, w.lost = st, time.Time{}
		return st.status != before.status
	case st.version > before.version, before.here && st.version == before.version && st.version != 0:
		w.last, w.lost = st, time.Time{}
		// Who was offline before has been online in between.
		return st.status != before.status || st.status == Offline
	case st.version != 0:
		w.lost = time.Time{}
	}
	return false
}

// miss is learn for a user of whom there is nothing where all states are kept. Whoever
// was online there is expected to come up again while sessions live.
func (w *watch) miss(now time.Time, lifetime time.Duration) bool {
	switch {
	case !w.known || w.last.status == Offline:
	case w.lost.IsZero():
		w.lost = now
	case now.Sub(w.lost) > lifetime:
		w.last.status, w.last.sessions, w.last.at, w.last.here = Offline, 0, w.lost, false
		w.lost = time.Time{}
		return true
	}
	return false
}

// look returns how users are, the newest that is known.
func (m *Module) look(ctx context.Context, ids []string) []state {
	states := m.users.look(ctx, ids)
	for _, st := range states {
		m.learn(st)
	}
	m.renew(states)
	return states
}

// renew replaces states by those that subscribers know already, and returns which
// those are.
func (m *Module) renew(states []state) (renewed []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, st := range states {
		if w := m.watched[st.userID]; w != nil && w.known && !st.here && w.last.version > st.version {
			states[i] = w.last
			renewed = append(renewed, i)
		}
	}
	return renewed
}

// whileSilent calls f while nobody is told of users.
func (m *Module) whileSilent(ids []string, f func()) {
	var locks [stripes]bool
	for _, id := range ids {
		locks[stripe(id)] = true
	}
	for i, locked := range locks {
		if locked {
			m.telling[i].Lock()
			defer m.telling[i].Unlock()
		}
	}
	f()
}

// doubt has a user's state read again.
func (m *Module) doubt(id string) {
	m.mu.Lock()
	m.doubtful[id] = struct{}{}
	m.mu.Unlock()
	select {
	case m.doubts <- struct{}{}:
	default:
	}
}

// reread reads states again, those in doubt at once and all now and then: messages
// get lost.
func (m *Module) reread() {
	timer := time.NewTimer(bus.Near(m.pace.reread))
	defer timer.Stop()
	for {
		var ids []string
		select {
		case <-m.ctx.Done():
			return
		case <-m.doubts:
			m.mu.Lock()
			ids = slices.Collect(maps.Keys(m.doubtful))
			clear(m.doubtful)
			m.mu.Unlock()
		case <-timer.C:
			m.mu.Lock()
			ids = slices.Collect(maps.Keys(m.watched))
			m.mu.Unlock()
			timer.Reset(bus.Near(m.pace.reread))
		}
		m.readAgain(ids)
	}
}

func (m *Module) readAgain(ids []string) {
	for part := range slices.Chunk(ids, batch) {
		for _, st := range m.users.look(m.ctx, part) {
			switch {
			case st.guessed: // Redis is away: all are read when it is back
				m.missNobody()
				return
			case st.version == 0 && !st.here:
				m.miss(st.userID)
			}
			m.learn(st)
		}
	}
}

// missNobody forgets since when anybody has been missed: nodes could not say who is there.
func (m *Module) missNobody() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.watched {
		w.lost = time.Time{}
	}
}

func (m *Module) miss(id string) {
	lock := &m.telling[stripe(id)]
	lock.Lock()
	defer lock.Unlock()
	m.mu.Lock()
	w := m.watched[id]
	gone := w != nil && w.miss(time.Now(), m.pace.lifetime)
	var update *updateMessage
	if gone {
		update = w.last.update()
	}
	m.mu.Unlock()
	if gone {
		m.opts.Mux.PublishLatest(topic(id), "", update, nil)
	}
}
