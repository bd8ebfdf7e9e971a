package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
)

// The tests run in bubbles of testing/synctest: the servers, the network between and the instances of the service are the real ones, with the
// timeouts they have in production, and an hour of rounds takes a fraction of a second.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// interval is between rounds, sessionTimeout how long a silent instance keeps the duty at the most, as the servers count.
const (
	interval       = time.Minute
	sessionTimeout = client.DefaultSessionTimeout
)

// An entry is one round as it took effect.
type entry struct {
	round, token int64
	by           string
	at           time.Time
}

// A ledger is where the work of the service takes effect, outside of the servers. It knows what a fencing token is for.
type ledger struct {
	mu      sync.Mutex
	entries []entry
	highest int64
	refused int
}

func (l *ledger) add(e entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.token < l.highest {
		l.refused++
		return errors.New("ledger: this token has been superseded")
	}
	l.highest = e.token
	l.entries = append(l.entries, e)
	return nil
}

func (l *ledger) all() []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]entry(nil), l.entries...)
}

// An instance is one of the service that runs, with a connection of its own.
type instance struct {
	name   string
	client *client.Client
	end    context.CancelFunc
	done   chan struct{} // closed when it has ended
	err    error         // then: why
}

// start starts an instance that writes to the ledger; delay is how long its work takes. The end of the test ends it.
func start(t *testing.T, e *ensembletest.Ensemble, l *ledger, name string, delay time.Duration) *instance {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	i := &instance{name: name, client: e.Connect(t), end: cancel, done: make(chan struct{})}
	s := NewScheduler(i.client, "/report", interval, func(ctx context.Context, round, token int64) error {
		if err := sleep(ctx, delay); err != nil {
			return err
		}
		return l.add(entry{round, token, name, time.Now()})
	})
	go func() { // ends with ctx
		defer close(i.done)
		i.err = s.Run(ctx)
	}()
	t.Cleanup(i.stop)
	return i
}

// stop ends an instance in order and waits for it.
func (i *instance) stop() {
	i.end()
	<-i.done
}

// service is three servers and three instances in a bubble.
func service(t *testing.T, test func(t *testing.T, e *ensembletest.Ensemble, l *ledger, instances map[string]*instance)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e, l := ensembletest.Start(t, 3, nil), &ledger{}
		instances := map[string]*instance{}
		for _, name := range []string{"anna", "ben", "carla"} {
			instances[name] = start(t, e, l, name, time.Second)
		}
		test(t, e, l, instances)
	})
}

// mustGoOn lets so many intervals pass and requires as many new rounds, give or take the one that is under way.
func mustGoOn(t *testing.T, l *ledger, intervals int) {
	t.Helper()
	before := len(l.all())
	time.Sleep(time.Duration(intervals) * interval)
	require.GreaterOrEqual(t, len(l.all()), before+intervals-1)
}

// mustBeComplete requires that no round was left out, and that nobody did anything after another had been on duty. A round may be there
// twice: who lost its connection, or the duty, could not record that it was done.
func mustBeComplete(t *testing.T, l *ledger) {
	t.Helper()
	done, token := int64(0), int64(0)
	for _, e := range l.all() {
		require.LessOrEqual(t, e.round, done+1, "round %d is missing", done+1)
		require.GreaterOrEqual(t, e.round, done, "round %d was recorded, and then done again", e.round)
		require.GreaterOrEqual(t, e.token, token, "%s is not on duty any more", e.by)
		done, token = e.round, e.token
	}
	require.Positive(t, done)
}

// One is on duty; the others wait. Each round is done once.
func TestEachRoundOnce(t *testing.T) {
	service(t, func(t *testing.T, _ *ensembletest.Ensemble, l *ledger, _ map[string]*instance) {
		time.Sleep(60*interval + 59*time.Second)
		entries := l.all()
		require.GreaterOrEqual(t, len(entries), 59) // each takes a second
		for i, e := range entries {
			require.Equal(t, int64(i+1), e.round)
			require.Equal(t, entries[0].by, e.by)
			if i > 0 {
				require.Less(t, e.at.Sub(entries[i-1].at), interval+2*time.Second)
			}
		}
	})
}

// An instance that ends in order hands over at once; one whose machine dies, after its session's timeout.
func TestHandover(t *testing.T) {
	for how, end := range map[string]func(*ensembletest.Ensemble, *instance){
		"in order":    func(_ *ensembletest.Ensemble, i *instance) { i.stop() },
		"cut off":     func(e *ensembletest.Ensemble, i *instance) { e.CutClient(i.client) },
		"client gone": func(_ *ensembletest.Ensemble, i *instance) { _ = i.client.Close() },
	} {
		t.Run(how, func(t *testing.T) {
			service(t, func(t *testing.T, e *ensembletest.Ensemble, l *ledger, instances map[string]*instance) {
				for left := 3; left > 1; left-- {
					mustGoOn(t, l, 3)
					entries := l.all()
					last := entries[len(entries)-1]
					end(e, instances[last.by])
					time.Sleep(interval + sessionTimeout + 2*time.Second)
					entries = l.all()
					next := entries[len(entries)-1]
					require.NotEqual(t, last.by, next.by, "somebody else goes on")
					require.Greater(t, next.token, last.token)
				}
				mustGoOn(t, l, 3)
				mustBeComplete(t, l)
				require.Zero(t, l.refused)
			})
		})
	}
}

// Who is cut off in the middle of its work is told before anybody else is on duty, and comes back into the line.
func TestCutOffAtWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, l := ensembletest.Start(t, 3, nil), &ledger{}
		const long = 10 * time.Minute
		first := start(t, e, l, "first", long)
		synctest.Wait()
		second := start(t, e, l, "second", time.Second)
		time.Sleep(interval + time.Second) // the first is at work
		e.CutClient(first.client)
		time.Sleep(sessionTimeout + interval)
		entries := l.all()
		require.NotEmpty(t, entries)
		require.Equal(t, "second", entries[0].by)
		require.Equal(t, int64(1), entries[0].round, "the round that was not finished")
		require.Zero(t, l.refused, "the first has stopped its work, and not written")

		e.Heal()
		mustGoOn(t, l, 3)
		second.stop()
		time.Sleep(interval + long + time.Second)
		entries = l.all()
		require.Equal(t, "first", entries[len(entries)-1].by)
		mustBeComplete(t, l)
	})
}

// Whichever server is lost, however: the rounds go on.
func TestServersComeAndGo(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() { // as the race detector is run
		seeds = 1
	}
	for seed := range seeds {
		service(t, func(t *testing.T, e *ensembletest.Ensemble, l *ledger, _ map[string]*instance) {
			r := rand.New(rand.NewPCG(seed, 0))
			for range 20 {
				s := e.Server(1 + r.IntN(3))
				if r.IntN(2) == 0 {
					s = e.Leader()
				}
				switch r.IntN(4) {
				case 0:
					s.Kill()
				case 1:
					s.Crash(r)
				case 2:
					s.Pause()
				case 3:
					e.Partition([]int{s.ID()})
				}
				time.Sleep(time.Duration(r.Int64N(int64(2 * interval))))
				e.Heal()
				s.Resume()
				if !s.Running() {
					require.NoError(t, s.Restart(t.Context()))
				}
				require.NoError(t, e.WaitCaughtUp(t.Context()))
				mustGoOn(t, l, 2)
			}
			mustBeComplete(t, l)
		})
	}
}

// A power failure takes all servers at once, with whatever was on its way to their disks. Nobody is on duty meanwhile, what was recorded is
// not forgotten, and the rounds that were missed are not made up for.
func TestPowerFailure(t *testing.T) {
	service(t, func(t *testing.T, e *ensembletest.Ensemble, l *ledger, _ map[string]*instance) {
		mustGoOn(t, l, 5)
		for _, s := range e.Servers() {
			s.Crash(nil)
		}
		time.Sleep(interval)
		before := l.all()
		time.Sleep(10 * interval)
		require.Equal(t, before, l.all(), "without servers nobody is on duty")
		for _, s := range e.Servers() {
			require.NoError(t, s.Restart(t.Context()))
		}
		mustGoOn(t, l, 5)
		require.LessOrEqual(t, len(l.all()), len(before)+6)
		mustBeComplete(t, l)
	})
}

// Of two that work at the same time, because one of them does not look at its context, only the one on duty is believed: the other's token is
// the lower one, and its record would be refused, too.
func TestTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, l := ensembletest.Start(t, 3, nil), &ledger{}
		c := e.Connect(t)
		late := make(chan error, 1)
		stubborn := NewScheduler(c, "/report", interval, func(_ context.Context, round, token int64) error {
			time.Sleep(10 * interval)
			err := l.add(entry{round, token, "stubborn", time.Now()})
			late <- err
			return err
		})
		ended := make(chan error, 1)
		go func() { ended <- stubborn.Run(t.Context()) }() // ends with its client
		time.Sleep(interval + time.Second)
		start(t, e, l, "other", 0)
		e.CutClient(c)
		time.Sleep(5 * interval)
		e.Heal()
		require.ErrorContains(t, <-late, "superseded")
		mustGoOn(t, l, 3)
		mustBeComplete(t, l)
		require.NoError(t, c.Close())
		require.ErrorIs(t, <-ended, client.ErrClosed, "it had taken its place in the line again")
	})
}

// A job that fails ends its instance with the reason; the next one is on duty, for the same round.
func TestJobFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, l := ensembletest.Start(t, 1, nil), &ledger{}
		broken := errors.New("no paper")
		failing := NewScheduler(e.Connect(t), "/report", interval, func(context.Context, int64, int64) error { return broken })
		ended := make(chan error)
		go func() { ended <- failing.Run(t.Context()) }() // ends with its job
		synctest.Wait()
		start(t, e, l, "other", 0)
		require.ErrorIs(t, <-ended, broken)
		time.Sleep(interval)
		require.Equal(t, int64(1), l.all()[0].round)
	})
}

// The program does what it says.
func TestStory(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 3*(rounds+1), out.String())
	round := 0
	for i, line := range lines {
		if i%(rounds+1) == rounds {
			require.Contains(t, line, "ends")
			continue
		}
		round++
		require.Contains(t, line, fmt.Sprintf("does round %d, ", round))
	}
}
