package materialize

import "syscall"

// dieWithParent makes the kernel kill a worker whose parent has died, even if
// it is busy and does not see that nothing more comes.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
