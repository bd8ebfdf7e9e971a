//go:build unix

package front

import (
	"net"
	"syscall"
)

// tryTCP returns a function that writes to t as much as the kernel has room for and does not wait.
func tryTCP(t *net.TCPConn) func(p []byte) (int, error) {
	raw, err := t.SyscallConn()
	if err != nil {
		return nil
	}
	var p []byte // in and out of attempt, which is made once so that writing allocates nothing
	var n int
	var failed error
	attempt := func(fd uintptr) bool {
		for n, failed = syscall.Write(int(fd), p); failed == syscall.EINTR; {
			n, failed = syscall.Write(int(fd), p)
		}
		if failed == syscall.EAGAIN {
			n, failed = 0, nil
		}
		n = max(n, 0)
		return true
	}
	return func(q []byte) (int, error) {
		p = q
		err := raw.Write(attempt)
		p = nil
		if err != nil {
			return 0, err
		}
		return n, failed
	}
}
