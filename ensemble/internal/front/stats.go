package front

import (
	"encoding/binary"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Latency is how long requests took from being read to being answered, in milliseconds.
type Latency struct {
	Count, Sum, Min, Max int64 // Min is 0 when Count is
}

// Avg is the mean, 0 when nothing was measured.
func (l Latency) Avg() float64 {
	if l.Count == 0 {
		return 0
	}
	return float64(l.Sum) / float64(l.Count)
}

// ConnStats is a connection in numbers, as the words stat and cons show them.
type ConnStats struct {
	Addr           string // of the peer, "1.2.3.4:5678"
	Interest       int    // 1 it is read from, 4 it has something to take, 5 both, 0 neither
	Queued         int64  // requests not answered yet
	Received, Sent int64  // packets, events included
	Session        znode.SessionID
	LastOp         string    // NA, SESS, GETD, … as cons shows them
	Established    time.Time // when it was accepted
	Timeout        time.Duration
	LastCxid       int32 // xid of the last request answered; -1: none
	LastZxid       znode.Zxid
	LastReply      time.Duration // when its last request was answered, on a clock that never jumps
	LastLatency    time.Duration
	Latency        Latency
	IdleDeadline   time.Time // when it is closed unless it is heard of before
}

// Totals is all connections, past ones included, in numbers.
type Totals struct {
	Connections    int
	Outstanding    int64 // requests not answered yet
	Received, Sent int64 // packets
	Handshakes     int64 // sessions opened, or taken up again
	Rejected       int64 // connections turned away by a limit
	AuthFailures   int64
	Latency        Latency

	LastReply, MinReply, MaxReply int64 // bytes of answers to requests; -1 before the first
}

// tally is what requests have cost. Guarded by the connection's mutex.
type tally struct {
	received, sent                int64
	latency                       Latency
	replyAt                       time.Duration
	lastReply, minReply, maxReply int64 // bytes; meaningless while latency.Count is 0
}

func (t *tally) add(ms, size int64, now time.Duration) {
	if t.latency.Count == 0 {
		t.latency.Min, t.minReply = ms, size
	}
	t.sent++
	t.latency.Count++
	t.latency.Sum += ms
	t.latency.Min, t.latency.Max = min(t.latency.Min, ms), max(t.latency.Max, ms)
	t.minReply, t.maxReply = min(t.minReply, size), max(t.maxReply, size)
	t.lastReply, t.replyAt = size, now
}

func (t *tally) merge(o *tally) {
	t.received += o.received
	t.sent += o.sent
	if o.latency.Count == 0 {
		return
	}
	if t.latency.Count == 0 {
		t.latency, t.minReply, t.maxReply, t.lastReply, t.replyAt = o.latency, o.minReply, o.maxReply, o.lastReply, o.replyAt
		return
	}
	t.latency.Count += o.latency.Count
	t.latency.Sum += o.latency.Sum
	t.latency.Min, t.latency.Max = min(t.latency.Min, o.latency.Min), max(t.latency.Max, o.latency.Max)
	t.minReply, t.maxReply = min(t.minReply, o.minReply), max(t.maxReply, o.maxReply)
	if o.replyAt >= t.replyAt {
		t.lastReply, t.replyAt = o.lastReply, o.replyAt
	}
}

// lastReply is the last answer to a request.
type lastReply struct {
	op      wire.Op
	session bool // it was the answer to the handshake
	cxid    int32
	zxid    znode.Zxid
	at      time.Duration
	latency time.Duration
}

// answered counts the answer to r, which is c.out[start:]. c.mu is held.
func (c *Conn) answered(r *request.Request, start int, now time.Duration) {
	size := len(c.out) - start
	if size == 0 {
		return // dropped: its session is gone
	}
	took := now - time.Duration(r.Arrived)
	ms := took.Milliseconds()
	c.cost.add(ms, int64(size), now)
	c.total.add(ms, int64(size), now)
	c.largest = max(c.largest, size)
	c.last = lastReply{op: r.Op, cxid: r.Xid, zxid: zxidOf(c.out[start:]), at: now, latency: took}
}

// zxidOf reads the zxid of a reply's header.
func zxidOf(frame []byte) znode.Zxid {
	if len(frame) < 4+wire.ReplyHeaderLen {
		return 0
	}
	return znode.Zxid(binary.BigEndian.Uint64(frame[8:]))
}

// Stats is the connection in numbers, since it began or ResetStats.
func (c *Conn) Stats() ConnStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := ConnStats{
		Queued: int64(c.lane.Len()), Received: c.cost.received, Sent: c.cost.sent, Session: c.Session(),
		LastOp: c.last.name(), Established: c.server.start.Add(c.opened).Round(0), Timeout: time.Duration(c.timeout.Load()),
		LastCxid: c.last.cxid, LastZxid: c.last.zxid, LastReply: c.last.at, LastLatency: c.last.latency,
		Latency: c.cost.latency, Addr: c.nc.RemoteAddr().String(), IdleDeadline: c.idleDeadline(),
	}
	if (c.phase == greeting || c.phase == open) && !c.busy {
		s.Interest = 1
	}
	if c.queued() > 0 {
		s.Interest |= 4
	}
	return s
}

// idleDeadline is when the sweeper closes the connection unless it is heard of before.
func (c *Conn) idleDeadline() time.Time {
	if c.Session() == 0 {
		return c.server.start.Add(c.opened + c.server.opts.SessionlessTimeout).Round(0)
	}
	return c.server.start.Add(time.Duration(c.heard.Load() + c.timeout.Load())).Round(0)
}

// ResetStats sets the connection's numbers to zero, as crst does.
func (c *Conn) ResetStats() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cost, c.last = tally{}, lastReply{cxid: -1}
}

// takeTotal takes away what the connection adds to the server's numbers.
func (c *Conn) takeTotal() tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.total
	c.total = tally{}
	return t
}

// Totals is the server in numbers, since it began or ResetStats.
func (s *Server) Totals() Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum, open := s.past, 0
	for c := range s.conns {
		c.mu.Lock()
		sum.merge(&c.total)
		if c.phase < finishing {
			open++
		}
		c.mu.Unlock()
	}
	st := Totals{
		Connections: open, Outstanding: s.outstanding.Load(), Received: sum.received, Sent: sum.sent,
		Handshakes: s.handshakes.Load(), Rejected: s.rejected.Load(), AuthFailures: s.authFailures.Load(),
		Latency: sum.latency, LastReply: -1, MinReply: -1, MaxReply: -1,
	}
	if sum.latency.Count > 0 {
		st.LastReply, st.MinReply, st.MaxReply = sum.lastReply, sum.minReply, sum.maxReply
	}
	return st
}

// ResetStats sets the server's numbers to zero, as srst does, but not those of the connections themselves.
func (s *Server) ResetStats() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past = tally{}
	s.handshakes.Store(0)
	s.rejected.Store(0)
	s.authFailures.Store(0)
	for c := range s.conns {
		c.takeTotal()
	}
}

var opCodes = map[wire.Op]string{
	wire.OpPing: "PING", wire.OpCreate: "CREA", wire.OpCreate2: "CREA", wire.OpCreateContainer: "CREA", wire.OpCreateTTL: "CREA",
	wire.OpDelete: "DELE", wire.OpExists: "EXIS", wire.OpGetData: "GETD", wire.OpSetData: "SETD", wire.OpGetACL: "GETA",
	wire.OpSetACL: "SETA", wire.OpGetChildren: "GETC", wire.OpGetChildren2: "GETC", wire.OpGetAllChildrenNumber: "GETACN",
	wire.OpSync: "SYNC", wire.OpMulti: "MULT", wire.OpMultiRead: "MLTR", wire.OpReconfig: "RECO", wire.OpSetWatches: "SETW",
	wire.OpSetWatches2: "STW2", wire.OpAddWatch: "ADDW", wire.OpCheckWatches: "CHKW", wire.OpRemoveWatches: "REMW",
	wire.OpWhoAmI: "HOMI", wire.OpGetEphemerals: "GETE", wire.OpCloseSession: "CLOS",
}

// name is what cons calls it.
func (l *lastReply) name() string {
	if l.session {
		return "SESS"
	}
	if s, ok := opCodes[l.op]; ok {
		return s
	}
	return "NA"
}
