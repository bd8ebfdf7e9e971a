package store

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A Recovery is what Recover found.
type Recovery struct {
	Last     znode.Zxid       // of the last transaction: the snapshot's or the last record's; 0 if there is none
	Snapshot *snapshot.Name   // the one that was loaded; nil: none, the tree is as it begins
	Trailer  snapshot.Trailer // of it
	Records  int              // replayed
	Tail     txnlog.Tail      // what a crash left at the end of the log

	// Fresh: there was no data at all and the server may begin with an empty tree. Its first snapshot, snapshot.0, is the caller's
	// to write.
	Fresh bool
	// Blank: there was no data at all, and the server may not begin: it must get the data from others, and must not vote.
	Blank bool
	// Empty: there is no transaction, and no leader has been followed: currentEpoch is 0 or missing, whatever acceptedEpoch says,
	// for that may have been promised since the data was lost. If the server has served before (Store.Served) it has been, and
	// the server must not vote, unless Initialize says that it is meant to begin anew.
	Empty bool
	// Initialize: the file initialize is there. It stays until MarkServed.
	Initialize bool
	// Skipped are newer snapshots that are damaged. An older one and the log made good for them.
	Skipped []*disk.Damage
	// Foreign is why the witness was dropped, or that there was none, if so: somebody else, such as Apache's server, has written
	// the directory.
	Foreign string
}

// A found is the directory as Recover sees it before it has changed anything.
type found struct {
	logs     []znode.Zxid
	images   []snapshot.Name
	epochs   [2]int64
	badEpoch [2]error
	read     *statement // the witness's; nil: there is none
	place    int        // of it
	stale    bool       // somebody else has written the directory since
	foreign  string     // why it does not count
	said     *statement // what of it counts; nil: nothing
}

// Recover reads the directory: load is called with the newest good snapshot (again with older ones if it proves damaged; it must
// start from nothing each time), then apply with each record after it, in order. Either may stop it with an error, which is
// returned. What a crash left behind is cleaned up, durably; nothing else is changed. A *disk.Damage says that something
// is not as it was written and that no copy here makes good for it: such a directory must not be served from.
//
// Afterwards the Store takes Append. Recover can be called once; Reload reads again.
func (s *Store) Recover(load func(*snapshot.Reader) error, apply func(txnlog.Record) error) (rec Recovery, err error) {
	if err := s.Err(); err != nil {
		return rec, err
	}
	if s.log != nil {
		return rec, fmt.Errorf("%w: recovered already", ErrMisuse)
	}
	if s.untrusted {
		return rec, ErrUntrusted
	}
	f, err := s.look()
	if err != nil {
		return rec, err
	}
	if resumed, err := s.resume(f); err != nil {
		return rec, err
	} else if resumed {
		if f, err = s.look(); err != nil {
			return rec, err
		}
	}
	rec.Foreign, rec.Initialize = f.foreign, s.initialize
	if err := s.checkEpochs(f); err != nil {
		return rec, err
	}
	seen := map[snapshot.Name]uint32{} // checksums of what was read
	image, err := s.loadNewest(f, seen, load)
	rec.Skipped = image.Skipped
	if err != nil {
		return rec, err
	}
	if err := s.unfinished(f, image, &rec); err != nil {
		return rec, err
	}
	if err := s.openLog(f, image, &rec); err != nil {
		return rec, err
	}
	if err := s.begin(f, image, &rec); err != nil {
		return rec, s.abort(err)
	}
	if err := s.replay(&rec, apply); err != nil {
		return rec, s.abort(err)
	}
	for _, name := range image.Unfinished {
		if name.Zxid > rec.Last {
			return rec, s.abort(s.neverReached(name))
		}
	}
	if err := s.state(f, seen); err != nil {
		return rec, s.abort(err)
	}
	rec.Empty = rec.Last == 0 && f.epochs[current] <= 0
	return rec, nil
}

// abort closes what Recover has opened.
func (s *Store) abort(err error) error {
	s.log.Close()
	s.log = nil
	if s.witness != nil {
		s.witness.close()
		s.witness = nil
	}
	return err
}

// look reads names, epochs and the witness, and decides whether the witness is stale by what the names say.
func (s *Store) look() (*found, error) {
	f := &found{}
	var err error
	if f.logs, err = txnlog.Names(s.fsys, s.logDir); err != nil {
		return nil, err
	}
	if f.images, err = snapshot.Names(s.fsys, s.snapDir); err != nil {
		return nil, err
	}
	for i, name := range epochNames {
		f.epochs[i], f.badEpoch[i] = s.readEpoch(name)
	}
	said, place, ok := readWitness(s.fsys, s.snapDir)
	if ok {
		f.read, f.place = &said, place
		if f.foreign, err = s.foreign(f, &said); err != nil {
			return nil, err
		}
		f.stale = f.foreign != ""
	}
	switch {
	case ok && f.foreign == "" && !said.Blind:
		f.said = &said
	case f.foreign == "" && len(f.logs)+len(f.images) > 0:
		f.foreign = "nothing says that this server has ever written it"
	}
	return f, nil
}

// foreign says what of the directory the witness has never announced; empty, if nothing.
func (s *Store) foreign(f *found, said *statement) (string, error) {
	if n := len(f.logs); n > 0 && f.logs[n-1] > said.Mark.File {
		return fmt.Sprintf("%s is not this server's", txnlog.Name(f.logs[n-1])), nil
	}
	oldest := said.oldest()
	for _, name := range f.images {
		if name.Zxid < oldest {
			continue
		}
		path := filepath.Join(s.snapDir, name.String())
		i, err := s.fsys.Stat(path)
		if err != nil {
			return "", err
		}
		announced := false
		for _, a := range said.images(name) {
			announced = announced || a.Size == i.Size
		}
		if !announced {
			return fmt.Sprintf("%s is not this server's", name), nil
		}
	}
	a, c := said.Epochs[accepted], said.Epochs[current]
	if e := f.epochs[accepted]; !said.Doubted && len(f.images) > 0 && f.badEpoch == [2]error{} && e == f.epochs[current] && e > max(a.Now, a.Next) && e > max(c.Now, c.Next) {
		return fmt.Sprintf("both epochs have become %d", e), nil
	}
	return "", nil
}

// checkEpochs compares the epoch files with the witness, if there is one.
func (s *Store) checkEpochs(f *found) error {
	for i, name := range epochNames {
		if err := f.badEpoch[i]; err != nil {
			return s.damagedEpoch(i, err)
		}
		if f.said == nil {
			continue
		}
		said := f.said.Epochs[i]
		if said.allows(f.epochs[i]) {
			continue
		}
		what := fmt.Sprintf("it says %d, %d was written", f.epochs[i], said.Now)
		switch {
		case f.epochs[i] == noEpoch:
			what = fmt.Sprintf("it is missing, %d was written", said.Now)
		case said.Now == noEpoch:
			what = fmt.Sprintf("it says %d, and was never written", f.epochs[i])
		}
		return &disk.Damage{File: filepath.Join(s.snapDir, name), Offset: -1, What: what, Remedy: fmt.Sprintf("restore the number; "+
			"or, if another server has written the directory since, remove %s, which is this server's own record of it", witnessName)}
	}
	return nil
}

// loadNewest loads the newest good snapshot and compares its checksum with what was announced.
func (s *Store) loadNewest(f *found, seen map[snapshot.Name]uint32, load func(*snapshot.Reader) error) (snapshot.Found, error) {
	return snapshot.Newest(s.fsys, s.snapDir, func(r *snapshot.Reader) error {
		if err := load(r); err != nil {
			return err
		}
		if err := r.Verify(); err != nil {
			return err
		}
		seen[r.Name()] = r.CRC()
		if f.said == nil || r.Name().Compression == snapshot.None {
			return nil // every bit of a plain one is under its seals
		}
		for _, a := range f.said.images(r.Name()) {
			if !a.Known || a.Size == r.Size() && a.CRC == r.CRC() {
				return nil
			}
		}
		return &disk.Damage{File: filepath.Join(s.snapDir, r.Name().String()), Offset: -1, What: "its checksum is not the one it was written with",
			Remedy: "an older snapshot is used if there is one and the log goes back to it; otherwise restore the file from a copy"}
	})
}

// unfinished takes snapshots that do not end like one, but were finished by this server, for what they are: damaged.
func (s *Store) unfinished(f *found, image snapshot.Found, rec *Recovery) error {
	for _, name := range image.Unfinished {
		if f.said == nil || len(f.said.images(name)) == 0 {
			continue
		}
		rec.Skipped = append(rec.Skipped, &disk.Damage{File: filepath.Join(s.snapDir, name.String()), Offset: -1, What: "it does not end as it was written",
			Remedy: "an older snapshot is used if there is one and the log goes back to it; otherwise restore the file from a copy"})
	}
	if image.Reader == nil && len(rec.Skipped) > 0 {
		return rec.Skipped[0]
	}
	return nil
}

// openLog opens the log with the mark of the witness.
func (s *Store) openLog(f *found, image snapshot.Found, rec *Recovery) error {
	var mark txnlog.Mark
	if f.said != nil {
		mark = f.said.Mark
		if n := len(f.logs); (n == 0 || f.logs[n-1] < mark.File) && image.Reader != nil && mark.Zxid <= image.Name.Zxid {
			mark = txnlog.Mark{} // the log is gone, and the snapshot has what was in it
		}
	}
	if err := s.startLog(mark); err != nil {
		return err
	}
	rec.Tail = s.log.Tail()
	if rec.Tail.MarkStale {
		rec.Foreign = filepath.Base(rec.Tail.File) + " is not as this server wrote it"
	}
	return nil
}

// startLog opens the log; mark is what is known to be synced.
func (s *Store) startLog(mark txnlog.Mark) error {
	opts := s.opts.Log
	opts.Mark = mark
	opts.BeforeFile = func(name znode.Zxid) error {
		return s.witness.state(func(st *statement) { st.Mark = txnlog.Mark{File: name, Zxid: s.log.Mark().Zxid} }, true)
	}
	log, err := txnlog.Open(s.fsys, s.logDir, &opts)
	if err == nil {
		s.log = log
	}
	return err
}

// begin decides where history starts: in a snapshot, or before all.
func (s *Store) begin(f *found, image snapshot.Found, rec *Recovery) error {
	if image.Reader != nil {
		name := image.Name
		rec.Snapshot, rec.Trailer, rec.Last = &name, image.Reader.Trailer(), name.Zxid
		s.log.SetLast(name.Zxid)
		return nil
	}
	for _, name := range image.Unfinished {
		if name.Zxid > s.log.Last() {
			return s.neverReached(name)
		}
	}
	if len(s.log.Files()) > 0 {
		if !s.opts.TrustEmpty {
			return fmt.Errorf("%w: %s has logs, %s no snapshot (if that is as it should be: zookeeper.snapshot.trust.empty=true, once)",
				ErrNoSnapshot, s.logDir, s.snapDir)
		}
		return nil
	}
	rec.Fresh = s.initialize || !s.opts.NoInit
	rec.Blank = !rec.Fresh
	return nil
}

// neverReached is the report of a snapshot that is not complete and stands for transactions found nowhere else.
func (s *Store) neverReached(name snapshot.Name) error {
	return &disk.Damage{File: filepath.Join(s.snapDir, name.String()), Offset: -1, What: "it is not complete, and the log does not reach it",
		Remedy: "restore the file from a copy, or empty the data directory and let this server copy the data from others"}
}

// replay applies what the log has beyond the snapshot. If the newest snapshot was damaged and the log does not go back to the
// older one, the damage is the snapshot's.
func (s *Store) replay(rec *Recovery, apply func(txnlog.Record) error) error {
	for r, err := range s.log.From(rec.Last + 1) {
		if err != nil {
			if len(rec.Skipped) > 0 {
				d := *rec.Skipped[0]
				d.Err = errors.Join(d.Err, err)
				return &d
			}
			return err
		}
		if err := apply(r); err != nil {
			return err
		}
		rec.Last = r.Zxid
		rec.Records++
	}
	for _, d := range rec.Skipped {
		if name, ok := snapshot.ParseName(filepath.Base(d.File)); ok && name.Zxid > rec.Last {
			return d // it had more than all the rest has
		}
	}
	return nil
}

// state writes a witness of the directory as it is now.
func (s *Store) state(f *found, seen map[snapshot.Name]uint32) error {
	st := statement{Mark: s.log.Mark()}
	for i, e := range f.epochs {
		st.Epochs[i] = epochState{Now: e, Next: e}
	}
	var err error
	if st.Images, err = s.listImages(f, seen); err != nil {
		return err
	}
	return s.openWitness(f, st)
}

// listImages is what can be said of the snapshots in the directory.
func (s *Store) listImages(f *found, seen map[snapshot.Name]uint32) (list []imageState, err error) {
	for i := min(len(f.images), maxImages) - 1; i >= 0; i-- { // oldest first
		name := f.images[i]
		info, err := s.fsys.Stat(filepath.Join(s.snapDir, name.String()))
		if err != nil {
			return nil, err
		}
		img := imageState{Name: name, Size: info.Size}
		img.CRC, img.Known = seen[name]
		if f.said != nil && !img.Known {
			for _, a := range f.said.images(name) {
				if a.Size == img.Size {
					img = a
				}
			}
		}
		img.Replaces = nothing
		list = append(list, img)
	}
	return list, nil
}

// openWitness opens the witness with a statement that takes the place of what it said, or makes it.
func (s *Store) openWitness(f *found, st statement) (err error) {
	if f.read != nil {
		s.witness, err = takeOver(s.fsys, s.snapDir, f.place, f.read.Generation, st)
	} else {
		s.witness, err = createWitness(s.fsys, s.snapDir, st)
	}
	return err
}

// Reload reads the snapshot and the log again, as Recover does, after Truncate or whenever what is in memory is not to be relied
// on. It changes nothing and may be called as often as need be; a *disk.Damage means that what was good has become bad.
func (s *Store) Reload(load func(*snapshot.Reader) error, apply func(txnlog.Record) error) (rec Recovery, err error) {
	if err := s.ready(); err != nil {
		return rec, err
	}
	f := &found{said: &s.witness.said}
	image, err := s.loadNewest(f, map[snapshot.Name]uint32{}, load)
	if rec.Skipped = image.Skipped; err != nil {
		return rec, err
	}
	if image.Reader != nil {
		rec.Snapshot, rec.Trailer, rec.Last = &image.Name, image.Reader.Trailer(), image.Name.Zxid
	}
	return rec, s.replay(&rec, apply)
}
