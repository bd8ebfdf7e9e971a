package store

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// BeginSnapshot begins the snapshot of a tree that has every transaction up to zxid in it, and starts a new log file. The caller
// writes to the Writer, on any one goroutine, up to and including Finish, and gives it back, on the Store's goroutine, with
// CommitSnapshot, Install or AbandonSnapshot; there is at most one at a time. Without space it is disk.ErrNoSpace and nothing has
// begun. It may be called while the Store is untrusted.
func (s *Store) BeginSnapshot(zxid znode.Zxid) (*snapshot.Writer, error) {
	if err := s.receptive(); err != nil {
		return nil, err
	}
	if s.image != nil {
		return nil, fmt.Errorf("%w: %v is being written", ErrMisuse, s.image.Name())
	}
	if !s.untrusted {
		if err := s.Roll(); err != nil {
			return nil, err
		}
	}
	w, err := snapshot.Create(s.fsys, s.snapDir, zxid, s.opts.Compression)
	if err != nil {
		if errors.Is(err, disk.ErrNoSpace) {
			return nil, err
		}
		return nil, s.broken(err)
	}
	s.image = w
	return w, nil
}

// CommitSnapshot gives a finished snapshot its name; it is durable on return.
func (s *Store) CommitSnapshot(w *snapshot.Writer) error {
	if err := s.ready(); err != nil {
		return err
	}
	if w == nil || w != s.image {
		return fmt.Errorf("%w: not the snapshot that was begun", ErrMisuse)
	}
	if w.Err() != nil {
		return errors.Join(w.Err(), s.AbandonSnapshot(w))
	}
	s.image = nil
	img := imageState{Name: w.Name(), Size: w.Size(), CRC: w.CRC(), Known: true}
	err := s.witness.state(func(st *statement) { st.Images = append(st.Images, img) }, true)
	if err == nil {
		err = w.Publish()
	}
	if err == nil {
		err = s.witness.state(func(st *statement) { st.forget(img.Name, &img) }, false)
	}
	if err != nil {
		return s.broken(err)
	}
	return nil
}

// forget drops what was said of a snapshot, except keep.
func (st *statement) forget(name snapshot.Name, keep *imageState) {
	left := st.Images[:0:0]
	for _, i := range st.Images {
		if i.Name != name || keep != nil && i == *keep {
			left = append(left, i)
		}
	}
	st.Images = left
}

// AbandonSnapshot gives up a snapshot. If the Writer failed for lack of space the Store goes on; after any other failure of the
// disk it is broken.
func (s *Store) AbandonSnapshot(w *snapshot.Writer) error {
	if err := s.receptive(); err != nil {
		return err
	}
	if w == nil || w != s.image {
		return fmt.Errorf("%w: not the snapshot that was begun", ErrMisuse)
	}
	s.image = nil
	if err := w.Err(); err != nil && !errors.Is(err, disk.ErrNoSpace) && !errors.Is(err, snapshot.ErrMisuse) {
		return s.broken(err)
	}
	if err := w.Abandon(); err != nil {
		return s.broken(err)
	}
	return nil
}

// RetainFrom reads the newest snapshots until it has found n that are good, and returns the zxid of the oldest of them; ok is false
// if there are not so many. Any goroutine may call it, and it may take long.
func (s *Store) RetainFrom(n int) (zxid znode.Zxid, ok bool, err error) {
	names, err := snapshot.Names(s.fsys, s.snapDir)
	if err != nil {
		return 0, false, err
	}
	for _, name := range names {
		switch err := snapshot.Verify(s.fsys, s.snapDir, name); {
		case errors.Is(err, disk.ErrDamaged):
			continue
		case err != nil:
			return 0, false, err
		}
		if n--; n <= 0 {
			return name.Zxid, true, nil
		}
	}
	return 0, false, nil
}

// PurgeBefore removes the snapshots before zxid, and the log files that are not needed to go on from there (class PurgeTxnLog). It
// returns the paths removed, durably. Call it with what RetainFrom returned.
func (s *Store) PurgeBefore(zxid znode.Zxid) (removed []string, err error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	names, err := snapshot.Names(s.fsys, s.snapDir)
	if err != nil {
		return nil, err
	}
	var gone []snapshot.Name
	for _, name := range names {
		if name.Zxid < zxid {
			gone = append(gone, name)
		}
	}
	if removed, err = s.removeImages(gone); err != nil {
		return removed, err
	}
	logs, err := s.log.Prune(zxid)
	return append(removed, logs...), s.outcome(err)
}

func (s *Store) removeImages(names []snapshot.Name) (removed []string, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	for _, name := range names {
		path := filepath.Join(s.snapDir, name.String())
		if err := s.fsys.Remove(path); err != nil {
			return removed, s.broken(err)
		}
		removed = append(removed, path)
	}
	err = s.fsys.SyncDir(s.snapDir)
	if err == nil {
		err = s.witness.state(func(st *statement) {
			for _, name := range names {
				st.forget(name, nil)
			}
		}, false)
	}
	if err != nil {
		return removed, s.broken(err)
	}
	return removed, nil
}
