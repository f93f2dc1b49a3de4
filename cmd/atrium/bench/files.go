package bench

import (
	"fmt"
	"syscall"
)

// enoughFiles raises the limit of open files as far as needed for so many
// connections, and says so if it cannot. Children inherit what it is then.
func enoughFiles(connections int) error {
	const besides = 100 // files
	need := uint64(connections + besides)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if limit.Cur >= need {
		return nil
	}
	if limit.Max >= need {
		limit.Cur = need
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%d connections need %d open files, here and in the server: the limit (RLIMIT_NOFILE) is %d, raise it with ulimit -n", connections, need, limit.Max)
}
