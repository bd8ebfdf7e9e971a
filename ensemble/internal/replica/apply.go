package replica

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

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
	Notices  []Notice     // to be sent before the reply, in order
	Reply    []byte       // a frame for Conn, which is 0 when nobody here is to be answered
	Exceeded []tree.Quota // whose soft limits what was created or set has gone beyond, or stays beyond
}

// Applicable reports whether Apply would do something.
func (r *Replica) Applicable() bool {
	if e := r.local.first(); e != nil && (e.code != znode.CodeOK || e.Op == wire.OpSync && r.confirmedSync(e) && r.tree.Zxid() >= e.after) {
		return true
	}
	return r.waiting.len() > 0 && r.waiting.first().Zxid <= min(r.committed, r.synced)
}

// Apply answers a request that waits for no transaction, or applies the oldest transaction that is committed and on disk here, and
// says what came of it; false if there is neither. An error is the end of a server that stands alone; one of several distrusts
// itself instead, and heals from the others.
func (r *Replica) Apply(out *Applied, now Time) (bool, error) {
	*out = Applied{Notices: out.Notices[:0], Reply: out.Reply[:0], Exceeded: out.Exceeded[:0]}
	if r.settled(out) {
		return true, nil
	}
	if r.waiting.len() == 0 {
		return false, nil
	}
	x := r.waiting.first()
	if x.Zxid > r.committed || x.Zxid > r.synced {
		return false, nil
	}
	i := r.local.match(x)
	if i > r.local.head { // a transaction proposed after these syncs is committed: who led then, leads
		for e := r.local.head; e < i; e++ {
			if l := &r.local.list[e]; l.Op == wire.OpSync {
				if !l.done && e < r.local.sent {
					r.local.ahead++ // the leader's word on it is still to come
				}
				l.done, l.after = true, 0
			}
		}
		if !r.settled(out) {
			panic("replica: what stands before a transaction's request waits for something")
		}
		return true, nil
	}
	var asked *local
	if i >= 0 {
		asked = r.local.first()
		out.Conn = asked.Conn
	} else {
		r.elsewhere(x)
	}
	out.Zxid, out.Type, out.Session = x.Zxid, x.Type, x.Session
	r.tree.Apply(x, &r.result)
	if !r.verify(x, now) {
		return false, r.diverged(x, now)
	}
	if r.planner != nil {
		r.planner.Applied(x.Zxid)
		r.sweeper.applied(r.tree, r.result.Changes)
	}
	r.fire(out)
	r.complain(out)
	r.settle(x, out)
	if asked != nil {
		r.local.pop()
	}
	r.waiting.pop()
	switch {
	case r.leader != nil:
		r.tally.Committed++
		r.leader.Applied(out.Zxid)
	case r.history != nil:
		r.tally.Informed++
		r.history.Keep(out.Zxid)
	}
	r.heal(now)
	return true, nil
}

// settled answers the oldest request if it waits for no transaction, or for none any more.
func (r *Replica) settled(out *Applied) bool {
	e := r.local.first()
	if e == nil {
		return false
	}
	switch {
	case e.code != znode.CodeOK:
		out.Reply = wire.AppendErrorFrame(out.Reply, wire.ReplyHeader{Xid: e.Xid, Err: e.code})
		if e.Op == wire.OpCreateSession {
			r.shut(e.Session)
		}
	case e.Op == wire.OpSync && r.confirmedSync(e) && r.tree.Zxid() >= e.after:
		out.Reply = r.reply(out.Reply, &e.Request, e.Record)
	default:
		return false
	}
	out.Type, out.Conn, out.Session, out.Zxid = wire.OpError, e.Conn, e.Session, r.tree.Zxid()
	if r.silence(out); e.Op == wire.OpCreateSession || out.Conn == 0 {
		out.Conn, out.Reply = 0, out.Reply[:0]
	}
	r.local.pop()
	return true
}

// settle makes the answer, and the tracker follow the tree where sessions came or went.
func (r *Replica) settle(x *txn.Txn, out *Applied) {
	switch x.Type {
	case wire.OpCreateSession:
		timeout := x.Body.(*txn.CreateSession).Timeout
		r.opened(x.Session, timeout)
		out.Conn = 0
		return
	case wire.OpCloseSession:
		if r.sessions != nil {
			r.sessions.Close(x.Session)
		}
		delete(r.moved, x.Session)
		delete(r.touched, x.Session)
		r.ended(x.Session, out.Conn)
	case wire.OpError:
		if _, opening := r.clients.opening[x.Session]; opening && x.Cxid == 0 {
			r.shut(x.Session)
			out.Conn = 0
			return
		}
	}
	if r.silence(out); out.Conn == 0 {
		return
	}
	head := wire.ReplyHeader{Xid: x.Cxid, Zxid: x.Zxid}
	if x.Type == wire.OpError {
		head.Err = x.Body.(*txn.Error).Code
		if head.Err == znode.CodeSessionMoved {
			r.lost(out)
			return
		}
	}
	b, start := wire.BeginFrame(out.Reply)
	b = head.AppendJute(b)
	if head.Err == znode.CodeOK {
		b = appendOutcome(b, x.Type, &r.result)
	}
	out.Reply = wire.EndFrame(b, start)
}

// lost ends a connection whose session speaks through another server now. It gets no answer: the refusal may have been another
// connection's, with the same xid.
func (r *Replica) lost(out *Applied) {
	if c := r.clients.byConn[out.Conn]; c != nil && !c.cut {
		r.release(out.Session)
		c.cut = true
		r.client(ClientOp{Kind: ClientClose, Conn: out.Conn})
	}
	out.Conn = 0
}

// silence leaves nobody to be answered on a connection that has been cut: an answer may have been left out there, and then no other
// must follow.
func (r *Replica) silence(out *Applied) {
	if c := r.clients.byConn[out.Conn]; c != nil && c.cut {
		out.Conn = 0
	}
}

// shut refuses whoever asked for a session that could not be opened.
func (r *Replica) shut(id znode.SessionID) {
	if conn := r.clients.opening[id]; conn != 0 {
		r.client(ClientOp{Kind: ClientRefuse, Conn: conn})
	}
	delete(r.clients.opening, id)
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
