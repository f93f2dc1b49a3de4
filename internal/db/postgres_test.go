package db_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"atrium/internal/db"
	"atrium/internal/scratch"
)

// TestNodesStartTogether: one of them makes the tables, and all know the same
// identity.
func TestNodesStartTogether(t *testing.T) {
	url := scratch.Database(t)
	var starting sync.WaitGroup
	identities := make([]db.Identity, 6)
	for i := range identities {
		starting.Go(func() {
			d, err := db.Open(t.Context(), db.Options{URL: url})
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Close()
			if identities[i], err = d.Identity(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	for _, id := range identities {
		if id != identities[0] || id.StorageID == "" {
			t.Fatalf("identities are %v", identities)
		}
	}
}

// TestWritesCollide: transactions that are undone for the sake of others are run
// again, whether they insert the same or lock each other out.
func TestWritesCollide(t *testing.T) {
	d := scratch.Open(t, db.Options{URL: scratch.Database(t)})
	const n = 10
	for i := range n {
		if err := d.Write(t.Context(), addUser(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	var writing sync.WaitGroup
	for w := range 2 {
		writing.Go(func() {
			err := d.Write(t.Context(), func(tx *db.Tx) error { // in opposite orders
				for i := range n {
					if w == 1 {
						i = n - 1 - i
					}
					if _, err := tx.Exec("UPDATE users SET last_seen = last_seen + 1 WHERE id = $1", fmt.Sprint(i)); err != nil {
						return err
					}
					time.Sleep(5 * time.Millisecond)
				}
				return nil
			})
			if err != nil {
				t.Errorf("writer %d: %v", w, err)
			}
		})
	}
	writing.Wait()
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		var least, most int
		if err := tx.QueryRow("SELECT min(last_seen), max(last_seen) FROM users").Scan(&least, &most); err != nil {
			return err
		}
		if least != 2 || most != 2 {
			return fmt.Errorf("from %d to %d updates, want 2", least, most)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}

	// Who looks first and then inserts finds what another has inserted meanwhile.
	made := 0
	var mu sync.Mutex
	for range 8 {
		writing.Go(func() {
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				var one int
				err := tx.QueryRow("SELECT 1 FROM users WHERE id = 'once'").Scan(&one)
				if !errors.Is(err, sql.ErrNoRows) {
					return err
				}
				time.Sleep(10 * time.Millisecond)
				if err := addUser("once")(tx); err != nil {
					return err
				}
				mu.Lock()
				made++
				mu.Unlock()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	writing.Wait()
	if made != 1 {
		t.Errorf("%d have inserted it", made)
	}
}

// TestOneLock: one process has it at a time, and those who have gone have not.
func TestOneLock(t *testing.T) {
	url := scratch.Database(t)
	a, b := scratch.Open(t, db.Options{URL: url}), scratch.Open(t, db.Options{URL: url})
	lock := func(d *db.DB, name string, want bool) (unlock func()) {
		t.Helper()
		unlock, ok, err := d.TryLock(t.Context(), name)
		if err != nil || ok != want {
			t.Fatalf("got %t, %v, want %t", ok, err, want)
		}
		return unlock
	}
	unlock := lock(a, "x", true)
	lock(b, "x", false)
	lock(b, "y", true)()
	unlock()
	lock(b, "x", true)
	err := a.Read(t.Context(), func(tx *db.Tx) error {
		var done bool
		return tx.QueryRow(`SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory'
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&done)
	})
	if err != nil {
		t.Fatal(err)
	}
	lock(a, "x", true)()
}

// TestPostgresAway: what fails says that it may be tried again, soon, and works
// again when the server is back.
func TestPostgresAway(t *testing.T) {
	server := scratch.NewPostgres(t)
	d := scratch.Open(t, db.Options{URL: server.CreateDatabase(t)})
	if err := d.Write(t.Context(), addUser("before")); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	for range 3 {
		began := time.Now()
		for what, err := range map[string]error{"write": d.Write(t.Context(), addUser("meanwhile")), "read": d.Ping(t.Context())} {
			if !db.Retryable(err) {
				t.Errorf("%s: %v is not retryable", what, err)
			}
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v to fail", took)
		}
	}
	server.Start()
	if err := d.Write(t.Context(), addUser("after")); err != nil {
		t.Fatal(err)
	}
	if n := count(t, d); n != 2 {
		t.Errorf("there are %d users, want 2", n)
	}

	// A server that says nothing at all is not waited for without end.
	server.Stall()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := d.Write(ctx, addUser("stalled")); !db.Retryable(err) {
		t.Errorf("stalled: %v is not retryable", err)
	}
	server.Resume()
	if err := d.Write(t.Context(), addUser("resumed")); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{nil, sql.ErrNoRows, errors.New("something else")} {
		if db.Retryable(err) {
			t.Errorf("%v is retryable", err)
		}
	}
}

// TestNewerSchema is refused, as an older atrium could not keep it right.
func TestNewerSchema(t *testing.T) {
	url := scratch.Database(t)
	d := scratch.Open(t, db.Options{URL: url})
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, true)")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := db.Open(t.Context(), db.Options{URL: url}); err == nil {
		again.Close()
		t.Error("it was opened")
	}
}

// TestEachIn asks for many keys.
func TestEachIn(t *testing.T) {
	scratch.EachStore(t, func(t *testing.T, d *db.DB) {
		for _, n := range []int{0, 1, 3, 600} {
			var keys []string
			for i := range n {
				keys = append(keys, fmt.Sprint(n, " ", i))
			}
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				for _, k := range keys {
					if err := addUser(k)(tx); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			found := make(map[string]int)
			err = d.Read(t.Context(), func(tx *db.Tx) error {
				return tx.EachIn("SELECT id FROM users WHERE id IN (%s)", append(keys, "nobody"), func(rows *sql.Rows) error {
					var id string
					err := rows.Scan(&id)
					found[id]++
					return err
				})
			})
			if err != nil || len(found) != n {
				t.Errorf("%d keys: found %d, %v", n, len(found), err)
			}
			for id, times := range found {
				if times != 1 {
					t.Errorf("%s came %d times", id, times)
				}
			}
		}
	})
}
