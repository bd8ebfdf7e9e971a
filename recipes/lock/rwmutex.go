package lock

import (
	"context"
	"errors"
	"fmt"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// The markers of Curator's InterProcessReadWriteLock.
const (
	writeMarker = "__WRIT__"
	readMarker  = "__READ__"
)

// ErrNested is the failure of a Lock or RLock whose context comes from a hold of the same RWMutex: it would wait for that hold, which is
// released only after it. Above all, a read hold cannot be made a write hold.
var ErrNested = errors.New("lock is held further up, and would wait for itself")

var (
	// A writer waits for everybody ahead.
	writer = kind{marker: writeMarker}
	// A reader waits for the writers ahead, beginning with the nearest: who waits for the first would be woken by each of them in turn.
	reader = kind{marker: readMarker, rule: func(ahead []ticket.Place) *ticket.Place {
		for i := len(ahead) - 1; i >= 0; i-- {
			if ahead[i].Marker == writeMarker {
				return &ahead[i]
			}
		}
		return nil
	}}
)

// RWMutex is a lock at a path, for one writer or many readers. It is fair: all stand in one line, and a reader does not overtake a
// writer that waits. It may be used by many goroutines, and acquired by several of them at once: they stand in line like everybody.
type RWMutex struct{ line *line }

// NewRWMutex describes the lock at a path. It sends nothing.
func NewRWMutex(c *client.Client, path string, opts *Options) *RWMutex {
	return &RWMutex{newLine(c, path, opts, writeMarker, readMarker)}
}

// Path returns the lock's path.
func (m *RWMutex) Path() string { return m.line.path }

// Lock waits until all who came before are gone, and returns a Hold that nobody shares. Otherwise it is like Mutex.Lock. It fails with
// ErrNested if ctx comes from a hold of this lock.
func (m *RWMutex) Lock(ctx context.Context) (*Hold, error) { return m.lock(ctx, "lock", writer) }

// RLock waits until all writers who came before are gone, and returns a Hold that is shared with other readers. Otherwise it is like
// Mutex.Lock. It fails with ErrNested if ctx comes from a hold of this lock.
func (m *RWMutex) RLock(ctx context.Context) (*Hold, error) { return m.lock(ctx, "rlock", reader) }

func (m *RWMutex) lock(ctx context.Context, op string, k kind) (*Hold, error) {
	if ctx.Value(m.key()) != nil {
		return nil, m.line.failed(op, ErrNested)
	}
	t, err := m.line.lock(ctx, k)
	return m.hold(op, t, err)
}

// TryLock returns a Hold if nobody holds the lock or waits for it, and ErrHeld otherwise. Otherwise it is like Mutex.TryLock.
func (m *RWMutex) TryLock(ctx context.Context) (*Hold, error) {
	t, err := m.line.tryLock(ctx, writer)
	return m.hold("trylock", t, err)
}

// TryRLock returns a Hold if no writer holds the lock or waits for it, and ErrHeld otherwise. Otherwise it is like Mutex.TryLock.
func (m *RWMutex) TryRLock(ctx context.Context) (*Hold, error) {
	t, err := m.line.tryLock(ctx, reader)
	return m.hold("tryrlock", t, err)
}

// Line returns the contenders in order: who holds, then those who wait. The first holds, and if that is a reader all up to the first
// writer do.
func (m *RWMutex) Line(ctx context.Context) ([]ticket.Place, error) { return m.line.places(ctx) }

func (m *RWMutex) hold(op string, t *ticket.Ticket, err error) (*Hold, error) {
	if err != nil {
		return nil, m.line.failed(op, err)
	}
	key := m.key()
	return &Hold{ticket: t, key: &key}, nil
}

// rwKey is the key of a context's value by which it tells of which lock it comes.
type rwKey struct {
	client *client.Client
	path   string
}

func (m *RWMutex) key() rwKey { return rwKey{m.line.client, m.line.path} }

// rwContext is the context of an RWMutex's hold.
type rwContext struct {
	context.Context
	key rwKey
}

// Value is context.Context's.
func (c rwContext) Value(key any) any {
	if key == c.key {
		return true
	}
	return c.Context.Value(key)
}

// Downgrade makes a write hold of an RWMutex a read hold, in its place: readers come in, beginning with those who wait, and no writer was
// in between. Call it when nothing is written any more: the hold's context goes on, and its token stays, which is smaller than that of
// every writer to come. Guard is another one afterwards; one made before fails.
//
// If ctx ends before, Downgrade fails with its cause, and with client.ErrUnknown if it may have happened: there are readers beside it then
// or not yet, and Downgrade once more finds out. On a read hold it does nothing. It is refused with client.ErrBadArguments on a hold
// of another lock than an RWMutex.
func (h *Hold) Downgrade(ctx context.Context) error {
	if h.key == nil {
		return &client.Error{Op: "downgrade", Path: h.Path(), Err: fmt.Errorf("%w: no hold of an RWMutex", client.ErrBadArguments)}
	}
	if err := h.ticket.Exchange(ctx, readMarker); err != nil {
		return &client.Error{Op: "downgrade", Path: h.Path(), Err: err}
	}
	return nil
}
