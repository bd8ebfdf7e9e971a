package lock

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bellwether-zk/bellwether/client"
)

// Multi is several Mutexes that are locked together: all or none. It may be used by many goroutines.
type Multi struct {
	locks  []*Mutex // as they were given
	sorted []int    // their places in locks, by path
}

// NewMulti describes the lock that is held when all of those are. They must be of the same client, so that all are held in one session, and
// of different paths: it fails with client.ErrBadArguments otherwise. It sends nothing.
func NewMulti(locks ...*Mutex) (*Multi, error) {
	m := &Multi{locks: slices.Clone(locks)}
	for i := range locks {
		m.sorted = append(m.sorted, i)
	}
	slices.SortFunc(m.sorted, func(a, b int) int { return strings.Compare(locks[a].Path(), locks[b].Path()) })
	if len(locks) == 0 {
		return nil, m.failed("multi", fmt.Errorf("%w: no lock", client.ErrBadArguments))
	}
	for i, at := range m.sorted {
		switch l := locks[at]; {
		case l.line.client != locks[0].line.client:
			return nil, m.failed("multi", fmt.Errorf("%w: %s is of another client", client.ErrBadArguments, l.Path()))
		case i > 0 && l.Path() == locks[m.sorted[i-1]].Path():
			return nil, m.failed("multi", fmt.Errorf("%w: %s twice", client.ErrBadArguments, l.Path()))
		}
	}
	return m, nil
}

// Lock locks one after the other, in the order of their paths whatever that of NewMulti was, so that two Multis never wait for each other.
// It returns when all are held, in one session. When ctx ends first, which is the bound of all together, or one of them fails, it releases
// those it has, and returns the cause. When one ends that it has already, it begins again, see Mutex.Lock.
func (m *Multi) Lock(ctx context.Context) (*Holds, error) {
	for {
		holds, err := m.all(ctx, (*Mutex).Lock)
		switch {
		case err == nil:
			return holds, nil
		case !m.locks[0].line.again(err):
			return nil, m.failed("lock", err)
		case ctx.Err() != nil:
			return nil, m.failed("lock", context.Cause(ctx))
		}
	}
}

// TryLock locks all if nobody holds one of them or waits for it, and fails with ErrHeld and holds none otherwise. It is like Mutex.TryLock.
func (m *Multi) TryLock(ctx context.Context) (*Holds, error) {
	holds, err := m.all(ctx, (*Mutex).TryLock)
	if err != nil {
		return nil, m.failed("trylock", err)
	}
	return holds, nil
}

// all acquires each, in order, or none. It fails with the cause of the end of one that has ended before all were there.
func (m *Multi) all(ctx context.Context, acquire func(*Mutex, context.Context) (*Hold, error)) (*Holds, error) {
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	holds := make([]*Hold, len(m.locks))
	for n, at := range m.sorted {
		h, err := acquire(m.locks[at], waiting)
		if err != nil {
			var had []*Hold
			for _, at := range m.sorted[:n] {
				had = append(had, holds[at])
			}
			m.giveBack(ctx, had)
			return nil, err
		}
		holds[at] = h
		// Not to wait for the next ones with one that is lost already.
		defer context.AfterFunc(h.Context(), func() { cancel(context.Cause(h.Context())) })()
	}
	all := together(holds)
	if all.Context().Err() != nil {
		m.giveBack(ctx, holds)
		return nil, context.Cause(all.Context())
	}
	return all, nil
}

// giveBack releases what came to nothing. The wait for it is bounded, the removal is not.
func (m *Multi) giveBack(ctx context.Context, holds []*Hold) {
	_ = each(holds, func(_ int, h *Hold) error { m.locks[0].line.giveBack(ctx, h.Release); return nil })
}

// failed puts the operation on an error, and the paths of all.
func (m *Multi) failed(op string, err error) error {
	var paths []string
	for _, at := range m.sorted {
		paths = append(paths, m.locks[at].Path())
	}
	return &client.Error{Op: op, Path: strings.Join(paths, ","), Err: err}
}
