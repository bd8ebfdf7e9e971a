package server

import (
	"encoding/binary"
	"sync"

	"github.com/bellwether-zk/bellwether/ensemble/internal/front"
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// An Observer is told what the clients of a server ask and are told. Its functions are called by many goroutines, with locks of the
// server held: they must return soon, and call nothing of the server.
type Observer struct {
	Wanted    func() bool // whether anybody wants to know at the moment; asked for every request
	Operation func(Operation)
	Event     func(session znode.SessionID, typ znode.EventType, path string)
}

// An Operation is a request that was answered; pings, and what is refused because it cannot be read, do not count.
type Operation struct {
	Session znode.SessionID
	Op      wire.Op
	Path    string // that it names; empty if it names none, or several
	Watch   bool   // it asks for a watch
	Created string // the path of the node it has made
	Code    znode.Code
	Zxid    znode.Zxid  // of the answer
	Parts   []Operation // of a multi and a multiRead: Session, Op, Path, Created and Code

	xid int32
}

// observed is the server as its connections see it when somebody observes: writes are noted when they come, and told when they are
// answered.
type observed struct {
	backend
	o *Observer

	mu    sync.Mutex
	asked map[request.ConnID][]Operation // guarded by mu; oldest first
}

// backend is what connections see.
func (s *Server) backend() front.Backend {
	if s.cfg.Observer == nil {
		return backend{s}
	}
	s.noted = &observed{backend: backend{s}, o: s.cfg.Observer, asked: make(map[request.ConnID][]Operation)}
	return s.noted
}

func (b *observed) Submit(c *front.Conn, batch []request.Request) {
	if b.o.Wanted() {
		b.mu.Lock()
		for i := range batch {
			b.asked[c.ID()] = append(b.asked[c.ID()], operation(&batch[i]))
		}
		b.mu.Unlock()
	}
	b.backend.Submit(c, batch)
}

func (b *observed) Disconnected(c *front.Conn) {
	b.mu.Lock()
	delete(b.asked, c.ID())
	b.mu.Unlock()
	b.backend.Disconnected(c)
}

func (b *observed) Answer(out []byte, r *request.Request) []byte {
	start := len(out)
	out = b.backend.Answer(out, r)
	if r.Op != wire.OpPing && b.o.Wanted() {
		op := operation(r)
		b.answered(&op, out[start:])
	}
	return out
}

// completed takes note of the answer to a connection's oldest write. One that nobody wanted to know about when it came was not noted.
func (b *observed) completed(conn request.ConnID, frame []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	waiting := b.asked[conn]
	if len(waiting) == 0 || len(frame) < 8 || waiting[0].xid != int32(binary.BigEndian.Uint32(frame[4:])) {
		return
	}
	op := waiting[0]
	if b.asked[conn] = waiting[1:]; len(waiting) == 1 {
		delete(b.asked, conn)
	}
	b.answered(&op, frame)
}

// answered tells of a request and its answer, before which there may be events.
func (b *observed) answered(op *Operation, frames []byte) {
	for len(frames) >= 4 {
		n := 4 + int(binary.BigEndian.Uint32(frames))
		d := jute.NewDecoder(frames[4:n])
		frames = frames[n:]
		var h wire.ReplyHeader
		h.DecodeJute(&d)
		if h.Xid == wire.XidNotification {
			var e wire.WatcherEvent
			e.DecodeJute(&d)
			b.told(op.Session, e.Type, e.Path)
			continue
		}
		op.Code, op.Zxid = h.Err, h.Zxid
		op.result(&d)
		b.o.Operation(*op)
	}
}

// told tells of an event.
func (b *observed) told(session znode.SessionID, typ znode.EventType, path string) {
	if b.o.Wanted() {
		b.o.Event(session, typ, path)
	}
}

// operation is what a request asks.
func operation(r *request.Request) Operation {
	op := Operation{Session: r.Session, Op: r.Op, xid: r.Xid}
	body := r.Body
	if r.Record != nil {
		body = r.Record.AppendJute(nil)
	}
	d := jute.NewDecoder(body)
	switch r.Op {
	case wire.OpMulti, wire.OpMultiRead:
		m := wire.MultiRequest{Read: r.Op == wire.OpMultiRead}
		m.DecodeJute(&d)
		for _, part := range m.Ops {
			d := jute.NewDecoder(part.Record.AppendJute(nil))
			op.Parts = append(op.Parts, Operation{Session: r.Session, Op: part.Op, Path: d.String()})
		}
	case wire.OpGetData, wire.OpExists, wire.OpGetChildren, wire.OpGetChildren2:
		op.Path, op.Watch = d.String(), d.Bool()
	case wire.OpAddWatch:
		op.Path, op.Watch = d.String(), true
	case wire.OpReconfig, wire.OpSetWatches, wire.OpSetWatches2, wire.OpCloseSession, wire.OpWhoAmI:
	default:
		op.Path = d.String()
	}
	return op
}

// result takes note of what the answer says beyond its header.
func (op *Operation) result(d *jute.Decoder) {
	switch {
	case op.Code != znode.CodeOK:
	case op.Op.Create():
		op.Created = d.String()
	case len(op.Parts) > 0:
		m := wire.MultiResponse{}
		m.DecodeJute(d)
		for i := range min(len(m.Results), len(op.Parts)) {
			part, res := &op.Parts[i], &m.Results[i]
			part.Code, part.Created = res.Err, res.Path
			if op.Op == wire.OpMulti && op.Code == znode.CodeOK && res.Err != znode.CodeRuntimeInconsistency {
				op.Code = res.Err // which has undone the others
			}
		}
	}
}
