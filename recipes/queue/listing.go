package queue

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/retry"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
)

// A listing is what there is to take, and when to look again.
type listing struct {
	free []name    // in order
	next time.Time // when one is due that is not yet; zero if there is none

	items, claims listed
	later         []string
}

// listed is what a directory had.
type listed struct {
	names []string
	watch *client.Watch // has it still, until this wakes; nil: nobody knows
}

// lasts tells whether the directory is still so, as far as the session knows.
func (l *listed) lasts() bool {
	if l.watch == nil {
		return false
	}
	select {
	case <-l.watch.Done():
		return false
	default:
		return true
	}
}

// wait waits until it is time to look again.
func (l *listing) wait(ctx, place context.Context, changed <-chan struct{}) error {
	var due <-chan time.Time
	if !l.next.IsZero() {
		timer := time.NewTimer(time.Until(l.next))
		defer timer.Stop()
		due = timer.C
	}
	var claims <-chan struct{}
	if l.claims.watch != nil {
		claims = l.claims.watch.Done()
	}
	select {
	case <-l.items.watch.Done():
	case <-claims:
	case <-due:
	case <-changed:
	case <-place.Done():
		return context.Cause(place)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// look lists what there is, all at once.
func (q *Queue) look(ctx context.Context, view *client.Client) (*listing, error) {
	var (
		l      = &listing{}
		errs   [3]error
		asking sync.WaitGroup
	)
	asking.Go(func() { l.items.names, errs[0] = q.items.children(ctx, view) }) // each ends with its answer
	if q.opts.Order != Simple {
		asking.Go(func() { l.claims.names, errs[1] = q.claims.children(ctx, view) })
		asking.Go(func() { l.later, errs[2] = q.later.children(ctx, view) })
	}
	asking.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return l, q.sift(ctx, view, l)
}

// lookAgain lists what there is, and leaves watches; of what a former listing watches, only what has changed since. What is given back for later
// loses its claim at the same moment, so that list is read behind the claims', and again when they have changed: no watch is needed for it.
func (q *Queue) lookAgain(ctx context.Context, view *client.Client, former *listing) (*listing, error) {
	l := &listing{}
	if former != nil {
		l.items, l.claims, l.later = former.items, former.claims, former.later
	}
	var (
		errs   [2]error
		asking sync.WaitGroup
		claims = q.opts.Order != Simple && !l.claims.lasts() // asked once: what changes from now on wakes who waits
		later  = claims || former != nil && !former.next.IsZero() && !time.Now().Before(former.next)
	)
	if !l.items.lasts() {
		asking.Go(func() { l.items.names, l.items.watch, errs[0] = q.items.childrenW(ctx, view) }) // each ends with its answer
	}
	if claims {
		asking.Go(func() { l.claims.names, l.claims.watch, errs[1] = q.claims.childrenW(ctx, view) })
	}
	asking.Wait()
	err := errors.Join(errs[:]...)
	if err == nil && later {
		l.later, err = q.later.children(ctx, view)
	}
	if err != nil {
		return nil, err
	}
	return l, q.sift(ctx, view, l)
}

// sift finds what is free among the items: not claimed, and due. It also lets those back in that have waited for their time elsewhere.
func (q *Queue) sift(ctx context.Context, view *client.Client, l *listing) error {
	back, err := q.bringBack(ctx, view, l)
	if err != nil {
		return err
	}
	q.kit.Saw(telemetry.QueueLength, len(l.items.names))
	all, foreign := q.opts.Order.parseAll(slices.Concat(l.items.names, back))
	if len(foreign) > 0 {
		q.foreign.Do(func() {
			q.opts.Logger.Warn("nodes that are no items in a queue's directory", "path", q.Path(), "names", foreign)
		})
	}
	claimed := make(map[string]bool, len(l.claims.names))
	for _, c := range l.claims.names {
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
	return nil
}

// due notes that something is due.
func (l *listing) due(at time.Time) {
	if l.next.IsZero() || at.Before(l.next) {
		l.next = at
	}
}

// bringBack puts items whose time has come where they were before, and returns their names. Others may do the same; what is there twice in between
// is nothing, as it is one transaction.
func (q *Queue) bringBack(ctx context.Context, view *client.Client, l *listing) (names []string, err error) {
	for _, text := range l.later {
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
