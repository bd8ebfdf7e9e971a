// Package counter is a number that many may change, and each change counts once.
//
//	orders := counter.New(c, "/orders/count", nil)
//	n, err := orders.Add(ctx, 1)
//
// # Layout
//
// One node, whose data are the number, most significant byte first: eight bytes, as Curator's DistributedAtomicLong and kazoo's Counter in
// Curator's form have them, or four with Options.Bits, as DistributedAtomicInteger and SharedCount do. A counter that does not exist is 0,
// and is made, with its parents as containers, by the first change.
//
//	<path>           persistent: the number
//	<path>-marks     a container, with an ephemeral node for each change under way
//
// # Exactly once
//
// A change reads the number and writes the sum on the condition that nobody wrote in between; else it does so again. When the answer to a
// write is lost, nobody can tell by the number whether it counted: to add once more may count twice, which is what Curator and kazoo do. Here
// each write makes a mark in its own transaction, so that it is found out. Only when the session ends in that moment, or ctx, is it
// left open, with client.ErrUnknown.
//
// A change that was beaten by others several times goes on under a lock, in a line with all who were: so the unlucky get their turn.
//
// Counters are not deleted while they are in use: a new one begins its versions anew, and a change that was read from the old one could be
// taken for one of the new.
//
// A change costs two round trips where nobody interferes, and the removal of the mark behind it.
//
// # Looking at it
//
// [Counter.Inspect] tells the number, since when, and what changes are under way. With the client's TracerProvider a change is a span, such as
// counter.add; with its MeterProvider there are bellwether.counter.operation.duration, and bellwether.counter.conflicts for those who were
// beaten.
package counter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/typed"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// ErrOverflow tells that a sum does not fit. Nothing was changed.
var ErrOverflow = errors.New("counter overflows")

// measured is how counters are called in spans and metrics.
var measured = telemetry.Recipe{Family: telemetry.Counter, Name: "counter", Words: []telemetry.Word{{Err: ErrOverflow, Word: "overflow"}}}

// patience is how often a change is beaten before it takes its place in line.
const patience = 4

// Options of a Counter. The zero value works, and nil means the zero value.
type Options struct {
	// Bits is how large the number is: 32 or 64. All who use a counter must agree. Default: 64.
	Bits int
	// ACL is that of the nodes that are made. Default: the client's.
	ACL []client.ACL
	// Lock is the path of the lock for changes that were beaten by others, a Mutex. Default: the counter's path with "-lock" behind it.
	Lock string
}

// Counter is a number at a path. It may be used by many goroutines.
type Counter struct {
	client *client.Client
	node   *typed.Node[int64]
	path   string
	marks  string // of changes under way
	bits   int
	queue  *lock.Mutex
	kit    *telemetry.Kit // nil: nobody looks
}

// New describes the counter at a path. It sends nothing.
func New(c *client.Client, path string, opts *Options) *Counter {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	if o.Bits == 0 {
		o.Bits = 64
	}
	if o.Lock == "" {
		o.Lock = path + "-lock"
	}
	marks := path + "-marks"
	return &Counter{
		client: c, path: path, marks: marks, bits: o.Bits, kit: telemetry.Of(c),
		node: typed.NewNode(c, path, &typed.Options[int64]{
			Codec: number{o.Bits}, Marks: marks,
			Create: client.CreateOptions{ACL: o.ACL, Parents: client.ContainerParents},
		}),
		queue: lock.NewMutex(c, o.Lock, &lock.Options{ACL: o.ACL}),
	}
}

// Path returns the counter's path.
func (c *Counter) Path() string { return c.path }

// Get returns the number, 0 if there is none. It may lag behind, as every read; a change does not.
func (c *Counter) Get(ctx context.Context) (int64, error) {
	v, _, err := c.node.Get(ctx)
	if errors.Is(err, client.ErrNoNode) {
		return 0, nil
	}
	return v, err
}

// Watch yields the number and then what it changes to, the last of what follows each other quickly. An error ends the loop and is the last thing
// yielded, but for data that are no number, client/typed.ErrDecode: then the loop goes on.
func (c *Counter) Watch(ctx context.Context) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		for state, err := range c.node.Watch(ctx) {
			if !yield(state.Value, err) {
				return
			}
		}
	}
}

// Add adds delta, which may be negative, and returns the sum. It fails with ErrOverflow, or with ctx's cause; ErrUnknown beside it tells that
// delta may have been added.
func (c *Counter) Add(ctx context.Context, delta int64) (int64, error) {
	return c.update(ctx, "add", func(v int64) (int64, error) {
		sum := v + delta
		if (sum > v) != (delta > 0) && delta != 0 {
			return 0, fmt.Errorf("%w: %d and %d", ErrOverflow, v, delta)
		}
		return sum, nil
	})
}

// Set makes the number v, whatever it was.
func (c *Counter) Set(ctx context.Context, v int64) error {
	_, err := c.update(ctx, "set", func(int64) (int64, error) { return v, nil })
	return err
}

// CompareAndSwap makes the number v if it is old, and tells whether it was. A counter that does not exist is 0.
func (c *Counter) CompareAndSwap(ctx context.Context, old, v int64) (bool, error) {
	_, err := c.update(ctx, "compare_and_swap", func(now int64) (int64, error) {
		if now != old {
			return 0, errOther
		}
		return v, nil
	})
	if errors.Is(err, errOther) {
		return false, nil
	}
	return err == nil, err
}

// errOther tells that the number is not what it was thought to be.
var errOther = errors.New("another number")

// Update replaces the number by what change makes of it, and returns that. change may be called several times, and does nothing but compute; its
// error ends Update, changes nothing and is returned.
func (c *Counter) Update(ctx context.Context, change func(int64) (int64, error)) (int64, error) {
	return c.update(ctx, "update", change)
}

// update is Update, for an operation of that name.
func (c *Counter) update(ctx context.Context, op string, change func(int64) (int64, error)) (int64, error) {
	ctx, seen := c.kit.Operation(ctx, &measured, op, c.path)
	v, err := c.change(ctx, change)
	if errors.Is(err, errOther) { // an answer as good as any
		seen.End(nil)
	} else {
		seen.End(err)
	}
	return v, err
}

// change changes the number, first come first served, and by turns where that does not help.
func (c *Counter) change(ctx context.Context, change func(int64) (int64, error)) (int64, error) {
	v, err := c.try(ctx, change, patience)
	if !errors.Is(err, errBeaten) {
		return v, err
	}
	hold, err := c.queue.Lock(ctx)
	if err != nil {
		return 0, err
	}
	v, err = c.try(ctx, change, math.MaxInt) // others may still be quicker, until they stand in line, too
	_ = hold.Release(context.WithoutCancel(ctx))
	return v, err
}

// errBeaten tells that others were quicker too often.
var errBeaten = errors.New("beaten by others")

// try changes the number, or makes it, unless it is beaten so often.
func (c *Counter) try(ctx context.Context, change func(int64) (int64, error), times int) (int64, error) {
	tries := 0
	for {
		v, _, err := c.node.Update(ctx, func(v int64) (int64, error) {
			if tries++; tries > 1 {
				c.kit.Count(telemetry.CounterConflicts, 1)
			}
			if tries > times {
				return 0, errBeaten
			}
			return change(v)
		})
		if !errors.Is(err, client.ErrNoNode) {
			return v, err
		}
		err = c.node.Create(ctx, 0)
		if err != nil && !errors.Is(err, client.ErrNodeExists) && (!errors.Is(err, client.ErrUnknown) || ctx.Err() != nil) {
			return 0, err
		}
	}
}

// number is the form of the data.
type number struct{ bits int }

// Encode is typed.Codec's.
func (n number) Encode(v int64) ([]byte, error) {
	switch {
	case n.bits == 64:
		return binary.BigEndian.AppendUint64(nil, uint64(v)), nil
	case n.bits != 32:
		return nil, fmt.Errorf("%w: a counter of %d bits", client.ErrBadArguments, n.bits)
	case v != int64(int32(v)):
		return nil, fmt.Errorf("%w: %d in 32 bits", ErrOverflow, v)
	}
	return binary.BigEndian.AppendUint32(nil, uint32(v)), nil
}

// Decode is typed.Codec's.
func (n number) Decode(data []byte) (int64, error) {
	switch {
	case n.bits == 64 && len(data) == 8:
		return int64(binary.BigEndian.Uint64(data)), nil
	case n.bits == 32 && len(data) == 4:
		return int64(int32(binary.BigEndian.Uint32(data))), nil
	}
	return 0, fmt.Errorf("%d bytes are no number of %d bits", len(data), n.bits)
}
