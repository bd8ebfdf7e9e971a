package client

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/go-zookeeper/zk"
)

// generation is one session's life: from the first dial to the moment nothing of it runs any more. It has one connection object of the
// library for itself, since that would open another session by itself and execute in it what was queued in this one: when the session
// is over, the generation's dialer refuses, for good.
//
// The library calls event and dial from its own goroutine. All that is decided here is decided under mu, and end happens once.
type generation struct {
	core    *core
	number  int
	conn    *zk.Conn
	room    room
	foreign bool // the connection is not of the client's making, see Wrap
	events  <-chan zk.Event
	start   time.Time
	calls   sync.WaitGroup // the library's calls under way
	unsafe  unsafeCalls    // some of them

	ctx         context.Context // ends with the session, with its cause
	cancel      context.CancelCauseFunc
	established chan struct{} // closed at the first handshake
	heardAt     atomic.Int64  // since start, nanoseconds

	// Used by the library's goroutine only.
	pauses     *pacer
	dials      int // of this round, since the connection was last good
	attachedAt time.Time
	dialledAt  time.Time
	dialled    string // the server

	mu       sync.Mutex
	session  *Session // set at the first handshake
	local    bool     // a read-only server opened the session, and nobody else knows it; set with session
	ready    bool     // identities given; users may have it
	attached bool     // connected, and the session confirmed by the server
	ended    bool
	raw      net.Conn // the present connection
	timer    *time.Timer
	granted  grant              // by the last handshake
	stay     context.CancelFunc // ends the search for a majority; nil when there is none
	watches  watches
	listings map[string]*listing // by the path that is to be created
	ledger   ledger              // has a mutex of its own
	confirms bool                // the server confirmed the end of the session
}

func newGeneration(c *core, number int) *generation {
	g := &generation{
		core: c, number: number, start: time.Now(), established: make(chan struct{}), pauses: newPacer(c.opts.Reconnect()),
		watches: newWatches(), ledger: newLedger(),
	}
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	return g
}

// open starts the library. It does not wait for anything.
func (g *generation) open() error {
	o := &g.core.opts
	first := firstBuffer
	for _, a := range g.core.credentials(0) { // which the library sends by itself after a reconnect
		first = max(first, int64(len(a.Scheme)+len(a.Credential)+fixedSize+frameOverhead))
	}
	g.room.most = int64(o.MaxFrame + frameOverhead)
	g.room.has.Store(first)
	conn, events, err := zk.Connect(g.core.roster.told, o.SessionTimeout,
		func(c *zk.Conn) { g.room.of = c },
		zk.WithDialer(g.dial),
		zk.WithHostProvider(newRounds(g.core.roster, func() bool { return g.ctx.Err() != nil }, g.core.preferred)),
		zk.WithEventCallback(g.event),
		zk.WithMaxConnBufferSize(int(first)),
		zk.WithLogger(libraryLog{o.Logger}))
	if err != nil {
		return err
	}
	g.conn, g.events = conn, events
	return nil
}

// dial opens the next connection for the library, after a pause when a whole round over the servers brought nothing that lasted.
func (g *generation) dial(network, addr string, _ time.Duration) (net.Conn, error) {
	if !g.attachedAt.IsZero() && time.Since(g.attachedAt) > time.Second {
		g.dials = 0
		g.pauses.reset()
	}
	g.attachedAt = time.Time{}
	if g.dials >= g.core.roster.size() {
		if err := sleep(g.ctx, g.pauses.next()); err != nil {
			return nil, err
		}
		g.dials = 0
	}
	g.dials++
	ctx, cancel := context.WithTimeout(g.ctx, g.core.opts.ConnectTimeout)
	defer cancel()
	g.dialledAt, g.dialled = time.Now(), addr
	limit := g.dialledAt.Add(g.core.opts.ConnectTimeout)
	conn, err := g.core.dial(ctx, network, addr)
	if err != nil {
		g.core.noteDialError(err)
		return nil, err
	}
	return g.adopt(conn, limit)
}

// adopt makes conn the present connection, unless the session ended while it was dialled.
func (g *generation) adopt(conn net.Conn, limit time.Time) (net.Conn, error) {
	t := newTap(conn, limit, g.core.opts.MaxFrame+frameOverhead)
	t.heard = func() { g.heardAt.Store(int64(time.Since(g.start))) }
	t.closed = func() {
		g.mu.Lock()
		g.confirms = true
		g.mu.Unlock()
	}
	t.wanted, t.sends, t.hears, t.reconfigured = g.wanted, g.ledger.sends, g.ledger.hears, g.core.madeConfigs.hears
	t.listing = g.expected
	t.readOnly, t.refused = g.core.opts.ReadOnly, g.core.noteDialError
	t.written, t.reading = g.room.grow, func() { g.room.receive(t.maxFrame) }
	g.room.receive(int(firstBuffer))
	t.attached = func(given grant) {
		g.ledger.opens(t.greeted, given, g.core.opts.TickTime)
		g.mu.Lock()
		g.granted = given
		g.mu.Unlock()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		conn.Close()
		return nil, context.Cause(g.ctx)
	}
	g.raw = t
	return t, nil
}

// event hears everything the library has to tell, in order, on the library's goroutine. It must not block.
func (g *generation) event(e zk.Event) {
	switch e.Type {
	case zk.EventSession:
		switch e.State {
		case zk.StateHasSession:
			g.attach()
		case zk.StateDisconnected:
			g.detach()
		case zk.StateExpired:
			g.end(ErrSessionExpired)
		}
	case zk.EventNodeCreated, zk.EventNodeDeleted, zk.EventNodeDataChanged, zk.EventNodeChildrenChanged:
		g.mu.Lock()
		defer g.mu.Unlock()
		g.watches.fire(EventType(e.Type), e.Path)
	}
}

// attach notes that a server confirmed the session.
func (g *generation) attach() {
	g.attachedAt = time.Now()
	if !g.foreign {
		g.core.measureConnection(g.dialled, g.attachedAt.Sub(g.dialledAt))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return
	}
	g.attached = true
	if g.granted.readOnly {
		g.seekLocked() // the timer runs on: this server cannot tell whether the session lives
	} else if g.timer != nil {
		g.timer.Stop()
	}
	if g.session == nil {
		g.local = g.granted.readOnly
		g.session = &Session{gen: g, id: g.granted.id, ctx: leasedContext{g.ctx, g}}
		g.session.timeout.Store(int64(g.granted.timeout))
		close(g.established)
		return
	}
	g.session.timeout.Store(int64(g.granted.timeout))
	g.watches.fireAll(EventReconnected)
	if g.ready {
		g.core.publish(g.granted.state(StateReconnected), g.session, nil)
	}
}

// state is that of being attached, which is called so if the server does not only read.
func (g grant) state(called State) State {
	if g.readOnly {
		return StateReadOnly
	}
	return called
}

// detach notes that the connection is gone, and sets the alarm for the moment the session is given up: when nothing was heard of a majority
// for the whole negotiated timeout. A session that no majority knows is over at once.
func (g *generation) detach() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended || !g.attached {
		return
	}
	g.attached = false
	if g.stay != nil {
		g.stay()
		g.stay = nil
	}
	if g.local {
		g.endLocked(errUnknownSession)
		return
	}
	if g.timer != nil {
		g.timer.Stop()
	}
	if !g.foreign { // else the session goes on for as long as the library likes
		silence := time.Since(g.start) - time.Duration(g.heardAt.Load())
		g.timer = time.AfterFunc(g.session.Timeout()-silence, g.giveUp)
	}
	if g.ready {
		g.core.publish(StateSuspended, g.session, nil)
	}
}

// giveUp ends the session if it is true, at this moment, that no server with a majority was heard for the whole timeout.
func (g *generation) giveUp() {
	g.mu.Lock()
	defer g.mu.Unlock()
	silence := time.Since(g.start) - time.Duration(g.heardAt.Load())
	switch {
	case silence < g.session.Timeout():
	case !g.attached:
		g.endLocked(errSilence)
	case g.granted.readOnly:
		g.endLocked(errUnproved)
	}
}

// end makes the session's end known to everybody who waits on it. The first cause stays. It does not wait for the library to end.
func (g *generation) end(cause error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.endLocked(cause)
}

// endLocked is end for who holds mu.
func (g *generation) endLocked(cause error) {
	if g.ended {
		return
	}
	g.ended = true
	if g.timer != nil {
		g.timer.Stop()
	}
	g.ledger.stop()
	g.cancel(cause)
	g.watches.failAll(cause)
	if g.raw != nil && (lost(cause) || !g.attached) {
		g.raw.Close()
	}
}

// shutdown ends the library's object and returns when nothing of the generation runs. A session that is given up by its user's wish
// while connected is closed on the server, so that its ephemeral nodes go at once; waiting for that confirmation is bounded by
// the library, a second from the moment the request could be queued.
func (g *generation) shutdown() {
	g.mu.Lock()
	graceful := g.attached && !lost(context.Cause(g.ctx))
	g.mu.Unlock()
	if graceful {
		g.unsafe.wait(time.Second)
		g.conn.Close()
	} else {
		// Ends within three seconds, the library's own bounds, most often at once. The next session does not wait for it, the client's
		// Close does.
		g.core.leftovers.Go(g.conn.Close)
	}
	g.mu.Lock()
	if g.raw != nil {
		g.raw.Close()
	}
	g.mu.Unlock()
	for range g.events { // closed by the library as the last thing it does
	}
	g.calls.Wait()
}

// begin admits one call to the library; every admitted call is followed by calls.Done.
func (g *generation) begin() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return context.Cause(g.ctx)
	}
	g.calls.Add(1)
	return nil
}

// authenticate gives the session the client's identities.
func (g *generation) authenticate(ctx context.Context, identities []Auth) error {
	for _, a := range identities {
		_, err := call(ctx, g, func(conn *zk.Conn) (struct{}, error) {
			return struct{}{}, conn.AddAuth(a.Scheme, a.Credential)
		})
		if err != nil {
			return fmt.Errorf("authenticate with scheme %s: %w", a.Scheme, err)
		}
	}
	return nil
}

// pacer is a policy of pauses that never ends: where it says Stop, its last pause is repeated.
type pacer struct {
	policy backoff.BackOff
	last   time.Duration
}

func newPacer(policy backoff.BackOff) *pacer {
	policy.Reset()
	return &pacer{policy: policy, last: 50 * time.Millisecond}
}

func (p *pacer) reset() { p.policy.Reset() }

func (p *pacer) next() time.Duration {
	if d := p.policy.NextBackOff(); d != backoff.Stop {
		p.last = d
	}
	return p.last
}

// sleep waits for d, or until ctx ends and returns its cause.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
