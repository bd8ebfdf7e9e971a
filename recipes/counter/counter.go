package counter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/bellwether-zk/bellwether/client"
)

// ErrOverflow tells that a sum does not fit. Nothing was changed.
var ErrOverflow = errors.New("counter overflows")

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
type Counter struct{ value *Value[int64] }

// New describes the counter at a path. It sends nothing.
func New(c *client.Client, path string, opts *Options) *Counter {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	if o.Bits == 0 {
		o.Bits = 64
	}
	v := NewValue(c, path, &ValueOptions[int64]{Codec: number{o.Bits}, ACL: o.ACL, Lock: o.Lock})
	v.recipe = &ofCounter
	return &Counter{v}
}

// Path returns the counter's path.
func (c *Counter) Path() string { return c.value.Path() }

// Get returns the number, 0 if there is none. It may lag behind, as every read; a change does not.
func (c *Counter) Get(ctx context.Context) (int64, error) { return c.value.Get(ctx) }

// Watch yields the number and then what it changes to, as Value.Watch does.
func (c *Counter) Watch(ctx context.Context) iter.Seq2[int64, error] { return c.value.Watch(ctx) }

// Add adds delta, which may be negative, and returns the sum. It fails with ErrOverflow, or with ctx's cause; ErrUnknown beside it tells that
// delta may have been added.
func (c *Counter) Add(ctx context.Context, delta int64) (int64, error) {
	return c.value.update(ctx, "add", func(v int64) (int64, error) {
		sum := v + delta
		if (sum > v) != (delta > 0) && delta != 0 {
			return 0, fmt.Errorf("%w: %d and %d", ErrOverflow, v, delta)
		}
		return sum, nil
	})
}

// Set makes the number v, whatever it was.
func (c *Counter) Set(ctx context.Context, v int64) error { return c.value.Set(ctx, v) }

// CompareAndSwap makes the number v if it is old, and tells whether it was; if not, it was another at some time since the call. A counter
// that does not exist is 0.
func (c *Counter) CompareAndSwap(ctx context.Context, old, v int64) (bool, error) {
	_, err := c.value.update(ctx, "compare_and_swap", func(now int64) (int64, error) {
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

// Update replaces the number by what change makes of it, as Value.Update does.
func (c *Counter) Update(ctx context.Context, change func(int64) (int64, error)) (int64, error) {
	return c.value.Update(ctx, change)
}

// Inspect tells how the counter stands, as Value.Inspect does.
func (c *Counter) Inspect(ctx context.Context) (State[int64], error) { return c.value.Inspect(ctx) }

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

// Decode is typed.Codec's. Nothing is 0: kazoo makes the node without data, and counts from there.
func (n number) Decode(data []byte) (int64, error) {
	switch {
	case len(data) == 0:
		return 0, nil
	case n.bits == 64 && len(data) == 8:
		return int64(binary.BigEndian.Uint64(data)), nil
	case n.bits == 32 && len(data) == 4:
		return int64(int32(binary.BigEndian.Uint32(data))), nil
	}
	return 0, fmt.Errorf("%d bytes are no number of %d bits", len(data), n.bits)
}
