//go:build !linux

package materialize

import "syscall"

// dieWithParent has nothing to set: a worker ends when it has done its request
// and nothing more comes.
func dieWithParent() *syscall.SysProcAttr { return nil }
