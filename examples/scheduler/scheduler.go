package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// A Scheduler is one instance of the service.
type Scheduler struct {
	client *client.Client
	record string // the node that says which round was done last, and when
	every  time.Duration
	job    Job
	duty   *lock.Mutex
}

// A Job does the work of one round. It is called again for a round whose end could not be recorded, by this instance or by another: so
// it puts the round's number, and the token, to where its work takes effect. What comes there with a lower token than one seen before is
// from an instance that is not on duty any more. ctx ends as soon as this instance knows that it is not.
type Job func(ctx context.Context, round, token int64) error

// NewScheduler describes an instance. It sends nothing. All instances of a service are given the same directory and interval.
func NewScheduler(c *client.Client, dir string, every time.Duration, job Job) *Scheduler {
	return &Scheduler{client: c, record: dir + "/last", every: every, job: job, duty: lock.NewMutex(c, dir+"/duty", nil)}
}

// Run takes part until ctx ends, whose cause it returns, or the job fails: it waits until it is on duty, and then does one round after
// the other. To lose the duty is no failure; Run stands in line again.
func (s *Scheduler) Run(ctx context.Context) error {
	for {
		hold, err := s.duty.Lock(ctx)
		if err != nil {
			return err
		}
		err = s.serve(ctx, hold)
		lost := hold.Context().Err() != nil
		_ = hold.Release(context.WithoutCancel(ctx)) // if nobody can be told, the end of the session tells it
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case lost, errors.Is(err, client.ErrNoNode), errors.Is(err, client.ErrBadVersion): // somebody else is on duty
		default:
			return err
		}
	}
}

// serve does rounds until the duty or ctx ends, or something fails.
func (s *Scheduler) serve(ctx context.Context, hold *lock.Hold) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(hold.Context(), func() { cancel(context.Cause(hold.Context())) })()
	for {
		last, err := s.last(ctx)
		if err != nil {
			return err
		}
		if err := sleep(ctx, time.Until(last.at.Add(s.every))); err != nil {
			return err
		}
		if err := s.job(ctx, last.number+1, hold.Token()); err != nil {
			return fmt.Errorf("round %d: %w", last.number+1, err)
		}
		// The guard refuses the record of who is not on duty any more and does not know it yet.
		next := round{number: last.number + 1, at: time.Now()}
		_, err = s.client.Multi(ctx, hold.Guard(), client.SetOp(s.record, next.encode(), last.version))
		if err != nil && !errors.Is(err, client.ErrConnectionLoss) {
			return err
		}
		// After a lost connection the record itself says whether it was made.
	}
}

// A round is what the record says.
type round struct {
	number  int64
	at      time.Time
	version int32 // of the record
}

func (r round) encode() []byte { return fmt.Appendf(nil, "%d %d", r.number, r.at.UnixNano()) }

// last reads the record, and makes it if there is none.
func (s *Scheduler) last(ctx context.Context) (round, error) {
	for {
		data, stat, err := s.client.Get(ctx, s.record)
		if err == nil {
			r, at := round{version: stat.Version}, int64(0)
			_, err = fmt.Sscan(string(data), &r.number, &at)
			r.at = time.Unix(0, at)
			return r, err
		}
		if !errors.Is(err, client.ErrNoNode) {
			return round{}, err
		}
		_, err = s.client.Create(ctx, s.record, round{at: time.Now()}.encode(), nil)
		if err != nil && !errors.Is(err, client.ErrNodeExists) && !errors.Is(err, client.ErrConnectionLoss) {
			return round{}, err
		}
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
