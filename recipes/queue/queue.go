package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
)

// Why something did not come about, or a claim is over.
var (
	// ErrFull tells that there was no room in the queue until the context ended, see [Options].MaxItems. Nothing was put.
	ErrFull = errors.New("queue is full")
	// ErrDuplicate tells that an item with the same key is in the queue. Nothing was put.
	ErrDuplicate = errors.New("an item with this key is in the queue")
	// ErrEmpty tells that there was nothing to take.
	ErrEmpty = errors.New("nothing to take from the queue")
	// ErrFinished is the cause when a delivery was acknowledged or given back.
	ErrFinished = errors.New("delivery is finished")
	// ErrLost is the cause when somebody else has removed the claim or the item.
	ErrLost = errors.New("claim or item was removed by somebody else")
	// ErrTooLong is the cause when a delivery was not finished within [Options].MaxWork, nor extended.
	ErrTooLong = errors.New("delivery took longer than allowed")
)

// How a delivery was finished.
var (
	errAcked     = fmt.Errorf("%w: acknowledged", ErrFinished)
	errGivenBack = fmt.Errorf("%w: given back", ErrFinished)
	errPopped    = fmt.Errorf("%w: popped", ErrFinished)
)

// measured is how queues are seen.
var measured = telemetry.Recipe{Family: telemetry.Queue, Name: "queue", Words: []telemetry.Word{
	{Err: errAcked, Word: "acknowledged"}, {Err: errGivenBack, Word: "given_back"}, {Err: ErrFinished, Word: "finished"},
	{Err: ErrLost, Word: "lost", Lost: true}, {Err: ErrTooLong, Word: "too_long", Lost: true},
	{Err: ErrFull, Word: "full"}, {Err: ErrDuplicate, Word: "duplicate", Fine: true}, {Err: ErrEmpty, Word: "empty", Fine: true},
}}

// Defaults of Options.
const (
	defaultMaxAttempts = 16
	defaultWindow      = 16
)

// Options of a Queue. The zero value works, and nil means the zero value.
type Options struct {
	// Order says in which order items are given out. All who use the queue must agree. Default: FIFO.
	Order Order
	// Claims is where claims are made, Curator's lockPath: all who take from the queue must agree. Default: the queue's path with "-claims"
	// behind it.
	Claims string
	// MaxItems bounds how many items the queue may have: who puts more waits. What comes back, from a delay or the dead letters, does not wait.
	// All who put should agree. Default: no bound.
	MaxItems int
	// KeepKeys is how long the key of an item that is done is kept: to put it again is ErrDuplicate for so long, and at most for half as long again
	// while keys are put. So a Put whose outcome is unknown can be repeated within that time, by the leader's clock and the one of who puts,
	// and the item is done once. All who use the queue should agree. Default: it is not kept.
	KeepKeys time.Duration
	// MaxAttempts is how often an item is given out before it is put among the dead letters. Negative: as often as it takes. Default: 16.
	MaxAttempts int
	// MaxWork is how long a delivery may take, unless it is extended; then it is given back as by [Delivery.Nack]. Default: as long as its
	// session lives.
	MaxWork time.Duration
	// Window is how many items are taken by one listing of the queue at most, so that what comes to stand ahead meanwhile waits for so many, and
	// for half a second at most. Where several consumers are in each other's way, they part among as many first items as its square. 1
	// lists the queue for each item and takes the first that it can. See "Order" in the package comment. Default: 16.
	Window int
	// ID is the consumer's or producer's name, for others to read: the data of its claims, and of its place in a line. Default: empty.
	ID string
	// ACL is that of the nodes that are made. All who use the queue must be able to do everything with them. Default: the client's.
	ACL []client.ACL
	// Logger is warned of items that are put among the dead letters, and of nodes in the queue's directory that are no items. Default: silence.
	Logger *slog.Logger
}

// Queue is a queue at a path. It may be used by many goroutines.
type Queue struct {
	client *client.Client
	opts   Options
	ledger *ledger
	items  directory
	claims directory
	later  directory // items whose time has not come
	dead   directory
	keys   directory
	line   string // where those stand who wait for an item
	gate   string // where those stand who wait for room

	kit     *telemetry.Kit // nil: nobody looks
	foreign sync.Once
	turn    chan struct{} // held by the one who lists the queue, or waits for it to change
	putting chan struct{} // held by the one who puts into a queue that is bounded, and guards:
	room    room

	mu      sync.Mutex
	stock   stock
	swept   time.Time     // when keys were looked at, see Options.KeepKeys
	changed chan struct{} // closed when something may be there to take which the servers do not tell of
}

// New describes the queue at a path. It sends nothing.
func New(c *client.Client, path string, opts *Options) *Queue {
	return newQueue(c, path, path, path, opts)
}

// newQueue describes a queue whose other directories have names that begin with beside, and that of its keys one that begins with keys.
func newQueue(c *client.Client, path, beside, keys string, opts *Options) *Queue {
	q := &Queue{client: c, kit: telemetry.Of(c), turn: make(chan struct{}, 1), putting: make(chan struct{}, 1), room: room{version: -1}, changed: make(chan struct{})}
	if opts != nil {
		q.opts = *opts
	}
	if q.opts.Claims == "" {
		q.opts.Claims = beside + "-claims"
	}
	if q.opts.MaxAttempts == 0 {
		q.opts.MaxAttempts = defaultMaxAttempts
	}
	if q.opts.Window <= 0 {
		q.opts.Window = defaultWindow
	}
	if q.opts.Logger == nil {
		q.opts.Logger = slog.New(slog.DiscardHandler)
	}
	q.stock = newStock(q.opts.Window)
	acl := q.opts.ACL
	q.items = directory{path, client.Persistent, acl} // as Curator makes these two, which relies on them to stay
	if q.opts.Order == Simple {
		q.items.mode = client.Container
	}
	q.claims = directory{q.opts.Claims, client.Persistent, acl}
	q.later = directory{beside + "-later", client.Container, acl}
	q.dead = directory{beside + "-dead", client.Container, acl}
	q.keys = directory{keys + "-keys", client.Container, acl}
	q.ledger = &ledger{client: c, dir: directory{beside + "-marks", client.Container, acl}}
	q.line, q.gate = beside+"-takers", beside+"-putters"
	return q
}

// Path returns the queue's path.
func (q *Queue) Path() string { return q.items.path }

// Len returns how many items are in the queue: those that are claimed too, those not that were given back for later, nor the dead letters.
func (q *Queue) Len(ctx context.Context) (int, error) {
	stat, _, err := q.client.Exists(ctx, q.items.path)
	return stat.NumChildren, err
}

func (q *Queue) failed(op string, err error) error {
	return &client.Error{Op: op, Path: q.items.path, Err: err}
}

func (q *Queue) createOptions(mode client.Mode) *client.CreateOptions {
	return &client.CreateOptions{Mode: mode, ACL: q.opts.ACL}
}

// createItem is the part that puts an item, at the end of those its stem is equal to.
func (q *Queue) createItem(stem string, data []byte) part {
	return part{Op: client.CreateOp(q.items.join(stem), data, q.createOptions(client.PersistentSequential)), dir: &q.items}
}

// inSession does work on a goroutine of a session, and returns what comes of it. When ctx ends before, it does not wait for it any more: the work
// is told so by wanted, and left has what it brought about.
func inSession[T any](
	ctx context.Context, s *client.Session, work func(life context.Context, wanted func() bool) (T, error), left func(life context.Context, v T),
) (T, error) {
	type outcome struct {
		v   T
		err error
	}
	var none T
	done := make(chan outcome)
	gone := make(chan struct{})
	err := s.Go(func(life context.Context) { // ends soon after the session, or when nobody waits and the outcome is known
		v, err := work(telemetry.Below(ctx, life), func() bool { return ctx.Err() == nil })
		select {
		case done <- outcome{v, err}:
		case <-gone:
			if err == nil && left != nil {
				left(life, v)
			}
		}
	})
	if err != nil {
		return none, err
	}
	select {
	case o := <-done:
		return o.v, o.err
	case <-ctx.Done():
	}
	select {
	case o := <-done:
		return o.v, o.err
	default:
		close(gone)
		return none, fmt.Errorf("%w: %w", client.ErrUnknown, context.Cause(ctx))
	}
}

// again tells whether what was not done, because its session is over, may be done in the next one.
func again(ctx context.Context, s *client.Session, err error) bool {
	return err != nil && !errors.Is(err, client.ErrUnknown) && s.Err() != nil && ctx.Err() == nil
}
