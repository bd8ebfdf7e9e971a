package sim

import (
	"math"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// A guest is a client's connection as its server has it, as package front's Conn is one.
type guest struct {
	l         *life
	id        request.ConnID
	end       *end
	in        []byte
	greeted   bool
	asked     bool // it has said what session it wants
	session   znode.SessionID
	timeout   int64 // milliseconds
	heard     int64 // monotonic, milliseconds
	touched   bool  // heard of since the last time the core was told
	pending   request.Lane
	owed      bool // a ping is to be answered when fresh
	ended     bool // it has asked to be closed: nothing more is read
	out       []byte
	wandering bool // the reads behind its writes are about to run
}

// number names the connection for good.
func (g *guest) number() uint64 {
	return uint64(g.l.id)<<56 | uint64(g.l.lives)<<32 | uint64(g.id)
}

// welcome takes in a client.
func (l *life) welcome(e *end) {
	l.lastGuest++
	g := &guest{l: l, id: l.lastGuest, end: e, heard: l.time().Mono, timeout: 5 * l.opts.Tick}
	l.guests[g.id] = g
	l.inOrder = append(l.inOrder, g)
	e.bytes, e.closed = g.take, func(error) { g.leave() }
}

// take takes in bytes.
func (g *guest) take(b []byte, _ bool) {
	g.in = append(g.in, b...)
	g.heard, g.touched = g.l.time().Mono, true
	for !g.ended {
		frame, rest, ok := cutFrame(g.in)
		if !ok {
			break
		}
		g.in = rest
		switch {
		case !g.asked:
			g.knock(frame)
		case !g.greeted:
			g.in = g.in[:0] // nobody asks before he was greeted
		default:
			g.ask(frame)
		}
	}
	g.flush()
}

// cutFrame takes the first frame off.
func cutFrame(b []byte) (frame, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, b, false
	}
	d := jute.NewDecoder(b[:4])
	n := int(d.Int32())
	if len(b) < 4+n {
		return nil, b, false
	}
	return b[4 : 4+n], b[4+n:], true
}

func (g *guest) knock(frame []byte) {
	l := g.l
	req := new(wire.ConnectRequest)
	d := jute.NewDecoder(slices.Clone(frame))
	req.DecodeJute(&d)
	if d.Err() != nil {
		g.shut()
		return
	}
	g.asked = true
	if l.has(ServeBehind) {
		req.LastZxidSeen = 0
	}
	l.in.knocking = append(l.in.knocking, func(now replica.Time) {
		if g.end.open {
			l.r.Connect(g.id, req, now)
		}
	})
	l.kick()
}

// ask takes in a request.
func (g *guest) ask(frame []byte) {
	body := slices.Clone(frame)
	d := jute.NewDecoder(body)
	var h wire.RequestHeader
	h.DecodeJute(&d)
	q := request.Request{Conn: g.id, Session: g.session, Xid: h.Xid, Op: h.Op, Body: body[wire.RequestHeaderLen:], Size: len(frame), IDs: anyone}
	if g.l.has(ForgetChanges) && (q.Op == wire.OpSetWatches || q.Op == wire.OpSetWatches2) {
		copy(q.Body, jute.AppendInt64(nil, int64(g.l.r.Tree().Zxid())))
	}
	switch {
	case q.Ordered():
		g.order(&q)
		return
	case g.careless(&q):
		return
	}
	if g.pending.Len() > 0 {
		g.pending.Push(q)
		return
	}
	g.answer(&q)
}

// anyone is who every client is.
var anyone = []znode.ID{znode.Anyone}

// order gives a write its place.
func (g *guest) order(q *request.Request) {
	if record := wire.NewRequest(q.Op); record != nil {
		d := jute.NewDecoder(q.Body)
		if record.DecodeJute(&d); d.Err() != nil {
			q.Err = znode.CodeMarshallingError
			g.pending.Push(*q)
			g.wander()
			return
		}
		q.Record = record
		if g.careless(q) {
			return
		}
	}
	q.Body = nil
	g.ended = q.Op == wire.OpCloseSession
	g.wander() // reads that stand before it and may run
	g.pending.Push(*q)
	g.l.in.requests = append(g.l.in.requests, *q)
	g.l.kick()
}

// answer answers a read.
func (g *guest) answer(q *request.Request) {
	l := g.l
	switch {
	case q.Err != znode.CodeOK:
		g.out = wire.AppendErrorFrame(g.out, wire.ReplyHeader{Xid: q.Xid, Zxid: l.r.Tree().Zxid(), Err: q.Err})
	case q.Op == wire.OpPing && l.time().Mono > l.freshUntil && !l.has(PingAlways) && (!l.has(PingByLeader) || l.told.role != replica.Leading):
		g.owed = true
		return
	case q.Op == wire.OpPing:
		g.out = l.r.Answer(g.out, q)
		l.inv.Pong(l.world.now, int(l.id))
	default:
		g.out = l.r.Answer(g.out, q)
	}
	l.inv.Reply(l.world.now, int(l.id), g.number(), l.r.Tree().Zxid())
}

// wander answers the reads at the head of the lane.
func (g *guest) wander() {
	for h := g.pending.Runnable(); h != nil && g.end.open; h = g.pending.Runnable() {
		g.answer(h)
		g.pending.Pop()
	}
}

// complete answers the oldest write and the reads between it and the next one. Those behind the last write run a little later.
func (g *guest) complete(frame []byte) {
	l := g.l
	h := g.pending.Head()
	if h == nil || !h.Ordered() {
		panic("sim: a connection has no write to complete")
	}
	g.out = append(g.out, frame...)
	d := jute.NewDecoder(frame[4:])
	var head wire.ReplyHeader
	if head.DecodeJute(&d); head.Zxid > 0 {
		l.inv.Reply(l.world.now, int(l.id), g.number(), head.Zxid)
	}
	bye := h.Op == wire.OpCloseSession
	g.pending.Pop()
	switch {
	case bye:
		g.shut()
	case g.pending.Writes() > 0:
		g.wander()
	case g.pending.Len() > 0 && !g.wandering:
		g.wandering = true
		l.world.after(1+clock.Time(l.rand.Int64N(50)), func() {
			if !l.over {
				l.later(func() {
					g.wandering = false
					g.wander()
					g.flush()
				})
			}
		})
	}
	l.soiled = append(l.soiled, g)
}

// flush sends what there is to say.
func (g *guest) flush() {
	if len(g.out) > 0 && g.end.open {
		g.end.send(slices.Clone(g.out))
	}
	g.out = g.out[:0]
}

// shut ends the connection once what was said has gone.
func (g *guest) shut() {
	g.flush()
	g.end.close()
	g.leave()
}

// leave takes the connection away; the core hears of it last.
func (g *guest) leave() {
	l := g.l
	if l.guests[g.id] == nil {
		return
	}
	delete(l.guests, g.id)
	l.inv.Hangup(g.number())
	if g.touched && g.session != 0 {
		l.in.touches = append(l.in.touches, touch{g.session, g.heard})
	}
	l.in.gone = append(l.in.gone, g.id)
	l.kick()
}

// collect notes when each session was heard of last, and ends connections that have been silent for too long.
func (l *life) collect() {
	now := l.time().Mono
	live := l.inOrder[:0]
	for _, g := range l.inOrder {
		if l.guests[g.id] == nil {
			continue
		}
		live = append(live, g)
		if g.touched && g.session != 0 {
			g.touched = false
			l.in.touches = append(l.in.touches, touch{g.session, g.heard})
		}
	}
	clear(l.inOrder[len(live):])
	l.inOrder = live
	for _, g := range slices.Clone(live) {
		if now-g.heard > g.timeout {
			g.shut()
		}
	}
}

// attend does what is to be done with a client's connection.
func (l *life) attend(op *replica.ClientOp) {
	g := l.guests[op.Conn]
	if g == nil {
		return
	}
	switch op.Kind {
	case replica.ClientGreet:
		out, start := wire.BeginFrame(g.out)
		g.out = wire.EndFrame(op.Response.AppendJute(out), start)
		if op.Response.Session == 0 {
			g.shut()
			return
		}
		g.greeted, g.session, g.timeout = true, op.Response.Session, int64(op.Response.Timeout)
		g.heard = l.time().Mono
		g.flush()
	case replica.ClientRefuse, replica.ClientClose:
		g.out = nil
		g.shut()
	}
}

// deliver sends what one transaction has to say: events first, then the answer.
func (l *life) deliver(a *replica.Applied) {
	now, id := l.world.now, int(l.id)
	if l.has(WatchAfterReply) && a.Conn != 0 {
		if g := l.guests[a.Conn]; g != nil {
			g.complete(a.Reply)
		}
		a.Conn = 0
	}
	for i := range a.Notices {
		n := &a.Notices[i]
		g := l.guests[n.Conn]
		if g == nil || !l.auth.Permit(n.ACL, anyone, znode.PermRead) || l.rarely(DropEvent, 100) {
			continue
		}
		if l.rarely(DoubleEvent, 100) {
			g.out = wire.AppendNotification(g.out, a.Zxid, n.Type, n.Path)
		}
		g.out = wire.AppendNotification(g.out, a.Zxid, n.Type, n.Path)
		l.inv.Event(now, id, g.number(), a.Zxid)
		l.soiled = append(l.soiled, g)
	}
	if a.Conn != 0 {
		if g := l.guests[a.Conn]; g != nil {
			g.complete(a.Reply)
		}
	}
	for _, g := range l.soiled {
		g.flush()
	}
	clear(l.soiled)
	l.soiled = l.soiled[:0]
}

// refresh notes whether clients may be told that their sessions live, and tells those who have waited for it.
func (l *life) refresh(now replica.Time) {
	switch {
	case !l.r.Fresh(now):
		l.freshUntil = -1
		return
	case l.told.role == replica.Standalone:
		l.freshUntil = math.MaxInt64
	default: // who stood still for a while must not answer by what it knew before
		l.freshUntil = now.Mono + max(l.opts.Tick/2, 10)
	}
	for _, g := range l.inOrder {
		if g.owed && l.guests[g.id] != nil {
			g.owed = false
			l.inv.Pong(l.world.now, int(l.id))
			g.out = wire.AppendErrorFrame(g.out, wire.ReplyHeader{Xid: wire.XidPing, Zxid: l.r.Tree().Zxid()})
			g.flush()
		}
	}
}
