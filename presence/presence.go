// Package presence keeps what is known of users: now their names and pictures,
// as their tokens tell them at join, and when they were last here.
//
// It decides nothing about access, and knows users only by the id in their token.
package presence

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"atrium/internal/auth"
	"atrium/internal/db"
	"atrium/internal/mux"
)

// Options of New.
type Options struct {
	DB     *db.DB       // required
	Mux    *mux.Mux     // required; New registers hooks
	Logger *slog.Logger // default: slog.Default()
}

// Module is safe for concurrent use.
type Module struct {
	store store
	log   *slog.Logger
}

// New returns the module, plugged into o.Mux.
func New(o Options) *Module {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	m := &Module{store: store{o.DB}, log: o.Logger}
	o.Mux.Use(mux.Hooks{Joined: m.seen, Left: m.seen})
	return m
}

// seen writes down who came or went. A failing store keeps nobody out.
func (m *Module) seen(s *mux.Session) {
	if err := m.store.save(context.Background(), s.Identity(), time.Now()); err != nil {
		m.log.Error("user cannot be stored", "user", s.Identity().UserID, "error", err)
	}
}

// store is the users table.
type store struct{ db *db.DB }

func (s store) save(ctx context.Context, id *auth.Identity, now time.Time) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO users (id, name, avatar, last_seen) VALUES ($1, $2, $3, $4)
			ON CONFLICT (id) DO UPDATE SET name = $2, avatar = $3, last_seen = $4`,
			id.UserID, id.Name, id.Avatar, db.Micros(now))
		return err
	})
	if err != nil {
		return fmt.Errorf("save user: %w", err)
	}
	return nil
}
