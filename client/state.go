package client

import (
	"context"
	"iter"
	"log/slog"
	"time"
)

// State is what a client knows of its connection.
type State int

const (
	StateConnecting  State = iota // no session yet
	StateConnected                // the first session is open
	StateSuspended                // the connection is gone; the session may live or not, and what it owns is in doubt
	StateLost                     // the session is over, and all it owned is gone or about to go
	StateReconnected              // connected again: in the same session after StateSuspended, in a new one after StateLost
	StateReadOnly                 // a server without a majority answers, see Options.ReadOnly; what the session owns is in doubt
	StateClosed                   // the client was closed; the last state
)

var stateNames = [...]string{"connecting", "connected", "suspended", "lost", "reconnected", "read-only", "closed"}

// String returns the state in one word.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return "unknown"
	}
	return stateNames[s]
}

// StateChange is a state and what belongs to it.
type StateChange struct {
	State   State
	At      time.Time // since when
	Session *Session  // the session it is about; nil before the first
	Err     error     // why a session was lost or the client closed
}

// State returns the present state of the connection.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.State
}

// States returns the states of the connection as they come: first the present one, then every change in order, none left out,
// however slow the loop is: changes wait in a queue of the loop's own. It ends when ctx ends, or after StateClosed.
func (c *Client) States(ctx context.Context) iter.Seq[StateChange] {
	return func(yield func(StateChange) bool) { c.listen().each(ctx, yield) }
}

// listen begins to collect states, with the present one.
func (c *core) listen() *listener {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &listener{core: c, queue: []StateChange{c.state}, more: make(chan struct{}, 1)}
	c.listeners[l] = struct{}{}
	return l
}

// each hands on what was collected, until it is left, ctx ends, or the last state.
func (l *listener) each(ctx context.Context, yield func(StateChange) bool) {
	c := l.core
	defer func() {
		c.mu.Lock()
		delete(c.listeners, l)
		c.mu.Unlock()
	}()
	for {
		c.mu.Lock()
		changes := l.queue
		l.queue = nil
		c.mu.Unlock()
		for _, change := range changes {
			if !yield(change) || change.State == StateClosed {
				return
			}
		}
		if len(changes) > 0 {
			continue
		}
		select {
		case <-l.more:
		case <-ctx.Done():
			return
		}
	}
}

// listener is one loop over States. Its queue is guarded by the core's mutex.
type listener struct {
	core  *core
	queue []StateChange
	more  chan struct{} // holds one token when the queue may have something
}

// publish makes a state the present one and hands it to everybody who listens. It does not block.
func (c *core) publish(state State, s *Session, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.State == StateClosed {
		return
	}
	c.state = StateChange{State: state, At: time.Now(), Session: s, Err: err}
	for l := range c.listeners {
		l.queue = append(l.queue, c.state)
		select {
		case l.more <- struct{}{}:
		default:
		}
	}
}

// logStates writes a line for each state but the first, counts it, and tells the hook. It stands beside the one who publishes, as all of
// them may be slow.
func (c *core) logStates(l *listener) {
	defer close(c.logged)
	defer c.closeTelemetry()
	count := stateMeter{meters: c.meters}
	l.each(context.Background(), func(change StateChange) bool {
		count.note(change)
		if c.opts.Hooks.State != nil {
			c.opts.Hooks.State(change)
		}
		level := slog.LevelInfo
		switch change.State {
		case StateConnecting:
			return true
		case StateSuspended, StateLost, StateReadOnly:
			level = slog.LevelWarn
		}
		attrs := []any{"state", change.State.String()}
		if change.Session != nil {
			attrs = append(attrs, "session", change.Session.String())
		}
		if change.Err != nil {
			attrs = append(attrs, "cause", change.Err)
		}
		c.opts.Logger.Log(context.Background(), level, "zookeeper session", attrs...)
		return true
	})
}
