package store

import (
	"errors"
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Truncate takes history back to zxid, durably, as TRUNC from a leader asks: the log keeps nothing after it, and no snapshot that
// has anything after it in it stays, also of those that began before (Apache keeps these, ZOOKEEPER-1549). The tree must be
// read again with Reload. ErrUnreachable if no good snapshot and log lead to exactly zxid; then nothing has changed.
func (s *Store) Truncate(zxid znode.Zxid) error {
	if err := s.ready(); err != nil {
		return err
	}
	if s.image != nil {
		return fmt.Errorf("%w: %v is being written", ErrMisuse, s.image.Name())
	}
	drop, err := s.reach(zxid)
	if err != nil {
		return err
	}
	before := func(st *statement) {
		st.Mark.Offset, st.Mark.Zxid, st.Mark.Sum = 0, min(st.Mark.Zxid, zxid), 0
	}
	if err := s.witness.state(before, true); err != nil {
		return s.broken(err)
	}
	if _, err := s.removeImages(drop); err != nil {
		return err
	}
	if err := s.log.Truncate(zxid); err != nil {
		return s.outcome(err)
	}
	mark := s.log.Mark()
	if err := s.witness.state(func(st *statement) { st.Mark = mark }, true); err != nil {
		return s.broken(err)
	}
	s.log.SetLast(zxid)
	return nil
}

// reach looks whether zxid can be reached, and returns the snapshots that have later transactions in them.
func (s *Store) reach(zxid znode.Zxid) (drop []snapshot.Name, err error) {
	if _, err := s.log.Sync(); err != nil {
		return nil, s.outcome(err)
	}
	names, err := snapshot.Names(s.fsys, s.snapDir)
	if err != nil {
		return nil, err
	}
	base := znode.Zxid(-1)
	for _, name := range names {
		if name.Zxid > zxid {
			drop = append(drop, name)
			continue
		}
		t, err := s.trailer(name)
		switch {
		case errors.Is(err, disk.ErrDamaged):
		case err != nil:
			return nil, err
		case t.HasDigest && t.DigestZxid > zxid || t.HasLast && t.Last > zxid:
			drop = append(drop, name)
		default:
			base = max(base, name.Zxid)
		}
	}
	if base < 0 {
		return nil, fmt.Errorf("%w: no snapshot up to %v", ErrUnreachable, zxid)
	}
	at := base
	for r, err := range s.log.From(base + 1) {
		if err != nil {
			return nil, fmt.Errorf("%w: %v: %w", ErrUnreachable, zxid, err)
		}
		if r.Zxid > zxid {
			break
		}
		at = r.Zxid
	}
	if at != zxid {
		return nil, fmt.Errorf("%w: %v, only %v", ErrUnreachable, zxid, at)
	}
	return drop, nil
}

func (s *Store) trailer(name snapshot.Name) (t snapshot.Trailer, err error) {
	r, err := snapshot.Open(s.fsys, s.snapDir, name)
	if err != nil {
		return t, err
	}
	defer r.Close()
	if err := r.Verify(); err != nil {
		return t, err
	}
	return r.Trailer(), nil
}
