package ensembletest

import (
	"sync/atomic"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
)

// A drive is a disk in memory that may be slow.
type drive struct {
	memory *disk.Mem
	slow   atomic.Int64  // nanoseconds that a sync takes
	off    chan struct{} // closed when nobody has to wait any more
	ended  atomic.Bool
}

func newDrive(memory *disk.Mem) *drive {
	d := &drive{memory: memory, off: make(chan struct{})}
	memory.SetFault(d.fault)
	return d
}

// fault lets a sync take its time.
func (d *drive) fault(op disk.Op) disk.Fault {
	if op.Kind != disk.OpSync && op.Kind != disk.OpSyncDir {
		return disk.Fault{}
	}
	slow := time.Duration(d.slow.Load())
	if slow <= 0 {
		return disk.Fault{}
	}
	timer := time.NewTimer(slow)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.off:
	}
	return disk.Fault{}
}

// crash is the disk that is left; this one is dead, and keeps nobody waiting.
func (d *drive) crash(keep func(disk.Unsynced) bool) *drive {
	next := newDrive(d.memory.Crash(keep))
	next.slow.Store(d.slow.Load())
	d.release()
	return next
}

// release ends all waiting, for good.
func (d *drive) release() {
	d.slow.Store(0)
	if !d.ended.Swap(true) {
		close(d.off)
	}
}

// SlowDisk lets every sync of the server's disk take d, from the next one on, through restarts and crashes too; 0 ends that. A server
// that is stopped waits for the sync that is under way; one that is killed does not. It panics when the data is in files.
func (s *Server) SlowDisk(d time.Duration) {
	s.e.mustBelong()
	s.mustBeInMemory()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drive.slow.Store(int64(d))
}

// mustBeInMemory panics if the server's disk is one that cannot be harmed.
func (s *Server) mustBeInMemory() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drive == nil {
		panic("ensembletest: the data of " + s.String() + " is in files, whose disk cannot be harmed")
	}
}
