package disk

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// syncData is F_FULLFSYNC, which is what os.File.Sync asks for here.
func syncData(f *os.File) error { return f.Sync() }

func reserve(f *os.File, size int64) error {
	i, err := f.Stat()
	if err != nil || i.Size() >= size {
		return err
	}
	store := unix.Fstore_t{Flags: unix.F_ALLOCATEALL, Posmode: unix.F_PEOFPOSMODE, Length: size - i.Size()}
	err = unix.FcntlFstore(f.Fd(), unix.F_PREALLOCATE, &store)
	if errors.Is(err, unix.ENOSPC) {
		return err
	}
	return extend(f, size) // the file is only as long as it is truncated to; without F_PREALLOCATE, sparse
}

func freeSpace(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
