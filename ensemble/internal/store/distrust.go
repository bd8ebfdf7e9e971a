package store

import (
	"fmt"
	"math"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
)

// maxEpoch is the highest epoch that a zxid can hold; what claims to be above is garbage.
const maxEpoch = math.MaxInt32

// Distrust gives up what is in the directory without touching it: for a member of an ensemble whose Recover failed because of
// what it read (disk.ErrDamaged, ErrNoSnapshot, ErrEpoch, or what the caller's own functions said), or whose Epochs did, or whose
// data turned out wrong later, as its digest tells. Afterwards the Store takes SaveAcceptedEpoch, and a snapshot from a leader:
// BeginSnapshot and Install, which makes it a normal one again. Everything else is ErrUntrusted. The damaged files stay where they
// are until the good copy is durable; then they are set aside, under names that begin with bellwether.damaged., and the next
// Install of this kind removes them.
//
// When the directory is opened again it is judged again, by what is in it: if that is put right, it is believed. Only the witness notes,
// durably, that it was not, so that more damage does not hide the first. And it is no way out when the disk itself fails: after a failure to write (disk.ErrBroken) it returns that, and a failure to read names or to write
// the witness is returned as it is and leaves the Store as it was.
//
// It returns the highest epoch that this server may have promised to a leader (acceptedEpoch), as far as any epoch file, the
// witness, or the names and records of the log can tell, all of which may be more than the truth: to promise less than one has
// promised is what must not happen. Such a server must not vote, nor count in any quorum, before Install.
//
// Nobody may use the Store beside it, not for Reserve either.
func (s *Store) Distrust() (acceptedEpoch int64, err error) {
	if err := s.Err(); err != nil {
		return 0, err
	}
	if s.untrusted {
		return s.promised, nil
	}
	if s.image != nil {
		return 0, fmt.Errorf("%w: %v is being written", ErrMisuse, s.image.Name())
	}
	if s.log != nil {
		err := s.log.Close()
		s.log = nil
		if err != nil {
			return 0, s.broken(err)
		}
	}
	f, err := s.look()
	if err != nil {
		return 0, err
	}
	s.promised = s.highestPromise(f)
	if s.witness == nil {
		err = s.believeOnly(f)
	} else {
		err = s.witness.state(func(st *statement) { st.Doubted = true }, true)
	}
	if err != nil {
		if s.witness != nil {
			s.witness.close()
			s.witness = nil
		}
		return 0, err
	}
	s.untrusted = true
	return s.promised, nil
}

// highestPromise is the highest epoch that the directory shows anywhere. What was left of an interrupted write of acceptedEpoch does
// not count: it was never promised.
func (s *Store) highestPromise(f *found) (highest int64) {
	see := func(epoch int64) {
		if epoch <= maxEpoch {
			highest = max(highest, epoch)
		}
	}
	for _, name := range []string{acceptedName, currentName, currentName + tmpSuffix} {
		if epoch, err := s.readEpoch(name); err == nil {
			see(epoch)
		}
	}
	if f.read != nil {
		for _, e := range f.read.Epochs {
			see(max(e.Now, e.Next))
		}
		see(int64(f.read.Mark.Zxid.Epoch()))
	}
	for _, name := range f.images {
		see(int64(name.Zxid.Epoch()))
	}
	if last, err := txnlog.Highest(s.fsys, s.logDir); err == nil {
		see(int64(last.Epoch()))
	}
	return highest
}

// believeOnly opens the witness with what it says, so that it goes on telling what is wrong with the directory; if there is none, or
// it is stale, with a blind one.
func (s *Store) believeOnly(f *found) error {
	if f.said != nil {
		st := *f.said
		st.Doubted = true
		return s.openWitness(f, st)
	}
	st := statement{Blind: true, Doubted: true}
	for i, e := range f.epochs {
		if f.badEpoch[i] != nil {
			e = noEpoch
		}
		st.Epochs[i] = epochState{Now: e, Next: e}
	}
	if n := len(f.logs); n > 0 {
		st.Mark.File = f.logs[n-1]
	}
	var err error
	if st.Images, err = s.listImages(f, nil); err != nil {
		return err
	}
	return s.openWitness(f, st)
}
