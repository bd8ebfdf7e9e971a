package workload

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/judge"
)

// What follows is for a client with no will of its own: it is made quiet, and asks for what a story says.

// Ask sends one request. ok is false, and nothing is sent, unless the client has a session and a connection.
func (c *Client) Ask(now clock.Time, op wire.Op, rec wire.Record, out *[]Effect) (id judge.OpID, ok bool) {
	if !c.greeted || c.closing {
		return 0, false
	}
	c.ask(now, op, rec, out)
	return judge.OpID(len(c.h.Ops) - 1), true
}

// Attached reports whether the client has a session and a connection, and to which server.
func (c *Client) Attached() (server int, ok bool) { return c.server, c.greeted }

// Session is the client's session, 0 if it has none.
func (c *Client) Session() znode.SessionID { return c.session }

// Served makes servers the ones that the client connects to from the next time on.
func (c *Client) Served(servers []int) {
	c.servers, c.server = servers, servers[0]
}

// HangUp ends the connection; the client connects again, with its session, soon.
func (c *Client) HangUp(now clock.Time, out *[]Effect) {
	if c.conn != noConn {
		c.hangUp(now, out)
	}
}

// Vanish ends the connection for good, without a word to close the session.
func (c *Client) Vanish(now clock.Time, out *[]Effect) {
	c.HangUp(now, out)
	c.mood = left
}

// Impersonate makes the client, which must not have connected yet, go on with another's session, as a copy of its program would
// that had been given the password.
func (c *Client) Impersonate(o *Client) {
	const apart = 1 << 20 // so that the two never give a number twice
	c.session, c.password, c.timeout, c.last, c.xid = o.session, o.password, o.timeout, o.last, o.xid+apart
}
