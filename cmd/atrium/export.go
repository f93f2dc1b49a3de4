package main

import (
	"errors"
	"fmt"

	"atrium/collab"
)

type exportCommand struct {
	dataSettings
	Dir   string `arg:"" help:"Where to; it gets a file <documentId>.automerge for each document." type:"path"`
	Force bool   `help:"Replace files that are there."`
}

// Run prints which documents could not be exported, and how much was.
func (c *exportCommand) Run() error {
	ctx, stop := interruptible()
	defer stop()
	store, err := c.existing(ctx)
	if err != nil {
		return err
	}
	var faults faults
	t, err := collab.Export(ctx, store, c.Dir, c.Force, faults.print)
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	fmt.Printf("%d documents exported, %d changes, %d bytes\n", t.Documents, t.Changes, t.Bytes)
	return faults.err()
}
