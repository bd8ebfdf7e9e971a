package lock

import (
	"context"
	"errors"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// marker stands before the number in the names of the contenders, as in Curator's InterProcessMutex.
const marker = "lock-"

// ErrHeld tells that a lock is held, or about to be, by somebody else.
var ErrHeld = errors.New("lock is held by another")

// ErrReleased is the cause in the context of a Hold that was released.
var ErrReleased = ticket.ErrReturned

// ErrRemoved is the cause in the context of a Hold whose node somebody else removed.
var ErrRemoved = ticket.ErrGone

// Mutex is a lock at a path. It may be used by many goroutines, and acquired by several of them at once: they stand in line like everybody.
type Mutex struct {
	line *line
	kind kind
}

// NewMutex describes the lock at a path. It sends nothing.
func NewMutex(c *client.Client, path string, opts *Options) *Mutex {
	mark := marks[opts.layout()].mutex
	m := &Mutex{line: newLine(c, path, opts, mark), kind: kind{marker: mark, exclusive: true, measured: &mutexes}}
	m.line.delay = newDelay(m.line)
	return m
}

// Path returns the lock's path.
func (m *Mutex) Path() string { return m.line.path }

// Lock waits in line and returns a Hold when it is this one's turn, and a majority of the servers has confirmed the session. When ctx
// ends first, it leaves the line and returns ctx's cause; its node is then gone, or known to be going. A session lost while waiting costs
// the place, not the call: Lock goes to the end of the line with the next session, unless the client is a view of one session. A ctx that
// comes from a hold of this lock makes it fail with ErrNested, or hold it once more, see Options.Reentrant.
func (m *Mutex) Lock(ctx context.Context) (*Hold, error) {
	h, err := m.line.lock(ctx, m.kind)
	if err != nil {
		return nil, m.line.failed("lock", err)
	}
	return h, nil
}

// TryLock returns a Hold if nobody holds the lock or waits for it, and ErrHeld otherwise. It does not stand in line, but waits
// for the servers' answers, and for a session if there is none; one that ends meanwhile makes it fail with client.ErrSessionExpired, and
// somebody who removes its node meanwhile with ErrRemoved. It may fail because of another TryLock that is failing at the same time.
func (m *Mutex) TryLock(ctx context.Context) (*Hold, error) {
	h, err := m.line.tryLock(ctx, m.kind)
	if err != nil {
		return nil, m.line.failed("trylock", err)
	}
	return h, nil
}

// Line returns the contenders: the holder first, then those who wait, in order.
func (m *Mutex) Line(ctx context.Context) ([]ticket.Place, error) { return m.line.places(ctx) }
