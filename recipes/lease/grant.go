package lease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/retry"
)

// Grant is a lease that was granted, until its context ends. Its methods may be called by many goroutines.
type Grant struct {
	lease  *Lease
	record record // as it was granted
	fence  int32  // version of the fence
	ctx    *grantContext
	cancel context.CancelCauseFunc
	gone   sync.WaitGroup // who watches the record

	changing chan struct{} // full while Renew or Release is under way

	over *time.Timer

	mu      sync.Mutex
	version int32     // of the record
	end     time.Time // by our clock
}

// begin begins a grant that lasts until a moment of our clock.
func (g *Grant) begin(end time.Time) {
	ctx, cancel := context.WithCancelCause(context.Background())
	g.ctx, g.cancel, g.end, g.version = &grantContext{ctx, g}, cancel, end, g.record.stat.Version
	g.over = time.AfterFunc(time.Until(end), func() { g.ctx.Err() })
	g.gone.Go(func() { g.watch(ctx) }) // ends with the grant
}

// watch ends the grant when the record is another's.
func (g *Grant) watch(ctx context.Context) {
	for node, err := range g.lease.client.WatchNode(ctx, g.lease.record()) {
		if err != nil {
			return // the client is closed, or the grant over; its time goes on
		}
		if node.Exists && g.isMine(node.Data, node.Stat) {
			g.wrote(node.Stat.Version)
			continue
		}
		// A server that is behind may not have it yet.
		if mine, err := g.stillMine(ctx); err == nil && !mine {
			g.cancel(ErrTaken)
			return
		}
	}
}

// stillMine reads whether the record is of this grant.
func (g *Grant) stillMine(ctx context.Context) (bool, error) {
	if err := g.lease.client.Sync(ctx, g.lease.path); err != nil {
		return false, err
	}
	data, stat, err := g.lease.client.Get(ctx, g.lease.record())
	if errors.Is(err, client.ErrNoNode) {
		return false, nil
	}
	return err == nil && g.isMine(data, stat), err
}

// isMine tells whether a record is of this grant.
func (g *Grant) isMine(data []byte, stat client.Stat) bool {
	r, err := decode(data, stat)
	return err == nil && r.Grant == g.record.Grant
}

// wrote remembers the record's version, as it is seen, or has been written.
func (g *Grant) wrote(version int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.version = max(g.version, version)
}

// Context returns a context that ends when the lease is not granted any more, with the cause: ErrExpired, ErrReleased or ErrTaken. It ends by
// itself before somebody else can be granted the lease, and its Err looks at the clocks. It outlives sessions, and the client. What its
// holder does runs under it.
func (g *Grant) Context() context.Context { return g.ctx }

// grantContext is a grant's context. It asks the clocks: the one that runs evenly, and that on the wall, which goes on while a machine sleeps.
type grantContext struct {
	context.Context
	grant *Grant
}

// Err is context.Context's.
func (c *grantContext) Err() error {
	c.grant.mu.Lock()
	now, end := time.Now(), c.grant.end
	c.grant.mu.Unlock()
	if !now.Before(end) || !now.Round(0).Before(end.Round(0)) {
		c.grant.cancel(ErrExpired)
	}
	return c.Context.Err()
}

// Until returns when the lease is over, by this machine's clock. Renew moves it.
func (g *Grant) Until() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.end
}

// Token returns the fencing token, greater than that of every grant of this lease before, to a Bellwether client: kazoo's have none. See
// ticket.Ticket.Token for where tokens compare.
func (g *Grant) Token() int64 { return g.record.Token }

// Guard returns checks to be the first parts of a multi on the same client: it fails, changing nothing, if at the very moment of the change the
// lease is granted to somebody else, was released, or was renewed since Guard was called. It does not know that time is over: as long as
// nobody else is granted the lease, there is no harm in that.
func (g *Grant) Guard() []client.Op {
	g.mu.Lock()
	defer g.mu.Unlock()
	return []client.Op{client.CheckOp(g.lease.record(), g.version), client.CheckOp(g.lease.fence(), g.fence)}
}

// Renew lets the grant last for so long from now, or as long as before if that is longer. If it fails, but for ErrTaken, ErrExpired and
// ErrReleased, the grant lasts as long as before, and to renew it again is right. A grant that was over when the servers' answer came fails with
// ErrExpired, although others take it for granted: until it is released.
func (g *Grant) Renew(ctx context.Context, d time.Duration) error {
	return g.seen(ctx, "renew", func(ctx context.Context) error {
		if err := g.change(ctx); err != nil {
			return err
		}
		defer g.changed()
		return g.lease.atDoor(ctx, false, func(at *door) error { return g.renew(ctx, at, d) })
	})
}

// seen does something to the grant, and tells who looks.
func (g *Grant) seen(ctx context.Context, op string, do func(context.Context) error) error {
	ctx, seen := g.lease.kit.Operation(ctx, &measured, op, g.lease.path)
	err := do(ctx)
	seen.End(err)
	if err != nil {
		return g.lease.failed(op, err)
	}
	return nil
}

// change waits until nobody else changes the grant, and keeps others from it until changed is called.
func (g *Grant) change(ctx context.Context) error {
	select {
	case g.changing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *Grant) changed() { <-g.changing }

func (g *Grant) renew(ctx context.Context, at *door, lasts time.Duration) error {
	if at.last.none || at.last.Grant != g.record.Grant || at.fence != g.fence {
		g.cancel(ErrTaken)
	}
	if g.ctx.Err() != nil {
		return context.Cause(g.ctx)
	}
	asked, next := time.Now(), at.last
	if end := at.until(lasts); end.After(next.end) {
		next.end = end
	}
	next, err := at.write(ctx, next, func(next record) []client.Op {
		return []client.Op{
			client.CheckOp(at.ticket.Path(), client.AnyVersion),
			client.SetOp(g.lease.record(), next.encode(), at.last.stat.Version),
			client.CheckOp(g.lease.fence(), g.fence),
		}
	})
	if err != nil {
		return err
	}
	g.wrote(next.stat.Version)
	return g.extend(asked.Add(lasts))
}

// extend moves the grant's end, unless it is over.
func (g *Grant) extend(end time.Time) error {
	if g.ctx.Err() != nil {
		return context.Cause(g.ctx)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if end.After(g.end) {
		g.end = end
		g.over.Reset(time.Until(end))
	}
	return nil
}

// Release gives the lease back. The grant's context ends at once; Release returns when others can be granted the lease: at once, or with
// Options.AtLeast so long after the grant. To release again is no error, nor is it when the lease is somebody else's. If ctx ends
// before it is certain, Release fails with ctx's cause and client.ErrUnknown, and the lease is over when its time is.
func (g *Grant) Release(ctx context.Context) error {
	g.cancel(ErrReleased)
	g.over.Stop()
	g.gone.Wait()
	return g.seen(ctx, "release", g.release)
}

func (g *Grant) release(ctx context.Context) error {
	if err := g.change(ctx); err != nil {
		return fmt.Errorf("%w: %w", client.ErrUnknown, err)
	}
	defer g.changed()
	for {
		again, err := g.free(ctx)
		switch {
		case err == nil:
			return nil
		case again && retry.Pause(ctx, retry.Soon):
		case ctx.Err() != nil:
			return fmt.Errorf("%w: %w", client.ErrUnknown, context.Cause(ctx))
		default:
			return err
		}
	}
}

// released is behind the name of who was a holder, and keeps the lease from everybody.
const released = " (released)"

// free writes that the lease is nobody's, or not for long, if it is this grant's. When that fails, again tells whether to look once more.
func (g *Grant) free(ctx context.Context) (again bool, err error) {
	c := g.lease.client
	if err := c.Sync(ctx, g.lease.path); err != nil {
		return g.passing(err), err
	}
	data, stat, err := c.Get(ctx, g.lease.record())
	if errors.Is(err, client.ErrNoNode) || err == nil && !g.isMine(data, stat) {
		return false, nil
	}
	if err != nil {
		return g.passing(err), err
	}
	results, err := c.Multi(ctx, client.SetOp(g.lease.record(), g.freed().encode(), stat.Version), client.CheckOp(g.lease.fence(), g.fence))
	if len(results) == 2 && retry.LostRace(results[1].Err) {
		return false, err // the record is this grant's, and the fence is not: it was removed, or written by somebody who is no holder
	}
	return g.passing(err) || retry.LostRace(err), err
}

// freed is the record of a lease that is released.
func (g *Grant) freed() record {
	least := g.lease.opts.AtLeast
	if least <= 0 {
		return record{end: time.Unix(0, 0)}
	}
	return record{Holder: g.record.Holder + released, end: ceil(g.record.Since.Add(least + g.lease.opts.Margin))}
}

// passing tells whether a failure is that of a connection or a session, behind which another one comes.
func (g *Grant) passing(err error) bool {
	switch {
	case errors.Is(err, client.ErrClosed):
		return false
	case errors.Is(err, client.ErrSessionExpired):
		return !g.lease.client.Bound()
	}
	return retry.Transient(err)
}
