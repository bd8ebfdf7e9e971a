package conformance

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A session is a connection with its session, in a check: what does not go as it has to ends the check.
type session struct {
	p    *probe
	conn *rawclient.Conn
	lost bool // there is no session to close any more
}

// dialer is a function as rawclient's Dialer.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

func (d dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d(ctx, network, addr)
}

// dial connects as o says, by default to the first server.
func (p *probe) dial(o rawclient.Options) (*rawclient.Conn, error) {
	if o.Addr == "" {
		o.Addr = p.r.servers[0]
	}
	o.Network = dialer(p.r.opts.Dial)
	return rawclient.Dial(p.ctx, o)
}

// connect opens a session with the first server, and keeps it.
func (p *probe) connect() *session { return p.connectAs(rawclient.Options{KeepAlive: true}) }

// connectAs opens a session, or re-attaches to one.
func (p *probe) connectAs(o rawclient.Options) *session {
	conn, err := p.dial(o)
	if err != nil {
		p.fail("connect: %v", err)
	}
	return p.add(conn)
}

// add takes care of a connection until the check ends.
func (p *probe) add(conn *rawclient.Conn) *session {
	s := &session{p: p, conn: conn}
	p.open = append(p.open, s)
	return s
}

// connectOnceCaughtUp re-attaches to a session with a server that may not have seen yet what the session has: until then it closes
// the connection without a word.
func (p *probe) connectOnceCaughtUp(o rawclient.Options) *session {
	for {
		conn, err := p.dial(o)
		if err == nil {
			return p.add(conn)
		}
		p.must(errors.Is(err, io.EOF), "connect to %s: %v", o.Addr, err)
		select {
		case <-time.After(10 * time.Millisecond):
		case <-p.ctx.Done():
			p.fail("connect to %s: the connection is closed again and again: %v", o.Addr, err)
		}
	}
}

// short asks for the shortest session there is.
var short = rawclient.Options{Timeout: time.Millisecond}

// leave breaks the connection and leaves the session alone.
func (s *session) leave() {
	_ = s.conn.Close()
	s.lost = true
}

// as are the options to re-attach to the session.
func (s *session) as() rawclient.Options {
	return rawclient.Options{Session: s.conn.Session(), Password: s.conn.Password(), Timeout: s.conn.Timeout(), KeepAlive: true}
}

// call asks, and waits for the answer.
func (s *session) call(op wire.Op, record wire.Record) rawclient.Message {
	m, err := s.conn.Call(s.p.ctx, op, record)
	if err != nil {
		s.p.fail("%v: the connection failed instead of an answer: %v", op, err)
	}
	return m
}

// ok asks for something that has to be done.
func (s *session) ok(op wire.Op, record wire.Record) rawclient.Message {
	m := s.call(op, record)
	s.p.must(m.Header.Err == znode.CodeOK, "%v %+v: want it done, got %v", op, record, m.Header.Err)
	return m
}

// refuses asks for something that has to be refused with a code.
func (s *session) refuses(code znode.Code, op wire.Op, record wire.Record) rawclient.Message {
	m := s.call(op, record)
	s.p.must(m.Header.Err == code, "%v %+v: want %v, got %v", op, record, code, m.Header.Err)
	return m
}

// offers asks for something that not every server has.
func (s *session) offers(op wire.Op, record wire.Record) rawclient.Message {
	m, err := s.conn.Call(s.p.ctx, op, record)
	switch {
	case err != nil && (errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed)):
		s.p.notOffered("%v: the connection was closed", op)
	case err != nil:
		s.p.fail("%v: %v", op, err)
	case m.Header.Err == znode.CodeUnimplemented:
		s.p.notOffered("%v: %v", op, m.Header.Err)
	}
	s.p.must(m.Header.Err == znode.CodeOK, "%v %+v: want it done, got %v", op, record, m.Header.Err)
	return m
}

// closed waits for the server to close the connection, without another word.
func (s *session) closed() {
	s.lost = true
	m, err := s.conn.Receive(s.p.ctx)
	s.p.must(err != nil, "want the connection closed, got an answer: %v %+v", m.Op, m.Header)
	s.p.must(s.p.ctx.Err() == nil, "want the connection closed: %v", err)
}

// event waits for the next message, which has to be an event.
func (s *session) event(typ znode.EventType, path string) rawclient.Message {
	m, err := s.conn.Receive(s.p.ctx)
	if err != nil {
		s.p.fail("want %v of %s, got none: %v", typ, path, err)
	}
	s.isEvent(m, typ, path)
	return m
}

func (s *session) isEvent(m rawclient.Message, typ znode.EventType, path string) {
	e := m.Event()
	s.p.must(e != nil, "want %v of %s, got the answer to %v first", typ, path, m.Op)
	s.p.must(e.Type == typ && e.Path == path, "want %v of %s, got %v of %s", typ, path, e.Type, e.Path)
	same(s.p, "the state in an event", wire.StateSyncConnected, e.State)
}

// quiet makes sure that the server has no more events for this connection: an answer comes behind what was said before it.
func (s *session) quiet(why string) {
	s.ok(wire.OpPing, nil)
	for _, m := range s.conn.Arrived() {
		if e := m.Event(); e != nil {
			s.p.fail("%v of %s, though %s", e.Type, e.Path, why)
		}
		s.p.fail("an answer to %v that nobody waits for", m.Op)
	}
}

// make makes a persistent node.
func (s *session) make(path string) rawclient.Message { return s.create(path, path, 0) }

// create makes a node that is for everybody.
func (s *session) create(path, data string, mode znode.CreateMode) rawclient.Message {
	return s.ok(wire.OpCreate, creation(path, data, mode))
}

// made makes a node and returns its path.
func (s *session) made(path string, mode znode.CreateMode) string {
	return s.create(path, "", mode).Record.(*wire.CreateResponse).Path
}

func creation(path, data string, mode znode.CreateMode) *wire.CreateRequest {
	return &wire.CreateRequest{Path: path, Data: []byte(data), ACL: znode.OpenACL(), Mode: mode}
}

// set sets a node's data.
func (s *session) set(path, data string) rawclient.Message {
	return s.ok(wire.OpSetData, &wire.SetDataRequest{Path: path, Data: []byte(data), Version: -1})
}

// del deletes a node.
func (s *session) del(path string) rawclient.Message {
	return s.ok(wire.OpDelete, &wire.DeleteRequest{Path: path, Version: -1})
}

// stat is a node's Stat.
func (s *session) stat(path string) znode.Stat {
	return s.ok(wire.OpExists, &wire.WatchRequest{Path: path}).Record.(*wire.StatResponse).Stat
}

// gone makes sure that there is no node.
func (s *session) gone(path string) {
	s.refuses(znode.CodeNoNode, wire.OpExists, &wire.WatchRequest{Path: path})
}

// data is what a node holds.
func (s *session) data(path string) string {
	return string(s.ok(wire.OpGetData, &wire.WatchRequest{Path: path}).Record.(*wire.DataResponse).Data)
}

// children are a node's, sorted.
func (s *session) children(path string) []string {
	names := s.ok(wire.OpGetChildren, &wire.WatchRequest{Path: path}).Record.(*wire.ChildrenResponse).Children
	slices.Sort(names)
	return names
}

// lists makes sure that a node has these children and no others; the names are given with spaces between.
func (s *session) lists(path, names string) {
	same(s.p, "the children of "+path, names, strings.Join(s.children(path), " "))
}

// watch sets a watch by a read.
func (s *session) watch(op wire.Op, path string) {
	s.ok(op, &wire.WatchRequest{Path: path, Watch: true})
}

// removeAll removes a node and all below it, as far as others leave it alone.
func (s *session) removeAll(path string) {
	m := s.call(wire.OpGetChildren, &wire.WatchRequest{Path: path})
	if m.Header.Err == znode.CodeNoNode {
		return
	}
	if m.Header.Err == znode.CodeNoAuth { // one of ours, of which the checks know the identity
		s.identify()
		m = s.call(wire.OpGetChildren, &wire.WatchRequest{Path: path})
	}
	s.p.must(m.Header.Err == znode.CodeOK, "children of %s: %v", path, m.Header.Err)
	for _, name := range m.Record.(*wire.ChildrenResponse).Children {
		s.removeAll(path + "/" + name)
	}
	request := &wire.DeleteRequest{Path: path, Version: -1}
	m = s.call(wire.OpDelete, request)
	if m.Header.Err == znode.CodeNoAuth {
		s.identify()
		m = s.call(wire.OpDelete, request)
	}
	s.p.must(m.Header.Err == znode.CodeOK || m.Header.Err == znode.CodeNoNode, "delete %s: %v", path, m.Header.Err)
}

// sessions are the checks of sessions.
var sessions = []check{
	{"sessions", "open", "clients keep id and password, and size their patience by the timeout", func(p *probe) {
		s := p.connect()
		h := s.conn.Handshake()
		p.must(h.Session != 0, "a session with the id 0")
		same(p, "protocol version", 0, h.ProtocolVersion)
		same(p, "length of the password", wire.PasswordLen, len(h.Password))
		p.must(h.Timeout > 0, "a session with the timeout %d", h.Timeout)
		p.must(!h.Legacy, "the answer to a handshake with a read-only flag has none")
		p.must(s.conn.Session() != p.connect().conn.Session(), "two sessions have one id")
	}},
	{"sessions", "old-handshake", "old clients send no read-only flag, and fail on an answer that has one", func(p *probe) {
		s := p.connectAs(rawclient.Options{Legacy: true})
		p.must(s.conn.Handshake().Legacy, "the answer to a handshake without a read-only flag has one")
		s.stat(p.root)
	}},
	{"sessions", "timeout-negotiated", "a client must not be told of a session that lives shorter than the server lets it, nor longer than it asks for", func(p *probe) {
		least, most := p.connectAs(short).conn.Timeout(), p.connectAs(rawclient.Options{Timeout: 24 * time.Hour}).conn.Timeout()
		p.must(least <= most && most <= 24*time.Hour, "asking for 1 ms grants %v, asking for a day %v", least, most)
		middle := p.connectAs(rawclient.Options{Timeout: (least + most) / 2}).conn.Timeout()
		same(p, "the timeout that was asked for, within the bounds", (least+most)/2, middle)
	}},
	{"sessions", "close", "who closes a session knows that its ephemeral nodes are gone, and that it is over", func(p *probe) {
		s, other := p.connect(), p.connect()
		s.create(p.root+"/e", "", znode.ModeEphemeral)
		other.watch(wire.OpGetData, p.root+"/e")
		s.ok(wire.OpCloseSession, nil)
		s.closed()
		other.event(znode.EventDeleted, p.root+"/e")
		other.gone(p.root + "/e")
		p.expired(s.as())
	}},
	{"sessions", "reattach", "a connection that breaks costs nothing: the session goes on with any server", func(p *probe) {
		s := p.connect()
		e := s.create(p.root+"/e", "", znode.ModeEphemeral)
		for _, addr := range append(p.r.servers[1:], p.r.servers[0]) {
			s.leave()
			o := s.as()
			o.Addr, o.LastZxid = addr, e.Header.Zxid
			next := p.connectOnceCaughtUp(o)
			same(p, "the session's id", s.conn.Session(), next.conn.Session())
			same(p, "the session's password", string(s.conn.Password()), string(next.conn.Password()))
			same(p, "the owner of its node", s.conn.Session(), next.stat(p.root+"/e").EphemeralOwner)
			next.set(p.root+"/e", addr)
			s = next
		}
	}},
	{"sessions", "wrong-password", "nobody takes over a session by its id, which others can read in a node's Stat", func(p *probe) {
		s := p.connect()
		o := s.as()
		o.Password = []byte(strings.Repeat("x", wire.PasswordLen))
		p.expired(o)
	}},
	{"sessions", "unknown", "a client whose session is gone is told so, and does not get another one under its old name", func(p *probe) {
		p.expired(rawclient.Options{Session: 0x7fedcba987654321})
	}},
	{"sessions", "older-connection-closed", "a client that comes back is not hindered by what is left of its old connection", func(p *probe) {
		s := p.connect()
		next := p.connectAs(s.as())
		s.closed()
		next.set(p.root, "on")
	}},
	{"sessions", "ahead", "a client never goes back in time: a server that is behind what it has seen does not take it", func(p *probe) {
		conn, err := p.dial(rawclient.Options{LastZxid: 1 << 62})
		if err == nil {
			_ = conn.Close()
			p.fail("the server takes a client that has seen a later zxid")
		}
		p.must(p.ctx.Err() == nil && !errors.Is(err, rawclient.ErrSessionExpired), "want the connection closed without a word, got: %v", err)
	}},
	{"sessions", "expire", "locks depend on it: ephemeral nodes live as long as the timeout of a silent session, and then go", func(p *probe) {
		other := p.connectAs(rawclient.Options{Timeout: time.Hour, KeepAlive: true})
		s := p.connectAs(short)
		s.create(p.root+"/e", "", znode.ModeEphemeral)
		other.watch(wire.OpGetData, p.root+"/e")
		asked := time.Now()
		s.stat(p.root)
		other.event(znode.EventDeleted, p.root+"/e")
		lived := time.Since(asked)
		p.must(lived >= s.conn.Timeout(), "a session of %v is over after %v", s.conn.Timeout(), lived)
		other.gone(p.root + "/e")
		s.leave()
		p.expired(s.as())
	}},
	{"sessions", "kept-by-pings", "a client that has nothing to say keeps its session by pings", func(p *probe) {
		o := short
		o.KeepAlive = true
		s := p.connectAs(o)
		s.create(p.root+"/e", "", znode.ModeEphemeral)
		ctx, cancel := context.WithTimeout(p.ctx, s.conn.Timeout()*5/2)
		defer cancel()
		_, err := s.conn.Receive(ctx) // pings meanwhile
		p.must(errors.Is(err, context.DeadlineExceeded) && p.ctx.Err() == nil, "a session of %v that pings: %v", s.conn.Timeout(), err)
		s.stat(p.root + "/e")
	}},
	{"sessions", "answers-in-order", "clients match answers to requests by their order, and read their own writes", func(p *probe) {
		s := p.connect()
		path := p.root + "/n"
		var xids []int32
		send := func(op wire.Op, record wire.Record) { xids = append(xids, s.conn.Send(op, record)) }
		send(wire.OpCreate, creation(path, "0", 0))
		for _, data := range []string{"1", "2", "3"} {
			send(wire.OpSetData, &wire.SetDataRequest{Path: path, Data: []byte(data), Version: -1})
			send(wire.OpGetData, &wire.WatchRequest{Path: path})
			send(wire.OpPing, nil)
			send(wire.OpSync, &wire.SyncRequest{Path: []byte(path)})
		}
		for i, xid := range xids {
			m, err := s.conn.Receive(p.ctx)
			p.must(err == nil, "pipelined requests: %v", err)
			same(p, "the xid of an answer in a row", xid, m.Header.Xid)
			if m.Op == wire.OpGetData {
				same(p, "what is read right behind a write", string(rune('1'+i/4)), string(m.Record.(*wire.DataResponse).Data))
			}
		}
	}},
	{"sessions", "sync", "after a sync any server shows what was done before, wherever it was done", func(p *probe) {
		writer := p.connect()
		for i, addr := range p.r.servers {
			reader := p.connectAs(rawclient.Options{Addr: addr})
			for j := range 20 {
				data := string(rune('a'+i)) + string(rune('a'+j))
				writer.set(p.root, data)
				echo := string(reader.ok(wire.OpSync, &wire.SyncRequest{Path: []byte(p.root)}).Record.(*wire.SyncRequest).Path)
				same(p, "the path that sync echoes", p.root, echo)
				same(p, "what "+addr+" shows after a sync", data, reader.data(p.root))
			}
		}
	}},
}

// expired makes sure that a session cannot be re-attached to, and that the client is told so.
func (p *probe) expired(o rawclient.Options) {
	conn, err := p.dial(o)
	if err == nil {
		_ = conn.Close()
		p.fail("a session that does not exist, or whose password is another, can be re-attached to")
	}
	p.must(errors.Is(err, rawclient.ErrSessionExpired), "want to be told that the session has expired, got: %v", err)
}
