package judge

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A replay is one walk of a model through the whole order, stopping in each state for whoever was answered from it.
type replay struct {
	c       *Case
	model   *Model
	writes  findings // C4
	reads   findings // C5
	changes []Change // what all transactions did, for Watches
	returns map[int]catchUp
	broken  bool // the model and the order have parted; from there on nothing can be said
	until   znode.Zxid
}

// A catchUp is what a setWatches must have been told at once, and what it leaves.
type catchUp struct {
	events []wire.WatcherEvent
	left   []left
}

// A left is a watch that was left.
type left struct {
	path string
	kind watchKind
}

// Replay is C4 and C5: a model that is asked in the committed order what the clients asked, answers what they were answered; each
// read is what the model says in the state its reply's zxid names, which is one that was committed by then; and each server that
// was looked at holds the model's tree.
func (c *Case) Replay() []Violation {
	r := c.replay()
	return append(slices.Clone(r.writes.list), r.reads.list...)
}

func (c *Case) replay() *replay {
	if c.walked != nil {
		return c.walked
	}
	r := &replay{
		c: c, model: NewModel(c.rules.Extended), writes: findings{check: "C4"}, reads: findings{check: "C5"}, returns: map[int]catchUp{},
	}
	c.walked = r
	reads, images := c.stops()
	for state := 0; ; state++ {
		for ; len(images) > 0 && images[0].state == state; images = images[1:] {
			r.look(&c.h.Images[images[0].index])
		}
		for ; len(reads) > 0 && reads[0].state == state; reads = reads[1:] {
			r.read(reads[0].index, state)
		}
		if state == len(c.h.Txns) || r.broken {
			return r
		}
		r.step(state)
		r.until = c.h.Txns[state].Zxid
	}
}

// A stop is who has to be asked in a state.
type stop struct{ state, index int }

// stops are the reads and the images, by state.
func (c *Case) stops() (reads, images []stop) {
	for i := range c.h.Ops {
		if o := &c.h.Ops[i]; !o.Type.Write() && o.Returned.Happened() && inOrder(o.Zxid) {
			reads = append(reads, stop{c.stateAt(o.Zxid), i})
		} else if !o.Type.Write() && o.Returned.Happened() && o.Zxid == 0 {
			reads = append(reads, stop{0, i})
		}
	}
	for i := range c.h.Images {
		images = append(images, stop{c.stateAt(c.h.Images[i].Zxid), i})
	}
	for _, list := range [][]stop{reads, images} {
		slices.SortStableFunc(list, func(a, b stop) int { return cmp.Compare(a.state, b.state) })
	}
	return reads, images
}

// step takes the next transaction of the order.
func (r *replay) step(i int) {
	x := &r.c.h.Txns[i]
	who := Asker{Session: x.Session, Zxid: x.Zxid, Time: x.Time}
	op := r.c.byTxn[i]
	if x.Cxid != 0 && op < 0 { // C2 has said so
		r.broken = true
		return
	}
	var o *Op
	if op >= 0 {
		if o = &r.c.h.Ops[op]; tooLate(x) && !o.Returned.Happened() || !o.Type.Write() {
			r.model.zxid, r.broken = x.Zxid, !o.Type.Write()
			return
		}
	}
	a, text := r.ask(x, o, who)
	if text != "" {
		r.broken = true
		r.writes.add(x.Committed.At, "%s: %s", describeTxn(x), text)
		return
	}
	r.changes = append(r.changes, a.Changes...)
	if x.HasDigest && x.Digest != r.model.digest {
		r.broken = true
		r.writes.add(x.Committed.At, "%s: says the digest is %x; it is %x", describeTxn(x), x.Digest, r.model.digest)
		return
	}
	if o != nil && o.Returned.Happened() && o.Zxid == x.Zxid {
		r.compare(&r.writes, op, a)
	}
}

// ask lets the model do what x says was done, and compares.
func (r *replay) ask(x *Txn, o *Op, who Asker) (a Answer, text string) {
	m := r.model
	switch {
	case o != nil:
		a = m.Write(o.Type, o.Request, who)
		return a, disagree(o.Type, &a, &x.Txn)
	case x.Type == wire.OpCreateSession:
		if m.Open(x.Session) {
			return a, "the session is open already"
		}
		return m.Write(x.Type, &wire.CreateSessionRequest{Timeout: x.Body.(*txn.CreateSession).Timeout}, who), ""
	case x.Type == wire.OpCloseSession:
		a = m.Write(x.Type, nil, who)
		return a, disagree(x.Type, &a, &x.Txn)
	case x.Type == wire.OpDeleteContainer:
		if a = m.Sweep(x.Body.(*txn.Delete).Path, who); a.Err != znode.CodeOK {
			return a, fmt.Sprintf("must have been refused with %v", a.Err)
		}
	default:
		m.zxid = x.Zxid // a refusal of the leader's own request, or a ghost of which C2 tells
	}
	return a, ""
}

// tooLate reports whether x is the refusal of a request that came over a server its session had left; nobody is told of it.
func tooLate(x *Txn) bool {
	body := x.Body
	if m, ok := body.(*txn.Multi); ok && len(m.Subs) > 0 {
		body = m.Subs[0].Body
	}
	e, ok := body.(*txn.Error)
	return ok && e.Code == znode.CodeSessionMoved
}

// disagree says how a transaction differs from what the model makes of the request.
func disagree(op wire.Op, a *Answer, x *txn.Txn) string {
	if a.Err != znode.CodeOK {
		if e, ok := x.Body.(*txn.Error); !ok || e.Code != a.Err {
			return fmt.Sprintf("the request must be refused with %v", a.Err)
		}
		return ""
	}
	if x.Type != op {
		return fmt.Sprintf("the request, a %v, must not be refused", op)
	}
	switch body := x.Body.(type) {
	case *txn.CloseSession:
		return disagreeOnClose(a, body)
	case *txn.Multi:
		if len(body.Subs) != len(a.Bodies) {
			return fmt.Sprintf("has %d parts, the request %d", len(body.Subs), len(a.Bodies))
		}
		for i := range body.Subs {
			if text := a.Bodies[i].disagree(body.Subs[i].Type, body.Subs[i].Body); text != "" {
				return fmt.Sprintf("part %d: %s", i, text)
			}
		}
		return ""
	}
	return a.Bodies[0].disagree(x.Type, x.Body)
}

// disagreeOnClose compares whose nodes go with a session, and puts the changes into the order the transaction has them in.
func disagreeOnClose(a *Answer, body *txn.CloseSession) string {
	var want []string
	for i := range a.Bodies {
		want = append(want, a.Bodies[i].Path)
	}
	if !sameNames(want, body.Paths) {
		return fmt.Sprintf("the session owns %v", want)
	}
	for i, path := range body.Paths {
		a.Changes[i].Path = path
	}
	return ""
}

// disagree says how a body differs from what it must be.
func (b *Body) disagree(typ wire.Op, body txn.Body) string {
	if e, ok := body.(*txn.Error); ok || b.Err != znode.CodeOK {
		if !ok || e.Code != b.Err {
			return fmt.Sprintf("must be %v", b.Err)
		}
		return ""
	}
	if typ != b.Type {
		return fmt.Sprintf("is a %v, must be a %v", typ, b.Type)
	}
	got := Body{Type: typ}
	switch x := body.(type) {
	case *txn.Create:
		got.Path, got.Data, got.Ephemeral, got.TTL, got.Count = x.Path, x.Data, x.Ephemeral, x.TTL, x.ParentCversion
	case *txn.Delete:
		got.Path = x.Path
	case *txn.SetData:
		got.Path, got.Data, got.Count = x.Path, x.Data, x.Version
	case *txn.SetACL:
		got.Path, got.Count = x.Path, x.Version
	case *txn.Check:
		got.Path, got.Count = x.Path, x.Version
	}
	switch {
	case got.Path != b.Path:
		return fmt.Sprintf("is about %q, must be about %q", got.Path, b.Path)
	case !sameData(got.Data, b.Data):
		return fmt.Sprintf("holds %q, must hold %q", got.Data, b.Data)
	case got.Count != b.Count:
		return fmt.Sprintf("has the count or version %d, must have %d", got.Count, b.Count)
	case got.Ephemeral != b.Ephemeral || got.TTL != b.TTL:
		return fmt.Sprintf("makes another kind of node: ephemeral %v, TTL %d", got.Ephemeral, got.TTL)
	}
	return ""
}

// compare holds a reply against the model's answer.
func (r *replay) compare(f *findings, i int, a Answer) {
	o := &r.c.h.Ops[i]
	switch {
	case o.Err != a.Err:
		f.add(o.Returned.At, "%s: must be %v", r.c.describe(i), a.Err)
	case a.Err == znode.CodeOK && !same(a.Response, o.Response):
		f.add(o.Returned.At, "%s: was told %s, must be %s", r.c.describe(i), show(o.Response), show(a.Response))
	}
}

func show(rec wire.Record) string {
	if rec == nil {
		return "nothing"
	}
	if d, ok := rec.(*wire.DataResponse); ok {
		return fmt.Sprintf("%q %+v", d.Data, d.Stat)
	}
	return fmt.Sprintf("%+v", rec)
}

// read holds a read against the model in the state it must have been made from.
func (r *replay) read(i, state int) {
	o := &r.c.h.Ops[i]
	if state > 0 && !r.c.h.Txns[state-1].Committed.Before(o.Returned) {
		r.reads.add(o.Returned.At, "%s: answered from a state that was not committed before %v", r.c.describe(i), r.c.h.Txns[state-1].Committed.At)
	}
	if _, ok := r.c.place[o.Zxid]; !ok && o.Zxid.Counter() != 0 {
		r.reads.add(o.Returned.At, "%s: answered at a zxid that no transaction has", r.c.describe(i))
	}
	switch q := o.Request.(type) {
	case *wire.SetWatchesRequest:
		r.returns[i] = r.model.catchUp(q)
	case *wire.WatcherRequest: // Watches knows the answer
		return
	}
	if o.Type != wire.OpWhoAmI {
		r.compare(&r.reads, i, r.model.Read(o.Type, o.Request, o.Session))
	}
}

// look compares a server's tree.
func (r *replay) look(img *Image) {
	if img.Faulty {
		return
	}
	if text := r.model.Compare(img); text != "" {
		r.writes.add(img.At.At, "server %d at %v: %s", img.Server, img.Zxid, text)
	}
}

// catchUp is what a client that comes back with those watches has missed, and which of them are left again.
func (m *Model) catchUp(q *wire.SetWatchesRequest) (u catchUp) {
	tell := func(typ znode.EventType, path string) {
		u.events = append(u.events, wire.WatcherEvent{Type: typ, State: wire.StateSyncConnected, Path: path})
	}
	for _, path := range q.Data {
		switch n := m.at(path); {
		case n == nil:
			tell(znode.EventDeleted, path)
		case n.stat.Mzxid > q.RelativeZxid:
			tell(znode.EventDataChanged, path)
		default:
			u.left = append(u.left, left{path, watchData})
		}
	}
	for _, path := range q.Exist {
		if m.at(path) != nil {
			tell(znode.EventCreated, path)
		} else {
			u.left = append(u.left, left{path, watchData})
		}
	}
	for _, path := range q.Child {
		switch n := m.at(path); {
		case n == nil:
			tell(znode.EventDeleted, path)
		case n.stat.Pzxid > q.RelativeZxid:
			tell(znode.EventChildrenChanged, path)
		default:
			u.left = append(u.left, left{path, watchChild})
		}
	}
	for _, path := range q.Persistent {
		u.left = append(u.left, left{path, watchPersistent})
	}
	for _, path := range q.PersistentRecursive {
		u.left = append(u.left, left{path, watchRecursive})
	}
	return u
}
