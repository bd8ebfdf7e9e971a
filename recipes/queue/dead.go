package queue

import (
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

// Dead is a dead letter: an item that was given out as often as allowed, or that nobody can read.
type Dead struct {
	Name     string // of its node
	Item     Item
	Records  [][]byte // all of the item's data, see Delivery.Records; nil if nobody can read it
	Raw      []byte   // what stands in the node
	Attempts int
	Reason   string    // why it was not done the last time
	Since    time.Time // when it was put there, by the clock of the servers' leader
}

// createDead is the part that makes an item a dead letter. It keeps what its name says of its place.
func (q *Queue) createDead(n name, data []byte) part {
	return part{Op: client.CreateOp(q.dead.join(n.stem()), data, q.createOptions(client.PersistentSequential)), dir: &q.dead}
}

// bury makes an item a dead letter that nobody has claimed; if somebody has, it is none of this one's business.
func (q *Queue) bury(life context.Context, s *client.Session, n name, stat client.Stat, data []byte, wanted func() bool) error {
	_, err := q.ledger.commit(life, s, append(q.unlessClaimed(n.text),
		part{Op: client.DeleteOp(q.items.join(n.text), stat.Version)}, q.createDead(n, data)), wanted)
	if err == nil {
		q.buried(n)
	}
	var failed *partError
	if errors.As(err, &failed) && retry.LostRace(err) {
		return nil
	}
	return err
}

// buried tells those who look on.
func (q *Queue) buried(n name) {
	q.kit.Count(telemetry.QueueDead, 1)
	q.opts.Logger.Warn("item put among the dead letters", "path", q.items.join(n.text))
}

// unlessClaimed are parts that fail if an item is claimed.
func (q *Queue) unlessClaimed(item string) []part {
	claim := q.claims.join(item)
	return []part{
		{Op: client.CreateOp(claim, nil, q.createOptions(client.Ephemeral)), dir: &q.claims},
		{Op: client.DeleteOp(claim, 0)},
	}
}

// DeadLetters returns the dead letters, in the queue's order. They stay until somebody revives or discards them.
func (q *Queue) DeadLetters(ctx context.Context) ([]Dead, error) {
	texts, err := q.dead.children(ctx, q.client)
	if err != nil {
		return nil, err
	}
	names, _ := q.opts.Order.parseAll(texts)
	var all []Dead
	for _, n := range names {
		d, err := q.readDead(ctx, q.client, n)
		if errors.Is(err, client.ErrNoNode) {
			continue // gone meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, d.Dead)
	}
	return all, nil
}

// A deadNode is a dead letter and its node.
type deadNode struct {
	Dead
	body    *body // nil if nobody can read it
	version int32
}

func (q *Queue) readDead(ctx context.Context, c *client.Client, n name) (*deadNode, error) {
	data, stat, err := c.Get(ctx, q.dead.join(n.text))
	if err != nil {
		return nil, err
	}
	d := &deadNode{Dead: Dead{Name: n.text, Raw: data, Since: stat.Ctime}, version: stat.Version}
	b, err := decode(data)
	if err != nil {
		d.Item, d.Reason = itemOf(n, &body{}), err.Error()
		return d, nil
	}
	d.body = b
	d.Item, d.Records, d.Attempts, d.Reason = itemOf(n, b), b.records, b.note.Attempts, b.note.Reason
	return d, nil
}

// Revive puts a dead letter back into the queue, at the end of its equals, with no attempt made. It fails with client.ErrNoNode if there is
// no dead letter of this name (any more), and with client.ErrBadArguments if nobody can read it; else as Put does.
func (q *Queue) Revive(ctx context.Context, name string) error {
	return q.withDead(ctx, "revive", name, func(n string, d *deadNode) ([]part, error) {
		if d.body == nil {
			return nil, fmt.Errorf("%w: %s", client.ErrBadArguments, d.Reason)
		}
		d.body.note.Attempts, d.body.note.Reason = 0, ""
		return []part{q.createItem(n, d.body.encode())}, nil
	})
}

// Discard removes a dead letter. It fails as Revive does.
func (q *Queue) Discard(ctx context.Context, name string) error {
	return q.withDead(ctx, "discard", name, func(_ string, d *deadNode) ([]part, error) {
		return q.removeKey(d.Item.Key), nil
	})
}

// withDead removes a dead letter, and does what instead makes of it in the same transaction.
func (q *Queue) withDead(ctx context.Context, op, name string, instead func(stem string, d *deadNode) ([]part, error)) error {
	failed := func(err error) error { return &client.Error{Op: op, Path: q.dead.join(name), Err: err} }
	n, ok := q.opts.Order.parse(name)
	if !ok || strings.Contains(name, "/") {
		return failed(fmt.Errorf("%w: not the name of an item", client.ErrBadArguments))
	}
	for {
		s, err := q.client.AwaitSession(ctx)
		if err == nil {
			_, err = inSession(ctx, s, func(life context.Context, wanted func() bool) (int64, error) {
				d, err := q.readDead(life, q.client.In(s), n)
				if err != nil {
					return 0, err
				}
				more, err := instead(n.stem(), d)
				if err != nil {
					return 0, err
				}
				return q.ledger.commit(life, s, append([]part{{Op: client.DeleteOp(q.dead.join(name), d.version)}}, more...), wanted)
			}, nil)
			if again(ctx, s, err) {
				continue
			}
		}
		if err != nil {
			return failed(err)
		}
		return nil
	}
}

// Remove removes the items with an id from a queue ByID, unless they are claimed, and returns how many it has removed. It fails with
// client.ErrBadArguments in a queue of another Order. When it fails it may have removed some; with client.ErrUnknown one more than it tells.
func (q *Queue) Remove(ctx context.Context, id string) (removed int, err error) {
	if q.opts.Order != ByID {
		return 0, q.failed("remove", fmt.Errorf("%w: the queue has no ids", client.ErrBadArguments))
	}
	texts, err := q.items.children(ctx, q.client)
	if err != nil {
		return 0, err
	}
	all, _ := q.opts.Order.parseAll(texts)
	for _, n := range slices.DeleteFunc(all, func(n name) bool { return n.id != idInName(id) }) {
		done, err := q.removeOne(ctx, n)
		if err != nil {
			return removed, q.failed("remove", err)
		}
		if done {
			removed++
		}
	}
	return removed, nil
}

// removeOne removes an item that nobody has claimed.
func (q *Queue) removeOne(ctx context.Context, n name) (bool, error) {
	for {
		s, err := q.client.AwaitSession(ctx)
		if err != nil {
			return false, err
		}
		done, err := inSession(ctx, s, func(life context.Context, wanted func() bool) (bool, error) {
			data, stat, err := q.client.In(s).Get(life, q.items.join(n.text))
			if err != nil {
				return false, err
			}
			parts := append(q.unlessClaimed(n.text), part{Op: client.DeleteOp(q.items.join(n.text), stat.Version)})
			if b, err := decode(data); err == nil {
				parts = append(parts, q.removeKey(b.note.Key)...)
			}
			_, err = q.ledger.commit(life, s, parts, wanted)
			return err == nil, err
		}, nil)
		switch {
		case again(ctx, s, err):
			continue
		case err != nil && !errors.Is(err, client.ErrUnknown) && retry.LostRace(err):
			return false, nil // claimed, or gone
		}
		return done, err
	}
}
