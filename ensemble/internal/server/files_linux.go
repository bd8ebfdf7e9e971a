package server

import (
	"os"
	"syscall"
)

// openFiles is how many files this process has open and may have.
func openFiles() (open, most int64) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, 0
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return int64(len(entries)), 0
	}
	return int64(len(entries)), int64(limit.Cur)
}
