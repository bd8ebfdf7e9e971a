package tree

import (
	"bytes"
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A Result is what a transaction came to. Apply reuses its slices; what they point to is never changed.
type Result struct {
	Code znode.Code // not OK: refused when it was planned, or (in replay only) already done or undone
	Path string     // of the node created, deleted, set; else empty
	Stat znode.Stat // of the node afterwards; zero for delete and the sessions
	Data []byte     // reconfig: the configuration

	Subs    []SubResult // of a multi, one for each of its parts
	Changes []Change    // what watches may fire for, in order
}

// A SubResult is what one part of a multi came to. In a multi that failed every part has the type error.
type SubResult struct {
	Type wire.Op
	Code znode.Code
	Path string
	Stat znode.Stat
}

// A Change is something that happened to one node and that somebody may watch.
type Change struct {
	Type      znode.EventType // created, deleted or data changed
	Path      string
	ACL       []znode.ACL // of the node; as it was, if it was deleted
	ParentACL []znode.ACL // of the node above; of the root itself for a change of the root
}

func (r *Result) reset() {
	clear(r.Subs)
	clear(r.Changes)
	*r = Result{Subs: r.Subs[:0], Changes: r.Changes[:0]}
}

func (r *Result) changed(typ znode.EventType, n *Node) {
	parent := n.parent
	if parent == nil {
		parent = n
	}
	r.Changes = append(r.Changes, Change{Type: typ, Path: n.Path(), ACL: n.acl.list, ParentACL: parent.acl.list})
}

// Apply makes a committed transaction true and says in out what came of it. It needs the tree for itself. Data and ACLs are
// copied, so x may point into a buffer that is used again; the strings in x are kept.
//
// Apply does not fail. A transaction that finds the tree other than its planner saw it, as happens when the log is replayed over
// a fuzzy snapshot, does what is left to do and reports a Code; Zxid moves on all the same, and never back. A body that does
// not belong to the type is a bug and panics.
func (t *Tree) Apply(x *txn.Txn, out *Result) {
	out.reset()
	switch x.Type {
	case wire.OpMulti:
		t.applyMulti(x, out)
	case wire.OpCreateSession:
		t.sessions.put(x.Session, x.Body.(*txn.CreateSession).Timeout)
	case wire.OpCloseSession:
		list, _ := x.Body.(*txn.CloseSession)
		t.closeSession(&x.Header, list, out)
	case wire.OpError:
		out.Code = x.Body.(*txn.Error).Code
	default:
		res := SubResult{Type: x.Type}
		t.applyOne(&x.Header, x.Body, &res, out)
		out.Code, out.Path, out.Stat = res.Code, res.Path, res.Stat
		if n := t.Node(res.Path); x.Type == wire.OpReconfig && n != nil {
			out.Data = n.data
		}
	}
	t.zxid = max(t.zxid, x.Zxid)
	if x.Zxid%historyStep == 0 && !t.opts.NoDigest {
		t.remember()
	}
}

// applyOne applies a change to one node: a whole transaction of type res.Type, or a part of a multi.
func (t *Tree) applyOne(h *txn.Header, body txn.Body, res *SubResult, out *Result) {
	switch c := body.(type) {
	case *txn.Create:
		res.Path = c.Path
		t.create(h, c, res, out)
	case *txn.Delete:
		res.Path = c.Path
		res.Code = t.delete(c.Path, h.Zxid, out)
	case *txn.SetData:
		res.Path = c.Path
		t.setData(h, c, res, out)
	case *txn.SetACL:
		res.Path = c.Path
		t.setACL(c, res)
	case *txn.Check:
		res.Path = c.Path
	default:
		panic(fmt.Sprintf("tree: transaction %v of type %v has a body of type %T", h.Zxid, res.Type, body))
	}
}

// applyMulti applies all parts or none: if one is an error, those before it are answered OK, those after it with what the planner
// wrote, and nothing is done (class DataTree.processTxn).
func (t *Tree) applyMulti(x *txn.Txn, out *Result) {
	m := x.Body.(*txn.Multi)
	failed := m.Failed()
	after := false
	for i := range m.Subs {
		sub := &m.Subs[i]
		out.Subs = append(out.Subs, SubResult{Type: sub.Type})
		res := &out.Subs[i]
		e, isError := sub.Body.(*txn.Error)
		switch {
		case isError:
			after = true
			res.Code = e.Code
		case after:
			res.Type, res.Code = wire.OpError, znode.CodeRuntimeInconsistency
		case failed:
			res.Type = wire.OpError
		default:
			t.applyOne(&x.Header, sub.Body, res, out)
		}
		if out.Code == znode.CodeOK {
			out.Code = res.Code
		}
	}
}

// owner is what a create's type and flag make the owner of its node.
func owner(h *txn.Header, typ wire.Op, c *txn.Create) znode.Owner {
	switch {
	case typ == wire.OpCreateContainer:
		return znode.OwnerContainer
	case typ == wire.OpCreateTTL:
		return znode.TTLOwner(c.TTL)
	case c.Ephemeral:
		return znode.Owner(h.Session)
	}
	return znode.OwnerNone
}

// create adds a node. The parent's creation count and pzxid only ever go up, also when the node is there already, and then the
// node gets the ACL of the transaction: a fuzzy snapshot may have it without (tickets 4689, 4846).
func (t *Tree) create(h *txn.Header, c *txn.Create, res *SubResult, out *Result) {
	above, _, ok := znode.Split(c.Path)
	parent := t.nodes[above]
	if !ok || parent == nil {
		res.Code = znode.CodeNoNode
		return
	}
	t.raise(parent, c.ParentCversion, h.Zxid)
	if n := t.nodes[c.Path]; n != nil {
		t.replaceACL(n, c.ACL)
		res.Code, res.Stat = znode.CodeNodeExists, n.Stat()
		return
	}
	stat := znode.StatPersisted{
		Czxid: h.Zxid, Mzxid: h.Zxid, Pzxid: h.Zxid, Ctime: h.Time, Mtime: h.Time, Owner: owner(h, res.Type, c),
	}
	n := t.add(parent, c.Path, bytes.Clone(c.Data), t.acls.hold(c.ACL), &stat)
	t.quotaCreated(n)
	res.Stat = n.Stat()
	out.changed(znode.EventCreated, n)
}

// raise makes n's creation count what it is after a creation below it, unless it is that already. The count wraps around after
// 2³¹-1.
func (t *Tree) raise(n *Node, count int32, zxid znode.Zxid) {
	if count == -1 {
		count = n.stat.Cversion + 1
	}
	if count-n.stat.Cversion <= 0 {
		return
	}
	t.keep(n)
	n.stat.Cversion, n.stat.Pzxid = count, zxid
	t.redigest(n)
}

// delete removes a node. The parent learns of it even if the node is gone already.
func (t *Tree) delete(path string, zxid znode.Zxid, out *Result) znode.Code {
	above, _, ok := znode.Split(path)
	parent := t.nodes[above]
	switch {
	case !ok || parent == nil:
		return znode.CodeNoNode
	case znode.Reserved(path):
		return znode.CodeBadArguments
	}
	if zxid > parent.stat.Pzxid {
		t.keep(parent)
		parent.stat.Pzxid = zxid
		t.redigest(parent)
	}
	n := t.nodes[path]
	if n == nil {
		return znode.CodeNoNode
	}
	out.changed(znode.EventDeleted, n)
	t.prune(n)
	return znode.CodeOK
}

func (t *Tree) setData(h *txn.Header, c *txn.SetData, res *SubResult, out *Result) {
	n := t.Node(c.Path)
	if n == nil {
		res.Code = znode.CodeNoNode
		return
	}
	t.keep(n)
	grown := len(c.Data) - len(n.data)
	n.data = bytes.Clone(c.Data)
	n.stat.Mzxid, n.stat.Mtime, n.stat.Version = h.Zxid, h.Time, c.Version
	n.crc = t.contentCRC(n)
	t.redigest(n)
	t.bytes += int64(grown)
	t.charge(n, 0, int64(grown))
	res.Stat = n.Stat()
	out.changed(znode.EventDataChanged, n)
}

func (t *Tree) setACL(c *txn.SetACL, res *SubResult) {
	n := t.Node(c.Path)
	if n == nil {
		res.Code = znode.CodeNoNode
		return
	}
	t.replaceACL(n, c.ACL)
	n.stat.Aversion = c.Version
	t.redigest(n)
	res.Stat = n.Stat()
}

func (t *Tree) replaceACL(n *Node, list []znode.ACL) {
	t.keep(n)
	old := n.acl
	n.acl = t.acls.hold(list)
	t.acls.release(old)
}

// closeSession forgets the session and deletes its ephemerals: those the transaction lists, so that every server does the same even
// while catching up, and then whatever else is filed under the session.
func (t *Tree) closeSession(h *txn.Header, c *txn.CloseSession, out *Result) {
	t.sessions.remove(h.Session)
	if c != nil {
		for _, path := range c.Paths {
			t.delete(path, h.Zxid, out)
		}
	}
	for _, path := range t.Ephemerals(h.Session) {
		t.delete(path, h.Zxid, out)
	}
}

// add makes a new node and files it everywhere. The ACL is already held, data is the tree's.
func (t *Tree) add(parent *Node, path string, data []byte, acl *aclEntry, stat *znode.StatPersisted) *Node {
	t.seq++
	n := &Node{
		path: path, data: data, acl: acl, stat: *stat, parent: parent, older: t.newest, seq: t.seq,
		kind: stat.Owner.Kind(t.opts.Extended),
	}
	t.bytes += int64(len(path) + len(data))
	if parent == nil {
		t.nodes[znode.Root] = n
		t.bytes++ // counted as "" and as "/"
	} else {
		n.hidden = parent.hidden || parent.path == znode.System
		parent.attach(n)
		t.nodes[path] = n
	}
	if t.newest != nil {
		t.newest.newer = n
	} else {
		t.oldest = n
	}
	t.newest = n
	t.joinKin(n)
	n.crc = t.contentCRC(n)
	t.redigest(n)
	return n
}

// prune removes n and, which only a replay over a fuzzy snapshot can ask for, all below it: what was there came later and will
// come again.
func (t *Tree) prune(n *Node) {
	for at := n; ; {
		if last := len(at.children) - 1; last >= 0 {
			at = at.children[last]
			continue
		}
		above := at.parent
		t.remove(at)
		if at == n {
			return
		}
		at = above
	}
}

// remove takes a node without children out of everything.
func (t *Tree) remove(n *Node) {
	t.keep(n)
	t.digest -= uint64(n.digest)
	t.bytes -= int64(len(n.path) + len(n.data))
	t.leaveKin(n)
	n.parent.detach(n)
	delete(t.nodes, n.path)
	t.acls.release(n.acl)
	t.quotaDeleted(n)
	n.dead = true
	t.bury(n)
}

// bury takes a dead node out of the order of creation, unless a dump has still to come to it.
func (t *Tree) bury(n *Node) {
	for _, d := range t.dumps {
		if d.ahead(n) {
			if t.tombs == nil {
				t.tombs = make(map[*Node]bool)
			}
			t.tombs[n] = true
			return
		}
	}
	delete(t.tombs, n)
	t.unlink(n)
}

// unlink takes n out of the order of creation. Its own links stay as they are.
func (t *Tree) unlink(n *Node) {
	if n.older != nil {
		n.older.newer = n.newer
	} else {
		t.oldest = n.newer
	}
	if n.newer != nil {
		n.newer.older = n.older
	} else {
		t.newest = n.older
	}
}

// keep is called before n is changed: a dump that has still to come to n needs it as it is now.
func (t *Tree) keep(n *Node) {
	for _, d := range t.dumps {
		if d.ahead(n) {
			d.freeze(n)
		}
	}
}
