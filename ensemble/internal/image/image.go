// Package image is about a tree on its way: from a data directory into memory ([Loading]), from memory to a snapshot file
// ([Write]), and between two servers ([Send], [Receive]).
//
// The one idea is that a tree travels piece by piece. A [tree.Dump] is the tree of one moment; while it is written or sent,
// whoever changes the tree is kept out only for as long as it takes to copy a few nodes, and no more than a piece of it is held
// in memory besides the tree itself. Nothing that arrives is believed before its end has been seen, and no length before that
// many bytes have come.
//
// What the three kinds of bytes have in common (sessions, ACLs, nodes, the path "/" for the end) and how they differ (header and
// seals on disk, a signature between servers) is package snapshot's; what a tree is, package tree's; when to do any of this, and
// what becomes of a tree that is not as its digest says, is for the caller to decide. Nothing here starts a goroutine. A call has
// the tree it builds for itself; the one a Dump is of is shared as [Source] says.
package image

import (
	"errors"
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// ErrDiverged means that a tree is not the one whose digest a snapshot or a transaction carries.
var ErrDiverged = errors.New("image: the tree is not what the digest says")

// Hooks are told what is loaded. Each may be nil.
type Hooks struct {
	// Base is called with the zxid that the records to come follow: once for each snapshot that has been read whole (a later
	// call makes the earlier ones void).
	Base func(zxid znode.Zxid)
	// Record is called with each record that has been applied, in order. The payload may be kept, and must not be changed.
	Record func(r txnlog.Record)
}

// A Loading is a tree on its way from a data directory: its methods Snapshot and Record are what store.Store's Recover and Reload
// ask for. It may be used for several loads, one after the other, if each begins with Reset.
type Loading struct {
	opts     tree.Options
	hooks    Hooks
	tree     *tree.Tree // nil: nothing has been loaded
	fuzzyTo  znode.Zxid // a snapshot of Apache's may hold parts of transactions up to here
	result   tree.Result
	diverged error // the first digest that did not match
	settled  bool  // the last digest looked at did
}

// NewLoading begins with nothing.
func NewLoading(opts tree.Options, hooks Hooks) *Loading { return &Loading{opts: opts, hooks: hooks} }

// Reset forgets everything that was loaded.
func (l *Loading) Reset() { *l = Loading{opts: l.opts, hooks: l.hooks} }

// Snapshot takes a whole image, each time from nothing.
func (l *Loading) Snapshot(r *snapshot.Reader) error {
	l.Reset()
	t, err := build(r, l.opts, nil)
	if err != nil {
		return err
	}
	if l.tree, err = t.Tree(r.Name().Zxid); err != nil {
		return err
	}
	if d := r.Trailer(); d.HasDigest {
		l.fuzzyTo = d.DigestZxid
		if d.DigestZxid == l.tree.Zxid() {
			l.compare(d.DigestZxid, d.Digest)
		}
	}
	if l.hooks.Base != nil {
		l.hooks.Base(l.tree.Zxid())
	}
	return nil
}

// Record replays a transaction. Errors are those of txn.Decode: a record that no server can have meant.
func (l *Loading) Record(r txnlog.Record) error {
	t := l.Tree()
	x, err := txn.Decode(r.Payload)
	if err != nil {
		return err
	}
	t.Apply(&x, &l.result)
	if x.HasDigest && x.Zxid >= l.fuzzyTo {
		l.compare(x.Zxid, x.Digest)
	}
	if l.hooks.Record != nil {
		l.hooks.Record(r)
	}
	return nil
}

// Tree is the tree as far as it has come: one that has seen nothing, if there was nothing to load.
func (l *Loading) Tree() *tree.Tree {
	if l.tree == nil {
		l.tree = tree.New(l.opts)
		if l.hooks.Base != nil {
			l.hooks.Base(0)
		}
	}
	return l.tree
}

// Diverged is the first digest that did not match, as an ErrDiverged; nil if all did that could be compared.
func (l *Loading) Diverged() error { return l.diverged }

// Settled says whether the last digest that was looked at matched, so that what diverged has come together again. Apache's own
// servers disagree with their digests now and then, until their queue has run empty.
func (l *Loading) Settled() bool { return l.settled }

func (l *Loading) compare(zxid znode.Zxid, want uint64) {
	if l.opts.NoDigest {
		return
	}
	got := l.tree.Digest()
	l.settled = got == want
	if got != want && l.diverged == nil {
		l.diverged = fmt.Errorf("%w: zxid %v, digest %x, tree %x", ErrDiverged, zxid, want, got)
	}
}
