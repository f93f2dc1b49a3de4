package collab

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"atrium/collab/change"
	"atrium/internal/db"
)

// store is the log of every document in the database.
type store struct {
	db      *db.DB
	changed func(*db.Tx, Change) (committed func(), err error) // Options.Changed
}

// entry is a run of change chunks that one user added at one time.
type entry struct {
	chunks []byte
	userID string
}

// errLogDamaged says that rows are missing: what is left is not the document.
var errLogDamaged = errors.New("the log is not whole")

// errDeleted says that the document has been deleted, for good.
var errDeleted = errors.New("the document has been deleted")

// tail is what the log has past a version.
type tail struct {
	packs   []sealedRun // first those
	runs    [][]byte    // then these, of chunks
	version int64       // the newest

	snapshot    []byte // of the whole log's first changes, if all of it was asked for; nil: there is none
	snapshotted int    // how many changes those are
}

func (t *tail) empty() bool { return len(t.packs)+len(t.runs) == 0 }

// sealedRun is a row of document_packs: versions first to last, changes from
// position on.
type sealedRun struct {
	first, last       int64
	position, changes int
	data              []byte
	length            int // of data
}

// load returns the log past version after. A document that does not exist has
// version 0. Rows that are missing are an error, also at the end.
func (s store) load(ctx context.Context, documentID string, after int64) (t tail, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var newest int64
		var deleted sql.NullInt64
		err := tx.QueryRow(`SELECT version, deleted_at FROM documents WHERE id = $1`, documentID).Scan(&newest, &deleted)
		switch {
		case deleted.Valid:
			return errDeleted
		case err != nil && !errors.Is(err, sql.ErrNoRows):
			return err
		}
		t.version = after
		if t.packs, err = readPacks(tx, documentID, after); err != nil {
			return err
		}
		for _, p := range t.packs {
			if p.first > t.version+1 {
				return fmt.Errorf("%w: version %d is followed by %d", errLogDamaged, t.version, p.first)
			}
			t.version = p.last
		}
		rows, err := readRows(tx, documentID, t.version)
		for _, r := range rows {
			t.runs = append(t.runs, r.chunks)
		}
		t.version += int64(len(rows))
		if err == nil && t.version != newest {
			err = fmt.Errorf("%w: it ends at version %d of %d", errLogDamaged, t.version, newest)
		}
		if err == nil && after == 0 {
			t.snapshotted, t.snapshot, err = readSnapshot(tx, documentID)
		}
		return err
	})
	if err != nil {
		return tail{}, fmt.Errorf("load document: %w", err)
	}
	return t, nil
}

// row is one of document_changes.
type row struct {
	entry
	at int64 // microseconds since 1970
}

func readRows(tx *db.Tx, documentID string, after int64) (list []row, err error) {
	rows, err := tx.Query(`SELECT version, chunks, user_id, created_at FROM document_changes WHERE document_id = $1 AND version > $2 ORDER BY version`,
		documentID, after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for version := after; rows.Next(); {
		var v int64
		var r row
		if err := rows.Scan(&v, &r.chunks, &r.userID, &r.at); err != nil {
			return nil, err
		}
		if v != version+1 {
			return nil, fmt.Errorf("%w: version %d is followed by %d", errLogDamaged, version, v)
		}
		version = v
		list = append(list, r)
	}
	return list, rows.Err()
}

// readPacks returns the packs with versions past after.
func readPacks(tx *db.Tx, documentID string, after int64) (packs []sealedRun, err error) {
	rows, err := tx.Query(`SELECT first_version, last_version, first_position, changes, data FROM document_packs
		WHERE document_id = $1 AND last_version > $2 ORDER BY first_version`, documentID, after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p sealedRun
		if err := rows.Scan(&p.first, &p.last, &p.position, &p.changes, &p.data); err != nil {
			return nil, err
		}
		p.length = len(p.data)
		packs = append(packs, p)
	}
	return packs, rows.Err()
}

// state is what a whole log comes to.
type state struct {
	changes int
	bytes   int           // of their chunks
	heads   []change.Hash // needed for Options.Changed alone
}

// append adds entries behind version known, which the caller has read up to,
// and returns the newest version; total is what the log comes to with them. If
// the log has grown past known, it adds nothing and returns what came after: the
// caller checks its entries against that and tries again.
func (s store) append(ctx context.Context, documentID string, known int64, entries []entry, total state, now time.Time) (version int64, behind *tail, err error) {
	c := Change{DocumentID: documentID, Heads: total.heads, At: now, Created: known == 0}
	if s.changed != nil {
		c.UserIDs = usersOf(entries)
	}
	err = s.write(ctx, func(tx *db.Tx) (committed func(), err error) {
		var deleted sql.NullInt64
		// Taking the row first makes writers of one document queue up here.
		err = tx.QueryRow(`INSERT INTO documents (id, version, created_at, updated_at, changes, bytes) VALUES ($1, $2, $3, $3, $4, $5)
			ON CONFLICT (id) DO UPDATE SET version = documents.version + $2, updated_at = $3, changes = $4, bytes = $5 RETURNING version, deleted_at`,
			documentID, len(entries), db.Micros(now), total.changes, total.bytes).Scan(&version, &deleted)
		switch {
		case err != nil:
			return nil, err
		case deleted.Valid:
			return nil, errDeleted
		case version-int64(len(entries)) != known:
			return nil, errBehind
		}
		for i, e := range entries {
			_, err := tx.Exec(`INSERT INTO document_changes (document_id, version, chunks, user_id, created_at) VALUES ($1, $2, $3, $4, $5)`,
				documentID, known+int64(i)+1, e.chunks, e.userID, db.Micros(now))
			if err != nil {
				return nil, err
			}
		}
		return s.tell(tx, c)
	})
	if errors.Is(err, errBehind) {
		t, err := s.load(ctx, documentID, known)
		return t.version, &t, err
	}
	if err != nil {
		return 0, nil, fmt.Errorf("append changes: %w", err)
	}
	return version, nil, nil
}

// usersOf returns who has added entries, each once.
func usersOf(entries []entry) (users []string) {
	seen := make(map[string]bool)
	for _, e := range entries {
		if !seen[e.userID] {
			seen[e.userID] = true
			users = append(users, e.userID)
		}
	}
	return users
}

// write is db.Write for what has something to do after the commit.
func (s store) write(ctx context.Context, fn func(tx *db.Tx) (committed func(), err error)) error {
	var committed func()
	err := s.db.Write(ctx, func(tx *db.Tx) (err error) {
		committed, err = fn(tx)
		return err
	})
	if err == nil && committed != nil {
		committed()
	}
	return err
}

// tell tells who wants to know.
func (s store) tell(tx *db.Tx, c Change) (committed func(), err error) {
	if s.changed == nil {
		return nil, nil
	}
	return s.changed(tx, c)
}

// errBehind undoes the write of a caller that has not read the whole log.
var errBehind = errors.New("the log has grown")

// erase deletes a document: its log goes, its id stays, so that nobody can bring
// it back.
func (s store) erase(ctx context.Context, documentID, userID string, now time.Time) error {
	return s.write(ctx, func(tx *db.Tx) (committed func(), err error) {
		n, err := tx.Exec(`UPDATE documents SET deleted_at = $2, changes = 0, bytes = 0 WHERE id = $1 AND deleted_at IS NULL`, documentID, db.Micros(now))
		if err == nil && n == 0 {
			return nil, errDeleted
		}
		for _, query := range []string{
			`DELETE FROM document_changes WHERE document_id = $1`,
			`DELETE FROM document_packs WHERE document_id = $1`,
			`DELETE FROM document_snapshots WHERE document_id = $1`,
		} {
			if err == nil {
				_, err = tx.Exec(query, documentID)
			}
		}
		if err != nil {
			return nil, err
		}
		return s.tell(tx, Change{DocumentID: documentID, UserIDs: []string{userID}, At: now, Deleted: true})
	})
}
