package chat

import (
	"database/sql"
	"time"

	"atrium/internal/bus"
	"atrium/internal/db"
	"atrium/internal/roster"
)

// watch looks after the rooms until Close, if there may be other nodes.
func (m *Module) watch() {
	announceAt := time.Now().Add(roster.Every)
	bus.Watch(m.closed, func() {
		m.lookAround()
		if now := time.Now(); now.After(announceAt) {
			announceAt = now.Add(bus.Near(roster.Every))
			for _, r := range m.allRooms() {
				m.announceHere(r)
			}
		}
	})
}

// lookAround fills what has not come.
func (m *Module) lookAround() {
	rooms := m.allRooms()
	ids := make([]string, 0, len(rooms))
	for id := range rooms {
		ids = append(ids, id)
	}
	last := make(map[string]int64)
	err := m.loading(func(tx *db.Tx) error {
		return tx.EachIn(`SELECT id, last_seq FROM chat_rooms WHERE id IN (%s)`, ids, func(rows *sql.Rows) error {
			var id string
			var seq int64
			err := rows.Scan(&id, &seq)
			last[id] = seq
			return err
		})
	})
	if err != nil {
		return
	}
	for id, seq := range last {
		r := rooms[id]
		r.mu.Lock()
		if seq > r.events.Told() {
			m.fill(r)
		}
		r.mu.Unlock()
	}
}

func (m *Module) allRooms() map[string]*room {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]*room, len(m.rooms))
	for id, r := range m.rooms {
		all[id] = r
	}
	return all
}
