package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// OS is the operating system's file system.
func OS() FS { return osFS{} }

type osFS struct{}

type osFile struct{ f *os.File }

// A kindError is an error of the operating system that also answers to one of our kinds.
type kindError struct{ kind, err error }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

// kind adds the kind to errors that have one of ours.
func kind(err error) error {
	switch {
	case err == nil:
		return nil
	case noSpace(err):
		return &kindError{ErrNoSpace, err}
	case errors.Is(err, syscall.EROFS):
		return &kindError{ErrReadOnly, err}
	}
	return err
}

func (osFS) open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o644)
	if err != nil {
		return nil, kind(err)
	}
	return &osFile{f}, nil
}

func (o osFS) Open(name string) (File, error) { return o.open(name, os.O_RDONLY) }
func (o osFS) Create(name string) (File, error) {
	return o.open(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}
func (o osFS) Edit(name string) (File, error) { return o.open(name, os.O_RDWR) }

func (osFS) ReadDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (osFS) Stat(name string) (Info, error) {
	i, err := os.Stat(name)
	if err != nil {
		return Info{}, err
	}
	if i.IsDir() {
		return Info{Dir: true}, nil
	}
	return Info{Size: i.Size()}, nil
}

// MkdirAll makes the missing directories from the top down and syncs the parent of each.
func (o osFS) MkdirAll(dir string) error {
	dir = filepath.Clean(dir)
	if i, err := os.Stat(dir); err == nil {
		if !i.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := o.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return kind(err)
	}
	return o.SyncDir(parent)
}

func (osFS) Rename(from, to string) error        { return kind(os.Rename(from, to)) }
func (osFS) Remove(name string) error            { return kind(os.Remove(name)) }
func (osFS) SyncDir(dir string) error            { return kind(syncDir(dir)) }
func (osFS) Free(dir string) (int64, error)      { return freeSpace(dir) }
func (osFS) Lock(name string) (io.Closer, error) { return lockFile(name) }

func (f *osFile) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }
func (f *osFile) Close() error                            { return f.f.Close() }
func (f *osFile) Truncate(size int64) error               { return kind(f.f.Truncate(size)) }
func (f *osFile) Sync() error                             { return kind(syncData(f.f)) }

func (f *osFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.f.WriteAt(p, off)
	return n, kind(err)
}

func (f *osFile) Size() (int64, error) {
	i, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return i.Size(), nil
}

func (f *osFile) Reserve(size int64) error {
	if err := reserve(f.f, size); err != nil {
		return kind(&fs.PathError{Op: "reserve", Path: f.f.Name(), Err: err})
	}
	return nil
}

// extend is the part of Reserve every platform can do: look whether there is room, and make the file as long.
func extend(f *os.File, size int64) error {
	i, err := f.Stat()
	if err != nil || i.Size() >= size {
		return err
	}
	if free, err := freeSpace(filepath.Dir(f.Name())); err == nil && free < size-i.Size() {
		return syscall.ENOSPC
	}
	return f.Truncate(size)
}
