package judge

import (
	"cmp"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Order is C6: replies come in the order of the requests (pings may be answered later, but in their own order); zxids never fall,
// neither on a connection nor from one connection of a session to the next, nor below what the client said it had seen; a write's is
// higher than all before it; an event's is higher than that of every reply before it; and a session's writes are committed in the
// order in which it asked for them.
func (c *Case) Order() []Violation {
	f := findings{check: "C6"}
	asked := make([][]int, len(c.h.Conns)) // by connection, what it waits for besides pings
	for i := range c.h.Ops {
		if o := &c.h.Ops[i]; o.Type != wire.OpPing {
			asked[o.Conn] = append(asked[o.Conn], i)
		}
	}
	floors := map[znode.SessionID]znode.Zxid{}
	for i := range c.h.Conns {
		c.stream(&f, i, asked[i], floors)
	}
	for _, s := range c.h.Strays {
		conn := &c.h.Conns[s.Conn]
		f.add(s.At.At, "connection %d (client %d to server %d): %s", s.Conn, conn.Client, conn.Server, s.What)
	}
	c.program(&f)
	return f.list
}

// stream follows what one connection received.
func (c *Case) stream(f *findings, i int, asked []int, floors map[znode.SessionID]znode.Zxid) {
	conn := &c.h.Conns[i]
	floor, heard, carried := conn.LastZxid, znode.Zxid(0), znode.Zxid(0)
	if conn.Asked != 0 {
		floor = max(floor, floors[conn.Asked])
	}
	for _, item := range conn.Received {
		if item.IsEvent {
			e := &c.h.Events[item.Index]
			if e.Zxid > 0 && (e.Zxid <= floor || e.Zxid < heard) {
				f.add(e.At.At, "connection %d (client %d to server %d): told %v %s at %v after it had seen %v", i, conn.Client, conn.Server,
					e.Type, e.Path, e.Zxid, max(floor, heard))
			}
			heard = max(heard, e.Zxid)
			continue
		}
		o := &c.h.Ops[item.Index]
		if o.Type != wire.OpPing {
			if len(asked) == 0 || asked[0] != item.Index {
				f.add(o.Returned.At, "%s: answered out of turn", c.describe(item.Index))
				return
			}
			asked = asked[1:]
		}
		switch {
		case !inOrder(o.Zxid):
			continue
		case o.Zxid < max(floor, heard):
			f.add(o.Returned.At, "%s: the session had seen %v", c.describe(item.Index), max(floor, heard))
		case o.Type.Write() && o.Zxid == floor:
			f.add(o.Returned.At, "%s: at a zxid the session had seen before it asked", c.describe(item.Index))
		}
		if floor = max(floor, o.Zxid); o.Type != wire.OpPing {
			carried = floor
		}
	}
	if conn.Session != 0 { // clients carry over what ordinary replies said, not pings and events (class ClientCnxn)
		floors[conn.Session] = max(floors[conn.Session], carried)
	}
}

// program checks the order of each session's transactions.
func (c *Case) program(f *findings) {
	last, over := map[znode.SessionID]int{}, map[znode.SessionID]bool{}
	for i := range c.h.Txns {
		x := &c.h.Txns[i]
		if x.Type == wire.OpCloseSession {
			over[x.Session] = true // asked for, or because nothing was heard, which bears no number
		}
		if x.Cxid == 0 || tooLate(x) || over[x.Session] && refused(x) {
			continue // what a server still sends on for a session that has left it, or is no more, is refused whenever it comes
		}
		if before, ok := last[x.Session]; ok && c.h.Txns[before].Cxid > x.Cxid {
			f.add(x.Committed.At, "%s: committed after %s, which was asked for later", describeTxn(x), describeTxn(&c.h.Txns[before]))
		}
		last[x.Session] = i
	}
}

// refused reports whether x changed nothing.
func refused(x *Txn) bool {
	if m, ok := x.Body.(*txn.Multi); ok {
		return m.Failed()
	}
	return x.Type == wire.OpError
}

// Sync is C12: a sync's reply shows the ensemble as it was when it was asked, or later. What anybody had been told of before, by
// a reply or an event, is in it, and so in every read that follows on its session.
func (c *Case) Sync() []Violation {
	f := findings{check: "C12"}
	newest, next, told := 0, 0, 0 // the latest state anybody has seen; replies and events looked at
	for i := range c.h.Ops {
		o := &c.h.Ops[i]
		if o.Type != wire.OpSync {
			continue
		}
		for ; next < len(c.ended) && c.h.Ops[c.ended[next]].Returned.Seq < o.Invoked.Seq; next++ {
			if p := &c.h.Ops[c.ended[next]]; inOrder(p.Zxid) {
				newest = max(newest, c.stateAt(p.Zxid))
			}
		}
		for ; told < len(c.h.Events) && c.h.Events[told].At.Seq < o.Invoked.Seq; told++ {
			if e := &c.h.Events[told]; e.Zxid > 0 {
				newest = max(newest, c.stateAt(e.Zxid))
			}
		}
		if o.Done() && c.stateAt(o.Zxid) < newest {
			f.add(o.Returned.At, "%s: before it was asked, somebody had seen %v", c.describe(i), c.h.Txns[newest-1].Zxid)
		}
	}
	return f.list
}

// Liveness is C13: once everything is healed, writes are done again, and every client that tries gets a connection, within
// Rules.Patience. It has nothing to say about a history that ends sooner, or that was never healed.
func (c *Case) Liveness() []Violation {
	f := findings{check: "C13"}
	limit := c.h.Healed.At + c.rules.Patience
	if !c.h.Healed.Happened() || c.h.last <= limit {
		return nil
	}
	tried, done := false, false
	for i := range c.h.Ops {
		o := &c.h.Ops[i]
		if o.Type.Write() && c.h.Healed.Before(o.Invoked) {
			tried = true
			done = done || o.Returned.Happened() && o.Returned.At <= limit
		}
	}
	waiting, served := map[int]bool{}, map[int]bool{}
	for i := range c.h.Conns {
		conn := &c.h.Conns[i]
		switch {
		case conn.Answered.Happened() && conn.Answered.At <= limit && !(conn.Ended.Happened() && conn.Ended.Before(c.h.Healed)):
			served[conn.Client] = true
		case c.h.Healed.Before(conn.Dialed) && conn.Dialed.At <= limit:
			waiting[conn.Client] = true
		}
	}
	for client := range waiting {
		if !served[client] {
			f.add(limit, "client %d found no server within %v of healing", client, c.rules.Patience)
		}
	}
	if tried && !done || !tried && len(waiting) > 0 && len(served) == 0 {
		f.add(limit, "no write was done within %v of healing", c.rules.Patience)
	}
	slices.SortFunc(f.list, func(a, b Violation) int { return cmp.Compare(a.Text, b.Text) })
	return f.list
}
