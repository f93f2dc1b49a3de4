package collab

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"time"

	"atrium/internal/db"
	"atrium/internal/roster"
)

// lookAnyway is how often the versions of all open documents are looked at: the
// bus may lose messages, or be away.
const lookAnyway = 5 * time.Second

// watch looks after the open documents until Close, if there may be other nodes.
func (m *Module) watch() {
	announceAt := time.Now().Add(roster.Every)
	for {
		select {
		case <-m.closed:
			return
		case <-time.After(jitter(lookAnyway)):
		}
		m.lookAround()
		if now := time.Now(); now.After(announceAt) {
			announceAt = now.Add(jitter(roster.Every))
			m.toAll(announcing{})
		}
	}
}

// jitter returns a time near d: nodes need not do everything at once.
func jitter(d time.Duration) time.Duration { return d*4/5 + rand.N(d*2/5) }

// lookAround has rooms look whose documents have been changed by other nodes.
func (m *Module) lookAround() {
	open := m.allRooms()
	if len(open) == 0 {
		return
	}
	ids := make([]string, 0, len(open))
	for id := range open {
		ids = append(ids, id)
	}
	err := m.store.eachVersion(context.Background(), ids, func(id string, version int64, deleted bool) {
		if r := open[id]; deleted || version > r.known.Load() && r.known.Load() >= 0 {
			r.mail.put(behind{})
		}
	})
	if err != nil {
		m.log.Warn("versions of open documents cannot be read; trying again", "error", err)
	}
}

func (m *Module) allRooms() map[string]*room {
	m.mu.Lock()
	defer m.mu.Unlock()
	open := make(map[string]*room, len(m.rooms))
	for id, r := range m.rooms {
		open[id] = r
	}
	return open
}

func (m *Module) toAll(e event) {
	for _, r := range m.allRooms() {
		r.mail.put(e)
	}
}

// eachVersion calls f for documents that there are.
func (s store) eachVersion(ctx context.Context, ids []string, f func(id string, version int64, deleted bool)) error {
	return s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.EachIn(`SELECT id, version, deleted_at IS NOT NULL FROM documents WHERE id IN (%s)`, ids, func(rows *sql.Rows) error {
			var id string
			var version int64
			var deleted bool
			if err := rows.Scan(&id, &version, &deleted); err != nil {
				return err
			}
			f(id, version, deleted)
			return nil
		})
	})
}
