package front

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// phase is how far a connection has come.
type phase uint8

const (
	greeting   phase = iota // its first frame, or a four-letter word, is awaited
	connecting              // the backend opens its session
	open                    // requests are served
	finishing               // what is in the output buffer is the last it gets; its input is thrown away
	closed
)

// A Conn is a client's connection. Its exported methods may be called by any goroutine and wait for nothing; once the
// connection is closed they do nothing.
type Conn struct {
	server *Server
	id     request.ConnID
	nc     net.Conn
	try    func(p []byte) (int, error) // writes what can be written without waiting; nil where the transport cannot
	remote netip.AddrPort
	opened time.Duration
	local  bool // within this process: not counted among its host's

	session  atomic.Int64 // 0 until open
	timeout  atomic.Int64 // nanoseconds
	heard    atomic.Int64 // when it last sent a whole frame, on the server's clock
	reported atomic.Int64 // the last heard that Touched gave away
	large    atomic.Int64 // its share of Server.large

	mu     sync.Mutex
	cond   sync.Cond // the reader waits for room here, and at the end for the writer; L is mu
	phase  phase
	hangUp context.CancelFunc // ends Backend.Connect; nil but when connecting
	ids    []znode.ID         // never changed in place

	// What waits for its answer. If it holds a write at all, its first is one: a write is pushed only when no read could run.
	lane request.Lane

	out     []byte // answers and events that nobody has begun to write
	pending []byte // what is being written, or has to be before out
	spare   []byte // an empty buffer for when out is taken
	largest int    // bytes of the longest answer so far

	flushing  bool          // somebody writes: the reader for a moment, or a writer goroutine
	busy      bool          // the reader is at work: it will look at lane and out before it reads again
	gated     bool          // the reader waits for room, with a request in its hand
	dirty     bool          // told something since the last Wake
	writing   bool          // a write to the socket is under way that may wait
	writeFrom time.Duration // since when

	cost  tally // since crst
	total tally // since srst
	last  lastReply

	// The reader's own.
	in       input
	arrived  time.Duration
	next     request.Request
	special  bool // next has to be settled before it gets its turn
	admitted bool // may send ordinary requests
	ended    bool // what it sends from here on is thrown away
	broken   bool // its framing is: closed once its answers are sent
	counted  bool // the frame that has begun is in large already
	batch    []request.Request
}

func newConn(s *Server, nc net.Conn) *Conn {
	c := &Conn{server: s, id: s.nextID(), nc: nc, try: tryWriter(nc), remote: remoteOf(nc), opened: s.now(), last: lastReply{cxid: -1}}
	c.cond.L = &c.mu
	c.ids = s.auth.Initial(c.remote.Addr())
	c.admitted = s.auth.Admits(c.ids)
	return c
}

// ID names the connection.
func (c *Conn) ID() request.ConnID { return c.id }

// Session is the connection's session, 0 until it has one.
func (c *Conn) Session() znode.SessionID { return znode.SessionID(c.session.Load()) }

// Remote is the peer's address, not valid on a transport without addresses.
func (c *Conn) Remote() netip.AddrPort { return c.remote }

// IDs is who the connection is by now.
func (c *Conn) IDs() []znode.ID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ids
}

// leaving reports whether the connection is served no more.
func (c *Conn) leaving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase >= finishing
}

// Touched reports when the connection was last heard of, for its session's expiry; ok is false when it has no session or was
// not heard of since the last call. A connection whose requests wait because reading was stopped counts as heard of.
func (c *Conn) Touched() (id znode.SessionID, at time.Time, ok bool) {
	c.noteGated(c.server.now())
	id, heard := c.Session(), c.heard.Load()
	if id == 0 || c.reported.Swap(heard) == heard {
		return 0, time.Time{}, false
	}
	return id, c.server.start.Add(time.Duration(heard)), true
}

// noteGated counts a client as heard of that speaks while we do not listen.
func (c *Conn) noteGated(now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gated {
		c.heard.Store(int64(now))
	}
}

// Notify puts a whole frame, which is copied, behind all that the connection was told before. wake reports whether Wake is due
// and was not before. A connection that takes nothing while events pile up above the limit of its output is closed.
func (c *Conn) Notify(frame []byte) (wake bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != open {
		return false
	}
	if c.queued()+len(frame) > c.server.opts.MaxOutput {
		c.server.opts.Log.Warn("client takes no events", "session", c.Session(), "remote", c.remote, "bytes", c.queued())
		c.close()
		return false
	}
	c.out = append(c.out, frame...)
	c.cost.sent++
	c.total.sent++
	return c.touch()
}

// Complete answers the connection's oldest write with a whole frame, which is copied, and then runs the reads that stand
// between it and the next write. The caller holds the tree still, by its exclusive lock or otherwise. wake is as in Notify.
func (c *Conn) Complete(frame []byte) (wake bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != open {
		return false
	}
	h := c.lane.Head()
	if h == nil || !h.Ordered() {
		panic(fmt.Sprintf("front: connection %d has no write to complete", c.id))
	}
	now := c.server.now()
	start := len(c.out)
	c.out = append(c.out, frame...)
	c.answered(h, start, now)
	bye := h.Op == wire.OpCloseSession
	c.pop()
	if bye {
		c.finish()
	} else if c.lane.Writes() > 0 {
		c.runSandwiched(now)
	}
	return c.touch()
}

// runSandwiched answers the reads in front of the next write. c.mu is held.
func (c *Conn) runSandwiched(now time.Duration) {
	defer c.isolate()
	for c.phase == open {
		h := c.lane.Runnable()
		if h == nil {
			break
		}
		c.answer(h, now)
		if c.phase == open {
			c.pop()
		}
		if c.queued() > 4*c.server.opts.MaxOutput { // looked at after each: how long the answers are nobody knew when they were asked for
			c.server.opts.Log.Warn("client takes no answers", "session", c.Session(), "remote", c.remote, "bytes", c.queued())
			c.close()
		}
	}
}

// touch reports whether the caller has to Wake. c.mu is held.
func (c *Conn) touch() bool {
	due := !c.dirty
	c.dirty = true
	return due
}

// Wake makes the connection send what it was told and run what may run. It is to be called after one or many calls of Notify
// and Complete, outside of the tree's lock.
func (c *Conn) Wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = false
	c.cond.Broadcast()
	if c.phase != closed && !c.busy && !c.flushing && (len(c.out) > 0 || c.lane.Runnable() != nil) {
		c.startWriter()
	}
}

// Close closes the connection without a word; what it has not been sent yet is lost.
func (c *Conn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close()
}

// close is Close with c.mu held. Nothing is answered after it.
func (c *Conn) close() {
	if c.phase == closed {
		return
	}
	c.phase = closed
	if c.hangUp != nil {
		c.hangUp()
	}
	for c.lane.Len() > 0 {
		c.pop()
	}
	c.out, c.spare = nil, nil
	_ = c.nc.Close()
	c.cond.Broadcast()
}

// finish lets the connection have what is in its output and closes it then. c.mu is held.
func (c *Conn) finish() {
	if c.phase != closed {
		c.phase = finishing
	}
	for c.lane.Len() > 0 {
		c.pop()
	}
	c.cond.Broadcast()
}

// push lets r wait its turn. c.mu is held.
func (c *Conn) push(r *request.Request) {
	c.cost.received++
	c.total.received++
	if r.Xid > 0 {
		c.server.outstanding.Add(1)
	}
	c.lane.Push(*r)
}

// pop takes the first of the lane off. c.mu is held.
func (c *Conn) pop() {
	h := c.lane.Head()
	if h.Xid > 0 {
		c.server.outstanding.Add(-1)
	}
	c.release(h)
	c.lane.Pop()
}

// release gives back what a large request took of the limit.
func (c *Conn) release(r *request.Request) {
	if c.isLarge(r.Size) {
		c.large.Add(-int64(r.Size))
		c.server.large.Add(-int64(r.Size))
	}
}

func (c *Conn) isLarge(size int) bool {
	return c.server.opts.LargeRequest > 0 && size > c.server.opts.LargeRequest
}

// answer makes the answer of a request whose turn it is. The tree is held still, and c.mu.
func (c *Conn) answer(r *request.Request, now time.Duration) {
	start := len(c.out)
	switch {
	case r.Answer != nil:
		c.out = append(c.out, r.Answer...)
	case r.Err != znode.CodeOK:
		c.out = wire.AppendErrorFrame(c.out, wire.ReplyHeader{Xid: r.Xid, Zxid: c.server.backend.Zxid(), Err: r.Err})
	default:
		c.out = c.server.backend.Answer(c.out, r)
	}
	c.answered(r, start, now)
	if r.Last {
		c.finish()
	}
}

// isolate, deferred, turns a panic into the end of this connection. c.mu is held.
func (c *Conn) isolate() {
	if p := recover(); p != nil {
		c.server.opts.Log.Error("panic while serving a client", "session", c.Session(), "remote", c.remote, "panic", p, "stack", string(debug.Stack()))
		c.close()
	}
}
