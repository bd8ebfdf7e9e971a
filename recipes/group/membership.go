package group

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
	"github.com/bellwether-zk/bellwether/recipes/node"
)

// Membership is this process's own, from Join until Leave. It outlives sessions: who is lost is registered again. Its methods may be called by
// many goroutines.
type Membership struct {
	group   *Group
	id      string
	node    *node.Node
	ctx     context.Context
	end     context.CancelCauseFunc
	running sync.WaitGroup
}

// Status is what is known of a membership.
type Status struct {
	// Registered says that the member is listed: it was when last looked at, in a session that lives as far as is known, and the
	// connection is there.
	Registered bool
	// Token is Member.Token, of the last registration.
	Token int64
	// Err is why it is not registered: ErrTaken, client.ErrNoAuth, client.ErrSessionExpired, …. With client.ErrConnectionLoss nobody knows: the
	// connection is gone, and it may still be listed. With ErrLeft it is listed until Leave returns.
	Err error
}

// Join makes this process a member, and returns when it is registered. While another has the id, of this Group or of others, it waits for
// that one to go, for Options.Patience, and then fails with ErrTaken. ctx bounds the waiting alone; if it ends, what was made is removed. It fails with
// client.ErrInvalidPath if the id cannot be a node's name, and with client.ErrBadArguments if the layout has no room for the payload. The
// membership lasts until Leave, or until the client is closed; of a view of a session, until the session is over.
func (g *Group) Join(ctx context.Context, id string, payload []byte) (*Membership, error) {
	if err := g.opts.Layout.mustName(id); err != nil {
		return nil, g.failed("join", err)
	}
	if err := g.mustHold(payload); err != nil {
		return nil, g.failed("join", err)
	}
	opts := &node.Options{ACL: g.opts.ACL, Patience: g.opts.Patience}
	if opts.Patience == 0 {
		s, err := g.client.AwaitSession(ctx)
		if err != nil {
			return nil, g.failed("join", err)
		}
		opts.Patience = s.Timeout() / 5 * 6
	}
	name, data := g.opts.Layout.node(id, payload)
	free, err := g.reserve(ctx, name, opts.Patience)
	if err != nil {
		return nil, g.failed("join", err)
	}
	n, err := node.Keep(telemetry.As(ctx, telemetry.Group, "membership"), g.client, client.Join(g.path, name), data, opts)
	if err != nil {
		free()
		return nil, g.failed("join", err)
	}
	m := &Membership{group: g, id: id, node: n}
	m.ctx, m.end = context.WithCancelCause(context.WithoutCancel(ctx))
	m.running.Go(func() { // ends when the node is not kept any more: by Leave, or with the client or the view's session
		for range n.Watch(context.Background()) {
		}
		m.end(n.Status().Err)
		free()
	})
	return m, nil
}

// reserve waits for another member of this Group that has a node's name, or is about to leave it: the servers cannot tell two of one session
// apart, and the removal of the one would meet the other.
func (g *Group) reserve(ctx context.Context, name string, patience time.Duration) (free func(), err error) {
	enough := time.NewTimer(max(patience, 0))
	defer enough.Stop()
	for {
		g.mu.Lock()
		before, there := g.own[name]
		if !there {
			gone := make(chan struct{})
			g.own[name] = gone
			g.mu.Unlock()
			return func() { g.free(name, gone) }, nil
		}
		g.mu.Unlock()
		select {
		case <-before:
		case <-enough.C:
			return nil, ErrTaken
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (last: %w)", context.Cause(ctx), ErrTaken)
		}
	}
}

func (g *Group) free(name string, gone chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.own, name)
	close(gone)
}

// mustHold refuses a payload that has no place.
func (g *Group) mustHold(payload []byte) error {
	if g.opts.Layout == PartyLayout && len(payload) > 0 {
		return fmt.Errorf("%w: members of a Party have no payload", client.ErrBadArguments)
	}
	return nil
}

// ID returns the member's id.
func (m *Membership) ID() string { return m.id }

// Path returns the path of the member's node.
func (m *Membership) Path() string { return m.node.Path() }

// Context returns a context that ends when the membership is over for good: with ErrLeft, client.ErrClosed, or the cause of the end of a view's
// session. It carries the values of Join's context. That the member is not registered for a while does not end it.
func (m *Membership) Context() context.Context { return m.ctx }

// Set changes the payload, and returns when it is written. If ctx ends before that, Set fails with its cause and client.ErrUnknown, and the
// payload is still what the member will have.
func (m *Membership) Set(ctx context.Context, payload []byte) error {
	if err := m.group.mustHold(payload); err != nil {
		return m.group.failed("set", err)
	}
	if m.group.opts.Layout == PartyLayout {
		return nil // the data are the id
	}
	if err := m.node.Set(ctx, payload); err != nil {
		return m.group.failed("set", err)
	}
	return nil
}

// Status returns what is known of the membership.
func (m *Membership) Status() Status {
	s := m.node.Status()
	now := Status{Token: s.Czxid, Err: s.Err}
	if m.ctx.Err() != nil {
		now.Err = context.Cause(m.ctx)
		return now
	}
	if !s.Present {
		return now
	}
	session := m.group.client.Session()
	switch state := m.group.client.State(); {
	case session.Err() != nil:
		now.Err = session.Err()
	case session.ID() != s.Session: // it has not been looked at in this session yet
		now.Err = client.ErrSessionExpired
	case state != client.StateConnected && state != client.StateReconnected:
		now.Err = client.ErrConnectionLoss
	default:
		now.Registered = true
	}
	return now
}

// Watch yields the status, and then each other one, the last of those that follow each other quickly. It ends with ctx, or when the
// membership is over, with the last status.
func (m *Membership) Watch(ctx context.Context) iter.Seq[Status] {
	return func(yield func(Status) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var feet sync.WaitGroup
		defer feet.Wait()
		defer cancel()
		more := make(chan struct{}, 1)
		wake := func() {
			select {
			case more <- struct{}{}:
			default:
			}
		}
		feet.Go(func() { // ends with ctx
			for range m.node.Watch(ctx) {
				wake()
			}
			wake()
		})
		feet.Go(func() { // ends with ctx
			for range m.group.client.States(ctx) {
				wake()
			}
		})
		last := m.Status()
		for told := false; ; told = true {
			now := m.Status()
			over := m.ctx.Err() != nil
			if (!told || now != last) && !yield(now) || over {
				return
			}
			last = now
			select {
			case <-more:
			case <-m.ctx.Done():
			case <-ctx.Done():
				return
			}
		}
	}
}

// Leave gives the membership up. Its context ends at once; Leave returns when the member is certainly not registered any more. If ctx ends
// before that, Leave fails with its cause and client.ErrUnknown while the removal goes on, and a further Leave waits for it. It fails
// with client.ErrNoAuth if the node must not be removed. To leave again is no error.
func (m *Membership) Leave(ctx context.Context) error {
	m.end(ErrLeft)
	if err := m.node.Close(ctx); err != nil {
		return m.group.failed("leave", err)
	}
	m.running.Wait()
	return nil
}
