package judge_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/judge"
	"github.com/bellwether-zk/bellwether/ensemble/sim/workload"
)

// A forgery is a history with one lie in it. Its methods choose places at random and say in ok whether there is one.
type forgery struct {
	*judge.History
	r     *rand.Rand
	rules judge.Rules
}

// A corruption is one way of making a right history wrong, and the check that has to say so. lie says false when the place it has
// chosen does not do.
type corruption struct {
	check string
	name  string
	lie   func(f *forgery) bool
}

// check runs one checker.
func (f *forgery) check(name string) []judge.Violation {
	c := judge.Open(f.History, f.rules)
	switch name {
	case "C1":
		return c.Agreement()
	case "C2":
		return c.Writes()
	case "C3":
		return c.RealTime()
	case "C4", "C5":
		return slices.DeleteFunc(c.Replay(), func(v judge.Violation) bool { return v.Check != name })
	case "C6":
		return c.Order()
	case "C7":
		return c.Linearizable()
	case "C9":
		return c.Watches()
	case "C10":
		return c.Sessions()
	case "C12":
		return c.Sync()
	case "C13":
		return c.Liveness()
	}
	panic("no check " + name)
}

// rich is a right history in which everything there is happens.
var rich = sync.OnceValue(func() *judge.History {
	mix := workload.Draw(rand.New(rand.NewPCG(4, 4)))
	for h := range mix.Weights {
		mix.Weights[h] = 10
	}
	for _, h := range []workload.Habit{workload.SetData, workload.SyncAndRead, workload.GetData, workload.Delete, workload.Multi} {
		mix.Weights[h] = 40
	}
	mix.Weights[workload.Abandon], mix.Weights[workload.CloseSession], mix.Weights[workload.Sulk], mix.Weights[workload.Move] = 1, 1, 1, 3
	mix.Clients, mix.Names, mix.Window, mix.Think, mix.Watch, mix.Timeout = 5, 3, 4, 10*clock.Millisecond, 0.5, 4000
	y := newToy(&testing.T{}, 11, mix)
	y.run(16 * clock.Second)
	y.finish()
	return y.h
})

func forge(seed uint64) *forgery {
	good := rich()
	h := *good
	h.Ops, h.Events, h.Conns, h.Txns = slices.Clone(h.Ops), slices.Clone(h.Events), slices.Clone(h.Conns), slices.Clone(h.Txns)
	h.Closes, h.Images, h.Steps = slices.Clone(h.Closes), slices.Clone(h.Images), maps.Clone(h.Steps)
	for id, steps := range h.Steps {
		h.Steps[id] = slices.Clone(steps)
	}
	for i := range h.Conns {
		h.Conns[i].Received = slices.Clone(h.Conns[i].Received)
	}
	for i := range h.Images {
		img := &h.Images[i]
		img.Log, img.Nodes, img.Sessions = slices.Clone(img.Log), slices.Clone(img.Nodes), maps.Clone(img.Sessions)
	}
	return &forgery{History: &h, r: rand.New(rand.NewPCG(seed, 2)), rules: toyRules()}
}

// TestCorruptedHistoriesAreFound tells each lie at several places: the checker that is meant for it finds it, and finds nothing in
// what was not touched.
func TestCorruptedHistoriesAreFound(t *testing.T) {
	for _, check := range []string{"C1", "C2", "C3", "C4", "C5", "C6", "C7", "C9", "C10", "C12", "C13"} {
		require.Empty(t, forge(0).check(check), "the truth")
	}
	names, places := map[string]bool{}, uint64(3)
	if testing.Short() {
		places = 1
	}
	for _, c := range slices.Concat(liesAboutServers, liesAboutWrites, liesAboutReads, liesAboutWatches, liesAboutSessions) {
		t.Run(c.check+"/"+c.name, func(t *testing.T) {
			require.False(t, names[c.name])
			names[c.name] = true
			for seed := range places {
				f := forge(seed)
				for try := seed; !c.lie(f); f = forge(try) {
					try += places // another place
					require.Less(t, try, uint64(400), "the history has no place for this lie")
				}
				found := f.check(c.check)
				require.NotEmpty(t, found, "seed %d", seed)
				require.Equal(t, c.check, found[0].Check)
				if seed == 0 {
					t.Log(found[0])
				}
			}
		})
	}
	require.Greater(t, len(names), 50)
}

// op is an op that fits.
func (f *forgery) op(fits func(i int, o *judge.Op) bool) (*judge.Op, int, bool) {
	for _, i := range f.r.Perm(len(f.Ops)) {
		if o := &f.Ops[i]; o.Returned.Happened() && fits(i, o) {
			return o, i, true
		}
	}
	return nil, 0, false
}

// done is an op of a type that was done.
func (f *forgery) done(types ...wire.Op) (*judge.Op, int, bool) {
	return f.op(func(_ int, o *judge.Op) bool { return o.Err == 0 && slices.Contains(types, o.Type) })
}

// txnOf is the transaction at a zxid.
func (f *forgery) txnOf(zxid znode.Zxid) (*judge.Txn, int) {
	i := slices.IndexFunc(f.Txns, func(x judge.Txn) bool { return x.Zxid == zxid })
	if i < 0 {
		return nil, -1
	}
	return &f.Txns[i], i
}

// txn is a transaction that fits.
func (f *forgery) txn(fits func(x *judge.Txn) bool) (*judge.Txn, int, bool) {
	for _, i := range f.r.Perm(len(f.Txns)) {
		if fits(&f.Txns[i]) {
			return &f.Txns[i], i, true
		}
	}
	return nil, 0, false
}

// after is a moment behind everything.
func (f *forgery) end() judge.Moment { return f.Images[len(f.Images)-1].At }

func (f *forgery) server() int { return 1 + f.r.IntN(3) }

// step is a step of some server's tree that is no jump, and has others around it.
func (f *forgery) step() (int, int) {
	id := f.server()
	for {
		i := 2 + f.r.IntN(len(f.Steps[id])-4)
		if !f.Steps[id][i].Loaded && !f.Steps[id][i+1].Loaded {
			return id, i
		}
	}
}

var liesAboutServers = []corruption{
	{"C1", "a server skips a transaction", func(f *forgery) bool {
		id, i := f.step()
		f.Steps[id] = slices.Delete(f.Steps[id], i, i+1)
		return true
	}},
	{"C1", "a server applies one twice", func(f *forgery) bool {
		id, i := f.step()
		f.Steps[id] = slices.Insert(f.Steps[id], i, f.Steps[id][i])
		return true
	}},
	{"C1", "a server applies two in the wrong order", func(f *forgery) bool {
		id, i := f.step()
		s := f.Steps[id]
		s[i], s[i+1] = s[i+1], s[i]
		return true
	}},
	{"C1", "a server applies what was never committed", func(f *forgery) bool {
		id, i := f.step()
		f.Steps[id][i].Zxid += 1 << 20
		return true
	}},
	{"C1", "a server has another digest", func(f *forgery) bool {
		for {
			id, i := f.step()
			if x, _ := f.txnOf(f.Steps[id][i].Zxid); x.HasDigest {
				f.Steps[id][i].Digest++
				return true
			}
		}
	}},
	{"C1", "a log has a hole", func(f *forgery) bool {
		img := &f.Images[f.r.IntN(len(f.Images))]
		i := 1 + f.r.IntN(len(img.Log)-2)
		img.Log = slices.Delete(img.Log, i, i+1)
		return true
	}},
	{"C1", "a log has other bytes", func(f *forgery) bool {
		img := &f.Images[f.r.IntN(len(f.Images))]
		rec := &img.Log[f.r.IntN(len(img.Log))]
		rec.Payload = slices.Clone(rec.Payload)
		rec.Payload[f.r.IntN(len(rec.Payload))] ^= 4
		return true
	}},
	{"C1", "a log ends early", func(f *forgery) bool {
		img := &f.Images[f.r.IntN(len(f.Images))]
		img.Log = img.Log[:len(img.Log)-1-f.r.IntN(5)]
		return true
	}},
	{"C1", "a zxid is left out", func(f *forgery) bool {
		_, i, ok := f.txn(func(x *judge.Txn) bool { return x.Zxid.Counter() > 1 })
		if i == len(f.Txns)-1 || f.Txns[i+1].Zxid.Counter() == 1 {
			i--
		}
		f.Txns = slices.Delete(f.Txns, i, i+1)
		return ok
	}},
	{"C1", "two leaders in one epoch", func(f *forgery) bool {
		x, _, ok := f.txn(func(x *judge.Txn) bool { return x.Zxid.Counter() > 1 })
		x.Leader = x.Leader%3 + 1
		return ok
	}},
	{"C1", "a current epoch that was not accepted", func(f *forgery) bool {
		f.Images[f.r.IntN(len(f.Images))].CurrentEpoch++
		return true
	}},
	{"C4", "a server's node has other data", func(f *forgery) bool {
		nodes := f.Images[f.r.IntN(len(f.Images))].Nodes
		for _, i := range f.r.Perm(len(nodes)) {
			if nodes[i].Path == "/k0" {
				nodes[i].Data = append(slices.Clone(nodes[i].Data), '!')
				return true
			}
		}
		return false
	}},
	{"C4", "a server's node has another stat", func(f *forgery) bool {
		nodes := f.Images[f.r.IntN(len(f.Images))].Nodes
		nodes[slices.IndexFunc(nodes, func(n judge.Node) bool { return n.Path == "/k0" })].Stat.Cversion++
		return true
	}},
	{"C4", "a server lacks a node", func(f *forgery) bool {
		img := &f.Images[f.r.IntN(len(f.Images))]
		img.Nodes = slices.DeleteFunc(img.Nodes, func(n judge.Node) bool { return n.Path == "/k0" })
		return true
	}},
	{"C4", "a server lacks a session", func(f *forgery) bool {
		img := &f.Images[f.r.IntN(len(f.Images))]
		delete(img.Sessions, slices.Max(slices.Collect(maps.Keys(img.Sessions))))
		return true
	}},
	{"C4", "a server's tree lags when all is over", func(f *forgery) bool {
		img := &f.Images[f.r.IntN(len(f.Images))]
		img.Zxid = f.Txns[len(f.Txns)/2].Zxid
		return true
	}},
	{"C10", "an ephemeral outlives its session", func(f *forgery) bool {
		img := &f.Images[f.r.IntN(len(f.Images))]
		img.Nodes = append(img.Nodes, judge.Node{Path: "/e9", Stat: znode.StatPersisted{Owner: 0x100000000000001, Czxid: 5}})
		_, open := img.Sessions[0x100000000000001]
		return !open
	}},
	{"C13", "no write is done any more", func(f *forgery) bool {
		f.rules.Patience = clock.Second
		for i := range f.Ops {
			if o := &f.Ops[i]; o.Type.Write() && f.Healed.Before(o.Returned) {
				o.Returned = judge.Moment{}
			}
		}
		return true
	}},
	{"C13", "a client finds no server", func(f *forgery) bool {
		f.rules.Patience = clock.Second
		lost := f.r.IntN(5)
		for i := range f.Conns {
			if f.Conns[i].Client == lost {
				f.Conns[i].Ended = judge.Moment{At: f.Healed.At, Seq: f.Healed.Seq - 1}
			}
		}
		f.Conns = append(f.Conns, judge.Conn{Client: lost, Server: 1, Dialed: judge.Moment{At: f.Healed.At + 1, Seq: f.Healed.Seq + 1}})
		return true
	}},
}

var liesAboutWrites = []corruption{
	{"C2", "an acknowledged write is lost", func(f *forgery) bool {
		o, _, ok := f.done(wire.OpSetData, wire.OpCreate, wire.OpDelete)
		_, i := f.txnOf(o.Zxid)
		f.Txns = slices.Delete(f.Txns, i, i+1)
		return ok
	}},
	{"C2", "a write happens twice", func(f *forgery) bool {
		o, _, ok := f.done(wire.OpSetData, wire.OpCreate, wire.OpCloseSession)
		x, _ := f.txnOf(o.Zxid)
		again := *x
		again.Zxid = f.Txns[len(f.Txns)-1].Zxid + 1
		f.Txns = append(f.Txns, again)
		return ok
	}},
	{"C2", "an unanswered write happens twice", func(f *forgery) bool {
		o, _, ok := f.done(wire.OpSetData)
		x, i := f.txnOf(o.Zxid)
		o.Returned = judge.Moment{}
		f.Txns = slices.Insert(f.Txns, i+1, *x)
		return ok
	}},
	{"C2", "a write nobody asked for", func(f *forgery) bool {
		x, _, ok := f.txn(func(x *judge.Txn) bool { return x.Type == wire.OpSetData })
		x.Cxid += 1_000_000
		return ok
	}},
	{"C2", "a write of the leader's own", func(f *forgery) bool {
		x, _, ok := f.txn(func(x *judge.Txn) bool { return x.Type == wire.OpSetData })
		x.Cxid = 0
		return ok
	}},
	{"C2", "a refusal of what was done", func(f *forgery) bool {
		o, _, ok := f.done(wire.OpCreate, wire.OpCreate2)
		o.Err, o.Response = znode.CodeNodeExists, nil
		return ok
	}},
	{"C2", "a refusal outside of the order of what was done", func(f *forgery) bool {
		o, _, ok := f.done(wire.OpSetData)
		o.Err, o.Zxid, o.Response = znode.CodeThrottledOp, 0, nil
		return ok
	}},
	{"C2", "an acknowledgement of what was refused", func(f *forgery) bool {
		o, _, ok := f.op(func(_ int, o *judge.Op) bool { return o.Type == wire.OpDelete && o.Err != 0 })
		o.Err = 0
		return ok
	}},
	{"C2", "an acknowledgement before the commit", func(f *forgery) bool {
		o, _, ok := f.done(wire.OpSetData)
		x, _ := f.txnOf(o.Zxid)
		x.Committed.Seq = o.Returned.Seq + 1
		return ok
	}},
	{"C2", "a proposal before the request", func(f *forgery) bool {
		o, _, ok := f.done(wire.OpSetData)
		x, _ := f.txnOf(o.Zxid)
		x.Proposed.Seq = o.Invoked.Seq - 1
		return ok
	}},
	{"C2", "an acknowledgement with another's zxid", func(f *forgery) bool {
		o, _, ok := f.done(wire.OpSetData)
		o.Zxid--
		return ok
	}},
	{"C3", "a later write comes before an earlier one", func(f *forgery) bool {
		a, _, ok := f.done(wire.OpSetData)
		b, _, ok2 := f.op(func(_ int, o *judge.Op) bool {
			return o.Type == wire.OpSetData && o.Session != a.Session && a.Returned.Before(o.Invoked)
		})
		if !ok || !ok2 {
			return false
		}
		x, _ := f.txnOf(a.Zxid)
		y, _ := f.txnOf(b.Zxid)
		x.Txn, y.Txn = y.Txn, x.Txn
		x.Zxid, y.Zxid = y.Zxid, x.Zxid
		a.Zxid, b.Zxid = b.Zxid, a.Zxid
		return true
	}},
	{"C4", "another sequence number", func(f *forgery) bool {
		o, _, ok := f.op(func(_ int, o *judge.Op) bool {
			q, is := o.Request.(*wire.CreateRequest)
			return is && q.Mode.Sequential() && o.Err == 0
		})
		resp := *o.Response.(*wire.CreateResponse)
		resp.Path = resp.Path[:len(resp.Path)-1] + "x"
		o.Response = &resp
		return ok
	}},
	{"C4", "a sequence number in the order", func(f *forgery) bool {
		x, _, ok := f.txn(func(x *judge.Txn) bool { c, is := x.Body.(*txn.Create); return is && c.Path[len(c.Path)-2] == '0' })
		c := *x.Body.(*txn.Create)
		c.Path = c.Path[:len(c.Path)-2] + "99"
		x.Body = &c
		return ok
	}},
	{"C4", "a version off by one", func(f *forgery) bool { return f.stat(func(s *znode.Stat) { s.Version++ }) }},
	{"C4", "a cversion off by one", func(f *forgery) bool { return f.stat(func(s *znode.Stat) { s.Cversion-- }) }},
	{"C4", "another mtime", func(f *forgery) bool { return f.stat(func(s *znode.Stat) { s.Mtime++ }) }},
	{"C4", "another pzxid", func(f *forgery) bool { return f.stat(func(s *znode.Stat) { s.Pzxid++ }) }},
	{"C4", "another owner", func(f *forgery) bool { return f.stat(func(s *znode.Stat) { s.EphemeralOwner++ }) }},
	{"C4", "another refusal", func(f *forgery) bool {
		o, _, ok := f.op(func(_ int, o *judge.Op) bool { return o.Type == wire.OpSetData && o.Err == znode.CodeNoNode })
		o.Err = znode.CodeBadVersion
		return ok
	}},
	{"C4", "a refusal in the order", func(f *forgery) bool {
		x, _, ok := f.txn(func(x *judge.Txn) bool { return x.Type == wire.OpDelete })
		x.Type, x.Body, x.HasDigest = wire.OpError, &txn.Error{Code: znode.CodeNotEmpty}, false
		return ok
	}},
	{"C4", "a version in the order", func(f *forgery) bool {
		x, _, ok := f.txn(func(x *judge.Txn) bool { return x.Type == wire.OpSetData })
		b := *x.Body.(*txn.SetData)
		b.Version++
		x.Body = &b
		return ok
	}},
	{"C4", "other data in the order", func(f *forgery) bool {
		x, _, ok := f.txn(func(x *judge.Txn) bool { return x.Type == wire.OpSetData })
		b := *x.Body.(*txn.SetData)
		b.Data = []byte("forged")
		x.Body = &b
		return ok
	}},
	{"C4", "a closed session keeps an ephemeral", func(f *forgery) bool {
		x, _, ok := f.txn(func(x *judge.Txn) bool { c, is := x.Body.(*txn.CloseSession); return is && len(c.Paths) > 0 })
		c := x.Body.(*txn.CloseSession)
		x.Body = &txn.CloseSession{Paths: c.Paths[1:]}
		return ok
	}},
	{"C4", "another digest in the order", func(f *forgery) bool {
		x, _, ok := f.txn(func(x *judge.Txn) bool { return x.HasDigest })
		x.Digest ^= 1 << 40
		return ok
	}},
	{"C4", "half a multi", func(f *forgery) bool {
		x, _, ok := f.txn(func(x *judge.Txn) bool { m, is := x.Body.(*txn.Multi); return is && len(m.Subs) > 1 && !m.Failed() })
		x.Body = &txn.Multi{Subs: x.Body.(*txn.Multi).Subs[1:]}
		return ok
	}},
	{"C4", "a refused multi is done in part", func(f *forgery) bool {
		o, _, ok := f.op(func(_ int, o *judge.Op) bool {
			m, is := o.Response.(*wire.MultiResponse)
			return is && o.Type == wire.OpMulti && len(m.Results) > 1 && m.Results[0].Op == wire.OpError && m.Results[0].Err == 0
		})
		resp := &wire.MultiResponse{Results: slices.Clone(o.Response.(*wire.MultiResponse).Results)}
		resp.Results[0] = wire.MultiResult{Op: wire.OpDelete}
		o.Response = resp
		return ok
	}},
}

// stat changes the stat in the reply to a write.
func (f *forgery) stat(change func(*znode.Stat)) bool {
	o, _, ok := f.op(func(_ int, o *judge.Op) bool {
		return o.Err == 0 && (o.Type == wire.OpSetData || o.Type == wire.OpCreate2)
	})
	switch r := o.Response.(type) {
	case *wire.StatResponse:
		c := *r
		change(&c.Stat)
		o.Response = &c
	case *wire.CreateResponse:
		c := *r
		change(&c.Stat)
		o.Response = &c
	}
	return ok
}
