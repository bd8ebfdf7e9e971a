package store

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
)

// servedName is the name of the marker, beside myid and version-2: whoever empties version-2 does not remove it.
const servedName = "bellwether.served"

// beginnings looks for the marker and for the permission to begin.
func (s *Store) beginnings() (err error) {
	if s.served, err = s.exists(filepath.Join(s.opts.DataDir, servedName)); err != nil {
		return err
	}
	s.initialize, err = s.exists(filepath.Join(s.opts.LogDir, initializeName))
	return err
}

func (s *Store) exists(path string) (bool, error) {
	_, err := s.fsys.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Served says whether it is noted that this server has served, so that an empty directory has lost something (see Recovery.Empty), and
// nothing is left to note: with the file initialize there is, for MarkServed has yet to remove it.
func (s *Store) Served() bool { return s.served && !s.initialize }

// MarkServed notes, durably, that this server serves: from now on an empty directory is not where it begins. It is to be called
// before the first acknowledgement of anything: a leader's history, a record, a client's write. The file initialize, whose permission
// has been used with that, is removed. It costs nothing when both is done already. Without space it is disk.ErrNoSpace, and
// perhaps not done; any other failure breaks the Store.
func (s *Store) MarkServed() error {
	if err := s.Err(); err != nil {
		return err
	}
	if !s.served {
		if err := s.mark(); err != nil {
			if errors.Is(err, disk.ErrNoSpace) {
				return err
			}
			return s.broken(err)
		}
		s.served = true
	}
	if s.initialize {
		err := s.fsys.Remove(filepath.Join(s.opts.LogDir, initializeName))
		if err == nil {
			err = s.fsys.SyncDir(s.opts.LogDir)
		}
		if err != nil {
			return s.broken(err)
		}
		s.initialize = false
	}
	return nil
}

// mark makes the marker. Only its name counts.
func (s *Store) mark() error {
	f, err := s.fsys.Create(filepath.Join(s.opts.DataDir, servedName))
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return s.fsys.SyncDir(s.opts.DataDir)
}
