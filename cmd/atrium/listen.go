package main

import (
	"context"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unsent is how much of what is written to a connection the kernel takes before
// it has sent it. By default that is megabytes, all of them stale by the time a
// slow reader comes to them; what is not in the kernel yet, Atrium can still
// leave out, or join with what came since.
const unsent = 64 << 10

// listen listens on a TCP address. Connections inherit the listener's options.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		var err error
		if controlErr := conn.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
		}); controlErr != nil {
			return controlErr
		}
		return err
	}}
	config.SetMultipathTCP(false) // its listeners hand no options down
	return config.Listen(ctx, "tcp", addr)
}
