package trial

import (
	"context"
	"errors"

	"github.com/bellwether-zk/bellwether/recipes/leader"
)

// election has one leader at a time, in whichever way he came to it, who alone writes.
type election struct{ layout leader.Layout }

// term is a leader's term as what is held.
type term struct{ *leader.Term }

func (t term) Release(ctx context.Context) error { return t.Resign(ctx) }

var errEnough = errors.New("led for long enough")

func (e *election) Begin(ctx context.Context, t *Trial) error { return register(ctx, t) }

func (e *election) Turn(ctx context.Context, u *User) error {
	priority := 0
	if !u.Calm() && u.IntN(4) == 0 { // in the end who comes again and again must not be let ahead for ever
		priority = u.Number
	}
	election := leader.NewElection(u.Client, u.Dir+"/election", &leader.Options{ID: u.ID(), Layout: e.layout, Priority: priority})
	if u.IntN(3) == 0 {
		err := election.Run(ctx, func(ctx context.Context, t *leader.Term) error {
			lead(ctx, u, t)
			return errEnough
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		return err
	}
	t, err := election.Lead(ctx)
	if err != nil {
		return err
	}
	lead(ctx, u, t)
	if u.IntN(4) == 0 {
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), u.run.Client.SessionTimeout)
		defer cancel()
		other := u.users[u.IntN(len(u.users))]
		err := t.HandOver(own, other.ID())
		if err != nil && !errors.Is(err, leader.ErrNoCandidate) && t.Context().Err() == nil && !explained(err) {
			u.Wrong("user %d hands over to %s: %v", u.Number, other.ID(), err)
		}
	}
	return u.Release(ctx, term{t})
}

func lead(ctx context.Context, u *User, t *leader.Term) {
	in := u.Enter(term{t}, Span{What: "term", Token: t.Token()})
	u.Write(ctx, term{t}, u.Dir+"/register")
	u.Stay(term{t}, stay)
	in.Leave()
}

func (e *election) Judge(ctx context.Context, t *Trial) error {
	t.All(Ordered(t.Spans("term")))
	return nil
}
