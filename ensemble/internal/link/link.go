// Package link owns the sockets between servers: those of the quorum port, where learners follow a leader, and those of the
// election port, where votes are exchanged.
//
// The one idea is that a link decides nothing. Bytes become packets or notifications and are handed over in order; packets become
// bytes and leave in order; what they mean, whom to follow and when somebody has been silent for too long is decided by machines
// elsewhere (zab and election; peers says which connection of the election port survives). What link adds are bounds: nobody who
// connects, be it a stranger, a machine that stopped in the middle of a frame or a learner that reads one byte a second, can make
// it wait, grow or forget somebody else.
//
// [Links] is the quorum port. It accepts learners while told to ([Links.Serve]) and dials leaders ([Links.Dial]); what happens on
// a [Conn] is told to its [Handler]. Packets that arrive together are handed over together, and a packet is sent by appending it
// to an output buffer ([Conn.Send]) that a goroutine of the connection empties ([Conn.Flush]). A snapshot is a stream between two
// packets in either direction: a function that runs on the connection's own goroutine, in bounded memory ([Conn.SendStream],
// [Handler].Snapshot).
//
//	links := link.NewLinks(link.LinksOptions{Listener: l, Dial: dialer, Handler: server})
//	links.Serve(true) // now a leader
//	…
//	links.Close()
//
// [Votes] is the election port: at most one connection for each other server, one message waiting for each, the newest.
//
// Each connection has two goroutines, one that reads and one that writes. All that a handler is told about one connection comes
// from its reading goroutine, in the order Opened, Received and Snapshot, Closed; that of different connections comes at once. A
// handler that blocks stops the reading of that connection and nothing else. No lock of this package is held meanwhile, and all
// methods of a Conn, of Links and of Votes may be called from a handler, but for Close of Links and of Votes, which wait for it.
//
// Left to others: heartbeats (a link that is silent but open is closed by who knows what to expect of it, with [Conn.Close]), TLS
// and names (Dial and Listener bring both), and retrying.
package link

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
)

// Why a connection ended; what Handler.Closed and Handler.Failed are given wraps one of these or an error of the transport.
var (
	ErrClosed     = errors.New("link: closed")
	ErrSlow       = errors.New("link: the peer takes too little of what it is sent")
	ErrSilent     = errors.New("link: connected and said nothing")
	ErrNotServing = errors.New("link: not serving")
	ErrProtocol   = errors.New("link: not a word of the protocol")
)

// A Dialer connects to "host:port" and returns a connection that is ready for the first byte, within the time ctx leaves. It
// resolves the name anew each time.
type Dialer func(ctx context.Context, addr string) (net.Conn, error)

// Limits bounds what other servers may do. The zero value means the defaults.
type Limits struct {
	// MaxPacket is how many bytes one field of a packet may have; default packet.DefaultMax, some 2 MiB.
	MaxPacket int
	// MaxOutput is how many bytes may wait to be sent on one link; default 64 MiB. A link that would need more is closed with
	// ErrSlow. Snapshots do not count, for their bytes are made when they can be sent.
	MaxOutput int
	// WriteTimeout is how long the peer may take nothing of what it is sent; default 15 s, ErrSlow after that.
	WriteTimeout time.Duration
	// StreamRate is how many bytes a second, on average, the peer has to take of a snapshot while that waits for it; default
	// 64 KiB. It is looked at after every StreamPeriod of waiting, default 20 s, and ErrSlow ends a link that took less. So a
	// snapshot has gone, or its link has, after a time that is known: its size over StreamRate, a StreamPeriod and a
	// WriteTimeout, and what the tree takes to be read.
	StreamRate   int
	StreamPeriod time.Duration
	// FirstPacket is how long who connects may take until its first packet is whole; default 5 s.
	FirstPacket time.Duration
	// MaxPending is how many connections may be without their first packet at once; default 64. The one that has waited
	// longest gives way to the next.
	MaxPending int
	// Hold is how long a connection waits for Serve(true) before it is closed; default 1 s. Learners often know the result of
	// an election a moment before the leader does.
	Hold time.Duration
	// Progress is the least time between two calls of Handler.Progress for one direction of one link; default 100 ms.
	Progress time.Duration
}

func (l Limits) withDefaults() Limits {
	number := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	duration := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	number(&l.MaxPacket, packet.DefaultMax)
	number(&l.MaxOutput, 64<<20)
	number(&l.MaxPending, 64)
	duration(&l.WriteTimeout, 15*time.Second)
	number(&l.StreamRate, 64<<10)
	duration(&l.StreamPeriod, 20*time.Second)
	duration(&l.FirstPacket, 5*time.Second)
	duration(&l.Hold, time.Second)
	duration(&l.Progress, 100*time.Millisecond)
	return l
}
