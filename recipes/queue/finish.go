package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/retry"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
)

// A verb is a way to finish a delivery.
type verb int

const (
	held verb = iota
	acked
	nacked
	released
)

// timeOver gives the item back when the delivery has taken too long.
func (d *Delivery) timeOver() {
	_ = d.session.Go(func(life context.Context) { // ends when the item is given back, or the session is over
		select {
		case d.turn <- struct{}{}:
			defer func() { <-d.turn }()
		case <-d.ctx.Done():
			return
		}
		d.mu.Lock()
		extended := time.Now().Before(d.deadline)
		d.mu.Unlock()
		if extended || d.finished != held || d.ctx.Err() != nil {
			return
		}
		d.lose(ErrTooLong)
		for retry.Transient(group{d}.settle(life, nacked, d.nackParts(0, ErrTooLong), always)) && retry.Pause(life, retry.Soon) {
		}
	})
}

func always() bool { return true }

// Ack finishes the delivery: the item is removed, and what ops do is done, in one transaction or not at all. So an effect in ZooKeeper happens exactly
// once for each item, however often it is given out. When Ack returns nil that is so; a lost connection leaves no doubt. To do it again is no
// error.
//
// It fails with the cause of the delivery's end, ErrLost among them, if the item is not this delivery's any more, and with the reason of an op that
// cannot be done; then nothing was done, and after the latter the delivery goes on. With client.ErrUnknown all of it may have been done: if ctx
// ended, another Ack finds out; if the session ended, nobody can tell.
func (d *Delivery) Ack(ctx context.Context, ops ...client.Op) error {
	return AckAll(ctx, []*Delivery{d}, ops...)
}

// AckAll is [Delivery.Ack] for several deliveries, of one queue or the shards of one: all items are removed, and what ops do is done, in one
// transaction or not at all. One transaction holds some thousand of them, by the size of their names and keys; client.ErrTooLarge tells of more.
//
// It fails as Ack does. If one of the items is not its delivery's any more, the error is that delivery's, with the path of its item, and all others
// go on. Those that were acknowledged before are left out, and ops too if all were. It fails with client.ErrBadArguments if there are ops
// and no deliveries, or if these are of several clients.
func AckAll(ctx context.Context, all []*Delivery, ops ...client.Op) error {
	switch {
	case len(all) > 0:
	case len(ops) > 0:
		return &client.Error{Op: "ack", Err: fmt.Errorf("%w: no deliveries", client.ErrBadArguments)}
	default:
		return nil
	}
	g := slices.Clone(group(all))
	slices.SortFunc(g, func(a, b *Delivery) int {
		return cmp.Or(strings.Compare(a.itemPath(), b.itemPath()), cmp.Compare(a.token, b.token))
	})
	g = slices.Compact(g)
	foreign := make([]part, len(ops))
	for i, op := range ops {
		foreign[i] = part{Op: op, foreign: true}
	}
	return g.finish(ctx, "ack", acked, func(left group) (parts []part) {
		for _, d := range left {
			parts = append(parts, d.ackParts()...)
		}
		return append(parts, foreign...)
	})
}

// Nack gives the item back as one that was not done: it is given out again, in the place of the order that it had, and not before delay is over, by
// this process's clock when it is given back and by that of whoever takes it then. In a queue ByTime it is due then, and Curator's consumers know
// of it; in others they do not see it until one of ours has brought it back. After Options.MaxAttempts it is put among the dead letters instead,
// with the reason, of which a kilobyte is kept, and which may be nil.
//
// The delivery's context ends first. Nack fails as Ack does; with client.ErrUnknown because ctx ended, it goes on by itself, and another Nack
// waits for it.
func (d *Delivery) Nack(ctx context.Context, delay time.Duration, reason error) error {
	return group{d}.finish(ctx, "nack", nacked, func(group) []part { return d.nackParts(delay, reason) })
}

// Release gives the item back as if it had not been taken: the attempt does not count. It fails as Nack does.
func (d *Delivery) Release(ctx context.Context) error {
	return group{d}.finish(ctx, "release", released, func(group) []part { return d.releaseParts() })
}

// release is Release for a delivery that nobody was given.
func (d *Delivery) release() {
	d.turn <- struct{}{}
	err := d.session.Go(func(life context.Context) { // ends when the item is given back, or the session is over
		defer func() { <-d.turn }()
		for retry.Transient(group{d}.settle(life, released, d.releaseParts(), always)) && retry.Pause(life, retry.Soon) {
		}
	})
	if err != nil { // the claim is gone with the session
		<-d.turn
	}
}

// unclaimParts remove the claim, if it is this one.
func (d *Delivery) unclaimParts() []part {
	return []part{{Op: client.DeleteOp(d.claimPath(), claimVersion), of: d}}
}

// removeItem is the part that removes the item, if it is as it was claimed.
func (d *Delivery) removeItem() part {
	return part{Op: client.DeleteOp(d.itemPath(), d.version), of: d}
}

func (d *Delivery) ackParts() []part {
	return append(append(d.unclaimParts(), d.removeItem()), d.q.finishKey(d.body.note.Key)...)
}

func (d *Delivery) releaseParts() []part {
	b := *d.body
	b.note.Attempts--
	return append(d.unclaimParts(), part{Op: client.SetOp(d.itemPath(), b.encode(), d.version), of: d})
}

// lastAttempt tells whether the item is a dead letter if it is not done now.
func (d *Delivery) lastAttempt() bool {
	return d.q.opts.MaxAttempts > 0 && d.body.note.Attempts >= d.q.opts.MaxAttempts
}

func (d *Delivery) nackParts(delay time.Duration, reason error) []part {
	b, parts := *d.body, d.unclaimParts()
	b.note.Reason = ""
	if reason != nil {
		b.note.Reason = strings.ToValidUTF8(reason.Error()[:min(len(reason.Error()), maxReason)], "")
	}
	remove := d.removeItem()
	at := time.Now().Add(delay)
	switch {
	case d.lastAttempt():
		return append(parts, remove, d.q.createDead(d.name, b.encode()))
	case delay <= 0:
		return append(parts, part{Op: client.SetOp(d.itemPath(), b.encode(), d.version), of: d})
	case d.q.opts.Order == ByTime:
		return append(parts, remove, d.q.createItem(ByTime.prefix(&Item{At: at}), b.encode()))
	}
	later := d.q.later.join(laterName(at, d.name.text))
	return append(parts, remove, part{Op: client.CreateOp(later, b.encode(), d.q.createOptions(client.Persistent)), dir: &d.q.later})
}

// A group is of deliveries that are finished in one transaction, in an order that is the same for all groups.
type group []*Delivery

// finish finishes deliveries by some parts, which are asked for when it is known which of them are not finished yet.
func (g group) finish(ctx context.Context, op string, how verb, parts func(left group) []part) error {
	ctx, seen := g[0].q.kit.Operation(ctx, &measured, op, g[0].itemPath())
	about, err := g.tryFinish(ctx, how, parts)
	seen.End(err)
	if err != nil {
		return &client.Error{Op: op, Path: about.itemPath(), Err: err}
	}
	return nil
}

// tryFinish tells about which delivery it fails.
func (g group) tryFinish(ctx context.Context, how verb, parts func(left group) []part) (about *Delivery, err error) {
	unknown := func() error { return fmt.Errorf("%w: %w", client.ErrUnknown, context.Cause(ctx)) }
	if at := g.begin(ctx); at != nil {
		return at, unknown() // somebody else is about to finish it
	}
	left, about, err := g.unfinished(how)
	if err != nil || len(left) == 0 {
		g.end()
		return about, err
	}
	s := left[0].session
	type outcome struct {
		about *Delivery
		err   error
	}
	done := make(chan outcome, 1)
	wanted := func() bool { return ctx.Err() == nil }
	if how != acked { // others may have it before this one hears of that
		g[0].giving, wanted = true, always
		g[0].lose(errGivenBack)
	}
	err = s.Go(func(life context.Context) { // ends when the outcome is known, or the session is over
		defer g.end()
		err := left.settle(telemetry.Below(ctx, life), how, parts(left), wanted)
		done <- outcome{left.blamed(err), err}
	})
	if err != nil {
		g.end()
		return left[0], err
	}
	select {
	case o := <-done:
		return o.about, o.err
	case <-ctx.Done():
	}
	select {
	case o := <-done:
		return o.about, o.err
	default:
		return left[0], unknown()
	}
}

// begin takes the turn of each, or of none: then it returns the one that somebody else has until ctx ends.
func (g group) begin(ctx context.Context) *Delivery {
	for i, d := range g {
		select {
		case d.turn <- struct{}{}:
		case <-ctx.Done():
			g[:i].end()
			return d
		}
	}
	return nil
}

func (g group) end() {
	for _, d := range g {
		<-d.turn
	}
}

// unfinished returns those that are not finished yet, or why one of them cannot be finished any more. The caller has the turns.
func (g group) unfinished(how verb) (left group, about *Delivery, err error) {
	for _, d := range g {
		switch err := d.mayFinish(how); {
		case err != nil:
			return nil, d, err
		case d.finished == how:
		case len(left) > 0 && d.session != left[0].session:
			return nil, d, fmt.Errorf("%w: deliveries of several clients", client.ErrBadArguments)
		default:
			left = append(left, d)
		}
	}
	return left, nil, nil
}

// mayFinish tells why the delivery cannot be finished any more. The caller has the turn.
func (d *Delivery) mayFinish(how verb) error {
	switch {
	case d.finished == how:
		return nil
	case d.finished != held:
		return context.Cause(d.ctx)
	case d.doubt != nil:
		return d.doubt
	case d.giving && how != acked && d.session.Err() == nil:
		return nil
	case d.Context().Err() != nil:
		return context.Cause(d.ctx)
	}
	return nil
}

// settle carries a finish out, and knows afterwards what has become of the deliveries. The caller has the turns.
func (g group) settle(life context.Context, how verb, parts []part, wanted func() bool) error {
	_, err := g[0].q.ledger.commit(life, g[0].session, parts, wanted)
	var failed *partError
	switch {
	case err == nil:
		for _, d := range g {
			d.settled(how)
		}
	case errors.As(err, &failed) && !failed.part.foreign && retry.LostRace(err):
		about := g.blamed(err)
		about.lose(ErrLost)
		about.unclaim(life)
		return fmt.Errorf("%w: %w", ErrLost, err)
	case errors.Is(err, client.ErrUnknown) && g[0].session.Err() != nil:
		for _, d := range g {
			d.doubt = err
		}
	}
	return err
}

// blamed returns which of the deliveries an error is about.
func (g group) blamed(err error) *Delivery {
	var failed *partError
	if errors.As(err, &failed) && failed.part.of != nil {
		return failed.part.of
	}
	return g[0]
}

// settled tells that the delivery is finished.
func (d *Delivery) settled(how verb) {
	d.finished = how
	if how == acked {
		d.lose(errAcked)
		return
	}
	d.lose(errGivenBack) // if that has not been done before
	d.q.forget()
	if how == nacked && d.lastAttempt() {
		d.q.buried(d.name)
	}
}

// unclaim removes the claim, if it is still this one, of an item that is gone or was written by somebody else.
func (d *Delivery) unclaim(life context.Context) {
	view := d.q.client.In(d.session)
	for {
		stat, there, err := view.Exists(life, d.claimPath())
		if err == nil && there && stat.Czxid == d.token {
			err = view.Delete(life, d.claimPath(), claimVersion)
		}
		if !retry.Transient(err) || !retry.Pause(life, retry.Soon) {
			return
		}
	}
}
