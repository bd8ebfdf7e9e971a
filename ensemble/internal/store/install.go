package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
)

// A snapshot from a leader replaces history, it does not extend it: the log may end in records that the leader never had, may
// have a gap below the snapshot, or belong to another branch altogether. So nothing of what was there may stay where a replay
// or an older snapshot would find it. The order is:
//
//  1. the snapshot is written beside, and synced;
//  2. the witness announces it, with size and checksum, as one that replaces everything;
//  3. it gets its name, durably: from here on it counts;
//  4. all other snapshots and all log files go, the newest first;
//  5. the witness states that this is the directory.
//
// Recover finishes what a crash has interrupted behind 3, which it knows by the file being there, every byte of it, and
// otherwise takes the directory as it was. In an untrusted directory the other files are not removed but set aside, and the epoch
// files are put right between 4 and 5: the accepted epoch is the highest that was found anywhere, the current one that of the
// snapshot, for that is what this server can prove.

// replaces is what an announced snapshot replaces.
type replaces uint8

const (
	nothing         replaces = iota // it is one more
	everything                      // all the rest is removed
	everythingAside                 // all the rest is set aside, and the epochs are not to be believed
)

// asidePrefix begins the names of what was set aside: it goes on with the zxid of the snapshot that replaced it, in hex, a dot, and
// the name the file had. Neither Apache's server nor this one looks at such files. Those of one Install are kept at a time.
const asidePrefix = "bellwether.damaged."

// Install makes a finished snapshot from BeginSnapshot, whose tree came from a leader, all there is: no other snapshot and no
// record stays. It is durable on return; a crash before leaves either everything as it was or the snapshot alone, and Recover or
// the next one settles which. Last is the snapshot's zxid then, and Append goes on behind it. What Reserve had promised counts no
// more. An untrusted Store is a trusted one afterwards; acceptedEpoch is what it was or, if that was not to be believed, what
// Distrust reported, and currentEpoch the epoch of the snapshot until SaveCurrentEpoch.
//
// Nobody may read records (From) meanwhile. A failure breaks the Store.
func (s *Store) Install(w *snapshot.Writer) error {
	if err := s.receptive(); err != nil {
		return err
	}
	if w == nil || w != s.image {
		return fmt.Errorf("%w: not the snapshot that was begun", ErrMisuse)
	}
	if w.Err() != nil {
		return errors.Join(w.Err(), s.AbandonSnapshot(w))
	}
	s.image = nil
	img := imageState{Name: w.Name(), Size: w.Size(), CRC: w.CRC(), Known: true, Replaces: everything}
	if s.untrusted {
		img.Replaces = everythingAside
	}
	err := s.witness.state(func(st *statement) {
		st.Images = append(st.Images, img)
		if s.untrusted {
			st.Epochs[accepted].Next = s.promised
		}
	}, true)
	if err == nil {
		err = w.Publish()
	}
	if err == nil && s.log != nil {
		err = s.log.Clear(img.Name.Zxid)
	}
	if err == nil {
		err = s.replace(img)
	}
	if err == nil && s.log == nil {
		if err = s.startLog(txnlog.Mark{}); err == nil {
			s.log.SetLast(img.Name.Zxid)
		}
	}
	if err != nil {
		return s.broken(err)
	}
	s.untrusted = false
	return nil
}

// resume finishes an Install that a crash has interrupted after it was decided.
func (s *Store) resume(f *found) (bool, error) {
	if f.read == nil || f.stale {
		return false, nil
	}
	img, ok := f.read.installing()
	if !ok {
		return false, nil
	}
	if there, err := s.isThere(img); !there {
		return false, err
	}
	if err := s.openWitness(f, *f.read); err != nil {
		return false, err
	}
	err := s.replace(img)
	s.witness.close()
	s.witness = nil
	return true, err
}

// isThere says whether a snapshot has been published, whole.
func (s *Store) isThere(img imageState) (bool, error) {
	r, err := snapshot.Open(s.fsys, s.snapDir, img.Name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, disk.ErrDamaged) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	defer r.Close()
	return r.Size() == img.Size && r.Verify() == nil && r.CRC() == img.CRC, nil
}

// replace removes everything but img, or sets it aside, and has the witness say so.
func (s *Store) replace(img imageState) error {
	images, err := snapshot.Names(s.fsys, s.snapDir)
	if err != nil {
		return err
	}
	gone := 0
	for _, name := range images {
		if name != img.Name {
			if err := s.discard(img, s.snapDir, name.String()); err != nil {
				return err
			}
			gone++
		}
	}
	if gone > 0 {
		if err := s.fsys.SyncDir(s.snapDir); err != nil {
			return err
		}
	}
	logs, err := txnlog.Names(s.fsys, s.logDir)
	if err != nil {
		return err
	}
	for _, name := range slices.Backward(logs) { // one after the other, or a crash could leave a gap
		if err := s.discard(img, s.logDir, txnlog.Name(name)); err != nil {
			return err
		}
		if err := s.fsys.SyncDir(s.logDir); err != nil {
			return err
		}
	}
	if img.Replaces == everythingAside {
		if err := s.restoreEpochs(img); err != nil {
			return err
		}
		if err := s.dropAside(img); err != nil {
			return err
		}
	}
	return s.witness.state(func(st *statement) {
		img.Replaces = nothing
		st.Images, st.Mark, st.Blind, st.Doubted = []imageState{img}, txnlog.Mark{}, false, false
	}, true)
}

// discard removes a file that img replaces, or sets it aside.
func (s *Store) discard(img imageState, dir, name string) error {
	path := filepath.Join(dir, name)
	if img.Replaces == everythingAside {
		return s.fsys.Rename(path, filepath.Join(dir, asideOf(img)+name))
	}
	return s.fsys.Remove(path)
}

// asideOf begins the names of what img replaces.
func asideOf(img imageState) string { return asidePrefix + img.Name.Zxid.Hex() + "." }

// restoreEpochs writes the epochs that can be proved.
func (s *Store) restoreEpochs(img imageState) error {
	promised := s.witness.said.Epochs[accepted]
	want := [2]int64{accepted: max(promised.Now, promised.Next), current: int64(img.Name.Zxid.Epoch())}
	for which, epoch := range want {
		if now, err := s.readEpoch(epochNames[which]); err == nil && now == epoch {
			s.witness.said.Epochs[which] = epochState{Now: epoch, Next: epoch}
			continue
		}
		if err := s.saveEpoch(which, epoch); err != nil {
			return err
		}
	}
	return nil
}

// dropAside removes what earlier ones than img have set aside.
func (s *Store) dropAside(img imageState) error {
	for _, dir := range s.dirs() {
		names, err := s.fsys.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if strings.HasPrefix(name, asidePrefix) && !strings.HasPrefix(name, asideOf(img)) {
				if err := s.fsys.Remove(filepath.Join(dir, name)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
