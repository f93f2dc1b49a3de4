package materialize

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"
)

// limitMemory lets the process allocate so many bytes more than it has now:
// what goes beyond fails, in Rust and in Go by ending the process. It dumps no
// core then. full says whether half of it is taken.
func limitMemory(bytes int64) (full func() bool, err error) {
	base, err := dataSize()
	if err != nil {
		return nil, err
	}
	limit := syscall.Rlimit{Cur: uint64(base + bytes), Max: uint64(base + bytes)}
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &limit); err != nil {
		return nil, err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return nil, err
	}
	return func() bool {
		now, err := dataSize()
		return err != nil || now-base > bytes/2
	}, nil
}

// dataSize returns the size of what RLIMIT_DATA limits.
func dataSize() (int64, error) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(statm)
	if len(fields) < 6 {
		return 0, errors.New("/proc/self/statm is too short")
	}
	pages, err := strconv.ParseInt(string(fields[5]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}
