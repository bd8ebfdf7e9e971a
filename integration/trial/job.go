package trial

import (
	"context"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/recipes/job"
)

// schedule is a job that is run each quarter of a second by one of its users, who leaves it to the next then.
type schedule struct {
	mu  sync.Mutex
	ran map[time.Time]int // how often each time was run
}

func newSchedule() Recipe { return &schedule{ran: map[time.Time]int{}} }

func (s *schedule) Begin(context.Context, *Trial) error { return nil }

func (s *schedule) Turn(ctx context.Context, u *User) error {
	until, leave := context.WithCancel(ctx)
	defer leave()
	ran := false
	err := job.New(u.Client, u.Dir+"/job", job.Every(250*time.Millisecond), &job.Options{ID: u.ID()}).
		Run(until, func(_ context.Context, run *job.Execution) error {
			s.mu.Lock()
			s.ran[run.Scheduled()]++
			if n := s.ran[run.Scheduled()]; n > 1 {
				u.Wrong("user %d runs %v, the %d. time", u.Number, run.Scheduled(), n)
			}
			s.mu.Unlock()
			in := u.Enter(execution{run}, Span{What: "run", Token: run.Token()})
			u.Stay(execution{run}, stay)
			in.Leave()
			ran = true
			leave()
			return nil
		})
	if ran && ctx.Err() == nil {
		return nil
	}
	return err
}

// execution is a run as what is held.
type execution struct{ *job.Execution }

func (execution) Release(context.Context) error { return nil }

func (s *schedule) Judge(ctx context.Context, t *Trial) error {
	t.All(Ordered(t.Spans("run")))
	return nil
}
