// Package db is what lasts: a SQLite file or a Postgres database behind one Read
// and one Write. It runs the migrations on opening, and it refuses to know any
// table but cluster: every module brings its own statements, written so that both
// databases understand them ($1, ON CONFLICT, RETURNING, times as integers of
// microseconds).
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"

	"atrium/migrations"
)

// Options of Open.
type Options struct {
	Dir    string       // data directory of the SQLite file; created if missing
	URL    string       // postgres://…: that database instead of SQLite
	Logger *slog.Logger // default: slog.Default()
}

// DB is safe for concurrent use.
type DB struct {
	log    *slog.Logger
	reader *sql.DB
	readTx sql.TxOptions
	write  func(ctx context.Context, fn func(tx *Tx) error) error

	writer *writer  // nil: it is Postgres
	lock   *os.File // of the data directory, held while the database is open; nil: it is Postgres

	commits, writes atomic.Int64
	latencies       Latencies
}

// Open opens the database, making a SQLite file if it is not there, and brings
// its schema up to date. It fails if its schema is newer than this program's, or
// if another process has the file open.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	db := &DB{log: o.Logger}
	var err error
	if o.URL != "" {
		err = db.openPostgres(ctx, o.URL)
	} else {
		err = db.openSQLite(ctx, o.Dir)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// Shared reports whether other processes may have the database open, too.
func (db *DB) Shared() bool { return db.writer == nil }

// Write calls fn in a transaction and returns once that is committed, and on
// disk; if fn or the commit fails, nothing of it is. On SQLite, writes that wait at
// the same time share a commit; on Postgres they run side by side, and one that
// collides with another is run again. After an error of the commit itself it is
// not known whether the transaction took place: read before trying again. fn must
// use nothing but tx, and may run more than once.
func (db *DB) Write(ctx context.Context, fn func(tx *Tx) error) error { return db.write(ctx, fn) }

// Read calls fn with a snapshot of what is committed.
func (db *DB) Read(ctx context.Context, fn func(tx *Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, maxRead)
	defer cancel()
	tx, err := db.reader.BeginTx(ctx, &db.readTx)
	if err != nil {
		return fmt.Errorf("begin read: %w", err)
	}
	defer tx.Rollback() // a read has nothing to commit
	return fn(&Tx{ctx: ctx, conn: tx})
}

// maxRead ends reads from a database that does not answer.
const maxRead = time.Minute

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	return db.Read(ctx, func(tx *Tx) error {
		var one int
		return tx.QueryRow("SELECT 1").Scan(&one)
	})
}

// Commits returns how many commits there have been, and how many writes they held.
func (db *DB) Commits() (commits, writes int64) { return db.commits.Load(), db.writes.Load() }

// Latencies returns how long commits took.
func (db *DB) Latencies() LatencyCounts { return db.latencies.Counts() }

// committed counts a commit that has been tried.
func (db *DB) committed(began time.Time, writes int) {
	db.latencies.observe(time.Since(began))
	db.commits.Add(1)
	db.writes.Add(int64(writes))
}

// Close waits for the writes under way and closes the database.
func (db *DB) Close() error {
	var errs []error
	if db.writer != nil {
		errs = append(errs, db.writer.close())
	}
	if db.reader != nil {
		errs = append(errs, db.reader.Close())
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
	}
	return errors.Join(errs...)
}

// Micros is t as the tables store it: microseconds since 1970.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// migrate brings the schema up to date. Nobody else may do so meanwhile.
func migrate(ctx context.Context, dialect goose.Dialect, conn *sql.DB) error {
	all, dir := migrations.SQLite, "sqlite"
	if dialect == goose.DialectPostgres {
		all, dir = migrations.Postgres, "postgres"
	}
	files, err := fs.Sub(all, dir)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	p, err := goose.NewProvider(dialect, conn, files)
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
	if current == newest {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	return nil
}
