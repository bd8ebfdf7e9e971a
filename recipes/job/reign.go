package job

import (
	"context"
	"errors"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
	"github.com/bellwether-zk/bellwether/recipes/leader"
)

// A reign is one term of one who runs the job. One goroutine uses it, and another one while a run lasts too long.
type reign struct {
	job    *Job
	term   *leader.Term
	ctx    context.Context // ends with the term, and with Run's
	cancel context.CancelCauseFunc
	clock  clock
	last   record
	known  bool   // whether last is the record, as we have written it
	lost   string // the run that we are about to declare unknown
}

func newReign(ctx context.Context, j *Job, term *leader.Term) *reign {
	r := &reign{job: j, term: term}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	context.AfterFunc(term.Context(), func() { r.cancel(context.Cause(term.Context())) })
	return r
}

// step does the next thing there is to do.
func (r *reign) step(f func(context.Context, *Execution) error) error {
	if !r.known {
		return r.look()
	}
	s, err := r.job.plan.next(r.last, r.clock.now())
	switch {
	case err != nil:
		return err
	case s.do == rest:
		return errAtRest
	case s.do == wait:
		return r.wait(s.at)
	case r.clock.old():
		return r.write(r.last)
	}
	return r.run(s, f)
}

// wait waits until the servers' clock shows a time. If that is far, it stops before to look at the clock.
func (r *reign) wait(until time.Time) error {
	d := until.Sub(r.clock.now())
	switch {
	case d > fresh:
		d -= fresh / 10
	case r.clock.old():
		return r.write(r.last)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

// look reads the record, or makes it, and writes it again: which proves that it is the last one, and sets the clock. A run that is under
// way in it is nobody's any more, since we lead, and nobody knows what came of it.
func (r *reign) look() error {
	last, err := r.read(r.ctx)
	if errors.Is(err, client.ErrNoNode) {
		return r.create()
	}
	if err != nil {
		return err
	}
	if last.Outcome == Running {
		last.Outcome, r.lost = Unknown, last.ID
	}
	if err := r.write(last); err != nil || !r.known {
		return err
	}
	if last.Outcome == Unknown && last.ID == r.lost {
		r.job.kit.Count(telemetry.JobUnknown, 1)
		r.job.opts.Logger.Warn("nobody knows the outcome of a job's run", "path", r.job.path, "scheduled", last.Scheduled, "by", last.By)
	}
	r.lost = ""
	return nil
}

func (r *reign) read(ctx context.Context) (record, error) {
	data, stat, err := r.job.client.Get(ctx, r.job.last)
	if err != nil {
		return record{}, err
	}
	return decode(data, stat)
}

// create makes the record of a job that has not run yet, to be looked at.
func (r *reign) create() error {
	opts := &client.CreateOptions{ACL: r.job.opts.ACL, Parents: client.ContainerParents}
	_, err := r.job.client.Create(r.ctx, r.job.last, record{}.encode(), opts)
	if errors.Is(err, client.ErrNodeExists) {
		return nil
	}
	return r.survivable(err)
}

// write puts a record in the place of the one it was made of. It does not fail because that has changed, or nobody knows: then the record
// is to be looked at.
func (r *reign) write(next record) error { return r.survivable(r.put(next)) }

// put writes a record in the place of the one it was made of, if that is still there, and we lead.
func (r *reign) put(next record) error {
	r.known = false
	results, err := r.job.client.Multi(r.ctx, r.term.Guard(), client.SetOp(r.job.last, next.encode(), next.stat.Version))
	if err == nil {
		r.wrote(next, results[1].Stat)
	}
	return err
}

// wrote remembers what we have written.
func (r *reign) wrote(next record, stat client.Stat) {
	r.last, r.known = next.written(stat), true
	r.clock.set(stat.Mtime)
}

// survivable is nil for an error after which it helps to look at the record: it was another one, or nobody knows.
func (r *reign) survivable(err error) error {
	switch {
	case err == nil || r.ctx.Err() != nil:
		return err
	case errors.Is(err, client.ErrBadVersion), errors.Is(err, client.ErrNoNode):
		return r.survivable(r.stillLeads())
	case errors.Is(err, client.ErrClosed):
		return err
	case errors.Is(err, client.ErrUnknown), errors.Is(err, client.ErrConnectionLoss), errors.Is(err, client.ErrSessionExpired):
		return nil
	}
	return err
}

// stillLeads lets the server catch up that we read from, and ends the reign if our node is gone: the term will end by that, too, when it is told.
func (r *reign) stillLeads() error {
	if err := r.job.client.Sync(r.ctx, r.job.last); err != nil {
		return err
	}
	_, there, err := r.job.client.Exists(r.ctx, r.term.Path())
	if err == nil && !there {
		r.cancel(leader.ErrRemoved)
	}
	return err
}

// run begins the run of a step, calls the function, and records what came of it.
func (r *reign) run(s step, f func(context.Context, *Execution) error) error {
	before, sent := r.last, time.Now()
	begun, err := r.begin(s)
	if !begun {
		return err
	}
	if !s.missed.IsZero() && s.attempt == 1 {
		r.job.kit.Count(telemetry.JobGaps, 1)
		r.job.opts.Logger.Warn("times of a job were left out", "path", r.job.path, "first", s.missed, "next", s.scheduled)
	}
	if r.ctx.Err() != nil {
		r.undo(before, r.last.ID)
		return context.Cause(r.ctx)
	}
	ctx, seen := r.job.kit.Operation(r.ctx, &measured, "run", r.job.path)
	r.job.kit.Took(telemetry.JobLateness, r.last.Started.Sub(s.scheduled))
	r.execute(newExecution(ctx, r, sent), seen, f)
	return nil
}

// begin writes that a run begins, and tells whether that is certain. If it is not, it will not come about, or is known to be taken for
// unknown.
func (r *reign) begin(s step) (begun bool, err error) {
	before := r.last
	next := record{ID: client.NewProtectionID(), stat: before.stat, Record: Record{
		Scheduled: s.scheduled, Missed: s.missed, Attempt: s.attempt, By: r.job.opts.ID, Outcome: Running,
	}}
	for doubt := false; ; doubt = true {
		err := r.put(next)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, client.ErrUnknown):
		case doubt && (errors.Is(err, client.ErrBadVersion) || errors.Is(err, client.ErrNoNode)):
		default:
			if doubt {
				r.undo(before, next.ID)
			}
			return false, r.survivable(err)
		}
		now, err := r.latest(r.ctx)
		switch {
		case err == nil && now.ID == next.ID:
			// The clock stays as it was: this was written some time ago.
			r.last, r.known = now, true
			return true, nil
		case err != nil || now.stat.Version != before.stat.Version:
			r.undo(before, next.ID)
			return false, r.survivable(err)
		}
		// It has not been done. If it is done yet, the same again is not.
	}
}

// latest reads the record as it is, and not as a server knows it that is behind.
func (r *reign) latest(ctx context.Context) (record, error) {
	if err := r.job.client.Sync(ctx, r.job.last); err != nil {
		return record{}, err
	}
	return r.read(ctx)
}

// undo takes a run back of which it is not certain that it has begun, or which has and whose function will not be called, so that another
// process may run it.
func (r *reign) undo(before record, id string) {
	ctx, cancel := r.beyond()
	defer cancel()
	for ctx.Err() == nil {
		now, err := r.latest(ctx)
		if err == nil && now.ID != id && now.stat.Version != before.stat.Version {
			return // somebody else has gone on
		}
		if err == nil {
			// To write it again also keeps it from beginning later.
			before.stat = now.stat
			_, err = r.job.client.Set(ctx, r.job.last, before.encode(), now.stat.Version)
		}
		switch {
		case err == nil:
			return
		case errors.Is(err, client.ErrBadVersion), errors.Is(err, client.ErrUnknown):
		default:
			r.job.opts.Logger.Warn("a job's run that did not begin could not be taken back", "path", r.job.path, "error", err)
			return
		}
	}
}

// beyond is a context for what should still be done when the reign is over: it ends Options.Cleanup after it.
func (r *reign) beyond() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.ctx))
	context.AfterFunc(r.ctx, func() { time.AfterFunc(r.job.opts.Cleanup, cancel) })
	return ctx, cancel
}
