package server

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/image"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
)

// draw puts off the next snapshot by half to all of the configured number of transactions and bytes of log, so that the
// servers of an ensemble do not all write theirs at once (class SyncRequestProcessor).
func (s *Server) draw() {
	s.snapAfter = s.cfg.SnapCount/2 + rand.IntN(s.cfg.SnapCount-s.cfg.SnapCount/2) + 1
	if s.cfg.SnapSize > 0 {
		s.snapAfterBytes = s.cfg.SnapSize/2 + rand.Int64N(s.cfg.SnapSize-s.cfg.SnapSize/2) + 1
	}
}

// dumpsMost is to how many learners the tree is sent at a time; others wait. Each holds back memory for what changes meanwhile, and none
// for longer than its link allows (see [link.Limits]).
const dumpsMost = 4

// dumping is the dumps of the tree that are running: a snapshot of this server's, which waits for nobody, and those for learners. Its
// methods are the core's.
type dumping struct {
	snapshot atomic.Bool // one of this server's is being written
	stop     context.CancelFunc
	sending  atomic.Int32    // to how many learners; at most dumpsMost
	learners []packet.LinkID // wait for theirs
	reading  reading
}

// reading lets dumps read the tree beside its readers, but one at a time.
type reading struct {
	mu   sync.Mutex
	tree *sync.RWMutex
}

func (r *reading) Lock() {
	r.mu.Lock()
	r.tree.RLock()
}

func (r *reading) Unlock() {
	r.tree.RUnlock()
	r.mu.Unlock()
}

// writing reports whether a snapshot of this server's is being written.
func (d *dumping) writing() bool { return d.snapshot.Load() }

// interrupt makes the snapshot that is being written end early.
func (d *dumping) interrupt() {
	if d.writing() {
		d.stop()
	}
}

// startDump takes the tree as it is now. Whoever reads it ends it.
func (s *Server) startDump() *tree.Dump {
	s.tree.Lock()
	defer s.tree.Unlock()
	return s.replica.Tree().Dump()
}

// endDump may be called on any goroutine that does not hold the tree.
func (s *Server) endDump(d *tree.Dump) {
	s.tree.Lock()
	defer s.tree.Unlock()
	d.Close()
}

// maybeSnapshot begins a snapshot when it is time for one and the last one is done. A member of an ensemble waits until it
// serves: before, its tree may have in it what others will not agree to (ZOOKEEPER-1549). It is the core's.
func (s *Server) maybeSnapshot() {
	if s.sinceSnapshot < s.snapAfter && (s.snapAfterBytes == 0 || s.bytesSinceSnapshot < s.snapAfterBytes) {
		return
	}
	if _, serving := s.replica.Role(); !serving || s.dump.writing() || len(s.withheld) > 0 {
		return
	}
	s.sinceSnapshot, s.bytesSinceSnapshot = 0, 0
	s.draw()
	ctx, cancel := context.WithCancel(s.ctx)
	s.dump.stop = cancel
	s.dump.snapshot.Store(true)
	d := s.startDump()
	s.running.Go(func() { // ends with the snapshot, or soon after stopping
		defer s.kick()
		defer s.dump.snapshot.Store(false)
		defer cancel()
		defer s.endDump(d)
		s.takeSnapshot(d, ctx.Done())
		if s.cfg.PurgeInterval < 0 {
			s.purge()
		}
	})
}

// maybePurge removes old snapshots and logs now and then. It is the core's.
func (s *Server) maybePurge(now time.Time) {
	if s.cfg.PurgeInterval <= 0 || now.Before(s.nextPurge) {
		return
	}
	s.nextPurge = now.Add(s.cfg.PurgeInterval)
	if s.purging.CompareAndSwap(false, true) { // two would remove what the other one looks at
		s.running.Go(func() { // ends by itself
			defer s.purging.Store(false)
			s.purge()
		})
	}
}

// takeSnapshot writes d, a piece at a time, while the server goes on. A lack of space is reported and otherwise borne; any other
// failure of the disk stops the server.
func (s *Server) takeSnapshot(d *tree.Dump, stop <-chan struct{}) {
	begun := time.Now()
	var w *snapshot.Writer
	err := s.writer.do(func() (err error) {
		w, err = s.store.BeginSnapshot(d.Zxid)
		return err
	})
	if err == nil {
		if err = image.Write(w, image.Source{Dump: d, Lock: &s.dump.reading, Stop: stop}); err == nil {
			err = s.writer.do(func() error { return s.store.CommitSnapshot(w) })
		} else {
			err = errors.Join(err, s.writer.do(func() error { return s.store.AbandonSnapshot(w) }))
		}
	}
	switch {
	case err == nil:
		s.snapshots.add(time.Since(begun))
		s.log.Info("snapshot written", "server", s.cfg.ID, "zxid", d.Zxid, "took", time.Since(begun))
	case errors.Is(err, ErrClosed), errors.Is(err, image.ErrStopped):
	case errors.Is(err, disk.ErrNoSpace):
		s.log.Warn("no space for a snapshot; the log is kept", "server", s.cfg.ID, "zxid", d.Zxid, "error", err)
	default:
		s.fail(err)
	}
}

// firstSnapshot writes the snapshot an empty directory begins with. Nothing else runs yet.
func (s *Server) firstSnapshot() error {
	d := s.replica.Tree().Dump()
	defer d.Close()
	w, err := s.store.BeginSnapshot(d.Zxid)
	if err != nil {
		return err
	}
	if err := image.Write(w, image.Source{Dump: d, Stop: s.stopping}); err != nil {
		return errors.Join(err, s.store.AbandonSnapshot(w))
	}
	return s.store.CommitSnapshot(w)
}

// purge keeps the newest snapshots and what goes with them.
func (s *Server) purge() {
	zxid, ok, err := s.store.RetainFrom(s.cfg.PurgeRetain)
	if errors.Is(err, fs.ErrNotExist) {
		return // history was taken back, or replaced, while this looked at it
	}
	if err == nil && ok {
		var gone []string
		err = s.writer.do(func() error {
			names, err := snapshot.Names(s.cfg.FS, s.store.DataDir())
			if err != nil || !slices.ContainsFunc(names, func(n snapshot.Name) bool { return n.Zxid == zxid }) {
				return err // likewise: what is older may be all there is
			}
			gone, err = s.store.PurgeBefore(zxid)
			return err
		})
		if len(gone) > 0 {
			s.log.Info("old files removed", "server", s.cfg.ID, "count", len(gone), "before", zxid)
		}
	}
	if err != nil && !errors.Is(err, ErrClosed) {
		s.fail(err)
	}
}

// dirSizes are the sizes of the directories with the snapshots and with the log, in bytes.
func (s *Server) dirSizes() (data, log int64) {
	return s.dirSize(s.store.DataDir()), s.dirSize(s.store.LogDir())
}

func (s *Server) dirSize(dir string) (n int64) {
	names, err := s.cfg.FS.ReadDir(dir)
	if err != nil {
		return 0 // a figure for monitors; whoever needs the files reports that they cannot be read
	}
	for _, name := range names {
		if info, err := s.cfg.FS.Stat(filepath.Join(dir, name)); err == nil {
			n += info.Size
		}
	}
	return n
}
