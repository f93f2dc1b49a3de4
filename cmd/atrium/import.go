package main

import (
	"errors"
	"fmt"
	"log/slog"

	"atrium/collab"
)

type importCommand struct {
	dataSettings
	Dir string `arg:"" help:"Where from: its files <documentId>.automerge." type:"existingdir"`
}

// Run prints which files could not be imported, and how much is new.
func (c *importCommand) Run() (err error) {
	ctx, stop := interruptible()
	defer stop()
	contents, err := newWorkers(slog.New(slog.DiscardHandler)) // what fails is told by file
	if err != nil {
		return err
	}
	defer contents.Close()
	store, err := c.open(ctx, nil)
	if err != nil {
		return err
	}
	var faults faults
	t, err := collab.Import(ctx, store, contents, c.Dir, faults.print)
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	fmt.Printf("%d documents imported, %d changes new, %d bytes\n", t.Documents, t.Changes, t.Bytes)
	return faults.err()
}
