package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/retry"
)

// ledger carries out transactions exactly once, as client.MultiOnce does, at half the cost: a mark is not made and removed for each of them, but
// changed. A mark is an ephemeral node that one transaction at a time borrows; its version tells whether that has happened.
type ledger struct {
	client *client.Client
	dir    directory

	mu      sync.Mutex
	session *client.Session // the marks'
	free    []markNode
}

// spare is how many marks a ledger keeps while nobody uses them.
const spare = 8

// markNode is a mark: the node, and its version as its last user has left it; -1 if it is not made yet.
type markNode struct {
	path    string
	version int32
}

// A part is one operation of a transaction.
type part struct {
	client.Op
	dir      *directory // of a create: where it creates, to be made if it is missing
	optional bool       // it is left out if its node is missing
	foreign  bool       // it is the caller's own
	of       *Delivery  // it fails when this one has lost its item
}

// A partError tells which part a transaction has failed by. Nothing has happened.
type partError struct {
	part  part
	index int
	err   error
}

func (e *partError) Error() string { return e.err.Error() }
func (e *partError) Unwrap() error { return e.err }

// commit carries out the parts, or none, and tries again until it is known which, as long as it is wanted. It returns the transaction's zxid if
// there is a set among the parts. It fails with a *partError, or with another error by which nothing has happened; ErrUnknown says that the
// session has ended, or that it was not wanted any more.
func (l *ledger) commit(life context.Context, s *client.Session, parts []part, wanted func() bool) (int64, error) {
	view := l.client.In(s)
	m := l.borrow(s)
	for {
		results, err := view.Multi(life, l.ops(parts, m)...)
		switch {
		case err == nil:
			l.giveBack(s, markNode{m.path, m.version + 1})
			return zxidOf(results), nil
		case errors.Is(err, client.ErrUnknown):
			zxid, done, lookErr := m.look(life, view)
			if lookErr != nil {
				return 0, fmt.Errorf("%w; looking for its mark: %w", err, lookErr)
			}
			if done {
				l.giveBack(s, markNode{m.path, m.version + 1})
				return zxid, nil
			}
			if wanted() {
				continue
			}
		default:
			if i := blame(results); i >= 0 {
				if m, parts, err = l.mend(life, view, m, parts, i, err); err == nil {
					continue
				}
			}
		}
		l.giveBack(s, m)
		return 0, err
	}
}

// ops are the parts, and behind them the mark.
func (l *ledger) ops(parts []part, m markNode) []client.Op {
	ops := make([]client.Op, 0, len(parts)+1)
	for _, p := range parts {
		ops = append(ops, p.Op)
	}
	if m.version < 0 {
		return append(ops, client.CreateOp(m.path, nil, &client.CreateOptions{Mode: client.Ephemeral, ACL: l.dir.acl}))
	}
	return append(ops, client.SetOp(m.path, nil, m.version))
}

// mend makes what a transaction has missed, or returns why that is no use. The mark to go on with is another one if somebody has removed it.
func (l *ledger) mend(life context.Context, view *client.Client, m markNode, parts []part, i int, reason error) (markNode, []part, error) {
	missing := errors.Is(reason, client.ErrNoNode)
	switch {
	case i < len(parts) && missing && parts[i].dir != nil:
		return m, parts, parts[i].dir.make(life, view)
	case i < len(parts) && missing && parts[i].optional:
		return m, slices.Delete(slices.Clone(parts), i, i+1), nil
	case i < len(parts):
		return m, parts, &partError{parts[i], i, reason}
	case m.version >= 0 && (missing || errors.Is(reason, client.ErrBadVersion)):
		return l.fresh(), parts, nil
	case m.version < 0 && missing:
		return m, parts, l.dir.make(life, view)
	}
	return m, parts, reason
}

// look tells whether the transaction that had the mark has happened, and its zxid. It sees all that the session sent before.
func (m markNode) look(life context.Context, view *client.Client) (zxid int64, done bool, err error) {
	if err := view.Sync(life, m.path); err != nil {
		return 0, false, err
	}
	stat, exists, err := view.Exists(life, m.path)
	return stat.Mzxid, exists && stat.Version == m.version+1, err
}

func (l *ledger) fresh() markNode {
	return markNode{l.dir.join(client.NewProtectionID()), -1}
}

// borrow returns a mark that nobody uses.
func (l *ledger) borrow(s *client.Session) markNode {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != s {
		if l.session == nil || l.session.Generation() < s.Generation() {
			l.session, l.free = s, nil // the former session's are gone with it
		}
	}
	if n := len(l.free); n > 0 && l.session == s {
		m := l.free[n-1]
		l.free = l.free[:n-1]
		return m
	}
	return l.fresh()
}

// giveBack keeps a mark for the next, or removes it.
func (l *ledger) giveBack(s *client.Session, m markNode) {
	if m.version < 0 {
		return
	}
	l.mu.Lock()
	keep := l.session == s && len(l.free) < spare
	if keep {
		l.free = append(l.free, m)
	}
	l.mu.Unlock()
	if !keep {
		_ = s.Go(func(life context.Context) { removeOwn(life, l.client.In(s), m.path) }) // else it is gone with the session
	}
}

// removeOwn deletes a node whose name nobody else uses, until it is gone or the session is over.
func removeOwn(life context.Context, view *client.Client, path string) {
	for {
		err := view.Delete(life, path, client.AnyVersion)
		if err == nil || !retry.Transient(err) || !retry.Pause(life, retry.Soon) {
			return
		}
	}
}

// blame returns the part that made a multi fail, or -1.
func blame(results []client.Result) int {
	for i, r := range results {
		if r.Err != nil && r.Err != error(client.ErrRuntimeInconsistency) {
			return i
		}
	}
	return -1
}

// zxidOf is the zxid of a transaction, if anything was set.
func zxidOf(results []client.Result) int64 {
	for _, r := range results {
		if r.Stat.Mzxid != 0 {
			return r.Stat.Mzxid
		}
	}
	return 0
}

// A directory is one of a queue's nodes that have children.
type directory struct {
	path string
	mode client.Mode // Persistent or Container
	acl  []client.ACL
}

func (d *directory) join(name string) string {
	if d.path == "/" {
		return "/" + name
	}
	return d.path + "/" + name
}

// make makes the directory if it is missing.
func (d *directory) make(ctx context.Context, view *client.Client) error {
	mode := d.mode
	for {
		_, err := view.Create(ctx, d.path, nil, &client.CreateOptions{Mode: mode, ACL: d.acl, Parents: client.ContainerParents})
		switch {
		case err == nil, errors.Is(err, client.ErrNodeExists):
			return nil
		case mode == client.Container && (errors.Is(err, client.ErrUnimplemented) || errors.Is(err, client.ErrBadArguments)):
			mode = client.Persistent // a server without containers
		case !retry.Transient(err) || !retry.Pause(ctx, retry.Soon):
			return err
		}
	}
}

// children lists the directory; one that does not exist has none.
func (d *directory) children(ctx context.Context, view *client.Client) ([]string, error) {
	names, _, err := view.Children(ctx, d.path)
	if errors.Is(err, client.ErrNoNode) {
		err = nil
	}
	return names, err
}

// childrenW lists the directory and watches it, and makes it if it is missing.
func (d *directory) childrenW(ctx context.Context, view *client.Client) ([]string, *client.Watch, error) {
	for {
		names, _, w, err := view.ChildrenW(ctx, d.path)
		if !errors.Is(err, client.ErrNoNode) {
			return names, w, err
		}
		if err := d.make(ctx, view); err != nil {
			return nil, nil, err
		}
	}
}
