package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// frameOverhead is room beside a request of the largest size for what the library puts around it.
const frameOverhead = 64

// Client is a connection to a ZooKeeper ensemble, with one session at a time. All methods may be called by many goroutines at once.
type Client struct {
	*core
	base string   // what its paths are relative to: the chroot, or a directory below it; "" or a path without a slash at its end
	pin  *Session // of a view bound to one session, else nil
}

// core is what a client and its views share.
type core struct {
	roster *roster
	chroot string
	opts   Options
	tracer trace.Tracer // nil: no spans
	meters *meters      // nil: no metrics

	life      context.Context // ends with the first Close
	endLife   context.CancelCauseFunc
	dialing   chan struct{}  // holds one token while the Dialer is called
	finished  chan struct{}  // closed by run as the last thing it does
	leftovers sync.WaitGroup // what run did not wait for
	logged    chan struct{}  // closed when the last state was logged

	madeConfigs madeConfigs // has a mutex of its own

	built struct { // by Instruments
		mu   sync.Mutex
		made map[any]any
	}

	mu         sync.Mutex
	closed     bool
	closeErr   error
	current    *generation   // the newest whose session was opened; nil before the first
	moved      chan struct{} // closed and replaced when current changes or the client closes
	majority   string        // a server that has one, to go to next; "" when none is known
	state      StateChange
	listeners  map[*listener]struct{}
	identities []Auth
	dialErr    error // the last failure to reach a server
	loginErr   error // the last failure to authenticate
}

// client returns the client that works on everything below the chroot, in whatever session there is.
func (c *core) client() *Client { return &Client{core: c, base: c.chroot} }

// In returns a view of this client, with the paths of this client, whose operations run in one of its sessions only, as those of
// [Session.Client] do. For code that is given a client and a session: it stays below the directory of [Client.Sub].
func (c *Client) In(s *Session) *Client { return &Client{core: c.core, base: c.base, pin: s} }

// Connect opens a session with an ensemble and returns when a server has confirmed it. servers is a connect string as every ZooKeeper
// client takes it: host:port pairs separated by commas, then optionally a chroot, a path every operation is relative to:
//
//	zk1:2181,zk2:2181,zk3:2181/apps/search
//
// The chroot node is not made. ctx bounds the connecting alone: while no server can be reached Connect keeps trying until ctx ends, and
// then tells what hindered it last. It fails at once on a connect string or options that cannot work, and when the
// servers refuse the credentials of Options.Auth. The client lives until Close.
func Connect(ctx context.Context, servers string, opts *Options) (*Client, error) {
	c, err := newCore(servers, opts)
	if err != nil {
		return nil, &Error{Op: "connect", Err: err}
	}
	first := make(chan error, 1)
	go c.logStates(c.listen()) // ends after Close, with the last state
	go c.run(first)            // ends after Close
	select {
	case err = <-first:
	case <-ctx.Done():
		err = c.whyNot(context.Cause(ctx))
	}
	if err != nil {
		_ = c.close()
		return nil, &Error{Op: "connect", Err: err}
	}
	if c.opts.FollowConfig {
		c.leftovers.Go(c.followConfig) // ends after Close
	}
	return c.client(), nil
}

func newCore(servers string, opts *Options) (*core, error) {
	list, chroot, err := parseServers(servers)
	if err != nil {
		return nil, err
	}
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &core{
		roster: newRoster(list), chroot: chroot, opts: o,
		dialing: make(chan struct{}, 1), finished: make(chan struct{}), logged: make(chan struct{}),
		moved: make(chan struct{}), listeners: make(map[*listener]struct{}),
		identities: append([]Auth(nil), o.Auth...), state: StateChange{At: time.Now()},
	}
	c.life, c.endLife = context.WithCancelCause(context.Background())
	return c, c.prepareTelemetry()
}

// run opens one session after the other until the client is closed. first hears of the first session, or of credentials that were
// refused before there was one.
func (c *core) run(first chan<- error) {
	defer close(c.finished)
	pauses := newPacer(c.opts.Reconnect())
	for number := 1; ; number++ {
		g := newGeneration(c, number)
		if err := g.open(); err != nil {
			first <- err
			return
		}
		err := c.prepare(g)
		opened := time.Now()
		if err == nil {
			select {
			case first <- nil:
			default:
			}
		}
		select {
		case <-g.ctx.Done():
		case <-c.life.Done():
			g.end(ErrClosed)
		}
		fleeting := g.local && time.Since(opened) < time.Second // else two servers that say what is not so would have us run between them
		if err == nil && !fleeting {
			pauses.reset()
		}
		c.bury(g)
		if err != nil && errors.Is(err, ErrAuthFailed) {
			select {
			case first <- err:
			default:
			}
		}
		select {
		case <-c.life.Done():
			return
		default:
		}
		if (err != nil || fleeting) && sleep(c.life, pauses.next()) != nil {
			return
		}
	}
}

// prepare waits for the generation's session, gives it its identities and makes it the client's session. A session that cannot be used is
// ended.
func (c *core) prepare(g *generation) error {
	select {
	case <-g.established:
	case <-g.ctx.Done():
		return context.Cause(g.ctx)
	case <-c.life.Done():
		return ErrClosed
	}
	ctx, cancel := context.WithTimeout(g.ctx, c.opts.SessionTimeout)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	for given := 0; ; {
		rest := c.credentials(given)
		if err := g.authenticate(ctx, rest); err != nil {
			c.noteLoginError(err)
			g.end(fmt.Errorf("%w: %w", ErrSessionExpired, err))
			return err
		}
		given += len(rest)
		if c.adopt(g, given) {
			return nil
		}
	}
}

// adopt makes the generation's session the client's, if it has been given all identities.
func (c *core) adopt(g *generation, given int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.mu.Lock()
	if given < len(c.identities) {
		c.mu.Unlock()
		return false
	}
	state := StateConnected
	if c.current != nil {
		state = StateReconnected
	}
	state = g.granted.state(state)
	g.ready = true
	c.current = g
	c.wakeLocked()
	c.mu.Unlock()
	c.publish(state, g.session, nil)
	if !g.attached && !g.ended {
		c.publish(StateSuspended, g.session, nil)
	}
	return true
}

// bury tells of a session's end and waits until nothing of it runs.
func (c *core) bury(g *generation) {
	cause := context.Cause(g.ctx)
	if g.ready && lost(cause) {
		c.publish(StateLost, g.session, cause)
	}
	g.shutdown()
	if !g.ready || lost(cause) || g.confirms {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeErr = &Error{Op: "close", Err: unknown(fmt.Errorf("%w: session %v ends when its timeout is over", ErrConnectionLoss, g.session))}
}

// Close ends the session and returns when nothing of the client runs any more, a few seconds at most; operations under way end
// with ErrClosed, writes among them with ErrUnknown too. Session contexts end before the servers are told, so that a holder knows
// before anybody else may hold. Close may be called more than once and by several goroutines; all wait, and get the same answer.
//
// An error says that no server confirmed the end of the session: its ephemeral nodes stay until its timeout is over.
func (c *Client) Close() error { return c.close() }

// markClosed lets nothing begin any more.
func (c *core) markClosed() {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		c.wakeLocked()
	}
	c.mu.Unlock()
	c.endLife(ErrClosed)
}

func (c *core) close() error {
	c.markClosed()
	<-c.finished
	c.leftovers.Wait()
	c.publish(StateClosed, c.lastSession(), ErrClosed) // once: nothing is published behind it
	<-c.logged
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closeErr
}

// lastSession returns the session the last state was about.
func (c *core) lastSession() *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Session
}

// Session returns the present session, or the last one when it is over and no other is open yet. It does not wait and never returns nil.
// For a view it is always the view's session.
func (c *Client) Session() *Session {
	if c.pin != nil {
		return c.pin
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current.session
}

// AwaitSession returns a session that lives at this moment, waiting for the next one to open if need be. It fails with ctx's cause, with
// ErrClosed, and for a view with the cause of its session's end.
func (c *Client) AwaitSession(ctx context.Context) (*Session, error) {
	g, err := c.generation(ctx)
	if err != nil {
		return nil, &Error{Op: "session", Err: err}
	}
	return g.session, nil
}

// Bound tells whether this is a view of one session, made by Session.Client.
func (c *Client) Bound() bool { return c.pin != nil }

// generation returns the one to run an operation in.
func (c *Client) generation(ctx context.Context) (*generation, error) {
	if c.pin != nil {
		return c.pin.gen, c.pin.Err()
	}
	for {
		c.mu.Lock()
		g, closed, moved := c.current, c.closed, c.moved
		c.mu.Unlock()
		if closed {
			return nil, ErrClosed
		}
		if g.ctx.Err() == nil {
			return g, nil
		}
		select {
		case <-moved:
		case <-c.life.Done():
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// wakeLocked wakes those who wait for current to change. The caller holds mu.
func (c *core) wakeLocked() {
	close(c.moved)
	c.moved = make(chan struct{})
}

// credentials returns the client's identities but the first given.
func (c *core) credentials(given int) []Auth {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Auth(nil), c.identities[given:]...)
}

func (c *core) noteDialError(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialErr = err
}

func (c *core) noteLoginError(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loginErr = err
}

// whyNot adds to the reason Connect gave up what kept it from connecting.
func (c *core) whyNot(reason error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.loginErr != nil:
		return fmt.Errorf("%w (last: %w)", reason, c.loginErr)
	case c.dialErr != nil:
		return fmt.Errorf("%w (last: %w)", reason, c.dialErr)
	}
	return reason
}

// libraryLog passes the library's own lines on, for those who look for trouble.
type libraryLog struct{ to *slog.Logger }

func (l libraryLog) Printf(format string, args ...any) {
	if l.to.Enabled(context.Background(), slog.LevelDebug) {
		l.to.Debug("zookeeper connection", "said", fmt.Sprintf(format, args...))
	}
}
