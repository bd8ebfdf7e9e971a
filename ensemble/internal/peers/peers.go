// Package peers decides who dials whom on the election port, and which connection between two servers survives.
//
// Any server may dial any other, so two may dial each other at once, and there must be one connection in the end. ZooKeeper's rule
// (QuorumCnxManager) is that the server with the larger id dials the one that stays. A server with a smaller id that has something
// to say dials too, but only to say its name and hang up: "please call me". [Peers] is this rule with the state it needs, for all
// the servers of a configuration at once:
//
//	p := peers.New(peers.Config{Self: 2, Quorum: config, Rand: rng})
//	p.Want(3, now, &out)                // a message waits for server 3
//	p.Accepted(conn, &hello, now, &out) // somebody dialled us and has said its name
//	for _, e := range out { … }       // dial, say our name, use, close
//
// It is a machine: what happens goes in with the time in milliseconds, effects come out in the order in which they are to be
// performed, and the end of a dial or of a connection is the next input. Each dial is one server's own affair: at most one is under
// way for each server, and none waits for another, so a machine that answers nothing delays nobody (ZOOKEEPER-822, 3756).
//
// A server is called again, for as long as the machine lives, once a message has waited for it: a connection that breaks is replaced
// without waiting for the next message. Between attempts lies a pause that doubles from MinPause to MaxPause, with jitter. It starts
// again when the other calls, and when a connection has lasted for MaxPause; one that is closed at once, as by a server that does
// not know us, is no success.
//
// Improvements on Apache's: a server of no configuration is refused (there it is dialled back wherever it says it lives); who calls
// while a connection exists does not end it by that, the new connection does; who was called while it was dialling hangs up without
// a word instead of asking to be called once more; and addresses that a peer announced are tried after the configured ones, never
// instead of them, and wildcards not at all (ZOOKEEPER-2164).
//
// A Peers belongs to one goroutine.
package peers

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
)

// A ConnID is the caller's name for a connection; 0 is none. A name is not used again.
type ConnID uint64

// An EffectKind says what is to be done.
type EffectKind uint8

// The effects.
const (
	Dial  EffectKind = iota // connect to Addr, an address of Server; the result is to be told with Dialled, within a bounded time
	Say                     // send Hello as the first bytes of Conn
	Use                     // Conn is the connection to Server from now on: messages flow
	Close                   // close Conn, once what was to be said on it has gone; it needs no Closed
	Up                      // Server can be reached
	Down                    // Server can not be reached, for the time being
)

var kindNames = [...]string{"dial", "say", "use", "close", "up", "down"}

func (k EffectKind) String() string { return kindNames[k] }

// An Effect is one thing to be done. Fields that its kind does not mention are zero.
type Effect struct {
	Kind   EffectKind
	Server packet.ServerID // of Dial, Use, Up, Down
	Conn   ConnID          // of Say, Use, Close
	Addr   string          // of Dial
	Hello  packet.Hello    // of Say
}

func (e Effect) String() string {
	switch e.Kind {
	case Dial:
		return fmt.Sprintf("dial %d at %s", e.Server, e.Addr)
	case Say:
		return fmt.Sprintf("say %d on #%d", e.Hello.Server, e.Conn)
	case Use:
		return fmt.Sprintf("use #%d for %d", e.Conn, e.Server)
	case Close:
		return fmt.Sprintf("close #%d", e.Conn)
	}
	return fmt.Sprintf("%s %d", e.Kind, e.Server)
}

// Config is what a server knows of the others.
type Config struct {
	Self   packet.ServerID
	Quorum *quorum.Config
	Rand   *rand.Rand // for the jitter of pauses

	MinPause, MaxPause int64 // milliseconds between attempts; defaults 20 and 1000
}

// Peers is the state of the connections between one server and all others. All methods append to *out; now never goes back.
type Peers struct {
	self     packet.ServerID
	hello    packet.Hello
	rand     *rand.Rand
	min, max int64
	peers    map[packet.ServerID]*peer
	order    []packet.ServerID // of peers, so that effects come in the same order each time
}

// A peer is one of the others.
type peer struct {
	id         packet.ServerID
	configured []string // its election addresses
	announced  []string // others that it has told
	attempt    int      // which of the addresses is next

	wanted   bool   // a message has waited for it
	called   bool   // it has asked to be called and was not yet
	dialling bool   // a dial is under way
	conn     ConnID // the connection in use, or 0
	since    int64  // since when that, or the last one, was in use
	pause    int64  // the last pause; 0 ≤ pause ≤ max
	tried    int64  // when it was last dialled
	next     int64  // it is not dialled before
}

// New returns a machine without connections that has nothing to say to anybody.
func New(c Config) *Peers {
	if c.MinPause <= 0 {
		c.MinPause = 20
	}
	if c.MaxPause <= 0 {
		c.MaxPause = 1000
	}
	p := &Peers{self: c.Self, rand: c.Rand, min: c.MinPause, max: c.MaxPause, peers: map[packet.ServerID]*peer{}}
	p.hello.Server = c.Self
	for _, m := range c.Quorum.Members {
		if m.ID == c.Self {
			p.hello.Addrs = addresses(m) // wildcards and all, as Apache's servers say them
			continue
		}
		p.peers[m.ID] = &peer{id: m.ID, configured: addresses(m), tried: -c.MaxPause, since: -c.MaxPause}
		p.order = append(p.order, m.ID)
	}
	slices.Sort(p.order)
	return p
}

// Want says that a message waits for a server. Nothing comes of it if the server is connected, unknown or this one.
func (p *Peers) Want(server packet.ServerID, now int64, out *[]Effect) {
	if q := p.peers[server]; q != nil {
		q.wanted = true
		p.drive(q, now, out)
	}
}

// Accepted says that somebody has connected to us and said hello. Close or Use of conn comes at once.
func (p *Peers) Accepted(conn ConnID, hello *packet.Hello, now int64, out *[]Effect) {
	q := p.peers[hello.Server]
	if q == nil { // unknown, or calls itself by our own name
		*out = append(*out, Effect{Kind: Close, Conn: conn})
		return
	}
	q.learn(hello.Addrs)
	if q.id > p.self {
		p.use(q, conn, now, out)
		return
	}
	*out = append(*out, Effect{Kind: Close, Conn: conn})
	q.called, q.pause = true, 0
	q.next = q.tried + p.min
	if q.conn != 0 { // it is either the answer to a question of long ago, or the connection is dead and nobody has noticed
		q.next = max(q.next, q.since+p.max)
	}
	p.drive(q, now, out)
}

// Dialled tells what became of a Dial: a connection, or 0 if it failed.
func (p *Peers) Dialled(server packet.ServerID, conn ConnID, now int64, out *[]Effect) {
	q := p.peers[server]
	if q == nil || !q.dialling {
		if conn != 0 {
			*out = append(*out, Effect{Kind: Close, Conn: conn})
		}
		return
	}
	q.dialling = false
	switch {
	case conn == 0:
		q.attempt++
		q.called = q.called && q.conn == 0
		p.backOff(q, now)
	case p.self > q.id:
		*out = append(*out, Effect{Kind: Say, Conn: conn, Hello: p.hello})
		p.use(q, conn, now, out)
	case q.conn != 0: // it has called meanwhile
		*out = append(*out, Effect{Kind: Close, Conn: conn})
	default:
		*out = append(*out, Effect{Kind: Say, Conn: conn, Hello: p.hello}, Effect{Kind: Close, Conn: conn})
		p.backOff(q, now)
	}
	p.drive(q, now, out)
}

// Closed says that a connection has ended by itself. Of connections that are not in use it says nothing.
func (p *Peers) Closed(conn ConnID, now int64, out *[]Effect) {
	for _, id := range p.order {
		q := p.peers[id]
		if conn == 0 || q.conn != conn {
			continue
		}
		q.conn = 0
		*out = append(*out, Effect{Kind: Down, Server: id})
		if now-q.since >= p.max {
			q.pause = 0
		}
		p.backOff(q, now)
		p.drive(q, now, out)
	}
}

// Tick does what has become due.
func (p *Peers) Tick(now int64, out *[]Effect) {
	for _, id := range p.order {
		p.drive(p.peers[id], now, out)
	}
}

// Next is when Tick is due; ok is false if it is not, before another input.
func (p *Peers) Next() (at int64, ok bool) {
	for _, id := range p.order {
		if q := p.peers[id]; q.idle() && (!ok || q.next < at) {
			at, ok = q.next, true
		}
	}
	return at, ok
}

// idle reports whether the peer should be dialled, could be, and is not.
func (q *peer) idle() bool {
	return !q.dialling && (q.called || q.wanted && q.conn == 0) && len(q.configured)+len(q.announced) > 0
}

// drive dials q if it should be and the time has come.
func (p *Peers) drive(q *peer, now int64, out *[]Effect) {
	if !q.idle() || now < q.next {
		return
	}
	q.dialling, q.tried = true, now
	*out = append(*out, Effect{Kind: Dial, Server: q.id, Addr: q.address()})
}

// use makes conn the connection to q, in place of an older one.
func (p *Peers) use(q *peer, conn ConnID, now int64, out *[]Effect) {
	if q.conn != 0 {
		*out = append(*out, Effect{Kind: Close, Conn: q.conn})
	} else {
		*out = append(*out, Effect{Kind: Up, Server: q.id})
	}
	*out = append(*out, Effect{Kind: Use, Conn: conn, Server: q.id})
	q.conn, q.since, q.called = conn, now, false
}

// backOff makes the next attempt wait for between a half and the whole of a pause twice as long as the last.
func (p *Peers) backOff(q *peer, now int64) {
	q.pause = min(max(2*q.pause, p.min), p.max)
	q.next = now + q.pause/2 + p.rand.Int64N(q.pause/2+1)
}
