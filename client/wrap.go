package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-zookeeper/zk"
)

// ErrWrapped tells that a session cannot be kept, since its connection was made by somebody else, see [Wrap].
var ErrWrapped = errors.New("session of a wrapped connection cannot be kept")

// Wrap makes a client of a connection that the caller has made with the library, and of the channel of events that came with it, for
// programs that cannot change how they connect. Both belong to the client from then on: it reads the events, and Close closes the
// connection. It returns when the connection has a session; ctx bounds that alone.
//
//	conn, events, err := zk.Connect(servers, 10*time.Second)
//	…
//	c, err := client.Wrap(ctx, conn, events, nil)
//
// Of opts it takes what is not the connection's business: SessionTimeout, which must be what the servers have granted, ACL, ACLFor, Check,
// MaxFrame, Retry, Hooks but for Dialled, the logger and telemetry. It refuses the others.
//
// Contexts, outcomes, protected creates, watches and Multi are what they are in a client of its own making. Beneath it is the library's
// connection as it is, and so it cannot promise that
//   - a session is known to be over before the servers say so: [Session.Keep] fails with ErrWrapped, and with it everything that two must
//     not have, such as locks;
//   - a silent server is left, or the next one tried, as soon as by a client of its own making;
//   - no state is missed: the library drops events when more than six wait, so states are also looked at every second;
//   - nothing queued in one session runs in the next: what may have is reported with ErrUnknown, but it may leave an ephemeral node in a
//     session it was not meant for;
//   - Close takes a few seconds at most, or tells whether the servers have confirmed the end of the session.
func Wrap(ctx context.Context, conn *zk.Conn, events <-chan zk.Event, opts *Options) (*Client, error) {
	if err := wrappable(conn, events, opts); err != nil {
		return nil, &Error{Op: "wrap", Err: err}
	}
	c, err := newCore("wrapped", opts)
	if err != nil {
		return nil, &Error{Op: "wrap", Err: err}
	}
	w := &wrapped{core: c, conn: conn, events: events, first: make(chan error, 1)}
	go c.logStates(c.listen()) // ends after Close, with the last state
	go w.run()                 // ends after Close, or when somebody else has closed the connection
	select {
	case err = <-w.first:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = c.close()
		return nil, &Error{Op: "wrap", Err: err}
	}
	return c.client(), nil
}

// wrappable tells all that is wrong with what Wrap was given.
func wrappable(conn *zk.Conn, events <-chan zk.Event, opts *Options) error {
	if conn == nil || events == nil {
		return fmt.Errorf("%w: a connection and its events are both needed", ErrBadArguments)
	}
	if opts == nil {
		return nil
	}
	var problems []error
	for name, set := range map[string]bool{
		"ConnectTimeout": opts.ConnectTimeout != 0, "Dialer": opts.Dialer != nil, "Auth": len(opts.Auth) > 0, "Reconnect": opts.Reconnect != nil,
		"FollowConfig": opts.FollowConfig, "ReadOnly": opts.ReadOnly,
	} {
		if set {
			problems = append(problems, fmt.Errorf("%w: option %s is the connection's own business", ErrBadArguments, name))
		}
	}
	return errors.Join(problems...)
}

// wrapped follows the sessions of a connection that is not the client's own making.
type wrapped struct {
	core   *core
	conn   *zk.Conn
	events <-chan zk.Event
	first  chan error // hears of the first session, or that there will be none
	number int
	gen    *generation // of the present session, nil without
}

// run goes on until the client is closed, or the connection.
func (w *wrapped) run() {
	c := w.core
	defer close(c.finished)
	look := time.NewTicker(min(c.opts.SessionTimeout/10, time.Second))
	defer look.Stop()
	w.look()
	for {
		select {
		case e, open := <-w.events:
			if !open {
				w.over(ErrClosed)
				w.report(fmt.Errorf("%w: the connection was closed", ErrClosed))
				c.markClosed()
				c.publish(StateClosed, c.lastSession(), ErrClosed)
				return
			}
			w.hear(e)
		case <-look.C:
			w.look()
		case <-c.life.Done():
			if w.gen != nil {
				w.gen.end(ErrClosed)
			}
			w.conn.Close()
			for range w.events { // closed by the library as the last thing it does
			}
			w.over(ErrClosed)
			return
		}
	}
}

// hear takes an event of the library, as far as it was not dropped.
func (w *wrapped) hear(e zk.Event) {
	switch {
	case e.Type != zk.EventSession:
		if w.gen != nil {
			w.gen.event(e)
		}
	case e.State == zk.StateExpired:
		w.over(ErrSessionExpired)
	case e.State == zk.StateDisconnected && w.gen != nil:
		w.gen.detach()
	}
	w.look()
}

// look compares what is known with how the connection is.
func (w *wrapped) look() {
	has, id := w.conn.State() == zk.StateHasSession, w.conn.SessionID()
	if w.gen != nil && id != w.gen.session.id {
		w.over(ErrSessionExpired)
	}
	switch {
	case has && id != 0 && w.gen == nil:
		w.begin(id)
	case has && w.gen != nil:
		w.gen.attachAgain()
	case !has && w.gen != nil:
		w.gen.detach()
	}
}

// begin makes the session the connection has the client's.
func (w *wrapped) begin(id int64) {
	w.number++
	g := newGeneration(w.core, w.number)
	g.conn, g.foreign = w.conn, true
	g.granted.id, g.granted.timeout = id, w.core.opts.SessionTimeout
	g.attach()
	g.core.adopt(g, len(g.core.credentials(0))) // the library gives every session the identities itself
	w.gen = g
	w.report(nil)
}

// over ends the present session, and waits for what runs in it.
func (w *wrapped) over(cause error) {
	g := w.gen
	if g == nil {
		return
	}
	w.gen = nil
	g.end(cause)
	if lost(cause) {
		w.core.publish(StateLost, g.session, cause)
	}
	w.core.leftovers.Go(g.calls.Wait) // the library may answer them much later, when it is connected again
}

func (w *wrapped) report(err error) {
	select {
	case w.first <- err:
	default:
	}
}

// attachAgain is attach, unless it is attached.
func (g *generation) attachAgain() {
	g.mu.Lock()
	attached := g.attached
	g.mu.Unlock()
	if !attached {
		g.attach()
	}
}

// within has what is done through a connection that may have changed its session count only if it has not.
func within[T any](g *generation, fn func(*zk.Conn) (T, error)) func(*zk.Conn) (T, error) {
	if !g.foreign {
		return fn
	}
	return func(conn *zk.Conn) (v T, err error) {
		if conn.SessionID() != g.session.id {
			return v, zk.ErrNoServer // as if it had left the queue unsent, which it did not even enter
		}
		v, err = fn(conn)
		if conn.SessionID() != g.session.id {
			var none T
			return none, zk.ErrConnectionClosed
		}
		return v, err
	}
}

// watchByLibrary runs a read, with one of the library's watches if the server does not have it yet: there is no tap to put the watch in.
func (g *generation) watchByLibrary(key watchKey, sig *signal, fn func(*zk.Conn, string) (answer, error)) (a answer, err error) {
	if !g.wanted(key) {
		return fn(g.conn, key.path)
	}
	var fired <-chan zk.Event
	switch key.kind {
	case watchData:
		a.data, a.stat, fired, err = g.conn.GetW(key.path)
	case watchExists:
		a.found, a.stat, fired, err = g.conn.ExistsW(key.path)
	case watchChildren:
		a.names, a.stat, fired, err = g.conn.ChildrenW(key.path)
	}
	if err != nil {
		return a, err
	}
	return a, g.begun(func() { // ends when the watch is woken, by whatever, or the session is over
		select {
		case e := <-fired:
			g.event(e)
		case <-sig.done:
		case <-g.ctx.Done():
		}
	})
}

// begun runs f on a goroutine of the generation.
func (g *generation) begun(f func()) error {
	if err := g.begin(); err != nil {
		return err
	}
	go func() { // ends when f does
		defer g.calls.Done()
		f()
	}()
	return nil
}
