// Package store performs a server's disk effects, in order, on one data directory: the log, snapshots, epoch files, and a side
// file of ours, the witness. The directory is Apache ZooKeeper's, to the byte, and moves between the two at any time.
//
//	<dataDir>/version-2/snapshot.*  acceptedEpoch  currentEpoch  bellwether.witness  bellwether.lock
//	<dataLogDir>/version-2/log.*    bellwether.spare
//	<dataLogDir>/initialize         an empty server may begin (see Options.NoInit and MarkServed)
//	<dataDir>/bellwether.served     this server has served before
//	bellwether.damaged.*            what was set aside by an Install (see Distrust)
//
// The one idea is the order in which things become durable:
//
//   - a record is acknowledged only when Sync has returned, that is after fdatasync, and for the first record of a file after
//     that of its name;
//   - whatever is about to change is first announced in the witness: a new log file, a snapshot's name, an epoch. So what is
//     in the directory is, at any moment and after any crash, what the witness says, or what it says comes next. What is not is
//     somebody else's work, such as Apache's, or damage, and each of the rules in witness.go tells which;
//   - how far the log is synced is written to the witness after each Sync but not itself synced each time. It may lag, and is
//     therefore only ever used to find damage below it, never above.
//
// The witness makes a flipped bit noticed where Apache's format cannot: in the epoch files, in the tail of the log. It also
// notes the checksums of snapshots, for the bits of a compressed file that decide nothing. It is no part of the data: without
// it, or when it is stale because Apache has written the directory, everything works by Apache's rules.
//
// History ends up in the directory in two ways: by Append, and from a leader, as a snapshot that replaces everything (Install).
// A directory that cannot be believed, because bytes in it are damaged or missing, is not the end either: Distrust
// leaves it as it is and makes the Store take such a snapshot, and nothing else.
//
// A failure to write, sync or rename is the Store's end: it and every later call return an error that answers
// errors.Is(err, disk.ErrBroken), since nobody knows what is on the disk until a new Store has looked. Three things are refusals
// instead, with nothing changed: disk.ErrNoSpace from Reserve, from Roll and BeginSnapshot, and while a snapshot is being
// written beside; records out of order; and calls that make no sense.
//
// A Store has no goroutines. Its calls belong to one goroutine, with these exceptions, which may be called by others beside
// them: Reserve and Release; the methods of the snapshot.Writer that BeginSnapshot returns; RetainFrom. What a record or a
// node means, when to snapshot and when to purge, is left to the caller.
package store

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Kinds of refusal, besides those of disk and txnlog.
var (
	// ErrLayout: the directories are not laid out as a server's.
	ErrLayout = errors.New("store: wrong layout")
	// ErrNoSnapshot: there are logs and no snapshot to begin from (see Options.TrustEmpty).
	ErrNoSnapshot = errors.New("store: logs without a snapshot")
	// ErrEpoch: epochs contradict each other or the data, or would fall.
	ErrEpoch = errors.New("store: wrong epoch")
	// ErrUnreachable: the state that was asked for cannot be had from the snapshots and the log.
	ErrUnreachable = errors.New("store: not in the log")
	// ErrUntrusted: the directory is not believed, and only a snapshot from a leader may be installed (see Distrust).
	ErrUntrusted = errors.New("store: untrusted")
	// ErrMisuse: a call out of turn.
	ErrMisuse = errors.New("store: misuse")
)

// Options of a Store. DataDir must be set.
type Options struct {
	DataDir string // dataDir: snapshots and epoch files, in its version-2
	LogDir  string // dataLogDir: the log, in its version-2; empty: DataDir
	// NoAutocreate: version-2 directories that are missing are not made (zookeeper.datadir.autocreate=false).
	NoAutocreate bool
	// NoInit: a server without data may begin only if the file initialize is in LogDir (zookeeper.db.autocreate=false).
	NoInit bool
	// TrustEmpty: logs without a snapshot are replayed from nothing (zookeeper.snapshot.trust.empty).
	TrustEmpty  bool
	Compression snapshot.Compression // of new snapshots
	Log         txnlog.Options       // Mark and BeforeFile are the Store's own
}

// A Store is a data directory in use.
type Store struct {
	fsys    disk.FS
	opts    Options
	snapDir string
	logDir  string
	locks   []io.Closer
	log     *txnlog.Log // nil before Recover
	witness *witness
	image   *snapshot.Writer // begun, neither committed nor abandoned
	failure atomic.Pointer[error]

	untrusted  bool  // log is nil then, and witness is not
	promised   int64 // while untrusted: no epoch above this one was accepted
	served     bool  // the marker is there
	initialize bool  // the file initialize is there
}

// Open takes a directory into use: it checks the layout, makes what is missing and locks it, so that no second Store uses it
// (disk.ErrLocked); Apache does not look at the lock. Recover must follow.
func Open(fsys disk.FS, opts Options) (*Store, error) {
	if opts.LogDir == "" {
		opts.LogDir = opts.DataDir
	}
	if !opts.Compression.Valid() {
		return nil, fmt.Errorf("%w: snapshot compression %q", ErrLayout, string(opts.Compression))
	}
	s := &Store{fsys: fsys, opts: opts, snapDir: filepath.Join(opts.DataDir, versionDir), logDir: filepath.Join(opts.LogDir, versionDir)}
	if err := s.layout(); err != nil {
		for _, l := range s.locks {
			l.Close()
		}
		return nil, err
	}
	return s, nil
}

const (
	versionDir     = "version-2"
	initializeName = "initialize"
	lockName       = "bellwether.lock"
)

func (s *Store) layout() error {
	for _, dir := range s.dirs() {
		if i, err := s.fsys.Stat(dir); err == nil && i.Dir {
			continue
		}
		if s.opts.NoAutocreate {
			return fmt.Errorf("%w: %s is missing and may not be made (zookeeper.datadir.autocreate)", ErrLayout, dir)
		}
		if err := s.fsys.MkdirAll(dir); err != nil {
			return err
		}
	}
	for _, dir := range s.dirs() {
		l, err := s.fsys.Lock(filepath.Join(dir, lockName))
		if err != nil {
			return err
		}
		s.locks = append(s.locks, l)
	}
	if s.snapDir != s.logDir {
		if err := s.mustLack(s.snapDir, "log."); err != nil {
			return err
		}
		if err := s.mustLack(s.logDir, "snapshot."); err != nil {
			return err
		}
	}
	if err := s.beginnings(); err != nil {
		return err
	}
	if err := s.sweep(); err != nil {
		return err
	}
	// The process before may have ended between a change of a name and its sync. Package txnlog sees to the log's.
	for _, dir := range slices.Compact([]string{s.snapDir, s.opts.DataDir, s.opts.LogDir}) {
		if err := s.fsys.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// dirs returns the one or two directories in use.
func (s *Store) dirs() []string {
	if s.snapDir == s.logDir {
		return []string{s.snapDir}
	}
	return []string{s.snapDir, s.logDir}
}

// mustLack refuses directories that were exchanged or merged (class FileTxnSnapLog, checkLogDir and checkSnapDir).
func (s *Store) mustLack(dir, prefix string) error {
	names, err := s.fsys.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasPrefix(n, prefix) {
			return fmt.Errorf("%w: %s belongs into the other directory; check dataDir and dataLogDir", ErrLayout, filepath.Join(dir, n))
		}
	}
	return nil
}

// sweep removes what atomic writes that were cut short have left. currentEpoch.tmp stays: it may finish an epoch (see Epochs).
func (s *Store) sweep() error {
	names, err := s.fsys.ReadDir(s.snapDir)
	if err != nil {
		return err
	}
	for _, n := range names {
		ours := strings.HasPrefix(n, "bellwether.") || strings.HasPrefix(n, "snapshot.") || n == acceptedName+tmpSuffix
		if ours && strings.HasSuffix(n, tmpSuffix) {
			if err := s.fsys.Remove(filepath.Join(s.snapDir, n)); err != nil {
				return err
			}
		}
	}
	return nil
}

const tmpSuffix = ".tmp"

// DataDir is the directory with the snapshots, version-2 included.
func (s *Store) DataDir() string { return s.snapDir }

// LogDir is the directory with the log, version-2 included.
func (s *Store) LogDir() string { return s.logDir }

// Err is why the Store is broken; nil if it is not.
func (s *Store) Err() error {
	if p := s.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// broken makes err the Store's last word.
func (s *Store) broken(err error) error {
	err = disk.Broken(err)
	s.failure.CompareAndSwap(nil, &err)
	return s.Err()
}

// ready says whether the Store may be used.
func (s *Store) ready() error {
	if err := s.Err(); err != nil {
		return err
	}
	if s.untrusted {
		return ErrUntrusted
	}
	if s.log == nil {
		return fmt.Errorf("%w: not recovered yet", ErrMisuse)
	}
	return nil
}

// receptive says whether the Store may take a snapshot from a leader, or promise something to one.
func (s *Store) receptive() error {
	if s.untrusted {
		return s.Err()
	}
	return s.ready()
}

// outcome passes a refusal on and makes a failure final.
func (s *Store) outcome(err error) error {
	if errors.Is(err, disk.ErrBroken) {
		return s.broken(err)
	}
	return err
}

// Reserve promises that records of n bytes, each counting its payload and txnlog.RecordOverhead, can be appended. Without the
// space it is disk.ErrNoSpace and nothing has happened: it is for asking before a request gets its place in the order. Any
// goroutine may call it. Promises add up until Append uses them or Release gives them back.
func (s *Store) Reserve(n int64) error {
	if err := s.ready(); err != nil {
		return err
	}
	return s.outcome(s.log.Reserve(n))
}

// Release gives back n bytes of what Reserve promised. Any goroutine may call it.
func (s *Store) Release(n int64) {
	if s.log != nil {
		s.log.Release(n)
	}
}

// Append writes a group of records. It is not durable before Sync. See txnlog.Log.Append for what is refused.
func (s *Store) Append(group []txnlog.Record) error {
	if err := s.ready(); err != nil {
		return err
	}
	return s.outcome(s.log.Append(group))
}

// Sync makes everything appended durable and returns the zxid of the last record that is: up to it answers may leave.
func (s *Store) Sync() (znode.Zxid, error) {
	if err := s.ready(); err != nil {
		return 0, err
	}
	synced, err := s.log.Sync()
	if err != nil {
		return synced, s.outcome(err)
	}
	if err := s.witness.note(s.log.Mark()); err != nil {
		return synced, s.broken(err)
	}
	if s.log.Full() {
		if err := s.Roll(); err != nil && !errors.Is(err, disk.ErrNoSpace) {
			return synced, err
		}
	}
	return synced, nil
}

// Settle makes the witness's note of what is synced durable. It is worth a call when there is nothing else to do; without it the
// note becomes durable after a number of Syncs, and what is above it is judged by Apache's rules after a power failure.
func (s *Store) Settle() error {
	if err := s.ready(); err != nil {
		return err
	}
	if err := s.witness.settle(); err != nil {
		return s.broken(err)
	}
	return nil
}

// Roll ends the present log file, durably, so that the next record begins a new one. Without space for a new file it is
// disk.ErrNoSpace, and the present one goes on.
func (s *Store) Roll() error {
	if err := s.ready(); err != nil {
		return err
	}
	if err := s.log.Roll(); err != nil {
		return s.outcome(err)
	}
	if err := s.witness.note(s.log.Mark()); err != nil {
		return s.broken(err)
	}
	return s.Settle()
}

// From returns the records of the log from zxid on; see txnlog.Log.From.
func (s *Store) From(zxid znode.Zxid) iter.Seq2[txnlog.Record, error] {
	if err := s.ready(); err != nil {
		return func(yield func(txnlog.Record, error) bool) { yield(txnlog.Record{}, err) }
	}
	return s.log.From(zxid)
}

// Last is the zxid of the last record appended, or of the snapshot if that is later.
func (s *Store) Last() znode.Zxid {
	if s.log == nil {
		return 0
	}
	return s.log.Last()
}

// Close syncs, gives back the space reserved ahead, and lets go of the directory. A broken Store writes nothing more and says why.
func (s *Store) Close() error {
	err := s.Err()
	if s.image != nil {
		err = errors.Join(err, s.image.Abandon())
		s.image = nil
	}
	if s.log != nil {
		cerr := s.log.Close()
		if err == nil {
			err = cerr
		}
		if err == nil {
			if err = s.witness.note(s.log.Mark()); err == nil {
				err = s.witness.settle()
			}
		}
		s.log = nil
	}
	if s.witness != nil {
		s.witness.close()
		s.witness = nil
	}
	s.untrusted = false
	for _, l := range s.locks {
		l.Close()
	}
	s.locks = nil
	return err
}
