package counter

import (
	"context"
	"errors"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// State is a value as it stands on the servers.
type State[T any] struct {
	Exists  bool // else it has not been changed yet, and is what it is at first
	Value   T
	Version int32     // how often it was changed since it was made, on 32 bits
	Since   time.Time // when it was made, by the servers' clock
	Changed time.Time // when it was changed last
	Zxid    int64     // the transaction that did so
	// Changes are those under way: made already but not known to be, perhaps, to who asked for them.
	Changes []Change
	// Waiting are those that were beaten too often: the first in line changes the value, and the others wait for their turn.
	Waiting []ticket.Contender
}

// Change is one that has left a mark.
type Change struct {
	Path    string    // of the mark
	Session int64     // the session it was made in
	Made    time.Time // by the servers' clock
}

// Inspect returns the value as the server knows it that this client is connected to. It changes nothing, and takes three requests and one more
// for each change under way and each that waits. It fails with client/typed.ErrDecode if the node's data are no value.
func (v *Value[T]) Inspect(ctx context.Context) (State[T], error) {
	s, err := v.inspect(ctx)
	if err != nil {
		return State[T]{}, &client.Error{Op: "inspect", Path: v.Path(), Err: err}
	}
	return s, nil
}

func (v *Value[T]) inspect(ctx context.Context) (s State[T], err error) {
	now, stat, err := v.node.Get(ctx)
	s.Value = v.initial
	switch {
	case err == nil:
		s = State[T]{Exists: true, Value: now, Version: stat.Version, Since: stat.Ctime, Changed: stat.Mtime, Zxid: stat.Mzxid}
	case !errors.Is(err, client.ErrNoNode):
		return s, err
	}
	if s.Changes, err = v.changes(ctx); err != nil {
		return s, err
	}
	line, err := v.queue.Inspect(ctx)
	s.Waiting = append(line.Holders, line.Waiters...)
	return s, err
}

// changes reads the marks.
func (v *Value[T]) changes(ctx context.Context) (all []Change, err error) {
	names, _, err := v.client.Children(ctx, marks(v.Path()))
	if err != nil && !errors.Is(err, client.ErrNoNode) {
		return nil, err
	}
	for _, name := range names {
		path := client.Join(marks(v.Path()), name)
		stat, there, err := v.client.Exists(ctx, path)
		if err != nil {
			return nil, err
		}
		if there {
			all = append(all, Change{Path: path, Session: stat.EphemeralOwner, Made: stat.Ctime})
		}
	}
	return all, nil
}
