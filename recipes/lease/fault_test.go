package lease_test

import (
	"context"
	"flag"
	"fmt"
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
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/trouble"
	"github.com/bellwether-zk/bellwether/recipes/lease"
)

var (
	faultRuns = flag.Int("lease.runs", 3, "how many runs with faults there are")
	faultSeed = flag.Uint64("lease.seed", 0, "the first run's; 0: a random one")
)

// Leases among all that can break: never two at once, tokens grow, and everybody gets it in the end.
func TestLeaseAmongFaults(t *testing.T) {
	first := *faultSeed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	granted, struck := 0, map[string]int{}
	for i := range *faultRuns {
		seed := first + uint64(i)
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, seed: seed, e: ensembletest.Start(t, 3, &ensembletest.Options{
				Client: client.Options{SessionTimeout: 10 * time.Second, TickTime: time.Second},
			})}
			w.run()
			granted += w.granted
			for what, n := range w.struck {
				struck[what] += n
			}
		})
	}
	t.Logf("granted %d times, faults that took effect: %v", granted, struck)
	require.Greater(t, granted, 20**faultRuns)
}

type world struct {
	t    *testing.T
	seed uint64
	e    *ensembletest.Ensemble

	mu      sync.Mutex
	last    *lease.Grant
	granted int
	struck  map[string]int // by what, and how often
}

func (w *world) run() {
	var all sync.WaitGroup
	clients := make([]*client.Client, 4)
	stop := make(chan struct{})
	for i := range clients {
		clients[i] = w.e.Connect(w.t)
		r := rand.New(rand.NewPCG(w.seed, uint64(i)))
		all.Go(func() { // ends when it is stopped and has had the lease once more
			l := leaseOf(clients[i], fmt.Sprint(i))
			for {
				select {
				case <-stop:
					w.turn(l, r, time.Hour)
					return
				default:
					w.turn(l, r, time.Duration(1+r.Int64N(int64(20*time.Second))))
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(w.seed, 99))
	admin := w.e.Connect(w.t)
	maker := w.trouble(admin, clients, r)
	for range 25 {
		maker.Strike(clients[r.IntN(len(clients))])
		time.Sleep(time.Duration(r.Int64N(int64(8 * time.Second))))
	}
	require.NoError(w.t, maker.End(w.t.Context()))
	w.struck = maker.Struck()
	time.Sleep(30 * time.Second) // everybody is connected again
	require.NoError(w.t, admin.Close())
	close(stop)
	all.Wait()
	time.Sleep(30 * time.Second)
	names, _, err := w.e.Connect(w.t).Children(w.t.Context(), path)
	require.NoError(w.t, err)
	require.ElementsMatch(w.t, []string{"lease_fence", "lease_holder"}, names)
}

// turn has the lease for a while, if it is granted in time.
func (w *world) turn(l *lease.Lease, r *rand.Rand, patience time.Duration) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	lasts := time.Second + time.Duration(r.Int64N(int64(5*time.Second)))
	g, err := l.Acquire(ctx, lasts)
	if err != nil {
		if ctx.Err() == nil || patience == time.Hour {
			w.t.Errorf("seed %d: %v", w.seed, err)
		}
		return
	}
	w.mu.Lock()
	w.granted++
	if g.Context().Err() == nil { // else it has come too late, and another may have it
		if w.last != nil && !over(w.last.Context()) {
			w.t.Errorf("seed %d: granted while it is", w.seed)
		}
		if w.last != nil && g.Token() <= w.last.Token() {
			w.t.Errorf("seed %d: token %d after %d", w.seed, g.Token(), w.last.Token())
		}
		w.last = g
	}
	w.mu.Unlock()
	hold, enough := context.WithTimeout(g.Context(), time.Duration(r.Int64N(int64(6*time.Second))))
	defer enough()
	if r.IntN(3) == 0 {
		_ = g.Renew(hold, lasts)
	}
	<-hold.Done()
	if r.IntN(3) > 0 {
		bounded, cancel := context.WithTimeout(w.t.Context(), 2*time.Second)
		defer cancel()
		_ = g.Release(bounded) // if it is not, its time will be over
	}
	<-g.Context().Done()
}

// trouble is all that can break, and what others do. A lease does not end with a session.
func (w *world) trouble(admin *client.Client, clients []*client.Client, r *rand.Rand) *trouble.Maker {
	m := trouble.New(w.e, r)
	m.Also("expired", func(ctx context.Context) bool {
		return w.e.ExpireSession(ctx, clients[r.IntN(len(clients))].Session().ID()) == nil
	})
	m.Also("removed", func(ctx context.Context) bool { // from where it waits, or the door
		names, _, err := admin.Children(ctx, path)
		names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, "_c_") })
		if err != nil || len(names) == 0 {
			return false
		}
		return admin.Delete(ctx, path+"/"+names[r.IntN(len(names))], client.AnyVersion) == nil
	})
	m.Also("foreign child", func(ctx context.Context) bool {
		_, err := admin.Create(ctx, path+"/foreign-", nil, &client.CreateOptions{Mode: client.EphemeralSequential})
		return err == nil
	})
	return m
}
