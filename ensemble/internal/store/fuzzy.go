package store

import (
	"path/filepath"
)

// fuzzyName is the name of a mark beside the snapshots.
const fuzzyName = "bellwether.fuzzy"

// Fuzzy says whether the newest snapshot is known to be half of something: one that a leader of Apache's sent while its tree went
// on changing, or one older than what it replaced, without the transactions that make it whole. A server that finds it so when it
// starts must not believe it.
func (s *Store) Fuzzy() (bool, error) { return s.exists(filepath.Join(s.snapDir, fuzzyName)) }

// SetFuzzy makes or takes away the mark, durably: it is made before Install, and taken away once everything that belongs to the snapshot
// is synced. It costs nothing when there is nothing to change.
func (s *Store) SetFuzzy(on bool) error {
	if err := s.Err(); err != nil {
		return err
	}
	is, err := s.Fuzzy()
	if err != nil || is == on {
		return err
	}
	name := filepath.Join(s.snapDir, fuzzyName)
	if on {
		f, cerr := s.fsys.Create(name)
		if err = cerr; err == nil {
			err = f.Close()
		}
	} else {
		err = s.fsys.Remove(name)
	}
	if err == nil {
		err = s.fsys.SyncDir(s.snapDir)
	}
	if err != nil {
		return s.broken(err)
	}
	return nil
}
