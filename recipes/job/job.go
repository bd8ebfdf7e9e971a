package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
	"github.com/bellwether-zk/bellwether/recipes/leader"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// ErrOverran is the cause in the context of a run that has lasted for Options.AtMost.
var ErrOverran = errors.New("job ran for too long")

// How a run has ended, for spans and metrics.
var (
	errFailed   = errors.New("job's function failed")
	errStopped  = errors.New("job's run was stopped")
	errPanicked = errors.New("job's function panicked")
)

// measured is how jobs are called there.
var measured = telemetry.Recipe{Family: telemetry.Job, Name: "job", Words: []telemetry.Word{
	{Err: errFailed, Word: "failed"},
	{Err: ErrOverran, Word: "overran"},
	{Err: errStopped, Word: "stopped"},
	{Err: errPanicked, Word: "panicked"},
}}

// Options of a Job. The zero value works, and nil means the zero value. Processes that share a job should give it the same ones, but
// for ID and Logger.
type Options struct {
	// ID is this process's name, for others to read. Default: ticket.Identity, the host's name and the process's number.
	ID string
	// AtMost is how long a run may last. Default: no limit.
	AtMost time.Duration
	// AtLeast is how much later than a run the next one begins, at least. Default: nothing.
	AtLeast time.Duration
	// Jitter moves each time's run by a part of so much, to spread the jobs of one time. It is drawn from path and time, the same in all
	// processes, and should be less than the times are apart. Default: nothing.
	Jitter time.Duration
	// MaxLate is how late a run may begin, because no process was there, or another run lasted. A time that has come later than that is
	// left out. When the process dies that leads, a time that comes then is late by that one's session timeout. Default: no limit.
	MaxLate time.Duration
	// EachMissed runs each of the late times, one after the other, the oldest first. Default: the last of them, once.
	EachMissed bool
	// Attempts is how often a time is run at most, if its runs end by the end of their process or session: stopped or unknown. More than
	// one is for functions that do no harm when they are called once more. A run that failed is none of that. Default: 1.
	Attempts int
	// ACL is that of the nodes that are made. All who run the job must be able to read and write the record, and what package leader asks
	// for in its directory. Default: the client's.
	ACL []client.ACL
	// Cleanup bounds how long it is tried to record an outcome and to leave, when Run's ctx or the lead has ended. Default: 5 s.
	Cleanup time.Duration
	// Logger is warned of times that were left out, of runs that nobody knows the outcome of, and of outcomes that could not be
	// recorded. Default: silence.
	Logger *slog.Logger
}

// Job is something to be done at the times of a schedule by one of many. It may be used by many goroutines; each call of Run is a candidate of
// its own.
type Job struct {
	client   *client.Client
	path     string
	last     string // the record's path
	opts     Options
	plan     plan
	election *leader.Election
	kit      *telemetry.Kit // nil: nobody looks
}

// New describes the job at a path. It sends nothing.
func New(c *client.Client, path string, schedule Schedule, opts *Options) *Job {
	j := &Job{client: c, path: path, last: path + "/last", kit: telemetry.Of(c)}
	if opts != nil {
		j.opts = *opts
	}
	if j.opts.ID == "" {
		j.opts.ID = ticket.Identity()
	}
	if j.opts.Cleanup == 0 {
		j.opts.Cleanup = 5 * time.Second
	}
	if j.opts.Logger == nil {
		j.opts.Logger = slog.New(slog.DiscardHandler)
	}
	j.plan = plan{
		path: path, schedule: schedule, atLeast: j.opts.AtLeast, jitter: j.opts.Jitter,
		maxLate: j.opts.MaxLate, attempts: j.opts.Attempts, each: j.opts.EachMissed,
	}
	j.election = leader.NewElection(c, path+"/leader", &leader.Options{
		ID: j.opts.ID, ACL: j.opts.ACL, Cleanup: j.opts.Cleanup, Logger: j.opts.Logger,
	})
	return j
}

// Path returns the job's path.
func (j *Job) Path() string { return j.path }

// Run takes part in running the job: it waits for the lead, and then calls f for each time of the schedule, on its own goroutine, so never
// before the call before has returned.
//
// The context that f is given ends, with a cause, before a run can begin in another process, when ctx ends, after Options.AtMost with
// ErrOverran, and when f has returned; it carries ctx's values. f should return soon after. What f returns is recorded, and changes nothing
// else: an error is no reason not to run the next time.
//
// Run ends with ctx's cause; with client.ErrClosed; for a view with the cause of its session's end; with ErrRecord; with client.ErrBadArguments
// if the schedule does not go forward; with an error of the servers that would come again, such as client.ErrNoAuth; and with nil when
// the schedule has no more times. Its nodes are then gone, but for the record, or known to be going.
func (j *Job) Run(ctx context.Context, f func(ctx context.Context, run *Execution) error) error {
	if j.plan.schedule == nil {
		return j.failed("run", fmt.Errorf("%w: no schedule", client.ErrBadArguments))
	}
	for {
		term, err := j.election.Lead(ctx)
		if err != nil {
			return err // which says where
		}
		err = j.lead(ctx, term, f)
		switch {
		case err == errAtRest:
			return nil
		case ctx.Err() != nil:
			return j.failed("run", context.Cause(ctx))
		case err != nil:
			return j.failed("run", err)
		}
	}
}

// errAtRest tells that the schedule has no more times.
var errAtRest = errors.New("nothing more to do")

// lead runs the job for a term, and gives the lead up behind it, also if the function panics. It returns nil when the term is over, by
// itself or because a run has lasted too long.
func (j *Job) lead(ctx context.Context, term *leader.Term, f func(context.Context, *Execution) error) (err error) {
	r := newReign(ctx, j, term)
	defer func() {
		r.cancel(leader.ErrResigned)
		if stuck := j.resign(ctx, term); err == nil {
			err = stuck
		}
	}()
	for {
		err := r.step(f)
		switch {
		case err == errAtRest:
			return err
		case r.ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
	}
}

// resign gives the lead up. The wait for it is bounded, the removal is not.
func (j *Job) resign(ctx context.Context, term *leader.Term) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.opts.Cleanup)
	defer cancel()
	if err := term.Resign(ctx); !errors.Is(err, client.ErrUnknown) {
		return err
	}
	return nil
}

// failed puts the job's own operation and path on an error.
func (j *Job) failed(op string, err error) error {
	return &client.Error{Op: op, Path: j.path, Err: err}
}
