package link

import (
	"net"
	"syscall"
	"time"
)

const tcpUserTimeout = 18 // TCP_USER_TIMEOUT, which package syscall does not name

// setUserTimeout bounds how long sent bytes may stay without an acknowledgement; without it that takes the kernel a quarter of an
// hour.
func setUserTimeout(tcp *net.TCPConn, patience time.Duration) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(patience.Milliseconds()))
	})
}
