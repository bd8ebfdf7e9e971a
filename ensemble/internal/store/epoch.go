package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

const (
	acceptedName = "acceptedEpoch"
	currentName  = "currentEpoch"
)

// Places of the epochs in a statement.
const (
	accepted = iota
	current
)

var epochNames = [2]string{accepted: acceptedName, current: currentName}

var errNotANumber = errors.New("not a decimal number")

// readEpoch reads an epoch file; noEpoch if there is none.
func (s *Store) readEpoch(name string) (int64, error) {
	path := filepath.Join(s.snapDir, name)
	if _, err := s.fsys.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return noEpoch, nil
	}
	b, err := disk.ReadFile(s.fsys, path, 1<<10)
	if err != nil {
		return 0, err
	}
	n, err := parseEpoch(b)
	if err != nil {
		return 0, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("%w: %q", err, b[:min(len(b), 40)])}
	}
	return n, nil
}

// parseEpoch reads the first line as Java's Long.parseLong does, except for signs and digits of other scripts.
func parseEpoch(b []byte) (int64, error) {
	n := 0
	for n < len(b) && b[n] != '\n' && b[n] != '\r' {
		if b[n] < '0' || b[n] > '9' {
			return 0, errNotANumber
		}
		n++
	}
	v, err := strconv.ParseInt(string(b[:n]), 10, 64)
	if err != nil {
		return 0, errNotANumber
	}
	return v, nil
}

// Epochs loads acceptedEpoch and currentEpoch and settles what is open between them and the data, whose last transaction is
// last (class QuorumPeer, loadDataBase): a file that is missing begins with the epoch of last; a currentEpoch behind the data is
// brought up to it, by the left-over of an interrupted write, or because acceptedEpoch is not behind. That is how a crash leaves
// a learner that has the history of a leader, or a part of it from the beginning, and not yet acknowledged it; Apache's server
// does not start then (ZOOKEEPER-1653 and its kin). To take the leader's epoch for ours is right: the data holds what
// every server of that epoch began with, and the first of what came after. Whatever else does not fit is ErrEpoch, and a file
// that is no number a *disk.Damage. A standalone server does not call it.
func (s *Store) Epochs(last znode.Zxid) (acceptedEpoch, currentEpoch int64, err error) {
	if err := s.ready(); err != nil {
		return 0, 0, err
	}
	epoch := int64(last.Epoch())
	if currentEpoch, err = s.epochOr(current, epoch); err != nil {
		return 0, 0, err
	}
	if epoch > currentEpoch {
		if currentEpoch, err = s.catchUp(epoch, currentEpoch); err != nil {
			return 0, 0, err
		}
	}
	if acceptedEpoch, err = s.epochOr(accepted, epoch); err != nil {
		return 0, 0, err
	}
	if acceptedEpoch < currentEpoch {
		return 0, 0, fmt.Errorf("%w: %s says %d, %s %d", ErrEpoch, acceptedName, acceptedEpoch, currentName, currentEpoch)
	}
	return acceptedEpoch, currentEpoch, nil
}

// catchUp brings currentEpoch up to the data's.
func (s *Store) catchUp(epoch, says int64) (int64, error) {
	if left, err := s.readEpoch(currentName + tmpSuffix); err == nil && left >= epoch {
		return left, s.finishEpoch(left)
	}
	if promised, err := s.readEpoch(acceptedName); err == nil && promised >= epoch {
		return epoch, s.saveEpoch(current, epoch)
	}
	return 0, fmt.Errorf("%w: the last transaction is of epoch %d, %s says %d", ErrEpoch, epoch, currentName, says)
}

// epochOr reads an epoch, and makes the file with otherwise if it is missing.
func (s *Store) epochOr(which int, otherwise int64) (int64, error) {
	v, err := s.readEpoch(epochNames[which])
	if errors.Is(err, errNotANumber) {
		return 0, s.damagedEpoch(which, err)
	}
	if err != nil || v != noEpoch {
		return v, err
	}
	return otherwise, s.saveEpoch(which, otherwise)
}

func (s *Store) damagedEpoch(which int, err error) error {
	return &disk.Damage{File: filepath.Join(s.snapDir, epochNames[which]), Offset: 0, What: "not an epoch", Err: err, Remedy: "restore the number"}
}

// SaveAcceptedEpoch makes acceptedEpoch durable: the newest epoch this server has promised to a leader. ErrEpoch if it would fall.
// It may be called while the Store is untrusted.
func (s *Store) SaveAcceptedEpoch(epoch int64) error {
	if err := s.receptive(); err != nil {
		return err
	}
	if s.untrusted && epoch < s.promised {
		return fmt.Errorf("%w: %s from %d to %d", ErrEpoch, acceptedName, s.promised, epoch)
	}
	err := s.raise(accepted, epoch)
	if err == nil {
		s.promised = epoch
	}
	return err
}

// SaveCurrentEpoch makes currentEpoch durable: the newest epoch whose leader this server has followed with all its history.
// ErrEpoch if it would fall.
func (s *Store) SaveCurrentEpoch(epoch int64) error {
	if err := s.ready(); err != nil {
		return err
	}
	return s.raise(current, epoch)
}

func (s *Store) raise(which int, epoch int64) error {
	if now := s.witness.said.Epochs[which].Now; epoch < now || epoch < 0 {
		return fmt.Errorf("%w: %s from %d to %d", ErrEpoch, epochNames[which], now, epoch)
	}
	return s.saveEpoch(which, epoch)
}

// finishEpoch gives currentEpoch.tmp, which says epoch, its name. There is no other copy, so the same is written to the same place: it may
// never have got to the disk although it can be read.
func (s *Store) finishEpoch(epoch int64) error {
	path := filepath.Join(s.snapDir, currentName)
	return s.announceEpoch(current, epoch, func() error {
		b, err := disk.ReadFile(s.fsys, path+tmpSuffix, 1<<10)
		if err != nil {
			return err
		}
		f, err := s.fsys.Edit(path + tmpSuffix)
		if err != nil {
			return err
		}
		if _, err = f.WriteAt(b, 0); err == nil {
			err = f.Sync()
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
		if err := s.fsys.Rename(path+tmpSuffix, path); err != nil {
			return err
		}
		return s.fsys.SyncDir(s.snapDir)
	})
}

func (s *Store) saveEpoch(which int, epoch int64) error {
	return s.announceEpoch(which, epoch, func() error {
		return disk.Replace(s.fsys, filepath.Join(s.snapDir, epochNames[which]), strconv.AppendInt(nil, epoch, 10))
	})
}

// announceEpoch announces a number, has it written, and withdraws the old one.
func (s *Store) announceEpoch(which int, epoch int64, write func() error) error {
	err := s.witness.state(func(st *statement) { st.Epochs[which].Next = epoch }, true)
	if err == nil {
		err = write()
	}
	if err == nil {
		err = s.witness.state(func(st *statement) { st.Epochs[which].Now = epoch }, false)
	}
	if err != nil {
		return s.broken(err)
	}
	return nil
}
