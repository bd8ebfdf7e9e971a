package queue

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// State is what stands in a queue, as Inspect found it.
type State struct {
	Items   []Entry            // in the queue's order, what waits for its time behind the rest
	Dead    int                // how many dead letters there are
	Takers  []ticket.Contender // who wait for an item, in the order in which they get one; their data are their Options.ID
	Putters []ticket.Contender // who wait for room, in the order in which they put; their data are their Options.ID
	Foreign []string           // nodes in the queue's directory that are no items
}

// Entry is an item in the queue.
type Entry struct {
	Name     string // of its node
	Item     Item
	Since    time.Time // when its node was made, by the clock of the servers' leader
	Attempts int       // how often it was given out, the present time included
	Reason   string    // why it was not done the last time, or cannot be read
	Later    time.Time // when it is given out again, if it was given back for later
	Claim    *Claim    // nil: nobody has it
}

// Claim is who has an item.
type Claim struct {
	ID      string    // the consumer's Options.ID, or what Curator's consumer calls itself, an address most often
	Session int64     // as in client.Session.ID
	Token   int64     // as of Delivery.Token
	Since   time.Time // by the clock of the servers' leader
}

// Inspect reads what stands in the queue now. It reads only: four lists, two nodes an item, and one for each who waits. What comes and goes meanwhile may
// be in it or not.
func (q *Queue) Inspect(ctx context.Context) (*State, error) {
	st := &State{}
	texts, err := q.items.children(ctx, q.client)
	if err != nil {
		return nil, err
	}
	var names []name
	names, st.Foreign = q.opts.Order.parseAll(texts)
	for _, n := range names {
		if err := q.inspect(ctx, st, q.items.join(n.text), n, time.Time{}); err != nil {
			return nil, err
		}
	}
	if err := q.inspectLater(ctx, st); err != nil {
		return nil, err
	}
	if st.Takers, _, err = ticket.Inspect(ctx, q.client, q.line, takerMarker); err != nil {
		return nil, err
	}
	if st.Putters, _, err = ticket.Inspect(ctx, q.client, q.gate, putterMarker); err != nil {
		return nil, err
	}
	stat, _, err := q.client.Exists(ctx, q.dead.path)
	if err != nil {
		return nil, err
	}
	st.Dead = stat.NumChildren
	return st, nil
}

func (q *Queue) inspectLater(ctx context.Context, st *State) error {
	texts, err := q.later.children(ctx, q.client)
	if err != nil {
		return err
	}
	slices.Sort(texts) // by their times
	for _, text := range texts {
		at, item, ok := parseLater(text)
		n, isItem := q.opts.Order.parse(item)
		if !ok || !isItem {
			continue
		}
		if err := q.inspect(ctx, st, q.later.join(text), n, at); err != nil {
			return err
		}
	}
	return nil
}

// inspect adds an item, unless it has gone.
func (q *Queue) inspect(ctx context.Context, st *State, path string, n name, later time.Time) error {
	data, stat, err := q.client.Get(ctx, path)
	if errors.Is(err, client.ErrNoNode) {
		return nil
	}
	if err != nil {
		return err
	}
	e := Entry{Name: n.text, Since: stat.Ctime, Later: later}
	b, err := q.decode(data)
	if err != nil {
		b, e.Reason = &body{}, err.Error()
	} else {
		e.Attempts, e.Reason = b.note.Attempts, b.note.Reason
	}
	e.Item = itemOf(n, b)
	if later.IsZero() {
		if e.Claim, err = q.inspectClaim(ctx, n.text); err != nil {
			return err
		}
	}
	st.Items = append(st.Items, e)
	return nil
}

func (q *Queue) inspectClaim(ctx context.Context, item string) (*Claim, error) {
	id, stat, err := q.client.Get(ctx, q.claims.join(item))
	if errors.Is(err, client.ErrNoNode) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &Claim{ID: string(id), Session: stat.EphemeralOwner, Token: stat.Czxid, Since: stat.Ctime}, nil
}
