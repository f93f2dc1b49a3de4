// Package db is what lasts: a SQLite file behind one Read and one Write. It
// runs the migrations on opening, and it refuses to know any table but cluster:
// every module brings its own statements, written so that Postgres understands
// them too ($1, ON CONFLICT, RETURNING, times as integers of microseconds).
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver named "sqlite"

	"atrium/migrations"
)

// FileName is the name of the database file in the data directory.
const FileName = "atrium.db"

// Options of Open.
type Options struct {
	Dir    string       // data directory; created if missing
	Logger *slog.Logger // default: slog.Default()
}

// DB is safe for concurrent use.
type DB struct {
	log    *slog.Logger
	reader *sql.DB
	writer *writer
	lock   *os.File // held while the database is open
}

// Open opens the database in o.Dir, making it if it is not there, and brings
// its schema up to date. It fails if another process has it open, or if its
// schema is newer than this program's.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	db := &DB{log: o.Logger, lock: lock}
	path := filepath.Join(o.Dir, FileName)
	if err := db.open(ctx, path); err != nil {
		db.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return db, nil
}

func (db *DB) open(ctx context.Context, path string) error {
	// FULL: a commit is on disk when it returns. The busy timeout is for backups
	// and people with the sqlite3 shell; Atrium itself has a single writer.
	const pragmas = "?_pragma=busy_timeout(2000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"
	address := "file:" + (&url.URL{Path: path}).EscapedPath() + pragmas // a path may hold a question mark
	wdb, err := sql.Open("sqlite", address)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	wdb.SetMaxOpenConns(1)
	if err := migrate(ctx, wdb); err != nil {
		wdb.Close()
		return err
	}
	if db.writer, err = startWriter(ctx, wdb, db.log); err != nil {
		wdb.Close()
		return fmt.Errorf("open database for writing: %w", err)
	}
	if db.reader, err = sql.Open("sqlite", address+"&_pragma=query_only(1)"); err != nil {
		return fmt.Errorf("open database for reading: %w", err)
	}
	db.reader.SetMaxOpenConns(8)
	db.reader.SetMaxIdleConns(8)
	return nil
}

// Write calls fn in a transaction and returns once that is committed, and on
// disk; if fn or the commit fails, nothing of it is. Writes that wait at the
// same time share a commit. After an error of the commit itself it is not known
// whether the transaction took place: read before trying again. fn must use
// nothing but tx, and may run only once.
func (db *DB) Write(ctx context.Context, fn func(tx *Tx) error) error {
	return db.writer.write(ctx, fn)
}

// Read calls fn with a snapshot of what is committed.
func (db *DB) Read(ctx context.Context, fn func(tx *Tx) error) error {
	tx, err := db.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("begin read: %w", err)
	}
	defer tx.Rollback() // a read has nothing to commit
	return fn(&Tx{ctx: ctx, conn: tx})
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	return db.Read(ctx, func(tx *Tx) error {
		var one int
		return tx.QueryRow("SELECT 1").Scan(&one)
	})
}

// Commits returns how many commits there have been, and how many writes they held.
func (db *DB) Commits() (commits, writes int64) {
	return db.writer.commits.Load(), db.writer.writes.Load()
}

// Latencies returns how long commits took.
func (db *DB) Latencies() LatencyCounts { return db.writer.latencies.Counts() }

// Close waits for the writes under way and closes the file.
func (db *DB) Close() error {
	var errs []error
	if db.writer != nil {
		errs = append(errs, db.writer.close())
	}
	if db.reader != nil {
		errs = append(errs, db.reader.Close())
	}
	return errors.Join(append(errs, db.lock.Close())...)
}

// Micros is t as the tables store it: microseconds since 1970.
func Micros(t time.Time) int64 { return t.UnixMicro() }

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

func migrate(ctx context.Context, conn *sql.DB) error {
	files, err := fs.Sub(migrations.SQLite, "sqlite")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, conn, files)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	current, newest, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if current > newest {
		return fmt.Errorf("the database has schema %d and this atrium knows only %d: run a newer atrium", current, newest)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	return nil
}
