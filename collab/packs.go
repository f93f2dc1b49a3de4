package collab

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"atrium/collab/change"
	"atrium/collab/docsync"
	"atrium/collab/pack"
	"atrium/internal/db"
)

// The tables document_packs and document_snapshots.

// entries returns the changes of the rows from version first to last.
func (s store) entries(ctx context.Context, documentID string, first, last int64) (entries []pack.Entry, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		rows, err := readRows(tx, documentID, first-1)
		if err == nil && int64(len(rows)) <= last-first {
			err = errSealed
		}
		if err != nil {
			return err
		}
		entries, err = entriesOf(rows[:last-first+1])
		return err
	})
	return entries, err
}

func entriesOf(rows []row) (entries []pack.Entry, err error) {
	for _, r := range rows {
		for rest := r.chunks; len(rest) > 0; {
			var c change.Change
			if c, rest, err = change.Next(rest); err != nil {
				return nil, err
			}
			entries = append(entries, pack.Entry{Chunk: c.Chunk, UserID: r.userID, At: r.at})
		}
	}
	return entries, nil
}

// errSealed says that somebody else has sealed the rows, or the document is gone.
var errSealed = errors.New("the rows are there no more")

// seal puts a pack in the place of the rows that it was made of.
func (s store) seal(ctx context.Context, documentID string, p sealedRun) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(`DELETE FROM document_changes WHERE document_id = $1 AND version >= $2 AND version <= $3`, documentID, p.first, p.last)
		if err == nil && n != p.last-p.first+1 {
			err = errSealed
		}
		if err != nil {
			return err
		}
		return insertPack(tx, documentID, p)
	})
}

func insertPack(tx *db.Tx, documentID string, p sealedRun) error {
	_, err := tx.Exec(`INSERT INTO document_packs (document_id, first_version, last_version, first_position, changes, data) VALUES ($1, $2, $3, $4, $5, $6)`,
		documentID, p.first, p.last, p.position, p.changes, p.data)
	return err
}

// packs returns the packs up to a version, all of which there must be.
func (s store) packs(ctx context.Context, documentID string, last int64) (packs []sealedRun, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		all, err := readPacks(tx, documentID, 0)
		for _, p := range all {
			if p.last <= last {
				packs = append(packs, p)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	next, position := int64(1), 0
	for _, p := range packs {
		if p.first != next || p.position != position {
			return nil, fmt.Errorf("%w: a pack begins at version %d, not %d", errLogDamaged, p.first, next)
		}
		next, position = p.last+1, position+p.changes
	}
	if next != last+1 {
		return nil, errSealed
	}
	return packs, nil
}

// replacePacks puts one pack in the place of the n that it was made of.
func (s store) replacePacks(ctx context.Context, documentID string, n int, p sealedRun) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		deleted, err := tx.Exec(`DELETE FROM document_packs WHERE document_id = $1 AND last_version <= $2`, documentID, p.last)
		if err == nil && deleted != int64(n) {
			err = errSealed
		}
		if err != nil {
			return err
		}
		return insertPack(tx, documentID, p)
	})
}

// saveSnapshot stores a document chunk of a log's first changes, unless the
// document is gone.
func (s store) saveSnapshot(ctx context.Context, documentID string, changes int, data []byte) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO document_snapshots (document_id, changes, data)
			SELECT id, $2, $3 FROM documents WHERE id = $1 AND deleted_at IS NULL
			ON CONFLICT (document_id) DO UPDATE SET changes = $2, data = $3 WHERE document_snapshots.changes <= $2`, documentID, changes, data)
		return err
	})
}

// snapshot returns the snapshot that is stored, of so many changes; none is of 0.
func (s store) snapshot(ctx context.Context, documentID string) (changes int, data []byte, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) (err error) {
		changes, data, err = readSnapshot(tx, documentID)
		return err
	})
	return changes, data, err
}

func readSnapshot(tx *db.Tx, documentID string) (changes int, data []byte, err error) {
	err = tx.QueryRow(`SELECT changes, data FROM document_snapshots WHERE document_id = $1`, documentID).Scan(&changes, &data)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return changes, data, err
}

// sealedRuns returns all packs of a document, without what they hold.
func (s store) sealedRuns(ctx context.Context, documentID string) (packs []sealedRun, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT first_version, last_version, first_position, changes, length(data) FROM document_packs
			WHERE document_id = $1 ORDER BY first_version`, documentID)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var p sealedRun
			if err := rows.Scan(&p.first, &p.last, &p.position, &p.changes, &p.length); err != nil {
				return err
			}
			packs = append(packs, p)
		}
		return rows.Err()
	})
	return packs, err
}

// wholeLog is a document as the store has it.
type wholeLog struct {
	doc     docsync.Document
	version int64
	bytes   int // of the chunks
}

// read opens all that there is of a log.
func (s store) read(ctx context.Context, documentID string) (*wholeLog, error) {
	t, err := s.load(ctx, documentID, 0)
	if err != nil {
		return nil, err
	}
	l := &wholeLog{version: t.version}
	for _, p := range t.packs {
		run, err := unpack(&l.doc, p)
		if err == nil {
			_, err = l.doc.Extend(run)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, run := range t.runs {
		if _, err := l.doc.Extend(run); err != nil {
			return nil, err
		}
	}
	for _, chunk := range l.doc.Chunks(0, l.doc.Len()) {
		l.bytes += len(chunk)
	}
	return l, nil
}
