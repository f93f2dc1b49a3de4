package db

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver named "sqlite"
)

// FileName is the name of the database file in the data directory.
const FileName = "atrium.db"

func (db *DB) openSQLite(ctx context.Context, dir string) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create data directory: %w", err)
	}
	if db.lock, err = lockDir(dir); err != nil {
		return err
	}
	path := filepath.Join(dir, FileName)
	if err := db.openFile(ctx, path); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (db *DB) openFile(ctx context.Context, path string) error {
	// FULL: a commit is on disk when it returns. The busy timeout is for backups
	// and people with the sqlite3 shell; Atrium itself has a single writer.
	const pragmas = "?_pragma=busy_timeout(2000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"
	address := "file:" + (&url.URL{Path: path}).EscapedPath() + pragmas // a path may hold a question mark
	wdb, err := sql.Open("sqlite", address)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	wdb.SetMaxOpenConns(1)
	if err := migrate(ctx, goose.DialectSQLite3, wdb); err != nil {
		wdb.Close()
		return err
	}
	if db.writer, err = startWriter(ctx, wdb, db); err != nil {
		wdb.Close()
		return fmt.Errorf("open database for writing: %w", err)
	}
	db.write = db.writer.write
	if db.reader, err = sql.Open("sqlite", address+"&_pragma=query_only(1)"); err != nil {
		return fmt.Errorf("open database for reading: %w", err)
	}
	db.readTx.ReadOnly = true
	db.reader.SetMaxOpenConns(8)
	db.reader.SetMaxIdleConns(8)
	return nil
}

// lockDir keeps a second process out: it would not hear of this one's commits.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory %s is not writable: %w", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("data directory %s is in use by another atrium: stop that one or choose another directory", dir)
	}
	return f, nil
}
