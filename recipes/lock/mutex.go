package lock

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

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

// Options of a Mutex. The zero value works, and nil means the zero value.
type Options struct {
	// Data is the content of the contender's node, a name or an address for people who look. Nothing depends on it. Default: empty.
	Data []byte
	// ACL is that of the contender's node and of directories made for it. All contenders must be able to list the directory and to
	// add children to it. Default: the client's.
	ACL []client.ACL
	// Cleanup bounds how long a cancelled Lock still waits for the removal of its node; the removal itself goes on in the background
	// until it is done or the session ends. Default: 5 s.
	Cleanup time.Duration
	// Logger is warned once of children of the lock's directory that are no contenders: they may be another recipe's, which this one
	// does not exclude. Default: silence.
	Logger *slog.Logger
	// Waiting, if not nil, is called each time a Lock begins to wait, with the contender it waits for, on the goroutine that waits.
	Waiting func(ahead ticket.Place)
}

// Mutex is a lock at a path. It may be used by many goroutines, and acquired by several of them at once: they stand in line like everybody.
type Mutex struct {
	client  *client.Client
	path    string
	opts    Options
	foreign sync.Once
}

// NewMutex describes the lock at a path. It sends nothing.
func NewMutex(c *client.Client, path string, opts *Options) *Mutex {
	m := &Mutex{client: c, path: path}
	if opts != nil {
		m.opts = *opts
	}
	if m.opts.Cleanup == 0 {
		m.opts.Cleanup = ticket.DefaultCleanup
	}
	if m.opts.Logger == nil {
		m.opts.Logger = slog.New(slog.DiscardHandler)
	}
	return m
}

// Path returns the lock's path.
func (m *Mutex) Path() string { return m.path }

// Lock waits in line and returns a Hold when it is this one's turn, and a majority of the servers has confirmed the session. When ctx
// ends first, it leaves the line and returns ctx's cause; its node is then gone, or known to be going. A session lost while waiting costs
// the place, not the call: Lock goes to the end of the line with the next session, unless the client is a view of one session.
func (m *Mutex) Lock(ctx context.Context) (*Hold, error) {
	for {
		t, err := ticket.Take(ctx, m.client, m.path, marker, m.ticket())
		if err == nil {
			err = t.Wait(ctx)
			if err == nil {
				return &Hold{ticket: t}, nil
			}
			m.giveBack(ctx, t)
		}
		if !m.again(err) {
			return nil, m.failed("lock", err)
		}
		if ctx.Err() != nil {
			return nil, m.failed("lock", context.Cause(ctx))
		}
	}
}

// TryLock returns a Hold if nobody holds the lock or waits for it, and ErrHeld otherwise. It does not stand in line, but waits
// for the servers' answers, and for a session if there is none. It may fail because of another TryLock that is failing at the same time.
func (m *Mutex) TryLock(ctx context.Context) (*Hold, error) {
	// To look first spares the servers a node for nothing in the common case.
	line, err := m.Line(ctx)
	if err != nil {
		return nil, m.failed("trylock", err)
	}
	if len(line) > 0 {
		return nil, m.failed("trylock", ErrHeld)
	}
	t, err := ticket.Take(ctx, m.client, m.path, marker, m.ticket())
	if err != nil {
		return nil, m.failed("trylock", err)
	}
	first, err := t.First(ctx)
	if first && err == nil {
		return &Hold{ticket: t}, nil
	}
	m.giveBack(ctx, t)
	if err == nil {
		err = ErrHeld
	}
	return nil, m.failed("trylock", err)
}

// Line returns the contenders: the holder first, then those who wait, in order.
func (m *Mutex) Line(ctx context.Context) ([]ticket.Place, error) {
	return ticket.Line(ctx, m.client, m.path, marker)
}

// again tells whether an attempt that failed so was lost by losing the place in line, and a new place may be had.
func (m *Mutex) again(err error) bool {
	switch {
	case errors.Is(err, client.ErrClosed):
		return false
	case errors.Is(err, ticket.ErrGone):
		return true
	case errors.Is(err, client.ErrSessionExpired):
		return !m.client.Bound()
	}
	return false
}

// giveBack leaves the line after an attempt that came to nothing. The wait for it is bounded, the removal is not.
func (m *Mutex) giveBack(ctx context.Context, t *ticket.Ticket) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.opts.Cleanup)
	defer cancel()
	_ = t.Return(ctx)
}

func (m *Mutex) ticket() *ticket.Options {
	return &ticket.Options{
		Data: m.opts.Data, ACL: m.opts.ACL, Cleanup: m.opts.Cleanup, Waiting: m.opts.Waiting,
		Foreign: func(names []string) {
			m.foreign.Do(func() {
				m.opts.Logger.Warn("lock directory has children that are no contenders", "path", m.path, "names", names)
			})
		},
	}
}

// failed puts the lock's own operation and path on an error.
func (m *Mutex) failed(op string, err error) error {
	return &client.Error{Op: op, Path: m.path, Err: err}
}
