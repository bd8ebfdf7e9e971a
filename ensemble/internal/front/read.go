package front

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
)

// run is the reader: the connection's own goroutine. It ends when the connection does, and then nothing of it is left.
func (c *Conn) run() {
	connected := false
	defer func() {
		if p := recover(); p != nil {
			c.server.opts.Log.Error("panic while serving a client", "session", c.Session(), "remote", c.remote, "panic", p, "stack", string(debug.Stack()))
		}
		c.part()
		c.server.large.Add(-c.large.Swap(0))
		if connected {
			c.server.backend.Disconnected(c)
		}
		c.server.remove(c)
	}()
	if !c.greet(&connected) {
		return
	}
	for c.burst() && c.fill() {
	}
}

// part closes the connection, once it has got the last it is to get, and waits for the writer.
func (c *Conn) part() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.phase == finishing && c.flushing { // the peer said all it will but still listens
		c.cond.Wait()
	}
	c.close()
	for c.flushing {
		c.cond.Wait()
	}
}

// fill reads once. The reader counts as busy from its return on.
func (c *Conn) fill() bool {
	err := c.in.fill(c.nc)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = c.phase != greeting
	return err == nil && c.phase != closed
}

// greet waits for a four-letter word and answers it, or for the first frame and opens a session.
func (c *Conn) greet(connected *bool) bool {
	for c.in.len() < 4 {
		if !c.fill() {
			return false
		}
	}
	if w := string(c.in.buf[:4]); words[w] {
		return c.command(w)
	}
	for {
		frame, _, err := c.in.frame(c.server.opts.MaxFrame)
		switch {
		case err != nil:
			return false
		case frame != nil:
			return c.connect(frame, connected)
		case !c.fill():
			return false
		}
	}
}

// connect opens a session as the first frame asks and answers it.
func (c *Conn) connect(frame []byte, connected *bool) bool {
	var req wire.ConnectRequest
	d := jute.NewDecoder(frame)
	req.DecodeJute(&d)
	if d.Err() != nil || !c.server.admitSession(req.Session != 0) {
		return false
	}
	req.Password = append([]byte(nil), req.Password...)
	legacy := req.Legacy
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c.mu.Lock()
	if c.phase == closed {
		c.mu.Unlock()
		return false
	}
	c.phase, c.hangUp = connecting, cancel
	c.mu.Unlock()

	*connected = true
	resp, ok := c.server.backend.Connect(ctx, c, &req)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.hangUp = nil
	if !ok || c.phase == closed {
		return false
	}
	resp.Legacy = legacy
	out, start := wire.BeginFrame(c.out)
	c.out = wire.EndFrame(resp.AppendJute(out), start)
	c.begin(&resp)
	return true
}

// begin opens the connection for requests, or after a refusal ends it. c.mu is held.
func (c *Conn) begin(resp *wire.ConnectResponse) {
	for _, t := range []*tally{&c.cost, &c.total} {
		t.received++
		t.sent++
	}
	if resp.Session == 0 {
		c.ended = true
		c.finish()
		return
	}
	now := c.server.now()
	c.server.handshakes.Add(1)
	c.phase = open
	c.heard.Store(int64(now))
	c.timeout.Store(int64(time.Duration(resp.Timeout) * time.Millisecond))
	c.last = lastReply{session: true, cxid: -1, at: now}
	c.session.Store(int64(resp.Session))
}

// admitSession asks the connection throttle.
func (s *Server) admitSession(renew bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ok := s.throttle.admit(s.now(), renew)
	if !ok {
		s.rejected.Add(1)
	}
	return ok
}

// burst handles all that was read: requests that arrived together are handled together. It reports whether to read on.
func (c *Conn) burst() bool {
	c.arrived = c.server.now()
	r := c.parse()
	if r != nil {
		c.heard.Store(int64(c.arrived))
	}
	for r != nil {
		if c.special && !c.settle(r) {
			return false
		}
		if !c.waitForRoom(r) {
			break
		}
		switch {
		case r.Ordered():
			r = c.order(r)
		case c.behind():
			r = c.queue(r)
		default:
			r = c.turn(r)
		}
	}
	c.submit()
	return c.rest()
}

// parse takes the next request off the input and remembers it as c.next; nil when no whole one is there. Bad framing is the end
// of the connection, once what was asked before is answered.
func (c *Conn) parse() *request.Request {
	if c.ended {
		c.in.drop()
		return nil
	}
	frame, length, err := c.in.frame(c.server.opts.MaxFrame)
	switch {
	case err != nil, frame != nil && len(frame) < wire.RequestHeaderLen, !c.admitLarge(length, frame != nil):
		c.ended, c.broken = true, true
		return nil
	case frame == nil:
		return nil
	}
	d := jute.NewDecoder(frame)
	var h wire.RequestHeader
	h.DecodeJute(&d)
	c.next = request.Request{
		Conn: c.id, Session: c.Session(), Xid: h.Xid, Op: h.Op, Body: frame[wire.RequestHeaderLen:], IDs: c.ids,
		Size: len(frame), Arrived: int64(c.arrived),
	}
	if h.Op == wire.OpPing {
		c.next.Xid = wire.XidPing
	}
	c.special = !c.admitted || !plain(h.Op)
	return &c.next
}

// admitLarge counts a large request as soon as its length is known, and reports whether there is room for it.
func (c *Conn) admitLarge(length int, whole bool) bool {
	if !c.isLarge(length) || c.counted {
		c.counted = c.counted && !whole
		return true
	}
	c.counted = !whole
	c.large.Add(int64(length))
	return c.server.large.Add(int64(length)) <= c.server.opts.MaxLargeRequests
}

// behind reports whether a read has to wait behind a write. If not, none will come before it: only the reader pushes.
func (c *Conn) behind() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lane.Writes() > 0
}

// order decodes writes and lets them wait for the order, from r on as far as it goes. It returns the request to go on with.
func (c *Conn) order(r *request.Request) *request.Request {
	for r != nil && r.Ordered() && !c.special {
		if r.Record == nil && !decode(r) {
			return r // it is no write any more
		}
		c.mu.Lock()
		switch {
		case c.lane.Runnable() != nil: // it must not be pushed over reads nobody else will run
			c.mu.Unlock()
			c.turn(nil)
			continue
		case c.phase != open || c.mustWait(r):
			c.mu.Unlock()
			return r
		}
		c.push(r)
		c.mu.Unlock()
		c.batch = append(c.batch, *r)
		c.ended = r.Op == wire.OpCloseSession
		r = c.parse()
	}
	return r
}

// queue lets reads wait behind the writes, from r on as far as it goes. It returns the request to go on with.
func (c *Conn) queue(r *request.Request) *request.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	for r != nil && !r.Ordered() && !c.special && c.phase == open && !c.mustWait(r) {
		c.push(r)
		r = c.parse()
	}
	return r
}

// turn answers the reads whose turn it is: those at the head of the lane, then, if nothing stands before them, r and those
// after it. It returns the request to go on with.
func (c *Conn) turn(r *request.Request) *request.Request {
	c.server.backend.RLock()
	defer c.server.backend.RUnlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	now, limit := c.server.now(), len(c.out)+turnBytes
	for n := 0; n < turnRequests && len(c.out) < limit && c.phase == open; n++ {
		if h := c.lane.Runnable(); h != nil {
			c.answer(h, now)
			if c.phase == open {
				c.pop()
			}
			continue
		}
		if r == nil || r.Ordered() || c.special { // with r, nothing is left in the lane: see behind
			break
		}
		c.cost.received++
		c.total.received++
		c.answer(r, now)
		c.release(r)
		r = c.parse()
	}
	if c.phase != open {
		return nil
	}
	return r
}

// submit hands the collected writes to the backend.
func (c *Conn) submit() {
	if len(c.batch) == 0 {
		return
	}
	c.server.backend.Submit(c, c.batch)
	clear(c.batch)
	c.batch = c.batch[:0]
}

// mustWait reports whether r cannot be taken yet. c.mu is held.
func (c *Conn) mustWait(r *request.Request) bool {
	o := &c.server.opts
	waiting := c.lane.Len()
	if waiting == 0 {
		return c.queued() > o.MaxOutput/2
	}
	// Reads before a write are answered all at once when the write before them completes: no more of them than there is
	// room for their answers, if those are like the longest so far.
	sandwiched := r.Ordered() && (waiting-c.lane.Writes())*c.largest > o.MaxOutput/2
	return sandwiched || c.queued() > o.MaxOutput/2 || waiting >= o.MaxLane || c.lane.Bytes() > o.MaxLaneBytes ||
		c.server.outstanding.Load() > int64(o.MaxOutstanding)
}

// waitForRoom waits until r can be taken; false means that the connection takes no more. A client that asks for much gets the
// first of it while the rest is made.
func (c *Conn) waitForRoom(r *request.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out) >= turnBytes && !c.flushing {
		c.flush()
	}
	for c.phase == open && c.mustWait(r) {
		if !c.work() {
			c.gated = true
			c.cond.Wait()
			c.gated = false
		}
	}
	return c.phase == open
}

// rest does what is left to do before the reader reads again; false means that the connection is closed.
func (c *Conn) rest() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.phase != closed && c.work() {
	}
	if c.broken {
		c.close()
	}
	c.busy = false
	return c.phase != closed
}

// unlocked runs f without c.mu, which is held before and after, also when f panics.
func (c *Conn) unlocked(f func()) {
	c.mu.Unlock()
	defer c.mu.Lock()
	f()
}

// work does one thing there is to do for the reader: hand over writes, answer reads, send. It reports whether it did something.
// c.mu is held, but not while it works.
func (c *Conn) work() bool {
	switch {
	case len(c.batch) > 0:
		c.unlocked(c.submit)
	case c.lane.Runnable() != nil:
		c.unlocked(func() { c.turn(nil) })
	case len(c.out) > 0 && !c.flushing:
		c.flush()
	default:
		return false
	}
	return true
}
