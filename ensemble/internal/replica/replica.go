// Package replica is a whole server without I/O: the tree, the watches, the sessions and the planner composed into one
// machine. Requests, ticks and the news that the log is on disk go in; what is to be logged, answered and told comes out. It
// has no goroutine, clock, socket or file; the server drives it, and so does the simulator.
//
// The walk of a write:
//
//	Propose   plans it against the tree and everything planned before it, and hands out its log record
//	Synced    says up to which zxid the log is on disk
//	Apply     changes the tree, and hands out the answer and the events that precede it
//
// Propose may run while others Answer; Apply may not: it changes the tree, and whoever owns the Replica keeps readers out
// meanwhile. Apply takes one transaction at a time, since a read that stands between two writes of a connection has to run
// between them.
//
// Today a Replica knows one role, that of a server that stands alone.
package replica

import (
	"sync"

	"github.com/bellwether-zk/bellwether/ensemble/internal/auth"
	"github.com/bellwether-zk/bellwether/ensemble/internal/propose"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/session"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/watch"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Time is a moment by both clocks, in milliseconds: Mono never jumps and decides what is old, Wall is what nodes show.
type Time struct{ Mono, Wall int64 }

// Config is what a Replica is told once.
type Config struct {
	ServerID   uint8 // the top byte of the session ids it gives out
	Tick       int64 // milliseconds; session deadlines are rounded up to multiples of it
	MinTimeout int32 // milliseconds, shortest session timeout granted
	MaxTimeout int32 // milliseconds, longest
	Propose    propose.Config
	Auth       *auth.Registry
	Sweep      Sweep
	MaxWatches int // paths one connection may watch; 0: any number

	// Watches guards the table of watches, which answers change and which therefore several goroutines would change at once.
	// Nil: nobody answers concurrently.
	Watches sync.Locker
}

// A Replica is one server's state and the rules by which it changes.
type Replica struct {
	cfg      Config
	auth     *auth.Registry
	tree     *tree.Tree
	watches  *watch.Table
	watching sync.Locker
	sessions *session.Tracker
	ids      *session.IDs
	planner  *propose.Planner
	sweeper  sweeper

	proposed znode.Zxid // last zxid given out; proposed ≥ synced
	synced   znode.Zxid // last zxid on disk; synced ≥ tree.Zxid()
	waiting  queue      // planned, not applied
	result   tree.Result
}

// New returns a Replica that goes on from t. Every session in t starts with its full timeout. Ephemerals whose session is
// gone (Apache's server deletes them without a transaction when it starts) are left to [Replica.Orphans].
func New(t *tree.Tree, cfg Config, now Time) *Replica {
	r := &Replica{
		cfg: cfg, auth: cfg.Auth, tree: t, watches: watch.New(), watching: cfg.Watches,
		sessions: session.New(cfg.Tick), ids: session.NewIDs(cfg.ServerID, now.Wall),
		proposed: t.Zxid(), synced: t.Zxid(),
	}
	if r.watching == nil {
		r.watching = noLock{}
	}
	for id, timeout := range t.Sessions() {
		r.sessions.Open(id, timeout, now.Mono)
	}
	r.planner = propose.New(t, r.sessions, cfg.Auth, cfg.Propose)
	r.sweeper.start(t, cfg.Sweep, now)
	return r
}

type noLock struct{}

func (noLock) Lock()   {}
func (noLock) Unlock() {}

// Tree is the tree, to be read while Apply does not run.
func (r *Replica) Tree() *tree.Tree { return r.tree }

// Sessions is who is alive. It changes in Propose, Apply, Attach, Touch and Tick.
func (r *Replica) Sessions() *session.Tracker { return r.sessions }

// Watches is who watches what; whoever looks holds the lock of Config.Watches.
func (r *Replica) Watches() *watch.Table { return r.watches }

// Zxid is the last one given out.
func (r *Replica) Zxid() znode.Zxid { return r.proposed }

// Waiting is how many writes are planned and not applied.
func (r *Replica) Waiting() int { return r.waiting.len() }

// A Record is a transaction to be logged.
type Record struct {
	Zxid    znode.Zxid
	Payload []byte
}

// Records collects what Propose wants logged, in order. Reset makes the room usable again once the log has taken all.
type Records struct {
	List []Record
	room []byte
}

// keepRecords is for how many records, and keepRoom for how many bytes of them, a Records that was reset keeps room.
const (
	keepRecords = 4096
	keepRoom    = 1 << 20
)

// Reset empties rs.
func (rs *Records) Reset() {
	if rs.List, rs.room = rs.List[:0], rs.room[:0]; cap(rs.List) > keepRecords || cap(rs.room) > keepRoom {
		*rs = Records{}
	}
}

func (rs *Records) add(x *txn.Txn) {
	start := len(rs.room)
	rs.room = x.AppendPayload(rs.room)
	rs.List = append(rs.List, Record{Zxid: x.Zxid, Payload: rs.room[start:len(rs.room):len(rs.room)]})
}

// planned is a write on its way: its transaction, and whom to tell how it went.
type planned struct {
	txn  txn.Txn
	conn request.ConnID
	code znode.Code // not OK: refused without a transaction, waits only for its turn
}

// Propose plans q, takes a zxid for it and adds its log record to out. Refusals take a zxid too.
func (r *Replica) Propose(q *request.Request, now Time, out *Records) {
	r.proposed++
	p := r.waiting.push()
	p.conn = q.Conn
	p.txn = r.planner.Plan(q, r.proposed, now.Wall)
	if q.Op == wire.OpDeleteContainer {
		r.sweeper.until = r.proposed
	}
	switch p.txn.Type {
	case wire.OpCreateSession:
		r.sessions.Open(q.Session, p.txn.Body.(*txn.CreateSession).Timeout, now.Mono)
	case wire.OpCloseSession:
		r.sessions.SetClosing(q.Session)
	}
	out.add(&p.txn)
}

// Refuse answers q with code in its turn, without a transaction and so with zxid 0: what was refused never had a place in the
// order.
func (r *Replica) Refuse(q *request.Request, code znode.Code) {
	p := r.waiting.push()
	p.conn, p.code = q.Conn, code
	p.txn = txn.Txn{Header: txn.Header{Session: q.Session, Cxid: q.Xid, Type: q.Op}}
}

// NewSession prepares the request that opens a session for conn. The timeout is negotiated here. An id still in use, as there may
// be when the wall clock was set back between two runs, is passed over.
func (r *Replica) NewSession(conn request.ConnID, timeout int32) request.Request {
	id := r.ids.Next()
	for r.sessions.Known(id) {
		id = r.ids.Next()
	}
	return request.Request{
		Conn: conn, Session: id, Op: wire.OpCreateSession,
		Record: &wire.CreateSessionRequest{Timeout: session.Negotiate(timeout, r.cfg.MinTimeout, r.cfg.MaxTimeout)},
	}
}

// Attach gives an open session to whoever knows its password, with a newly negotiated timeout that starts now. ok is false when
// the password is wrong or the session unknown, closing or expired, which look alike. The session's writes that are planned end
// at zxid after, 0 if there are none: whoever attaches is to be answered when the tree has reached it, since what a session asks
// for on one connection comes before what it asks for on the next.
func (r *Replica) Attach(id znode.SessionID, password []byte, timeout int32, now Time) (negotiated int32, after znode.Zxid, ok bool) {
	if !session.PasswordMatches(id, password) || r.sessions.Check(id) != znode.CodeOK {
		return 0, 0, false
	}
	negotiated = session.Negotiate(timeout, r.cfg.MinTimeout, r.cfg.MaxTimeout)
	r.sessions.SetTimeout(id, negotiated, now.Mono)
	return negotiated, r.waiting.lastOf(id), true
}

// Touch says that a session was heard of at a moment of the monotonic clock, in milliseconds.
func (r *Replica) Touch(id znode.SessionID, mono int64) { r.sessions.Touch(id, mono) }

// Tick says what time it is and hands out the requests that time itself makes: the end of sessions that were not heard of for
// their timeout, and the removal of containers and TTL nodes. Touches up to now must have been told before. They are to be
// proposed like any other request.
func (r *Replica) Tick(now Time) []request.Request {
	var due []request.Request
	for _, id := range r.sessions.Expired(now.Mono) {
		due = append(due, request.Request{Session: id, Op: wire.OpCloseSession})
	}
	return r.sweeper.due(due, r.tree, now)
}

// Orphans are the requests that end sessions which own ephemerals but are not open, in order of their ids.
func (r *Replica) Orphans() []request.Request {
	var due []request.Request
	for id := range r.tree.EphemeralSessions() {
		if r.sessions.Check(id) != znode.CodeOK {
			due = append(due, request.Request{Session: id, Op: wire.OpCloseSession})
		}
	}
	return due
}

// Estate is how many bytes the list of a session's ephemerals takes in the record that ends it, planned ones included.
func (r *Replica) Estate(id znode.SessionID) int { return r.planner.Estate(id) }

// Synced says that the log is on disk up to and including zxid.
func (r *Replica) Synced(zxid znode.Zxid) { r.synced = max(r.synced, zxid) }

// Drop forgets the watches of a connection that has gone.
func (r *Replica) Drop(conn request.ConnID) {
	r.watching.Lock()
	defer r.watching.Unlock()
	r.watches.Drop(conn)
}

// queue is the writes between Propose and Apply, oldest first, in reused room.
type queue struct {
	list []planned
	head int
}

func (q *queue) len() int { return len(q.list) - q.head }

func (q *queue) push() *planned {
	if len(q.list) == cap(q.list) && q.head > len(q.list)/2 {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, planned{})
	return &q.list[len(q.list)-1]
}

func (q *queue) first() *planned { return &q.list[q.head] }

// keepQueue is for how many writes an empty queue keeps room.
const keepQueue = 4096

func (q *queue) pop() {
	q.list[q.head] = planned{}
	if q.head++; q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
		if cap(q.list) > keepQueue {
			q.list = nil
		}
	}
}

// lastOf is the zxid of the session's last write in the queue, 0 if there is none.
func (q *queue) lastOf(id znode.SessionID) znode.Zxid {
	for i := len(q.list) - 1; i >= q.head; i-- {
		if p := &q.list[i]; p.txn.Session == id && p.code == znode.CodeOK {
			return p.txn.Zxid
		}
	}
	return 0
}
