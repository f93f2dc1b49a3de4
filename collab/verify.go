package collab

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"atrium/collab/change"
	"atrium/collab/pack"
	"atrium/internal/db"
)

// Fault is something that is wrong with a document, or with its file.
type Fault struct{ DocumentID, What string }

// Tally is how much there is.
type Tally struct {
	Documents int // those that are not deleted
	Deleted   int
	Changes   int
	Bytes     int // of the changes, as clients send them
	Packs     int
	Snapshots int
}

// Verify reads every document of a store and tells all that is wrong. It needs
// the store to itself. Its error says that it could not go on.
func Verify(ctx context.Context, d *db.DB, tell func(Fault)) (t Tally, err error) {
	err = store{db: d}.eachDocument(ctx, func(x documentRow) error {
		if !validDocumentID(x.id) {
			tell(Fault{x.id, "its id is none"})
		}
		v := verifier{documentRow: x, tally: &t, tell: func(what string) { tell(Fault{x.id, what}) }, known: make(map[change.Hash]bool)}
		err := d.Read(ctx, v.verify)
		if err != nil && ctx.Err() == nil { // of this document, for all we know
			v.tell("it cannot be read: " + err.Error())
			err = nil
		}
		return err
	})
	if err != nil {
		return t, fmt.Errorf("read documents: %w", err)
	}
	err = d.Read(ctx, func(tx *db.Tx) error {
		for _, x := range []struct{ query, what string }{
			{`SELECT DISTINCT document_id FROM document_changes WHERE document_id NOT IN (SELECT id FROM documents)`, "changes"},
			{`SELECT DISTINCT document_id FROM document_packs WHERE document_id NOT IN (SELECT id FROM documents)`, "packs"},
			{`SELECT document_id FROM document_snapshots WHERE document_id NOT IN (SELECT id FROM documents)`, "a snapshot"},
		} {
			rows, err := tx.Query(x.query)
			if err != nil {
				return err
			}
			for rows.Next() {
				var id string
				if err := rows.Scan(&id); err != nil {
					return errors.Join(err, rows.Close())
				}
				tell(Fault{id, "there are " + x.what + ", and no such document"})
			}
			if err := rows.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return t, fmt.Errorf("read what belongs to no document: %w", err)
	}
	return t, nil
}

// documentRow is one of documents.
type documentRow struct {
	id             string
	version        int64
	changes, bytes int
	deleted        bool
}

// eachDocument calls f with all documents, also deleted ones, in the order of
// their ids.
func (s store) eachDocument(ctx context.Context, f func(documentRow) error) error {
	const page = 1000
	for after := ""; ; {
		var list []documentRow
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			rows, err := tx.Query(`SELECT id, version, changes, bytes, deleted_at IS NOT NULL FROM documents WHERE id > $1 ORDER BY id LIMIT $2`, after, page)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var x documentRow
				if err := rows.Scan(&x.id, &x.version, &x.changes, &x.bytes, &x.deleted); err != nil {
					return err
				}
				list = append(list, x)
			}
			return rows.Err()
		})
		if err != nil {
			return err
		}
		for _, x := range list {
			if err := f(x); err != nil {
				return err
			}
		}
		if len(list) < page {
			return nil
		}
		after = list[page-1].id
	}
}

// verifier goes through one document's log.
type verifier struct {
	documentRow
	tally *Tally
	tell  func(what string)

	at     int64 // version that it has come to
	hashes []change.Hash
	known  map[change.Hash]bool
	length int  // of the chunks
	lost   bool // a part is missing: what builds on that is no fault of its own
}

func (v *verifier) verify(tx *db.Tx) error {
	packs, err := readPacks(tx, v.id, 0)
	if err != nil {
		return err
	}
	for _, p := range packs {
		v.pack(p)
	}
	if err := v.rows(tx); err != nil {
		return err
	}
	v.tally.Packs += len(packs)
	v.tally.Changes += len(v.hashes)
	v.tally.Bytes += v.length
	if v.deleted {
		v.tally.Deleted++
	} else {
		v.tally.Documents++
		if v.at != v.version {
			v.loses("it ends at version %d of %d", v.at, v.version)
		}
	}
	if v.deleted && v.at > 0 {
		v.tell("it is deleted, and its changes are there")
	}
	if !v.lost && (v.changes != len(v.hashes) || v.bytes != v.length) {
		v.tell(fmt.Sprintf("it is said to have %d changes of %d bytes, and has %d of %d", v.changes, v.bytes, len(v.hashes), v.length))
	}
	return v.snapshot(tx)
}

// loses tells of a fault that leaves what follows without its past.
func (v *verifier) loses(format string, args ...any) {
	v.tell(fmt.Sprintf(format, args...))
	v.lost = true
}

func (v *verifier) pack(p sealedRun) {
	versions := fmt.Sprintf("the pack of versions %d to %d", p.first, p.last)
	if p.first != v.at+1 || p.last < p.first {
		v.loses("version %d is followed by %s", v.at, versions)
	}
	v.at = p.last
	if v.lost {
		v.tell(versions + " cannot be checked, as it tells differences from what is missing")
		return
	}
	if p.position != len(v.hashes) {
		v.loses("%s begins at change %d, not %d", versions, p.position, len(v.hashes))
		return
	}
	n := 0
	err := pack.Parse(p.data, p.position, func(at int) change.Hash { return v.hashes[at] }, func(e pack.Entry, h change.Hash) error {
		n++
		c, err := change.Parse(e.Chunk)
		if err == nil && c.Hash != h {
			err = change.ErrChecksum
		}
		if err == nil {
			v.add(&c)
		}
		return err
	})
	switch {
	case err != nil:
		v.loses("%s: %v", versions, err)
	case n != p.changes:
		v.loses("%s has %d changes, not %d", versions, n, p.changes)
	}
}

func (v *verifier) rows(tx *db.Tx) error {
	rows, err := tx.Query(`SELECT version, chunks FROM document_changes WHERE document_id = $1 ORDER BY version`, v.id)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var version int64
		var chunks sql.RawBytes
		if err := rows.Scan(&version, &chunks); err != nil {
			return err
		}
		if version != v.at+1 {
			v.loses("version %d is followed by %d", v.at, version)
		}
		v.at = max(v.at, version)
		if len(chunks) == 0 {
			v.loses("version %d has no changes", version)
		}
		for rest := bytes.Clone(chunks); len(rest) > 0; {
			var c change.Change
			if c, rest, err = change.Next(rest); err != nil {
				v.loses("version %d: %v", version, err)
				break
			}
			v.add(&c)
		}
	}
	return rows.Err()
}

// add takes in the next change of the log.
func (v *verifier) add(c *change.Change) {
	if v.known[c.Hash] {
		v.tell("change " + c.Hash.String() + " is there twice")
	}
	for i := range c.NumDeps() {
		if !v.lost && !v.known[c.Dep(i)] {
			v.tell(fmt.Sprintf("change %s does not come after %s, which it depends on", c.Hash, c.Dep(i)))
		}
	}
	v.known[c.Hash] = true
	v.hashes = append(v.hashes, c.Hash)
	v.length += len(c.Chunk)
}

func (v *verifier) snapshot(tx *db.Tx) error {
	var changes int
	var data []byte
	switch err := tx.QueryRow(`SELECT changes, data FROM document_snapshots WHERE document_id = $1`, v.id).Scan(&changes, &data); {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	v.tally.Snapshots++
	if err := change.CheckDocument(data); err != nil {
		v.tell("its snapshot: " + err.Error())
	}
	if changes < 1 || changes > len(v.hashes) && !v.lost {
		v.tell(fmt.Sprintf("its snapshot is said to be of %d changes, and there are %d", changes, len(v.hashes)))
	}
	return nil
}
