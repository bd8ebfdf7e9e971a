package judge

import (
	"cmp"
	"maps"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// Sessions is C10. A session opens with its transaction, once; it is closed by its client, or by a leader that has not heard of
// it for its timeout; nobody is told that it has expired before; and when it is closed nothing of it goes on: no
// transaction, no answer, no ephemeral; and a server that has not heard of it stops answering pings in time, so that the owner
// knows before others act on it. A session that nobody keeps alive does end.
//
// What a leader has heard of cannot be seen from outside, but bounded: a new connection it has heard of itself; and a ping, a
// write or a sync is answered only by a server whose touches up to Rules.Slack before have reached the leader.
func (c *Case) Sessions() []Violation {
	f := findings{check: "C10"}
	lives := c.lives()
	for i := range c.h.Conns {
		c.greeting(&f, i, lives)
	}
	for _, end := range c.h.Closes {
		if l := lives[end.Session]; l != nil && end.Cxid == 0 && c.committed(end.Zxid) && !l.timedOut(end.Proposed, &c.rules) {
			f.add(end.Proposed.At, "session %v is to end at %v, but was heard of at %v and has %v", end.Session, end.Zxid,
				l.heard(end.Proposed, &c.rules), l.timeout(end.Proposed))
		}
	}
	c.afterlife(&f, lives)
	for i := range c.h.Images {
		c.owners(&f, &c.h.Images[i], lives)
	}
	return f.list
}

// committed reports whether a proposal came to be: what a leader asks for that has been cut off, and does not know it, never does.
func (c *Case) committed(zxid znode.Zxid) bool {
	_, ok := slices.BinarySearchFunc(c.h.Txns, zxid, func(x Txn, zxid znode.Zxid) int { return cmp.Compare(x.Zxid, zxid) })
	return ok
}

// A life is what is known of one session.
type life struct {
	id       znode.SessionID
	conns    []*Conn // those that were answered, in order
	pulse    []*Op   // answered requests, in the order of their replies
	opened   *Txn
	closed   *Txn // the first that closed it
	closings []Closing
	asked    Moment // when its client first asked to close it
}

func (c *Case) lives() map[znode.SessionID]*life {
	lives := map[znode.SessionID]*life{}
	of := func(id znode.SessionID) *life {
		if lives[id] == nil {
			lives[id] = &life{id: id}
		}
		return lives[id]
	}
	for i := range c.h.Conns {
		if conn := &c.h.Conns[i]; conn.Session != 0 {
			of(conn.Session).conns = append(of(conn.Session).conns, conn)
		}
	}
	for i := range c.h.Ops {
		if o := &c.h.Ops[i]; o.Type == wire.OpCloseSession && !of(o.Session).asked.Happened() {
			of(o.Session).asked = o.Invoked
		}
	}
	var l *life
	for _, i := range c.ended {
		o := &c.h.Ops[i]
		if l == nil || l.id != o.Session {
			l = of(o.Session)
		}
		l.pulse = append(l.pulse, o)
	}
	for i := range c.h.Txns {
		switch x := &c.h.Txns[i]; x.Type {
		case wire.OpCreateSession:
			of(x.Session).opened = x
		case wire.OpCloseSession:
			if l := of(x.Session); l.closed == nil {
				l.closed = x
			}
		}
	}
	for _, end := range c.h.Closes {
		of(end.Session).closings = append(of(end.Session).closings, end)
	}
	return lives
}

// timeout is what the session had been granted by then.
func (l *life) timeout(by Moment) (granted clock.Time) {
	for _, conn := range l.conns {
		if conn.Answered.Before(by) {
			granted = clock.Time(conn.Timeout) * clock.Millisecond
		}
	}
	return granted
}

// heard is the last moment at which, by then, the leader must have heard of the session.
func (l *life) heard(by Moment, rules *Rules) (last clock.Time) {
	for _, conn := range l.conns {
		if conn.Answered.Before(by) {
			last = max(last, conn.Dialed.At)
		}
	}
	n, _ := slices.BinarySearchFunc(l.pulse, by, func(o *Op, by Moment) int { return cmp.Compare(o.Returned.Seq, by.Seq) })
	var proof *Op // the last answer that proves what came before
	for _, o := range slices.Backward(l.pulse[:n]) {
		switch {
		case proof == nil && (o.Type == wire.OpPing || o.Type == wire.OpSync || ownWrite(o)):
			proof = o
		case proof != nil && o.Conn != proof.Conn:
			return last
		case proof != nil && o.Returned.At <= proof.Invoked.At-rules.Slack: // it was answered after it was asked, and no more is known of when
			return max(last, o.Invoked.At)
		}
	}
	return last
}

// timedOut reports whether by then a leader could take the session for dead.
func (l *life) timedOut(by Moment, rules *Rules) bool {
	timeout := l.timeout(by)
	return by.At >= l.heard(by, rules)+timeout-timeout*clock.Time(rules.MaxDrift)/1_000_000
}

// greeting checks what a connection was told of its session.
func (c *Case) greeting(f *findings, i int, lives map[znode.SessionID]*life) {
	conn := &c.h.Conns[i]
	if !conn.Answered.Happened() {
		return
	}
	l := lives[conn.Session]
	switch {
	case conn.Session == 0 && conn.Asked == 0:
		f.add(conn.Answered.At, "connection %d (client %d to server %d) asked for a new session and was told it has expired", i, conn.Client, conn.Server)
	case conn.Session == 0:
		c.refusal(f, i, conn, lives[conn.Asked])
	case conn.Asked != 0 && conn.Session != conn.Asked:
		f.add(conn.Answered.At, "connection %d (client %d to server %d) asked for session %v and got %v", i, conn.Client, conn.Server, conn.Asked, conn.Session)
	case l.opened == nil || !l.opened.Committed.Before(conn.Answered):
		f.add(conn.Answered.At, "connection %d (client %d to server %d) got session %v, which no transaction opens", i, conn.Client, conn.Server, conn.Session)
	case conn.Asked != 0 && l.closed != nil && l.closed.Committed.Before(conn.Dialed):
		f.add(conn.Answered.At, "connection %d (client %d to server %d) got session %v back, which was closed at %v at %v", i, conn.Client, conn.Server,
			conn.Session, l.closed.Zxid, l.closed.Committed.At)
	case conn.Asked == 0 && l.conns[0] != conn:
		f.add(conn.Answered.At, "connection %d (client %d to server %d) got session %v as a new one, which another has", i, conn.Client, conn.Server, conn.Session)
	case conn.Asked == 0 && l.opened.Body.(*txn.CreateSession).Timeout != conn.Timeout:
		f.add(conn.Answered.At, "connection %d (client %d to server %d) got session %v with a timeout of %d ms; its transaction says %d", i, conn.Client,
			conn.Server, conn.Session, conn.Timeout, l.opened.Body.(*txn.CreateSession).Timeout)
	}
}

// refusal checks that a session that is said to have expired has, or at least was about to be closed.
func (c *Case) refusal(f *findings, i int, conn *Conn, l *life) {
	switch {
	case l == nil || l.asked.Before(conn.Answered) && l.asked.Happened():
	case l.closed != nil && l.closed.Committed.Before(conn.Answered):
	case slices.ContainsFunc(l.closings, func(e Closing) bool { return e.Proposed.Before(conn.Answered) }):
	default:
		f.add(conn.Answered.At, "connection %d (client %d to server %d) was told that session %v has expired, and nobody has closed it", i,
			conn.Client, conn.Server, conn.Asked)
	}
}

// afterlife looks for what a session does after its end.
func (c *Case) afterlife(f *findings, lives map[znode.SessionID]*life) {
	for i := range c.h.Txns {
		x := &c.h.Txns[i]
		l := lives[x.Session]
		if l == nil || l.closed == nil || x.Zxid <= l.closed.Zxid || x.Type == wire.OpCloseSession || failed(&x.Txn) {
			continue
		}
		f.add(x.Committed.At, "%s: its session was closed at %v", describeTxn(x), l.closed.Zxid)
	}
	for i := range c.h.Ops {
		o := &c.h.Ops[i]
		l := lives[o.Session]
		if l == nil || l.closed == nil || !o.Returned.Happened() || o.Type == wire.OpCloseSession || o.Err == znode.CodeSessionExpired {
			continue
		}
		if o.Type == wire.OpPing && o.Invoked.At > l.closed.Committed.At+c.rules.Slack {
			f.add(o.Returned.At, "%s: its session was closed at %v, at %v, and its owner is still led to believe that it lives", c.describe(i),
				l.closed.Zxid, l.closed.Committed.At)
			continue
		}
		if o.Zxid < l.closed.Zxid {
			continue
		}
		if m, ok := o.Response.(*wire.MultiResponse); ok && len(m.Results) > 0 && m.Results[0].Err == znode.CodeSessionExpired {
			continue
		}
		f.add(o.Returned.At, "%s: its session was closed at %v", c.describe(i), l.closed.Zxid)
	}
	for i := range c.h.Events {
		e := &c.h.Events[i]
		if l := lives[c.h.Conns[e.Conn].Session]; l != nil && l.closed != nil && e.Zxid > l.closed.Zxid {
			f.add(e.At.At, "connection %d was told %v %s at %v; its session was closed at %v", e.Conn, e.Type, e.Path, e.Zxid, l.closed.Zxid)
		}
	}
}

// owners checks that in a server's tree every ephemeral's owner is open, and that no session lives that nobody has kept alive for
// long.
func (c *Case) owners(f *findings, img *Image, lives map[znode.SessionID]*life) {
	if img.Faulty {
		return
	}
	for i := range img.Nodes {
		n := &img.Nodes[i]
		owner := n.Stat.Owner.Session(c.rules.Extended)
		if _, open := img.Sessions[owner]; owner != 0 && !open {
			f.add(img.At.At, "server %d has the ephemeral %s of session %v, which is not open", img.Server, n.Path, owner)
		}
	}
	if !c.h.Healed.Before(img.At) || !c.h.Healed.Happened() {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(img.Sessions)) {
		l := lives[id]
		if l == nil || len(l.conns) == 0 {
			continue
		}
		last := max(c.h.Healed.At, l.conns[len(l.conns)-1].Dialed.At)
		if n := len(l.pulse); n > 0 {
			last = max(last, l.pulse[n-1].Returned.At)
		}
		if timeout := l.timeout(img.At); img.At.At > last+timeout+timeout*clock.Time(c.rules.MaxDrift)/1_000_000+c.rules.Patience {
			f.add(img.At.At, "server %d still has session %v, of which nobody has heard since %v", img.Server, id, last)
		}
	}
}
