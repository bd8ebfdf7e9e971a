package job

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
)

// maxError is how many bytes of an error's text are kept.
const maxError = 1 << 10

// Execution is one run of a job, as its function is given it. Its methods may be called by many goroutines.
type Execution struct {
	record record // as it began
	path   string // the record's
	ctx    *executionContext
	cancel context.CancelCauseFunc
}

// newExecution makes a run that began, at the earliest, at a moment of this machine's clock. ctx is the reign's, or derived from it.
func newExecution(ctx context.Context, r *reign, began time.Time) *Execution {
	base, cancel := context.WithCancelCause(ctx)
	x := &Execution{record: r.last, path: r.job.last, cancel: cancel}
	x.ctx = &executionContext{Context: base, term: r.term.Context(), cancel: cancel}
	if most := r.job.opts.AtMost; most > 0 {
		x.ctx.end = began.Add(most)
		limited, stop := context.WithDeadlineCause(base, x.ctx.end, ErrOverran)
		context.AfterFunc(base, stop)
		x.ctx.Context = limited
	}
	return x
}

// Context returns the context that the function is called with.
func (x *Execution) Context() context.Context { return x.ctx }

// Scheduled returns the time of the schedule that is run.
func (x *Execution) Scheduled() time.Time { return x.record.Scheduled }

// Missed returns the first of the times before Scheduled that were not run, because nobody was there or the run before lasted, and the
// zero time if there is none.
func (x *Execution) Missed() time.Time { return x.record.Missed }

// Attempt counts the runs for this time, from 1. It is more than 1 only with Options.Attempts.
func (x *Execution) Attempt() int { return x.record.Attempt }

// Started returns when the run began, by the servers' clock.
func (x *Execution) Started() time.Time { return x.record.Started }

// Token returns the fencing token: the transaction that began the run, greater than that of every run of this job before, whoever ran it.
// See ticket.Ticket.Token for where tokens compare.
func (x *Execution) Token() int64 { return x.record.Token }

// Guard returns a check to be the first part of a multi on the same client: the multi fails with client.ErrBadVersion, changing nothing, unless
// at the very moment of the change this run is the one that is under way: neither ended, nor taken for unknown, nor followed by
// another. This is exact, where looking at Context is not.
func (x *Execution) Guard() client.Op { return client.CheckOp(x.path, x.record.stat.Version) }

// executionContext is a run's context. It asks the clocks.
type executionContext struct {
	context.Context
	term   context.Context
	end    time.Time // of AtMost; zero: none
	cancel context.CancelCauseFunc
}

// Err is context.Context's.
func (c *executionContext) Err() error {
	if c.term.Err() != nil {
		c.cancel(context.Cause(c.term))
	}
	if !c.end.IsZero() && !time.Now().Before(c.end) {
		c.cancel(ErrOverran)
	}
	return c.Context.Err()
}

// execute calls the function, and records what came of it. When the function is not back in time that is done behind its back, and the
// lead is given up if it does not come then either.
func (r *reign) execute(x *Execution, seen *telemetry.Operation, f func(context.Context, *Execution) error) {
	cause := errPanicked
	r.job.kit.Count(telemetry.JobRuns, 1)
	defer func() {
		r.job.kit.Count(telemetry.JobRuns, -1)
		seen.End(cause)
	}()
	var overran bool
	var guard sync.WaitGroup
	returned := make(chan struct{})
	guard.Go(func() { overran = r.guardTime(x, returned) }) // ends when the function has returned, or with what there was to do
	back := sync.OnceFunc(func() { close(returned); guard.Wait(); x.cancel(context.Canceled) })
	defer back() // also if it panics
	err := f(x.ctx, x)
	o := outcome(x, err)
	cause = o.cause(err)
	back()
	if !overran {
		r.finish(o, err)
	}
}

// outcome is what came of a run whose function has just returned.
func outcome(x *Execution, err error) Outcome {
	switch {
	case err == nil:
		return Done
	case x.ctx.Err() == nil:
		return Failed
	case errors.Is(context.Cause(x.ctx), ErrOverran):
		return Overran
	}
	return Stopped
}

// cause is why a run was not done, by its outcome and what its function returned, nil if it was.
func (o Outcome) cause(err error) error {
	switch o {
	case Done:
		return nil
	case Overran:
		return ErrOverran
	case Stopped:
		return fmt.Errorf("%w: %w", errStopped, err)
	default:
		return fmt.Errorf("%w: %w", errFailed, err)
	}
}

// guardTime tells whether a run has lasted for too long, and has recorded that then.
func (r *reign) guardTime(x *Execution, returned <-chan struct{}) bool {
	select {
	case <-returned:
		return false
	case <-x.ctx.Done():
	}
	if !errors.Is(context.Cause(x.ctx), ErrOverran) {
		return false
	}
	r.finish(Overran, nil)
	select {
	case <-returned:
	default:
		_ = r.job.resign(r.ctx, r.term) // what it cannot do now it does when the function has returned
	}
	return true
}

// finish records what came of a run. Who leads by now does not matter, as long as the record is this run's.
func (r *reign) finish(o Outcome, failure error) {
	ctx, cancel := r.beyond()
	defer cancel()
	end := r.last
	end.Outcome, end.Ended = o, r.clock.now().UTC()
	if failure != nil {
		end.Error = failure.Error()
		end.Error = strings.ToValidUTF8(end.Error[:min(len(end.Error), maxError)], "")
	}
	r.known = false
	for {
		stat, err := r.job.client.Set(ctx, r.job.last, end.encode(), end.stat.Version)
		if err == nil {
			r.wrote(end, stat)
			return
		}
		again := errors.Is(err, client.ErrBadVersion) || errors.Is(err, client.ErrUnknown) && !errors.Is(err, client.ErrClosed)
		if again && ctx.Err() == nil {
			var now record
			if now, err = r.latest(ctx); err == nil {
				switch {
				case now.ID != end.ID:
					err = errTaken
				case now.Outcome == o:
					return // the answer was lost
				default: // not written yet, or taken for unknown by another
					end.stat = now.stat
					continue
				}
			}
		}
		r.job.opts.Logger.Warn("outcome of a job's run was not recorded", "path", r.job.path, "scheduled", end.Scheduled, "outcome", o, "error", err)
		return
	}
}

// errTaken tells that the record is another run's.
var errTaken = errors.New("another run has begun")
