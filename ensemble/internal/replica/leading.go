package replica

import (
	"errors"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/propose"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/session"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/zab"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// ErrExhausted: the epoch has no transaction left to give; the next one begins with an election that nobody has to wait long for.
var ErrExhausted = errors.New("replica: the epoch has no zxids left")

// takeLead begins to lead: learners are let in, and once a quorum of them has this server's history it is the ensemble's.
func (r *Replica) takeLead(now Time) {
	r.role, r.established, r.confirmed = Leading, false, 0
	r.settleVote()
	r.leader = zab.NewLeader(zab.LeaderConfig{
		Self: r.cfg.Self, Quorum: r.cfg.Quorum, Tick: r.cfg.Tick, InitLimit: r.cfg.InitLimit, SyncLimit: r.cfg.SyncLimit,
		AcceptedEpoch: r.epochs.accepted, CurrentEpoch: r.epochs.current, Last: r.synced, History: r.history, Config: r.cfg.Quorum.String(), CounterStart: r.cfg.CounterStart,
	}, now.Mono, &r.effects)
	r.leader.Applied(r.tree.Zxid())
	r.link(LinkOp{Kind: LinkAccept})
	r.handle(now)
}

// lead begins to plan: as an established leader, or as a server that stands alone. Every session starts with its full timeout.
func (r *Replica) lead(now Time) {
	clear(r.touched) // who was heard of before has its full timeout now
	r.sessions = session.New(r.cfg.Tick)
	for id, timeout := range r.tree.Sessions() {
		r.sessions.Open(id, timeout, now.Mono)
	}
	r.planner = propose.New(r.tree, r.sessions, r.cfg.Auth, r.cfg.Propose)
	r.sweeper.start(r.tree, r.cfg.Sweep, now)
	r.moved = make(map[znode.SessionID]packet.ServerID)
	r.due = r.orphans()
}

// orphans are the requests that end sessions which own ephemerals but are not open, in order of their ids.
func (r *Replica) orphans() []request.Request {
	var due []request.Request
	for _, id := range slices.Sorted(r.tree.EphemeralSessions()) {
		if r.sessions.Check(id) != znode.CodeOK {
			due = append(due, request.Request{Session: id, Op: wire.OpCloseSession})
		}
	}
	return due
}

// handle carries out what the leader or the learner wants. What that makes them want is handled with it.
func (r *Replica) handle(now Time) {
	if r.handling {
		return
	}
	r.handling = true
	for i := 0; i < len(r.effects); i++ {
		e := r.effects[i]
		r.roleOver = false
		switch {
		case e.Kind == zab.Send:
			if r.learner != nil {
				e.Link = r.links[0]
			}
			r.link(LinkOp{Kind: LinkSend, Link: e.Link, Packet: e.Packet})
		case e.Kind == zab.SaveAcceptedEpoch:
			r.disk(DiskOp{Kind: DiskAcceptedEpoch, Epoch: e.Epoch})
		case e.Kind == zab.SaveCurrentEpoch:
			r.disk(DiskOp{Kind: DiskCurrentEpoch, Epoch: e.Epoch})
			r.noteServed()
		case r.leader != nil:
			r.govern(&e, now)
		case r.learner != nil:
			r.learn(&e, now)
		}
		if r.roleOver {
			i = -1 // what the last role still wanted is void; what there is is the next one's
		}
	}
	clear(r.effects)
	r.effects = r.effects[:0]
	r.handling = false
}

// noteServed makes sure that an empty disk is never taken for a new one again. It is asked for behind the first current epoch, so that
// whoever has the mark has had an epoch's history, and before the acknowledgement of that.
func (r *Replica) noteServed() {
	if r.installed {
		r.installed, r.fuzzy = false, false
		r.disk(DiskOp{Kind: DiskWhole})
	}
	if !r.served {
		r.served = true
		r.disk(DiskOp{Kind: DiskServed})
	}
}

// govern carries out what the leader wants.
func (r *Replica) govern(e *zab.Effect, now Time) {
	switch e.Kind {
	case zab.Close:
		if r.unlink(e.Link) {
			r.link(LinkOp{Kind: LinkClose, Link: e.Link, Err: e.Err})
		}
	case zab.TakeSnapshot:
		r.tally.Snapshots++
		r.link(LinkOp{Kind: LinkSnapshot, Link: e.Link})
	case zab.Established:
		r.established, r.committed, r.serveFrom = true, r.logged, r.logged // a quorum has all of it
		r.vote.Epoch = e.Epoch
		r.settleVote()
		r.serve(now)
	case zab.Committed:
		r.committed = max(r.committed, e.Zxid)
		r.answer()
	case zab.Confirmed:
		r.confirmed = max(r.confirmed, e.Round)
		r.answer()
	case zab.Pass:
		r.asked(e.Link, &e.Packet, now)
	case zab.Abdicate:
		r.leave(e.Err, now)
	}
}

// SnapshotTaken says that a dump of the tree as of zxid has begun for a learner.
func (r *Replica) SnapshotTaken(id packet.LinkID, zxid znode.Zxid, now Time) {
	if r.leader == nil || !r.linked(id) {
		return
	}
	r.leader.SnapshotTaken(id, zxid, now.Mono, &r.effects)
	r.handle(now)
}

// pump plans, or sends to the leader, what this server's clients have asked for and nobody was asked yet.
func (r *Replica) pump(now Time) {
	unsent := r.local.unsent()
	if !r.serving || len(unsent) == 0 {
		return
	}
	if r.learner != nil {
		for i := range unsent {
			r.forward(&unsent[i])
		}
		r.local.sent = len(r.local.list)
		return
	}
	room, err := r.reserve(unsent)
	if err != nil {
		for i := range unsent {
			if e := &unsent[i]; e.Op == wire.OpSync {
				r.take(e, now)
			} else {
				e.code = refusal
			}
		}
		r.local.sent = len(r.local.list)
		return
	}
	for i := range unsent {
		if r.exhausted() {
			break
		}
		room -= r.take(&unsent[i], now)
		r.local.sent++
	}
	r.giveBack(room)
	r.handle(now)
}

// take plans a request of this server's clients, and says how many bytes of the log it takes.
func (r *Replica) take(e *local, now Time) int64 {
	switch {
	case e.Op == wire.OpSync:
		if e.after = r.logged; r.leader != nil {
			e.round = r.leader.Barrier(now.Mono, &r.effects)
		}
		return 0
	case r.cfg.Eager && e.Record != nil && e.Op != wire.OpCreateSession:
		if e.code = propose.Screen(r.tree, r.auth, &e.Request); e.code != znode.CodeOK {
			return 0
		}
	}
	return r.plan(&e.Request, now)
}

// plan makes a request a transaction and gives it to the log, and to the others.
func (r *Replica) plan(q *request.Request, now Time) int64 {
	x := r.planner.Plan(q, r.next(), now.Wall)
	if q.Op == wire.OpDeleteContainer {
		r.sweeper.until = x.Zxid
	}
	switch x.Type {
	case wire.OpCreateSession:
		r.sessions.Open(q.Session, x.Body.(*txn.CreateSession).Timeout, now.Mono)
	case wire.OpCloseSession:
		r.sessions.SetClosing(q.Session)
	}
	return r.propose(x, now)
}

// next is the next zxid. A leader always takes a fresh one, also for what is refused.
func (r *Replica) next() znode.Zxid {
	if r.leader != nil {
		return r.leader.Next()
	}
	return r.logged + 1
}

func (r *Replica) propose(x txn.Txn, now Time) int64 {
	p := r.waiting.push(x)
	payload := r.records().add(p)
	r.logged = x.Zxid
	if r.leader != nil {
		r.tally.proposes(len(payload))
		if err := r.leader.Propose(zab.Record{Zxid: x.Zxid, Payload: payload}, now.Mono, &r.effects); err != nil {
			panic("replica: " + err.Error())
		}
	}
	return int64(len(payload)) + recordOverhead
}

// exhausted reports whether the epoch has no zxid left. The leader gives up then, once all it has proposed is done.
func (r *Replica) exhausted() bool { return r.leader != nil && r.leader.Exhausted() }

// Proceed does what Apply has made possible: clients are greeted, a role that waited for the tree begins to serve. It is to be called
// after the last Apply of a turn.
func (r *Replica) Proceed(now Time) {
	r.serve(now)
	r.greet()
	if len(r.clients.knocking) > 0 {
		r.letIn(now)
	}
	if r.exhausted() && r.waiting.len() == 0 {
		r.leave(ErrExhausted, now)
	}
}

// Tick of a leader's, or a lone server's, sessions, containers and TTL nodes. What there is no space for stays due.
func (r *Replica) tickSessions(now Time) {
	if r.exhausted() {
		return // whoever leads next will see to it
	}
	if r.cfg.Space != nil {
		if r.cfg.Space.Reserve(2*spareRoom) != nil {
			return // the disk is full or nearly so
		}
		r.cfg.Space.Release(2 * spareRoom)
	}
	for _, id := range r.sessions.Expired(now.Mono) {
		r.due = append(r.due, request.Request{Session: id, Op: wire.OpCloseSession})
	}
	r.due = r.sweeper.due(r.due, r.tree, now)
	// One by one, so that what needs much space does not hold up the rest.
	r.due = slices.DeleteFunc(r.due, func(q request.Request) bool {
		if r.exhausted() {
			return false
		}
		room, err := r.reserve([]local{{Request: q}})
		if err != nil {
			return false
		}
		r.giveBack(room - r.plan(&q, now))
		return true
	})
	if r.exhausted() {
		r.reprieve(now)
	}
	r.handle(now)
}

// reprieve lets sessions go on whose end can no longer be proposed in this epoch: nobody must be told that they have ended.
func (r *Replica) reprieve(now Time) {
	for _, q := range r.due {
		if timeout, open := r.tree.Session(q.Session); open && q.Op == wire.OpCloseSession {
			r.sessions.Close(q.Session)
			r.sessions.Open(q.Session, timeout, now.Mono)
		}
	}
	r.due = nil
}

// What a learner asks.

// An answer is owed to a learner.
type answer struct {
	link   packet.LinkID
	packet packet.Packet
	after  znode.Zxid // once this is committed
	round  uint64     // and a quorum has confirmed this round, or, unless strict, something later is committed
	strict bool
}

// answer sends what has become due, in order.
func (r *Replica) answer() {
	if len(r.answers) == 0 {
		return
	}
	r.answers = slices.DeleteFunc(r.answers, func(a answer) bool {
		if r.committed < a.after || r.confirmed < a.round && (a.strict || r.committed <= a.after) {
			return false
		}
		r.link(LinkOp{Kind: LinkSend, Link: a.link, Packet: a.packet})
		return true
	})
}

// early is what learners ask before the leader's own tree is ready.
type early struct {
	link   packet.LinkID
	packet packet.Packet
}

func (r *Replica) flushEarly(now Time) {
	waiting := r.early
	r.early = nil
	for i := range waiting {
		if r.linked(waiting[i].link) { // or it has been asked for again
			r.asked(waiting[i].link, &waiting[i].packet, now)
		}
	}
	r.handle(now)
}

// asked takes in what a learner asks.
func (r *Replica) asked(id packet.LinkID, p *packet.Packet, now Time) {
	if !r.serving {
		r.early = append(r.early, early{id, *p})
		return
	}
	from := r.leader.Server(id)
	switch p.Type {
	case packet.TypeRequest:
		var req packet.Request
		if err := packet.Decode(p.Data, &req); err != nil {
			r.reject(id, err, now)
			return
		}
		r.remote(id, from, &req, p.IDs, now)
	case packet.TypeRevalidate:
		var ask packet.Revalidate
		if err := packet.Decode(p.Data, &ask); err != nil {
			r.reject(id, err, now)
			return
		}
		r.judge(id, from, ask, now)
	case packet.TypePing:
		touches, err := packet.DecodeTouches(p.Data, nil)
		if err != nil {
			r.reject(id, err, now)
			return
		}
		for _, t := range touches {
			r.sessions.Touch(t.Session, now.Mono)
		}
	}
}

// reject closes the link of a learner that says what nobody can understand: there is no answer to it, and somebody there would
// wait for one.
func (r *Replica) reject(id packet.LinkID, err error, now Time) {
	if r.unlink(id) {
		r.link(LinkOp{Kind: LinkClose, Link: id, Err: err})
		r.leader.Drop(id, now.Mono, &r.effects)
	}
}

// judge says whether a session may go on at another server, and makes that one its owner.
func (r *Replica) judge(id packet.LinkID, from packet.ServerID, ask packet.Revalidate, now Time) {
	valid := r.sessions.Check(ask.Session) == znode.CodeOK
	if valid {
		r.sessions.SetTimeout(ask.Session, ask.Timeout, now.Mono)
		r.owned(ask.Session, from)
	}
	said := packet.Revalidated{Session: ask.Session, Valid: valid}
	r.answers = append(r.answers, answer{
		// Not before the session's earlier writes, nor before it is certain that nobody else leads and has ended it.
		link: id, after: r.waiting.lastOf(ask.Session), round: r.leader.Barrier(now.Mono, &r.effects), strict: true,
		packet: packet.Packet{Type: packet.TypeRevalidate, Zxid: -1, Data: said.AppendJute(nil)},
	})
}

// owned makes a server the one through which a session speaks.
func (r *Replica) owned(id znode.SessionID, by packet.ServerID) {
	if r.moved == nil {
		return
	}
	if by == r.cfg.Self {
		r.moved[id] = by // also when its connection here is gone: what another server still sends on for it comes too late
		return
	}
	r.moved[id] = by
	if conn := r.release(id); conn != 0 {
		r.clients.byConn[conn].cut = true
		r.client(ClientOp{Kind: ClientClose, Conn: conn})
	}
}

// owner checks that a session speaks through that server, and lets it if it speaks through none.
func (r *Replica) owner(id znode.SessionID, by packet.ServerID) bool {
	if who, ok := r.moved[id]; ok {
		return who == by
	}
	if _, here := r.clients.owners[id]; here {
		return false
	}
	if r.sessions.Check(id) == znode.CodeOK {
		r.moved[id] = by
	}
	return true
}

// remote plans a request of another server's client. All but sync become a transaction with a zxid of its own, be it a
// refusal: whoever asked waits for one.
func (r *Replica) remote(id packet.LinkID, from packet.ServerID, req *packet.Request, ids []znode.ID, now Time) {
	q := request.Request{Session: req.Session, Xid: req.Cxid, Op: req.Op, IDs: ids, Size: len(req.Body)}
	code := r.read(&q, req.Body, from)
	if code != znode.CodeSessionMoved {
		r.sessions.Touch(q.Session, now.Mono) // what the learner answers a ping with may take longer to get here
	}
	switch {
	case req.Op == wire.OpSync:
		r.answers = append(r.answers, answer{
			link: id, packet: packet.Packet{Type: packet.TypeSync}, after: r.logged, round: r.leader.Barrier(now.Mono, &r.effects),
		})
	case r.exhausted(): // the next leader will be asked again
	case code != znode.CodeOK:
		r.propose(txn.Txn{
			Header: txn.Header{Session: q.Session, Cxid: q.Xid, Zxid: r.next(), Time: now.Wall, Type: wire.OpError},
			Body:   &txn.Error{Code: code},
		}, now)
	default:
		if q.Op == wire.OpCreateSession {
			r.moved[q.Session] = from
		}
		r.plan(&q, now)
	}
}

// read decodes a remote request's record and checks what has to be checked before it is planned.
func (r *Replica) read(q *request.Request, body []byte, from packet.ServerID) znode.Code {
	switch q.Op {
	case wire.OpCloseSession:
		return znode.CodeOK // whoever asks
	case wire.OpCreateSession:
	case wire.OpDeleteContainer, wire.OpCheck:
		return znode.CodeUnimplemented
	default:
		if !q.Op.Write() && q.Op != wire.OpSync {
			return znode.CodeUnimplemented
		}
		if !r.owner(q.Session, from) {
			return znode.CodeSessionMoved
		}
	}
	if q.Record = wire.NewRequest(q.Op); q.Record == nil {
		return znode.CodeUnimplemented
	}
	d := jute.NewDecoder(body)
	q.Record.DecodeJute(&d)
	if d.Err() != nil {
		return znode.CodeMarshallingError
	}
	return znode.CodeOK
}

// confirmedSync reports whether whoever asked for a sync may be answered once the tree has what it was asked after.
func (r *Replica) confirmedSync(e *local) bool {
	switch {
	case e.done:
		return true
	case r.role == Standalone:
		return r.local.sent > r.local.head
	case r.leader != nil && r.serving && r.local.sent > r.local.head:
		return r.confirmed >= e.round || r.committed > e.after
	}
	return false
}
