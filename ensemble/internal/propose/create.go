package propose

import (
	"strconv"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// create plans the four creates (method PrepRequestProcessor.pRequest2TxnCreate).
func (p *Planner) create(op wire.Op, q *wire.CreateRequest, r *request.Request, h *txn.Header) (txn.Body, znode.Code) {
	if code := p.checkMode(op, q); code != znode.CodeOK {
		return nil, code
	}
	if code := p.sessions.Check(r.Session); code != znode.CodeOK {
		return nil, code
	}
	slash := strings.LastIndexByte(q.Path, '/')
	if slash < 0 || strings.IndexByte(q.Path, 0) >= 0 {
		return nil, znode.CodeBadArguments
	}
	acl, code := p.auth.Expand(q.ACL, r.IDs)
	if code != znode.CodeOK {
		return nil, code
	}
	parent := p.overlay.at(q.Path[:slash], &p.parent)
	if parent == nil {
		return nil, znode.CodeNoNode
	}
	if !p.auth.Permit(parent.acl, r.IDs, znode.PermCreate) {
		return nil, znode.CodeNoAuth
	}
	path := q.Path
	if q.Mode.Sequential() {
		path = sequential(path, parent.stat.Cversion)
	}
	if znode.ValidatePath(path) != nil {
		return nil, znode.CodeBadArguments
	}
	if p.overlay.at(path, &p.node) != nil {
		return nil, znode.CodeNodeExists
	}
	if p.overlay.owner(parent) != 0 {
		return nil, znode.CodeNoChildrenForEphemerals
	}
	if code := p.checkQuota(path, 1, int64(len(q.Data))); code != znode.CodeOK {
		return nil, code
	}
	body := &txn.Create{Path: path, Data: q.Data, ACL: acl, ParentCversion: parent.stat.Cversion + 1}
	owner := znode.OwnerNone
	switch {
	case op == wire.OpCreateContainer:
		owner = znode.OwnerContainer
	case op == wire.OpCreateTTL:
		owner, body.TTL = znode.TTLOwner(q.TTL), q.TTL
	case q.Mode.Ephemeral():
		owner, body.Ephemeral = znode.Owner(h.Session), true
		if code := p.checkEstate(h.Session, path); code != znode.CodeOK {
			return nil, code
		}
	}
	if code := p.grow(createLen(body)); code != znode.CodeOK {
		return nil, code
	}
	p.projectCreate(parent, body, owner, h)
	return body, znode.CodeOK
}

// checkMode looks at what the flags ask for. What kind of node comes out is decided by the op first: a createContainer makes a
// container whatever its flags, a create with the container flag a plain node.
func (p *Planner) checkMode(op wire.Op, q *wire.CreateRequest) znode.Code {
	ttl := int64(-1)
	if op == wire.OpCreateTTL {
		ttl = q.TTL
	}
	switch {
	case !q.Mode.Valid():
		return znode.CodeBadArguments
	case q.Mode.TTL() && !p.extended:
		return znode.CodeUnimplemented
	case q.Mode.TTL() && (ttl < 1 || ttl > znode.MaxTTL), !q.Mode.TTL() && ttl >= 0:
		return znode.CodeBadArguments
	case op == wire.OpCreateTTL && !q.Mode.TTL(): // Apache's server trips over it when it applies it
		return znode.CodeBadArguments
	}
	return znode.CodeOK
}

func (p *Planner) projectCreate(parent *record, c *txn.Create, owner znode.Owner, h *txn.Header) {
	o := &p.overlay
	parent = o.change(parent, h.Zxid)
	parent.stat.Cversion, parent.stat.Pzxid = c.ParentCversion, h.Zxid
	parent.children++
	o.settle(parent)

	n := o.create(c.Path, h.Zxid)
	n.exists, n.acl, n.children, n.length = true, c.ACL, 0, len(c.Data)
	n.stat = znode.StatPersisted{Czxid: h.Zxid, Mzxid: h.Zxid, Pzxid: h.Zxid, Ctime: h.Time, Mtime: h.Time, Owner: owner}
	if !o.undigested {
		n.crc = tree.ContentCRC(c.Path, c.Data)
	}
	o.settle(n)
	if id := o.owner(n); id != 0 {
		o.estate(id).add(c.Path)
	}
}

// sequential is path with a node's creation count behind it, ten characters wide, a minus sign included: after 2147483647 comes
// -2147483648.
func sequential(path string, count int32) string {
	b := append(make([]byte, 0, len(path)+11), path...)
	var room [16]byte
	digits, width := strconv.AppendInt(room[:0], int64(count), 10), 10
	if count < 0 {
		b, digits, width = append(b, '-'), digits[1:], 9
	}
	for n := len(digits); n < width; n++ {
		b = append(b, '0')
	}
	return string(append(b, digits...))
}

// checkQuota refuses what would go beyond a hard limit, where limits are enforced: against the usage that has been applied, not what
// is planned, and with a change of bytes also when it shrinks but not enough (method ZooKeeperServer.checkQuota). Soft limits, and
// limits of what nobody measures, refuse nothing.
func (p *Planner) checkQuota(path string, count, bytes int64) znode.Code {
	if !p.cfg.EnforceQuota {
		return znode.CodeOK
	}
	q, ok := p.tree.Quota(path)
	switch {
	case !ok || !q.Measured:
		return znode.CodeOK
	case count != 0 && q.HardCount > -1 && q.Count+count > q.HardCount, bytes != 0 && q.HardBytes > -1 && q.Bytes+bytes > q.HardBytes:
		return znode.CodeQuotaExceeded
	}
	return znode.CodeOK
}
