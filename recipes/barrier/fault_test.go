package barrier_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/trouble"
	"github.com/bellwether-zk/bellwether/recipes/barrier"
)

// inRuns does a number of random runs, each in a bubble and with a seed of its own.
func inRuns(t *testing.T, run func(t *testing.T, seed uint64)) {
	first := *seed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	for seed := first; seed < first+uint64(*runs); seed++ {
		synctest.Test(t, func(t *testing.T) { run(t, seed) })
		if t.Failed() {
			t.Fatalf("it was seed %d: -barrier.runs 1 -barrier.seed %d", seed, seed)
		}
	}
}

// Some raise and lower a gate and others come to it, while all breaks that can. Nobody passes a gate that was raised for the whole of its
// wait; and when it is lowered for the last time everybody passes.
func TestGateAmongFaults(t *testing.T) {
	passed, held, faults, struck := 0, 0, 0, map[string]int{}
	inRuns(t, func(t *testing.T, seed uint64) {
		g := &gate{t: t, seed: seed, party: newPartyOn(t, 1+2*int(seed%2), 0, 7)}
		g.run()
		passed, held = passed+g.passed, held+g.held
		for what, n := range g.struck {
			struck[what] += n
			faults += n
		}
	})
	t.Logf("passed %d times, held back %d, faults that took effect: %v", passed, held, struck)
	require.Greater(t, passed, 10**runs)
	require.Greater(t, faults, passed/10)
	if *runs >= 50 { // in one there may be nobody
		require.Greater(t, held, *runs)
	}
}

// A gate is one in a trial, with what those who move it know.
type gate struct {
	*party
	t    *testing.T
	seed uint64

	mu      sync.Mutex
	moves   int       // that lower it, as many as have begun
	moving  int       // that go on
	unknown time.Time // until then one that failed may come about
	raised  time.Time // since then it is raised for certain; zero: it may not be
	passed  int       // by those who had to wait
	held    int       // who gave up waiting, with the gate raised all the time
	struck  map[string]int
}

func (g *gate) run() {
	t, r := g.t, rand.New(rand.NewPCG(g.seed, 99))
	trying, enough := context.WithCancel(t.Context())
	defer enough()
	var keepers, comers sync.WaitGroup
	for i, c := range g.clients {
		r := rand.New(rand.NewPCG(g.seed, uint64(i)))
		if i < 2 {
			keepers.Go(func() { g.keep(trying, c, r) })
		} else {
			comers.Go(func() { g.come(trying, c, r) })
		}
	}
	admin := g.e.Connect(t)
	maker := trouble.New(g.e, r)
	maker.Also("expired", func(ctx context.Context) bool {
		return g.e.Expire(ctx, g.clients[r.IntN(len(g.clients))]) == nil
	})
	maker.Also("removed", func(ctx context.Context) bool { return g.lower(ctx, admin) })
	maker.Also("written", func(ctx context.Context) bool {
		_, err := admin.Set(ctx, path, []byte("?"), client.AnyVersion)
		return err == nil
	})
	for range 60 {
		maker.Strike(g.clients[r.IntN(len(g.clients))])
		time.Sleep(time.Duration(r.Int64N(int64(5 * time.Second))))
	}
	require.NoError(t, maker.End(t.Context()))
	g.struck = maker.Struck()
	enough()
	keepers.Wait()
	time.Sleep(2 * time.Minute) // everybody is connected again, and nothing is under way any more
	require.True(t, g.lower(t.Context(), admin))
	time.Sleep(5 * time.Second)
	passed := make(chan struct{})
	go func() { // ends when all are through, or with the test
		comers.Wait()
		close(passed)
	}()
	synctest.Wait()
	select {
	case <-passed:
	default:
		t.Error("somebody waits at a gate that is lowered")
	}
	require.NoError(t, g.e.WaitCaughtUp(t.Context()))
	_, there := g.e.Leader().Node(path)
	require.False(t, there)
	require.Empty(t, g.e.Watches())
	require.Empty(t, g.seen.Open())
}

// keep raises and lowers the gate, in turns.
func (g *gate) keep(trying context.Context, c *client.Client, r *rand.Rand) {
	for trying.Err() == nil {
		ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
		if r.IntN(8) == 0 {
			cancel()
			ctx, cancel = context.WithTimeout(g.t.Context(), time.Duration(r.Int64N(int64(time.Second))))
		}
		if r.IntN(3) == 0 {
			g.lower(ctx, c)
		} else {
			g.raise(ctx, c)
		}
		cancel()
		time.Sleep(time.Duration(r.Int64N(int64(8 * time.Second))))
	}
}

func (g *gate) raise(ctx context.Context, c *client.Client) {
	g.mu.Lock()
	moves, moving := g.moves, g.moving
	g.mu.Unlock()
	err := barrier.New(c, path).Raise(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err != nil:
		g.mayFail(ctx, err)
	case moving == 0 && moves == g.moves && g.unknown.Before(time.Now()) && g.raised.IsZero():
		g.raised = time.Now()
	}
}

func (g *gate) lower(ctx context.Context, c *client.Client) bool {
	g.mu.Lock()
	g.moves++
	g.moving++
	g.raised = time.Time{}
	g.mu.Unlock()
	err := barrier.New(c, path).Lower(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.moving--
	if err != nil {
		g.mayFail(ctx, err)
		g.unknown = time.Now().Add(time.Minute)
	}
	return err == nil
}

// mayFail complains of what fails before its time is over.
func (g *gate) mayFail(ctx context.Context, err error) {
	if ctx.Err() == nil && !errors.Is(err, client.ErrSessionExpired) {
		g.t.Error(err)
	}
}

// come comes to the gate again and again, and at last with all the time in the world. Whoever comes asks first for what others have done
// before, since the server it is connected to may be late.
func (g *gate) come(trying context.Context, c *client.Client, r *rand.Rand) {
	for last := false; !last; {
		last = trying.Err() != nil
		ctx, cancel := context.WithTimeout(g.t.Context(), time.Hour)
		if !last && r.IntN(4) == 0 {
			cancel()
			ctx, cancel = context.WithTimeout(g.t.Context(), time.Duration(r.Int64N(int64(10*time.Second))))
		}
		began := time.Now()
		err := c.Sync(ctx, path)
		if err == nil {
			err = barrier.New(c, path).Wait(ctx)
			g.came(ctx, began, err)
		}
		cancel()
		last = last && err == nil
		time.Sleep(time.Duration(r.Int64N(int64(time.Second))))
	}
}

// came checks how somebody fared at the gate.
func (g *gate) came(ctx context.Context, began time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	raised := !g.raised.IsZero() && g.raised.Before(began)
	switch {
	case err != nil && ctx.Err() == nil:
		g.t.Error(err)
	case err != nil && raised:
		g.held++
	case err == nil && raised:
		g.t.Errorf("somebody came %v after the gate was raised, and has passed after %v", began.Sub(g.raised), time.Since(began))
	case err == nil && time.Since(began) > 0:
		g.passed++
	}
}
