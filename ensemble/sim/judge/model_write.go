package judge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// An Asker is who wants something, and the place the answer takes in the order.
type Asker struct {
	Session znode.SessionID
	Zxid    znode.Zxid
	Time    int64 // the leader's wall clock, milliseconds since 1970
}

// Write is what a write comes to as the next transaction: the model changes, or says why not. rec is nil for closeSession.
func (m *Model) Write(op wire.Op, rec wire.Record, who Asker) Answer {
	m.zxid = who.Zxid
	switch op {
	case wire.OpCreateSession:
		m.sessions[who.Session] = rec.(*wire.CreateSessionRequest).Timeout
		return Answer{}
	case wire.OpCloseSession:
		return m.closeSession(who)
	case wire.OpMulti:
		return m.multi(rec.(*wire.MultiRequest), who)
	}
	var a Answer
	res, body := m.one(op, rec, who, &a.Changes)
	a.Err, a.Bodies = body.Err, []Body{body}
	if a.Err == znode.CodeOK {
		a.Response = res.single(op)
	}
	return a
}

// single is the record that answers an operation that stands alone.
func (r result) single(op wire.Op) wire.Record {
	switch op {
	case wire.OpCreate:
		return &wire.CreateResponse{Path: r.Path}
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		return &wire.CreateResponse{Path: r.Path, Stat: r.Stat, HasStat: true}
	case wire.OpSetData, wire.OpSetACL:
		return &wire.StatResponse{Stat: r.Stat}
	}
	return nil
}

// result is what one operation answers.
type result struct {
	Path string
	Stat znode.Stat
}

// one does one operation on one node, alone or within a multi.
func (m *Model) one(op wire.Op, rec wire.Record, who Asker, changes *[]Change) (result, Body) {
	var (
		res  result
		body = Body{Type: op}
	)
	switch q := rec.(type) {
	case *wire.CreateRequest:
		body.Err = m.create(op, q, who, changes, &res, &body)
	case *wire.DeleteRequest:
		body.Err = m.delete(q, who, changes, &body)
	case *wire.SetDataRequest:
		body.Err = m.setData(q, who, changes, &res, &body)
	case *wire.SetACLRequest:
		body.Err = m.setACL(q, who, &res, &body)
	case *wire.CheckRequest:
		body.Err = m.check(q, who, &body)
	default:
		panic(fmt.Sprintf("judge: %v with a record of type %T is no write", op, rec))
	}
	return res, body
}

func (m *Model) create(op wire.Op, q *wire.CreateRequest, who Asker, changes *[]Change, res *result, body *Body) znode.Code {
	if code := m.mode(op, q); code != znode.CodeOK {
		return code
	}
	if !m.Open(who.Session) {
		return znode.CodeSessionExpired
	}
	slash := strings.LastIndexByte(q.Path, '/')
	if slash < 0 || strings.IndexByte(q.Path, 0) >= 0 {
		return znode.CodeBadArguments
	}
	if len(q.ACL) == 0 {
		return znode.CodeInvalidACL
	}
	parent := m.nodes[q.Path[:slash]]
	if slash == 0 {
		parent = m.nodes[znode.Root]
	}
	switch {
	case parent == nil:
		return znode.CodeNoNode
	case !parent.may(znode.PermCreate):
		return znode.CodeNoAuth
	}
	path := q.Path
	if q.Mode.Sequential() {
		path += fmt.Sprintf("%010d", parent.stat.Cversion)
	}
	switch {
	case znode.ValidatePath(path) != nil:
		return znode.CodeBadArguments
	case m.Has(path):
		return znode.CodeNodeExists
	case parent.stat.Owner.Kind(m.extended) == znode.Ephemeral:
		return znode.CodeNoChildrenForEphemerals
	}
	n := &modelNode{path: path, data: q.Data, acl: q.ACL}
	n.stat = znode.StatPersisted{Czxid: who.Zxid, Mzxid: who.Zxid, Pzxid: who.Zxid, Ctime: who.Time, Mtime: who.Time}
	*body = Body{Type: op, Path: path, Data: q.Data, Count: parent.stat.Cversion + 1}
	switch {
	case op == wire.OpCreateContainer:
		n.stat.Owner = znode.OwnerContainer
	case op == wire.OpCreateTTL:
		n.stat.Owner, body.TTL = znode.TTLOwner(q.TTL), q.TTL
	case q.Mode.Ephemeral():
		n.stat.Owner, body.Ephemeral = znode.Owner(who.Session), true
	}
	m.change(parent, func() { parent.stat.Cversion++; parent.stat.Pzxid = who.Zxid })
	m.put(n)
	*changes = append(*changes, Change{znode.EventCreated, path, who.Zxid})
	*res = result{Path: path, Stat: m.statOf(n)}
	return znode.CodeOK
}

func (m *Model) mode(op wire.Op, q *wire.CreateRequest) znode.Code {
	switch {
	case !q.Mode.Valid():
		return znode.CodeBadArguments
	case q.Mode.TTL() && !m.extended:
		return znode.CodeUnimplemented
	case q.Mode.TTL() != (op == wire.OpCreateTTL):
		return znode.CodeBadArguments
	case q.Mode.TTL() && (q.TTL < 1 || q.TTL > znode.MaxTTL):
		return znode.CodeBadArguments
	}
	return znode.CodeOK
}

func (m *Model) delete(q *wire.DeleteRequest, who Asker, changes *[]Change, body *Body) znode.Code {
	if !m.Open(who.Session) {
		return znode.CodeSessionExpired
	}
	if strings.IndexByte(q.Path, '/') < 0 || strings.IndexByte(q.Path, 0) >= 0 || znode.Reserved(q.Path) {
		return znode.CodeBadArguments
	}
	n, parent := m.nodes[q.Path], m.nodes[parentOf(q.Path)]
	switch {
	case parent == nil:
		return znode.CodeNoNode
	case !parent.may(znode.PermDelete):
		return znode.CodeNoAuth
	case n == nil:
		return znode.CodeNoNode
	case q.Version != -1 && q.Version != n.stat.Version:
		return znode.CodeBadVersion
	case len(n.children) > 0:
		return znode.CodeNotEmpty
	}
	body.Path = q.Path
	m.remove(n, who.Zxid, changes)
	return znode.CodeOK
}

func (m *Model) remove(n *modelNode, zxid znode.Zxid, changes *[]Change) {
	m.take(n)
	parent := m.nodes[parentOf(n.path)]
	m.change(parent, func() { parent.stat.Pzxid = zxid })
	*changes = append(*changes, Change{znode.EventDeleted, n.path, zxid})
}

// target is the node a request with a path that has to be valid is about.
func (m *Model) target(path string, who Asker) (*modelNode, znode.Code) {
	switch {
	case !m.Open(who.Session):
		return nil, znode.CodeSessionExpired
	case znode.ValidatePath(path) != nil:
		return nil, znode.CodeBadArguments
	case !m.Has(path):
		return nil, znode.CodeNoNode
	}
	return m.nodes[path], znode.CodeOK
}

func (m *Model) setData(q *wire.SetDataRequest, who Asker, changes *[]Change, res *result, body *Body) znode.Code {
	n, code := m.target(q.Path, who)
	switch {
	case code != znode.CodeOK:
		return code
	case !n.may(znode.PermWrite):
		return znode.CodeNoAuth
	case q.Version != -1 && q.Version != n.stat.Version:
		return znode.CodeBadVersion
	}
	m.change(n, func() {
		n.data = q.Data
		n.stat.Mzxid, n.stat.Mtime = who.Zxid, who.Time
		n.stat.Version++
	})
	*changes = append(*changes, Change{znode.EventDataChanged, q.Path, who.Zxid})
	*res = result{Path: q.Path, Stat: m.statOf(n)}
	body.Path, body.Data, body.Count = q.Path, q.Data, n.stat.Version
	return znode.CodeOK
}

func (m *Model) setACL(q *wire.SetACLRequest, who Asker, res *result, body *Body) znode.Code {
	n, code := m.target(q.Path, who)
	switch {
	case code == znode.CodeSessionExpired, code == znode.CodeBadArguments:
		return code
	case len(q.ACL) == 0:
		return znode.CodeInvalidACL
	case code != znode.CodeOK:
		return code
	case !n.may(znode.PermAdmin):
		return znode.CodeNoAuth
	case q.Version != -1 && q.Version != n.stat.Aversion:
		return znode.CodeBadVersion
	}
	m.change(n, func() { n.acl = q.ACL; n.stat.Aversion++ })
	*res = result{Path: q.Path, Stat: m.statOf(n)}
	body.Path, body.Count = q.Path, n.stat.Aversion
	return znode.CodeOK
}

func (m *Model) check(q *wire.CheckRequest, who Asker, body *Body) znode.Code {
	n, code := m.target(q.Path, who)
	switch {
	case code != znode.CodeOK:
		return code
	case !n.may(znode.PermRead):
		return znode.CodeNoAuth
	case q.Version != -1 && q.Version != n.stat.Version:
		return znode.CodeBadVersion
	}
	body.Path, body.Count = q.Path, n.stat.Version+1
	return znode.CodeOK
}

// multi does one part after the other, and takes all back if one is refused.
func (m *Model) multi(q *wire.MultiRequest, who Asker) Answer {
	var a Answer
	resp := &wire.MultiResponse{Results: make([]wire.MultiResult, len(q.Ops))}
	a.Response, a.Bodies = resp, make([]Body, len(q.Ops))
	m.undo = []func(){}
	failed := -1
	for i, op := range q.Ops {
		if failed >= 0 {
			a.Bodies[i] = Body{Type: wire.OpError, Err: znode.CodeRuntimeInconsistency}
			resp.Results[i] = wire.MultiResult{Op: wire.OpError, Err: znode.CodeRuntimeInconsistency}
			continue
		}
		res, body := m.one(op.Op, op.Record, who, &a.Changes)
		a.Bodies[i] = body
		if body.Err != znode.CodeOK {
			failed = i
			a.Bodies[i] = Body{Type: wire.OpError, Err: body.Err}
			resp.Results[i] = wire.MultiResult{Op: wire.OpError, Err: body.Err}
			continue
		}
		resp.Results[i] = res.part(op.Op)
	}
	undo := m.undo
	m.undo = nil
	if failed < 0 {
		return a
	}
	for _, back := range slices.Backward(undo) {
		back()
	}
	for i := range failed {
		resp.Results[i] = wire.MultiResult{Op: wire.OpError}
	}
	a.Changes = nil
	return a
}

// part is the entry that answers an operation within a multi.
func (r result) part(op wire.Op) wire.MultiResult {
	switch op {
	case wire.OpCreate:
		return wire.MultiResult{Op: op, Path: r.Path}
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		return wire.MultiResult{Op: wire.OpCreate2, Path: r.Path, Stat: r.Stat}
	case wire.OpSetData:
		return wire.MultiResult{Op: op, Stat: r.Stat}
	}
	return wire.MultiResult{Op: op}
}

// closeSession ends a session, were it open or not.
func (m *Model) closeSession(who Asker) Answer {
	var a Answer
	for _, path := range m.ephemerals(who.Session) {
		a.Bodies = append(a.Bodies, Body{Type: wire.OpDelete, Path: path})
		m.remove(m.nodes[path], who.Zxid, &a.Changes)
	}
	delete(m.sessions, who.Session)
	delete(m.owned, who.Session)
	return a
}

// Sweep removes a container or TTL node, as the leader does of its own accord; the code says why it may not.
func (m *Model) Sweep(path string, who Asker) Answer {
	m.zxid = who.Zxid
	a := Answer{Bodies: []Body{{Type: wire.OpDeleteContainer, Path: path}}}
	n := m.nodes[path]
	switch {
	case n == nil:
		a.Err = znode.CodeNoNode
	case len(n.children) > 0:
		a.Err = znode.CodeNotEmpty
	case !slices.Contains([]znode.Kind{znode.Container, znode.TTL}, n.stat.Owner.Kind(m.extended)):
		a.Err = znode.CodeBadVersion
	default:
		m.remove(n, who.Zxid, &a.Changes)
	}
	return a
}
