package front

import (
	"bytes"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// plain reports whether op is an ordinary request of clients, read or write, that needs nothing but its turn.
func plain(op wire.Op) bool {
	switch op {
	case wire.OpGetData, wire.OpExists, wire.OpGetChildren, wire.OpGetChildren2, wire.OpPing, wire.OpSetData, wire.OpCreate:
		return true // most are one of these
	case wire.OpAuth, wire.OpSASL:
		return false
	}
	return op.Client()
}

// settle gives a special request its answer, which then waits for its turn like any other: auth takes effect when it is read
// but is answered in order, which kazoo needs (Apache's server answers at once). False closes the connection.
func (c *Conn) settle(r *request.Request) bool {
	c.special = false
	reply := wire.ReplyHeader{Xid: r.Xid}
	switch {
	case r.Op == wire.OpAuth:
		return c.authenticate(r)
	case r.Op == wire.OpSASL:
		return c.sasl(r)
	case !r.Op.Client():
		reply.Zxid, reply.Err = -1, znode.CodeUnimplemented
	default: // sent by somebody who is not admitted yet
		reply.Err = znode.CodeSessionClosedRequireSASL
	}
	r.Answer, r.Last = wire.AppendErrorFrame(nil, reply), true
	c.ended = true
	return true
}

func (c *Conn) authenticate(r *request.Request) bool {
	var req wire.AuthRequest
	d := jute.NewDecoder(r.Body)
	if req.DecodeJute(&d); d.Err() != nil {
		return false
	}
	ids, code := c.server.auth.Authenticate(req.Scheme, req.Auth, c.remote.Addr(), c.ids)
	if code == znode.CodeOK {
		c.mu.Lock()
		c.ids = ids
		c.mu.Unlock()
		c.admitted = c.server.auth.Admits(ids)
	} else {
		c.server.authFailures.Add(1)
	}
	r.Answer = wire.AppendErrorFrame(nil, wire.ReplyHeader{Xid: r.Xid, Err: code})
	r.Last = code != znode.CodeOK
	c.ended = r.Last
	return true
}

func (c *Conn) sasl(r *request.Request) bool {
	var req wire.SASLToken
	d := jute.NewDecoder(r.Body)
	if req.DecodeJute(&d); d.Err() != nil || req.Token == nil {
		return false
	}
	answer, code := c.server.auth.SASL(req.Token)
	b, start := wire.BeginFrame(nil)
	b = wire.ReplyHeader{Xid: r.Xid, Err: code}.AppendJute(b)
	b = (&wire.SASLToken{Token: answer}).AppendJute(b) // the one error that has a body
	r.Answer, r.Last = wire.EndFrame(b, start), code != znode.CodeOK
	c.ended = r.Last
	return true
}

// decode reads a write's record. A body that does not decode is refused in its turn and takes no part in the order.
func decode(r *request.Request) bool {
	record := wire.NewRequest(r.Op)
	if record == nil { // closeSession
		r.Body = nil
		return true
	}
	d := jute.NewDecoder(r.Body)
	record.DecodeJute(&d)
	r.Body = nil
	if d.Err() != nil {
		r.Err = znode.CodeMarshallingError
		return false
	}
	own(record)
	r.Record = record
	return true
}

// own makes a decoded record independent of the buffer it was decoded from.
func own(record wire.Record) {
	switch r := record.(type) {
	case *wire.CreateRequest:
		r.Data = bytes.Clone(r.Data)
	case *wire.SetDataRequest:
		r.Data = bytes.Clone(r.Data)
	case *wire.SyncRequest:
		r.Path = bytes.Clone(r.Path)
	case *wire.ReconfigRequest:
		r.Joining, r.Leaving, r.NewMembers = bytes.Clone(r.Joining), bytes.Clone(r.Leaving), bytes.Clone(r.NewMembers)
	case *wire.MultiRequest:
		for i := range r.Ops {
			own(r.Ops[i].Record)
		}
	}
}
