package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/counter"
)

// blockSize is how many ids are reserved at once, so that one id in a hundred costs a request. What is left of a block when its process
// ends is nobody's: ids have gaps, and are not in the order of time.
const blockSize = 100

// IDs are numbers that no other process gets.
type IDs struct {
	reserved *counter.Counter // the last number of the last block that was reserved, by whomever

	mu        sync.Mutex
	last, end int64 // the last id that was given out, and the end of our block
}

// NewIDs describes the ids that are counted at a path. It sends nothing.
func NewIDs(c *client.Client, path string) *IDs { return &IDs{reserved: counter.New(c, path, nil)} }

// Next returns an id. If the answer to a reservation is lost for good, the block may be lost with it, and no id is given twice.
func (s *IDs) Next(ctx context.Context) (int64, error) {
	s.mu.Lock() // also while a block is reserved: who else needs an id waits for the same block
	defer s.mu.Unlock()
	if s.last == s.end {
		end, err := s.reserved.Add(ctx, blockSize)
		if err != nil {
			return 0, err
		}
		s.last, s.end = end-blockSize, end
	}
	s.last++
	return s.last, nil
}

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
