package trial

import (
	"context"
	"flag"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
)

var (
	length = flag.Duration("trial.for", 6*time.Second, "how long things break in a run in virtual time")
	seed   = flag.Uint64("trial.seed", 0, "seed of the run; 0 takes a random one")
)

// Sessions here are shorter than servers wait for a silent leader: a server that is cut off goes on answering those whose sessions are over.
const (
	tick    = 500 * time.Millisecond
	session = 4 * tick
)

// virtually puts subjects on trial in virtual time, with servers that are killed, paused and cut off.
func virtually(t *testing.T, d time.Duration, subjects ...Subject) *Report {
	t.Helper()
	first := *seed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("-trial.seed %d", first)
	var report *Report
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, &ensembletest.Options{Server: ensemble.Options{
			TickTime: tick, Containers: ensemble.Containers{CheckInterval: time.Second},
		}})
		random := rand.New(rand.NewPCG(first, 99))
		var err error
		report, err = Run(t.Context(), World{
			Servers: e.ConnectString(), Dial: e.Dial, For: d, Seed: first, Patience: time.Minute,
			Client: client.Options{SessionTimeout: session, TickTime: tick, ConnectTimeout: 2 * tick, MaxFrame: ensembletest.MaxFrame},
			Break:  func(ctx context.Context) { troubleServers(ctx, t, e, random) },
		}, subjects)
		require.NoError(t, err)
	})
	t.Logf("\n%v", report)
	return report
}

// troubleServers lets servers fail, one at a time, until ctx ends, and leaves them well.
func troubleServers(ctx context.Context, t *testing.T, e *ensembletest.Ensemble, random *rand.Rand) {
	for pause(ctx, time.Duration(random.Int64N(int64(2*time.Second)))) {
		s := e.Servers()[random.IntN(3)]
		if l := e.Leader(); l != nil && random.IntN(2) == 0 {
			s = l
		}
		mend := e.Heal
		switch random.IntN(4) {
		case 0:
			s.Kill()
			mend = func() {
				if err := s.Restart(t.Context()); err != nil {
					t.Error(err)
				}
			}
		case 1:
			s.Pause()
			mend = s.Resume
		case 2:
			e.Partition([]int{s.ID()})
		case 3:
			e.CutFromLeader(s.ID())
		}
		pause(ctx, time.Duration(random.Int64N(int64(9*time.Second))))
		mend()
	}
}

func TestRecipes(t *testing.T) {
	d := *length
	if testing.Short() { // as the race detector is run
		d = min(d, 2*time.Second)
	}
	report := virtually(t, d, Recipes()...)
	require.Empty(t, report.Wrong)
	require.Greater(t, report.Turns, 100)
}
