package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// room is what the last who put of this process knows of a bounded queue's directory.
type room struct {
	version int32  // of its data, as that put has left it
	data    []byte // which it has while its version is that
	items   int    // how many there were then; while the version is that, nobody has put more
	counted time.Time
	alone   bool // nobody else had put between the last two of this process
}

// putterMarker is that of the tickets of those who wait for room.
const putterMarker = "put-"

// putInTurn puts when there is room and nobody is ahead in the line of those who wait for it.
func (q *Queue) putInTurn(ctx context.Context, s *client.Session, view *client.Client, parts []part, n int) error {
	t, err := ticket.Take(ctx, view, q.gate, putterMarker, &ticket.Options{Data: []byte(q.opts.ID), ACL: q.opts.ACL})
	if err != nil {
		return asFull(ctx, err)
	}
	defer leave(t)
	if err := t.Wait(ctx); err != nil {
		return asFull(ctx, err)
	}
	for {
		names, w, err := q.items.childrenW(ctx, view)
		if err != nil {
			return asFull(ctx, err)
		}
		if len(names)+n <= q.opts.MaxItems {
			if err := q.putIfRoom(ctx, s, view, parts, n); !errors.Is(err, ErrFull) {
				return err
			}
		}
		select {
		case <-w.Done():
		case <-t.Context().Done():
			return context.Cause(t.Context())
		case <-ctx.Done():
			return asFull(ctx, context.Cause(ctx))
		}
	}
}

// asFull tells of one who waited for room in vain.
func asFull(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrFull, context.Cause(ctx))
	}
	return err
}

// putIfRoom puts if there is room at the moment of the transaction, else it fails with ErrFull. Each who puts sets the directory's data, to what
// they are, on the condition that nobody did so since the children were counted; those who take only make room. So no two who put count
// on the same room. Of one process one puts at a time, as one of several would succeed.
func (q *Queue) putIfRoom(ctx context.Context, s *client.Session, view *client.Client, parts []part, n int) error {
	select {
	case q.putting <- struct{}{}:
		defer func() { <-q.putting }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for {
		r, err := q.count(ctx, view, n)
		if err != nil {
			return err
		}
		if r.items+n > q.opts.MaxItems {
			return ErrFull
		}
		q.room = room{version: -1}
		err = q.commitPut(ctx, s, append(parts[:len(parts):len(parts)], part{Op: client.SetOp(q.items.path, r.data, r.version)}))
		if err == nil {
			r.version, r.items = r.version+1, r.items+n
			q.room = r
			return nil
		}
		var failed *partError
		if !errors.As(err, &failed) || failed.index != len(parts) {
			return err
		}
	}
}

// count returns what is known of the room: of the last put, if nobody else puts and there is room for n after it, or of the directory. Those who put
// and do not tell, Curator's and those who know of no bound, are counted after maxAge at the latest. The caller is the one who puts.
func (q *Queue) count(ctx context.Context, view *client.Client, n int) (room, error) {
	if q.room.alone && q.room.items+n <= q.opts.MaxItems && time.Since(q.room.counted) < maxAge {
		return q.room, nil
	}
	for {
		data, stat, err := view.Get(ctx, q.items.path)
		if err == nil {
			return room{stat.Version, data, stat.NumChildren, time.Now(), stat.Version == q.room.version}, nil
		}
		if errors.Is(err, client.ErrNoNode) {
			err = q.items.make(ctx, view)
		}
		if err != nil {
			return room{}, err
		}
	}
}

// leave returns a ticket, and does not wait until that is done.
func leave(t *ticket.Ticket) {
	now, cancel := context.WithDeadline(context.Background(), time.Time{})
	defer cancel()
	_ = t.Return(now)
}
