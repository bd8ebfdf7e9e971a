package replica

import (
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A local is a request of a client of this server, or of a client that wants to be one, between Submit and its answer.
type local struct {
	request.Request
	code  znode.Code // not OK: refused without a transaction, waits only for its turn
	after znode.Zxid // sync: what the tree must have
	round uint64     // sync on the leader: by which round a quorum must have confirmed that it leads
	done  bool       // sync: confirmed; only the tree has to follow
	asked bool       // it may be on its way to this leader still, and nobody will know
}

// locals is the requests of this server's clients, in the order they were asked for. Since the leader plans a server's requests in
// the order they reach it, their transactions are committed in this order too: one that answers a request answers the first that
// is waiting for a transaction.
type locals struct {
	list  []local
	head  int // list[head:] are not answered
	sent  int // list[:sent] have been planned, or sent to the leader; head ≤ sent ≤ len(list)
	asked int // list[:asked] may have been sent to an earlier leader; sent ≤ asked unless asked ≤ head
	ahead int // syncs that were answered before the leader's word on them came
}

func (l *locals) len() int { return len(l.list) - l.head }

func (l *locals) push(q request.Request) {
	if len(l.list) == cap(l.list) && l.head > len(l.list)/2 {
		n := copy(l.list, l.list[l.head:])
		clear(l.list[n:])
		l.list, l.sent, l.asked, l.head = l.list[:n], l.sent-l.head, max(0, l.asked-l.head), 0
	}
	l.list = append(l.list, local{Request: q})
}

func (l *locals) pop() {
	l.list[l.head] = local{}
	l.head++
	l.sent = max(l.sent, l.head)
	if l.head == len(l.list) {
		l.list, l.head, l.sent, l.asked = l.list[:0], 0, 0, 0
		if cap(l.list) > keepQueue {
			l.list = nil
		}
	}
}

func (l *locals) reset() { *l = locals{} }

// first is the oldest, nil when there is none.
func (l *locals) first() *local {
	if l.len() == 0 {
		return nil
	}
	return &l.list[l.head]
}

// unsent are those that have not been planned or sent yet.
func (l *locals) unsent() []local { return l.list[l.sent:] }

// match finds the request that x answers, -1 if it is none of them. Syncs and refusals before it wait for no transaction.
func (l *locals) match(x *txn.Txn) int {
	for i := l.head; i < max(l.sent, l.asked) && i < len(l.list); i++ {
		e := &l.list[i]
		if e.Op == wire.OpSync || e.code != znode.CodeOK {
			continue
		}
		end := x.Type == wire.OpCloseSession
		if e.Session == x.Session && e.Xid == x.Cxid && (x.Type == wire.OpError || end == (e.Op == wire.OpCloseSession)) {
			return i
		}
		return -1
	}
	return -1
}

// unsend says that whoever was asked will answer no more: what has not been answered by the time there is a leader again has to be
// asked for again.
func (l *locals) unsend() {
	l.asked = max(l.asked, l.sent)
	l.sent, l.ahead = l.head, 0
	for i := l.head; i < len(l.list); i++ {
		if e := &l.list[i]; e.Op == wire.OpSync {
			e.after, e.round, e.done = 0, 0, false
		}
	}
}

// keep drops those that nobody waits for any more, of which it is certain now that they were not done: a client that has been
// told that its connection is lost must not see its requests happen after all it does on the next one. What ends a session
// stays, unless it may be done already: if it is not, time ends the session.
func (l *locals) keep(waits func(*local) bool) {
	l.list = slices.DeleteFunc(l.list[l.head:], func(e local) bool { return e.asked || e.Op != wire.OpCloseSession && !waits(&e) })
	l.head, l.sent, l.asked = 0, 0, 0
}

// synced says that the leader has answered the oldest sync it was asked for.
func (l *locals) synced(after znode.Zxid) {
	if l.ahead > 0 {
		l.ahead--
		return
	}
	for i := l.head; i < l.sent; i++ {
		if e := &l.list[i]; e.Op == wire.OpSync && !e.done {
			e.done, e.after = true, after
			return
		}
	}
}
