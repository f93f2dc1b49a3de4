package presence

import (
	"encoding/json"
	"fmt"
	"time"

	"atrium/internal/auth"
	"atrium/internal/bus"
	"atrium/internal/mux"
)

const (
	tokenRevoked     = "token revoked"
	revocationsTopic = "revocations"
	revocationsEvery = 4 * time.Second
	// revocationsAgain is how far nodes' clocks, and transactions, may be apart.
	revocationsAgain = 10 * time.Minute
)

// revocation is what the node that revokes tells the others.
type revocation struct {
	UserID string `json:"userId"`
	Before int64  `json:"before"` // µs since 1970
}

// Revoked reports whether a token that is good by itself is refused.
func (m *Module) Revoked(id *auth.Identity) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, ok := m.revoked[id.UserID]
	return ok && id.IssuedAt.Before(before)
}

// revoke takes in what is stored.
func (m *Module) revoke(before map[string]time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, at := range before {
		if at.After(m.revoked[id]) {
			m.revoked[id] = at
		}
	}
}

// closeRevoked closes sessions that are there though their tokens are refused.
func (m *Module) closeRevoked(userID string) {
	for _, s := range m.opts.Mux.SessionsOf(userID) {
		if m.Revoked(s.Identity()) {
			s.Close(mux.CloseBadToken, tokenRevoked)
		}
	}
}

func (m *Module) tellRevoked(userID string, before time.Time) {
	data, err := json.Marshal(revocation{userID, before.UnixMicro()})
	if err != nil {
		panic(err) // plain fields
	}
	m.opts.Bus.Publish(revocationsTopic, data)
}

func (m *Module) hearRevocations() (stop func()) {
	return m.opts.Bus.Listen(revocationsTopic, bus.Listener{Message: func(_ string, data []byte) {
		var r revocation
		if json.Unmarshal(data, &r) == nil { // or it is of an atrium that knows more
			m.revoke(map[string]time.Time{r.UserID: time.UnixMicro(r.Before)})
			m.closeRevoked(r.UserID)
		}
	}})
}

// watchRevocations takes in what other nodes have stored, and what has not come over
// the bus.
func (m *Module) watchRevocations() {
	timer := time.NewTimer(bus.Near(revocationsEvery))
	defer timer.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-timer.C:
		}
		if err := m.reloadRevocations(); err != nil && m.ctx.Err() == nil {
			m.log.Error("revocations cannot be read", "error", err)
		}
		timer.Reset(bus.Near(revocationsEvery))
	}
}

func (m *Module) reloadRevocations() error {
	var newest time.Time
	m.mu.Lock()
	for _, at := range m.revoked {
		if at.After(newest) {
			newest = at
		}
	}
	m.mu.Unlock()
	if now := time.Now(); now.Before(newest) {
		newest = now
	}
	stored, err := m.store.revocations(m.ctx, newest.Add(-revocationsAgain))
	if err != nil {
		return fmt.Errorf("load revocations: %w", err)
	}
	m.revoke(stored)
	for id := range stored {
		m.closeRevoked(id)
	}
	return nil
}
