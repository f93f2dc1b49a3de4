package main

import (
	"log/slog"
	"os"

	"atrium/collab/materialize"
)

// workerCommand is what serve starts itself as, to have documents' contents
// read and written in processes that may die.
type workerCommand struct{}

// Run does what it is asked on stdin, until that ends.
func (workerCommand) Run() error { return materialize.Work(os.Stdin, os.Stdout) }

// newWorkers returns what starts them. They get none of the settings: a process
// that reads what strangers wrote needs no secrets.
func newWorkers(log *slog.Logger) (*materialize.Pool, error) {
	self, err := findSelf()
	if err != nil {
		return nil, err
	}
	return materialize.New(materialize.Options{Command: []string{self.Path, "worker"}, Env: self.Env, Logger: log}), nil
}
