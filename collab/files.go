package collab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"atrium/collab/change"
	"atrium/collab/docsync"
	"atrium/collab/materialize"
	"atrium/internal/db"
)

// fileSuffix is how the name of a document's file ends; its id is before that.
const fileSuffix = ".automerge"

// ImportUser is whom imported changes are attributed to.
const ImportUser = "import"

// Export writes a file for every document that is not deleted: all its changes in
// the order of the log, as Automerge reads them. A file is there whole or not at
// all; one that is there already stays as it is, unless replace is set. What could
// not be exported is told, and left out.
func Export(ctx context.Context, d *db.DB, dir string, replace bool, tell func(Fault)) (t Tally, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return t, fmt.Errorf("create directory: %w", err)
	}
	s := store{db: d}
	err = s.eachDocument(ctx, func(x documentRow) error {
		if x.deleted {
			return nil
		}
		l, err := s.exportTo(ctx, dir, x.id, replace)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			tell(Fault{x.id, err.Error()})
			return nil
		}
		t.Documents++
		t.Changes += l.doc.Len()
		t.Bytes += l.bytes
		return nil
	})
	if err != nil {
		return t, fmt.Errorf("export: %w", err)
	}
	return t, syncDir(dir)
}

func (s store) exportTo(ctx context.Context, dir, documentID string, replace bool) (*wholeLog, error) {
	if !validDocumentID(documentID) {
		return nil, errors.New("its id is none")
	}
	path := filepath.Join(dir, documentID+fileSuffix)
	if _, err := os.Lstat(path); !replace && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("there is a file already, which only --force replaces")
	}
	l, err := s.read(ctx, documentID)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "."+documentID+".*")
	if err != nil {
		return nil, err
	}
	for _, chunk := range l.doc.Chunks(0, l.doc.Len()) {
		if _, err = f.Write(chunk); err != nil {
			break
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return nil, err
	}
	return l, nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Import adds what the files of a directory hold to the documents that they are
// named after, each file in one commit. Its tally is of files that are in the store
// now, and of changes that were not before. What is wrong with a file is told, and
// nothing of it added.
func Import(ctx context.Context, d *db.DB, contents *materialize.Pool, dir string, tell func(Fault)) (t Tally, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return t, fmt.Errorf("import: %w", err)
	}
	for _, f := range files {
		id, ok := strings.CutSuffix(f.Name(), fileSuffix)
		if !ok || strings.HasPrefix(id, ".") {
			continue
		}
		added, err := store{db: d}.importFrom(ctx, contents, filepath.Join(dir, f.Name()), id)
		switch {
		case ctx.Err() != nil:
			return t, fmt.Errorf("import: %w", ctx.Err())
		case err != nil:
			tell(Fault{id, err.Error()})
			continue
		}
		t.Documents++
		t.Changes += added.Changes
		t.Bytes += added.Bytes
	}
	return t, nil
}

func (s store) importFrom(ctx context.Context, contents *materialize.Pool, path, documentID string) (added Tally, err error) {
	if !validDocumentID(documentID) {
		return Tally{}, errors.New("the file's name is no document id")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Tally{}, err
	}
	chunks, ok := changesOf(data)
	if !ok {
		chunks, err = contents.Changes(ctx, documentID, data)
		if errors.Is(err, materialize.ErrUnreadable) {
			err = errors.New("this is no Automerge file, or a damaged one")
		}
	}
	if err == nil && len(chunks) == 0 {
		err = errors.New("there are no changes in it")
	}
	if err != nil {
		return Tally{}, err
	}
	return s.merge(ctx, documentID, chunks, time.Now())
}

// changesOf returns the changes of a file that holds nothing else, as Export makes
// them. Other files have to be read by a worker.
func changesOf(data []byte) (chunks [][]byte, ok bool) {
	for len(data) > 0 {
		c, rest, err := change.Next(data)
		if err != nil {
			return nil, false
		}
		chunks, data = append(chunks, c.Chunk), rest
	}
	return chunks, true
}

// merge adds changes to a document, all or none, after the checks that anybody's
// have to pass, and returns how much was new.
func (s store) merge(ctx context.Context, documentID string, chunks [][]byte, now time.Time) (added Tally, err error) {
	l, err := s.read(ctx, documentID)
	if err != nil {
		return Tally{}, err
	}
	author := docsync.NewAuthor(nil)
	for i := range chunks { // one by one: together they may be more than is checked at once
		refused, err := l.doc.Submit(author, chunks[i:i+1])
		if err != nil {
			return Tally{}, err
		}
		for _, x := range refused {
			return Tally{}, fmt.Errorf("change %s refused: %w", x.Change, x.Err)
		}
	}
	var entries []entry
	for _, x := range l.doc.Staged() {
		if n := len(entries); n > 0 && len(entries[n-1].chunks) < sealBytes {
			entries[n-1].chunks = append(entries[n-1].chunks, x.Chunk...)
			continue
		}
		entries = append(entries, entry{append([]byte(nil), x.Chunk...), ImportUser})
	}
	if len(entries) == 0 {
		return Tally{}, nil
	}
	added = Tally{Documents: 1, Changes: len(l.doc.Staged()), Bytes: l.doc.StagedBytes()}
	total := state{changes: l.doc.Len() + added.Changes, bytes: l.bytes + added.Bytes}
	_, behind, err := s.append(ctx, documentID, l.version, entries, total, now)
	if err == nil && behind != nil {
		err = errBehind
	}
	return added, err
}
