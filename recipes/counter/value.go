package counter

import (
	"context"
	"errors"
	"iter"
	"math"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/typed"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// How values and counters are called in spans and metrics.
var (
	ofValue   = telemetry.Recipe{Family: telemetry.Counter, Name: "value"}
	ofCounter = telemetry.Recipe{Family: telemetry.Counter, Name: "counter", Words: []telemetry.Word{{Err: ErrOverflow, Word: "overflow"}}}
)

// patience is how often a change is beaten before it takes its place in line.
const patience = 4

// ValueOptions of a Value. The zero value works, and nil means the zero value.
type ValueOptions[T any] struct {
	// Codec is the form of the data. All who use a value must agree. Default: JSON.
	Codec typed.Codec[T]
	// Initial is the value where there is no node. All who use a value should agree. Default: the zero value.
	Initial T
	// ACL is that of the nodes that are made. Default: the client's.
	ACL []client.ACL
	// Lock is the path of the lock for changes that were beaten by others, a Mutex. Default: the value's path with "-lock" behind it.
	Lock string
}

// Value is a value at a path that many change. It may be used by many goroutines, if its codec may be.
type Value[T any] struct {
	client  *client.Client
	node    *typed.Node[T]
	initial T
	queue   *lock.Mutex
	kit     *telemetry.Kit    // nil: nobody looks
	recipe  *telemetry.Recipe // how it is called by who looks
}

// NewValue describes the value at a path. It sends nothing.
func NewValue[T any](c *client.Client, path string, opts *ValueOptions[T]) *Value[T] {
	o := ValueOptions[T]{}
	if opts != nil {
		o = *opts
	}
	if o.Lock == "" {
		o.Lock = path + "-lock"
	}
	return &Value[T]{
		client: c,
		node: typed.NewNode(c, path, &typed.Options[T]{
			Codec: o.Codec, Marks: marks(path),
			Create: client.CreateOptions{ACL: o.ACL, Parents: client.ContainerParents},
		}),
		initial: o.Initial,
		queue:   lock.NewMutex(c, o.Lock, &lock.Options{ACL: o.ACL}),
		kit:     telemetry.Of(c),
		recipe:  &ofValue,
	}
}

// marks is where the changes of a value that are under way have their marks.
func marks(path string) string { return path + "-marks" }

// Path returns the value's path.
func (v *Value[T]) Path() string { return v.node.Path() }

// Get returns the value, or the initial one if there is none. It may lag behind, as every read; a change does not. It fails with
// typed.ErrDecode if there is something else.
func (v *Value[T]) Get(ctx context.Context) (T, error) {
	now, _, err := v.node.Get(ctx)
	if errors.Is(err, client.ErrNoNode) {
		return v.initial, nil
	}
	return now, err
}

// Watch yields the value and then what it changes to, the last of what follows each other quickly, and never one that is older than the one
// before, whichever server tells it. An error ends the loop and is the last thing yielded, but for data that are no value,
// typed.ErrDecode: then the loop goes on.
func (v *Value[T]) Watch(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var seen newest
		for state, err := range v.node.Watch(ctx) {
			if seen.old(state.Stat.Mzxid) {
				continue // a server that is behind; it tells more when it has caught up
			}
			if err == nil && !state.Exists {
				state.Value = v.initial
			}
			if !yield(state.Value, err) {
				return
			}
		}
	}
}

// newest is the newest transaction that was seen. A server that a client comes to in a new session may be behind, if the session is known to
// it alone or it has no majority.
type newest int64

// old tells whether a node, as it is told now, is older than what was seen. One that is not there bears no transaction, and passes.
func (n *newest) old(mzxid int64) bool {
	if mzxid != 0 && mzxid < int64(*n) {
		return true
	}
	*n = max(*n, newest(mzxid))
	return false
}

// Set makes the value next, whatever it was.
func (v *Value[T]) Set(ctx context.Context, next T) error {
	_, err := v.update(ctx, "set", func(T) (T, error) { return next, nil })
	return err
}

// Update replaces the value by what change makes of it, and returns that. change may be called several times, and does nothing but compute; its
// error ends Update, changes nothing and is returned, when it was of a value that was there after Update was called. Otherwise Update fails
// with ctx's cause, with typed.ErrDecode, or with an error of the servers; client.ErrUnknown beside it tells that the change may have been
// made.
func (v *Value[T]) Update(ctx context.Context, change func(T) (T, error)) (T, error) {
	return v.update(ctx, "update", change)
}

// errOther is the error of a change that is not made since the value is not what it was thought to be, which is an answer as good as any.
var errOther = errors.New("another value")

// update is Update, for an operation of that name.
func (v *Value[T]) update(ctx context.Context, op string, change func(T) (T, error)) (T, error) {
	ctx, seen := v.kit.Operation(ctx, v.recipe, op, v.Path())
	next, err := v.change(ctx, change)
	if errors.Is(err, errOther) {
		seen.End(nil)
	} else {
		seen.End(err)
	}
	return next, err
}

// change changes the value, first come first served, and by turns where that does not help.
func (v *Value[T]) change(ctx context.Context, change func(T) (T, error)) (T, error) {
	next, err := v.try(ctx, change, patience)
	if !errors.Is(err, errBeaten) {
		return next, err
	}
	hold, err := v.queue.Lock(ctx)
	if err != nil {
		return next, err
	}
	next, err = v.try(ctx, change, math.MaxInt) // others may still be quicker, until they stand in line, too
	_ = hold.Release(ctx)                       // which, if ctx has ended, goes on by itself
	return next, err
}

// errBeaten tells that others were quicker too often.
var errBeaten = errors.New("beaten by others")

// try changes the value, or makes it, unless it is beaten so often. What change refuses it is asked once more when the server has caught up,
// since it may be right but late.
func (v *Value[T]) try(ctx context.Context, change func(T) (T, error), times int) (T, error) {
	tries, caughtUp := 0, false
	for {
		var refused error
		ask := func(now T) (next T, err error) {
			next, refused = change(now)
			return next, refused
		}
		next, _, err := v.node.Update(ctx, func(now T) (T, error) {
			if tries++; tries > 1 {
				v.kit.Count(telemetry.CounterConflicts, 1)
			}
			if tries > times {
				return now, errBeaten
			}
			return ask(now)
		})
		missing := refused == nil && errors.Is(err, client.ErrNoNode)
		if missing {
			next, err = ask(v.initial)
		}
		switch {
		case refused != nil && !caughtUp:
			tries, caughtUp = max(tries-1, 0), true // nobody has beaten it
			err = v.client.Sync(ctx, v.Path())
		case refused != nil:
			return next, err
		case missing:
			err = v.create(ctx)
		case err == nil:
			return next, nil
		}
		if err != nil && !v.again(err) {
			return next, err
		}
	}
}

// again tells whether something was not done because its session was over before it was sent: there is another one.
func (v *Value[T]) again(err error) bool {
	return errors.Is(err, client.ErrSessionExpired) && !errors.Is(err, client.ErrUnknown) && !v.client.Bound()
}

// create makes the value, unless somebody has.
func (v *Value[T]) create(ctx context.Context) error {
	err := v.node.Create(ctx, v.initial)
	unknown := errors.Is(err, client.ErrUnknown) && ctx.Err() == nil && !errors.Is(err, client.ErrClosed)
	if errors.Is(err, client.ErrNodeExists) || unknown {
		return nil
	}
	return err
}
