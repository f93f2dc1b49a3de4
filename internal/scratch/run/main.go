// Command run starts a Postgres and a Redis of its own, runs a command that finds
// them by ATRIUM_BENCH_DATABASE_URL and ATRIUM_BENCH_REDIS_URL, and ends with it:
//
//	go run ./internal/scratch/run -- bin/atrium bench push --nodes 2
//
// Unlike a test's, this Postgres waits for the disk. TMPDIR says which disk.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"atrium/internal/scratch"
)

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fatal("usage: run [--] command [argument …]")
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)

	var t stand
	database := scratch.NewPostgres(t, "fsync=on").CreateDatabase(t)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "ATRIUM_BENCH_DATABASE_URL="+database, "ATRIUM_BENCH_REDIS_URL="+scratch.NewRedis(t).RedisURL())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fatal(err)
	}
	go func() {
		for s := range signals {
			if s != os.Interrupt { // which the terminal has sent to both
				cmd.Process.Signal(s)
			}
		}
	}()
	err := cmd.Wait()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		os.Exit(max(exit.ExitCode(), 1))
	}
	if err != nil {
		fatal(err)
	}
}

// stand stands in for a test. There is nothing to clean up: the servers and what
// they have end with the process.
type stand struct{}

func (stand) Helper()                           {}
func (stand) Cleanup(func())                    {}
func (stand) Fatal(args ...any)                 { fatal(args...) }
func (stand) Fatalf(format string, args ...any) { fatal(fmt.Sprintf(format, args...)) }

func fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(1)
}
