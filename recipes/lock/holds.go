package lock

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
)

// Holds are several holds that are one: the permits of a Semaphore, or the locks of a Multi. Its methods may be called by many goroutines.
type Holds struct {
	all    []*Hold
	ctx    context.Context // ends with the first of them
	cancel context.CancelCauseFunc
}

// together makes one of several, of which there is at least one.
func together(all []*Hold) *Holds {
	h := &Holds{all: all}
	h.ctx, h.cancel = context.WithCancelCause(all[0].Context())
	for _, one := range all[1:] {
		ctx := one.Context()
		context.AfterFunc(ctx, func() { h.cancel(context.Cause(ctx)) }) // it ends: with Release, at the latest with the session
	}
	for _, one := range all {
		one.held.joins(h)
	}
	_ = h.Context().Err() // one may have ended before it was known to be one of these
	return h
}

// Context returns a context that ends as soon as one of the holds has ended, with its cause, see Hold.Context. A Lock of one of the locks
// with a context that comes from it is recognised.
func (h *Holds) Context() context.Context { return holdsContext{h.ctx, h} }

type holdsContext struct {
	context.Context
	holds *Holds
}

// Err is context.Context's. It asks all of them before it says that nothing has ended.
func (c holdsContext) Err() error {
	for _, one := range c.holds.all {
		if ctx := one.Context(); ctx.Err() != nil {
			c.holds.cancel(context.Cause(ctx))
		}
	}
	return c.Context.Err()
}

// Deadline is context.Context's: the earliest of them.
func (c holdsContext) Deadline() (deadline time.Time, ok bool) {
	for _, one := range c.holds.all {
		if d, has := one.Context().Deadline(); has && (!ok || d.Before(deadline)) {
			deadline, ok = d, true
		}
	}
	return deadline, ok
}

// Value is context.Context's.
func (c holdsContext) Value(key any) any {
	if key, ok := key.(lineKey); ok {
		for _, one := range c.holds.all {
			if one.held.line.key() == key {
				return one.held
			}
		}
	}
	return c.Context.Value(key)
}

// All returns the single holds: of a Multi in the order in which its locks were given.
func (h *Holds) All() []*Hold { return slices.Clone(h.all) }

// Guard returns checks to be the first parts of a multi on the same client: it fails, changing nothing, unless all that is held is held at
// the very moment of the change.
func (h *Holds) Guard() []client.Op {
	var ops []client.Op
	for _, one := range h.all {
		ops = append(ops, one.Guard())
	}
	return ops
}

// Release gives all up, as Hold.Release does with one: it returns when the nodes of all are certainly gone. It fails if one of them does.
func (h *Holds) Release(ctx context.Context) error {
	return each(h.all, func(_ int, one *Hold) error {
		err := one.Release(ctx)
		one.held.leaves(h)
		return err
	})
}

// each does the same to all, at once, and returns when all is done. The error is that of the first in order which has failed.
func each[T any](all []T, do func(int, T) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, one := range all {
		wg.Go(func() { errs[i] = do(i, one) })
	}
	wg.Wait()
	return cmp.Or(errs...)
}
