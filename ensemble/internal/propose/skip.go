package propose

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// skipped is the child that Skip makes and removes.
const skipped = "/skipped"

// Skip is the transaction after which as many children were made below the node at path as count says, of which the next sequential
// one gets the number, for tests of the count's end: a child comes and goes, and takes all the numbers between. ok is false, and nothing
// planned, where there is no such node, it is an ephemeral, or count is not ahead: less than 2³¹ ahead of where it is, and not -1,
// which in a transaction has another meaning.
func (p *Planner) Skip(path string, count int32, zxid znode.Zxid, now int64) (x txn.Txn, ok bool) {
	child := path + skipped
	if path == znode.Root {
		child = skipped
	}
	parent := p.overlay.at(path, &p.parent)
	if parent == nil || p.overlay.owner(parent) != 0 || count-parent.stat.Cversion <= 0 || count == -1 || p.overlay.at(child, &p.node) != nil {
		return x, false
	}
	x.Header = txn.Header{Zxid: zxid, Time: now, Type: wire.OpMulti}
	made := &txn.Create{Path: child, Data: []byte{}, ACL: znode.OpenACL(), ParentCversion: count}
	p.projectCreate(parent, made, znode.OwnerNone, &x.Header)
	p.projectDelete(p.overlay.at(path, &p.parent), p.overlay.at(child, &p.node), &x.Header)
	x.Body = &txn.Multi{Subs: []txn.Sub{
		{Type: wire.OpCreate, Body: made}, {Type: wire.OpDelete, Body: &txn.Delete{Path: child}},
	}}
	x.Digest, x.HasDigest = p.overlay.digest, !p.overlay.undigested
	return x, true
}

// SetVersion is the transaction that writes data to the node at path and makes version that of its data, for tests of the version's end. ok
// is false, and nothing planned, where there is no such node.
func (p *Planner) SetVersion(path string, data []byte, version int32, zxid znode.Zxid, now int64) (x txn.Txn, ok bool) {
	n := p.overlay.at(path, &p.node)
	if n == nil {
		return x, false
	}
	x.Header = txn.Header{Zxid: zxid, Time: now, Type: wire.OpSetData}
	x.Body = p.write(n, data, version, &x.Header)
	x.Digest, x.HasDigest = p.overlay.digest, !p.overlay.undigested
	return x, true
}
