package bench

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// sight is what one collab:cursor_update shows.
type sight struct{ positions []position }

// position is one place of one client's cursor.
type position struct {
	due    time.Duration // run time at which it was to be sent
	client int32
	number int32 // counts the client's moves, from 1
	last   bool  // of the client
}

// watching understands cursor updates. It is safe for concurrent use.
type watching struct {
	schedule atomic.Pointer[schedule] // set before anybody moves
	moves    int                      // of each client
	began    time.Time
	recent   recent[sight]

	mu      sync.Mutex
	clients map[string]int // by session; guarded by mu
}

// know says which client has a session.
func (w *watching) know(sessionID string, client int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clients[sessionID] = client
}

// watch returns what an update shows. msg is not kept.
func (w *watching) watch(msg []byte) (*sight, error) { return w.recent.meaning(msg, w.understand) }

func (w *watching) understand(msg []byte) (*sight, error) {
	var update struct {
		Updates []struct {
			SessionID string   `json:"sessionId"`
			X         *float64 `json:"x"`
		} `json:"updates"`
	}
	if err := cbor.Unmarshal(msg, &update); err != nil {
		return nil, fmt.Errorf("cursor update: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	clock := w.schedule.Load()
	s := &sight{}
	for _, u := range update.Updates {
		client, known := w.clients[u.SessionID]
		if !known || u.X == nil || clock == nil {
			continue // of somebody else, or gone
		}
		move := int(*u.X)
		s.positions = append(s.positions, position{
			due:    clock.start.Sub(w.began) + clock.due(move*len(w.clients)+client),
			client: int32(client), number: int32(move + 1), last: move == w.moves-1,
		})
	}
	return s, nil
}
