// Package propose turns a write into a transaction, or into the refusal it is: checked against the tree as it will be once
// everything planned before has been applied.
//
// Between planning a transaction and applying it lies the disk, and in an ensemble a quorum; meanwhile others are planned. So
// a [Planner] keeps, beside the tree, the nodes that planned transactions change as they will be afterwards: the overlay (in Apache's
// server the outstanding changes of class PrepRequestProcessor). Every check looks there first and at the tree second, and thus
// gives the same answer however far applying lags behind.
//
//	p := propose.New(tree, sessions, auth, propose.Config{})
//	x := p.Plan(&request, zxid, wallMillis)   // log it, then
//	tree.Apply(&x, &result)
//	p.Applied(x.Zxid)                         // the tree says it now; the overlay forgets
//
// A refusal is a transaction too, of type [wire.OpError]: it takes its zxid and is answered in its turn. A multi is refused by
// its parts: it stays a multi, and the part that failed says why.
//
// A transaction carries the digest the whole tree must have after it. The Planner knows it because digests add up: it takes out
// what the changed nodes counted and puts in what they will count.
//
// The order of checks is Apache's, operation by operation, since a request that is wrong in two ways has to get the answer
// Apache's server gives. Where that server lets something through that breaks it later, the check that is added stands last.
//
// A Planner is pure: no clock, no lock, no I/O. It reads the tree, so Plan must not run while Apply does.
package propose

import (
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/auth"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Sessions says whether a session may still ask for something: CodeOK, or what its request is refused with.
type Sessions interface {
	Check(id znode.SessionID) znode.Code
}

// Config is what a Planner is told once. The zero value is Apache's default.
type Config struct {
	EnforceQuota bool // enforceQuota: hard limits refuse
	Reconfig     bool // reconfigEnabled
	MaxRecord    int  // jute.maxbuffer in bytes, default wire.DefaultMaxFrame; see decisions/2026-11-21-bounded-records.md
}

// A Planner plans the writes of a leader or a standalone server. Make one with [New].
type Planner struct {
	cfg      Config
	tree     *tree.Tree
	sessions Sessions
	auth     *auth.Registry
	extended bool // there are TTL nodes
	overlay  overlay
	size     int // of the payload being planned, in bytes
	node     record
	parent   record // room for what the overlay does not have
}

// New returns a Planner that goes on from t, which only its transactions may change from now on.
func New(t *tree.Tree, sessions Sessions, a *auth.Registry, cfg Config) *Planner {
	if cfg.MaxRecord <= 0 {
		cfg.MaxRecord = wire.DefaultMaxFrame
	}
	return &Planner{
		cfg: cfg, tree: t, sessions: sessions, auth: a, extended: t.Options().Extended, overlay: newOverlay(t),
	}
}

// Plan is the transaction that r becomes at that place in the order; zxids only go up. now is in milliseconds since 1970. The
// result may share memory with r's record, which is not to be changed any more.
func (p *Planner) Plan(r *request.Request, zxid znode.Zxid, now int64) txn.Txn {
	x := txn.Txn{Header: txn.Header{Session: r.Session, Cxid: r.Xid, Zxid: zxid, Time: now, Type: r.Op}}
	p.size = txn.HeaderLen + digestLen
	body, code := p.plan(r, &x.Header)
	if code != znode.CodeOK {
		x.Type, x.Body = wire.OpError, &txn.Error{Code: code}
		return x
	}
	x.Body = body
	x.Digest, x.HasDigest = p.overlay.digest, !p.overlay.undigested
	return x
}

// Applied says that the tree has the transactions up to zxid.
func (p *Planner) Applied(zxid znode.Zxid) { p.overlay.applied(zxid) }

// Pending is how many nodes planned transactions are still going to change.
func (p *Planner) Pending() int { return len(p.overlay.byPath) }

func (p *Planner) plan(r *request.Request, h *txn.Header) (txn.Body, znode.Code) {
	switch r.Op {
	case wire.OpMulti:
		return p.multi(r, h)
	case wire.OpCreateSession:
		return &txn.CreateSession{Timeout: r.Record.(*wire.CreateSessionRequest).Timeout}, znode.CodeOK
	case wire.OpCloseSession:
		return p.closeSession(r.Session, h), znode.CodeOK
	case wire.OpReconfig:
		return nil, p.reconfig(r)
	case wire.OpDeleteContainer:
		if r.Conn != 0 { // Apache's server would delete any childless node for any client
			return nil, znode.CodeUnimplemented
		}
		return p.deleteContainer(r.Record.(*wire.PathRequest), h)
	case wire.OpCheck:
		return nil, znode.CodeUnimplemented
	}
	return p.one(r.Op, r.Record, r, h)
}

// one plans an operation on one node: a request of its own or a part of a multi.
func (p *Planner) one(op wire.Op, rec wire.Record, r *request.Request, h *txn.Header) (txn.Body, znode.Code) {
	switch q := rec.(type) {
	case *wire.CreateRequest:
		return p.create(op, q, r, h)
	case *wire.DeleteRequest:
		return p.delete(q, r, h)
	case *wire.SetDataRequest:
		return p.setData(q, r, h)
	case *wire.SetACLRequest:
		return p.setACL(q, r, h)
	case *wire.CheckRequest:
		return p.check(q, r)
	}
	panic(fmt.Sprintf("propose: %v with a record of type %T is no write", op, rec))
}

// reconfig answers as a server does that stands alone.
func (p *Planner) reconfig(r *request.Request) znode.Code {
	if !p.cfg.Reconfig {
		return znode.CodeReconfigDisabled
	}
	if code := p.sessions.Check(r.Session); code != znode.CodeOK {
		return code
	}
	return znode.CodeUnimplemented
}

// versionMatches reports whether a request that expects one version may change a node that has another; -1 expects nothing.
func versionMatches(expected, actual int32) bool { return expected == -1 || expected == actual }
