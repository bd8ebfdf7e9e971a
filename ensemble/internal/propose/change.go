package propose

import (
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// deletable splits a path that may be deleted; the syntax of the rest of it does not matter.
func deletable(path string) (parent string, ok bool) {
	slash := strings.LastIndexByte(path, '/')
	if slash < 0 || strings.IndexByte(path, 0) >= 0 || znode.Reserved(path) {
		return "", false
	}
	return path[:slash], true
}

func (p *Planner) delete(q *wire.DeleteRequest, r *request.Request, h *txn.Header) (txn.Body, znode.Code) {
	if code := p.sessions.Check(r.Session); code != znode.CodeOK {
		return nil, code
	}
	above, ok := deletable(q.Path)
	if !ok {
		return nil, znode.CodeBadArguments
	}
	parent := p.overlay.at(above, &p.parent)
	if parent == nil {
		return nil, znode.CodeNoNode
	}
	if !p.auth.Permit(parent.acl, r.IDs, znode.PermDelete) {
		return nil, znode.CodeNoAuth
	}
	n := p.overlay.at(q.Path, &p.node)
	switch {
	case n == nil:
		return nil, znode.CodeNoNode
	case !versionMatches(q.Version, n.stat.Version):
		return nil, znode.CodeBadVersion
	case n.children > 0:
		return nil, znode.CodeNotEmpty
	}
	if code := p.grow(4 + len(q.Path)); code != znode.CodeOK {
		return nil, code
	}
	p.projectDelete(parent, n, h)
	return &txn.Delete{Path: q.Path}, znode.CodeOK
}

// deleteContainer plans the removal of a container or TTL node whose time has come, as the server itself asks. It is looked at
// again: a node that came or was written to after the one that was seen, or that is neither container nor TTL node, stays. (Apache's
// server would also delete a plain node that has taken its place.)
func (p *Planner) deleteContainer(q *wire.PathRequest, h *txn.Header) (txn.Body, znode.Code) {
	above, ok := deletable(q.Path)
	if !ok {
		return nil, znode.CodeBadArguments
	}
	n := p.overlay.at(q.Path, &p.node)
	if n == nil {
		return nil, znode.CodeNoNode
	}
	seen := p.tree.Node(q.Path)
	switch kind := n.stat.Owner.Kind(p.extended); {
	case n.children > 0:
		return nil, znode.CodeNotEmpty
	case kind != znode.Container && kind != znode.TTL, seen == nil || seen.Persisted().Mzxid != n.stat.Mzxid:
		return nil, znode.CodeBadVersion
	}
	parent := p.overlay.at(above, &p.parent)
	if parent == nil {
		return nil, znode.CodeNoNode
	}
	p.projectDelete(parent, n, h)
	return &txn.Delete{Path: q.Path}, znode.CodeOK
}

func (p *Planner) projectDelete(parent, n *record, h *txn.Header) {
	o := &p.overlay
	if id := o.owner(n); id != 0 {
		o.estate(id).remove(n.path)
	}
	parent = o.change(parent, h.Zxid)
	parent.stat.Pzxid = h.Zxid
	parent.children--
	o.settle(parent)
	n = o.change(n, h.Zxid)
	n.exists, n.acl = false, nil
	o.settle(n)
}

func (p *Planner) setData(q *wire.SetDataRequest, r *request.Request, h *txn.Header) (txn.Body, znode.Code) {
	n, code := p.target(q.Path, r)
	if code != znode.CodeOK {
		return nil, code
	}
	if n == nil {
		return nil, znode.CodeNoNode
	}
	if !p.auth.Permit(n.acl, r.IDs, znode.PermWrite) {
		return nil, znode.CodeNoAuth
	}
	if code := p.checkQuota(q.Path, 0, int64(len(q.Data)-n.length)); code != znode.CodeOK {
		return nil, code
	}
	if !versionMatches(q.Version, n.stat.Version) {
		return nil, znode.CodeBadVersion
	}
	if code := p.grow(4 + len(q.Path) + 4 + len(q.Data) + 4); code != znode.CodeOK {
		return nil, code
	}
	return p.write(n, q.Data, n.stat.Version+1, h), znode.CodeOK
}

// write plans that a node has data of a version.
func (p *Planner) write(n *record, data []byte, version int32, h *txn.Header) *txn.SetData {
	n = p.overlay.change(n, h.Zxid)
	n.stat.Version = version
	n.stat.Mzxid, n.stat.Mtime, n.length = h.Zxid, h.Time, len(data)
	if !p.overlay.undigested {
		n.crc = tree.ContentCRC(n.path, data)
	}
	p.overlay.settle(n)
	return &txn.SetData{Path: n.path, Data: data, Version: version}
}

// target is the node a request with a valid path means, nil if there is none.
func (p *Planner) target(path string, r *request.Request) (*record, znode.Code) {
	if code := p.sessions.Check(r.Session); code != znode.CodeOK {
		return nil, code
	}
	if znode.ValidatePath(path) != nil {
		return nil, znode.CodeBadArguments
	}
	return p.overlay.at(path, &p.node), znode.CodeOK
}

func (p *Planner) setACL(q *wire.SetACLRequest, r *request.Request, h *txn.Header) (txn.Body, znode.Code) {
	n, code := p.target(q.Path, r)
	if code != znode.CodeOK {
		return nil, code
	}
	acl, code := p.auth.Expand(q.ACL, r.IDs)
	switch {
	case code != znode.CodeOK:
		return nil, code
	case n == nil:
		return nil, znode.CodeNoNode
	case !p.auth.Permit(n.acl, r.IDs, znode.PermAdmin):
		return nil, znode.CodeNoAuth
	case !versionMatches(q.Version, n.stat.Aversion):
		return nil, znode.CodeBadVersion
	}
	if code := p.grow(4 + len(q.Path) + aclLen(acl) + 4); code != znode.CodeOK {
		return nil, code
	}
	n = p.overlay.change(n, h.Zxid)
	n.stat.Aversion++
	n.acl = acl
	p.overlay.settle(n)
	return &txn.SetACL{Path: n.path, ACL: acl, Version: n.stat.Aversion}, znode.CodeOK
}

// check plans a multi's check. The version in its transaction is one more than the node's, which nobody reads.
func (p *Planner) check(q *wire.CheckRequest, r *request.Request) (txn.Body, znode.Code) {
	n, code := p.target(q.Path, r)
	switch {
	case code != znode.CodeOK:
		return nil, code
	case n == nil:
		return nil, znode.CodeNoNode
	case !p.auth.Permit(n.acl, r.IDs, znode.PermRead):
		return nil, znode.CodeNoAuth
	case !versionMatches(q.Version, n.stat.Version):
		return nil, znode.CodeBadVersion
	}
	if code := p.grow(4 + len(q.Path) + 4); code != znode.CodeOK {
		return nil, code
	}
	return &txn.Check{Path: n.path, Version: n.stat.Version + 1}, znode.CodeOK
}
