package counter_test

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/trouble"
	"github.com/bellwether-zk/bellwether/recipes/counter"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
)

var (
	faultRuns = flag.Int("counter.runs", 2, "how many runs with faults there are")
	faultSeed = flag.Uint64("counter.seed", 0, "the first run's; 0: a random one")
)

// A world is a counter and a source of ids, with processes that use them, and a journal of what they were told.
type world struct {
	t *testing.T
	e *ensembletest.Ensemble
	r *rand.Rand

	mu      sync.Mutex
	given   map[int64]bool // numbers that the counter was said to have become
	ids     map[int64]bool
	strikes []*proxy.Fault
	seen    telemetrytest.Recorder
	tally
}

// tally is what came of all runs.
type tally struct {
	counted, unknown, ids, struck, conflicts, lines int

	faults map[string]int // that took effect
}

// Counting among faults of all kinds: each change that was said to be made is, once, and no other but those that are said to be unknown; no number
// is given twice, no watch goes back, and nothing is left.
func TestCountingAmongFaults(t *testing.T) {
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
			w := &world{t: t, r: rand.New(rand.NewPCG(seed, 1)), given: map[int64]bool{}, ids: map[int64]bool{}}
			w.run()
			w.sum(&sum)
		})
	}
	t.Logf("%+v", sum)
	require.Greater(t, sum.counted, 50**faultRuns)
	require.Greater(t, sum.ids, 50**faultRuns)
	require.Positive(t, sum.struck)
	require.Positive(t, sum.lines)
}

func (w *world) run() {
	const processes = 4
	w.e = ensembletest.Start(w.t, 3, &ensembletest.Options{Client: client.Options{
		SessionTimeout: 10 * time.Second, TickTime: time.Second, MeterProvider: w.seen.MeterProvider(),
	}})
	w.slow()
	stop := make(chan struct{})
	var all sync.WaitGroup
	clients := make([]*client.Client, processes)
	for i := range clients {
		clients[i] = w.e.Connect(w.t)
		r := rand.New(rand.NewPCG(w.r.Uint64(), 3))
		all.Go(func() { w.count(clients[i], r, stop) }) // ends when it is stopped
	}
	watching, enough := context.WithCancel(w.t.Context())
	all.Go(func() { w.watch(watching, clients[0]) }) // ends when the others have
	maker := w.trouble(clients)
	for range 25 {
		w.slow() // which the end of other faults ends
		maker.Strike(clients[w.r.IntN(processes)])
		time.Sleep(w.upTo(5 * time.Second))
	}
	require.NoError(w.t, maker.End(w.t.Context()))
	for _, c := range clients {
		w.e.Proxy(c).Heal()
	}
	w.faults = maker.Struck()
	time.Sleep(30 * time.Second) // everybody is connected again
	close(stop)
	time.AfterFunc(time.Minute, enough)
	all.Wait()
	witness := w.e.Connect(w.t)
	v, err := counter.New(witness, path, nil).Get(w.t.Context())
	require.NoError(w.t, err)
	require.GreaterOrEqual(w.t, v, int64(len(w.given)))
	require.LessOrEqual(w.t, v, int64(len(w.given)+w.unknown))
	for n := range w.given {
		require.LessOrEqual(w.t, n, v)
	}
	for _, dir := range []string{path + "-marks", path + "-lock", path + "/ids-marks", path + "/ids-lock"} {
		names, _, err := witness.Children(w.t.Context(), dir)
		if !errors.Is(err, client.ErrNoNode) {
			require.NoError(w.t, err)
		}
		names = slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, "foreign-") })
		require.Empty(w.t, names)
	}
}

// slow makes the network slow, so that changes get in each other's way.
func (w *world) slow() {
	for from := range 3 {
		w.e.Delay(1+from, 1+(from+1)%3, 20*time.Millisecond)
	}
}

// sum adds what came of this run to that of all.
func (w *world) sum(all *tally) {
	all.counted += len(w.given)
	all.unknown += w.unknown
	all.ids += len(w.ids)
	for what, n := range w.faults {
		all.faults[what] += n
		all.struck += n
	}
	for _, f := range w.strikes {
		if f.Strikes() > 0 {
			all.faults["answer to a change lost"]++
			all.struck++
		}
	}
	all.conflicts += int(w.seen.Sum("bellwether.counter.conflicts"))
	all.lines += len(w.seen.Measured("bellwether.lock.wait.duration"))
}

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.r.Int64N(int64(d))) }

// count counts until it is stopped, and then once more without a bound.
func (w *world) count(c *client.Client, r *rand.Rand, stop <-chan struct{}) {
	n, ids := counter.New(c, path, nil), counter.NewIDs(c, path+"/ids", &counter.IDsOptions{Block: 3})
	for more := true; more; {
		bound := time.Duration(1 + r.Int64N(int64(15*time.Second)))
		select {
		case <-stop:
			more, bound = false, time.Hour
		case <-time.After(time.Duration(r.Int64N(int64(300 * time.Millisecond)))):
		}
		ctx, cancel := context.WithTimeout(w.t.Context(), bound)
		v, err := n.Add(ctx, 1)
		w.told(ctx, w.given, v, err, more)
		id, err := ids.Next(ctx)
		w.told(ctx, w.ids, id, err, more)
		cancel()
	}
}

// told notes what a call has brought in the journal.
func (w *world) told(ctx context.Context, journal map[int64]bool, v int64, err error, mayFail bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil && journal[v]:
		w.t.Errorf("%d was given twice", v)
	case err == nil:
		journal[v] = true
	case !mayFail || !errors.Is(err, client.ErrUnknown) && ctx.Err() == nil:
		w.t.Error(err)
	case errors.Is(err, client.ErrUnknown):
		w.unknown++
	}
}

// watch sees the number grow.
func (w *world) watch(ctx context.Context, c *client.Client) {
	last := int64(-1)
	for v, err := range counter.New(c, path, nil).Watch(ctx) {
		switch {
		case err != nil && ctx.Err() == nil:
			w.t.Error(err)
		case err == nil && v <= last && last > 0: // 0 is told of no node, and of a new one
			w.t.Errorf("%d after %d", v, last)
		case err == nil:
			last = v
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if last < int64(len(w.given)) {
		w.t.Errorf("the watch has seen %d of %d", last, len(w.given))
	}
}

// trouble is all that can break, and what others do. Answers are lost more often than the rest: that is when a change could count twice.
func (w *world) trouble(clients []*client.Client) *trouble.Maker {
	m := trouble.New(w.e, w.r)
	for range 4 {
		m.Also("answer to a change lost", func(context.Context) bool {
			p := w.e.Proxy(clients[w.r.IntN(len(clients))])
			w.strikes = append(w.strikes, p.Lose(proxy.Reply(proxy.OpMulti, "").Skip(w.r.IntN(5)).Times(1+w.r.IntN(2))))
			return false // it is counted when it has met something
		})
	}
	m.Also("expired", func(ctx context.Context) bool {
		return w.e.ExpireSession(ctx, clients[w.r.IntN(len(clients))].Session().ID()) == nil
	})
	m.Also("foreign child", func(ctx context.Context) bool { // of the lines and the marks, where there are any
		soon := &client.CreateOptions{Mode: client.EphemeralSequential}
		_, err := clients[0].Create(ctx, path+"-lock/foreign-", nil, soon)
		_, also := clients[0].Create(ctx, path+"-marks/foreign-", nil, soon)
		return err == nil || also == nil
	})
	return m
}
