package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/typed"
	"github.com/bellwether-zk/bellwether/recipes/barrier"
)

var errMissing = errors.New("a part is missing")

// A worker adds up the takings of one shop, and then those of all.
type worker struct {
	shop    int
	takings []int
	dies    bool // in the middle of its work, for the story
}

// work takes part in one try, and returns the takings of all shops. With errMissing another try is needed: somebody has died.
func (w *worker) work(ctx context.Context, servers string) (total int, err error) {
	c, err := client.Connect(ctx, servers, nil)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	// The gate: nobody begins before the tills are closed. Who comes later than that does not wait.
	if err := barrier.New(c, gatePath).Wait(ctx); err != nil {
		return 0, err
	}
	// The meeting: all are there when the first begins, and all are done when the first goes on.
	round, err := barrier.NewDouble(c, meetingPath, shops, nil).Enter(ctx)
	if err != nil {
		return 0, err
	}
	if w.dies {
		return 0, errors.Join(errors.New("died"), c.Close()) // what is left of a process: a session that ends
	}
	// If that fails there is no reason to let the others wait, until this session has ended.
	err = w.add(round.Context(), c)
	if err := errors.Join(err, round.Leave(ctx)); err != nil {
		return 0, err
	}
	return sum(ctx, c)
}

// add adds up the shop's takings, under a context that ends when the others may take this worker for one that has left.
func (w *worker) add(ctx context.Context, c *client.Client) error {
	part := 0
	for _, sale := range w.takings {
		part += sale
	}
	err := parts(c).Node(strconv.Itoa(w.shop)).Create(ctx, part)
	if errors.Is(err, client.ErrNodeExists) {
		return nil // of an earlier try
	}
	return err
}

// sum is for when all have left. That they have done their part is another question: who has died has left, too.
func sum(ctx context.Context, c *client.Client) (total int, err error) {
	if err := c.Sync(ctx, partsPath); err != nil { // what the others wrote may be new to the server this client is connected to
		return 0, err
	}
	listing, err := parts(c).List(ctx)
	if err != nil {
		return 0, err
	}
	for _, part := range listing.Nodes {
		total += part.Value
	}
	if there := len(listing.Nodes); there < shops {
		return 0, fmt.Errorf("%w: there are %d of %d", errMissing, there, shops)
	}
	return total, nil
}

// parts is where each worker leaves what it has found.
func parts(c *client.Client) *typed.Directory[int] {
	return typed.NewDirectory(c, partsPath, &typed.Options[int]{Create: client.CreateOptions{Parents: client.PersistentParents}})
}
