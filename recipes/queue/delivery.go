package queue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
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

// Token returns the fencing token: the transaction that made the claim, or that [Queue.Pop] removed the item by, greater than that of every claim of
// this item before; 0 if nobody knows whether Pop has.
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
