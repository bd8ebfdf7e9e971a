package link

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A Handler is told what happens on the links. All that concerns one link comes from one goroutine in order; different links
// call at once. Only Progress may come from another goroutine.
type Handler interface {
	// Opened says that c exists: a leader was reached, or somebody connected here while Links served and has begun as a learner
	// does, with a whole FOLLOWERINFO or OBSERVERINFO, which comes next in Received. Strangers that say anything else, or
	// nothing, are never heard of. It may come just after Serve(false) has closed c; Closed follows, as ever.
	Opened(c *Conn)
	// Received brings packets in the order they came, at least one. The slice and what it points at are the handler's to keep.
	// It is expected to queue them and return: while it does not, nothing is read from c.
	Received(c *Conn, batch []packet.Packet)
	// Snapshot comes after a SNAP packet from a leader, which was the last of the batch before: r is the raw stream behind that
	// packet, which Snapshot has to read to its end, exactly, for packets go on there; small reads are cheap. data is the SNAP
	// packet's. An error closes c. Reads fail once c is closed.
	Snapshot(c *Conn, zxid znode.Zxid, data []byte, r io.Reader) error
	// Progress says that bytes of a snapshot have gone in or out, which shows that the peer lives though it sends no packets.
	// It must not block.
	Progress(c *Conn)
	// Closed is the last that is heard of c, once for each Opened. err is never nil: what Conn.Close was given, io.EOF if the
	// peer closed, an error of the transport, or one of this package.
	Closed(c *Conn, err error)
	// Failed says that a Dial came to nothing.
	Failed(leader packet.ServerID, err error)
}

// LinksOptions says where links come from and who hears of them.
type LinksOptions struct {
	Listener net.Listener // where learners connect; Close closes it; nil: nobody is accepted
	Dial     Dialer
	Handler  Handler
	Limits   Limits
	Log      *slog.Logger // default: quiet
}

// Links are a server's connections of the quorum port. Its methods may be called by many goroutines and, but for Close, wait for
// nothing.
type Links struct {
	listener net.Listener
	dial     Dialer
	handler  Handler
	limits   Limits
	log      *slog.Logger
	ctx      context.Context // ends with Close, and with it every dial
	cancel   context.CancelFunc

	mu      sync.Mutex
	lastID  packet.LinkID
	conns   map[*Conn]bool // all whose reader runs
	waiting []*Conn        // accepted and without their first packet, the oldest first; a subset of conns
	serving chan struct{}  // closed while learners are served
	closed  bool
	running sync.WaitGroup // the accepting goroutine, dials, readers
}

// NewLinks returns Links that serve nobody yet. The listener is accepted from at once: see Serve.
func NewLinks(o LinksOptions) *Links {
	l := &Links{
		listener: o.Listener, dial: o.Dial, handler: o.Handler, limits: o.Limits.withDefaults(), log: orQuiet(o.Log),
		conns: map[*Conn]bool{}, serving: make(chan struct{}),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	if l.listener != nil {
		l.running.Go(func() { accept(l.ctx, l.listener, l.log, l.admit) }) // ends with Close
	}
	return l
}

// Serve says whether this server leads. While it does not, who connects is held for a moment (Limits.Hold) and then turned away;
// Serve(false) closes the links of learners with ErrNotServing, but not the one that was dialled.
func (l *Links) Serve(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	is := l.isServing()
	switch {
	case on && !is:
		close(l.serving)
	case !on && is:
		l.serving = make(chan struct{})
		for c := range l.conns {
			if !c.dialled {
				c.Close(ErrNotServing)
			}
		}
	}
}

// isServing is asked with l.mu held.
func (l *Links) isServing() bool {
	select {
	case <-l.serving:
		return true
	default:
		return false
	}
}

// Dial connects to a leader's quorum port. It returns at once; the handler hears Opened or Failed, exactly one of them, but after
// Close nothing. Ending ctx ends the attempt, and means nothing to a link that was opened.
func (l *Links) Dial(ctx context.Context, leader packet.ServerID, addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.running.Add(1)
	go l.connect(ctx, leader, addr) // ends with the attempt if it fails, else as a reader does; Close cancels and waits
}

func (l *Links) connect(ctx context.Context, leader packet.ServerID, addr string) {
	defer l.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	nc, err := l.dial(ctx, addr)
	if err != nil {
		if l.ctx.Err() != nil {
			err = ErrClosed
		}
		l.handler.Failed(leader, err)
		return
	}
	c, err := l.add(nc, leader, true)
	if err != nil {
		l.handler.Failed(leader, err)
		return
	}
	c.run()
}

// admit lets somebody in who has said nothing yet. It runs on the accepting goroutine and waits for nobody.
func (l *Links) admit(nc net.Conn) {
	c, err := l.add(nc, 0, false)
	if err != nil {
		return
	}
	l.running.Go(c.run) // ends when the connection does; Close closes it and waits
}

// add makes a link of a socket and closes the socket if it is too late for that.
func (l *Links) add(nc net.Conn, leader packet.ServerID, dialled bool) (*Conn, error) {
	tune(nc, l.limits.WriteTimeout)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = nc.Close()
		return nil, ErrClosed
	}
	l.lastID++
	c := newConn(l, l.lastID, nc)
	c.leader, c.dialled = leader, dialled
	l.conns[c] = true
	if !dialled {
		if len(l.waiting) >= l.limits.MaxPending {
			l.waiting[0].Close(ErrSilent)
			l.waiting = slices.Delete(l.waiting, 0, 1)
		}
		l.waiting = append(l.waiting, c)
	}
	return c, nil
}

// begun says that c's first packet has come, or never will.
func (l *Links) begun(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.waiting, c); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
}

func (l *Links) remove(c *Conn) {
	l.begun(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// Close closes the listener and all links and waits until nothing runs any more; the handler has heard Closed of every link and
// the end of every Dial. It must not be called from a handler.
func (l *Links) Close() {
	l.cancel()
	if l.listener != nil {
		_ = l.listener.Close()
	}
	l.mu.Lock()
	l.closed = true
	conns := maps.Clone(l.conns)
	l.mu.Unlock()
	for c := range conns {
		c.Close(ErrClosed)
	}
	l.running.Wait()
}
