package bench

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ownGroup puts a child into a group of its own, to be ended with what it
// starts, and never outliving the bench.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// cpuTime returns what a process has spent, user and system, all threads, also
// those that have ended. It is what utime and stime in /proc/<pid>/stat say, in
// nanoseconds instead of ticks.
func cpuTime(pid int) (time.Duration, error) {
	const cpuClock = 2 // CPUCLOCK_SCHED of linux/posix-timers.h
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuClock), &ts); err != nil {
		return 0, err
	}
	return time.Duration(ts.Nano()), nil
}
