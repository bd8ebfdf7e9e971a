package judge

import (
	"maps"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Linearizable is C7: each node by itself, seen by those who write to it or read it behind a sync, behaves like one register, as
// porcupine finds without being told any zxid. A request without an answer may have happened at any time after it was asked, or
// never. Left out are nodes that may vanish by themselves (ephemerals, containers, those with a time to live), those whose names servers
// chose, and those about which too much is unknown for the search to end.
func (c *Case) Linearizable() []Violation {
	f := findings{check: "C7"}
	nodes := c.registers()
	for _, path := range slices.Sorted(maps.Keys(nodes)) {
		n := nodes[path]
		if n.volatile || n.unknown > mostUnknown || len(path) > 10 && nodes[path[:len(path)-10]+sequence] != nil {
			continue
		}
		if porcupine.CheckOperationsTimeout(register, n.ops, giveUp) == porcupine.Illegal {
			f.add(c.h.last, "%s: no order of the %d requests about it explains their answers", path, len(n.ops))
		}
	}
	return f.list
}

// sequence marks, behind a sequential create's path, that servers chose names which begin with it. It is part of no path.
const sequence = "\x00"

// giveUp is how long to search, in nanoseconds: what is not found to be wrong by then counts as right. Histories that are right take
// milliseconds.
const giveUp = 20_000_000_000

// mostUnknown is how many unanswered writes to one node are tried in all ways.
const mostUnknown = 12

// A registerLog is what was asked about one node.
type registerLog struct {
	ops      []porcupine.Operation
	unknown  int
	volatile bool
}

// A deed is one request as far as it is about one node; several within a multi.
type deed struct {
	op      wire.Op
	version int32
	data    string
}

// An outcome is what was said of a deed.
type outcome struct {
	known   bool
	err     znode.Code
	stat    bool // version holds
	version int32
	data    string
	all     bool // data holds
}

type input []deed
type output []outcome

func (c *Case) registers() map[string]*registerLog {
	nodes := map[string]*registerLog{}
	at := func(path string) *registerLog {
		if nodes[path] == nil {
			nodes[path] = &registerLog{}
		}
		return nodes[path]
	}
	synced := make([]int, len(c.h.Conns)) // by connection: the sync that was its last request, plus one
	for i := range c.h.Ops {
		o := &c.h.Ops[i]
		switch o.Type {
		case wire.OpPing:
			continue
		case wire.OpSync:
			if synced[o.Conn] = 0; o.Done() {
				synced[o.Conn] = i + 1
			}
			continue
		case wire.OpGetData, wire.OpExists:
			if s := synced[o.Conn]; s > 0 && o.Returned.Happened() {
				at(o.Path()).add(c.h.Ops[s-1].Invoked.Seq, o, input{{op: o.Type}}, output{read(o)})
			}
		case wire.OpMulti:
			c.addMulti(o, at)
		case wire.OpCreate, wire.OpCreate2, wire.OpDelete, wire.OpSetData, wire.OpCreateContainer, wire.OpCreateTTL:
			c.addWrite(o, at)
		}
		synced[o.Conn] = 0
	}
	return nodes
}

func (n *registerLog) add(call int, o *Op, in input, out output) {
	end := int64(1) << 60 // for ever
	if o.Returned.Happened() {
		end = int64(o.Returned.Seq)
	} else {
		n.unknown++
	}
	n.ops = append(n.ops, porcupine.Operation{ClientId: len(n.ops), Input: in, Call: int64(call), Output: out, Return: end})
}

func read(o *Op) outcome {
	out := outcome{known: true, err: o.Err}
	switch r := o.Response.(type) {
	case *wire.DataResponse:
		out.stat, out.version, out.all, out.data = true, r.Stat.Version, true, string(r.Data)
	case *wire.StatResponse:
		out.stat, out.version = true, r.Stat.Version
	}
	return out
}

// deedOf is what a record asks of its node; ok is false for a sequential create, whose node only it knows.
func deedOf(op wire.Op, rec wire.Record) (path string, d deed, volatile, ok bool) {
	switch q := rec.(type) {
	case *wire.CreateRequest:
		volatile = op == wire.OpCreateContainer || op == wire.OpCreateTTL || q.Mode.Ephemeral()
		return q.Path, deed{op: wire.OpCreate, data: string(q.Data)}, volatile, !q.Mode.Sequential()
	case *wire.DeleteRequest:
		return q.Path, deed{op: op, version: q.Version}, false, true
	case *wire.SetDataRequest:
		return q.Path, deed{op: op, version: q.Version, data: string(q.Data)}, false, true
	case *wire.CheckRequest:
		return q.Path, deed{op: op, version: q.Version}, false, true
	}
	return "", deed{}, false, false
}

func (c *Case) addWrite(o *Op, at func(string) *registerLog) {
	path, d, volatile, ok := deedOf(o.Type, o.Request)
	if !ok {
		at(path + sequence).volatile = true
		return
	}
	n := at(path)
	n.volatile = n.volatile || volatile
	out := outcome{known: o.Returned.Happened(), err: o.Err}
	if r, ok := o.Response.(*wire.StatResponse); ok {
		out.stat, out.version = true, r.Stat.Version
	}
	n.add(o.Invoked.Seq, o, input{d}, output{out})
}

// addMulti adds to each node what a multi did to it, in one step. A multi that was refused says nothing about any one node.
func (c *Case) addMulti(o *Op, at func(string) *registerLog) {
	answered := o.Returned.Happened()
	resp, _ := o.Response.(*wire.MultiResponse)
	q := o.Request.(*wire.MultiRequest)
	type share struct {
		in  input
		out output
	}
	shares := map[string]*share{}
	var paths []string
	for i, op := range q.Ops {
		path, d, volatile, ok := deedOf(op.Op, op.Record)
		if !ok {
			at(path + sequence).volatile = true
			continue
		}
		n := at(path)
		n.volatile = n.volatile || volatile
		if answered && (o.refused() || resp == nil) {
			continue
		}
		if shares[path] == nil {
			shares[path] = &share{}
			paths = append(paths, path)
		}
		out := outcome{known: answered}
		if answered && i < len(resp.Results) && d.op == wire.OpSetData {
			out.stat, out.version = true, resp.Results[i].Stat.Version
		}
		shares[path].in, shares[path].out = append(shares[path].in, d), append(shares[path].out, out)
	}
	for _, path := range paths {
		at(path).add(o.Invoked.Seq, o, shares[path].in, shares[path].out)
	}
}

// A cell is a node as a register.
type cell struct {
	exists  bool
	version int32
	data    string
}

var register = porcupine.Model{
	Init: func() any { return cell{} },
	Step: func(state, in, out any) (bool, any) {
		s, deeds, outs := state.(cell), in.(input), out.(output)
		next := s
		for i := range deeds {
			var ok bool
			if ok, next = deeds[i].step(next, outs[i]); !ok {
				return !outs[i].known, s // one part of an unanswered multi that is impossible makes all of it so
			}
		}
		return true, next
	},
}

// step does a deed if the outcome allows it to have been done, or refused, here.
func (d deed) step(s cell, out outcome) (bool, cell) {
	matches := s.exists && (d.version == -1 || d.version == s.version)
	done := s
	possible := false
	switch d.op {
	case wire.OpCreate:
		possible, done = !s.exists, cell{exists: true, data: d.data}
	case wire.OpDelete:
		possible, done = matches, cell{}
	case wire.OpSetData:
		possible, done = matches, cell{exists: true, version: s.version + 1, data: d.data}
	case wire.OpCheck:
		possible = matches
	default:
		possible = s.exists
	}
	switch {
	case !out.known:
		return possible, done
	case out.err == znode.CodeNodeExists, out.err == znode.CodeNotEmpty:
		return s.exists, s
	case out.err == znode.CodeNoNode && d.op != wire.OpCreate:
		return !s.exists, s
	case out.err == znode.CodeBadVersion:
		return s.exists && d.version != s.version, s
	case out.err != znode.CodeOK:
		return true, s
	}
	return possible && (!out.stat || out.version == done.version) && (!out.all || out.data == done.data), done
}
