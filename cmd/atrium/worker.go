package main

import (
	"os"

	"atrium/collab/materialize"
)

// workerCommand is what serve starts itself as, to have documents' contents
// read and written in processes that may die.
type workerCommand struct{}

// Run does what it is asked on stdin, until that ends.
func (workerCommand) Run() error { return materialize.Work(os.Stdin, os.Stdout) }
