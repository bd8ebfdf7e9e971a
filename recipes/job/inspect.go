package job

import (
	"context"
	"errors"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/leader"
)

// State is how a job stands on the servers.
type State struct {
	// Last is the last run, or the one that is under way: then its Outcome is Running. While nobody has found out that its process has died
	// it is Running, too.
	Last Record
	// Next is the time that is run next, as things are, and zero if there is none: the job was never run, or its schedule is at its end.
	// It may have come already. While a run is under way it is the one behind it.
	Next time.Time
	// Candidates are the processes that run the job or wait to take over: the first one leads.
	Candidates []leader.Participant
}

// Inspect tells how the job stands, as the server knows which this client is connected to. It only reads: the record, a list, and a node for each
// candidate. Next is reckoned by this process's schedule and clock.
func (j *Job) Inspect(ctx context.Context) (State, error) {
	candidates, err := j.election.Participants(ctx)
	if err != nil {
		return State{}, err
	}
	state := State{Candidates: candidates}
	data, stat, err := j.client.Get(ctx, j.last)
	if errors.Is(err, client.ErrNoNode) {
		return state, nil
	}
	if err != nil {
		return State{}, err
	}
	last, err := decode(data, stat)
	if err != nil {
		return State{}, j.failed("inspect", err)
	}
	state.Last = last.Record
	if j.plan.schedule == nil {
		return state, nil
	}
	s, err := j.plan.next(last, time.Now())
	if err != nil {
		return State{}, j.failed("inspect", err)
	}
	state.Next = s.scheduled
	return state, nil
}
