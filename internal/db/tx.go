package db

import (
	"context"
	"database/sql"
)

// Tx runs statements in a transaction. It is valid only inside the function it
// was given to, and not safe for concurrent use.
type Tx struct {
	ctx   context.Context
	conn  querier
	stmts map[string]*sql.Stmt // prepared ones by text; nil: prepare none
}

// querier is a connection or a transaction of database/sql.
type querier interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Exec runs a statement and returns the number of rows it changed. Queries are
// constants: a writing transaction keeps each one prepared.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	stmt, err := tx.prepared(query)
	if err != nil {
		return 0, err
	}
	var res sql.Result
	if stmt != nil {
		res, err = stmt.ExecContext(tx.ctx, args...)
	} else {
		res, err = tx.conn.ExecContext(tx.ctx, query, args...)
	}
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// Query runs a query; the caller closes the rows.
func (tx *Tx) Query(query string, args ...any) (*sql.Rows, error) {
	stmt, err := tx.prepared(query)
	if err != nil {
		return nil, err
	}
	if stmt != nil {
		return stmt.QueryContext(tx.ctx, args...)
	}
	return tx.conn.QueryContext(tx.ctx, query, args...)
}

// QueryRow runs a query for one row; errors come out of its Scan.
func (tx *Tx) QueryRow(query string, args ...any) *sql.Row {
	if stmt, err := tx.prepared(query); err == nil && stmt != nil {
		return stmt.QueryRowContext(tx.ctx, args...)
	}
	return tx.conn.QueryRowContext(tx.ctx, query, args...)
}

func (tx *Tx) exec(query string) error {
	_, err := tx.Exec(query)
	return err
}

func (tx *Tx) prepared(query string) (*sql.Stmt, error) {
	if tx.stmts == nil {
		return nil, nil
	}
	if stmt := tx.stmts[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := tx.conn.PrepareContext(tx.ctx, query)
	if err != nil {
		return nil, err
	}
	tx.stmts[query] = stmt
	return stmt, nil
}
