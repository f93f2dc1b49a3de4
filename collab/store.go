package collab

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"atrium/internal/db"
)

// store is the log of every document in the database.
type store struct{ db *db.DB }

// entry is a run of change chunks that one user added at one time.
type entry struct {
	chunks []byte
	userID string
}

// errLogDamaged says that rows are missing: what is left is not the document.
var errLogDamaged = errors.New("the log is not whole")

// load returns the log's rows after version after, in order, and the newest
// version. A document that does not exist has version 0. Rows that are missing
// are an error, also at the end.
func (s store) load(ctx context.Context, documentID string, after int64) (runs [][]byte, version int64, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var newest int64
		err := tx.QueryRow(`SELECT version FROM documents WHERE id = $1`, documentID).Scan(&newest)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		runs, version, err = readRuns(tx, documentID, after)
		if err == nil && version != newest {
			err = fmt.Errorf("%w: it ends at version %d of %d", errLogDamaged, version, newest)
		}
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("load document: %w", err)
	}
	return runs, version, nil
}

func readRuns(tx *db.Tx, documentID string, after int64) (runs [][]byte, version int64, err error) {
	rows, err := tx.Query(`SELECT version, chunks FROM document_changes WHERE document_id = $1 AND version > $2 ORDER BY version`,
		documentID, after)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	version = after
	for rows.Next() {
		var v int64
		var chunks []byte
		if err := rows.Scan(&v, &chunks); err != nil {
			return nil, 0, err
		}
		if v != version+1 {
			return nil, 0, fmt.Errorf("%w: version %d is followed by %d", errLogDamaged, version, v)
		}
		version = v
		runs = append(runs, chunks)
	}
	return runs, version, rows.Err()
}

// append adds entries behind version known, which the caller has read up to,
// and returns the newest version. If the log has grown past known, it adds
// nothing and returns what came after as tail: the caller checks its entries
// against that and tries again.
func (s store) append(ctx context.Context, documentID string, known int64, entries []entry, now time.Time) (version int64, tail [][]byte, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		// Taking the row first makes writers of one document queue up here.
		err := tx.QueryRow(`INSERT INTO documents (id, version, created_at, updated_at) VALUES ($1, $2, $3, $3)
			ON CONFLICT (id) DO UPDATE SET version = documents.version + $2, updated_at = $3 RETURNING version`,
			documentID, len(entries), db.Micros(now)).Scan(&version)
		if err != nil {
			return err
		}
		if first := version - int64(len(entries)); first != known {
			return errBehind
		}
		for i, e := range entries {
			_, err := tx.Exec(`INSERT INTO document_changes (document_id, version, chunks, user_id, created_at) VALUES ($1, $2, $3, $4, $5)`,
				documentID, known+int64(i)+1, e.chunks, e.userID, db.Micros(now))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errBehind) {
		tail, version, err = s.load(ctx, documentID, known)
		return version, tail, err
	}
	if err != nil {
		return 0, nil, fmt.Errorf("append changes: %w", err)
	}
	return version, nil, nil
}

// errBehind undoes the write of a caller that has not read the whole log.
var errBehind = errors.New("the log has grown")
