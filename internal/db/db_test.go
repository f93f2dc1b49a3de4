package db_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"atrium/internal/db"
)

func open(t *testing.T, dir string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), db.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func count(t *testing.T, d *db.DB) (n int) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.QueryRow("SELECT count(*) FROM users").Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func addUser(id string) func(*db.Tx) error {
	return func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO users (id, name, avatar, last_seen) VALUES ($1, '', '', 0)", id)
		return err
	}
}

func TestWritesShareCommitsButNotFailures(t *testing.T) {
	d := open(t, t.TempDir())
	const n = 400
	var wg sync.WaitGroup
	failed := errors.New("on purpose")
	for i := range n {
		wg.Go(func() {
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				if err := addUser(fmt.Sprint(i))(tx); err != nil {
					return err
				}
				if i%4 == 0 {
					return failed
				}
				return nil
			})
			if want := i%4 == 0; errors.Is(err, failed) != want {
				t.Errorf("write %d: got error %v", i, err)
			}
		})
	}
	wg.Wait()
	if got := count(t, d); got != n*3/4 {
		t.Errorf("rows: got %d, want %d", got, n*3/4)
	}
	commits, writes := d.Commits()
	if writes != n || commits >= n {
		t.Errorf("got %d writes in %d commits, want %d in fewer", writes, commits, n)
	}
}

func TestFailedCommitFailsEveryoneInIt(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	other, err := sql.Open("sqlite", filepath.Join(dir, db.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.Exec("BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	if err := d.Write(t.Context(), addUser("a")); err == nil {
		t.Error("write while another process holds the lock: got no error")
	}
	if _, err := other.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := d.Write(t.Context(), addUser("a")); err != nil {
		t.Errorf("write after the lock is gone: %v", err)
	}
	if got := count(t, d); got != 1 {
		t.Errorf("rows: got %d, want 1", got)
	}
}

func TestReadOnlyTransactionsCannotWrite(t *testing.T) {
	d := open(t, t.TempDir())
	if err := d.Read(t.Context(), addUser("a")); err == nil {
		t.Error("insert inside Read: got no error")
	}
}

func TestIdentityOutlivesReopening(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	first, err := d.Identity(t.Context())
	if err != nil || first.SenderID == "" || first.StorageID == "" {
		t.Fatalf("got %+v, %v", first, err)
	}
	d.Close()
	if second, err := open(t, dir).Identity(t.Context()); err != nil || second != first {
		t.Errorf("after reopening: got %+v, %v, want %+v", second, err, first)
	}
}

func TestPathWithPunctuation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c#d%20e")
	open(t, dir)
	if _, err := os.Stat(filepath.Join(dir, db.FileName)); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Run("a directory in use", func(t *testing.T) {
		dir := t.TempDir()
		open(t, dir)
		wantOpenError(t, dir, "in use by another atrium")
	})
	t.Run("a newer schema", func(t *testing.T) {
		dir := t.TempDir()
		d := open(t, dir)
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		d.Close()
		wantOpenError(t, dir, "run a newer atrium")
	})
	t.Run("a path that is no directory", func(t *testing.T) {
		wantOpenError(t, "/dev/null/x", "create data directory")
	})
}

func wantOpenError(t *testing.T, dir, want string) {
	t.Helper()
	d, err := db.Open(t.Context(), db.Options{Dir: dir})
	if err == nil {
		d.Close()
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want one with %q", err, want)
	}
}

func TestWriteAfterClose(t *testing.T) {
	d := open(t, t.TempDir())
	d.Close()
	if err := d.Write(context.Background(), addUser("a")); !errors.Is(err, db.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func BenchmarkWrite(b *testing.B) {
	d, err := db.Open(b.Context(), db.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			err := d.Write(b.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec("UPDATE users SET last_seen = last_seen + 1 WHERE id = $1", "a")
				return err
			})
			if err != nil {
				b.Error(err)
			}
		}
	})
	commits, writes := d.Commits()
	b.ReportMetric(float64(writes)/float64(commits), "writes/commit")
}
