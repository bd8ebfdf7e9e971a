package main

import (
	"context"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// A Rate lets no more than so many things begin within any window of time, in all processes together: each takes a permit, of which
// there are that many, and keeps it until a window after its end.
type Rate struct {
	permits *lock.Semaphore
	window  time.Duration
}

// NewRate describes the rate at a path. How many there may be is in a node, so that it can be changed while everybody runs, and is the
// same for all; the first who needs that node makes it, with limit.
func NewRate(c *client.Client, path string, limit int, window time.Duration) *Rate {
	return &Rate{lock.NewSharedSemaphore(c, path, path+"/limit", limit, nil), window}
}

// SetLimit changes how many there may be. Who waits is let in when there may be more.
func (r *Rate) SetLimit(ctx context.Context, limit int) error { return r.permits.SetLimit(ctx, limit) }

// Do waits for its turn, first come first served, and then does it. It returns a window later. The context that do is given ends if the
// permit is lost with its session: others may begin then who count on this one not to.
func (r *Rate) Do(ctx context.Context, do func(ctx context.Context) error) error {
	permit, err := r.permits.Acquire(ctx, 1)
	if err != nil {
		return err
	}
	defer permit.Release(context.WithoutCancel(ctx))
	defer time.Sleep(r.window) // also if ctx ends, or do has failed: it has begun. A crash keeps the permit for the session's timeout
	return do(permit.Context())
}
