package counter

import (
	"context"

	"github.com/bellwether-zk/bellwether/client"
)

// DefaultBlock is how many ids are reserved at once.
const DefaultBlock = 100

// IDsOptions of an IDs. The zero value works, and nil means the zero value.
type IDsOptions struct {
	// Block is how many ids are reserved at once, and lost at most when the process ends. Processes may have different ones. Default: 100.
	Block int
	// Counter are those of the counter that tells which ids were reserved.
	Counter Options
}

// IDs gives out numbers that were given to nobody before. It may be used by many goroutines.
type IDs struct {
	counter *Counter
	block   int64

	turn chan struct{} // full while somebody takes an id; guards what is below
	next int64
	left int64 // of the block
}

// NewIDs describes the source of ids at a path. It sends nothing.
func NewIDs(c *client.Client, path string, opts *IDsOptions) *IDs {
	o := IDsOptions{}
	if opts != nil {
		o = *opts
	}
	if o.Block == 0 {
		o.Block = DefaultBlock
	}
	return &IDs{counter: New(c, path, &o.Counter), block: int64(o.Block), turn: make(chan struct{}, 1)}
}

// Next returns a number from 1 up that no call has returned before, here or elsewhere, greater than all that this IDs has returned. When
// none is reserved it reserves some, while the other calls wait; if that fails, so does the call: with ErrOverflow when there are no more,
// with client.ErrUnknown when some were reserved, perhaps, and are lost now. It fails with client.ErrBadArguments if Block is negative.
func (g *IDs) Next(ctx context.Context) (int64, error) {
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return 0, g.failed(context.Cause(ctx))
	}
	if g.left == 0 {
		if g.block < 0 {
			return 0, g.failed(client.ErrBadArguments)
		}
		end, err := g.counter.Add(ctx, g.block)
		if err != nil {
			return 0, err
		}
		g.next, g.left = end-g.block+1, g.block
	}
	id := g.next
	g.next++
	g.left--
	return id, nil
}

// Inspect tells how the counter stands that tells which ids were reserved, as Value.Inspect does: its value is the last of them.
func (g *IDs) Inspect(ctx context.Context) (State[int64], error) { return g.counter.Inspect(ctx) }

func (g *IDs) failed(err error) error {
	return &client.Error{Op: "next", Path: g.counter.Path(), Err: err}
}
