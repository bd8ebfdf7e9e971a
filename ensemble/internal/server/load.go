package server

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/image"
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/store"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/zab"
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
	boot, rec, err := s.boot()
	if err != nil {
		return err
	}
	s.replica = replica.New(s.replicaConfig(), boot, s.now())
	s.sinceSnapshot = rec.Records
	s.log.Info("data loaded", "server", s.cfg.ID, "zxid", boot.Tree.Zxid(), "nodes", boot.Tree.NodeCount(), "replayed", rec.Records, "took", time.Since(begun))
	if boot.Untrusted != nil {
		s.log.Error("what is on this server's disk counts in no quorum until a leader's data has replaced it", "server", s.cfg.ID, "error", boot.Untrusted)
		return nil
	}
	if rec.Snapshot == nil || s.unsettled {
		// Without any, Apache's server would not open the directory; and what did not settle must not be read again.
		return s.firstSnapshot()
	}
	return nil
}

// ErrLost means that the data of a server is gone which has served before.
var ErrLost = errors.New("server: no data, but this server has served before: it must get its data from the others, or be told to begin anew by a file initialize")

// boot reads the data directory. What a member of an ensemble finds damaged or lost there is not its end: the others have it.
func (s *Server) boot() (boot replica.Boot, rec store.Recovery, err error) {
	l := image.NewLoading(s.cfg.Tree, s.hooks())
	if rec, err = s.store.Recover(l.Snapshot, l.Record); err == nil {
		err = s.judge(l, &rec)
	}
	boot = replica.Boot{Tree: l.Tree(), History: s.history, Served: s.store.Served()}
	if s.cfg.Ensemble == nil {
		switch {
		case err == nil && rec.Blank:
			err = ErrNotServable
		case err == nil:
			err = s.store.MarkServed()
		}
		return boot, rec, err
	}
	fuzzy := false
	if err == nil {
		boot.AcceptedEpoch, boot.CurrentEpoch, err = s.store.Epochs(l.Tree().Zxid())
	}
	if err == nil {
		fuzzy, err = s.store.Fuzzy()
	}
	switch {
	case err != nil && curable(err):
		boot.Untrusted = err
		boot.Tree, boot.CurrentEpoch = tree.New(s.cfg.Tree), 0
		s.history.Reset(0)
		rec = store.Recovery{}
		boot.AcceptedEpoch, err = s.store.Distrust()
	case err == nil && rec.Blank:
		boot.Untrusted = ErrNotServable
	case err == nil && rec.Empty && s.store.Served() && !rec.Initialize:
		boot.Untrusted = ErrLost
	case err == nil && fuzzy:
		boot.Untrusted = replica.ErrFuzzy
	}
	return boot, rec, err
}

// curable reports whether an error is about what was read, for which there are others who have it, and not about the disk.
func curable(err error) bool {
	if errors.Is(err, disk.ErrBroken) {
		return false
	}
	for _, kind := range []error{disk.ErrDamaged, store.ErrNoSnapshot, store.ErrEpoch, image.ErrDiverged, tree.ErrBadImage, jute.ErrMalformed} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// historyCount, unless it is told another, and historyBytes bound what a member of an ensemble remembers of its log.
const (
	historyCount = 100_000
	historyBytes = 64 << 20
)

// hooks keep the end of what is loaded for the history. A log that was written alone may have gaps; then it begins behind the last.
func (s *Server) hooks() image.Hooks {
	if s.cfg.Ensemble == nil {
		return image.Hooks{}
	}
	s.history = zab.NewHistory(0, cmp.Or(s.cfg.Ensemble.History, historyCount), historyBytes)
	return image.Hooks{
		Base: s.history.Reset,
		Record: func(r txnlog.Record) {
			if s.history.Add(zab.Record{Zxid: r.Zxid, Payload: r.Payload}) != nil {
				s.history.Reset(r.Zxid)
			}
		},
	}
}

// reload reads tree and history again, after the log was cut. It runs on the store's goroutine while the core waits for it.
func (s *Server) reload() (*tree.Tree, error) {
	l := image.NewLoading(s.cfg.Tree, image.Hooks{})
	if _, err := s.store.Reload(l.Snapshot, l.Record); err != nil {
		return nil, err
	}
	return l.Tree(), nil
}

func (s *Server) replicaConfig() replica.Config {
	c := replica.Config{
		ServerID: s.cfg.ID, Tick: s.cfg.Tick.Milliseconds(),
		MinTimeout: int32(s.cfg.MinTimeout / time.Millisecond), MaxTimeout: int32(s.cfg.MaxTimeout / time.Millisecond),
		Propose: s.cfg.Propose, Auth: s.auth, Sweep: s.cfg.Sweep, MaxWatches: s.cfg.MaxWatches, Eager: s.cfg.Eager, Watches: &s.watching,
	}
	if e := s.cfg.Ensemble; e != nil {
		c.Quorum, c.Self, c.InitLimit, c.SyncLimit = e.Quorum, e.Self, e.InitLimit, e.SyncLimit
		c.Hold, c.CounterStart = e.Hold.Milliseconds(), e.CounterStart
	} else {
		c.Space = s.store
	}
	return c
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
	s.unsettled = l.Diverged() != nil && !l.Settled()
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
