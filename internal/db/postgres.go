package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

const (
	maxConns = 20                    // of one node, unless pool_max_conns in the URL says so
	maxWrite = 20 * time.Second      // of a transaction, and of waiting for a connection
	maxRuns  = 8                     // of a transaction that collides with others
	pause    = 50 * time.Millisecond // before it is run again, about

	// migrateLock is the advisory lock of whoever migrates.
	migrateLock = 0x61747269756d // "atrium"
)

// Settings of each connection, unless the URL says so: nothing waits for ever.
var sessionSettings = map[string]string{
	"application_name":                    "atrium",
	"statement_timeout":                   "30000",
	"lock_timeout":                        "15000",
	"idle_in_transaction_session_timeout": "60000",
}

func (db *DB) openPostgres(ctx context.Context, address string) error {
	config, conns, err := postgresConfig(address)
	if err != nil {
		return err
	}
	if err := migratePostgres(ctx, *config); err != nil {
		return fmt.Errorf("%s/%s: %w", config.Host, config.Database, err)
	}
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	pool.SetConnMaxLifetime(time.Hour) // so that a failover behind a name is followed
	db.reader = pool
	db.readTx = sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}
	db.write = db.writePostgres
	return nil
}

// postgresConfig reads an address. Its errors do not repeat it: it may hold a
// password.
func postgresConfig(address string) (config *pgx.ConnConfig, conns int, err error) {
	wrong := errors.New("ATRIUM_DATABASE_URL is not an address such as postgres://user:password@host:5432/database")
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, 0, wrong
	}
	conns = maxConns
	query := u.Query()
	if text := query.Get("pool_max_conns"); text != "" {
		if _, err := fmt.Sscan(text, &conns); err != nil || conns < 2 {
			return nil, 0, errors.New("pool_max_conns in ATRIUM_DATABASE_URL must be a number of 2 or more")
		}
		query.Del("pool_max_conns")
		u.RawQuery = query.Encode()
	}
	if config, err = pgx.ParseConfig(u.String()); err != nil {
		return nil, 0, wrong
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	for name, value := range sessionSettings {
		if _, set := config.RuntimeParams[name]; !set {
			config.RuntimeParams[name] = value
		}
	}
	return config, conns, nil
}

// migratePostgres migrates on connections of its own, one node after the other.
func migratePostgres(ctx context.Context, config pgx.ConnConfig) error {
	params := make(map[string]string)
	for name, value := range config.RuntimeParams {
		if !strings.HasSuffix(name, "_timeout") {
			params[name] = value
		}
	}
	config.RuntimeParams = params
	pool := stdlib.OpenDB(config)
	defer pool.Close()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", bareError(err))
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(migrateLock)); err != nil {
		return fmt.Errorf("wait for other nodes: %w", err)
	}
	return migrate(ctx, goose.DialectPostgres, pool) // closing the connection unlocks
}

// bareError is a failure to connect without the settings that it happened with, at
// the first address that was tried.
func bareError(err error) error {
	var connect *pgconn.ConnectError
	if !errors.As(err, &connect) {
		return err
	}
	if all, ok := connect.Unwrap().(interface{ Unwrap() []error }); ok && len(all.Unwrap()) > 0 {
		return all.Unwrap()[0]
	}
	return connect.Unwrap()
}

// writePostgres runs a transaction, again if it collides with another: what it did
// is undone then.
func (db *DB) writePostgres(ctx context.Context, fn func(tx *Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, maxWrite)
	defer cancel()
	for run := 1; ; run++ {
		err := db.transact(ctx, fn)
		if !collided(err) || run == maxRuns {
			return err
		}
		time.Sleep(rand.N(time.Duration(run) * pause))
	}
}

func (db *DB) transact(ctx context.Context, fn func(tx *Tx) error) error {
	conn, err := db.reader.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", bareError(err))
	}
	began := time.Now()
	if err := fn(&Tx{ctx: ctx, conn: conn}); err != nil {
		conn.Rollback() // a connection that fails to is closed
		return err
	}
	if err := conn.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	db.committed(began, 1)
	return nil
}

// Codes of errors, see appendix A of Postgres' manual.
const (
	codeUnique        = "23505"
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
)

// collided reports whether a transaction has been undone for the sake of another:
// after that one it may succeed, or find what that one has done.
func collided(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == codeUnique || pg.Code == codeSerialization || pg.Code == codeDeadlock)
}

// Retryable reports whether an error is of the database's state at the moment,
// such as when it is away: the same may succeed later.
func Retryable(err error) bool {
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &pg):
		switch pg.Code[:2] {
		case "08", "40", "53", "57": // connection, rollback, resources, an operator
			return true
		}
		return pg.Code == codeUnique || pg.Code == "55P03" // lock not available
	case errors.As(err, &connect), errors.As(err, &network):
		return true
	}
	return errors.Is(err, sql.ErrConnDone) || errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err)
}

// TryLock takes a lock that one process of all has at a time, and gives it back by
// unlock, or with its connection. It reports false if somebody else has it. A
// database that is not shared needs none.
func (db *DB) TryLock(ctx context.Context, name string) (unlock func(), ok bool, err error) {
	if !db.Shared() {
		return func() {}, true, nil
	}
	conn, err := db.reader.Conn(ctx)
	if err != nil {
		return nil, false, err
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	key := int64(h.Sum64())
	err = conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, key).Scan(&ok)
	if err != nil || !ok {
		conn.Close()
		return nil, false, err
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), maxWrite)
		defer cancel()
		if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, key); err != nil {
			conn.Raw(func(driver any) error { // or the next who gets it has the lock
				return driver.(*stdlib.Conn).Conn().Close(ctx)
			})
		}
		conn.Close()
	}, true, nil
}
