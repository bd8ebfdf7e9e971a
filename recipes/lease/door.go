package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// A door is one who is first in line, and may look at the lease.
type door struct {
	lease       *Lease
	ticket      *ticket.Ticket
	client      *client.Client // in the ticket's session: what it reads is not older than what who stood there before has written
	sent, heard time.Time      // before and after the ticket's node was made
	made        time.Time      // by the servers' clock
	last        record
	watched     bool          // the record is
	changed     *client.Watch // of the record, if it is watched
	fence       int32         // version of the fence; -1: none
}

// earliest and latest are what the servers' clock shows now, at least and at most.
func (d *door) earliest() time.Time { return d.made.Add(time.Since(d.heard)) }
func (d *door) latest() time.Time   { return d.made.Add(time.Since(d.sent)) }

// look reads the clock and the records.
func (d *door) look(ctx context.Context) error {
	stat, ok, err := d.client.Exists(ctx, d.ticket.Path())
	if err == nil && !ok {
		err = ticket.ErrGone
	}
	if err != nil {
		return err
	}
	d.made = stat.Ctime
	if err := d.readRecord(ctx); err != nil {
		return err
	}
	d.fence = -1
	stat, ok, err = d.client.Exists(ctx, d.lease.fence())
	if ok {
		d.fence = stat.Version
	}
	return err
}

func (d *door) readRecord(ctx context.Context) error {
	var (
		data []byte
		stat client.Stat
		w    *client.Watch
		err  error
	)
	if d.watched {
		data, stat, w, err = d.client.GetW(ctx, d.lease.record())
	} else {
		data, stat, err = d.client.Get(ctx, d.lease.record())
	}
	if errors.Is(err, client.ErrNoNode) {
		d.last = record{none: true}
		return nil
	}
	if err == nil {
		d.changed = w
		d.last, err = decode(data, stat)
	}
	return err
}

// grant writes that the lease is this holder's.
func (d *door) grant(ctx context.Context, lasts time.Duration) (*Grant, error) {
	l, asked := d.lease, time.Now()
	next := record{
		Holder: l.opts.ID, Grant: client.NewProtectionID(), Token: d.ticket.Token(), Since: d.earliest().UTC(), end: d.until(max(lasts, l.opts.AtLeast)),
	}
	next, err := d.write(ctx, next, d.ops)
	if err != nil {
		return nil, err
	}
	g := &Grant{lease: l, record: next, fence: d.fence + 1, changing: make(chan struct{}, 1)}
	g.begin(asked.Add(lasts))
	return g, nil
}

// until is the end of what is granted from now on, as others are told.
func (d *door) until(lasts time.Duration) time.Time {
	return ceil(d.latest().Add(lasts + d.lease.opts.Margin))
}

// write carries out the transaction that makes next the record, and returns it with its version.
func (d *door) write(ctx context.Context, next record, ops func(record) []client.Op) (record, error) {
	for doubt := false; ; doubt = true {
		_, err := d.client.Multi(ctx, ops(next)...)
		if err == nil {
			next.stat.Version = d.last.stat.Version + 1
			return next, nil
		}
		if !errors.Is(err, client.ErrUnknown) && !doubt {
			return next, err
		}
		// The answer was lost. As long as the session lives, nobody else can be at the door until it is found out; and if it has not
		// been done, the same again is done once.
		if ctx.Err() != nil || d.client.Sync(ctx, d.lease.path) != nil || d.readRecord(ctx) != nil {
			return next, fmt.Errorf("%w: %w", client.ErrUnknown, err)
		}
		if d.last.Grant == next.Grant && d.last.end.Equal(next.end) {
			next.stat = d.last.stat
			return next, nil
		}
		if !errors.Is(err, client.ErrUnknown) {
			return next, err
		}
	}
}

// ops is the transaction that makes the lease this holder's. A record that we make is at version 1, since kazoo's are at version 0 always; and
// the fence's version is another one for each grant, also when kazoo's begin again.
func (d *door) ops(next record) []client.Op {
	l := d.lease
	opts := &client.CreateOptions{ACL: l.opts.ACL}
	ops := []client.Op{client.CheckOp(d.ticket.Path(), client.AnyVersion)}
	if d.last.none {
		ops = append(ops, client.CreateOp(l.record(), nil, opts))
	}
	ops = append(ops, client.SetOp(l.record(), next.encode(), d.last.stat.Version))
	if d.fence < 0 {
		return append(ops, client.CreateOp(l.fence(), nil, opts))
	}
	return append(ops, client.SetOp(l.fence(), nil, d.fence))
}
