package presence

import (
	"testing"
	"time"

	"atrium/internal/auth"
	"atrium/internal/db"
	"atrium/internal/scratch"
)

func TestUsersAreKeptAsLastSeen(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		s := store{d}
		for i, id := range []*auth.Identity{
			{UserID: "alice", Name: "Alice"},
			{UserID: "bob", Name: "Bob", Avatar: "https://example.com/bob.png"},
			{UserID: "alice", Name: "Alice B.", Avatar: "https://example.com/alice.png"},
		} {
			if err := s.save(t.Context(), id, time.Unix(int64(i), 0)); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []struct {
			id, name, avatar string
			seen             int64
		}{
			{"alice", "Alice B.", "https://example.com/alice.png", 2e6},
			{"bob", "Bob", "https://example.com/bob.png", 1e6},
		} {
			got := want
			err := d.Read(t.Context(), func(tx *db.Tx) error {
				return tx.QueryRow(`SELECT name, avatar, last_seen FROM users WHERE id = $1`, want.id).Scan(&got.name, &got.avatar, &got.seen)
			})
			if err != nil || got != want {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		}
	})
}
