package judge_test

import (
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/judge"
)

// synced is a getData right behind a sync that was done, and an earlier getData of the same node with another outcome.
func (f *forgery) synced() (read, older *judge.Op, ok bool) {
	for _, i := range f.r.Perm(len(f.Ops)) {
		o := &f.Ops[i]
		if i == 0 || o.Type != wire.OpGetData || !o.Done() || f.Ops[i-1].Type != wire.OpSync || !f.Ops[i-1].Done() || f.Ops[i-1].Conn != o.Conn {
			continue
		}
		for j := range i {
			p := &f.Ops[j]
			if p.Type == wire.OpGetData && p.Done() && p.Path() == o.Path() && p.Returned.Before(f.Ops[i-1].Invoked) &&
				mzxid(p) < mzxid(o) && f.acknowledged(o.Path(), mzxid(o), f.Ops[i-1].Invoked) {
				return o, p, true
			}
		}
	}
	return nil, nil, false
}

// acknowledged reports whether the change at zxid was answered before a moment.
func (f *forgery) acknowledged(path string, zxid znode.Zxid, by judge.Moment) bool {
	return slices.ContainsFunc(f.Ops, func(o judge.Op) bool {
		return o.Type == wire.OpSetData && o.Path() == path && o.Zxid == zxid && o.Returned.Before(by)
	})
}

func mzxid(o *judge.Op) znode.Zxid { return o.Response.(*wire.DataResponse).Stat.Mzxid }

var liesAboutReads = []corruption{
	{"C5", "a stale read", func(f *forgery) bool {
		read, older, ok := f.synced()
		read.Response = older.Response
		return ok
	}},
	{"C5", "a read of other data", func(f *forgery) bool {
		o, _, ok := f.done(wire.OpGetData)
		resp := *o.Response.(*wire.DataResponse)
		resp.Data = append(slices.Clone(resp.Data), '?')
		o.Response = &resp
		return ok
	}},
	{"C5", "null data for empty", func(f *forgery) bool {
		o, _, ok := f.op(func(_ int, o *judge.Op) bool {
			d, is := o.Response.(*wire.DataResponse)
			return is && len(d.Data) > 0
		})
		resp := *o.Response.(*wire.DataResponse)
		resp.Data = nil
		o.Response = &resp
		return ok
	}},
	{"C5", "a read from the future", func(f *forgery) bool {
		o, _, ok := f.done(wire.OpGetData)
		x, _, _ := f.txn(func(x *judge.Txn) bool { return o.Returned.Before(x.Committed) })
		o.Zxid = x.Zxid
		return ok
	}},
	{"C5", "a read at no zxid", func(f *forgery) bool {
		o, _, ok := f.done(wire.OpExists)
		o.Zxid += 1 << 20
		return ok
	}},
	{"C5", "a node that is there is denied", func(f *forgery) bool {
		o, _, ok := f.done(wire.OpExists)
		o.Err, o.Response = znode.CodeNoNode, nil
		return ok
	}},
	{"C5", "a child is left out", func(f *forgery) bool {
		o, _, ok := f.op(func(_ int, o *judge.Op) bool {
			c, is := o.Response.(*wire.ChildrenResponse)
			return is && len(c.Children) > 1
		})
		resp := *o.Response.(*wire.ChildrenResponse)
		resp.Children = resp.Children[1:]
		o.Response = &resp
		return ok
	}},
	{"C5", "a multi-read of two states", func(f *forgery) bool {
		o, _, ok := f.op(func(_ int, o *judge.Op) bool {
			m, is := o.Response.(*wire.MultiResponse)
			return is && o.Type == wire.OpMultiRead && slices.ContainsFunc(m.Results, func(r wire.MultiResult) bool { return r.Op == wire.OpGetData })
		})
		resp := &wire.MultiResponse{Results: slices.Clone(o.Response.(*wire.MultiResponse).Results)}
		i := slices.IndexFunc(resp.Results, func(r wire.MultiResult) bool { return r.Op == wire.OpGetData })
		resp.Results[i].Stat.Mzxid--
		o.Response = resp
		return ok
	}},
	{"C6", "a zxid that falls", func(f *forgery) bool {
		o, i, ok := f.done(wire.OpGetData)
		for j := i - 1; j >= 0; j-- {
			if p := &f.Ops[j]; p.Conn == o.Conn && p.Zxid > 1 && p.Returned.Before(o.Returned) && p.Type != wire.OpPing {
				o.Zxid = p.Zxid - 1
				return ok
			}
		}
		return false
	}},
	{"C6", "replies that change places", func(f *forgery) bool {
		for _, i := range f.r.Perm(len(f.Conns)) {
			got := f.Conns[i].Received
			for j := 1; j < len(got); j++ {
				if !got[j].IsEvent && !got[j-1].IsEvent && f.Ops[got[j].Index].Type != wire.OpPing && f.Ops[got[j-1].Index].Type != wire.OpPing {
					got[j], got[j-1] = got[j-1], got[j]
					return true
				}
			}
		}
		return false
	}},
	{"C6", "a reply left out", func(f *forgery) bool {
		for _, i := range f.r.Perm(len(f.Conns)) {
			got := f.Conns[i].Received
			for j := 1; j < len(got)-1; j++ {
				last := got[len(got)-1]
				if !got[j].IsEvent && !last.IsEvent && f.Ops[got[j].Index].Type == wire.OpGetData && f.Ops[last.Index].Type != wire.OpPing {
					f.Conns[i].Received = slices.Delete(got, j, j+1)
					return true
				}
			}
		}
		return false
	}},
	{"C6", "a server behind what the client has seen", func(f *forgery) bool {
		for _, i := range f.r.Perm(len(f.Conns)) {
			c := &f.Conns[i]
			if c.LastZxid > 1 && len(c.Received) > 0 && !c.Received[0].IsEvent {
				f.Ops[c.Received[0].Index].Zxid = c.LastZxid - 1
				return true
			}
		}
		return false
	}},
	{"C6", "a server behind what the session has seen", func(f *forgery) bool {
		for _, i := range f.r.Perm(len(f.Conns)) {
			c := &f.Conns[i]
			if c.Asked != 0 && c.LastZxid > 1 && len(c.Received) > 0 && !c.Received[0].IsEvent {
				f.Ops[c.Received[0].Index].Zxid = c.LastZxid - 1
				c.LastZxid = 0 // the client forgot; the judge does not
				return true
			}
		}
		return false
	}},
	{"C6", "something that is no reply", func(f *forgery) bool {
		f.Strays = []judge.Stray{{Conn: judge.ConnID(f.r.IntN(len(f.Conns))), What: "the answer to 9, whose turn it is not", At: f.end()}}
		return true
	}},
	{"C6", "a session's writes change places", func(f *forgery) bool {
		x, i, ok := f.txn(func(x *judge.Txn) bool { return x.Type == wire.OpSetData })
		for j := i + 1; j < len(f.Txns); j++ {
			if y := &f.Txns[j]; y.Session == x.Session && y.Cxid != 0 {
				x.Cxid, y.Cxid = y.Cxid, x.Cxid
				return ok
			}
		}
		return false
	}},
	{"C6", "a write answered with what was seen before", func(f *forgery) bool {
		o, i, ok := f.done(wire.OpSetData)
		for j := i - 1; j >= 0; j-- {
			if p := &f.Ops[j]; p.Conn == o.Conn && p.Zxid > 1 && p.Type == wire.OpSetData && p.Returned.Before(o.Returned) {
				o.Zxid = p.Zxid
				return ok
			}
		}
		return false
	}},
	{"C7", "a synced read of an older value, with an older zxid", func(f *forgery) bool {
		read, older, ok := f.synced()
		read.Response, read.Zxid = older.Response, older.Zxid
		return ok
	}},
	{"C7", "two sets that made the same version", func(f *forgery) bool {
		a, i, ok := f.op(func(_ int, o *judge.Op) bool {
			return o.Type == wire.OpSetData && o.Err == 0 && o.Path() == "/k0" && o.Response.(*wire.StatResponse).Stat.Version > 3
		})
		for j := i - 1; j >= 0; j-- {
			if b := &f.Ops[j]; b.Type == wire.OpSetData && b.Done() && b.Path() == "/k0" && b.Returned.Before(a.Invoked) {
				a.Response = b.Response
				return ok
			}
		}
		return false
	}},
	{"C7", "a create of what is there", func(f *forgery) bool {
		o, _, ok := f.op(func(_ int, o *judge.Op) bool {
			return o.Type == wire.OpSetData && o.Err == 0 && o.Path() == "/k1" && o.Response.(*wire.StatResponse).Stat.Version > 3
		})
		o.Type, o.Request, o.Response = wire.OpCreate, &wire.CreateRequest{Path: "/k1", Data: []byte("x")}, &wire.CreateResponse{Path: "/k1"}
		return ok
	}},
	{"C12", "a sync that shows an older state", func(f *forgery) bool {
		o, i, ok := f.op(func(i int, o *judge.Op) bool { return o.Type == wire.OpSync && o.Err == 0 && i > 200 })
		for j := range i {
			if p := &f.Ops[j]; p.Returned.Happened() && p.Returned.Before(o.Invoked) && p.Done() && p.Type == wire.OpSetData && p.Conn != o.Conn {
				o.Zxid = min(o.Zxid, p.Zxid-1)
			}
		}
		return ok
	}},
	{"C12", "a sync that misses what a watch has told", func(f *forgery) bool {
		o, _, ok := f.op(func(i int, o *judge.Op) bool { return o.Type == wire.OpSync && o.Err == 0 && i > 200 })
		e := slices.IndexFunc(f.Events, func(e judge.Event) bool { return e.Zxid > 0 && e.At.Before(o.Invoked) })
		f.Events[e].Zxid = o.Zxid + 1
		_, i := f.txnOf(o.Zxid)
		return ok && e >= 0 && i < len(f.Txns)-1
	}},
}

// told is an event received on a connection that goes on to receive something afterwards.
func (f *forgery) told(fits func(e *judge.Event) bool) (conn *judge.Conn, at int, ok bool) {
	for _, i := range f.r.Perm(len(f.Conns)) {
		c := &f.Conns[i]
		for j := range len(c.Received) - 1 {
			if c.Received[j].IsEvent && !c.Received[len(c.Received)-1].IsEvent && fits(&f.Events[c.Received[j].Index]) {
				return c, j, true
			}
		}
	}
	return nil, 0, false
}

func fresh(e *judge.Event) bool { return e.Zxid > 0 }
func late(e *judge.Event) bool  { return e.Zxid == -1 }

var liesAboutWatches = []corruption{
	{"C9", "an event is lost", func(f *forgery) bool {
		c, i, ok := f.told(fresh)
		c.Received = slices.Delete(c.Received, i, i+1)
		return ok
	}},
	{"C9", "an event comes twice", func(f *forgery) bool {
		c, i, ok := f.told(fresh)
		c.Received = slices.Insert(c.Received, i, c.Received[i])
		return ok
	}},
	{"C9", "an event comes after the data", func(f *forgery) bool {
		for _, i := range f.r.Perm(len(f.Conns)) {
			got := f.Conns[i].Received
			for j := 1; j < len(got); j++ {
				if got[j-1].IsEvent && !got[j].IsEvent && f.Events[got[j-1].Index].Zxid > 0 {
					got[j], got[j-1] = got[j-1], got[j]
					return true
				}
			}
		}
		return false
	}},
	{"C9", "an event of another node", func(f *forgery) bool {
		c, i, ok := f.told(fresh)
		f.Events[c.Received[i].Index].Path += "0"
		return ok
	}},
	{"C9", "an event of another kind", func(f *forgery) bool {
		c, i, ok := f.told(fresh)
		f.Events[c.Received[i].Index].Type ^= 1
		return ok
	}},
	{"C9", "an event at another zxid", func(f *forgery) bool {
		c, i, ok := f.told(fresh)
		f.Events[c.Received[i].Index].Zxid++
		return ok
	}},
	{"C9", "an event with another state", func(f *forgery) bool {
		c, i, ok := f.told(fresh)
		f.Events[c.Received[i].Index].State = 0
		return ok
	}},
	{"C9", "two events change places", func(f *forgery) bool {
		for _, i := range f.r.Perm(len(f.Conns)) {
			got := f.Conns[i].Received
			for j := 1; j < len(got); j++ {
				if !got[j-1].IsEvent || !got[j].IsEvent {
					continue
				}
				if a, b := f.Events[got[j-1].Index], f.Events[got[j].Index]; fresh(&a) && fresh(&b) && a.WatcherEvent != b.WatcherEvent {
					got[j], got[j-1] = got[j-1], got[j]
					return true
				}
			}
		}
		return false
	}},
	{"C9", "an event nobody asked for", func(f *forgery) bool {
		for _, i := range f.r.Perm(len(f.Conns)) {
			c := &f.Conns[i]
			j := slices.IndexFunc(c.Received, func(it judge.Item) bool { return !it.IsEvent })
			if j < 0 || len(c.Received) < 3 {
				continue
			}
			x, _, ok := f.txn(func(x *judge.Txn) bool {
				s, is := x.Body.(*txn.SetData)
				return is && x.Zxid > f.Ops[c.Received[j].Index].Zxid && s.Path != ""
			})
			if !ok {
				continue
			}
			f.Events = append(f.Events, judge.Event{Zxid: x.Zxid, At: c.Dialed, WatcherEvent: wire.WatcherEvent{
				Type: znode.EventDataChanged, State: 3, Path: x.Body.(*txn.SetData).Path,
			}})
			c.Received = slices.Insert(c.Received, j+1, judge.Item{IsEvent: true, Index: len(f.Events) - 1})
			return true
		}
		return false
	}},
	{"C9", "what was missed is not told", func(f *forgery) bool {
		c, i, ok := f.told(late)
		c.Received = slices.Delete(c.Received, i, i+1)
		return ok
	}},
	{"C9", "what was missed is told twice", func(f *forgery) bool {
		c, i, ok := f.told(late)
		c.Received = slices.Insert(c.Received, i, c.Received[i])
		return ok
	}},
	{"C9", "what was missed is told wrongly", func(f *forgery) bool {
		c, i, ok := f.told(late)
		f.Events[c.Received[i].Index].Type ^= 1
		return ok
	}},
	{"C9", "told late without having asked", func(f *forgery) bool {
		c, i, ok := f.told(fresh)
		f.Events[c.Received[i].Index].Zxid = -1
		return ok
	}},
	{"C9", "a watch that is there cannot be removed", func(f *forgery) bool {
		o, _, ok := f.done(wire.OpRemoveWatches)
		o.Err = znode.CodeNoWatcher
		return ok
	}},
}

// life is a session that the leader closed (own), or its client did.
func (f *forgery) closed(own bool) (judge.Closing, bool) {
	for _, i := range f.r.Perm(len(f.Closes)) {
		if c := f.Closes[i]; (c.Cxid == 0) == own {
			return c, true
		}
	}
	return judge.Closing{}, false
}

var liesAboutSessions = []corruption{
	{"C10", "a session expires early", func(f *forgery) bool {
		for _, i := range f.r.Perm(len(f.Closes)) {
			c := &f.Closes[i]
			recent := func(o judge.Op) bool {
				return o.Session == c.Session && o.Returned.At > c.Proposed.At-4500*clock.Millisecond
			}
			if c.Cxid == 0 && slices.ContainsFunc(f.Ops, recent) {
				c.Proposed.At -= 2 * clock.Second
				return true
			}
		}
		return false
	}},
	{"C10", "a living session is closed", func(f *forgery) bool {
		o, _, ok := f.done(wire.OpPing)
		f.Closes = append(f.Closes, judge.Closing{Session: o.Session, Zxid: f.Txns[len(f.Txns)-1].Zxid, Proposed: judge.Moment{At: o.Returned.At + 1, Seq: o.Returned.Seq + 1}})
		return ok
	}},
	{"C10", "a living session is said to have expired", func(f *forgery) bool {
		for _, i := range f.r.Perm(len(f.Conns)) {
			c := &f.Conns[i]
			ended := slices.ContainsFunc(f.Closes, func(e judge.Closing) bool { return e.Session == c.Asked && e.Proposed.Before(c.Answered) })
			if c.Asked != 0 && c.Session == c.Asked && !ended {
				c.Session = 0
				return true
			}
		}
		return false
	}},
	{"C10", "a new session has expired at once", func(f *forgery) bool {
		for i := range f.Conns {
			if c := &f.Conns[i]; c.Asked == 0 && c.Answered.Happened() {
				c.Session = 0
				return true
			}
		}
		return false
	}},
	{"C10", "a session goes to two", func(f *forgery) bool {
		for _, i := range f.r.Perm(len(f.Conns)) {
			if c := &f.Conns[i]; c.Asked == 0 && c.Session != 0 && i > 10 {
				c.Session = f.Conns[0].Session
				return true
			}
		}
		return false
	}},
	{"C10", "another's session", func(f *forgery) bool {
		for _, i := range f.r.Perm(len(f.Conns)) {
			if c := &f.Conns[i]; c.Asked != 0 && c.Session != 0 {
				c.Session++
				return true
			}
		}
		return false
	}},
	{"C10", "a session that no transaction opens", func(f *forgery) bool {
		for _, i := range f.r.Perm(len(f.Txns)) {
			if x := &f.Txns[i]; x.Type == wire.OpCreateSession {
				x.Session += 1 << 30
				return true
			}
		}
		return false
	}},
	{"C10", "another timeout than agreed", func(f *forgery) bool {
		for _, i := range f.r.Perm(len(f.Conns)) {
			if c := &f.Conns[i]; c.Asked == 0 && c.Session != 0 {
				c.Timeout++
				return true
			}
		}
		return false
	}},
	{"C10", "a session comes back from the dead", func(f *forgery) bool {
		e, ok := f.closed(f.r.IntN(2) == 0)
		f.Conns = append(f.Conns, judge.Conn{Asked: e.Session, Session: e.Session, Server: 1, Timeout: 4000, Dialed: f.end(), Answered: f.end()})
		return ok
	}},
	{"C10", "a closed session writes", func(f *forgery) bool {
		e, ok := f.closed(true)
		last := f.Txns[len(f.Txns)-1]
		last.Txn = txn.Txn{Header: txn.Header{Session: e.Session, Cxid: 1_000_000, Zxid: last.Zxid + 1, Type: wire.OpSetData}, Body: &txn.SetData{Path: "/k0"}}
		f.Txns = append(f.Txns, last)
		return ok
	}},
	{"C10", "a closed session is answered", func(f *forgery) bool {
		e, ok := f.closed(true)
		for i := range f.Ops {
			if o := &f.Ops[i]; o.Session == e.Session && o.Type == wire.OpGetData && o.Returned.Happened() {
				o.Zxid = e.Zxid + 1
				return ok
			}
		}
		return false
	}},
	{"C10", "a closed session's pings are answered where nobody has heard of its end", func(f *forgery) bool {
		e, ok := f.closed(true)
		for i := range f.Ops {
			if o := &f.Ops[i]; o.Session == e.Session && o.Type == wire.OpPing && o.Returned.Happened() {
				o.Invoked.At = e.Proposed.At + clock.Second
				o.Returned.At = o.Invoked.At
				return ok
			}
		}
		return false
	}},
	{"C10", "a closed session is told of changes", func(f *forgery) bool {
		e, ok := f.closed(true)
		for i := range f.Events {
			if v := &f.Events[i]; f.Conns[v.Conn].Session == e.Session {
				v.Zxid = e.Zxid + 1
				return ok
			}
		}
		return false
	}},
	{"C10", "a session lives on without anybody", func(f *forgery) bool {
		e, ok := f.closed(true)
		img := &f.Images[0]
		img.Sessions[e.Session] = 4000
		img.At.At += 1000 * clock.Second
		return ok
	}},
}
