//go:build !linux

package link

import (
	"net"
	"time"
)

// setUserTimeout is left to the kernel where it cannot be told.
func setUserTimeout(*net.TCPConn, time.Duration) {}
