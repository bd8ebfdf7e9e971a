package replica

import (
	"errors"
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/session"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// ErrDiverged means that the tree after a transaction is not the tree its planner foresaw. Memory or code is broken; a server
// that sees it must stop.
var ErrDiverged = errors.New("replica: the tree is not what the transaction's digest says")

// A Notice is an event on its way to a connection that watches. It is dropped if the receiver may not read what it tells of:
// ACL is that of the changed node, or of the parent for a change of children.
type Notice struct {
	Conn request.ConnID
	Type znode.EventType
	Path string
	ACL  []znode.ACL
}

// Applied is what one transaction did. Its slices are used again by the next Apply.
type Applied struct {
	Zxid     znode.Zxid
	Type     wire.Op // of the transaction: OpError for one that was refused
	Conn     request.ConnID
	Session  znode.SessionID
	Notices  []Notice               // to be sent before the reply, in order
	Reply    []byte                 // a frame for Conn; empty for createSession and for the server's own requests
	Timeout  int32                  // createSession: granted, in milliseconds
	Password [wire.PasswordLen]byte // createSession: of the new session
	Exceeded []tree.Quota           // whose soft limits what was created or set has gone beyond, or stays beyond
}

// Apply applies the oldest planned transaction if it is on disk and says what came of it; false if there is none.
func (r *Replica) Apply(out *Applied) (bool, error) {
	if r.waiting.len() == 0 {
		return false, nil
	}
	p := r.waiting.first()
	*out = Applied{
		Type: p.txn.Type, Conn: p.conn, Session: p.txn.Session, Notices: out.Notices[:0], Reply: out.Reply[:0],
		Exceeded: out.Exceeded[:0],
	}
	if p.code != znode.CodeOK {
		out.Type = wire.OpError
		out.Reply = wire.AppendErrorFrame(out.Reply, wire.ReplyHeader{Xid: p.txn.Cxid, Err: p.code})
		r.waiting.pop()
		return true, nil
	}
	if p.txn.Zxid > r.synced {
		return false, nil
	}
	out.Zxid = p.txn.Zxid
	r.tree.Apply(&p.txn, &r.result)
	if p.txn.HasDigest && p.txn.Digest != r.tree.Digest() {
		return false, fmt.Errorf("%w: zxid %v, %v, digest %x, tree %x", ErrDiverged, p.txn.Zxid, p.txn.Type, p.txn.Digest, r.tree.Digest())
	}
	r.planner.Applied(p.txn.Zxid)
	r.sweeper.applied(r.tree, r.result.Changes)
	r.fire(out)
	r.complain(out)
	r.settle(p, out)
	r.waiting.pop()
	return true, nil
}

// settle makes the answer, and the tracker follow the tree where sessions came or went.
func (r *Replica) settle(p *planned, out *Applied) {
	switch p.txn.Type {
	case wire.OpCreateSession:
		out.Timeout, out.Password = p.txn.Body.(*txn.CreateSession).Timeout, session.Password(p.txn.Session)
		return
	case wire.OpCloseSession:
		r.sessions.Close(p.txn.Session)
	}
	if p.conn == 0 {
		return
	}
	head := wire.ReplyHeader{Xid: p.txn.Cxid, Zxid: p.txn.Zxid}
	if p.txn.Type == wire.OpError {
		head.Err = p.txn.Body.(*txn.Error).Code
	}
	b, start := wire.BeginFrame(out.Reply)
	b = head.AppendJute(b)
	if head.Err == znode.CodeOK {
		b = appendOutcome(b, p.txn.Type, &r.result)
	}
	out.Reply = wire.EndFrame(b, start)
}

// appendOutcome appends the record that answers a write that was done.
func appendOutcome(b []byte, typ wire.Op, res *tree.Result) []byte {
	switch typ {
	case wire.OpCreate:
		return jute.AppendString(b, res.Path)
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		return res.Stat.AppendJute(jute.AppendString(b, res.Path))
	case wire.OpSetData, wire.OpSetACL:
		return res.Stat.AppendJute(b)
	case wire.OpReconfig:
		return res.Stat.AppendJute(jute.AppendBuffer(b, res.Data))
	case wire.OpMulti:
		multi := wire.MultiResponse{Results: make([]wire.MultiResult, len(res.Subs))}
		for i := range res.Subs {
			multi.Results[i] = outcome(&res.Subs[i])
		}
		return multi.AppendJute(b)
	}
	return b
}

func outcome(s *tree.SubResult) wire.MultiResult {
	m := wire.MultiResult{Op: s.Type, Err: s.Code, Path: s.Path, Stat: s.Stat}
	switch s.Type {
	case wire.OpCreateContainer, wire.OpCreateTTL:
		m.Op = wire.OpCreate2
	}
	return m
}

// complain names the quotas whose soft limits do not hold. They are looked at after the change: nobody is refused for them.
func (r *Replica) complain(out *Applied) {
	for i := range r.result.Changes {
		c := &r.result.Changes[i]
		if c.Type == znode.EventDeleted {
			continue
		}
		q, ok := r.tree.Quota(c.Path)
		if ok && (q.SoftCount >= 0 && q.Count > q.SoftCount || q.SoftBytes >= 0 && q.Bytes > q.SoftBytes) {
			out.Exceeded = append(out.Exceeded, q)
		}
	}
}

// fire turns what changed into events for those who watch.
func (r *Replica) fire(out *Applied) {
	if len(r.result.Changes) == 0 {
		return
	}
	r.watching.Lock()
	defer r.watching.Unlock()
	for i := range r.result.Changes {
		c := &r.result.Changes[i]
		r.watches.Fire(c.Type, c.Path, func(conn request.ConnID, typ znode.EventType, path string) {
			n := Notice{Conn: conn, Type: typ, Path: path, ACL: c.ACL}
			if typ == znode.EventChildrenChanged {
				n.ACL = c.ParentACL
			}
			out.Notices = append(out.Notices, n)
		})
	}
}
