package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/retry"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
)

// Delivery is an item that was taken, from Take until it is finished: acknowledged, or given back. Its methods may be called by many goroutines.
type Delivery struct {
	q       *Queue
	session *client.Session
	name    name
	body    *body
	version int32 // of the item: no other claim's
	token   int64
	since   time.Time
	ctx     context.Context
	cancel  context.CancelCauseFunc
	keep    func()          // ends the keeping of the session
	hold    *telemetry.Hold // how it is seen; nil: not at all

	turn     chan struct{} // held by the one who finishes it, and guards:
	finished verb
	giving   bool  // it is to be given back, and its context has ended for that
	doubt    error // what is known of an attempt to finish it whose outcome is unknown for ever

	mu       sync.Mutex
	watcher  *time.Timer // begins to guard
	limit    *time.Timer
	deadline time.Time // when the limit strikes
}

// watchAfter is how long a delivery goes on before its claim is watched. Many are finished by then, and to finish what somebody else has fails in any
// case.
const watchAfter = 100 * time.Millisecond

// A verb is a way to finish a delivery.
type verb int

const (
	held verb = iota
	acked
	nacked
	released
)

func (q *Queue) deliver(life context.Context, s *client.Session, f *found, token int64) (*Delivery, error) {
	keep, err := s.Keep(life)
	if err != nil {
		return nil, err
	}
	d := &Delivery{
		q: q, session: s, name: f.name, body: f.body, version: f.stat.Version, token: token, since: f.stat.Ctime,
		keep: keep, turn: make(chan struct{}, 1),
	}
	d.ctx, d.cancel = context.WithCancelCause(s.Context())
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watcher = time.AfterFunc(watchAfter, func() { _ = s.Go(d.guard) })
	if q.opts.MaxWork > 0 {
		d.deadline = time.Now().Add(q.opts.MaxWork)
		d.limit = time.AfterFunc(q.opts.MaxWork, d.timeOver)
	}
	return d, nil
}

// guard ends the context when somebody removes the claim, or has; it ends with the context. It reads the claim's data, which leaves no watch behind
// when there is no claim.
func (d *Delivery) guard(context.Context) {
	for d.ctx.Err() == nil {
		w, gone, err := d.look()
		switch {
		case gone:
			d.lostUnlessFinishing()
			return
		case err != nil:
			return // the context or the session has ended, or it may not be read
		}
		if event, err := w.Wait(d.ctx); err == nil && event.Type == client.EventDeleted {
			d.lostUnlessFinishing()
		}
	}
}

// look tells whether the claim is gone, and watches it if it is not.
func (d *Delivery) look() (w *client.Watch, gone bool, err error) {
	_, stat, w, err := d.q.client.In(d.session).GetW(d.ctx, d.claimPath())
	return w, errors.Is(err, client.ErrNoNode) || err == nil && stat.Czxid != d.token, err
}

// lostUnlessFinishing ends the context, if the claim is gone and neither the delivery's own doing is the reason, nor the end of the session, of which
// its claims may hear first.
func (d *Delivery) lostUnlessFinishing() {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-d.ctx.Done():
	}
	if d.ctx.Err() != nil {
		return
	}
	if err := d.q.client.In(d.session).Sync(d.ctx, d.claimPath()); err != nil {
		return
	}
	if _, gone, _ := d.look(); gone {
		d.lose(ErrLost)
	}
}

// lose ends the context.
func (d *Delivery) lose(cause error) {
	d.cancel(cause)
	d.keep()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watcher.Stop()
	if d.limit != nil {
		d.limit.Stop()
	}
}

// Context returns a context that ends when the item is this delivery's no more, with the cause: ErrFinished, ErrLost, ErrTooLong, or the cause of
// the session's end (client.ErrSessionExpired, client.ErrClosed). It ends by itself before anybody else is given the item, unless the claim
// is removed by hand, which is noticed a tenth of a second after Take at the earliest; and its Err looks at the clocks. Work on the item runs
// under it. It carries no values of the context given to Take.
func (d *Delivery) Context() context.Context { return claimContext{d.hold.Context(d.ctx), d.session} }

// claimContext is a delivery's context, which asks for the session's end before it says that there is none.
type claimContext struct {
	context.Context
	session *client.Session
}

// Err is context.Context's.
func (c claimContext) Err() error {
	_ = c.session.Err() // ends the session, and with it the context, if its time is over
	return c.Context.Err()
}

// Data returns the item's data. They are the first of Records, and belong to the caller.
func (d *Delivery) Data() []byte {
	if len(d.body.records) == 0 {
		return nil
	}
	return d.body.records[0]
}

// Records returns all data of an item in which a producer of Curator's has put several (putMulti). They are done, or not, as one.
func (d *Delivery) Records() [][]byte { return d.body.records }

// Item returns what was put.
func (d *Delivery) Item() Item { return itemOf(d.name, d.body) }

func itemOf(n name, b *body) Item {
	i := Item{Key: b.note.Key, Priority: n.priority, At: n.at, ID: n.id}
	if len(b.records) > 0 {
		i.Data = b.records[0]
	}
	return i
}

// Name returns the name of the item's node.
func (d *Delivery) Name() string { return d.name.text }

// Since returns when the item's node was made, by the clock of the servers' leader.
func (d *Delivery) Since() time.Time { return d.since }

// Attempt counts how often the item was given out, this time included: more than 1 means that it may have been done in part. What Curator's
// consumers began does not count.
func (d *Delivery) Attempt() int { return d.body.note.Attempts }

// Token returns the fencing token: the transaction that made the claim, greater than that of every claim of this item before.
func (d *Delivery) Token() int64 { return d.token }

// Session returns the session the claim is held in.
func (d *Delivery) Session() *client.Session { return d.session }

// Guard returns operations to be the first of a multi on the same client: it fails, and changes nothing, unless the item is still this delivery's at
// the very moment of the change.
func (d *Delivery) Guard() []client.Op {
	return []client.Op{client.CheckOp(d.claimPath(), claimVersion), client.CheckOp(d.itemPath(), d.version)}
}

func (d *Delivery) itemPath() string  { return d.q.items.join(d.name.text) }
func (d *Delivery) claimPath() string { return d.q.claims.join(d.name.text) }

// Extend lets the delivery take d from now on, where Options.MaxWork bounds it. It tells nobody but this process, which is who bounds it, and fails
// with the cause of the delivery's end.
func (d *Delivery) Extend(by time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Context().Err() != nil {
		return d.q.failed("extend", context.Cause(d.ctx))
	}
	if d.limit != nil {
		d.deadline = time.Now().Add(by)
		d.limit.Reset(by)
	}
	return nil
}

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
		for retry.Transient(d.settle(life, nacked, d.nackParts(0, ErrTooLong), always)) && retry.Pause(life, retry.Soon) {
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
	parts := append(d.unclaimParts(), part{Op: client.DeleteOp(d.itemPath(), d.version)})
	parts = append(parts, d.q.finishKey(d.body.note.Key)...)
	for _, op := range ops {
		parts = append(parts, part{Op: op, foreign: true})
	}
	return d.finish(ctx, "ack", acked, parts)
}

// Nack gives the item back as one that was not done: it is given out again, in the place of the order that it had, and not before delay is over, by
// this process's clock when it is given back and by that of whoever takes it then. In a queue ByTime it is due then, and Curator's consumers know
// of it; in others they do not see it until one of ours has brought it back. After Options.MaxAttempts it is put among the dead letters instead,
// with the reason, of which a kilobyte is kept, and which may be nil.
//
// The delivery's context ends first. Nack fails as Ack does; with client.ErrUnknown because ctx ended, it goes on by itself, and another Nack
// waits for it.
func (d *Delivery) Nack(ctx context.Context, delay time.Duration, reason error) error {
	return d.finish(ctx, "nack", nacked, d.nackParts(delay, reason))
}

// Release gives the item back as if it had not been taken: the attempt does not count. It fails as Nack does.
func (d *Delivery) Release(ctx context.Context) error {
	return d.finish(ctx, "release", released, d.releaseParts())
}

// release is Release for a delivery that nobody was given.
func (d *Delivery) release() {
	d.turn <- struct{}{}
	err := d.session.Go(func(life context.Context) { // ends when the item is given back, or the session is over
		defer func() { <-d.turn }()
		for retry.Transient(d.settle(life, released, d.releaseParts(), always)) && retry.Pause(life, retry.Soon) {
		}
	})
	if err != nil { // the claim is gone with the session
		<-d.turn
	}
}

// unclaimParts remove the claim, if it is this one.
func (d *Delivery) unclaimParts() []part {
	return []part{{Op: client.DeleteOp(d.claimPath(), claimVersion)}}
}

func (d *Delivery) releaseParts() []part {
	b := *d.body
	b.note.Attempts--
	return append(d.unclaimParts(), part{Op: client.SetOp(d.itemPath(), b.encode(), d.version)})
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
	remove := part{Op: client.DeleteOp(d.itemPath(), d.version)}
	at := time.Now().Add(delay)
	switch {
	case d.lastAttempt():
		return append(parts, remove, d.q.createDead(d.name, b.encode()))
	case delay <= 0:
		return append(parts, part{Op: client.SetOp(d.itemPath(), b.encode(), d.version)})
	case d.q.opts.Order == ByTime:
		return append(parts, remove, d.q.createItem(ByTime.prefix(&Item{At: at}), b.encode()))
	}
	later := d.q.later.join(laterName(at, d.name.text))
	return append(parts, remove, part{Op: client.CreateOp(later, b.encode(), d.q.createOptions(client.Persistent)), dir: &d.q.later})
}

// finish finishes the delivery by some parts.
func (d *Delivery) finish(ctx context.Context, op string, how verb, parts []part) error {
	ctx, seen := d.q.kit.Operation(ctx, &measured, op, d.itemPath())
	err := d.tryFinish(ctx, how, parts)
	seen.End(err)
	if err != nil {
		return &client.Error{Op: op, Path: d.itemPath(), Err: err}
	}
	return nil
}

func (d *Delivery) tryFinish(ctx context.Context, how verb, parts []part) error {
	unknown := func() error { return fmt.Errorf("%w: %w", client.ErrUnknown, context.Cause(ctx)) }
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return unknown() // somebody else is about to finish it
	}
	if err := d.mayFinish(how); err != nil || d.finished == how {
		<-d.turn
		return err
	}
	done := make(chan error, 1)
	wanted := func() bool { return ctx.Err() == nil }
	if how != acked { // others may have it before this one hears of that
		d.giving, wanted = true, always
		d.lose(errGivenBack)
	}
	err := d.session.Go(func(life context.Context) { // ends when the outcome is known, or the session is over
		defer func() { <-d.turn }()
		done <- d.settle(telemetry.Below(ctx, life), how, parts, wanted)
	})
	if err != nil {
		<-d.turn
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	default:
		return unknown()
	}
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

// settle carries a finish out, and knows afterwards what has become of the delivery. The caller has the turn.
func (d *Delivery) settle(life context.Context, how verb, parts []part, wanted func() bool) error {
	_, err := d.q.ledger.commit(life, d.session, parts, wanted)
	var failed *partError
	switch {
	case err == nil:
		d.finished = how
		if how == acked {
			d.lose(errAcked)
			return nil
		}
		d.lose(errGivenBack) // if that has not been done before
		d.q.forget()
		if how == nacked && d.lastAttempt() {
			d.q.buried(d.name)
		}
	case errors.As(err, &failed) && !failed.part.foreign && retry.LostRace(err):
		d.lose(ErrLost)
		d.unclaim(life)
		return fmt.Errorf("%w: %w", ErrLost, err)
	case errors.Is(err, client.ErrUnknown) && d.session.Err() != nil:
		d.doubt = err
	}
	return err
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
