package queue

import (
	"context"
	"errors"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/retry"
)

// Pop removes the next item from the queue and returns it, and waits until there is one. Nobody else gets it, ever: if the work on it fails, it is lost.
// That takes one transaction less than to take and acknowledge, and is the way of Curator's SimpleDistributedQueue. The delivery is finished
// from the beginning, as if it were acknowledged.
//
// With client.ErrUnknown the delivery is returned, too, and its item may be removed or not: when the session ended, or ctx, with the transaction on
// its way. Whoever works on it nevertheless loses nothing, and may do what another does as well. Otherwise Pop fails with ctx's cause, or the
// client's reasons, and nothing is removed.
func (q *Queue) Pop(ctx context.Context) (*Delivery, error) { return q.pop(ctx, true) }

// TryPop is Pop and does not wait: it fails with ErrEmpty if there is nothing to take.
func (q *Queue) TryPop(ctx context.Context) (*Delivery, error) { return q.pop(ctx, false) }

func (q *Queue) pop(ctx context.Context, wait bool) (*Delivery, error) {
	ctx, seen := q.kit.Wait(ctx, &measured, q.items.path)
	d, err := q.popInAny(ctx, wait)
	if err != nil {
		seen.Failed(err)
		return d, q.failed("pop", err)
	}
	seen.Passed()
	return d, nil
}

// popInAny pops in this session, or the next.
func (q *Queue) popInAny(ctx context.Context, wait bool) (*Delivery, error) {
	for {
		s, err := q.client.AwaitSession(ctx)
		if err != nil {
			return nil, err
		}
		d, err := q.popIn(ctx, s, wait)
		switch {
		case d != nil:
			return d, err
		case ctx.Err() != nil:
			return nil, context.Cause(ctx) // not unknown: nothing was about to be removed
		case s.Err() == nil:
			return nil, err
		}
	}
}

// popIn pops in one session.
func (q *Queue) popIn(ctx context.Context, s *client.Session, wait bool) (*Delivery, error) {
	for {
		picked, left, err := q.pick(ctx, s, 1, wait)
		if err != nil {
			return nil, err
		}
		d, err := q.popOne(ctx, s, picked)
		left()
		q.unpick(picked, err != nil)
		if d != nil || err != nil {
			return d, err
		}
	}
}

// popOne removes the item that was picked, and returns nil if somebody else was quicker.
func (q *Queue) popOne(ctx context.Context, s *client.Session, picked []name) (*Delivery, error) {
	all, err := inSession(ctx, s, func(life context.Context, wanted func() bool) ([]*found, error) {
		return q.read(life, s, q.client.In(s), picked, wanted)
	}, nil)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	f := all[0]
	token, err := inSession(ctx, s, func(life context.Context, wanted func() bool) (int64, error) {
		return q.ledger.commit(life, s, q.popParts(f), wanted)
	}, nil)
	var failed *partError
	switch {
	case err == nil:
		q.won()
	case errors.As(err, &failed) && retry.LostRace(err):
		q.beaten()
		return nil, nil
	case !errors.Is(err, client.ErrUnknown):
		return nil, err
	}
	return q.popped(s, f, token, err), err
}

// popParts remove an item that nobody has claimed. It is written before, for the transaction's number, which is the token.
func (q *Queue) popParts(f *found) []part {
	var parts []part
	if q.opts.Order != Simple {
		parts = q.unlessClaimed(f.name.text)
	}
	item := q.items.join(f.name.text)
	parts = append(parts, part{Op: client.SetOp(item, nil, f.stat.Version)}, part{Op: client.DeleteOp(item, f.stat.Version+1)})
	return append(parts, q.finishKey(f.body.note.Key)...)
}

// popped makes what who pops gets. doubt is why it is not known whether the item is removed.
func (q *Queue) popped(s *client.Session, f *found, token int64, doubt error) *Delivery {
	f.body.note.Attempts++
	d := &Delivery{
		q: q, session: s, name: f.name, body: f.body, version: f.stat.Version, token: token, since: f.stat.Ctime,
		finished: acked, doubt: doubt, turn: make(chan struct{}, 1),
	}
	if doubt != nil {
		d.finished = held
	}
	d.ctx, d.cancel = context.WithCancelCause(context.Background())
	d.cancel(errPopped)
	return d
}
