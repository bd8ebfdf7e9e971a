package leader

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// DefaultGrace is how long the function of Run may take to return before Options.Overdue is called.
const DefaultGrace = 10 * time.Second

// Why a term ended, beside the end of its session and of Run's context.
var (
	// ErrResigned is the cause when the leader resigned, or handed over.
	ErrResigned = errors.New("leader resigned")
	// ErrRemoved is the cause when somebody else removed the leader's node.
	ErrRemoved = ticket.ErrGone
	// ErrTermOver is the cause when the term has lasted for Options.MaxTerm.
	ErrTermOver = errors.New("leader's term is over")
	// ErrSuspended is the cause when the connection was interrupted, with Options.EndWhenSuspended.
	ErrSuspended = errors.New("leader is not connected")
)

// measured is how elections are called in spans and metrics.
var measured = telemetry.Recipe{Family: telemetry.Leader, Name: "election", Words: []telemetry.Word{
	{Err: ErrResigned, Word: "resigned"},
	{Err: ErrTermOver, Word: "term_over"},
	{Err: ErrSuspended, Word: "suspended", Lost: true},
	{Err: ErrRemoved, Word: "removed", Lost: true},
}}

// ErrNoCandidate tells that there is nobody of that name to hand over to.
var ErrNoCandidate = errors.New("no such candidate")

// Layout says how candidates are named, and so who is in one election with us.
type Layout int

const (
	LatchLayout    Layout = iota // Curator's LeaderLatch
	SelectorLayout               // Curator's LeaderSelector, which is that of its InterProcessMutex and of lock.Mutex
	KazooLayout                  // kazoo's Election, in Python, which is that of its Lock
)

// marker stands before the number in the names of the candidates.
func (l Layout) marker() string {
	switch l {
	case SelectorLayout:
		return "lock-"
	case KazooLayout:
		return "__lock__"
	}
	return "latch-"
}

// Options of an Election. The zero value works, and nil means the zero value.
type Options struct {
	// ID is this candidate's name, for others to read: Curator's participant id. Two candidates may have the same. It is the data of
	// the candidate's node, in UTF-8. Default: ticket.Identity, the host's name and the process's number.
	ID string
	// Layout says whose election it is. Default: LatchLayout.
	Layout Layout
	// Priority lets candidates with a greater one ahead, where both are of this package; see the package comment. It may be negative.
	// Default: 0, which is Curator's.
	Priority int
	// MaxTerm is how long a term lasts at most: then its context ends with ErrTermOver. Default: no limit.
	MaxTerm time.Duration
	// EndWhenSuspended ends a term, with ErrSuspended, as soon as the connection is interrupted, as Curator does by default. Default:
	// a term outlives an interruption as long as it is certain that nobody else can lead.
	EndWhenSuspended bool
	// Overdue, if not nil, is called when the function of Run has not returned within Grace after its context ended, once a term and on
	// a goroutine of its own. Ending the process is a good answer. Run waits for it.
	Overdue func(*Term)
	// Grace is the time until Overdue is called. Default: 10 s.
	Grace time.Duration
	// ACL is that of the candidate's node and of directories made for it. All candidates must be able to list the directory, to add and
	// remove children, and to read each other's nodes, as must those who look on; to hand over takes the permission to write the
	// directory. Default: the client's.
	ACL []client.ACL
	// Cleanup bounds how long it is waited for the removal of a node when there is no other bound: after a cancelled Lead, and behind
	// the function of Run. The removal itself goes on in the background until it is done or the session ends. Default: 5 s.
	Cleanup time.Duration
	// Logger is warned once of children of the directory that are no candidates, and of errors of Run's function that came when its
	// term was over already. Default: silence.
	Logger *slog.Logger
	// Waiting, if not nil, is called each time a candidate begins to wait, with the one it waits for, on the goroutine that waits.
	Waiting func(ahead ticket.Place)
}

// Election is an election at a path. To stand for it is to call Run or Lead, and each call is a candidate of its own; to look on takes
// neither. It may be used by many goroutines.
type Election struct {
	client  *client.Client
	path    string
	opts    Options
	kit     *telemetry.Kit // nil: nobody looks
	foreign sync.Once
}

// NewElection describes the election at a path. It sends nothing.
func NewElection(c *client.Client, path string, opts *Options) *Election {
	e := &Election{client: c, path: path, kit: telemetry.Of(c)}
	if opts != nil {
		e.opts = *opts
	}
	if e.opts.ID == "" {
		e.opts.ID = ticket.Identity()
	}
	if e.opts.Cleanup == 0 {
		e.opts.Cleanup = ticket.DefaultCleanup
	}
	if e.opts.Grace == 0 {
		e.opts.Grace = DefaultGrace
	}
	if e.opts.Logger == nil {
		e.opts.Logger = slog.New(slog.DiscardHandler)
	}
	return e
}

// Path returns the election's path.
func (e *Election) Path() string { return e.path }

// Lead stands in line and returns a Term when it is this candidate's turn, and a majority of the servers has confirmed the session. The
// term lasts until Term.Context ends, and the place is this candidate's until Term.Resign is called, which must be in any case.
//
// When ctx ends first, Lead leaves the line and returns ctx's cause; its node is then gone, or known to be going. A session lost while
// waiting, or a node that somebody removed, costs the place and not the call: Lead goes to the end of the line again, in the next
// session, unless the client is a view of one session.
func (e *Election) Lead(ctx context.Context) (*Term, error) {
	return e.lead(ctx, "lead", context.Background())
}

// lead is Lead for an operation of that name, with the values of a context in the term's.
func (e *Election) lead(ctx context.Context, op string, values context.Context) (*Term, error) {
	ctx, wait := e.kit.Wait(ctx, &measured, e.path)
	t, err := e.stand(ctx)
	if err != nil {
		wait.Failed(err)
		return nil, e.failed(op, err)
	}
	return e.begin(t, values, wait), nil
}

// stand stands in line until it is this candidate's turn, as often as it takes.
func (e *Election) stand(ctx context.Context) (*ticket.Ticket, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		t, err := ticket.Take(ctx, e.client, e.path, e.opts.Layout.marker(), e.ticket())
		if err == nil {
			var way bool
			if way, err = e.turn(ctx, t); err == nil && !way {
				return t, nil
			}
			if stuck := e.giveBack(ctx, t.Return); stuck != nil {
				return nil, stuck
			}
		}
		if err != nil && !e.again(err) {
			return nil, err
		}
	}
}

// turn waits for the ticket's turn, and tells whether it has to give way to another.
func (e *Election) turn(ctx context.Context, t *ticket.Ticket) (way bool, err error) {
	if err := t.Wait(ctx); err != nil {
		return false, err
	}
	return e.givesWay(ctx, t)
}

// again tells whether a candidacy that failed so was lost by losing the place in line, and a new place may be had.
func (e *Election) again(err error) bool {
	switch {
	case errors.Is(err, client.ErrClosed):
		return false
	case errors.Is(err, ticket.ErrGone):
		return true
	case errors.Is(err, client.ErrSessionExpired):
		return !e.client.Bound()
	}
	return false
}

// giveBack leaves the line. The wait for it is bounded, the removal is not. It fails if the node cannot be removed while its session
// lives: to stand behind it would be to wait for oneself.
func (e *Election) giveBack(ctx context.Context, leave func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.opts.Cleanup)
	defer cancel()
	if err := leave(ctx); !errors.Is(err, client.ErrUnknown) {
		return err
	}
	return nil
}

func (e *Election) ticket() *ticket.Options {
	return &ticket.Options{
		Data: []byte(e.opts.ID), Label: label(e.opts.Priority), ACL: e.opts.ACL, Cleanup: e.opts.Cleanup, Waiting: e.opts.Waiting,
		Foreign: func(names []string) {
			e.foreign.Do(func() {
				e.opts.Logger.Warn("election's directory has children that are no candidates", "path", e.path, "names", names)
			})
		},
	}
}

// failed puts the election's own operation and path on an error.
func (e *Election) failed(op string, err error) error {
	return &client.Error{Op: op, Path: e.path, Err: err}
}
