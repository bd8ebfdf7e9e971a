package job_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/trouble"
	"github.com/bellwether-zk/bellwether/recipes/job"
)

var (
	faultRuns = flag.Int("job.runs", 3, "how many runs with faults there are")
	faultSeed = flag.Uint64("job.seed", 0, "the first run's; 0: a random one")
)

const (
	period = 20 * time.Second
	atMost = 8 * time.Second
)

// A world is a job with processes who never give up, and a checker that sees all they do.
type world struct {
	t *testing.T
	e *ensembletest.Ensemble
	r *rand.Rand

	attempts int
	each     bool

	mu      sync.Mutex
	last    *job.Execution          // the last to begin
	forced  map[*job.Execution]bool // its lead was taken away by somebody else: nobody can know before
	called  map[time.Time]int       // how often the function was, for each time
	unknown map[time.Time]int       // said to be
	missed  map[time.Time]bool      // said to be left out
	inside  map[int]bool            // whose function has not returned
	*tally
}

// tally is what came of all runs.
type tally struct {
	calls, unknowns, uncalled, missing, repeated int
	faults                                       map[string]int
}

// Processes that run a job among faults of all kinds: no time is run more often than it may be, none while another run may still
// be under way, none is left out without being said, tokens only grow, all is on time when the faults are over, and nothing is left.
func TestJobAmongFaults(t *testing.T) {
	first := *faultSeed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	sum := tally{faults: map[string]int{}}
	for i := range *faultRuns {
		seed := first + uint64(i)
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("it was seed %d", seed)
				}
			}()
			w := &world{
				t: t, r: rand.New(rand.NewPCG(seed, 1)), attempts: 1 + int(seed%2), each: seed%3 > 0, forced: map[*job.Execution]bool{},
				called: map[time.Time]int{}, unknown: map[time.Time]int{}, missed: map[time.Time]bool{}, inside: map[int]bool{}, tally: &sum,
			}
			w.run()
		})
	}
	t.Logf("%+v", sum)
	require.Greater(t, sum.calls, 20**faultRuns)
}

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.r.Int64N(int64(d))) }

func (w *world) run() {
	const processes = 4
	t := w.t
	w.e = ensembletest.Start(t, 3, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second, TickTime: time.Second}})
	admin := w.e.Connect(t)
	clients := make([]*client.Client, processes)
	ctx, stop := context.WithCancelCause(t.Context())
	var all sync.WaitGroup
	for i := range clients {
		clients[i] = w.e.Connect(t)
		j := job.New(clients[i], path, job.Every(period), &job.Options{
			ID: fmt.Sprint(i), AtMost: atMost, AtLeast: time.Second, Jitter: 2 * time.Second, Attempts: w.attempts, EachMissed: w.each,
			Logger: slog.New(said{w}),
		})
		r := rand.New(rand.NewPCG(w.r.Uint64(), 3))
		all.Go(func() { // ends when it is stopped
			for ctx.Err() == nil {
				patience, cancel := context.WithCancelCause(ctx)
				if r.IntN(3) == 0 { // this time it does not stay for ever
					time.AfterFunc(time.Duration(r.Int64N(int64(90*time.Second))), func() { cancel(errImpatient) })
				}
				err := j.Run(patience, func(ctx context.Context, x *job.Execution) error { return w.work(ctx, i, x, r) })
				if !errors.Is(err, errStopped) && !errors.Is(err, errImpatient) {
					t.Error(err)
				}
				cancel(errStopped)
			}
		})
	}
	maker := w.trouble(admin, clients)
	for range 30 {
		maker.Strike(clients[w.r.IntN(processes)])
		time.Sleep(w.upTo(12 * time.Second))
	}
	require.NoError(t, maker.End(t.Context()))
	for _, c := range clients {
		w.e.Proxy(c).Heal()
	}
	for what, n := range maker.Struck() {
		w.faults[what] += n
	}
	time.Sleep(30 * time.Second) // everybody is connected again
	time.Sleep(2 * time.Minute)  // what was late has been made up for
	from := time.Now()
	time.Sleep(5 * time.Minute)
	until := time.Now()
	stop(errStopped)
	all.Wait()
	record, ok, err := admin.Exists(t.Context(), path+"/last")
	require.NoError(t, err)
	require.True(t, ok)
	w.mustAllBeSaid(record.Ctime, until)
	w.mustBeOnTime(from, until)
	time.Sleep(30 * time.Second) // sessions that were lost are over
	names, _, err := admin.Children(t.Context(), path+"/leader")
	if !errors.Is(err, client.ErrNoNode) { // it may have been swept
		require.NoError(t, err)
	}
	for _, name := range names {
		require.Contains(t, name, "foreign")
	}
	names, _, err = admin.Children(t.Context(), path)
	require.NoError(t, err)
	require.Subset(t, []string{"last", "leader"}, names)
}

var errImpatient = errors.New("the process does not want any more")

// work is what a run does: some of it quickly, some for too long, and some without looking at its context.
func (w *world) work(ctx context.Context, who int, x *job.Execution, r *rand.Rand) error {
	w.began(who, x)
	defer w.ended(who)
	work := time.NewTimer(time.Duration(r.Int64N(int64(4 * time.Second))))
	if r.IntN(8) == 0 {
		work.Reset(time.Duration(r.Int64N(int64(3 * atMost))))
	}
	defer work.Stop()
	if r.IntN(8) == 0 {
		<-work.C
		return nil
	}
	select {
	case <-work.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// began checks a run that begins.
func (w *world) began(who int, x *job.Execution) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.inside[who] {
		w.t.Errorf("process %d runs %v before it has returned", who, x.Scheduled())
	}
	w.inside[who] = true
	if last := w.last; last != nil {
		select {
		case <-last.Context().Done():
		default:
			if !w.forced[last] {
				w.t.Errorf("the run of %v begins while that of %v lasts", x.Scheduled(), last.Scheduled())
			}
		}
		if x.Token() <= last.Token() {
			w.t.Errorf("token %d after %d", x.Token(), last.Token())
		}
		if x.Scheduled().Before(last.Scheduled()) {
			w.t.Errorf("%v after %v", x.Scheduled(), last.Scheduled())
		}
		if x.Started().Before(last.Started().Add(time.Second)) {
			w.t.Errorf("%v starts too soon after %v", x.Started(), last.Started())
		}
	}
	if x.Started().Before(x.Scheduled()) {
		w.t.Errorf("%v starts at %v", x.Scheduled(), x.Started())
	}
	w.last = x
	w.called[x.Scheduled()]++
	w.calls++
	if w.called[x.Scheduled()] > w.attempts || x.Attempt() > w.attempts {
		w.t.Errorf("%v is run for the %dth time, and said to be the %dth", x.Scheduled(), w.called[x.Scheduled()], x.Attempt())
	}
	if x.Attempt() > 1 {
		w.repeated++
	}
	if first := x.Missed(); !first.IsZero() {
		if w.each {
			w.t.Errorf("%v was left out", first)
		}
		for ; first.Before(x.Scheduled()); first = first.Add(period) {
			w.missed[first] = true
		}
	}
}

func (w *world) ended(who int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inside[who] = false
}

// mustAllBeSaid checks that each time was run, or said to be unknown, or left out.
func (w *world) mustAllBeSaid(from, until time.Time) {
	for at := from.Truncate(period).Add(period).UTC(); at.Before(until.Add(-period)); at = at.Add(period) {
		switch {
		case w.called[at] == 0 && w.unknown[at] > 0:
			w.uncalled++
		case w.called[at] == 0 && w.missed[at]:
			w.missing++
		case w.called[at] == 0:
			w.t.Errorf("%v was left out, and nobody said so", at)
		case w.missed[at]:
			w.t.Errorf("%v was run, and said to be left out", at)
		}
	}
}

// mustBeOnTime checks that all times were run while there were no faults. That a run lasts too long, or is stopped, is none.
func (w *world) mustBeOnTime(from, until time.Time) {
	for at := from.Truncate(period).Add(period).UTC(); at.Before(until.Add(-period)); at = at.Add(period) {
		if w.called[at] == 0 && !w.missed[at] {
			w.t.Errorf("%v was not run, though all were well", at)
		}
	}
}

// said hears what is said of times.
type said struct{ w *world }

func (s said) Enabled(context.Context, slog.Level) bool { return true }
func (s said) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s said) WithGroup(string) slog.Handler            { return s }
func (s said) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "nobody knows the outcome of a job's run" {
		return nil
	}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "scheduled" {
			s.w.mu.Lock()
			s.w.unknown[a.Value.Time()]++
			s.w.unknowns++
			s.w.mu.Unlock()
		}
		return true
	})
	return nil
}

// force notes that the lead of the one who runs the job is about to be taken away without its knowledge.
func (w *world) force() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forced[w.last] = true
}

// trouble is all that can break, and what others do to those who run the job.
func (w *world) trouble(admin *client.Client, clients []*client.Client) *trouble.Maker {
	m := trouble.New(w.e, w.r)
	m.Also("reply lost to all", func(context.Context) bool {
		op := []proxy.Op{proxy.OpMulti, proxy.OpMulti, proxy.OpCreate, proxy.OpGetData, proxy.OpSync}[w.r.IntN(5)]
		for _, c := range clients {
			w.e.Proxy(c).Lose(proxy.Reply(op, ""))
		}
		return true
	})
	m.Also("removed", func(ctx context.Context) (done bool) {
		w.force()
		names, _, _ := admin.Children(ctx, path+"/leader")
		for _, name := range names {
			if w.r.IntN(2) == 0 && admin.Delete(ctx, path+"/leader/"+name, client.AnyVersion) == nil {
				done = true
			}
		}
		return done
	})
	m.Also("expired", func(ctx context.Context) bool {
		w.force()
		return w.e.ExpireSession(ctx, clients[w.r.IntN(len(clients))].Session().ID()) == nil
	})
	m.Also("foreign child", func(ctx context.Context) bool {
		_, err := admin.Create(ctx, path+"/leader/foreign-", nil, &client.CreateOptions{Mode: client.EphemeralSequential})
		return err == nil
	})
	return m
}
