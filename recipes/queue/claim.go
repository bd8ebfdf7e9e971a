package queue

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/retry"
)

// A found item is one that was read and is to be claimed.
type found struct {
	name name
	body *body
	stat client.Stat
}

// claim claims what is still there of some items, in one transaction, and leaves out what others have claimed.
func (q *Queue) claim(life context.Context, s *client.Session, picked []name, wanted func() bool) ([]*Delivery, error) {
	view := q.client.In(s)
	keep, err := s.Keep(life)
	if err != nil {
		return nil, err
	}
	defer keep() // by then the deliveries keep it
	all, err := q.read(life, s, view, picked, wanted)
	for len(all) > 0 && err == nil {
		var token int64
		token, err = q.ledger.commit(life, s, q.claimParts(all), wanted)
		var failed *partError
		switch {
		case err == nil:
			if len(all) == len(picked) {
				q.won()
			}
			return q.deliveries(life, s, all, token)
		case errors.As(err, &failed) && retry.LostRace(err): // the one that it was about
			q.beaten()
			all = slices.Delete(all, failed.index/partsOfClaim, failed.index/partsOfClaim+1)
			err = nil
		case errors.Is(err, client.ErrTooLarge) && len(all) > 1: // fewer, then
			all = all[:len(all)/2]
			q.forget()
			err = nil
		}
	}
	return nil, err
}

// read reads items, and buries those that are not to be given out. What is not there any more is left out.
func (q *Queue) read(life context.Context, s *client.Session, view *client.Client, picked []name, wanted func() bool) ([]*found, error) {
	all, errs := make([]*found, len(picked)), make([]error, len(picked))
	var reading sync.WaitGroup
	for i, n := range picked {
		reading.Go(func() { all[i], errs[i] = q.readOne(life, s, view, n, wanted) }) // ends with its answer
	}
	reading.Wait()
	there := all[:0]
	for _, f := range all {
		if f != nil {
			there = append(there, f)
		}
	}
	return there, errors.Join(errs...)
}

func (q *Queue) readOne(life context.Context, s *client.Session, view *client.Client, n name, wanted func() bool) (*found, error) {
	data, stat, err := view.Get(life, q.items.join(n.text))
	if err == nil && stat.Version > 0 { // it was claimed before, and may be now: to ask costs less than to try
		var claimed bool
		if _, claimed, err = view.Exists(life, q.claims.join(n.text)); claimed {
			err = client.ErrNodeExists
		}
	}
	if retry.LostRace(err) {
		q.beaten()
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := q.decode(data)
	if err != nil {
		return nil, q.bury(life, s, n, stat, data, wanted)
	}
	if q.opts.MaxAttempts > 0 && b.note.Attempts >= q.opts.MaxAttempts { // the last who had it has not said what became of it
		if b.note.Reason == "" {
			b.note.Reason = "given up by those who took it"
		}
		return nil, q.bury(life, s, n, stat, b.encode(), wanted)
	}
	return &found{n, b, stat}, nil
}

// partsOfClaim is how many parts each item has in claimParts.
const partsOfClaim = 3

// claimVersion is the version of a claim's node. Those of Curator's consumers, who use the same names, have version 0.
const claimVersion = 1

// claimParts are what makes the claims: the item is written, with one attempt more, so that its version is the claim's own; and there is a node by
// its name, which goes with the session.
func (q *Queue) claimParts(all []*found) []part {
	var parts []part
	for _, f := range all {
		b := *f.body
		b.note.Attempts++
		claim := q.claims.join(f.name.text)
		parts = append(parts,
			part{Op: client.SetOp(q.items.join(f.name.text), b.encode(), f.stat.Version)},
			part{Op: client.CreateOp(claim, []byte(q.opts.ID), q.createOptions(client.Ephemeral)), dir: &q.claims},
			part{Op: client.SetOp(claim, []byte(q.opts.ID), 0)})
	}
	return parts
}

// deliveries makes what the taker gets.
func (q *Queue) deliveries(life context.Context, s *client.Session, all []*found, token int64) ([]*Delivery, error) {
	out := make([]*Delivery, 0, len(all))
	for _, f := range all {
		f.body.note.Attempts++
		f.stat.Version++
		d, err := q.deliver(life, s, f, token)
		if err != nil {
			return nil, err // the session has ended, and all claims with it
		}
		out = append(out, d)
	}
	return out, nil
}
