package presence

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"atrium/internal/auth"
	"atrium/internal/db"
)

// store is the tables users and revocations.
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

// lastSeen returns when those users at the given indices were last seen, in the
// order of the indices; zero for never.
func (s store) lastSeen(ctx context.Context, userIDs []string, indices []int) (seen []time.Time, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		seen = make([]time.Time, len(indices))
		for k, i := range indices {
			var micros int64
			err := tx.QueryRow(`SELECT last_seen FROM users WHERE id = $1`, userIDs[i]).Scan(&micros)
			switch {
			case err == nil:
				seen[k] = time.UnixMicro(micros)
			case !errors.Is(err, sql.ErrNoRows):
				return err
			}
		}
		return nil
	})
	return seen, err
}

// seenSince returns who was seen at a time or later, and when.
func (s store) seenSince(ctx context.Context, since time.Time) (seen map[string]time.Time, err error) {
	err = s.times(ctx, &seen, `SELECT id, last_seen FROM users WHERE last_seen >= $1`, db.Micros(since))
	return seen, err
}

// sawLast writes down when users were last seen, unless they have been seen since.
func (s store) sawLast(ctx context.Context, seen map[string]time.Time) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		for _, id := range slices.Sorted(maps.Keys(seen)) { // the same order for all who write
			if _, err := tx.Exec(`UPDATE users SET last_seen = $2 WHERE id = $1 AND last_seen < $2`, id, db.Micros(seen[id])); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("save when users were last seen: %w", err)
	}
	return nil
}

// revocations returns those made since a time.
func (s store) revocations(ctx context.Context, since time.Time) (before map[string]time.Time, err error) {
	err = s.times(ctx, &before, `SELECT user_id, issued_before FROM revocations WHERE issued_before >= $1`, db.Micros(since))
	return before, err
}

func (s store) times(ctx context.Context, times *map[string]time.Time, query string, args ...any) error {
	return s.db.Read(ctx, func(tx *db.Tx) error {
		*times = make(map[string]time.Time)
		rows, err := tx.Query(query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			var micros int64
			if err := rows.Scan(&id, &micros); err != nil {
				return err
			}
			(*times)[id] = time.UnixMicro(micros)
		}
		return rows.Err()
	})
}

func revoke(tx *db.Tx, userID string, before time.Time) error {
	_, err := tx.Exec(`INSERT INTO revocations (user_id, issued_before) VALUES ($1, $2)
		ON CONFLICT (user_id) DO UPDATE SET issued_before = $2 WHERE revocations.issued_before < $2`, userID, db.Micros(before))
	return err
}
