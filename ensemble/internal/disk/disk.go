// Package disk is the file system as a server needs it: the dozen or so calls behind everything durable, as an interface,
// so that the log, the snapshots and the epoch files are tested against a disk that crashes, fails, fills up and lies.
//
// There are two implementations. [OS] is the real one. [Mem] lives in memory: fast and plain by default, good enough to
// be the whole disk of an in-process server, and, on request, a model of a disk at its worst: it can hand out a copy of
// itself as a crash would leave it ([Mem.CrashClone]), fail any call, fill up, turn read-only and flip bits.
//
// The one idea is what survives a crash:
//
//   - bytes written to a file, and its size, survive once [File.Sync] has returned without error, and not before: until
//     then any part of them may survive, sector by sector, in any order;
//   - a name made, renamed or removed survives once [FS.SyncDir] of its directory has returned, and until then perhaps;
//   - a failed Sync says nothing about what is on the disk, and a second one that succeeds says nothing either: the kernel
//     may have dropped the pages. Whoever sees a failed write, Sync, Rename or SyncDir must stop using what it wrote.
//
// What platforms lack degrades as follows. Linux: fdatasync, fallocate and directory sync are all used; a file system
// without fallocate gets its space looked at and the file extended sparsely. Darwin: Sync is F_FULLFSYNC, space is
// allocated with F_PREALLOCATE. Windows: there is no directory sync, SyncDir does nothing, so a name may be lost or come
// back with a power failure; a file extended there has its space. Elsewhere: files are extended sparsely and Free does not
// know.
//
// Names are paths of the operating system. All calls of an FS, and of different Files, may be made concurrently; calls of
// one File may too, except Close. Policy (which files, in which order, what a failure means) is left to the callers.
package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// SectorSize is the unit, in bytes, that a disk writes whole or not at all.
const SectorSize = 512

// Kinds of failure, for errors.Is; those of io/fs (ErrNotExist, ErrExist, ErrClosed) are used too.
var (
	// ErrNoSpace: the disk, or the quota, is full.
	ErrNoSpace = errors.New("no space left on device")
	// ErrReadOnly: the file system does not take writes.
	ErrReadOnly = errors.New("read-only file system")
	// ErrLocked: another process, or another opener in this one, holds the lock file.
	ErrLocked = errors.New("locked by another process")
	// ErrDamaged: what is on the disk is not what was written. See Damage.
	ErrDamaged = errors.New("damaged data")
	// ErrBroken: a write, sync or rename failed, now or earlier, and whoever did it writes nothing any more. See Broken.
	ErrBroken = errors.New("broken by a failure of the disk")
)

// FS is a file system. Every error is an *fs.PathError or *os.LinkError, or wraps one.
type FS interface {
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// Create opens a file for reading and writing; it is made, or emptied if it exists. The name is durable after SyncDir.
	Create(name string) (File, error)
	// Edit opens an existing file for reading and writing and leaves what is in it.
	Edit(name string) (File, error)
	// ReadDir returns the sorted names of what is in dir.
	ReadDir(dir string) ([]string, error)
	// Stat describes a file or directory; fs.ErrNotExist if there is none.
	Stat(name string) (Info, error)
	// MkdirAll makes a directory and those above it. They are durable on return; it is no error if they exist.
	MkdirAll(dir string) error
	// Rename moves a file to a name in the same directory, replacing what had it. Durable after SyncDir.
	Rename(from, to string) error
	// Remove deletes a file. Durable after SyncDir.
	Remove(name string) error
	// SyncDir makes creates, renames and removes in dir durable. It does not reach into directories below.
	SyncDir(dir string) error
	// Free is the number of bytes that this process may still allocate where dir is.
	Free(dir string) (int64, error)
	// Lock takes a lock file for this opener, making it if need be, until the Closer is closed or the process dies. It does
	// not wait: ErrLocked if somebody has it.
	Lock(name string) (io.Closer, error)
}

// File is an open file. Reads and writes give their offsets; there is no position.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size is the present size in bytes.
	Size() (int64, error)
	// Truncate sets the size; what is added reads as zeros and need not have space on the disk.
	Truncate(size int64) error
	// Reserve sees to it that the first size bytes have space on the disk and extends the file with zeros to that size if it
	// is smaller. ErrNoSpace if the disk has not that much; then nothing that was in the file is changed.
	Reserve(size int64) error
	// Sync makes the content and the size durable. After an error the File must not be used any more.
	Sync() error
}

// Info describes a file or directory.
type Info struct {
	Size int64 // bytes; 0 for a directory
	Dir  bool
}

// ReadFile returns the content of a file that is expected to be small: a file above limit bytes is an error, and is not
// read.
func ReadFile(fsys FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%d bytes, at most %d expected", size, limit)}
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		if err == io.EOF || err == nil {
			err = io.ErrUnexpectedEOF
		}
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return b, nil
}

// Replace gives the file name new content so that a crash leaves the old or the new, whole: it is written to name+".tmp",
// synced, renamed, and the directory synced. Durable on return.
func Replace(fsys FS, name string, content []byte) error {
	tmp := name + ".tmp"
	f, err := fsys.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := fsys.Rename(tmp, name); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// Damage is the report of damaged data: which file, where, what is wrong and what a person can do. It answers
// errors.Is(err, ErrDamaged).
type Damage struct {
	File   string // path of the file
	Offset int64  // byte at which the damaged item begins; -1 if the whole file is meant
	What   string // what is wrong
	Remedy string // what to do about it
	Err    error  // the failure below it, such as a read error; may be nil
}

func (d *Damage) Error() string {
	s := d.File
	if d.Offset >= 0 {
		s = fmt.Sprintf("%s at byte %d", s, d.Offset)
	}
	s += ": " + d.What
	if d.Err != nil {
		s += ": " + d.Err.Error()
	}
	if d.Remedy != "" {
		s += " (" + d.Remedy + ")"
	}
	return s
}

// Unwrap says that this is damage, and gives the failure below it.
func (d *Damage) Unwrap() []error {
	if d.Err == nil {
		return []error{ErrDamaged}
	}
	return []error{ErrDamaged, d.Err}
}

// Broken is the last word of somebody who writes to a disk: it answers to ErrBroken and to whatever the cause answers to, but never
// to ErrNoSpace, which is left to refusals that broke nothing.
func Broken(cause error) error {
	if errors.Is(cause, ErrBroken) {
		return cause
	}
	return &brokenError{cause}
}

type brokenError struct{ cause error }

func (e *brokenError) Error() string { return ErrBroken.Error() + ": " + e.cause.Error() }

func (e *brokenError) Is(target error) bool {
	return target == ErrBroken || target != ErrNoSpace && errors.Is(e.cause, target)
}

func (e *brokenError) As(target any) bool { return errors.As(e.cause, target) }
