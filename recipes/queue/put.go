package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// Put puts items into the queue, all of them or none, in one transaction, each behind the equals that are there. When it returns nil they are
// there, on a majority of the servers' disks. While there is no room it waits until ctx ends, which is [ErrFull] then. It fails with ErrDuplicate,
// with client.ErrTooLarge if the items do not fit into one request, with client.ErrBadArguments for what cannot be put into a queue of this
// Order, or with the client's reasons.
//
// With client.ErrUnknown the items may be in the queue, all or none: when the session ended with the transaction on its way, or ctx. A lost
// connection alone leaves no doubt. To put once more is safe for items with a Key, as long as they are not done by
// then, or for [Options].KeepKeys.
func (q *Queue) Put(ctx context.Context, items ...Item) error {
	ctx, seen := q.kit.Operation(ctx, &measured, "put", q.items.path)
	err := q.put(ctx, items)
	seen.End(err)
	if err != nil {
		return q.failed("put", err)
	}
	return nil
}

func (q *Queue) put(ctx context.Context, items []Item) error {
	parts, err := q.putParts(items)
	if err != nil {
		return err
	}
	for {
		s, err := q.client.AwaitSession(ctx)
		if err != nil {
			return err
		}
		q.sweepKeys(s)
		if err := q.putIn(ctx, s, parts, len(items)); !again(ctx, s, err) {
			return err
		}
	}
}

// Ops returns the operations that put items, for a multi of the caller's own, such as [Delivery.Ack]'s: what is done with one item and what
// follows from it, in one step. They take no notice of MaxItems. The queue's directory must exist: see [Queue.Make].
func (q *Queue) Ops(items ...Item) ([]client.Op, error) {
	parts, err := q.putParts(items)
	if err != nil {
		return nil, q.failed("put", err)
	}
	ops := make([]client.Op, len(parts))
	for i, p := range parts {
		ops[i] = p.Op
	}
	return ops, nil
}

// Make makes the queue's directories where they are missing, as everything else does when it needs them.
func (q *Queue) Make(ctx context.Context) error {
	for _, d := range []*directory{&q.items, &q.claims, &q.keys} {
		if err := d.make(ctx, q.client); err != nil {
			return err
		}
	}
	return nil
}

func (q *Queue) putParts(items []Item) ([]part, error) {
	var parts []part
	for i := range items {
		item := &items[i]
		if err := q.opts.Order.refuses(item); err != nil {
			return nil, err
		}
		if item.Key != "" {
			parts = append(parts, q.createKey(item.Key))
		}
		b := body{records: [][]byte{item.Data}, note: note{Key: item.Key}}
		parts = append(parts, q.createItem(q.opts.Order.prefix(item), q.encode(&b)))
	}
	return parts, nil
}

// refuses says why an item cannot be put into a queue of this order: something of it would be lost.
func (o Order) refuses(i *Item) error {
	switch {
	case len(i.Data)+len(i.Key)+len(i.ID) > maxData:
		return fmt.Errorf("%w: an item of %d bytes", client.ErrTooLarge, len(i.Data)+len(i.Key)+len(i.ID))
	case o < FIFO || o > Simple:
		return fmt.Errorf("%w: no such order: %d", client.ErrBadArguments, o)
	case o == Simple && i.Key != "":
		return fmt.Errorf("%w: an item with a key, in a queue of nothing but data", client.ErrBadArguments)
	case o != ByPriority && i.Priority != 0:
		return fmt.Errorf("%w: an item with a priority, in a queue that has none", client.ErrBadArguments)
	case o != ByTime && !i.At.IsZero():
		return fmt.Errorf("%w: an item for a certain time, in a queue that does not wait", client.ErrBadArguments)
	case o != ByID && i.ID != "":
		return fmt.Errorf("%w: an item with an id, in a queue without", client.ErrBadArguments)
	}
	return nil
}

// putIn puts what n items consist of in one session.
func (q *Queue) putIn(ctx context.Context, s *client.Session, parts []part, n int) error {
	if n == 0 {
		return nil
	}
	if q.opts.MaxItems <= 0 {
		return q.commitPut(ctx, s, parts)
	}
	if n > q.opts.MaxItems {
		return fmt.Errorf("%w: %d items for a queue of %d", client.ErrBadArguments, n, q.opts.MaxItems)
	}
	view := q.client.In(s)
	err := q.putIfRoom(ctx, s, view, parts, n)
	if !errors.Is(err, ErrFull) {
		return err
	}
	for {
		err := q.putInTurn(ctx, s, view, parts, n)
		if !errors.Is(err, ticket.ErrGone) { // else somebody has removed it from the line
			return err
		}
	}
}

// commitPut carries the transaction out.
func (q *Queue) commitPut(ctx context.Context, s *client.Session, parts []part) error {
	_, err := inSession(ctx, s, func(life context.Context, wanted func() bool) (int64, error) {
		return q.ledger.commit(life, s, parts, wanted)
	}, nil)
	var failed *partError
	if errors.As(err, &failed) && failed.part.dir == &q.keys && errors.Is(err, client.ErrNodeExists) {
		return fmt.Errorf("%w: %w", ErrDuplicate, err)
	}
	return err
}
