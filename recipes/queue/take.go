package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// Take claims the next item, and waits until there is one. Nobody else gets the item while the claim lasts. It fails with ctx's cause, and has
// taken nothing then: what it was about to claim is given back, in the background if need be, without counting as an attempt.
//
// The session is kept while anything is claimed in it, see client.Session.Keep; so Take fails with client.ErrWrapped on a wrapped connection.
func (q *Queue) Take(ctx context.Context) (*Delivery, error) {
	all, err := q.take(ctx, 1, true)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// TryTake is Take and does not wait: it fails with ErrEmpty if there is nothing to take.
func (q *Queue) TryTake(ctx context.Context) (*Delivery, error) {
	all, err := q.take(ctx, 1, false)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// TakeUpTo is Take for several items, which it claims in one transaction: it waits until there is one, and takes n at most, in the queue's order.
// Each is a delivery of its own.
func (q *Queue) TakeUpTo(ctx context.Context, n int) ([]*Delivery, error) {
	if n < 1 {
		return nil, q.failed("take", fmt.Errorf("%w: %d items", client.ErrBadArguments, n))
	}
	return q.take(ctx, n, true)
}

func (q *Queue) take(ctx context.Context, n int, wait bool) ([]*Delivery, error) {
	if q.opts.Order == Simple {
		return nil, q.failed("take", fmt.Errorf("%w: the queue has no claims", client.ErrBadArguments))
	}
	seeing, seen := q.kit.Wait(ctx, &measured, q.items.path)
	all, err := q.takeInAny(seeing, n, wait)
	if err != nil {
		seen.Failed(err)
		return nil, q.failed("take", err)
	}
	for _, d := range all {
		d.hold = seen.Held(telemetry.Held{Session: d.session, Life: d.ctx, Path: d.itemPath(), Token: d.token})
	}
	return all, nil
}

// takeInAny takes in this session, or the next.
func (q *Queue) takeInAny(ctx context.Context, n int, wait bool) ([]*Delivery, error) {
	for {
		s, err := q.client.AwaitSession(ctx)
		var all []*Delivery
		if err == nil {
			all, err = q.takeIn(ctx, s, n, wait)
			if len(all) == 0 && ctx.Err() == nil && s.Err() != nil {
				continue // what was claimed in it, if anything, is free
			}
		}
		if err == nil {
			return all, nil
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx) // not unknown: nothing is claimed, or it is given back
		}
		return nil, err
	}
}

// takeIn takes in one session.
func (q *Queue) takeIn(ctx context.Context, s *client.Session, n int, wait bool) ([]*Delivery, error) {
	for {
		picked, left, err := q.pick(ctx, s, n, wait)
		if err != nil {
			return nil, err
		}
		all, err := inSession(ctx, s, func(life context.Context, wanted func() bool) ([]*Delivery, error) {
			return q.claim(life, s, picked, wanted)
		}, func(_ context.Context, all []*Delivery) {
			for _, d := range all {
				d.release()
			}
		})
		left()
		q.unpick(picked, err != nil)
		if err != nil || len(all) > 0 {
			return all, err
		}
	}
}

// pick chooses up to n items nobody else in this process is about to claim, out of what is known to be there, or of a new listing. left is to be
// called when they are claimed: it lets the next one who waits have a look.
func (q *Queue) pick(ctx context.Context, s *client.Session, n int, wait bool) (picked []name, left func(), err error) {
	if picked := q.choose(n); len(picked) > 0 {
		return picked, func() {}, nil
	}
	select {
	case q.turn <- struct{}{}:
		defer func() { <-q.turn }()
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	if picked := q.choose(n); len(picked) > 0 {
		return picked, func() {}, nil
	}
	view := q.client.In(s)
	l, err := q.look(ctx, view)
	if err != nil {
		return nil, nil, err
	}
	q.fill(l)
	switch picked := q.choose(n); {
	case len(picked) > 0:
		return picked, func() {}, nil
	case !wait:
		return nil, nil, ErrEmpty
	}
	return q.await(ctx, view, n)
}

// takerMarker is that of the tickets of those who wait for an item.
const takerMarker = "take-"

// await waits until there is something to take. Those who wait stand in line, and the first alone looks on: what comes wakes one.
func (q *Queue) await(ctx context.Context, view *client.Client, n int) (picked []name, left func(), err error) {
	for {
		t, err := ticket.Take(ctx, view, q.line, takerMarker, &ticket.Options{Data: []byte(q.opts.ID), ACL: q.opts.ACL})
		if err == nil {
			picked, err = q.watch(ctx, view, t, n)
			if err == nil && !q.stocked() {
				return picked, func() { leave(t) }, nil
			}
			leave(t)
			if err == nil { // there is something for the next, too
				return picked, func() {}, nil
			}
		}
		if !errors.Is(err, ticket.ErrGone) { // else somebody has removed it from the line
			return nil, nil, err
		}
	}
}

// watch waits until it is the ticket's turn, and then until there is something to take.
func (q *Queue) watch(ctx context.Context, view *client.Client, t *ticket.Ticket, n int) ([]name, error) {
	if err := t.Wait(ctx); err != nil {
		return nil, err
	}
	var l *listing
	for {
		changed := q.changes()
		var err error
		if l, err = q.lookAgain(ctx, view, l); err != nil {
			return nil, err
		}
		q.fill(l)
		if picked := q.choose(n); len(picked) > 0 {
			return picked, nil
		}
		if err := l.wait(ctx, t.Context(), changed); err != nil {
			return nil, err
		}
	}
}
