package lock

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// Options of a lock. The zero value works, and nil means the zero value.
type Options struct {
	// Data is the content of the contender's nodes, a name or an address for people who look; not nil and of no length it is empty. Nothing
	// depends on it. Default: ticket.Identity, the host's name and the process's number.
	Data []byte
	// Layout says how contenders are named, and so with whom the lock is shared. A Semaphore has Curator's alone. Default: CuratorLayout.
	Layout Layout
	// Reentrant lets whoever holds a Mutex or RWMutex lock it once more, with a context that comes from Hold.Context: that costs
	// nothing and gives another Hold of the same node, with the same token, and the lock is released with the last of them. Who holds a
	// write lock may lock it for reading, and has the write lock still. Of a Semaphore it says nothing: who has permits may wait for more.
	// Default: that is refused with ErrNested.
	Reentrant bool
	// MaxHold is how long a lock is held at most: then the Hold's Context ends with ErrMaxHold, and its node is removed in the background,
	// so that nobody waits for ever for who is stuck. What was stuck may go on later: it is fencing that stops that. Default: no limit.
	MaxHold time.Duration
	// Delay is how long a Mutex stays free after its holder has not released it: died, was cut off, held it for MaxHold, or lost its
	// node. What such a holder has sent may still be on its way, and take effect behind the next one's back; the delay is the fence
	// of those who have no other. It counts from when the next contender finds out. All contenders must have it: it takes one more write to
	// lock and one to release, of a mark, <path>.held, that the next one finds where nobody released. An RWMutex and a
	// Semaphore have none, whatever this says. Default: no delay, no mark.
	Delay time.Duration
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
	marker    string
	exclusive bool                                     // nobody holds beside it
	rule      func(ahead []ticket.Place) *ticket.Place // as ticket.Options.Rule; nil: for everybody ahead
	measured  *telemetry.Recipe                        // of what lock and tryLock are called with
}

// line is where the contenders of one lock stand.
type line struct {
	client  *client.Client
	path    string
	markers []string // of all kinds
	shared  string   // that of the kind that is not exclusive, if there is one
	delay   *delay   // nil: there is none
	opts    Options
	kit     *telemetry.Kit // nil: nobody looks
	foreign sync.Once
}

func newLine(c *client.Client, path string, opts *Options, markers ...string) *line {
	l := &line{client: c, path: path, markers: markers, kit: telemetry.Of(c)}
	if opts != nil {
		l.opts = *opts
	}
	if l.opts.Data == nil {
		l.opts.Data = []byte(ticket.Identity())
	}
	if l.opts.Cleanup == 0 {
		l.opts.Cleanup = ticket.DefaultCleanup
	}
	if l.opts.Logger == nil {
		l.opts.Logger = slog.New(slog.DiscardHandler)
	}
	return l
}

// lineKey is the key of a context's value by which it tells what is held, and of which lock.
type lineKey struct {
	client *client.Client
	path   string
}

func (l *line) key() lineKey { return lineKey{l.client, l.path} }

// lock stands in line until it is this one's turn, as often as it takes, unless the lock is held further up.
func (l *line) lock(ctx context.Context, k kind) (*Hold, error) {
	if h, err := l.nested(ctx, k); h != nil || err != nil {
		return h, err
	}
	return l.seen(ctx, k, l.turn)
}

// tryLock stands in line only if it is this one's turn, unless the lock is held further up. If that cannot be held once more, it is held by
// another as far as this one is concerned, who does not wait for it.
func (l *line) tryLock(ctx context.Context, k kind) (*Hold, error) {
	h, err := l.nested(ctx, k)
	if h == nil && (err == nil || errors.Is(err, ErrNested)) {
		return l.seen(ctx, k, l.tryTurn)
	}
	return h, err
}

// turn stands in line until it is this one's turn, as often as it takes.
func (l *line) turn(ctx context.Context, k kind) (*Hold, error) {
	for {
		t, err := l.join(ctx, l.client, k)
		if err == nil {
			err = t.Wait(ctx)
			if err == nil {
				err = t.mark.set(ctx, t.Ticket, false)
			}
			if err == nil {
				return l.hold(t), nil
			}
			l.giveBack(ctx, t.Return)
		}
		if !l.again(err) {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// tryTurn stands in line only if it is this one's turn.
func (l *line) tryTurn(ctx context.Context, k kind) (*Hold, error) {
	// To look first spares the servers a node for nothing in the common case.
	places, err := l.places(ctx)
	if err != nil {
		return nil, err
	}
	if k.waits(places) {
		return nil, ErrHeld
	}
	t, err := l.join(ctx, l.client, k)
	if err != nil {
		return nil, err
	}
	if err = mustBeFirst(ctx, t.Ticket); err == nil {
		err = t.mark.set(ctx, t.Ticket, true)
	}
	if err != nil {
		l.giveBack(ctx, t.Return)
		return nil, err
	}
	return l.hold(t), nil
}

// standing is a ticket in this line, what its holder is asked, and what it has to do with the mark of a delay.
type standing struct {
	*ticket.Ticket
	request *request
	mark    *mark
	waited  bool // for one ahead
}

// join goes to the end of the line.
func (l *line) join(ctx context.Context, c *client.Client, k kind) (*standing, error) {
	s := &standing{request: newRequest(), mark: l.delay.mark()}
	opts := &ticket.Options{
		Data: l.opts.Data, ACL: l.opts.ACL, Cleanup: l.opts.Cleanup, Written: s.request.written,
		Others: slices.DeleteFunc(slices.Clone(l.markers), func(m string) bool { return m == k.marker }), Rule: k.rule,
		Waiting: func(ahead ticket.Place) {
			s.waited = true
			if l.opts.Waiting != nil {
				l.opts.Waiting(ahead)
			}
		},
		Foreign: func(names []string) {
			l.foreign.Do(func() {
				l.opts.Logger.Warn("lock directory has children that are no contenders", "path", l.path, "names", names)
			})
		},
	}
	if s.mark != nil {
		opts.Leaving = func(ctx context.Context) { s.mark.remove(ctx, s.Ticket) }
	}
	var err error
	s.Ticket, err = ticket.Take(ctx, c, l.path, k.marker, opts)
	return s, err
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

// giveBack gives up what came to nothing, by Return or Release. The wait for it is bounded, the removal is not.
func (l *line) giveBack(ctx context.Context, leave func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.opts.Cleanup)
	defer cancel()
	_ = leave(ctx)
}

// failed puts the lock's own operation and path on an error.
func (l *line) failed(op string, err error) error {
	return &client.Error{Op: op, Path: l.path, Err: err}
}
