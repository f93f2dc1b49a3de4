package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// ErrClosed is what Write returns once Close has been called.
var ErrClosed = errors.New("database is closed")

const (
	maxGroup = 256 // writes in one commit
	maxQueue = 1024
)

// writer runs all writes on one connection, in the order of their coming, and
// commits together what is waiting: while one commit syncs, the next group
// gathers.
type writer struct {
	log   *slog.Logger
	owner *DB       // for its counters; set once
	db    *sql.DB   // set once
	conn  *sql.Conn // owned by run
	tx    Tx        // owned by run; keeps the prepared statements
	queue chan *write
	stop  context.CancelFunc
	ended <-chan struct{} // closed when stop was called
	done  chan struct{}   // closed when run has returned
}

type write struct {
	fn   func(*Tx) error
	err  error // set by run before done is closed
	done chan struct{}
}

func startWriter(ctx context.Context, db *sql.DB, owner *DB) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	// Statements of a group belong to several callers: none of their contexts may cut it short.
	running, stop := context.WithCancel(context.Background())
	w := &writer{
		log: owner.log, owner: owner, db: db, conn: conn,
		tx:    Tx{ctx: context.Background(), conn: conn, stmts: make(map[string]*sql.Stmt)},
		queue: make(chan *write, maxQueue), stop: stop, ended: running.Done(), done: make(chan struct{}),
	}
	go w.run()
	return w, nil
}

func (w *writer) write(ctx context.Context, fn func(*Tx) error) error {
	req := &write{fn: fn, done: make(chan struct{})}
	select {
	case <-w.ended:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	case w.queue <- req:
	}
	// Once queued it runs: returning earlier would leave fn running behind its caller's back.
	select {
	case <-req.done:
		return req.err
	case <-w.done:
	}
	select { // it may have been in the last group
	case <-req.done:
		return req.err
	default:
		return ErrClosed
	}
}

func (w *writer) close() error {
	w.stop()
	<-w.done
	for _, s := range w.tx.stmts {
		s.Close()
	}
	return errors.Join(w.conn.Close(), w.db.Close())
}

func (w *writer) run() {
	defer close(w.done)
	group := make([]*write, 0, maxGroup)
	for {
		group = group[:0]
		select {
		case req := <-w.queue:
			group = append(group, req)
		default:
			select {
			case req := <-w.queue:
				group = append(group, req)
			case <-w.ended:
				return
			}
		}
	gather:
		for len(group) < maxGroup {
			select {
			case req := <-w.queue:
				group = append(group, req)
			default:
				break gather
			}
		}
		began := time.Now()
		w.commit(group)
		w.owner.committed(began, len(group))
		for _, req := range group {
			close(req.done)
		}
	}
}

// commit runs a group in one transaction and sets each one's error.
func (w *writer) commit(group []*write) {
	err := w.tx.exec("BEGIN IMMEDIATE")
	if err == nil {
		err = w.runAll(group)
		if err == nil {
			err = w.tx.exec("COMMIT")
		}
		if err != nil {
			if rerr := w.tx.exec("ROLLBACK"); rerr != nil {
				// SQLite has rolled back by itself, after a full disk for instance.
				w.log.Debug("rollback after failed commit", "error", rerr)
			}
		}
	}
	if err != nil {
		for _, req := range group {
			req.err = fmt.Errorf("commit: %w", err)
		}
	}
}

// runAll calls each function under its own savepoint, so that one's failure
// undoes nothing of its neighbours'. An error returned is the transaction's.
func (w *writer) runAll(group []*write) error {
	for _, req := range group {
		if err := w.tx.exec("SAVEPOINT one"); err != nil {
			return err
		}
		if req.err = req.fn(&w.tx); req.err != nil {
			if err := w.tx.exec("ROLLBACK TO one"); err != nil {
				return errors.Join(req.err, err)
			}
		}
		if err := w.tx.exec("RELEASE one"); err != nil {
			return err
		}
	}
	return nil
}
