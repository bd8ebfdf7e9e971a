package replica_test

import (
	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/session"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A client is one connection of one. It checks that each of its requests is answered once, and in order.
type client struct {
	h       *host
	conn    request.ConnID
	session znode.SessionID // 0: it has none
	timeout int32

	greeted bool // its handshake was answered
	refused bool // closed without an answer to its handshake
	left    bool // closed by the client
	closed  bool
	told    bool // the server knows that it is closed
	silent  bool // it is not heard of

	xid     int32   // goes on over a session's connections, as clients count
	waiting []int32 // requests that are not answered, oldest first
	answers map[int32]reply
	heard   func(reply) // told of each; may be nil
	events  []string    // what its watches have told
}

// A reply is what a request was answered.
type reply struct {
	wire.ReplyHeader
	body wire.Record
}

// connect begins a handshake with a host.
func (h *host) connect(req wire.ConnectRequest) *client {
	h.w.conns++
	h.w.note("conn %d at %d wants session %#x", h.w.conns, h.id, int64(req.Session))
	c := &client{h: h, conn: h.w.conns, xid: int32(h.w.conns) * 100_000, answers: make(map[int32]reply)}
	h.guests = append(h.guests, c)
	h.r.Connect(c.conn, &req, h.w.time())
	h.unsettled = true
	return c
}

// open begins a new session.
func (h *host) open(timeout int32) *client { return h.connect(wire.ConnectRequest{Timeout: timeout}) }

// mustOpen begins a new session and waits until it is there.
func (h *host) mustOpen(timeout int32) *client {
	h.w.Helper()
	c := h.open(timeout)
	h.w.until(func() bool { return c.greeted || c.closed }, "a session is opened")
	require.NotZero(h.w, c.session)
	require.False(h.w, c.closed)
	return c
}

// attach begins to go on with a session.
func (h *host) attach(id znode.SessionID) *client {
	password := session.Password(id)
	return h.connect(wire.ConnectRequest{Session: id, Password: password[:], Timeout: 10 * tick})
}

// mustAttach goes on with a session and waits until it may.
func (h *host) mustAttach(id znode.SessionID) *client {
	h.w.Helper()
	c := h.attach(id)
	h.w.until(func() bool { return c.greeted || c.closed }, "a session goes on")
	require.Equal(h.w, id, c.session)
	return c
}

// attend hears what becomes of the connection.
func (c *client) attend(op *replica.ClientOp) {
	if c.left {
		return
	}
	w := c.h.w
	switch op.Kind {
	case replica.ClientGreet:
		require.False(w, c.greeted, "a handshake is answered once")
		require.False(w, c.closed)
		c.greeted, c.session, c.timeout = true, op.Response.Session, op.Response.Timeout
		w.note("conn %d at %d speaks for session %#x", c.conn, c.h.id, int64(c.session))
	case replica.ClientRefuse:
		require.False(w, c.greeted, "it is not refused after it was greeted")
		c.closed, c.refused = true, true
	case replica.ClientClose:
		w.note("conn %d at %d is closed", c.conn, c.h.id)
		c.closed = true
	}
}

// answer takes the answer to the oldest request.
func (c *client) answer(a *replica.Applied) {
	if c.closed {
		return
	}
	w := c.h.w
	frames := jute.NewDecoder(a.Reply)
	d := jute.NewDecoder(frames.Buffer())
	require.Zero(w, frames.Len(), "one answer")
	var r reply
	r.DecodeJute(&d)
	require.NoError(w, d.Err())
	require.NotEmpty(w, c.waiting, "an answer to nothing: %+v", r.ReplyHeader)
	w.note("conn %d at %d is answered %d: %v", c.conn, c.h.id, r.Xid, r.Err)
	require.Equal(w, c.waiting[0], r.Xid, "answers come in order")
	c.waiting = c.waiting[1:]
	if op := c.op(r.Xid); r.Err == znode.CodeOK && op == wire.OpCreate {
		var created wire.CreateResponse
		created.DecodeJute(&d)
		require.NoError(w, d.Err())
		r.body = &created
	}
	c.answers[r.Xid] = r
	if c.heard != nil {
		c.heard(r)
	}
}

// op is what kind of request an xid stands for: clients number them so that they know.
func (c *client) op(xid int32) wire.Op { return wire.Op(xid % 100) }

// ask sends a request and returns its number.
func (c *client) ask(op wire.Op, rec wire.Record) (xid int32) {
	c.xid += 100
	xid = c.xid + max(int32(op), 0)
	c.waiting = append(c.waiting, xid)
	c.h.w.note("conn %d at %d asks %d, %v", c.conn, c.h.id, xid, op)
	c.h.r.Submit([]request.Request{{Conn: c.conn, Session: c.session, Xid: xid, Op: op, Record: rec}}, c.h.w.time())
	c.h.unsettled = true
	return xid
}

// create asks for a node.
func (c *client) create(path string, mode znode.CreateMode) (xid int32) {
	return c.ask(wire.OpCreate, &wire.CreateRequest{Path: path, ACL: znode.OpenACL(), Mode: mode, TTL: -1})
}

func (c *client) sync() (xid int32) { return c.ask(wire.OpSync, &wire.SyncRequest{Path: []byte("/")}) }

// must waits for the answer to a request, which must be no refusal.
func (c *client) must(xid int32) reply {
	c.h.w.Helper()
	r := c.wait(xid)
	require.Equal(c.h.w, znode.CodeOK, r.Err)
	return r
}

// wait waits for the answer to a request.
func (c *client) wait(xid int32) reply {
	c.h.w.Helper()
	c.h.w.until(func() bool {
		_, ok := c.answers[xid]
		return ok || c.closed
	}, "an answer")
	r, ok := c.answers[xid]
	require.True(c.h.w, ok, "the connection was closed")
	return r
}

// hangUp closes the connection. The server learns of it a little later.
func (c *client) hangUp() { c.left, c.closed = true, true }
