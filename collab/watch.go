package collab

import (
	"context"
	"database/sql"
	"time"

	"atrium/internal/bus"
	"atrium/internal/db"
	"atrium/internal/roster"
)

// watch looks after the open documents until Close, if there may be other nodes.
func (m *Module) watch() {
	announceAt := time.Now().Add(roster.Every)
	bus.Watch(m.closed, func() {
		m.lookAround()
		if now := time.Now(); now.After(announceAt) {
			announceAt = now.Add(bus.Near(roster.Every))
			m.toAll(announcing{})
		}
	})
}

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
