package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/typed"
	"github.com/bellwether-zk/bellwether/recipes/leader"
)

// A Scheduler is one instance of the service.
type Scheduler struct {
	client *client.Client
	duty   *leader.Election
	record *typed.Node[round] // which round was done last, and when
	marks  string
	every  time.Duration
	job    Job
}

// A Job does the work of one round. It is called again for a round whose end could not be recorded, by this instance or by another: so
// it puts the round's number, and the token, to where its work takes effect. What comes there with a lower token than one seen before is
// from an instance that is not on duty any more. ctx ends as soon as this instance knows that it is not.
type Job func(ctx context.Context, round, token int64) error

// NewScheduler describes an instance. It sends nothing. All instances of a service are given the same directory and interval.
func NewScheduler(c *client.Client, dir string, every time.Duration, job Job) *Scheduler {
	return &Scheduler{
		client: c,
		duty:   leader.NewElection(c, dir+"/duty", nil),
		record: typed.NewNode[round](c, dir+"/last", nil),
		marks:  dir + "/marks",
		every:  every,
		job:    job,
	}
}

// Run takes part until ctx ends, whose cause it returns, or the job fails: it waits until it is on duty, and then does one round after
// the other. To lose the duty is no failure: it stands in line again.
func (s *Scheduler) Run(ctx context.Context) error { return s.duty.Run(ctx, s.serve) }

// serve does rounds until the duty ends, which ctx does, or something fails.
func (s *Scheduler) serve(ctx context.Context, term *leader.Term) error {
	for {
		last, version, err := s.last(ctx)
		if err != nil {
			return err
		}
		if err := sleep(ctx, time.Until(last.At.Add(s.every))); err != nil {
			return err
		}
		next := round{Number: last.Number + 1}
		if err := s.job(ctx, next.Number, term.Token()); err != nil {
			return fmt.Errorf("round %d: %w", next.Number, err)
		}
		next.At = time.Now()
		switch err := s.note(ctx, term, next, version); {
		case errors.Is(err, client.ErrNoNode): // the guard's: somebody else is on duty, and this instance has not been told yet
			return nil
		case err != nil:
			return err
		}
	}
}

// A round is what the record says.
type round struct {
	Number int64
	At     time.Time
}

// last reads the record, and makes it if there is none.
func (s *Scheduler) last(ctx context.Context) (round, int32, error) {
	for {
		last, stat, err := s.record.Get(ctx)
		if !errors.Is(err, client.ErrNoNode) {
			return last, stat.Version, err
		}
		err = s.record.Create(ctx, round{At: time.Now()})
		if err != nil && !errors.Is(err, client.ErrNodeExists) && !errors.Is(err, client.ErrConnectionLoss) {
			return round{}, 0, err
		}
	}
}

// note records that a round was done. The term's guard, in the same transaction, refuses the record of who is not on duty any more; and a
// connection that breaks meanwhile leaves no doubt as long as the session lives, which the term does not outlive.
func (s *Scheduler) note(ctx context.Context, term *leader.Term, done round, version int32) error {
	data, err := json.Marshal(done)
	if err != nil {
		return err
	}
	_, err = s.client.MultiOnce(ctx, s.marks, term.Guard(), client.SetOp(s.record.Path(), data, version))
	return err
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
