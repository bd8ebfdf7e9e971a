package server

import (
	"errors"
	"fmt"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/image"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/store"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
)

// ErrNotServable means that a data directory may not be served from by this server alone: it is empty, and may not be begun in.
var ErrNotServable = errors.New("server: no data, and zookeeper.db.autocreate=false without a file initialize")

// load takes the data directory into use and brings the replica to where it ends.
func (s *Server) load() (err error) {
	if s.store, err = store.Open(s.cfg.FS, s.cfg.Store); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.store.Close())
		}
	}()
	begun := time.Now()
	l := image.NewLoading(s.cfg.Tree, image.Hooks{})
	rec, err := s.store.Recover(l.Snapshot, l.Record)
	if err != nil {
		return err
	}
	loaded := l.Tree()
	if rec.Blank {
		return ErrNotServable
	}
	if err := s.judge(l, &rec); err != nil {
		return err
	}
	s.replica = replica.New(loaded, replica.Config{
		ServerID: s.cfg.ID, Tick: s.cfg.Tick.Milliseconds(),
		MinTimeout: int32(s.cfg.MinTimeout / time.Millisecond), MaxTimeout: int32(s.cfg.MaxTimeout / time.Millisecond),
		Propose: s.cfg.Propose, Auth: s.auth, Sweep: s.cfg.Sweep, MaxWatches: s.cfg.MaxWatches, Watches: &s.watching,
	}, s.now())
	s.sinceSnapshot = rec.Records
	s.log.Info("data loaded", "server", s.cfg.ID, "zxid", loaded.Zxid(), "nodes", loaded.NodeCount(), "replayed", rec.Records, "took", time.Since(begun))
	if rec.Snapshot == nil || l.Diverged() != nil && !l.Settled() {
		// Without any, Apache's server would not open the directory; and what did not settle must not be read again.
		return s.firstSnapshot()
	}
	return nil
}

// judge reports what was strange about the data, and refuses what must not be served.
func (s *Server) judge(l *image.Loading, rec *store.Recovery) error {
	if rec.Foreign != "" {
		s.log.Info("the data was last written by another server", "server", s.cfg.ID, "reason", rec.Foreign)
	}
	for _, d := range rec.Skipped {
		s.log.Warn("a damaged snapshot was passed over; an older one and the log make good for it", "server", s.cfg.ID, "error", d)
	}
	if rec.Tail.Cut > 0 {
		s.log.Info("an unfinished record, never acknowledged, was cut off", "server", s.cfg.ID, "file", rec.Tail.File, "offset", rec.Tail.Offset, "bytes", rec.Tail.Cut)
	}
	if err := l.Diverged(); err != nil {
		if rec.Foreign == "" && !l.Settled() {
			return err
		}
		// Apache's own servers disagree with themselves now and then, until their queue has run empty; they go on, with a line
		// in the log. Such a log stays readable after we have added to it.
		s.log.Warn("a transaction's digest does not match the data", "server", s.cfg.ID, "error", err)
	}
	if s.cfg.OldTTL {
		if err := checkOldTTL(l.Tree()); err != nil {
			return err
		}
	}
	return l.Tree().CheckACLs()
}

// ErrOldTTL means that the data holds nodes which may be TTL nodes in the encoding of release 3.5.3: by their owner they cannot be
// told from ephemerals of a lost session, and would be deleted as such.
var ErrOldTTL = errors.New("server: data may hold TTL nodes in the encoding of release 3.5.3, which is not supported")

// checkOldTTL looks for owners with only the top bit in their top byte that are no open session's (class EphemeralTypeEmulate353).
func checkOldTTL(t *tree.Tree) error {
	for id := range t.EphemeralSessions() {
		if _, open := t.Session(id); !open && uint64(id)>>56 == 0x80 {
			return fmt.Errorf("%w: owner %v", ErrOldTTL, id)
		}
	}
	return nil
}
