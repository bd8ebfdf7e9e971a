package workload

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/judge"
)

// An EffectKind is something a client wants done.
type EffectKind int

// The effects.
const (
	Dial  EffectKind = iota // connect Conn to Server, then say Connected or Disconnected
	Send                    // send Bytes on Conn
	Close                   // hang up Conn; nothing more is to be said of it, Bytes sent before may still arrive
)

// An Effect is one thing a client wants done; they are to be done in order.
type Effect struct {
	Kind   EffectKind
	Conn   judge.ConnID
	Server int
	Bytes  []byte // whole frames; the receiver's from now on
}

// noConn is that of a client without a connection.
const noConn judge.ConnID = -1

// A Client is one client. Make one with [New].
type Client struct {
	id      int
	servers []int
	mix     Mix
	rand    *rand.Rand
	h       *judge.History
	mood    mood

	// The session. id 0: none.
	session  znode.SessionID
	password []byte
	timeout  clock.Time // granted, or asked for
	last     znode.Zxid // highest seen in an ordinary reply
	xid      int32      // last given out
	closing  bool       // its end has been asked for
	tells    tells      // watches
	knows    knows

	// The connection.
	conn     judge.ConnID
	server   int
	greeted  bool // the server has answered the handshake
	up       bool
	input    []byte
	pending  []judge.OpID // without a reply, in order
	pings    []judge.OpID
	restored bool // watches are asked for again, or need not be

	dialAt clock.Time // without a connection: when to try
	giveUp clock.Time // when to take the connection for dead
	sentAt clock.Time // something was sent
	nextAt clock.Time // when to want something again
	lull   bool       // asks for no writes
	turnAt clock.Time // when to think again about that
}

// A mood is how lively a client is.
type mood int

const (
	lively mood = iota // all its habits
	calm               // keeps session and connection
	quiet              // only pings
	leaving
	left
)

// New returns a client that will connect to one of the servers at its first Tick. It draws from r and writes into h, both of which
// it may share with others.
func New(id int, servers []int, mix Mix, r *rand.Rand, h *judge.History) *Client {
	return &Client{
		id: id, servers: servers, mix: mix, rand: r, h: h, conn: noConn, server: servers[r.IntN(len(servers))],
		timeout: clock.Time(mix.Timeout) * clock.Millisecond, knows: newKnows(), tells: newTells(),
	}
}

// ID is the number the client has in the history.
func (c *Client) ID() int { return c.id }

// Calm makes the client keep its session and connection from now on; it goes on asking.
func (c *Client) Calm() { c.mood = max(c.mood, calm) }

// Quiet makes it ask for nothing more but keep its session alive.
func (c *Client) Quiet() { c.mood = max(c.mood, quiet) }

// Leave makes it close its session and then do nothing for ever.
func (c *Client) Leave() { c.mood = max(c.mood, leaving) }

// Resume makes it lively again, unless it has left.
func (c *Client) Resume() {
	if c.mood < leaving {
		c.mood = lively
	}
}

// Idle reports whether the client waits for nothing: it has a session and a connection and all its requests are answered, or it
// has left.
func (c *Client) Idle() bool {
	return c.mood == left || c.mood != leaving && c.greeted && len(c.pending) == 0 && c.restored
}

// Next is when to call Tick at the latest.
func (c *Client) Next() clock.Time {
	switch {
	case c.mood == left:
		return clock.Never
	case c.conn == noConn:
		return c.dialAt
	case !c.greeted:
		return c.giveUp
	}
	at := c.sentAt + c.timeout/3
	if len(c.pending)+len(c.pings) > 0 {
		at = min(at, c.giveUp)
	}
	if c.wants() {
		at = min(at, c.nextAt)
	}
	return at
}

// wants reports whether the client would ask for something if it were time.
func (c *Client) wants() bool {
	return len(c.pending) < c.mix.Window && !c.closing && (c.mood < quiet || c.mood == leaving)
}

// Tick says what time it is. It may be called early and often.
func (c *Client) Tick(now clock.Time, out *[]Effect) {
	switch {
	case c.mood == left:
	case c.conn == noConn:
		if now >= c.dialAt {
			c.dial(now, out)
		}
	case !c.greeted:
		if now >= c.giveUp {
			c.hangUp(now, out)
		}
	case len(c.pending)+len(c.pings) > 0 && now >= c.giveUp:
		c.hangUp(now, out)
	default:
		if c.wants() && now >= c.nextAt {
			c.nextAt = now + c.think()
			c.want(now, out)
		}
		if c.conn != noConn && now >= c.sentAt+c.timeout/3 {
			c.ask(now, wire.OpPing, nil, out)
		}
	}
}

// think is a time until the next request: mostly short, sometimes long, Mix.Think in the mean, so that requests come in bursts.
func (c *Client) think() clock.Time {
	mean := float64(c.mix.Think)
	if !c.lull {
		mean *= 1 - c.mix.Lull // what is not written at other times
	}
	if c.rand.IntN(5) > 0 {
		mean *= 0.1
	} else {
		mean *= 4.6
	}
	return max(clock.Time(c.rand.ExpFloat64()*mean), 10*clock.Microsecond)
}

// dial goes to another server, if there is one.
func (c *Client) dial(now clock.Time, out *[]Effect) {
	before := c.server
	for len(c.servers) > 1 && c.server == before {
		c.server = c.servers[c.rand.IntN(len(c.servers))]
	}
	c.conn = c.h.Dial(now, c.id, c.server, c.session, c.last)
	c.up, c.greeted, c.restored, c.input = false, false, false, nil
	c.pending, c.pings = c.pending[:0], c.pings[:0]
	c.giveUp = now + max(c.timeout/clock.Time(len(c.servers)), 500*clock.Millisecond)
	*out = append(*out, Effect{Kind: Dial, Conn: c.conn, Server: c.server})
}

// Connected says that conn is up.
func (c *Client) Connected(now clock.Time, conn judge.ConnID, out *[]Effect) {
	if conn != c.conn || c.up {
		return
	}
	c.up, c.sentAt = true, now
	req := wire.ConnectRequest{LastZxidSeen: c.last, Timeout: c.mix.Timeout, Session: c.session, Password: c.password}
	if c.session == 0 {
		req.Password = make([]byte, wire.PasswordLen)
	}
	b, start := wire.BeginFrame(nil)
	*out = append(*out, Effect{Kind: Send, Conn: conn, Bytes: wire.EndFrame(req.AppendJute(b), start)})
}

// Disconnected says that conn is gone: it was refused, it broke, or the server hung up. Of a connection the client has closed
// itself nothing need be said.
func (c *Client) Disconnected(now clock.Time, conn judge.ConnID, _ *[]Effect) {
	if conn == c.conn {
		c.over(now, c.pause())
	}
}

// pause is how long to wait before the next try.
func (c *Client) pause() clock.Time {
	return clock.Time(c.rand.Int64N(int64(200 * clock.Millisecond)))
}

// over is the end of the connection, whoever ended it.
func (c *Client) over(now, pause clock.Time) {
	c.h.End(now, c.conn)
	c.conn, c.up, c.greeted = noConn, false, false
	c.dialAt = now + pause
	if c.closing { // nobody knows whether it is closed; it is not used any more
		c.forget()
	}
}

// forget is the end of the session, as far as the client is concerned.
func (c *Client) forget() {
	c.session, c.password, c.closing, c.xid = 0, nil, false, 0
	c.timeout = clock.Time(c.mix.Timeout) * clock.Millisecond
	c.tells = newTells()
	if c.rand.IntN(2) == 0 {
		c.last = 0 // another handle of the same program
	}
	if c.mood == leaving {
		c.mood = left
	}
}

func (c *Client) hangUp(now clock.Time, out *[]Effect) {
	*out = append(*out, Effect{Kind: Close, Conn: c.conn})
	c.over(now, c.pause())
}

// Receive takes bytes that came on conn, cut anywhere. b may be used again afterwards.
func (c *Client) Receive(now clock.Time, conn judge.ConnID, b []byte, out *[]Effect) {
	if conn != c.conn {
		return
	}
	c.input = append(c.input, b...)
	c.giveUp = now + c.timeout*2/3
	at := 0
	for c.conn == conn && len(c.input)-at >= 4 {
		n := int(int32(binary.BigEndian.Uint32(c.input[at:])))
		if n < 0 || n > 64<<20 {
			c.stray(now, fmt.Sprintf("a frame of %d bytes", n), out)
			return
		}
		if len(c.input)-at-4 < n {
			break
		}
		frame := append([]byte(nil), c.input[at+4:at+4+n]...) // the history keeps what aliases it
		at += 4 + n
		if c.greeted {
			c.frame(now, frame, out)
		} else {
			c.greeting(now, frame, out)
		}
	}
	if c.conn == conn {
		c.input = append(c.input[:0], c.input[at:]...)
	}
}

// stray gives up on a server that makes no sense.
func (c *Client) stray(now clock.Time, what string, out *[]Effect) {
	c.h.Stray(now, c.conn, what)
	c.hangUp(now, out)
}

// greeting is the server's answer to the handshake.
func (c *Client) greeting(now clock.Time, frame []byte, out *[]Effect) {
	var resp wire.ConnectResponse
	d := jute.NewDecoder(frame)
	if resp.DecodeJute(&d); d.Err() != nil {
		c.stray(now, "no answer to a handshake: "+d.Err().Error(), out)
		return
	}
	c.h.Answer(now, c.conn, resp.Session, resp.Timeout)
	if resp.Session == 0 { // expired
		c.forget()
		c.hangUp(now, out)
		return
	}
	c.session, c.password, c.greeted = resp.Session, resp.Password, true
	c.timeout = clock.Time(resp.Timeout) * clock.Millisecond
	c.giveUp, c.nextAt, c.sentAt = now+c.timeout*2/3, now+c.think(), now
	if c.restored = c.tells.empty(); !c.restored {
		op, rec := c.tells.restore(c.last)
		c.ask(now, op, rec, out)
	}
}

// frame is a reply or an event.
func (c *Client) frame(now clock.Time, frame []byte, out *[]Effect) {
	var head wire.ReplyHeader
	d := jute.NewDecoder(frame)
	head.DecodeJute(&d)
	switch {
	case d.Err() != nil:
		c.stray(now, "no reply: "+d.Err().Error(), out)
	case head.Xid == wire.XidNotification:
		var e wire.WatcherEvent
		if e.DecodeJute(&d); d.Err() != nil {
			c.stray(now, "no event: "+d.Err().Error(), out)
			return
		}
		c.h.Event(now, c.conn, head.Zxid, e)
		c.tells.told(&e)
	case head.Xid == wire.XidPing:
		if len(c.pings) == 0 {
			c.stray(now, "an answer to a ping that was not sent", out)
			return
		}
		c.h.Return(now, c.pings[0], head, nil)
		c.pings = c.pings[1:]
	case len(c.pending) == 0 || c.h.Ops[c.pending[0]].Xid != head.Xid:
		c.stray(now, fmt.Sprintf("the answer to %d, whose turn it is not", head.Xid), out)
	default:
		c.answer(now, head, &d, out)
	}
}

// answer is the reply to the oldest request.
func (c *Client) answer(now clock.Time, head wire.ReplyHeader, d *jute.Decoder, out *[]Effect) {
	id := c.pending[0]
	o := &c.h.Ops[id]
	var resp wire.Record
	if head.Err == znode.CodeOK {
		if resp = wire.NewResponse(o.Type); resp != nil {
			if resp.DecodeJute(d); d.Err() != nil {
				c.stray(now, fmt.Sprintf("no answer to a %v: %v", o.Type, d.Err()), out)
				return
			}
		}
	}
	c.pending = c.pending[1:]
	c.h.Return(now, id, head, resp)
	if head.Zxid > 0 {
		c.last = max(c.last, head.Zxid)
	}
	c.knows.learn(o)
	c.tells.left(o)
	switch o.Type {
	case wire.OpSetWatches, wire.OpSetWatches2:
		c.restored = true
	case wire.OpCloseSession:
		if head.Err == znode.CodeOK {
			c.hangUp(now, out)
		}
	}
}

// ask sends a request.
func (c *Client) ask(now clock.Time, op wire.Op, rec wire.Record, out *[]Effect) {
	xid := wire.XidPing
	if op != wire.OpPing {
		c.xid++
		xid = c.xid
	}
	id := c.h.Invoke(now, c.conn, xid, op, rec)
	if len(c.pending)+len(c.pings) == 0 {
		c.giveUp = now + c.timeout*2/3
	}
	if op == wire.OpPing {
		c.pings = append(c.pings, id)
	} else {
		c.pending = append(c.pending, id)
	}
	c.closing = c.closing || op == wire.OpCloseSession
	c.sentAt = now
	b, start := wire.BeginFrame(nil)
	b = wire.RequestHeader{Xid: xid, Op: op}.AppendJute(b)
	if rec != nil {
		b = rec.AppendJute(b)
	}
	*out = append(*out, Effect{Kind: Send, Conn: c.conn, Bytes: wire.EndFrame(b, start)})
}
