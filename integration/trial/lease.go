package trial

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/lease"
)

// tenancy is a lease that is renewed now and then, and given back or left to run out. It outlives the sessions of those who have it.
type tenancy struct{}

// tenure is how long a lease is asked for.
const tenure = time.Second

func (tenancy) Begin(ctx context.Context, t *Trial) error { return register(ctx, t) }

func (tenancy) Turn(ctx context.Context, u *User) error {
	g, err := lease.New(u.Client, u.Dir+"/lease", &lease.Options{ID: u.ID(), Margin: 200 * time.Millisecond}).Acquire(ctx, tenure)
	if err != nil {
		return err
	}
	in := u.Enter(g, Span{What: "lease", Token: g.Token()})
	writeGranted(ctx, u, g)
	u.Stay(g, stay)
	if u.IntN(3) == 0 {
		err = g.Renew(ctx, tenure)
		u.Stay(g, stay)
	}
	in.Leave()
	if errors.Is(err, lease.ErrExpired) {
		err = nil // so it goes
	}
	if u.IntN(8) == 0 {
		return err // others wait until it is over
	}
	return errors.Join(err, u.Release(ctx, g))
}

// writeGranted writes the token of a grant into a node that nobody else writes, guarded by the grant. It finds out whether that is one in
// name only; that tokens of all writes grow is judged in the end.
func writeGranted(ctx context.Context, u *User, g *lease.Grant) {
	path := u.Dir + "/register"
	done, err := u.Client.Multi(ctx, append(g.Guard(), client.SetOp(path, strconv.AppendInt(nil, g.Token(), 10), client.AnyVersion))...)
	switch {
	case err == nil:
		u.noteWrite(write{path, done[2].Stat.Mzxid, g.Token()})
	case errors.Is(err, client.ErrBadVersion) && g.Context().Err() == nil:
		u.Wrong("user %d with token %d is granted nothing, says the server: %v", u.Number, g.Token(), err)
	}
}

func (tenancy) Judge(ctx context.Context, t *Trial) error {
	t.All(Ordered(t.Spans("lease")))
	return nil
}
