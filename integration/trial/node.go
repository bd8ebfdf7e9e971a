package trial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/node"
)

// kept are nodes that their users keep, whoever removes them.
type kept struct{}

// keeping is what a user knows of his node.
type keeping struct {
	node    *node.Node
	data    []byte
	session int64 // in which it was seen last, and nobody else has removed it since; or 0
	czxid   int64 // which made it
	doubt   bool  // somebody may have removed it, or will
}

func (kept) Begin(context.Context, *Trial) error { return nil }

func (k kept) Turn(ctx context.Context, u *User) error {
	mine, ok := u.Kept.(*keeping)
	if !ok {
		mine = &keeping{data: []byte("at first")}
		path := fmt.Sprintf("%s/nodes/%d", u.Dir, u.Number)
		n, err := node.Keep(ctx, u.Client, path, mine.data, nil)
		if err != nil {
			return err
		}
		mine.node, u.Kept = n, mine
		u.AtEnd(func(ctx context.Context) { k.end(ctx, u, mine) })
	}
	switch u.IntN(3) {
	case 0:
		mine.data = strconv.AppendInt(nil, u.Int64(), 36)
		if err := mine.node.Set(ctx, mine.data); err != nil {
			return err
		}
	case 1: // somebody who should not removes it
		err := u.Witness.Delete(ctx, mine.node.Path(), client.AnyVersion)
		mine.session = 0
		mine.doubt = mine.doubt || errors.Is(err, client.ErrUnknown)
		if err != nil && !errors.Is(err, client.ErrNoNode) {
			return err
		}
	}
	pause(ctx, u.UpTo(stay))
	return k.see(ctx, u, mine)
}

// see waits until the node is there as it should be, in the present session. One that nobody has removed is the same as before.
func (kept) see(ctx context.Context, u *User, mine *keeping) error {
	for {
		s, err := u.Client.AwaitSession(ctx)
		if err != nil {
			return err
		}
		c := s.Client()
		if err := c.Sync(ctx, mine.node.Path()); err == nil {
			data, stat, err := c.Get(ctx, mine.node.Path())
			switch {
			case err != nil:
			case stat.EphemeralOwner == s.ID() && bytes.Equal(data, mine.data):
				if mine.session == s.ID() && !mine.doubt && mine.czxid != stat.Czxid {
					u.Wrong("user %d's node was made again in one session, and nobody had removed it", u.Number)
				}
				mine.session, mine.czxid = s.ID(), stat.Czxid
				return nil
			}
		}
		if !pause(ctx, 10*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
}

// end gives the node up, which is gone then.
func (kept) end(ctx context.Context, u *User, mine *keeping) {
	err := mine.node.Close(ctx)
	if err == nil {
		if err = u.CatchUp(ctx, u.Witness); err == nil {
			var there bool
			if _, there, err = u.Witness.Exists(ctx, mine.node.Path()); there {
				u.Wrong("user %d's node is there, and was given up", u.Number)
			}
		}
	}
	if err != nil {
		u.Wrong("user %d gives his node up: %v", u.Number, err)
	}
}

func (kept) Judge(context.Context, *Trial) error { return nil }
