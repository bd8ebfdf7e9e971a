package job

import (
	"fmt"
	"hash/fnv"
	"time"

	"github.com/bellwether-zk/bellwether/client"
)

// A plan says what one who leads does next. It has no clock and does nothing.
type plan struct {
	path     string
	schedule Schedule
	atLeast  time.Duration
	jitter   time.Duration
	maxLate  time.Duration
	attempts int
	each     bool
}

// An action is what is to be done.
type action int

const (
	wait  action = iota // until step.at
	begin               // the run for step.scheduled
	rest                // nothing will ever be due again
)

type step struct {
	do        action
	at        time.Time // of wait and begin: when it begins, at the earliest
	scheduled time.Time
	missed    time.Time // the first of the times that are left out
	attempt   int
}

// next is what to do when the record is the last one, of a run that is over, and the servers' clock shows now.
func (p *plan) next(last record, now time.Time) (step, error) {
	if p.repeats(last, now) {
		return p.timed(step{scheduled: last.Scheduled, missed: last.Missed, attempt: last.Attempt + 1}, last, now), nil
	}
	first, err := p.after(last.base())
	if err != nil {
		return step{}, err
	}
	due, err := p.due(first, last, now)
	if err != nil || due.IsZero() {
		return step{do: rest}, err
	}
	s := step{scheduled: due, attempt: 1}
	if due.After(first) {
		s.missed = first
	}
	return p.timed(s, last, now), nil
}

// repeats tells whether the last time is to be run again.
func (p *plan) repeats(last record, now time.Time) bool {
	return (last.Outcome == Stopped || last.Outcome == Unknown) && last.Attempt < p.attempts &&
		!p.tooLate(last.Scheduled, p.start(last.Scheduled, last), now)
}

// timed is a step with its time.
func (p *plan) timed(s step, last record, now time.Time) step {
	s.at = p.start(s.scheduled, last)
	if s.do = wait; !s.at.After(now) {
		s.do = begin
	}
	return s
}

// due is the time to run next, of first and those behind it; zero if there is none.
func (p *plan) due(first time.Time, last record, now time.Time) (due time.Time, err error) {
	due = first
	switch {
	case first.IsZero():
		return first, nil
	case !p.each:
		due, err = p.latest(first, now)
	case p.maxLate > 0 && first.Before(now.Add(-p.maxLate-p.jitter)):
		due, err = p.after(now.Add(-p.maxLate - p.jitter))
	}
	for err == nil && !due.IsZero() && p.tooLate(due, p.start(due, last), now) {
		due, err = p.after(due)
	}
	return due, err
}

// start is when a run may begin.
func (p *plan) start(scheduled time.Time, last record) time.Time {
	at := scheduled.Add(p.shift(scheduled))
	if last.Started.IsZero() {
		return at
	}
	if least := last.Started.Add(p.atLeast); least.After(at) {
		return least
	}
	return at
}

// tooLate tells whether a run that may begin at start is not worth it any more.
func (p *plan) tooLate(scheduled, start, now time.Time) bool {
	if start.Before(now) {
		start = now
	}
	return p.maxLate > 0 && start.After(scheduled.Add(p.shift(scheduled)+p.maxLate))
}

// shift is by how much later than scheduled a run begins, the same in all processes.
func (p *plan) shift(scheduled time.Time) time.Duration {
	if p.jitter <= 0 {
		return 0
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", p.path, scheduled.UnixNano())
	sum := h.Sum64()
	sum ^= sum >> 32 // FNV's upper bits hardly depend on the last bytes
	return time.Duration(sum * 0x9e3779b97f4a7c15 >> 1 % uint64(p.jitter))
}

// latest is the last time that is not after now, and not before first, which may be after now itself.
func (p *plan) latest(first, now time.Time) (time.Time, error) {
	from := first
	// There may be very many. One that is near is found from behind.
	for back := time.Millisecond; back > 0 && first.Before(now.Add(-back)); back *= 2 {
		t, err := p.after(now.Add(-back))
		if err != nil {
			return t, err
		}
		if !t.IsZero() && !t.After(now) {
			from = t
			break
		}
	}
	for {
		t, err := p.after(from)
		if err != nil || t.IsZero() || t.After(now) {
			return from, err
		}
		from = t
	}
}

// after is the schedule's next time.
func (p *plan) after(t time.Time) (time.Time, error) {
	next := p.schedule.Next(t.Local())
	if !next.IsZero() && !next.After(t) {
		return next, fmt.Errorf("%w: the schedule says that %v comes after %v", client.ErrBadArguments, next, t)
	}
	return next.UTC(), nil
}
