package lock

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// ErrNested is the failure of a Lock or RLock whose context comes from a hold of the same lock: it would wait for that hold, which is
// released only after it. Options.Reentrant makes it another hold of the same, where that can be.
var ErrNested = errors.New("lock is held further up, and would wait for itself")

// ErrMaxHold is the cause in the context of a Hold that has lasted for Options.MaxHold.
var ErrMaxHold = errors.New("lock was held for as long as it may be")

// Hold is a lock that is held, from Lock to Release. Its methods may be called by many goroutines.
type Hold struct {
	held     *held
	ctx      context.Context // ends with this hold, at the latest with what is held
	cancel   context.CancelCauseFunc
	released bool // guarded by held.mu
}

// held is one place in a line, and what all holds that share it have in common.
type held struct {
	line    *line
	ticket  *ticket.Ticket
	request *request  // that it be released
	until   time.Time // when it has to end; zero: never
	seen    *telemetry.Hold
	waited  bool // before it was held

	mu    sync.Mutex
	holds int // which are not released

	among sync.Mutex // guards groups
	// groups are the Holds it is one of. Their contexts end before the node is removed, and not some time later, as would those that were told
	// by a goroutine: by then somebody else could hold it.
	groups map[*Holds]bool
}

// hold makes a hold of a ticket whose turn it is.
func (l *line) hold(s *standing) *Hold {
	h := &held{line: l, ticket: s.Ticket, request: s.request, waited: s.waited}
	if l.opts.MaxHold > 0 {
		h.until = time.Now().Add(l.opts.MaxHold)
		end := time.AfterFunc(l.opts.MaxHold, h.expire)
		context.AfterFunc(s.Context(), func() { end.Stop() })
	}
	h.holds = 1
	return h.another()
}

// expire ends what was held for too long. The node is removed in the background, and nobody waits for the holder.
func (h *held) expire() {
	h.endGroups(ErrMaxHold)
	h.ticket.Abandon(ErrMaxHold)
}

func (h *held) joins(group *Holds) {
	h.among.Lock()
	defer h.among.Unlock()
	if h.groups == nil {
		h.groups = make(map[*Holds]bool)
	}
	h.groups[group] = true
}

func (h *held) leaves(group *Holds) {
	h.among.Lock()
	defer h.among.Unlock()
	delete(h.groups, group)
}

// endGroups ends the contexts of those it is one of, with that cause, or its own if it has ended already.
func (h *held) endGroups(cause error) {
	if own := context.Cause(h.ticket.Context()); own != nil {
		cause = own
	}
	h.among.Lock()
	defer h.among.Unlock()
	for group := range h.groups {
		group.cancel(cause)
	}
}

// another makes one more hold, which was counted.
func (h *held) another() *Hold {
	ctx, cancel := context.WithCancelCause(h.ticket.Context())
	return &Hold{held: h, ctx: ctx, cancel: cancel}
}

// live tells whether anything is held. The caller holds mu.
func (h *held) live() bool { return h.holds > 0 && h.err() == nil }

// nested makes another hold of what a context says is held already, or fails if that would wait for itself. It is nil, and no error, where
// nothing is held.
func (l *line) nested(ctx context.Context, k kind) (*Hold, error) {
	outer, ok := ctx.Value(l.key()).(*held)
	if !ok {
		return nil, nil
	}
	outer.mu.Lock()
	defer outer.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case !outer.live():
		return nil, nil
	case !l.opts.Reentrant || k.exclusive && outer.shared():
		return nil, ErrNested
	}
	outer.holds++
	return outer.another(), nil
}

// shared tells whether it is held by a reader.
func (h *held) shared() bool { return h.ticket.Place().Marker == h.line.shared }

// err is the error of the place's context, which looks at the clocks.
func (h *held) err() error {
	if !h.until.IsZero() && !time.Now().Before(h.until) {
		h.expire()
	}
	return h.ticket.Context().Err()
}

// Context returns a context that ends when the lock is not held any more, with the cause: ErrReleased, ErrRemoved, ErrMaxHold, or the cause
// of the session's end (client.ErrSessionExpired, client.ErrClosed). It ends by itself before somebody else can hold the lock, and its Err
// looks at the clocks. Work under the lock runs under it. It is not derived from the context given to Lock, and carries none of its
// values. A Lock of the same lock with a context that comes from it is recognised, see Options.Reentrant.
// With client.Options.TracerProvider the hold's span is in it.
func (h *Hold) Context() context.Context { return holdContext{h.held.seen.Context(h.ctx), h.held} }

// holdContext is a hold's context.
type holdContext struct {
	context.Context
	held *held
}

// Err is context.Context's.
func (c holdContext) Err() error {
	_ = c.held.err() // ends it, if its time is over
	return c.Context.Err()
}

// Deadline is context.Context's.
func (c holdContext) Deadline() (time.Time, bool) { return c.held.until, !c.held.until.IsZero() }

// Value is context.Context's.
func (c holdContext) Value(key any) any {
	if key == c.held.line.key() {
		return c.held
	}
	return c.Context.Value(key)
}

// Token returns the fencing token: the transaction that created the holder's node, greater than the token of every holder of this path
// before. A reader's is greater than that of every writer before it, and smaller than that of every writer after it; among readers it
// means nothing. See ticket.Ticket.Token for where tokens compare.
func (h *Hold) Token() int64 { return h.held.ticket.Token() }

// Path returns the path of the holder's node.
func (h *Hold) Path() string { return h.held.ticket.Path() }

// Session returns the session the lock is held in.
func (h *Hold) Session() *client.Session { return h.held.ticket.Session() }

// Guard returns a check to be the first part of a multi on the same client: the multi fails with client.ErrNoNode, changing nothing, unless
// this holder's node is there at the very moment of the change. This is exact, where looking at Context is not. It does not ask for
// a version, since a request to let go changes that.
func (h *Hold) Guard() client.Op { return client.CheckOp(h.Path(), client.AnyVersion) }

// Release gives the lock up. The hold's context ends at once; Release returns when this holder's node is certainly gone, by being deleted
// now or before, or by the end of its session. To release again is no error. If ctx ends before it is certain, Release fails with
// ctx's cause and client.ErrUnknown while the removal goes on in the background; a further Release waits for it. Nobody else's node
// is ever touched. Where a lock is held more than once, see Options.Reentrant, the last Release does this, and those before end no more
// than their own hold's context.
func (h *Hold) Release(ctx context.Context) error {
	h.held.mu.Lock()
	if !h.released {
		h.released = true
		h.held.holds--
	}
	last := h.held.holds == 0
	h.held.mu.Unlock()
	if !last {
		h.cancel(ErrReleased)
		return nil
	}
	h.held.endGroups(ErrReleased)
	return h.held.ticket.Return(ctx)
}
