package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/retry"
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

// await waits until there is something to take. Those who wait stand in line, and the first alone looks on: what comes wakes one.
func (q *Queue) await(ctx context.Context, view *client.Client, n int) (picked []name, left func(), err error) {
	for {
		t, err := ticket.Take(ctx, view, q.line, "take-", &ticket.Options{Data: []byte(q.opts.ID), ACL: q.opts.ACL})
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
	for {
		changed := q.changes()
		l, err := q.lookW(ctx, view)
		if err != nil {
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

// A listing is what there is to take, and when to look again.
type listing struct {
	free    []name    // in order
	next    time.Time // when one is due that is not yet; zero if there is none
	watches [2]*client.Watch
}

// wait waits until it is time to look again.
func (l *listing) wait(ctx, place context.Context, changed <-chan struct{}) error {
	var due <-chan time.Time
	if !l.next.IsZero() {
		timer := time.NewTimer(time.Until(l.next))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-l.watches[0].Done():
	case <-l.watches[1].Done():
	case <-due:
	case <-changed:
	case <-place.Done():
		return context.Cause(place)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// look lists what there is.
func (q *Queue) look(ctx context.Context, view *client.Client) (*listing, error) {
	return q.lookBy(ctx, view, func(d *directory) ([]string, *client.Watch, error) {
		names, err := d.children(ctx, view)
		return names, nil, err
	})
}

// lookW lists what there is, and leaves watches.
func (q *Queue) lookW(ctx context.Context, view *client.Client) (*listing, error) {
	return q.lookBy(ctx, view, func(d *directory) ([]string, *client.Watch, error) { return d.childrenW(ctx, view) })
}

// lookBy lists what there is, all at once.
func (q *Queue) lookBy(ctx context.Context, view *client.Client, list func(*directory) ([]string, *client.Watch, error)) (*listing, error) {
	var (
		names   [3][]string
		watches [2]*client.Watch
		errs    [3]error
		asking  sync.WaitGroup
	)
	asking.Go(func() { names[0], watches[0], errs[0] = list(&q.items) }) // each ends with its answer
	asking.Go(func() { names[1], watches[1], errs[1] = list(&q.claims) })
	asking.Go(func() { names[2], errs[2] = q.later.children(ctx, view) })
	asking.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	l, err := q.sift(ctx, view, names[0], names[1], names[2])
	if err == nil {
		l.watches = watches
	}
	return l, err
}

// sift finds what is free among the items: not claimed, and due. It also lets those back in that have waited for their time elsewhere.
func (q *Queue) sift(ctx context.Context, view *client.Client, items, claims, later []string) (*listing, error) {
	l := &listing{}
	back, err := q.bringBack(ctx, view, l, later)
	if err != nil {
		return nil, err
	}
	q.kit.Saw(telemetry.QueueLength, len(items))
	all, foreign := q.opts.Order.parseAll(append(items, back...))
	if len(foreign) > 0 {
		q.foreign.Do(func() {
			q.opts.Logger.Warn("nodes that are no items in a queue's directory", "path", q.Path(), "names", foreign)
		})
	}
	claimed := make(map[string]bool, len(claims))
	for _, c := range claims {
		claimed[c] = true
	}
	now := time.Now()
	for _, n := range all {
		switch {
		case claimed[n.text]:
		case n.at.After(now):
			l.due(n.at)
		default:
			l.free = append(l.free, n)
		}
	}
	l.free = slices.CompactFunc(l.free, func(a, b name) bool { return a.text == b.text })
	return l, nil
}

// due notes that something is due.
func (l *listing) due(at time.Time) {
	if l.next.IsZero() || at.Before(l.next) {
		l.next = at
	}
}

// bringBack puts items whose time has come where they were before, and returns their names. Others may do the same; what is there twice in between
// is nothing, as it is one transaction.
func (q *Queue) bringBack(ctx context.Context, view *client.Client, l *listing, waiting []string) (names []string, err error) {
	for _, text := range waiting {
		at, item, ok := parseLater(text)
		switch {
		case !ok:
		case at.After(time.Now()):
			l.due(at)
		default:
			if err := q.bringBackOne(ctx, view, text, item); err != nil {
				return nil, err
			}
			names = append(names, item)
		}
	}
	return names, nil
}

func (q *Queue) bringBackOne(ctx context.Context, view *client.Client, text, item string) error {
	from, to := q.later.join(text), q.items.join(item)
	mode := client.Persistent
	for {
		data, stat, err := view.Get(ctx, from)
		if err == nil {
			_, err = view.Multi(ctx, client.DeleteOp(from, stat.Version), client.CreateOp(to, data, q.createOptions(mode)))
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, client.ErrNodeExists): // the numbers of a directory that was made anew
			n, _ := q.opts.Order.parse(item)
			to, mode = q.items.join(n.stem()), client.PersistentSequential
		case errors.Is(err, client.ErrNoNode):
			if _, there, err := view.Exists(ctx, q.items.path); err != nil || there {
				return err // somebody else has brought it back
			}
			if err := q.items.make(ctx, view); err != nil {
				return err
			}
		case !retry.Transient(err) || !retry.Pause(ctx, retry.Soon):
			return err
		}
	}
}

// stocked tells whether there is more to take.
func (q *Queue) stocked() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.stock) > 0
}

// fill remembers what a listing had.
func (q *Queue) fill(l *listing) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stock, q.left = l.free, q.opts.Window
}

// choose takes up to n items out of the stock, from one on that is among the first few: the first, unless others were quicker to claim lately.
func (q *Queue) choose(n int) []name {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stock = slices.DeleteFunc(q.stock, func(n name) bool { return q.busy[n.text] })
	if len(q.stock) == 0 || q.left <= 0 {
		return nil
	}
	n = min(n, len(q.stock))
	from := rand.IntN(min(q.width, len(q.stock)-n+1))
	picked := slices.Clone(q.stock[from : from+n])
	q.stock = slices.Delete(q.stock, from, from+n)
	q.left -= n
	for _, p := range picked {
		q.busy[p.text] = true
	}
	return picked
}

// unpick ends what choose began. What was not claimed may be taken by another in this process, of which no server tells, and is ahead of the rest of
// the stock.
func (q *Queue) unpick(picked []name, failed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range picked {
		delete(q.busy, p.text)
	}
	if failed {
		q.stock = nil
		q.changedLocked()
	}
}

// beaten widens the choice when somebody else was quicker, and else narrows it again.
func (q *Queue) beaten(yes bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if yes {
		q.kit.Count(telemetry.QueueConflicts, 1)
		q.width = min(2*q.width, q.opts.Window)
	} else {
		q.width = max(q.width-1, 1)
	}
}

// forget drops the stock: something may have come to stand ahead of it.
func (q *Queue) forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stock = nil
}

func (q *Queue) changes() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.changed
}

func (q *Queue) changedLocked() {
	close(q.changed)
	q.changed = make(chan struct{})
}
