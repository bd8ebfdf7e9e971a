// Package rawclient is one connection to a ZooKeeper server in our own codec: what is sent is what the caller says, what
// is received is handed over as it came.
//
// It is no client library: nothing reconnects, nothing is retried, no watch is remembered. It serves the command line,
// which wants every operation there is, and tests, which want to see what a server really says.
//
// The one idea is that everything a server says after the handshake is one stream of [Message] values, replies and events
// in the order they arrived, since that order is part of ZooKeeper's promise: an event leaves the server before any reply that
// reflects its change.
//
//	c, err := rawclient.Dial(ctx, rawclient.Options{Addr: "127.0.0.1:2181"})
//	defer c.Close()
//	m, err := c.Call(ctx, wire.OpExists, &wire.WatchRequest{Path: "/a", Watch: true})
//	if m.Err() == nil { stat := m.Record.(*wire.StatResponse).Stat … }
//	m, err = c.Receive(ctx) // the event, once /a changes
//
// [Conn.Call] is one request and its reply. [Conn.Send], any number of times, and [Conn.Receive] pipeline. An error of these
// methods means that the connection is of no more use, save where it is the context's; what the server thinks of a request is
// in the message.
//
// A Conn has no goroutine of its own: it reads and writes, and keeps the session alive if asked to, while a caller waits in it.
// Only one goroutine may use it at a time; only Close may be called beside.
package rawclient

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Errors a Conn adds to those of the network. A server that closes the connection reads as [io.EOF]: that is how it refuses
// a client that has seen a later zxid, and how it ends a session's older connection.
var (
	// ErrSessionExpired is Dial's error when the server does not know the session, or not with that password.
	ErrSessionExpired = errors.New("session expired")
	// ErrUnexpectedReply means a reply that answers no request of this connection.
	ErrUnexpectedReply = errors.New("reply to nothing that was asked")
	// ErrFrameTooLong means a frame above Options.MaxFrame, or one with a negative length.
	ErrFrameTooLong = errors.New("frame length out of bounds")
)

// An Error is what ended a connection, or kept it from coming about.
type Error struct {
	Op   string // dial, handshake, send, receive
	Addr string
	Err  error
}

func (e *Error) Error() string { return "rawclient: " + e.Op + " " + e.Addr + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// A Dialer opens connections; [net.Dialer] is one.
type Dialer interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

// Options say where to connect and as whom. Only Addr is required.
type Options struct {
	Addr    string
	Network Dialer        // default: a zero net.Dialer; the network asked for is "tcp"
	Timeout time.Duration // of the session, as asked for; default 10 s. The server has the last word, see Conn.Timeout

	// Session and Password re-attach to a session opened before; 0 opens a new one.
	Session  znode.SessionID
	Password []byte // default: 16 zero bytes

	LastZxid znode.Zxid // the latest the caller has seen; a server that is behind closes the connection
	ReadOnly bool       // take a server that is cut off from its quorum
	Legacy   bool       // leave the ReadOnly byte out of the handshake, as old clients do

	// KeepAlive sends pings of its own while a call waits, so that the session lives and a dead server is noticed. Their
	// replies are not handed over.
	KeepAlive bool
	MaxFrame  int // longest frame to take, in bytes; default 64 MiB. Servers do not limit their replies
}

// A Message is one thing the server said: a reply, or an event.
type Message struct {
	Op     wire.Op // what is answered; wire.OpNotification for an event
	Header wire.ReplyHeader
	Record wire.Record // as wire.NewResponse(Op) has it, nil for a bare header; *wire.WatcherEvent for an event
	Body   []byte      // the record's bytes; buffers in Record alias it
}

// Err is the code the server answered as an error, nil for wire.CodeOK. The error is of type [znode.Code].
func (m Message) Err() error {
	if m.Header.Err == znode.CodeOK {
		return nil
	}
	return m.Header.Err
}

// Event is the event in m, nil if m is a reply.
func (m Message) Event() *wire.WatcherEvent {
	e, _ := m.Record.(*wire.WatcherEvent)
	return e
}

// asked is a request that has not been answered yet.
type asked struct {
	xid int32
	op  wire.Op
	own bool // a ping of keepAlive, which nobody waits for
}

// Conn is a connection that has its session. Make one with Dial.
type Conn struct {
	net       net.Conn
	addr      string
	session   wire.ConnectResponse
	maxFrame  int
	keepAlive time.Duration // longest silence of ours; 0 means it is not our affair

	xid      int32 // of the last ordinary request
	out      []byte
	sentAt   time.Time
	in       []byte  // read from the network, not yet taken
	asked    []asked // in the order sent
	messages []Message
	err      error // what ended the connection
}

// Dial connects and shakes hands, which opens a session or re-attaches to one. It waits until the server has answered, at
// most until ctx is done. Errors are of type *Error and answer errors.Is to ErrSessionExpired, io.EOF (refused without a word)
// or what the network says.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	if o.Network == nil {
		o.Network = &net.Dialer{}
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Password == nil {
		o.Password = make([]byte, wire.PasswordLen)
	}
	if o.MaxFrame == 0 {
		o.MaxFrame = 64 << 20
	}
	nc, err := o.Network.DialContext(ctx, "tcp", o.Addr)
	if err != nil {
		return nil, &Error{Op: "dial", Addr: o.Addr, Err: err}
	}
	c := &Conn{net: nc, addr: o.Addr, maxFrame: o.MaxFrame, sentAt: time.Now()}
	if err := c.handshake(ctx, &o); err != nil {
		_ = nc.Close()
		return nil, &Error{Op: "handshake", Addr: o.Addr, Err: err}
	}
	if o.KeepAlive {
		c.keepAlive = c.Timeout() / 3
	}
	return c, nil
}

func (c *Conn) handshake(ctx context.Context, o *Options) error {
	var start int
	c.out, start = wire.BeginFrame(c.out)
	c.out = (&wire.ConnectRequest{
		LastZxidSeen: o.LastZxid, Timeout: int32(o.Timeout.Milliseconds()), Session: o.Session, Password: o.Password,
		ReadOnly: o.ReadOnly, Legacy: o.Legacy,
	}).AppendJute(c.out)
	c.out = wire.EndFrame(c.out, start)
	frame, err := c.frame(ctx)
	if err != nil {
		return err
	}
	d := jute.NewDecoder(frame)
	if c.session.DecodeJute(&d); d.Err() != nil {
		return d.Err()
	}
	if c.session.Timeout <= 0 {
		return ErrSessionExpired
	}
	return nil
}

// Session is the session's id.
func (c *Conn) Session() znode.SessionID { return c.session.Session }

// Password is what re-attaching to the session takes.
func (c *Conn) Password() []byte { return slices.Clone(c.session.Password) }

// Timeout is the session's, as negotiated.
func (c *Conn) Timeout() time.Duration { return time.Duration(c.session.Timeout) * time.Millisecond }

// Handshake is the server's answer to the handshake.
func (c *Conn) Handshake() wire.ConnectResponse { return c.session }

// Close closes the connection and leaves the session to its timeout: see CloseSession. A call that waits elsewhere returns
// with an error that is net.ErrClosed.
func (c *Conn) Close() error { return c.net.Close() }

// CloseSession ends the session, with its ephemeral nodes, and closes the connection.
func (c *Conn) CloseSession(ctx context.Context) error {
	_, err := c.Call(ctx, wire.OpCloseSession, nil)
	return errors.Join(err, c.Close())
}

// Auth adds an identity to the connection. What the server thinks of it is in the message; when it refuses, it also closes.
func (c *Conn) Auth(ctx context.Context, scheme string, data []byte) (Message, error) {
	return c.Call(ctx, wire.OpAuth, &wire.AuthRequest{Scheme: scheme, Auth: data})
}

// Send queues a request and returns its xid: -4 for auth and -2 for ping, otherwise the next in a row that starts with 1.
// record is what wire.NewRequest(op) has, or anything else that encodes itself; nil sends none. Nothing is on the way before
// Flush, Receive or Call.
func (c *Conn) Send(op wire.Op, record wire.Record) int32 {
	xid := c.nextXid(op)
	c.send(xid, op, record, false)
	return xid
}

func (c *Conn) nextXid(op wire.Op) int32 {
	switch op {
	case wire.OpAuth:
		return wire.XidAuth
	case wire.OpPing:
		return wire.XidPing
	}
	c.xid++
	return c.xid
}

func (c *Conn) send(xid int32, op wire.Op, record wire.Record, own bool) {
	var start int
	c.out, start = wire.BeginFrame(c.out)
	c.out = wire.RequestHeader{Xid: xid, Op: op}.AppendJute(c.out)
	if record != nil {
		c.out = record.AppendJute(c.out)
	}
	c.out = wire.EndFrame(c.out, start)
	c.asked = append(c.asked, asked{xid: xid, op: op, own: own})
}

// Outstanding is how many requests have not been answered.
func (c *Conn) Outstanding() int { return len(c.asked) }

// Flush puts all that was sent on its way. It blocks as long as the server does not take it: a burst so long that its replies
// fill the buffers of both sides before anybody reads them would wait for ever, or for ctx.
func (c *Conn) Flush(ctx context.Context) error {
	if c.err != nil {
		return c.err
	}
	if err := c.flush(ctx); err != nil {
		return c.fail(ctx, "send", err)
	}
	return nil
}

func (c *Conn) flush(ctx context.Context) error {
	if len(c.out) == 0 {
		return nil
	}
	n, err := bounded(ctx, time.Time{}, c.net.SetWriteDeadline, func() (int, error) { return c.net.Write(c.out) })
	c.out = c.out[:copy(c.out, c.out[n:])]
	c.sentAt = time.Now()
	return err
}

// Call sends a request and waits for its reply. Events, and replies to requests sent before, that arrive meanwhile are
// kept for Receive, in order; Arrived gives them without waiting.
func (c *Conn) Call(ctx context.Context, op wire.Op, record wire.Record) (Message, error) {
	xid := c.Send(op, record)
	for {
		m, err := c.read(ctx)
		if err != nil {
			return Message{}, err
		}
		if m.Op == op && m.Header.Xid == xid {
			return m, nil
		}
		c.messages = append(c.messages, m)
	}
}

// Receive returns the next message, in the order they arrived. It blocks until there is one, until ctx is done or until
// the connection ends. After ctx ended a wait, the connection is as good as before.
func (c *Conn) Receive(ctx context.Context) (Message, error) {
	if len(c.messages) > 0 {
		m := c.messages[0]
		c.messages = c.messages[1:]
		return m, nil
	}
	return c.read(ctx)
}

// Arrived takes all messages that Call has kept, without waiting for others.
func (c *Conn) Arrived() []Message {
	all := c.messages
	c.messages = nil
	return all
}

// read takes the next message off the network.
func (c *Conn) read(ctx context.Context) (Message, error) {
	for {
		if c.err != nil {
			return Message{}, c.err
		}
		frame, err := c.frame(ctx)
		if err != nil {
			return Message{}, c.fail(ctx, "receive", err)
		}
		m, own, err := c.message(frame)
		if err != nil {
			return Message{}, c.fail(ctx, "receive", err)
		}
		if !own {
			return m, nil
		}
	}
}

// message decodes a frame; own says that it answers a ping of keepAlive's.
func (c *Conn) message(frame []byte) (m Message, own bool, err error) {
	d := jute.NewDecoder(frame)
	if m.Header.DecodeJute(&d); d.Err() != nil {
		return m, false, d.Err()
	}
	m.Body = d.Rest()
	if m.Header.Xid == wire.XidNotification {
		m.Op, m.Record = wire.OpNotification, &wire.WatcherEvent{}
	} else {
		// Apache answers auth out of turn, so the oldest request of that xid is meant, not the oldest of all.
		i := slices.IndexFunc(c.asked, func(a asked) bool { return a.xid == m.Header.Xid })
		if i < 0 {
			return m, false, fmt.Errorf("%w: xid %d", ErrUnexpectedReply, m.Header.Xid)
		}
		m.Op, own = c.asked[i].op, c.asked[i].own
		c.asked = slices.Delete(c.asked, i, i+1)
		if m.Header.Err != znode.CodeOK {
			return m, own, nil
		}
		m.Record = wire.NewResponse(m.Op)
	}
	if m.Record != nil {
		m.Record.DecodeJute(&d)
	}
	return m, own, d.Err()
}

// frame returns the next frame without its length; the caller owns it.
func (c *Conn) frame(ctx context.Context) ([]byte, error) {
	for {
		if frame, err := c.takeFrame(); frame != nil || err != nil {
			return frame, err
		}
		if err := c.flush(ctx); err != nil {
			return nil, err
		}
		var wake time.Time
		if c.keepAlive > 0 {
			wake = c.sentAt.Add(c.keepAlive)
		}
		c.in = slices.Grow(c.in, 4096)
		free := c.in[len(c.in):cap(c.in)]
		n, err := bounded(ctx, wake, c.net.SetReadDeadline, func() (int, error) { return c.net.Read(free) })
		c.in = c.in[:len(c.in)+n]
		switch {
		case n > 0 || err == nil:
		case ctx.Err() == nil && !wake.IsZero() && !time.Now().Before(wake):
			if slices.ContainsFunc(c.asked, func(a asked) bool { return a.own }) {
				return nil, fmt.Errorf("no answer to a ping: %w", err)
			}
			c.send(wire.XidPing, wire.OpPing, nil, true)
		default:
			return nil, err
		}
	}
}

// takeFrame cuts a whole frame off what has been read, nil if there is none yet. The length is believed only as far as
// bytes come for it: the buffer grows with what arrives.
func (c *Conn) takeFrame() ([]byte, error) {
	if len(c.in) < 4 {
		return nil, nil
	}
	n := int32(binary.BigEndian.Uint32(c.in))
	if n < 0 || int(n) > c.maxFrame {
		return nil, fmt.Errorf("%w: %d bytes", ErrFrameTooLong, n)
	}
	if len(c.in) < 4+int(n) {
		return nil, nil
	}
	frame := c.in[4 : 4+n : 4+n]
	c.in = c.in[4+n:] // what comes is appended behind, so the frame stays as it is
	return frame, nil
}

// fail records what ended the connection. The end of a context does not, nothing is lost by it.
func (c *Conn) fail(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return &Error{Op: op, Addr: c.addr, Err: context.Cause(ctx)}
	}
	c.err = &Error{Op: op, Addr: c.addr, Err: err}
	return c.err
}

// bounded runs a read or a write that ends at the latest at limit (zero: never) or when ctx is done.
func bounded(ctx context.Context, limit time.Time, set func(time.Time) error, call func() (int, error)) (int, error) {
	_ = set(limit) // fails on a closed connection, and so will call, which says it better
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { // its goroutine ends at once, and is waited for below
		defer close(cut)
		_ = set(time.Unix(1, 0))
	})
	n, err := call()
	if !stop() {
		<-cut
	}
	return n, err
}
