package server

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/store"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
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
	l := loading{opts: s.cfg.Tree}
	rec, err := s.store.Recover(l.snapshot, l.record)
	if err != nil {
		return err
	}
	l.begin()
	if rec.Blank {
		return ErrNotServable
	}
	if err := s.judge(&l, &rec); err != nil {
		return err
	}
	s.replica = replica.New(l.tree, replica.Config{
		ServerID: s.cfg.ID, Tick: s.cfg.Tick.Milliseconds(),
		MinTimeout: int32(s.cfg.MinTimeout / time.Millisecond), MaxTimeout: int32(s.cfg.MaxTimeout / time.Millisecond),
		Propose: s.cfg.Propose, Auth: s.auth, Sweep: s.cfg.Sweep, MaxWatches: s.cfg.MaxWatches, Watches: &s.watching,
	}, s.now())
	s.sinceSnapshot = rec.Records
	s.log.Info("data loaded", "server", s.cfg.ID, "zxid", l.tree.Zxid(), "nodes", l.tree.NodeCount(), "replayed", rec.Records, "took", time.Since(begun))
	if rec.Snapshot == nil || l.diverged != nil && !l.settled {
		// Without any, Apache's server would not open the directory; and what did not settle must not be read again.
		return s.firstSnapshot()
	}
	return nil
}

// judge reports what was strange about the data, and refuses what must not be served.
func (s *Server) judge(l *loading, rec *store.Recovery) error {
	if rec.Foreign != "" {
		s.log.Info("the data was last written by another server", "server", s.cfg.ID, "reason", rec.Foreign)
	}
	for _, d := range rec.Skipped {
		s.log.Warn("a damaged snapshot was passed over; an older one and the log make good for it", "server", s.cfg.ID, "error", d)
	}
	if rec.Tail.Cut > 0 {
		s.log.Info("an unfinished record, never acknowledged, was cut off", "server", s.cfg.ID, "file", rec.Tail.File, "offset", rec.Tail.Offset, "bytes", rec.Tail.Cut)
	}
	if l.diverged != nil {
		if rec.Foreign == "" && !l.settled {
			return l.diverged
		}
		// Apache's own servers disagree with themselves now and then, until their queue has run empty; they go on, with a line
		// in the log. Such a log stays readable after we have added to it.
		s.log.Warn("a transaction's digest does not match the data", "server", s.cfg.ID, "error", l.diverged)
	}
	if s.cfg.OldTTL {
		if err := checkOldTTL(l.tree); err != nil {
			return err
		}
	}
	return l.tree.CheckACLs()
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

// loading is a tree on its way from the disk.
type loading struct {
	opts     tree.Options
	tree     *tree.Tree
	fuzzyTo  znode.Zxid // a snapshot of Apache's may hold parts of transactions up to here
	result   tree.Result
	diverged error // the first digest that did not match
	settled  bool  // a later one did
}

// snapshot takes a whole image, each time from nothing.
func (l *loading) snapshot(r *snapshot.Reader) error {
	*l = loading{opts: l.opts}
	load := tree.NewLoader(l.opts)
	sessions, err := r.Sessions()
	if err != nil {
		return err
	}
	for _, x := range sessions {
		load.Session(x.ID, x.Timeout)
	}
	acls, err := r.ACLs()
	if err != nil {
		return err
	}
	for _, x := range acls {
		load.ACL(x.ID, x.List)
	}
	for {
		var n snapshot.Node
		if err := r.Next(&n); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		if err := load.Node(tree.Image{Path: n.Path, Data: n.Data, ACL: n.ACL, Stat: n.Stat}); err != nil {
			return err
		}
	}
	if l.tree, err = load.Tree(r.Name().Zxid); err != nil {
		return err
	}
	if t := r.Trailer(); t.HasDigest {
		l.fuzzyTo = t.DigestZxid
		if t.DigestZxid == l.tree.Zxid() {
			l.compare(t.DigestZxid, t.Digest)
		}
	}
	return nil
}

// record replays a transaction.
func (l *loading) record(r txnlog.Record) error {
	l.begin()
	x, err := txn.Decode(r.Payload)
	if err != nil {
		return err
	}
	l.tree.Apply(&x, &l.result)
	if x.HasDigest && x.Zxid >= l.fuzzyTo {
		l.compare(x.Zxid, x.Digest)
	}
	return nil
}

// begin begins with an empty tree if there was no snapshot to load.
func (l *loading) begin() {
	if l.tree == nil {
		l.tree = tree.New(l.opts)
	}
}

func (l *loading) compare(zxid znode.Zxid, want uint64) {
	if l.opts.NoDigest {
		return
	}
	got := l.tree.Digest()
	l.settled = got == want
	if got != want && l.diverged == nil {
		l.diverged = fmt.Errorf("%w: zxid %v, digest %x, tree %x", replica.ErrDiverged, zxid, want, got)
	}
}
