package judge

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// Timeline is everything a history has between two moments, one line each, in the order in which it happened: what to read beside a
// Violation.
func (h *History) Timeline(from, to clock.Time) iter.Seq[string] {
	type line struct {
		at   Moment
		text func() string
	}
	var lines []line
	add := func(at Moment, text func() string) {
		if at.Happened() && from <= at.At && at.At <= to {
			lines = append(lines, line{at, text})
		}
	}
	for i := range h.Conns {
		c := &h.Conns[i]
		add(c.Dialed, func() string {
			return fmt.Sprintf("client %d dials server %d as connection %d for session %v, having seen %v", c.Client, c.Server, i, c.Asked, c.LastZxid)
		})
		add(c.Answered, func() string {
			return fmt.Sprintf("connection %d of client %d has session %v, timeout %d ms", i, c.Client, c.Session, c.Timeout)
		})
		add(c.Ended, func() string { return fmt.Sprintf("connection %d of client %d is over", i, c.Client) })
	}
	for i := range h.Ops {
		o := &h.Ops[i]
		add(o.Invoked, func() string {
			return fmt.Sprintf("op %d: client %d asks on connection %d, xid %d: %v %s", i, h.Conns[o.Conn].Client, o.Conn, o.Xid, o.Type, show(o.Request))
		})
		add(o.Returned, func() string {
			return fmt.Sprintf("op %d: connection %d is answered at %v: %v %s", i, o.Conn, o.Zxid, o.Err, show(o.Response))
		})
	}
	for i := range h.Events {
		e := &h.Events[i]
		add(e.At, func() string { return fmt.Sprintf("connection %d is told %v %s at %v", e.Conn, e.Type, e.Path, e.Zxid) })
	}
	for i := range h.Txns {
		x := &h.Txns[i]
		add(x.Committed, func() string {
			return fmt.Sprintf("committed, proposed by server %d at %v: %s", x.Leader, x.Proposed.At, describeTxn(x))
		})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.at.Seq, b.at.Seq) })
	return func(yield func(string) bool) {
		for _, l := range lines {
			if !yield(fmt.Sprintf("%v %s", l.at.At, l.text())) {
				return
			}
		}
	}
}
