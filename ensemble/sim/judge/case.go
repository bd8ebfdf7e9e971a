package judge

import (
	"fmt"
	"sort"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A Case is a history laid open for the checkers: who asked for which transaction, and which place in the order each zxid has.
// Each checker can be asked alone and in any order; none changes anything.
type Case struct {
	h     *History
	rules Rules
	byOp  []int              // by op: the transaction it became, or -1
	byTxn []int              // by transaction: the op that asked for it, or -1
	place map[znode.Zxid]int // of a transaction in the order
	calls map[call]int       // writes
	ended []int              // answered ops in the order of their replies

	walked *replay // once it was needed
}

// A call names a request: whoever asked numbers its requests.
type call struct {
	session znode.SessionID
	xid     int32
}

// Open prepares a history for judgement. The history must not change any more.
func Open(h *History, rules Rules) *Case {
	rules.fill()
	c := &Case{
		h: h, rules: rules, byOp: make([]int, len(h.Ops)), byTxn: make([]int, len(h.Txns)),
		place: make(map[znode.Zxid]int, len(h.Txns)), calls: make(map[call]int, len(h.Ops)),
	}
	at := make([]int32, h.seq+1) // by Seq, the op that returned then, plus one
	for i := range h.Ops {
		c.byOp[i] = -1
		o := &h.Ops[i]
		if o.Xid > 0 && o.Type.Write() {
			c.calls[call{o.Session, o.Xid}] = i
		}
		if seq := o.Returned.Seq; seq > 0 && seq <= h.seq {
			at[seq] = int32(i + 1)
		}
	}
	for _, i := range at {
		if i > 0 {
			c.ended = append(c.ended, int(i-1))
		}
	}
	for i := range h.Txns {
		x := &h.Txns[i]
		c.byTxn[i] = -1
		if _, twice := c.place[x.Zxid]; !twice {
			c.place[x.Zxid] = i
		}
		if x.Cxid == 0 {
			continue
		}
		if op, ok := c.calls[call{x.Session, x.Cxid}]; ok {
			c.byTxn[i] = op
			if c.byOp[op] < 0 {
				c.byOp[op] = i
			}
		}
	}
	return c
}

// stateAt is how many transactions the state at zxid has seen. A zxid that is none's (a leader's first of an epoch) stands for the
// last before it.
func (c *Case) stateAt(zxid znode.Zxid) int {
	if i, ok := c.place[zxid]; ok {
		return i + 1
	}
	return sort.Search(len(c.h.Txns), func(i int) bool { return c.h.Txns[i].Zxid > zxid })
}

func (c *Case) describe(i int) string { return c.h.describe(i) }

func describeTxn(x *Txn) string {
	who := "the leader's own"
	if x.Cxid != 0 {
		who = fmt.Sprintf("session %v xid %d", x.Session, x.Cxid)
	} else if x.Session != 0 {
		who = fmt.Sprintf("session %v", x.Session)
	}
	text := fmt.Sprintf("txn %v (%s): %v", x.Zxid, who, x.Type)
	switch b := x.Body.(type) {
	case *txn.Create:
		text += " " + b.Path
	case *txn.Delete:
		text += " " + b.Path
	case *txn.SetData:
		text += fmt.Sprintf(" %s to version %d", b.Path, b.Version)
	case *txn.Error:
		text += fmt.Sprintf(" %v", b.Code)
	case *txn.CloseSession:
		text += fmt.Sprintf(" %v", b.Paths)
	}
	return text
}

// inOrder reports whether a reply takes its zxid from the order: not those to authentication, and not refusals that never had a
// place in it.
func inOrder(zxid znode.Zxid) bool { return zxid > 0 }

// ownWrite reports whether o is a write whose reply says which transaction it became.
func ownWrite(o *Op) bool { return o.Type.Write() && o.Returned.Happened() && inOrder(o.Zxid) }
