package lock

import (
	"context"
	"fmt"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// behindWriters is the rule of a reader: it waits for the writers ahead, beginning with the nearest. Who waited for the first of them would
// be woken by each in turn.
func behindWriters(writer string) func(ahead []ticket.Place) *ticket.Place {
	return func(ahead []ticket.Place) *ticket.Place {
		for i := len(ahead) - 1; i >= 0; i-- {
			if ahead[i].Marker == writer {
				return &ahead[i]
			}
		}
		return nil
	}
}

// RWMutex is a lock at a path, for one writer or many readers. It is fair: all stand in one line, and a reader does not overtake a
// writer that waits. It may be used by many goroutines, and acquired by several of them at once: they stand in line like everybody.
type RWMutex struct {
	line           *line
	writer, reader kind
}

// NewRWMutex describes the lock at a path. It sends nothing.
func NewRWMutex(c *client.Client, path string, opts *Options) *RWMutex {
	marks := marks[opts.layout()]
	m := &RWMutex{
		line:   newLine(c, path, opts, marks.write, marks.read),
		writer: kind{marker: marks.write, exclusive: true, measured: &writers},
		reader: kind{marker: marks.read, rule: behindWriters(marks.write), measured: &readers},
	}
	m.line.shared = marks.read
	return m
}

// Path returns the lock's path.
func (m *RWMutex) Path() string { return m.line.path }

// Lock waits until all who came before are gone, and returns a Hold that nobody shares. Otherwise it is like Mutex.Lock. A read hold cannot
// be made a write hold: Lock fails with ErrNested, whatever the options, if ctx comes from one of this lock.
func (m *RWMutex) Lock(ctx context.Context) (*Hold, error) {
	h, err := m.line.lock(ctx, m.writer)
	return m.hold("lock", h, err)
}

// RLock waits until all writers who came before are gone, and returns a Hold that is shared with other readers. Otherwise it is like
// Mutex.Lock.
func (m *RWMutex) RLock(ctx context.Context) (*Hold, error) {
	h, err := m.line.lock(ctx, m.reader)
	return m.hold("rlock", h, err)
}

// TryLock returns a Hold if nobody holds the lock or waits for it, and ErrHeld otherwise. Otherwise it is like Mutex.TryLock.
func (m *RWMutex) TryLock(ctx context.Context) (*Hold, error) {
	h, err := m.line.tryLock(ctx, m.writer)
	return m.hold("trylock", h, err)
}

// TryRLock returns a Hold if no writer holds the lock or waits for it, and ErrHeld otherwise. Otherwise it is like Mutex.TryLock.
func (m *RWMutex) TryRLock(ctx context.Context) (*Hold, error) {
	h, err := m.line.tryLock(ctx, m.reader)
	return m.hold("tryrlock", h, err)
}

// Line returns the contenders in order: who holds, then those who wait. The first holds, and if that is a reader all up to the first
// writer do.
func (m *RWMutex) Line(ctx context.Context) ([]ticket.Place, error) { return m.line.places(ctx) }

func (m *RWMutex) hold(op string, h *Hold, err error) (*Hold, error) {
	if err != nil {
		return nil, m.line.failed(op, err)
	}
	return h, nil
}

// Downgrade makes a write hold of an RWMutex a read hold, in its place: readers come in, beginning with those who wait, and no writer was
// in between. Call it when nothing is written any more: the hold's context goes on, and its token stays, which is smaller than that of
// every writer to come. Guard is another one afterwards; one made before fails.
//
// If ctx ends before, Downgrade fails with its cause, and with client.ErrUnknown if it may have happened: there are readers beside it then
// or not yet, and Downgrade once more finds out. On a read hold it does nothing. It is refused with client.ErrBadArguments on a hold
// of another lock than an RWMutex, and with ErrNested while the lock is held more than once.
func (h *Hold) Downgrade(ctx context.Context) error {
	failed := func(err error) error { return &client.Error{Op: "downgrade", Path: h.Path(), Err: err} }
	if h.held.line.shared == "" {
		return failed(fmt.Errorf("%w: no hold of an RWMutex", client.ErrBadArguments))
	}
	h.held.mu.Lock()
	holds := h.held.holds
	h.held.mu.Unlock()
	if holds > 1 && !h.held.shared() {
		return failed(ErrNested)
	}
	if err := h.held.ticket.Exchange(ctx, h.held.line.shared); err != nil {
		return failed(err)
	}
	return nil
}
