package chat

import (
	"database/sql"
	"math/rand/v2"
	"time"

	"atrium/internal/db"
	"atrium/internal/roster"
)

// lookAnyway is how often the seqs of all rooms are looked at: the bus may lose
// messages, or be away.
const lookAnyway = 5 * time.Second

// watch looks after the rooms until Close, if there may be other nodes.
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
			for _, r := range m.allRooms() {
				m.announceHere(r)
			}
		}
	}
}

// jitter returns a time near d: nodes need not do everything at once.
func jitter(d time.Duration) time.Duration { return d*4/5 + rand.N(d*2/5) }

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
