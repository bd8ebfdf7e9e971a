package partition

import (
	"context"
	"fmt"
	"sync"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// Part is a part that is this member's, from when it got it until it is given up. Who gets it again has another Part, with a greater token. Its
// methods may be called by many goroutines.
type Part struct {
	share *Share
	name  string
	hold  *lock.Hold
	ctx   partContext
	end   context.CancelCauseFunc // ends ctx, unless it has ended

	moving   chan struct{} // closed when it is to move, or has ended
	telling  sync.Once
	letting  sync.Once
	released chan struct{} // closed when its owner has let go
	gone     chan struct{} // closed when it was given up: nobody else was let in before
	failure  error         // why that is not certain; written before gone is closed
	handed   bool          // to the user, who is waited for; guarded by the share's mutex
}

func newPart(s *Share, name string, hold *lock.Hold, values context.Context) *Part {
	inner, cancel := context.WithCancelCause(hold.Context())
	return &Part{
		share: s, name: name, hold: hold, ctx: partContext{inner, hold.Context(), values}, end: cancel,
		moving: make(chan struct{}), released: make(chan struct{}), gone: make(chan struct{}),
	}
}

// Name returns the part's name.
func (p *Part) Name() string { return p.name }

// Context returns a context that ends when the part is not this member's any more, with the cause: ErrMoved, ErrReleased, ErrRemoved, ErrLeft,
// or that of the session's end (client.ErrSessionExpired, client.ErrClosed). It ends by itself before anybody else can own the part, and
// its Err looks at the clocks. The owner's work runs under it. It carries the values of the context of Run, or Join.
func (p *Part) Context() context.Context { return p.ctx }

// Moving returns a channel that is closed when the part is about to move to another member, which waits for it already: there is Options.Notice
// left to bring the work to an end, before Context ends. Who is done earlier returns, or releases the part. It is closed in any case soon after
// Context has ended.
func (p *Part) Moving() <-chan struct{} { return p.moving }

// Token returns the fencing token: the transaction that created the owner's node, greater than the token of every owner of this part before. See
// ticket.Ticket.Token for where tokens compare.
func (p *Part) Token() int64 { return p.hold.Token() }

// Path returns the path of the owner's node.
func (p *Part) Path() string { return p.hold.Path() }

// Session returns the session the part is owned in.
func (p *Part) Session() *client.Session { return p.hold.Session() }

// Guard returns a check to be the first part of a multi on the same client: the multi fails with client.ErrNoNode, changing nothing, unless
// this owner's node is there at the very moment of the change. This is exact, where looking at Context is not.
func (p *Part) Guard() client.Op { return p.hold.Guard() }

// Release tells that the owner has let go: its context ends at once, and when Release returns the part can be another's. If it is still to be
// this member's it is taken again a second later, as another Part. Who was given a Part by Share.Parts has to release it in any case;
// in Run the function's return does it. If ctx ends before it is certain that the part was given up, Release fails with ctx's cause and
// client.ErrUnknown, and it goes on in the background. To release again is no error.
func (p *Part) Release(ctx context.Context) error {
	p.letGo()
	select {
	case <-p.gone:
		return p.failure
	case <-ctx.Done():
		return p.share.partition.failed("release", fmt.Errorf("%w: %w", client.ErrUnknown, context.Cause(ctx)))
	}
}

// tell tells the owner that the part is about to go, or gone.
func (p *Part) tell() { p.telling.Do(func() { close(p.moving) }) }

// letGo notes that the owner does nothing any more.
func (p *Part) letGo() {
	p.end(ErrReleased)
	p.letting.Do(func() { close(p.released) })
}

// partContext is a part's context: that of its hold with a shorter life, and values from elsewhere.
type partContext struct {
	context.Context                 // derived from hold
	hold            context.Context // which looks at the clocks
	values          context.Context
}

// Err is context.Context's.
func (c partContext) Err() error {
	_ = c.hold.Err() // ends the hold, and with it this context, if its time is over
	return c.Context.Err()
}

// Value is context.Context's. What package context keeps in a context to find causes and children is asked of the part's own.
func (c partContext) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.values.Value(key)
}
