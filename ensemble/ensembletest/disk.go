package ensembletest

import (
	"path"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
)

// A drive is a disk in memory that may be slow, fail, or be full.
type drive struct {
	memory  *disk.Mem
	slow    atomic.Int64  // nanoseconds that a sync takes
	failing atomic.Bool   // the next sync of the log does not work
	full    atomic.Bool   // also of what is given back nothing may be used again
	harmed  atomic.Bool   // one has not worked, or there was no space: whoever stops may do so because of that
	off     chan struct{} // closed when nobody has to wait any more
	ended   atomic.Bool
}

func newDrive(memory *disk.Mem) *drive {
	d := &drive{memory: memory, off: make(chan struct{})}
	memory.SetFault(d.fault)
	return d
}

// fault lets a sync take its time, and fail if it shall, and keeps a full disk full.
func (d *drive) fault(op disk.Op) disk.Fault {
	switch op.Kind {
	case disk.OpSync, disk.OpSyncDir:
	case disk.OpWrite, disk.OpReserve:
		if d.full.Load() {
			d.memory.SetBudget(max(d.memory.Used(), 1))
		}
		return disk.Fault{}
	default:
		return disk.Fault{}
	}
	if slow := time.Duration(d.slow.Load()); slow > 0 {
		d.wait(slow)
	}
	if op.Kind == disk.OpSync && isLog(path.Base(op.Path)) && d.failing.CompareAndSwap(true, false) {
		d.harmed.Store(true)
		return disk.Fault{Err: syscall.EIO, Drop: true}
	}
	return disk.Fault{}
}

// isLog reports whether a file is one of the log's: with its own name, or opened before it got one.
func isLog(name string) bool { return strings.HasPrefix(name, "log.") || name == txnlog.SpareName }

// wait waits for so long, unless nobody has to wait any more.
func (d *drive) wait(long time.Duration) {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.off:
	}
}

// crash is the disk that is left; this one is dead, and keeps nobody waiting. A nil keep is the end of a process alone.
func (d *drive) crash(keep func(disk.Unsynced) bool) *drive {
	memory := d.memory.Reopen()
	if keep != nil {
		memory = memory.CrashClone(keep)
	}
	next := newDrive(memory)
	next.slow.Store(d.slow.Load())
	next.failing.Store(d.failing.Load())
	next.full.Store(d.full.Load())
	next.harmed.Store(d.harmed.Load())
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

// FailNextSync lets the next sync of the server's transaction log fail, with syscall.EIO, also if that comes only after a restart or a
// crash. As with a real disk, what was to be synced is lost when the power is, though it can be read until then and later syncs succeed.
// The server stops by itself (see [Server.Done] and [Server.Err]) without having acknowledged what it could not sync, and may be
// restarted; what it finds then it writes once more. It panics when the data is in files.
func (s *Server) FailNextSync() {
	s.e.mustBelong()
	s.mustBeInMemory()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drive.failing.Store(true)
}

// FillDisk leaves no space on the server's disk, until FreeDisk: through restarts and crashes too. A server that stands alone refuses
// writes and goes on, and its sessions do not expire, until there is space again. One of several uses up what its log has reserved
// (Storage.PreAlloc, 64 KiB in memory), then stops by itself; it may be restarted, perhaps in vain as long as there is no space. It
// panics when the data is in files.
func (s *Server) FillDisk() {
	s.e.mustBelong()
	s.mustBeInMemory()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drive.harmed.Store(true)
	s.drive.full.Store(true)
}

// FreeDisk ends FillDisk.
func (s *Server) FreeDisk() {
	s.e.mustBelong()
	s.mustBeInMemory()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drive.full.Store(false)
	s.drive.memory.SetBudget(0)
}

// mustBeInMemory panics if the server's disk is one that cannot be harmed.
func (s *Server) mustBeInMemory() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drive == nil {
		panic("ensembletest: the data of " + s.String() + " is in files, whose disk cannot be harmed")
	}
}
