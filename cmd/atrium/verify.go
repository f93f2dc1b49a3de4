package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"atrium/collab"
	"atrium/internal/db"
)

// verifyCommand, exportCommand and importCommand work on a store that no server
// has open, if it is a SQLite file.
type verifyCommand struct{ dataSettings }

// Run prints what is wrong, and how much there is.
func (c *verifyCommand) Run() error {
	ctx, stop := interruptible()
	defer stop()
	store, err := c.existing(ctx)
	if err != nil {
		return err
	}
	var faults faults
	t, err := collab.Verify(ctx, store, faults.print)
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	fmt.Printf("%d documents, %d changes, %d bytes, %d packs, %d snapshots, %d deleted\n", t.Documents, t.Changes, t.Bytes, t.Packs, t.Snapshots, t.Deleted)
	return faults.err()
}

// existing opens a store that is there.
func (s *dataSettings) existing(ctx context.Context) (*db.DB, error) {
	if s.DatabaseURL != "" {
		return s.open(ctx, nil)
	}
	if _, err := os.Stat(filepath.Join(s.DataDir, db.FileName)); err != nil {
		return nil, fmt.Errorf("there is no store in data directory %s: %w", s.DataDir, err)
	}
	return s.open(ctx, nil)
}

// faults counts what is wrong.
type faults int

func (n *faults) print(f collab.Fault) {
	*n++
	fmt.Printf("%s: %s\n", f.DocumentID, f.What)
}

func (n faults) err() error {
	switch n {
	case 0:
		return nil
	case 1:
		return errors.New("there is a fault")
	}
	return fmt.Errorf("there are %d faults", n)
}
