package lease

import (
	"context"
	"errors"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/retry"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// DefaultMargin is how much longer than its holder others take a lease for granted.
const DefaultMargin = time.Second

// ErrHeld tells that a lease is granted to somebody else.
var ErrHeld = errors.New("lease is held by another")

// Why a grant's context ended.
var (
	// ErrExpired is the cause when the time it was granted for is over.
	ErrExpired = errors.New("lease has expired")
	// ErrReleased is the cause when its holder released it.
	ErrReleased = errors.New("lease released")
	// ErrTaken is the cause when somebody else has taken the lease, or removed its record.
	ErrTaken = errors.New("lease was taken by another")
)

// measured is how leases are called in spans and metrics.
var measured = telemetry.Recipe{Family: telemetry.Lease, Name: "lease", Words: []telemetry.Word{
	{Err: ErrHeld, Word: "held", Fine: true},
	{Err: ErrExpired, Word: "expired"},
	{Err: ErrReleased, Word: "released"},
	{Err: ErrTaken, Word: "taken", Lost: true},
}}

// Options of a Lease. The zero value works, and nil means the zero value.
type Options struct {
	// ID is the holder's name. Who has the same one is the same holder: a process that comes back with its name is granted its lease again,
	// and its grant before is void. Default: a fresh one for each Lease, that begins with ticket.Identity, the host's name and the
	// process's number.
	ID string
	// AtLeast is how long after a grant nobody else is granted the lease, however soon its time is over, and nobody at all if it was
	// released. Default: no time.
	AtLeast time.Duration
	// Margin is how much longer than its holder others take the lease for granted, for servers whose clocks differ when the lead of the
	// ensemble changes, and clocks that run unevenly. Default: 1 s.
	Margin time.Duration
	// ACL is that of the nodes that are made. All who want the lease must be able to write the records, and to list the directory and add
	// children to it. Default: the client's.
	ACL []client.ACL
	// Cleanup bounds how long it is waited for the end of a look at the lease. Default: 5 s.
	Cleanup time.Duration
}

// Lease is a lock that is granted until a moment, and held by whoever it was granted to until then, whatever becomes of its session or
// process. It may be used by many goroutines, which are one holder.
type Lease struct {
	client *client.Client
	path   string
	opts   Options
	kit    *telemetry.Kit // nil: nobody looks
}

// doorMarker is in the names of the contenders of kazoo's Lock, for which it does not matter what stands before it.
const doorMarker = "__lock__"

// lineMarker is in the names of those who wait, which mean nothing to kazoo.
const lineMarker = "wait-"

// New describes the lease at a path. It sends nothing.
func New(c *client.Client, path string, opts *Options) *Lease {
	l := &Lease{client: c, path: path, kit: telemetry.Of(c)}
	if opts != nil {
		l.opts = *opts
	}
	if l.opts.ID == "" {
		l.opts.ID = ticket.Identity() + "-" + client.NewProtectionID()
	}
	if l.opts.Margin == 0 {
		l.opts.Margin = DefaultMargin
	}
	if l.opts.Cleanup == 0 {
		l.opts.Cleanup = ticket.DefaultCleanup
	}
	return l
}

// Path returns the lease's path.
func (l *Lease) Path() string { return l.path }

func (l *Lease) record() string { return l.path + "/lease_holder" }
func (l *Lease) fence() string  { return l.path + "/lease_fence" }

// TryAcquire asks for the lease for so long, from when the servers are told on, and fails with ErrHeld if somebody else holds it. It waits
// for those who are looking at it at the same time.
//
// If it fails with client.ErrUnknown, because ctx or the client's view of a session ended, it may have been granted to nobody who knows,
// until its time is over. Who asks again with the same ID is granted it.
func (l *Lease) TryAcquire(ctx context.Context, d time.Duration) (*Grant, error) {
	return l.seen(ctx, func(ctx context.Context) (*Grant, error) { return l.try(ctx, d, false) })
}

// Acquire asks for the lease until it is granted, or ctx ends. In between it waits until the holder has released it, or its time is over by
// the servers' clock. Those who wait stand in line, and the first of them alone looks on; one who comes when the lease is free, or calls
// TryAcquire, may be quicker.
func (l *Lease) Acquire(ctx context.Context, d time.Duration) (*Grant, error) {
	return l.seen(ctx, func(ctx context.Context) (*Grant, error) {
		for {
			g, err := l.try(ctx, d, false)
			if _, held := errors.AsType[*heldError](err); held {
				g, err = l.inTurn(ctx, d)
			}
			if err == nil || ctx.Err() != nil || !l.again(err) {
				return g, err
			}
		}
	})
}

// inTurn waits in line, and when it is the first until the lease is granted. It fails with the cause of the place's end when that is lost.
func (l *Lease) inTurn(ctx context.Context, d time.Duration) (g *Grant, err error) {
	t, err := ticket.Take(ctx, l.client, l.path, lineMarker, l.ticket())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err == nil {
			t.Abandon(ticket.ErrReturned) // the next has to know, and nobody to wait for that
			return
		}
		l.leave(ctx, t)
	}()
	if err := t.Wait(ctx); err != nil {
		return nil, err
	}
	for {
		g, err := l.try(ctx, d, true)
		held, ok := errors.AsType[*heldError](err)
		if !ok {
			return g, err
		}
		if err := l.await(ctx, t.Context(), held); err != nil {
			return nil, err
		}
	}
}

// seen acquires the lease, and tells who looks of the wait and of the grant.
func (l *Lease) seen(ctx context.Context, acquire func(context.Context) (*Grant, error)) (*Grant, error) {
	ctx, wait := l.kit.Wait(ctx, &measured, l.path)
	g, err := acquire(ctx)
	if err != nil {
		wait.Failed(err)
		return nil, l.failed("acquire", err)
	}
	wait.Held(telemetry.Held{Life: g.ctx, Path: l.path, Token: g.Token()})
	return g, nil
}

// heldError is ErrHeld, with how much longer at most.
type heldError struct {
	left    time.Duration
	changed *client.Watch // of the record; nil: it is not watched
}

// Error is error's.
func (e *heldError) Error() string { return ErrHeld.Error() }

// Is is for errors.Is.
func (e *heldError) Is(target error) bool { return target == ErrHeld }

// await waits until it may be worth to ask again, as long as the place is there.
func (l *Lease) await(ctx, place context.Context, held *heldError) error {
	over := time.NewTimer(held.left + time.Millisecond)
	defer over.Stop()
	select {
	case <-over.C:
	case <-held.changed.Done():
	case <-place.Done():
		return context.Cause(place)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// try asks for the lease once. If it is held, and watched, the *heldError tells when it changes.
func (l *Lease) try(ctx context.Context, d time.Duration, watched bool) (g *Grant, err error) {
	if d <= 0 {
		return nil, client.ErrBadArguments
	}
	err = l.atDoor(ctx, watched, func(at *door) error {
		if left := at.last.end.Sub(at.earliest()); left > 0 && at.last.Holder != l.opts.ID {
			return &heldError{left, at.changed}
		}
		g, err = at.grant(ctx, d)
		return err
	})
	return g, err
}

// atDoor does something with the lease, whose record is watched or not, while nobody else does, but who releases it. When the place at the
// door is lost it is done again.
func (l *Lease) atDoor(ctx context.Context, watched bool, do func(at *door) error) error {
	for {
		err := l.visit(ctx, watched, do)
		if err == nil || ctx.Err() != nil || !l.again(err) {
			return err
		}
	}
}

// again tells whether to look at the lease again: the place was lost, with the session or without it, or somebody has released meanwhile.
func (l *Lease) again(err error) bool {
	switch {
	case errors.Is(err, client.ErrClosed):
		return false
	case errors.Is(err, client.ErrSessionExpired), errors.Is(err, client.ErrUnknown):
		return !l.client.Bound()
	}
	return errors.Is(err, ticket.ErrGone) || retry.LostRace(err)
}

// visit stands in line, and does something with the lease when it is first.
func (l *Lease) visit(ctx context.Context, watched bool, do func(at *door) error) error {
	sent := time.Now()
	t, err := ticket.Take(ctx, l.client, l.path, doorMarker, l.ticket())
	if err != nil {
		return err
	}
	heard := time.Now()
	defer l.leave(ctx, t)
	if err := t.Wait(ctx); err != nil {
		return err
	}
	at := &door{lease: l, ticket: t, watched: watched, sent: sent, heard: heard, client: l.client.In(t.Session())}
	if err := at.look(ctx); err != nil {
		return err
	}
	return do(at)
}

func (l *Lease) ticket() *ticket.Options {
	return &ticket.Options{Data: []byte(l.opts.ID), ACL: l.opts.ACL, Cleanup: l.opts.Cleanup}
}

// leave returns a ticket. The wait for it is bounded, the removal is not.
func (l *Lease) leave(ctx context.Context, t *ticket.Ticket) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.opts.Cleanup)
	defer cancel()
	_ = t.Return(ctx)
}

// failed puts the lease's own operation and path on an error.
func (l *Lease) failed(op string, err error) error {
	return &client.Error{Op: op, Path: l.path, Err: err}
}
