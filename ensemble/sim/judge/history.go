package judge

import (
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// A Moment is when something happened. Seq counts everything a history is told, so of two moments the one with the lower Seq
// was first, also within one microsecond. The zero Moment is never.
type Moment struct {
	At  clock.Time
	Seq int // from 1
}

// Happened reports whether m is a moment at all.
func (m Moment) Happened() bool { return m.Seq != 0 }

// Before reports whether m happened, and before n or while n has not.
func (m Moment) Before(n Moment) bool { return m.Seq != 0 && (n.Seq == 0 || m.Seq < n.Seq) }

// Indexes into a History's lists, which is what they name things by.
type (
	OpID   int
	ConnID int
)

// An Op is one request of a client and what became of it.
type Op struct {
	Conn     ConnID
	Session  znode.SessionID
	Xid      int32 // its number in the session, never used again by it; negative for pings
	Type     wire.Op
	Request  wire.Record // nil where the type has none; never changed
	Invoked  Moment
	Returned Moment      // never: nobody knows what became of it
	Zxid     znode.Zxid  // the reply's
	Err      znode.Code  // the reply's; CodeOK: done
	Response wire.Record // nil where the type has none, and with Err
	Stray    bool        // a reply came that did not belong to the oldest request without one
}

// Path is the node the request is about, empty if it is not about one.
func (o *Op) Path() string {
	switch r := o.Request.(type) {
	case *wire.CreateRequest:
		return r.Path
	case *wire.DeleteRequest:
		return r.Path
	case *wire.SetDataRequest:
		return r.Path
	case *wire.SetACLRequest:
		return r.Path
	case *wire.WatchRequest:
		return r.Path
	case *wire.PathRequest:
		return r.Path
	case *wire.AddWatchRequest:
		return r.Path
	case *wire.WatcherRequest:
		return r.Path
	}
	return ""
}

// Done reports whether the client was told that the request was carried out.
func (o *Op) Done() bool { return o.Returned.Happened() && o.Err == znode.CodeOK }

// An Event is what a watch told a connection.
type Event struct {
	Conn ConnID
	Zxid znode.Zxid // of the change; -1: told late, by setWatches
	wire.WatcherEvent
	At Moment
}

// A Conn is one connection of a client to a server, from dialling to its end.
type Conn struct {
	Client, Server int
	LastZxid       znode.Zxid      // what the client says it has seen
	Asked          znode.SessionID // the session to go on with; 0: a new one
	Dialed         Moment
	Answered       Moment          // when the server answered; never if it did not
	Session        znode.SessionID // whose it is; 0: it was refused, the session has expired
	Timeout        int32           // granted, milliseconds
	Ended          Moment
	Received       []Item // replies and events in the order in which they came
}

// An Item is a reply or an event among what a connection received.
type Item struct {
	IsEvent bool
	Index   int // into Ops or Events
}

// A Txn is a committed transaction.
type Txn struct {
	txn.Txn
	Payload   []byte
	Leader    int    // who proposed it
	Proposed  Moment // when the leader gave it to its log
	Committed Moment // when the first server could know it is committed
}

// An Applied is one step of one server's tree.
type Applied struct {
	Zxid   znode.Zxid
	Digest uint64 // of the tree afterwards
	At     Moment
	Loaded bool // not a step but a jump: the tree came from disk or from the leader
}

// A Node is one node of a server's tree.
type Node struct {
	Path string // "/" for the root
	Data []byte
	ACL  []znode.ACL
	Stat znode.StatPersisted
}

// A Record is one entry of a server's log.
type Record struct {
	Zxid    znode.Zxid
	Payload []byte
}

// An Image is what a server holds at one moment, when no request is under way.
type Image struct {
	Server                      int
	AcceptedEpoch, CurrentEpoch int64
	Zxid                        znode.Zxid // of the tree
	Digest                      uint64
	Nodes                       []Node // in any order
	Sessions                    map[znode.SessionID]int32
	Log                         []Record // what its log has on disk, as far as it goes back
	Faulty                      bool     // not expected to be up to date: damaged, or not running
	At                          Moment
}

// A History is everything that happened, told by those to whom it happened. Make one with [NewHistory].
type History struct {
	Ops    []Op
	Events []Event
	Conns  []Conn
	Strays []Stray
	Txns   []Txn             // the committed order; from Invariants
	Steps  map[int][]Applied // by server; from Invariants
	Images []Image           // from Invariants
	Closes []Closing         // ends of sessions that were proposed, committed or not; from Invariants
	Healed Moment            // when the ensemble was whole again, and expected to serve; never if it is not expected to

	seq  int
	done int // writes acknowledged
	last clock.Time
}

// A Closing is a proposal to end a session.
type Closing struct {
	Session  znode.SessionID
	Zxid     znode.Zxid
	Cxid     int32 // 0: the leader's own idea
	Proposed Moment
}

// A Stray is something received that made no sense.
type Stray struct {
	Conn ConnID
	What string
	At   Moment
}

// NewHistory returns an empty History.
func NewHistory() *History { return &History{Steps: map[int][]Applied{}} }

func (h *History) moment(now clock.Time) Moment {
	h.seq++
	h.last = max(h.last, now)
	return Moment{At: now, Seq: h.seq}
}

// Dial says that a client opens a connection: which session it wants, 0 for a new one, and up to where it has seen.
func (h *History) Dial(now clock.Time, client, server int, session znode.SessionID, last znode.Zxid) ConnID {
	h.Conns = append(h.Conns, Conn{Client: client, Server: server, Asked: session, LastZxid: last, Dialed: h.moment(now)})
	return ConnID(len(h.Conns) - 1)
}

// Answer says that the server answered: whose connection it is from now on and what timeout was granted, in milliseconds. A
// session of 0 means that it was refused: the session wanted is over.
func (h *History) Answer(now clock.Time, conn ConnID, session znode.SessionID, timeout int32) {
	c := &h.Conns[conn]
	c.Answered, c.Session, c.Timeout = h.moment(now), session, timeout
}

// End says that the client has given up a connection, or seen it break. Requests without a reply will never have one.
func (h *History) End(now clock.Time, conn ConnID) { h.Conns[conn].Ended = h.moment(now) }

// Invoke says that a client sends a request. The record is kept and must not change.
func (h *History) Invoke(now clock.Time, conn ConnID, xid int32, op wire.Op, rec wire.Record) OpID {
	h.Ops = append(h.Ops, Op{Conn: conn, Session: h.Conns[conn].Session, Xid: xid, Type: op, Request: rec, Invoked: h.moment(now)})
	return OpID(len(h.Ops) - 1)
}

// Return says that the reply to a request came. The response is kept, nil where there is none.
func (h *History) Return(now clock.Time, op OpID, head wire.ReplyHeader, resp wire.Record) {
	o := &h.Ops[op]
	o.Returned, o.Zxid, o.Err, o.Response = h.moment(now), head.Zxid, head.Err, resp
	if o.Type.Write() && !o.refused() {
		h.done++
	}
	c := &h.Conns[o.Conn]
	c.Received = append(c.Received, Item{Index: int(op)})
}

// Stray says that a connection received what it cannot make sense of: a reply whose turn it was not, or no frame at all. A client
// can only hang up.
func (h *History) Stray(now clock.Time, conn ConnID, what string) {
	h.Strays = append(h.Strays, Stray{Conn: conn, What: what, At: h.moment(now)})
}

// Event says that a connection was told of a change.
func (h *History) Event(now clock.Time, conn ConnID, zxid znode.Zxid, e wire.WatcherEvent) {
	h.Events = append(h.Events, Event{Conn: conn, Zxid: zxid, WatcherEvent: e, At: h.moment(now)})
	c := &h.Conns[conn]
	c.Received = append(c.Received, Item{IsEvent: true, Index: len(h.Events) - 1})
}

// Acknowledged is how many writes clients have been told are carried out.
func (h *History) Acknowledged() int { return h.done }

// Heal says that from now on everything works and the ensemble is expected to serve (C13).
func (h *History) Heal(now clock.Time) { h.Healed = h.moment(now) }

// describe says which op it is, for a violation.
func (h *History) describe(i int) string {
	o := &h.Ops[i]
	c := &h.Conns[o.Conn]
	text := fmt.Sprintf("op %d (client %d, session %v, connection %d to server %d, xid %d, asked %v): %v",
		i, c.Client, o.Session, o.Conn, c.Server, o.Xid, o.Invoked.At, o.Type)
	if p := o.Path(); p != "" {
		text += " " + p
	}
	switch {
	case !o.Returned.Happened():
		return text + ", never answered"
	case o.Err != znode.CodeOK:
		return fmt.Sprintf("%s, refused with %v at %v at %v", text, o.Err, o.Zxid, o.Returned.At)
	}
	return fmt.Sprintf("%s, done at %v at %v", text, o.Zxid, o.Returned.At)
}

// A Summary is what happened in numbers.
type Summary struct {
	Acknowledged int // writes done
	Refused      int // writes answered with an error
	Unknown      int // writes never answered
	Reads        int // answered reads
	Syncs        int // answered syncs
	Events       int // received
	Txns         int // committed
	Conns        int
	Sessions     int        // opened
	Span         clock.Time // from the first thing that happened to the last reply
}

// Summary counts.
func (h *History) Summary() Summary {
	s := Summary{Events: len(h.Events), Txns: len(h.Txns), Conns: len(h.Conns)}
	for i := range h.Ops {
		o := &h.Ops[i]
		s.Span = max(s.Span, o.Returned.At)
		switch done := o.Returned.Happened(); {
		case o.Type.Write() && !done:
			s.Unknown++
		case o.Type.Write() && o.refused():
			s.Refused++
		case o.Type.Write():
			s.Acknowledged++
		case done && o.Type == wire.OpSync:
			s.Syncs++
		case done && o.Type != wire.OpPing:
			s.Reads++
		}
	}
	for i := range h.Conns {
		if c := &h.Conns[i]; c.Asked == 0 && c.Session != 0 {
			s.Sessions++
		}
	}
	return s
}

// refused reports whether a write that was answered changed nothing: its error says so, or, in a multi, that of a part.
func (o *Op) refused() bool {
	if o.Err != znode.CodeOK {
		return true
	}
	m, ok := o.Response.(*wire.MultiResponse)
	return ok && o.Type == wire.OpMulti && anyError(m.Results)
}

func anyError(results []wire.MultiResult) bool {
	for i := range results {
		if results[i].Op == wire.OpError {
			return true
		}
	}
	return false
}
