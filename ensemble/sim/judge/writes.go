package judge

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Writes is C2: what was acknowledged is committed once, at the zxid its reply said; what was refused changed nothing; what was
// never answered happened at most once; and everything committed was asked for, by a client or by the passing of time.
func (c *Case) Writes() []Violation {
	f := findings{check: "C2"}
	for i := range c.h.Ops {
		if o := &c.h.Ops[i]; o.Type.Write() && o.Returned.Happened() {
			c.answered(&f, i, o)
		}
	}
	seen := make(map[call]int, len(c.h.Txns))
	for i := range c.h.Txns {
		c.asked(&f, i, seen)
	}
	return f.list
}

// answered checks a write whose reply came.
func (c *Case) answered(f *findings, i int, o *Op) {
	at := c.byOp[i]
	if !inOrder(o.Zxid) {
		switch {
		case o.Err == znode.CodeOK:
			f.add(o.Returned.At, "%s: an acknowledgement without a zxid", c.describe(i))
		case at >= 0:
			f.add(o.Returned.At, "%s: refused, and yet there is %s", c.describe(i), describeTxn(&c.h.Txns[at]))
		}
		return
	}
	if at < 0 {
		f.add(o.Returned.At, "%s: answered, and not committed", c.describe(i))
		return
	}
	x := &c.h.Txns[at]
	switch {
	case x.Zxid != o.Zxid:
		f.add(o.Returned.At, "%s: committed as %s", c.describe(i), describeTxn(x))
	case !x.Committed.Before(o.Returned):
		f.add(o.Returned.At, "%s: answered before it was committed at %v", c.describe(i), x.Committed.At)
	case o.refused() != failed(&x.Txn):
		f.add(o.Returned.At, "%s: but the order has %s", c.describe(i), describeTxn(x))
	}
}

// failed reports whether a transaction is a refusal.
func failed(x *txn.Txn) bool {
	if m, ok := x.Body.(*txn.Multi); ok {
		return m.Failed()
	}
	return x.Type == wire.OpError
}

// asked checks that somebody asked for a transaction, before it was proposed, and that it is the only one.
func (c *Case) asked(f *findings, i int, seen map[call]int) {
	x := &c.h.Txns[i]
	if x.Cxid == 0 {
		switch x.Type {
		case wire.OpCreateSession, wire.OpCloseSession, wire.OpDeleteContainer, wire.OpError:
		default:
			f.add(x.Committed.At, "%s: no leader makes such a one by itself", describeTxn(x))
		}
		return
	}
	key := call{x.Session, x.Cxid}
	if first, twice := seen[key]; twice {
		f.add(x.Committed.At, "%s: committed a second time, first as %v", describeTxn(x), c.h.Txns[first].Zxid)
		return
	}
	seen[key] = i
	op := c.byTxn[i]
	if op < 0 {
		f.add(x.Committed.At, "%s: nobody asked for it", describeTxn(x))
		return
	}
	o := &c.h.Ops[op]
	if !o.Type.Write() {
		f.add(x.Committed.At, "%s: became %s", c.describe(op), describeTxn(x))
	}
	if !o.Invoked.Before(x.Proposed) {
		f.add(x.Committed.At, "%s: proposed at %v as %s, before it was asked for", c.describe(op), x.Proposed.At, describeTxn(x))
	}
}

// RealTime is C3: a write asked for after another was answered has the higher zxid.
func (c *Case) RealTime() []Violation {
	f := findings{check: "C3"}
	highest, zxid := -1, znode.Zxid(0) // of the writes answered so far
	next := 0
	for i := range c.h.Ops { // in order of asking
		o := &c.h.Ops[i]
		at := c.byOp[i]
		if at < 0 {
			continue
		}
		for ; next < len(c.ended) && c.h.Ops[c.ended[next]].Returned.Seq < o.Invoked.Seq; next++ {
			if p := &c.h.Ops[c.ended[next]]; ownWrite(p) && p.Zxid > zxid {
				highest, zxid = c.ended[next], p.Zxid
			}
		}
		if x := &c.h.Txns[at]; x.Zxid <= zxid {
			f.add(o.Invoked.At, "%s: committed as %v, although before it was asked for this was answered: %s", c.describe(i), x.Zxid, c.describe(highest))
		}
	}
	return f.list
}
