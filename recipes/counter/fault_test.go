package counter_test

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
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
type tally struct{ counted, unknown, ids, faults, struck, conflicts, lines int }

// Counting among faults of all kinds: each change that was said to be made is, once, and no other but those that are said to be unknown; no number
// is given twice, no watch goes back, and nothing is left.
func TestCountingAmongFaults(t *testing.T) {
	first := *faultSeed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	var sum tally
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
	w.mend()
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
	for range 25 {
		w.fault(clients[w.r.IntN(processes)])
		time.Sleep(w.upTo(5 * time.Second))
	}
	w.heal(clients)
	time.Sleep(5 * time.Second)
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
		require.Empty(w.t, names)
	}
}

// mend ends what is wrong with the network, but that it is slow: so that changes get in each other's way.
func (w *world) mend() {
	w.e.Heal()
	for from := range 3 {
		w.e.Delay(1+from, 1+(from+1)%3, 20*time.Millisecond)
	}
}

// sum adds what came of this run to that of all.
func (w *world) sum(all *tally) {
	all.counted += len(w.given)
	all.unknown += w.unknown
	all.ids += len(w.ids)
	all.faults += w.faults
	for _, f := range w.strikes {
		if f.Strikes() > 0 {
			w.struck++
		}
	}
	all.struck += w.struck
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

// fault lets one thing go wrong.
func (w *world) fault(c *client.Client) {
	p, e, r := w.e.Proxy(c), w.e, w.r
	later := func(f func()) { time.AfterFunc(w.upTo(12*time.Second), f) }
	frame := func(f *proxy.Fault) *proxy.Fault { w.strikes = append(w.strikes, f); return f }
	w.faults++
	ops := []proxy.Op{proxy.OpMulti, proxy.OpMulti, proxy.OpCreate, proxy.OpGetData, proxy.OpDelete, proxy.OpExists, proxy.OpSync}
	op := ops[r.IntN(len(ops))]
	server := e.Server(1 + r.IntN(3))
	switch r.IntN(12) {
	case 0, 1, 2:
		frame(p.Lose(proxy.Reply(op, "").Skip(r.IntN(5)).Times(1 + r.IntN(2))))
	case 3:
		frame(p.Lose(proxy.Request(op, "").Skip(r.IntN(5))))
	case 4:
		later(frame(p.Freeze(proxy.Reply(proxy.OpAll, "").Always())).End)
	case 5:
		later(frame(p.Freeze(proxy.Request(op, ""))).End)
	case 6:
		e.CutClient(c)
		later(w.mend)
	case 7:
		_ = e.ExpireSession(w.t.Context(), c.Session().ID())
	case 8:
		e.Partition([]int{server.ID()})
		later(w.mend)
	case 9:
		if server.Running() {
			server.Pause()
			later(server.Resume)
		}
	case 10:
		if server.Running() {
			server.Kill()
			later(func() { _ = server.Restart(context.Background()) })
		}
	case 11:
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		_, _ = e.Sweep(ctx)
	}
}

// heal ends all that is wrong.
func (w *world) heal(clients []*client.Client) {
	time.Sleep(12 * time.Second) // what was to end by itself has
	w.e.Heal()
	for _, c := range clients {
		w.e.Proxy(c).Heal()
	}
	for _, s := range w.e.Servers() {
		s.Resume()
		if !s.Running() {
			require.NoError(w.t, s.Restart(w.t.Context()))
		}
	}
	_, err := w.e.WaitLeader(w.t.Context())
	require.NoError(w.t, err)
	time.Sleep(20 * time.Second)
}
