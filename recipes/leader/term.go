package leader

import (
	"context"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// Term is the time in which one candidate leads. It begins with Lead, or the call of Run's function, and is over when its context
// ends, for good: who leads again has another term, with a greater token. Its methods may be called by many goroutines.
type Term struct {
	election *Election
	ticket   *ticket.Ticket
	ctx      termContext
	end      context.CancelCauseFunc // ends ctx, unless it has ended
	handing  chan struct{}           // full while HandOver is under way
	hold     *telemetry.Hold         // how it is seen; nil: not at all
}

// begin begins a term with a ticket that is first.
func (e *Election) begin(t *ticket.Ticket, values context.Context, wait *telemetry.Wait) *Term {
	inner, cancel := context.WithCancelCause(t.Context())
	term := &Term{election: e, ticket: t, end: cancel, handing: make(chan struct{}, 1)}
	if e.opts.MaxTerm > 0 {
		limited, stop := context.WithTimeoutCause(inner, e.opts.MaxTerm, ErrTermOver)
		context.AfterFunc(inner, stop)
		inner = limited
	}
	term.hold = wait.Held(telemetry.Held{Session: t.Session(), Life: inner, Path: t.Path(), Token: t.Token()})
	term.ctx = termContext{inner, t.Context(), term.hold.Context(values)}
	if e.opts.EndWhenSuspended {
		// Ends with the term. If it cannot begin, the session is over, and so is the term.
		_ = t.Session().Go(func(context.Context) { term.endWhenSuspended() })
	}
	return term
}

func (t *Term) endWhenSuspended() {
	for change := range t.election.client.States(t.ctx.Context) {
		if change.State == client.StateSuspended {
			t.end(ErrSuspended)
			return
		}
	}
}

// Context returns a context that ends when the term is over, with the cause: ErrResigned, ErrTermOver, ErrSuspended, ErrRemoved, or that of
// the session's end (client.ErrSessionExpired, client.ErrClosed). It ends by itself before anybody else can lead, and its Err looks at
// the clocks. A leader's work runs under it. With Options.MaxTerm it has a deadline. In Run it ends with Run's context too and carries
// that one's values; that of Lead is not derived from any other.
func (t *Term) Context() context.Context { return t.ctx }

// Token returns the fencing token: the transaction that created the leader's node, greater than the token of every term before, whoever
// led. See ticket.Ticket.Token for where tokens compare.
func (t *Term) Token() int64 { return t.ticket.Token() }

// Path returns the path of the leader's node.
func (t *Term) Path() string { return t.ticket.Path() }

// Session returns the session the term belongs to.
func (t *Term) Session() *client.Session { return t.ticket.Session() }

// Guard returns a check to be the first part of a multi on the same client: the multi fails with client.ErrNoNode, changing nothing, unless
// this leader's node is there at the very moment of the change. This is exact, where looking at Context is not.
func (t *Term) Guard() client.Op { return client.CheckOp(t.ticket.Path(), client.AnyVersion) }

// Resign ends the term. Its context ends at once; Resign returns when the leader's node is certainly gone, by being deleted now or before,
// or by the end of its session. To resign again is no error. If ctx ends before it is certain, Resign fails with ctx's cause and
// client.ErrUnknown while the removal goes on in the background; a further Resign waits for it. Nobody else's node is ever touched.
// It does not wait for the function of Run, which may be on its way out when another leads already; returning from it resigns behind it.
func (t *Term) Resign(ctx context.Context) error {
	t.end(ErrResigned)
	return t.leave(ctx)
}

// leave gives the place up, behind a HandOver that is under way.
func (t *Term) leave(ctx context.Context) error {
	select {
	case t.handing <- struct{}{}:
		defer func() { <-t.handing }()
	case <-ctx.Done(): // it has had its time
	}
	return t.ticket.Return(ctx)
}

// termContext is a term's context: that of its ticket with a shorter life, and values from elsewhere.
type termContext struct {
	context.Context                 // derived from place
	place           context.Context // which looks at the clocks
	values          context.Context
}

// Err is context.Context's.
func (c termContext) Err() error {
	_ = c.place.Err() // ends the place, and with it this context, if its time is over
	return c.Context.Err()
}

// Value is context.Context's. What package context keeps in a context to find causes and children is asked of the term's own.
func (c termContext) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.values.Value(key)
}
