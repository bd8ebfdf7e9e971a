package migrate_test

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
	"github.com/bellwether-zk/bellwether/client/migrate"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

var (
	runs     = flag.Int("migrate.runs", 20, "how many runs of random faults")
	runsSeed = flag.Uint64("migrate.seed", 0, "the seed of the first run; 0: any")
)

// One to three runners, whose requests and replies are lost, late and cut off, whose sessions end and who lose their patience: no migration
// is done twice or by halves, who does not say that he does not know has reported what is done, and a last one finishes.
func TestApplyUnderFaults(t *testing.T) {
	seed := *runsSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	unknown, struck := 0, 0
	for run := range *runs {
		synctest.Test(t, func(t *testing.T) {
			t.Logf("-migrate.seed %d", seed+uint64(run))
			w := &world{t: t, r: rand.New(rand.NewPCG(seed+uint64(run), 0)), e: ensembletest.Start(t, 1, nil), migrations: 5}
			w.run()
			unknown, struck = unknown+w.unknown, struck+w.struck
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d faults struck, %d outcomes were unknown", struck, unknown)
	require.Greater(t, struck, *runs)
}

// world is one run.
type world struct {
	t               *testing.T
	r               *rand.Rand
	e               *ensembletest.Ensemble
	migrations      int
	faults          []*proxy.Fault
	unknown, struck int
}

func (w *world) run() {
	runners := 1 + w.r.IntN(3)
	applied, errs := make([][]string, runners), make([]error, runners)
	var all sync.WaitGroup
	for i := range runners {
		c := w.e.Connect(w.t)
		w.plant(c)
		patience, opts := time.Duration(1+w.r.IntN(40))*time.Second, &migrate.Options{LockPath: []string{"", lockPath}[w.r.IntN(2)]}
		expires := time.Duration(w.r.IntN(10)) * time.Second
		all.Go(func() {
			ctx, cancel := context.WithTimeout(w.t.Context(), patience)
			defer cancel()
			defer time.AfterFunc(expires, func() { _ = w.e.Expire(context.WithoutCancel(ctx), c) }).Stop() // fails if there is no session
			applied[i], errs[i] = migrate.Apply(ctx, c, "/meta", counting(w.migrations), opts)
		})
	}
	all.Wait()
	lateFirst := w.r.IntN(2) == 0
	if lateFirst {
		w.deliver()
	}
	for i, err := range errs {
		if err != nil {
			require.ErrorIs(w.t, err, context.DeadlineExceeded)
			if errors.Is(err, client.ErrUnknown) {
				w.unknown++
			} else if runners == 1 {
				require.Len(w.t, below(w.e, "/meta/main"), len(applied[i]), "what is not unknown is known")
			}
		}
	}
	_, err := migrate.Apply(w.t.Context(), w.e.Connect(w.t), "/meta", counting(w.migrations), nil)
	require.NoError(w.t, err)
	w.deliver()
	mustHaveDone(w.t, w.e, w.migrations)
}

// deliver ends all faults: what is late, arrives.
func (w *world) deliver() {
	for _, f := range w.faults {
		w.struck += f.Strikes()
		f.End()
	}
	w.faults = nil
	time.Sleep(time.Minute)
}

func (w *world) plant(c *client.Client) {
	p := w.e.Proxy(c)
	for range 1 + w.r.IntN(4) {
		op := []proxy.Op{proxy.OpMulti, proxy.OpMulti, proxy.OpAny, proxy.OpCreate, proxy.OpSync}[w.r.IntN(5)]
		m := []proxy.Match{proxy.Request(op, ""), proxy.Reply(op, "")}[w.r.IntN(2)].Skip(w.r.IntN(8)).Times(1 + w.r.IntN(3))
		switch w.r.IntN(5) {
		case 0:
			w.faults = append(w.faults, p.Cut(m))
		case 1:
			w.faults = append(w.faults, p.Freeze(m))
		case 2:
			w.faults = append(w.faults, p.Delay(m, time.Duration(w.r.IntN(20_000))*time.Millisecond))
		case 3:
			w.faults = append(w.faults, p.Swallow(m))
		default:
			w.faults = append(w.faults, p.Lose(m))
		}
	}
}
