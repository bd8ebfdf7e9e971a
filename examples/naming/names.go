package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/bellwether-zk/bellwether/client"
)

var errTaken = errors.New("name is taken")

// Register gives a name to an owner, for good, unless somebody else has it: errTaken. The owner stands in the node; so to register again
// does no harm, and who does not know what became of a request just repeats it.
func Register(ctx context.Context, c *client.Client, path, owner string) error {
	for {
		_, err := c.Create(ctx, path, []byte(owner), &client.CreateOptions{Parents: client.PersistentParents})
		if errors.Is(err, client.ErrUnknown) && ctx.Err() == nil {
			continue // the answer was lost with a connection
		}
		if !errors.Is(err, client.ErrNodeExists) {
			return err
		}
		holder, _, err := c.Get(ctx, path)
		if errors.Is(err, client.ErrNoNode) {
			continue // it has been given up meanwhile
		}
		if err == nil && string(holder) != owner {
			err = fmt.Errorf("%s: %w", path, errTaken)
		}
		return err
	}
}

// RegisterLike registers the name, or one like it that is free, and returns which.
func RegisterLike(ctx context.Context, c *client.Client, path, owner string) (string, error) {
	for n, name := 1, path; ; name = fmt.Sprintf("%s-%d", path, n) {
		if err := Register(ctx, c, name, owner); !errors.Is(err, errTaken) {
			return name, err
		}
		n++
	}
}

// Borrow gives the session the lowest number below max that nobody has, until the session ends, by a crash too. Then it may be another's:
// who is numbered so stops with the session's context, and has the session kept (Session.Keep) if two of one number would do harm.
func Borrow(ctx context.Context, s *client.Session, dir string, max int) (int, error) {
	c, mark := s.Client(), []byte(client.NewProtectionID()) // a client that is bound to the session, and no other takes its place
	for n := 0; n < max; n++ {
		path := fmt.Sprintf("%s/%03d", dir, n)
		_, err := c.Create(ctx, path, mark, &client.CreateOptions{Mode: client.Ephemeral, Parents: client.ContainerParents})
		if err == nil {
			return n, nil
		}
		if !errors.Is(err, client.ErrNodeExists) && !errors.Is(err, client.ErrUnknown) {
			return 0, err
		}
		switch data, _, err := c.Get(ctx, path); {
		case errors.Is(err, client.ErrNoNode): // free again, or not made
			n--
		case err != nil:
			return 0, err
		case bytes.Equal(data, mark): // ours, and the answer was lost
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s: all %d numbers are taken", dir, max)
}
