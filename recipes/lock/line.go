package lock

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// Options of a lock. The zero value works, and nil means the zero value.
type Options struct {
	// Data is the content of the contender's nodes, a name or an address for people who look. Nothing depends on it. Default: empty.
	Data []byte
	// ACL is that of the contender's nodes and of directories made for it. All contenders must be able to list the directory and to
	// add children to it. Default: the client's.
	ACL []client.ACL
	// Cleanup bounds how long a cancelled Lock still waits for the removal of its node; the removal itself goes on in the background
	// until it is done or the session ends. Default: 5 s.
	Cleanup time.Duration
	// Logger is warned once of children of the lock's directory that are no contenders: they may be another recipe's, which this one
	// does not exclude. Default: silence.
	Logger *slog.Logger
	// Waiting, if not nil, is called each time a Lock begins to wait, with the contender it waits for, on the goroutine that waits. A
	// Semaphore calls it for the door, not for the permits.
	Waiting func(ahead ticket.Place)
}

// A kind of contender: how its nodes are marked, and for whom it waits.
type kind struct {
	marker string
	rule   func(ahead []ticket.Place) *ticket.Place // as ticket.Options.Rule; nil: for everybody ahead
}

// line is where the contenders of one lock stand.
type line struct {
	client  *client.Client
	path    string
	markers []string // of all kinds
	opts    Options
	foreign sync.Once
}

func newLine(c *client.Client, path string, opts *Options, markers ...string) *line {
	l := &line{client: c, path: path, markers: markers}
	if opts != nil {
		l.opts = *opts
	}
	if l.opts.Cleanup == 0 {
		l.opts.Cleanup = ticket.DefaultCleanup
	}
	if l.opts.Logger == nil {
		l.opts.Logger = slog.New(slog.DiscardHandler)
	}
	return l
}

// lock stands in line until it is this one's turn, as often as it takes.
func (l *line) lock(ctx context.Context, k kind) (*ticket.Ticket, error) {
	for {
		t, err := ticket.Take(ctx, l.client, l.path, k.marker, l.ticket(k))
		if err == nil {
			err = t.Wait(ctx)
			if err == nil {
				return t, nil
			}
			l.giveBack(ctx, t)
		}
		if !l.again(err) {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// tryLock stands in line only if it is this one's turn.
func (l *line) tryLock(ctx context.Context, k kind) (*ticket.Ticket, error) {
	// To look first spares the servers a node for nothing in the common case.
	places, err := l.places(ctx)
	if err != nil {
		return nil, err
	}
	if k.waits(places) {
		return nil, ErrHeld
	}
	t, err := ticket.Take(ctx, l.client, l.path, k.marker, l.ticket(k))
	if err != nil {
		return nil, err
	}
	if err := mustBeFirst(ctx, t); err != nil {
		l.giveBack(ctx, t)
		return nil, err
	}
	return t, nil
}

// mustBeFirst is nil if it is the ticket's turn, and ErrHeld if it is not.
func mustBeFirst(ctx context.Context, t *ticket.Ticket) error {
	first, err := t.First(ctx)
	if err == nil && !first {
		err = ErrHeld
	}
	return err
}

// waits tells whether a contender of this kind would have to wait behind those.
func (k kind) waits(ahead []ticket.Place) bool {
	if k.rule == nil {
		return len(ahead) > 0
	}
	return k.rule(ahead) != nil
}

// places are the contenders, in order.
func (l *line) places(ctx context.Context) ([]ticket.Place, error) {
	return ticket.Line(ctx, l.client, l.path, l.markers...)
}

// again tells whether an attempt that failed so was lost by losing the place in line, and a new place may be had.
func (l *line) again(err error) bool {
	switch {
	case errors.Is(err, client.ErrClosed):
		return false
	case errors.Is(err, ticket.ErrGone):
		return true
	case errors.Is(err, client.ErrSessionExpired):
		return !l.client.Bound()
	}
	return false
}

// giveBack leaves the line after an attempt that came to nothing. The wait for it is bounded, the removal is not.
func (l *line) giveBack(ctx context.Context, t *ticket.Ticket) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.opts.Cleanup)
	defer cancel()
	_ = t.Return(ctx)
}

func (l *line) ticket(k kind) *ticket.Options {
	return &ticket.Options{
		Data: l.opts.Data, ACL: l.opts.ACL, Cleanup: l.opts.Cleanup, Waiting: l.opts.Waiting,
		Others: slices.DeleteFunc(slices.Clone(l.markers), func(m string) bool { return m == k.marker }), Rule: k.rule,
		Foreign: func(names []string) {
			l.foreign.Do(func() {
				l.opts.Logger.Warn("lock directory has children that are no contenders", "path", l.path, "names", names)
			})
		},
	}
}

// failed puts the lock's own operation and path on an error.
func (l *line) failed(op string, err error) error {
	return &client.Error{Op: op, Path: l.path, Err: err}
}
