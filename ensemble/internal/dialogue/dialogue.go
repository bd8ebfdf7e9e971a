// Package dialogue follows what a client and a server say to each other, from the bytes between them: which request a frame is and
// what it is about, and which request a reply answers.
//
// The bytes of each direction go in as they come; frames come out, whole and in order, each with what it says:
//
//	frames = d.Client(bytes, frames[:0]) // of the client, for the server
//	frames = d.Server(bytes, frames[:0]) // of the server, for the client
//
// All bytes that go in come out, unchanged and in their order. Those that say nothing are opaque: frames longer than [MaxFrame], which
// come out in pieces; a connection that is not ZooKeeper's, or a four-letter word, from the first bytes that cannot be a
// frame's length; and what [Dialogue.ClientRest] and [Dialogue.ServerRest] give back of a frame that never came whole.
//
// A reply says only which xid it has. A Dialogue remembers the requests that have not been answered, up to about 1 MiB of them: a reply
// to one beyond that is a reply to something unknown. Servers answer in the order they were asked, but for those to auth and sasl;
// a reply is matched by its xid, and where several requests have the same one, as pings do, to the first of them.
//
// A Dialogue is a machine without goroutines, clocks and sockets, for one connection and one goroutine at a time.
package dialogue

import (
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
)

// A Part of a dialogue is what one frame is in it.
type Part int8

// The parts.
const (
	Opaque  Part = iota // bytes of which nothing is known
	Request             // of the client; the first one, which opens the connection, too
	Reply               // of the server to a request
	Event               // of the server: a watch has fired
)

// A Target is a node that is worked on, and how.
type Target struct {
	Op   wire.Op
	Path string // as the client wrote it
}

// A Message is what a frame says.
type Message struct {
	Part Part
	Xid  int32
	// Op is the request's, in a reply too. The first request and its reply, which have no op, are a createSession, an event is a
	// notification, and a reply to something unknown an error.
	Op wire.Op
	// Targets are the request's, in a reply too: one for most ops, each operation of a multi, each node of a setWatches, none
	// where there is none or the request cannot be read. An event has the node that has changed.
	Targets []Target
}

// A Frame is some bytes on their way and what they say. The bytes are valid until the next call for the same direction.
type Frame struct {
	Message
	Bytes []byte // a whole frame with its length, unless it is opaque
}

// The memory that the requests take which are not answered yet.
const (
	maxMemory   = 1 << 20
	requestCost = 64
	targetCost  = 32
)

// Dialogue is the dialogue of one connection. The zero value is one that has not begun.
type Dialogue struct {
	up, down splitter
	opened   bool      // the client's first frame has passed
	answered bool      // so has the server's
	asked    []Message // requests in their order; the first few may have been answered
	next     int       // the first that has not
	memory   int       // what asked takes, at most maxMemory
}

// Client takes bytes of the client's and appends the frames they complete.
func (d *Dialogue) Client(b []byte, out []Frame) []Frame {
	return d.up.split(b, out, d.request)
}

// Server takes bytes of the server's and appends the frames they complete.
func (d *Dialogue) Server(b []byte, out []Frame) []Frame {
	d.down.raw = d.down.raw || d.up.raw // who is asked without frames answers without
	return d.down.split(b, out, d.reply)
}

// ClientRest is what the client has said of a frame that is not whole.
func (d *Dialogue) ClientRest() []byte { return d.up.begun }

// ServerRest is what the server has said of a frame that is not whole.
func (d *Dialogue) ServerRest() []byte { return d.down.begun }

// request reads a frame of the client's, without its length, and remembers it.
func (d *Dialogue) request(body []byte) Message {
	m := Message{Part: Request, Op: wire.OpCreateSession}
	if d.opened {
		var h wire.RequestHeader
		dec := jute.NewDecoder(body)
		if h.DecodeJute(&dec); dec.Err() != nil {
			return Message{}
		}
		m.Xid, m.Op, m.Targets = h.Xid, h.Op, targets(h.Op, dec.Rest())
		d.remember(m)
	}
	d.opened = true
	return m
}

// reply reads a frame of the server's, without its length.
func (d *Dialogue) reply(body []byte) Message {
	if !d.answered {
		d.answered = true
		return Message{Part: Reply, Op: wire.OpCreateSession}
	}
	var h wire.ReplyHeader
	dec := jute.NewDecoder(body)
	switch h.DecodeJute(&dec); {
	case dec.Err() != nil:
		return Message{}
	case h.Xid == wire.XidNotification:
		m := Message{Part: Event, Xid: h.Xid, Op: wire.OpNotification}
		var e wire.WatcherEvent
		if e.DecodeJute(&dec); dec.Err() == nil {
			m.Targets = []Target{{wire.OpNotification, e.Path}}
		}
		return m
	}
	m := d.recall(h.Xid)
	m.Part, m.Xid = Reply, h.Xid
	return m
}

// remember keeps a request until it is answered.
func (d *Dialogue) remember(m Message) {
	if m.Op == wire.OpPing {
		m.Xid = wire.XidPing // the reply's, whatever the request's
	}
	if cost := m.cost(); d.memory+cost <= maxMemory {
		d.asked = append(d.asked, m)
		d.memory += cost
	}
}

// recall takes out the first request with an xid.
func (d *Dialogue) recall(xid int32) Message {
	i := slices.IndexFunc(d.asked[d.next:], func(m Message) bool { return m.Xid == xid })
	if i < 0 {
		return Message{Op: wire.OpError}
	}
	i += d.next
	m := d.asked[i]
	d.memory -= m.cost()
	if i > d.next {
		d.asked = slices.Delete(d.asked, i, i+1)
		return m
	}
	d.asked[i] = Message{}
	if d.next++; 2*d.next >= len(d.asked) {
		d.asked = slices.Delete(d.asked, 0, d.next)
		d.next = 0
	}
	return m
}

// cost is about how many bytes it takes to remember m.
func (m *Message) cost() int {
	all := requestCost
	for _, t := range m.Targets {
		all += targetCost + len(t.Path)
	}
	return all
}

// targets reads what a request is about.
func targets(op wire.Op, body []byte) []Target {
	dec := jute.NewDecoder(body)
	switch op {
	case wire.OpMulti, wire.OpMultiRead:
		multi := wire.MultiRequest{Read: op == wire.OpMultiRead}
		multi.DecodeJute(&dec) // one that cannot be read has no operations
		all := make([]Target, len(multi.Ops))
		for i, o := range multi.Ops {
			all[i] = Target{o.Op, pathOf(o.Record)}
		}
		return all
	case wire.OpSetWatches, wire.OpSetWatches2:
		watches := wire.SetWatchesRequest{Two: op == wire.OpSetWatches2}
		watches.DecodeJute(&dec)
		var all []Target
		for _, path := range slices.Concat(watches.Data, watches.Exist, watches.Child, watches.Persistent, watches.PersistentRecursive) {
			all = append(all, Target{op, path})
		}
		return all
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL, wire.OpDelete, wire.OpDeleteContainer, wire.OpExists,
		wire.OpGetData, wire.OpSetData, wire.OpGetACL, wire.OpSetACL, wire.OpGetChildren, wire.OpGetChildren2, wire.OpSync, wire.OpCheck,
		wire.OpCheckWatches, wire.OpRemoveWatches, wire.OpAddWatch, wire.OpGetEphemerals, wire.OpGetAllChildrenNumber:
		if path := dec.String(); dec.Err() == nil {
			return []Target{{op, path}}
		}
	}
	return nil
}

// pathOf is the path of an operation of a multi.
func pathOf(r wire.Record) string {
	switch r := r.(type) {
	case *wire.CreateRequest:
		return r.Path
	case *wire.DeleteRequest:
		return r.Path
	case *wire.SetDataRequest:
		return r.Path
	case *wire.CheckRequest:
		return r.Path
	case *wire.WatchRequest:
		return r.Path
	}
	return ""
}
