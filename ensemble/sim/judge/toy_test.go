package judge_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/judge"
	"github.com/bellwether-zk/bellwether/ensemble/sim/workload"
)

// A toy is an ensemble without networks, disks and faults: a leader that plans with a judge.Model, and servers that lag behind it,
// each a Model of its own. It makes histories that are right, for the checkers to pass and for tests to corrupt; and it shows
// how an engine uses Invariants and clients.
type toy struct {
	t       *testing.T
	h       *judge.History
	inv     *judge.Invariants
	rand    *rand.Rand
	now     clock.Time
	epoch   uint32
	zxid    znode.Zxid
	leader  int
	order   []toyTxn
	planner *judge.Model
	servers map[int]*toyServer
	clients []*workload.Client
	conns   map[judge.ConnID]*toyConn
	heard   map[znode.SessionID]clock.Time
	granted map[znode.SessionID]int32
	ending  map[znode.SessionID]bool
	next    znode.SessionID
	moves   []toyMove // what clients want done, in order
}

type toyTxn struct {
	x       txn.Txn
	payload []byte
	op      wire.Op
	rec     wire.Record
	who     judge.Asker
	conn    judge.ConnID // who gets the answer; -1: nobody
	xid     int32
	digest  uint64
}

type toyServer struct {
	id      int
	model   *judge.Model
	applied int
	log     []judge.Record
}

type toyConn struct {
	id      judge.ConnID
	client  *workload.Client
	server  *toyServer
	session znode.SessionID
	open    bool
	lane    []toyRequest // not answered, in order; a write in it waits for its transaction
	watches map[string]map[string]bool
	out     [][]byte // on its way to the client
	after   int      // transactions to be applied before the handshake is answered
	asked   *wire.ConnectRequest
	fresh   bool
	closed  bool
}

type toyRequest struct {
	op    wire.Op
	xid   int32
	rec   wire.Record
	after int // a sync: transactions its server must have applied
}

type toyMove struct {
	client *workload.Client
	e      workload.Effect
}

const toyTick = 2 * clock.Second

// A toy's leader hears of every request at once.
func toyRules() judge.Rules {
	return judge.Rules{Voters: []int{1, 2, 3}, Tick: toyTick, Slack: 100 * clock.Millisecond}
}

func newToy(t *testing.T, seed uint64, mix workload.Mix) *toy {
	y := &toy{
		t: t, h: judge.NewHistory(), rand: rand.New(rand.NewPCG(seed, 1)), planner: judge.NewModel(false), servers: map[int]*toyServer{},
		conns: map[judge.ConnID]*toyConn{}, heard: map[znode.SessionID]clock.Time{}, granted: map[znode.SessionID]int32{},
		ending: map[znode.SessionID]bool{}, next: 0x100000000000001,
	}
	y.inv = judge.NewInvariants(y.h, toyRules())
	for id := 1; id <= 3; id++ {
		y.servers[id] = &toyServer{id: id, model: judge.NewModel(false)}
		y.inv.Start(y.now, id, judge.Boot{})
		y.inv.Load(y.now, id, 0, y.planner.Digest())
	}
	y.elect(1)
	for i := range mix.Clients {
		y.clients = append(y.clients, workload.New(i, []int{1, 2, 3}, mix, rand.New(rand.NewPCG(seed, uint64(100+i))), y.h))
	}
	return y
}

// elect makes a server the leader of a new epoch.
func (y *toy) elect(leader int) {
	y.inv.Depose(y.now, y.leader)
	y.epoch++
	y.leader, y.zxid = leader, znode.MakeZxid(y.epoch, 0)
	for id := 1; id <= 3; id++ {
		y.inv.AcceptEpoch(y.now, id, int64(y.epoch))
		y.inv.SaveEpoch(y.now, id, int64(y.epoch))
	}
	y.inv.Establish(y.now, leader, int64(y.epoch))
	for id := 1; id <= 3; id++ {
		for y.servers[id].applied < len(y.order) {
			y.apply(y.servers[id])
		}
		y.inv.Serve(y.now, id)
	}
	for id := range y.granted {
		y.heard[id] = y.now
	}
}

// propose plans a write, and has all servers log it.
func (y *toy) propose(op wire.Op, rec wire.Record, session znode.SessionID, xid int32, conn judge.ConnID) {
	y.zxid++
	who := judge.Asker{Session: session, Zxid: y.zxid, Time: clock.Epoch + y.now.Millis()}
	a := y.planner.Write(op, rec, who)
	x := txn.Txn{Header: txn.Header{Session: session, Cxid: xid, Zxid: y.zxid, Time: who.Time, Type: op}, Digest: y.planner.Digest(), HasDigest: true}
	switch {
	case op == wire.OpCreateSession:
		x.Body = &txn.CreateSession{Timeout: rec.(*wire.CreateSessionRequest).Timeout}
	case op == wire.OpCloseSession:
		c := &txn.CloseSession{Paths: []string{}}
		for _, b := range a.Bodies {
			c.Paths = append(c.Paths, b.Path)
		}
		x.Body = c
		y.ending[session] = true
	case op == wire.OpMulti:
		m := &txn.Multi{}
		for i, b := range a.Bodies {
			m.Subs = append(m.Subs, txn.Sub{Type: b.Type, Body: toyBody(b, rec.(*wire.MultiRequest).Ops[i].Record)})
		}
		x.Body = m
	case a.Err != znode.CodeOK:
		x.Type, x.Body, x.HasDigest = wire.OpError, &txn.Error{Code: a.Err}, false
	default:
		x.Body = toyBody(a.Bodies[0], rec)
	}
	payload := x.AppendPayload(nil)
	for i := range 3 { // the leader first: it proposes
		id := (y.leader+i-1)%3 + 1
		y.inv.Logged(y.now, id, y.zxid, payload)
		y.inv.Synced(y.now, id, y.zxid)
		y.inv.Ack(y.now, y.leader, id, y.zxid)
		y.servers[id].log = append(y.servers[id].log, judge.Record{Zxid: y.zxid, Payload: payload})
	}
	y.inv.Commit(y.now, y.leader, y.zxid)
	y.order = append(y.order, toyTxn{x: x, payload: payload, op: op, rec: rec, who: who, conn: conn, xid: xid, digest: y.planner.Digest()})
}

func toyBody(b judge.Body, rec wire.Record) txn.Body {
	if b.Err != znode.CodeOK {
		return &txn.Error{Code: b.Err}
	}
	switch q := rec.(type) {
	case *wire.CreateRequest:
		return &txn.Create{Path: b.Path, Data: b.Data, ACL: q.ACL, Ephemeral: b.Ephemeral, ParentCversion: b.Count}
	case *wire.DeleteRequest:
		return &txn.Delete{Path: b.Path}
	case *wire.SetDataRequest:
		return &txn.SetData{Path: b.Path, Data: b.Data, Version: b.Count}
	case *wire.SetACLRequest:
		return &txn.SetACL{Path: b.Path, ACL: q.ACL, Version: b.Count}
	case *wire.CheckRequest:
		return &txn.Check{Path: b.Path, Version: b.Count}
	}
	panic("toy: what record is that?")
}

// apply is one step of a server's tree: events first, then the answer.
func (y *toy) apply(s *toyServer) {
	x := &y.order[s.applied]
	s.applied++
	a := s.model.Write(x.op, x.rec, x.who)
	require.Equal(y.t, x.digest, s.model.Digest())
	y.inv.Commit(y.now, s.id, x.who.Zxid)
	y.inv.Apply(y.now, s.id, x.who.Zxid, s.model.Digest())
	conns := y.of(s)
	for _, ch := range a.Changes {
		for _, c := range conns {
			c.fire(y, ch)
		}
	}
	for _, c := range conns {
		if c.id == x.conn && c.open && len(c.lane) > 0 && c.lane[0].xid == x.xid {
			q := c.lane[0]
			c.lane = c.lane[1:]
			c.reply(y, q, a)
			if q.op == wire.OpCloseSession {
				c.closed = true
			}
		}
		if x.op == wire.OpCloseSession && c.session == x.who.Session {
			c.closed = true
		}
		c.run(y)
	}
}

// of are the connections of a server, in order.
func (y *toy) of(s *toyServer) (list []*toyConn) {
	for _, c := range y.conns {
		if c.server == s {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *toyConn) int { return int(a.id - b.id) })
	return list
}

// fire is the watches, written down a third time: by kinds of watch, as the protocol's table has it.
func (c *toyConn) fire(y *toy, ch judge.Change) {
	told := false
	for _, kind := range []string{"data", "persistent", "recursive"} {
		told = told || c.watches[kind][ch.Path]
	}
	for at := ch.Path; at != "/"; {
		above, _, _ := znode.Split(at)
		if at = above; at == "" {
			at = "/"
		}
		told = told || c.watches["recursive"][at]
	}
	delete(c.watches["data"], ch.Path)
	if ch.Type == znode.EventDeleted {
		told = told || c.watches["child"][ch.Path]
		delete(c.watches["child"], ch.Path)
	}
	if told {
		c.tell(y, ch.Type, ch.Path, ch.Zxid)
	}
	parent, _, _ := znode.Split(ch.Path)
	if parent == "" {
		parent = "/"
	}
	if ch.Type != znode.EventDataChanged && (c.watches["child"][parent] || c.watches["persistent"][parent]) {
		c.tell(y, znode.EventChildrenChanged, parent, ch.Zxid)
		delete(c.watches["child"], parent)
	}
}

func (c *toyConn) tell(y *toy, typ znode.EventType, path string, zxid znode.Zxid) {
	if zxid > 0 {
		y.inv.Event(y.now, c.server.id, uint64(c.id), zxid)
	}
	c.out = append(c.out, wire.AppendNotification(nil, zxid, typ, path))
}

// run answers what can be answered: all up to the first write.
func (c *toyConn) run(y *toy) {
	for len(c.lane) > 0 && !c.closed && !c.lane[0].op.Write() && c.lane[0].after <= c.server.applied {
		q := c.lane[0]
		c.lane = c.lane[1:]
		switch rec := q.rec.(type) {
		case *wire.SetWatchesRequest:
			c.restore(y, rec)
			c.reply(y, q, judge.Answer{})
			continue
		case *wire.WatcherRequest:
			c.reply(y, q, judge.Answer{Err: c.remove(rec.Path)})
			continue
		case *wire.AddWatchRequest:
			c.watch([]string{"persistent", "recursive"}[rec.Mode], rec.Path)
		}
		a := c.server.model.Read(q.op, q.rec, c.session)
		if w, ok := q.rec.(*wire.WatchRequest); ok && w.Watch {
			switch {
			case q.op == wire.OpExists, q.op == wire.OpGetData && a.Err == znode.CodeOK:
				c.watch("data", w.Path)
			case a.Err == znode.CodeOK:
				c.watch("child", w.Path)
			}
		}
		c.reply(y, q, a)
	}
}

func (c *toyConn) watch(kind, path string) {
	if c.watches[kind] == nil {
		c.watches[kind] = map[string]bool{}
	}
	c.watches[kind][path] = true
}

func (c *toyConn) remove(path string) znode.Code {
	code := znode.CodeNoWatcher
	for _, set := range c.watches {
		if set[path] {
			delete(set, path)
			code = znode.CodeOK
		}
	}
	return code
}

// restore answers from what the server's own reads say.
func (c *toyConn) restore(y *toy, q *wire.SetWatchesRequest) {
	stat := func(path string) (znode.Stat, bool) {
		a := c.server.model.Read(wire.OpExists, &wire.WatchRequest{Path: path}, 0)
		if a.Err != znode.CodeOK {
			return znode.Stat{}, false
		}
		return a.Response.(*wire.StatResponse).Stat, true
	}
	for _, path := range q.Data {
		switch s, ok := stat(path); {
		case !ok:
			c.tell(y, znode.EventDeleted, path, -1)
		case s.Mzxid > q.RelativeZxid:
			c.tell(y, znode.EventDataChanged, path, -1)
		default:
			c.watch("data", path)
		}
	}
	for _, path := range q.Exist {
		if _, ok := stat(path); ok {
			c.tell(y, znode.EventCreated, path, -1)
		} else {
			c.watch("data", path)
		}
	}
	for _, path := range q.Child {
		switch s, ok := stat(path); {
		case !ok:
			c.tell(y, znode.EventDeleted, path, -1)
		case s.Pzxid > q.RelativeZxid:
			c.tell(y, znode.EventChildrenChanged, path, -1)
		default:
			c.watch("child", path)
		}
	}
	for _, path := range q.Persistent {
		c.watch("persistent", path)
	}
	for _, path := range q.PersistentRecursive {
		c.watch("recursive", path)
	}
}

func (c *toyConn) reply(y *toy, q toyRequest, a judge.Answer) {
	zxid := c.server.model.Zxid()
	y.inv.Reply(y.now, c.server.id, uint64(c.id), zxid)
	b, start := wire.BeginFrame(nil)
	b = wire.ReplyHeader{Xid: q.xid, Zxid: zxid, Err: a.Err}.AppendJute(b)
	if a.Err == znode.CodeOK && a.Response != nil {
		b = a.Response.AppendJute(b)
	}
	c.out = append(c.out, wire.EndFrame(b, start))
}

// do carries out one wish of a client's.
func (y *toy) do(m toyMove) {
	switch e := m.e; e.Kind {
	case workload.Dial:
		c := &toyConn{id: e.Conn, client: m.client, server: y.servers[e.Server], watches: map[string]map[string]bool{}, open: true}
		y.conns[e.Conn] = c
		y.with(m.client, func(out *[]workload.Effect) { m.client.Connected(y.now, e.Conn, out) })
	case workload.Close:
		delete(y.conns, e.Conn)
		y.inv.Hangup(uint64(e.Conn))
	case workload.Send:
		c := y.conns[e.Conn]
		if c == nil || c.closed {
			return
		}
		d := jute.NewDecoder(e.Bytes[4:])
		if c.asked == nil {
			c.asked = &wire.ConnectRequest{}
			c.asked.DecodeJute(&d)
			y.greet(c)
			return
		}
		var head wire.RequestHeader
		head.DecodeJute(&d)
		rec := wire.NewRequest(head.Op)
		if rec != nil {
			rec.DecodeJute(&d)
		}
		require.NoError(y.t, d.Err())
		y.request(c, head, rec)
	}
}

func (y *toy) with(c *workload.Client, f func(*[]workload.Effect)) {
	var out []workload.Effect
	f(&out)
	for _, e := range out {
		y.moves = append(y.moves, toyMove{c, e})
	}
}

func (y *toy) greet(c *toyConn) {
	switch {
	case c.asked.Session == 0:
		c.session, c.fresh = y.next, true
		y.next++
		y.propose(wire.OpCreateSession, &wire.CreateSessionRequest{Timeout: c.asked.Timeout}, c.session, 0, -1)
		y.granted[c.session] = c.asked.Timeout
		c.after = len(y.order)
	case y.ending[c.asked.Session]:
		c.after = -1
	default:
		c.session, c.after = c.asked.Session, len(y.order)
	}
	if c.session != 0 {
		for _, other := range y.conns {
			if other != c && other.session == c.session {
				other.closed = true
			}
		}
		y.heard[c.session] = y.now
	}
}

func (y *toy) request(c *toyConn, head wire.RequestHeader, rec wire.Record) {
	y.heard[c.session] = y.now
	q := toyRequest{op: head.Op, xid: head.Xid, rec: rec}
	if head.Op == wire.OpSync {
		q.after = len(y.order)
	}
	c.lane = append(c.lane, q)
	if head.Op.Write() {
		y.propose(head.Op, rec, c.session, head.Xid, c.id)
	}
	c.run(y)
}

// deliver gives a client some of what is on its way.
func (y *toy) deliver(c *toyConn) {
	if c.asked != nil && (c.after < 0 || c.server.applied >= c.after) && (c.session != 0 || c.after < 0) && c.asked.Timeout >= 0 {
		if c.after >= 0 && c.server.model.Zxid() < c.asked.LastZxidSeen {
			return // not there yet: held
		}
		resp := wire.ConnectResponse{Session: c.session, Timeout: c.asked.Timeout, Password: make([]byte, wire.PasswordLen)}
		if c.after < 0 {
			resp.Timeout, c.closed = 0, true
		}
		c.asked.Timeout = -1
		b, start := wire.BeginFrame(nil)
		c.out = append([][]byte{wire.EndFrame(resp.AppendJute(b), start)}, c.out...)
	}
	if c.asked == nil || c.asked.Timeout >= 0 {
		return
	}
	for len(c.out) > 0 && y.rand.IntN(4) > 0 {
		b := c.out[0]
		c.out = c.out[1:]
		for len(b) > 0 {
			n := min(len(b), 1+y.rand.IntN(64))
			y.with(c.client, func(out *[]workload.Effect) { c.client.Receive(y.now, c.id, b[:n], out) })
			b = b[n:]
		}
		if y.conns[c.id] == nil {
			return
		}
	}
	if c.closed && len(c.out) == 0 {
		delete(y.conns, c.id)
		y.with(c.client, func(out *[]workload.Effect) { c.client.Disconnected(y.now, c.id, out) })
	}
}

// run lets time pass.
func (y *toy) run(span clock.Time) {
	for end := y.now + span; y.now < end; y.now += clock.Millisecond {
		for _, c := range y.clients {
			if y.now >= c.Next() {
				y.with(c, func(out *[]workload.Effect) { c.Tick(y.now, out) })
			}
		}
		for len(y.moves) > 0 {
			m := y.moves[0]
			y.moves = y.moves[1:]
			y.do(m)
		}
		for id := 1; id <= 3; id++ {
			s := y.servers[id]
			for s.applied < len(y.order) && y.rand.IntN(3) > 0 {
				y.apply(s)
			}
			for _, c := range y.of(s) {
				c.run(y)
				y.deliver(c)
			}
		}
		y.expire()
		if y.rand.IntN(4000) == 0 {
			y.elect(1 + y.rand.IntN(3))
		}
		require.Empty(y.t, y.inv.Violations())
	}
}

func (y *toy) expire() {
	for id := znode.SessionID(0x100000000000001); id < y.next; id++ {
		if timeout := clock.Time(y.granted[id]) * clock.Millisecond; !y.ending[id] && y.now > y.heard[id]+timeout {
			y.propose(wire.OpCloseSession, nil, id, 0, -1)
		}
	}
}

// finish lets everything come to rest and looks at all servers.
func (y *toy) finish() {
	y.h.Heal(y.now)
	for _, c := range y.clients {
		c.Calm()
	}
	y.run(2 * clock.Second)
	for _, c := range y.clients {
		c.Quiet()
	}
	y.run(2 * clock.Second)
	for id := 1; id <= 3; id++ {
		s := y.servers[id]
		for s.applied < len(y.order) {
			y.apply(s)
		}
		img := s.model.Image()
		img.Server, img.AcceptedEpoch, img.CurrentEpoch, img.Log = id, int64(y.epoch), int64(y.epoch), s.log
		y.inv.Inspect(y.now, img)
	}
}

// goodHistory is one without a fault.
func goodHistory(t *testing.T, seed uint64, span clock.Time) *judge.History {
	t.Helper()
	mix := workload.Draw(rand.New(rand.NewPCG(seed, 0)))
	y := newToy(t, seed, mix)
	y.run(span)
	y.finish()
	return y.h
}

// With -short, as the race detector is run, histories are short: a judge has one goroutine, which races with nobody.
func TestGoodHistoriesPass(t *testing.T) {
	total, part := judge.Summary{}, 1
	if testing.Short() {
		part = 4
	}
	for seed := range uint64(8) {
		h := goodHistory(t, seed, 6*clock.Second/clock.Time(part))
		s := h.Summary()
		total.Acknowledged += s.Acknowledged
		total.Unknown += s.Unknown
		total.Events += s.Events
		total.Syncs += s.Syncs
		total.Sessions += s.Sessions
		require.Empty(t, judge.Judge(h, toyRules()), "seed %d: %+v", seed, s)
	}
	t.Logf("%+v", total)
	require.Greater(t, total.Acknowledged, 3000/part)
	require.NotZero(t, total.Unknown)
	require.Greater(t, total.Events, 1000/part)
	require.Greater(t, total.Syncs, 100/part)
	require.Greater(t, total.Sessions, 50/part)
}

func BenchmarkJudge(b *testing.B) {
	mix := workload.Draw(rand.New(rand.NewPCG(8, 0)))
	mix.Clients, mix.Think, mix.Window = 8, 4*clock.Millisecond, 8
	y := newToy(&testing.T{}, 8, mix)
	for y.h.Summary().Acknowledged < 2500 || len(y.h.Ops) < 5000 {
		y.run(clock.Second / 4)
	}
	y.finish()
	b.Logf("%+v", y.h.Summary())
	c := judge.Open(y.h, toyRules())
	for _, check := range []struct {
		name string
		run  func()
	}{
		{"all", func() { judge.Judge(y.h, toyRules()) }},
		{"agreement", func() { c.Agreement() }},
		{"writes", func() { c.Writes() }},
		{"realtime", func() { c.RealTime() }},
		{"replay", func() { judge.Open(y.h, toyRules()).Replay() }},
		{"order", func() { c.Order() }},
		{"linearizable", func() { c.Linearizable() }},
		{"watches", func() { c.Watches() }},
		{"sessions", func() { c.Sessions() }},
		{"sync", func() { c.Sync() }},
	} {
		b.Run(check.name, func(b *testing.B) {
			for b.Loop() {
				check.run()
			}
		})
	}
}
