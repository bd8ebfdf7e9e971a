package lock_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

var (
	leaseRuns = flag.Int("lock.leases", 20, "how often each way to be cut off is tried")
	leaseSeed = flag.Uint64("lock.seed", 0, "the first run's; 0: a random one")
)

// kinds are locks of two clients, where the first holds and the second has to wait.
var kinds = []func(holder, other *client.Client) (hold, next func(context.Context) (holding, error)){
	func(holder, other *client.Client) (hold, next func(context.Context) (holding, error)) {
		return one(lock.NewMutex(holder, path, nil).Lock), one(lock.NewMutex(other, path, nil).Lock)
	},
	func(holder, other *client.Client) (hold, next func(context.Context) (holding, error)) {
		return one(lock.NewRWMutex(holder, path, nil).Lock), one(lock.NewRWMutex(other, path, nil).RLock)
	},
	func(holder, other *client.Client) (hold, next func(context.Context) (holding, error)) {
		return one(lock.NewRWMutex(holder, path, nil).RLock), one(lock.NewRWMutex(other, path, nil).Lock)
	},
	func(holder, other *client.Client) (hold, next func(context.Context) (holding, error)) {
		return func(ctx context.Context) (holding, error) {
			h, err := lock.NewRWMutex(holder, path, nil).Lock(ctx)
			if err != nil {
				return nil, err
			}
			return h, h.Downgrade(ctx)
		}, one(lock.NewRWMutex(other, path, nil).Lock)
	},
	func(holder, other *client.Client) (hold, next func(context.Context) (holding, error)) {
		permits := func(c *client.Client) func(context.Context) (holding, error) {
			return func(ctx context.Context) (holding, error) { return lock.NewSemaphore(c, path, 3, nil).Acquire(ctx, 2) }
		}
		return permits(holder), permits(other)
	},
	func(holder, other *client.Client) (hold, next func(context.Context) (holding, error)) {
		return func(ctx context.Context) (holding, error) {
			m, err := lock.NewMulti(lock.NewMutex(holder, path, nil), lock.NewMutex(holder, path+"-too", nil))
			if err != nil {
				return nil, err
			}
			return m.Lock(ctx)
		}, one(lock.NewMutex(other, path+"-too", nil).Lock)
	},
}

func one(acquire func(context.Context) (*lock.Hold, error)) func(context.Context) (holding, error) {
	return func(ctx context.Context) (holding, error) { return acquire(ctx) }
}

// Whoever is cut off from whom, a hold is dead before the lock is somebody else's: its context has ended by itself.
func TestHoldIsDeadBeforeAnotherHolds(t *testing.T) {
	first := *leaseSeed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	runs := *leaseRuns
	if testing.Short() {
		runs = min(runs, 5)
	}
	for name, cut := range map[string]func(e *ensembletest.Ensemble, holder *client.Client, at *ensembletest.Server){
		"client": func(e *ensembletest.Ensemble, holder *client.Client, _ *ensembletest.Server) { e.CutClient(holder) },
		"server": func(e *ensembletest.Ensemble, _ *client.Client, at *ensembletest.Server) { e.CutFromLeader(at.ID()) },
		"leader": func(e *ensembletest.Ensemble, _ *client.Client, at *ensembletest.Server) { e.Partition([]int{at.ID()}) },
	} {
		t.Run(name, func(t *testing.T) {
			for run := range runs {
				seed := first + uint64(run)
				synctest.Test(t, func(t *testing.T) {
					r := rand.New(rand.NewPCG(seed, 1))
					opts := &ensembletest.Options{Client: client.Options{SessionTimeout: time.Duration(6+r.IntN(20)) * time.Second}}
					if r.IntN(2) == 0 {
						opts.Client.TickTime = 3 * time.Second
					}
					e := ensembletest.Start(t, 3, opts)
					at := e.Follower()
					if name == "leader" {
						at = e.Leader()
					}
					var elsewhere *ensembletest.Server
					for _, s := range e.Servers() {
						if s != at && (name == "leader" || s != e.Leader() || r.IntN(2) == 0) {
							elsewhere = s
						}
					}
					holder, other := at.Connect(t), elsewhere.Connect(t)
					idle := func() { time.Sleep(time.Duration(r.Int64N(int64(30 * time.Second)))) }
					idle()
					acquire, acquireNext := kinds[run%len(kinds)](holder, other)
					hold, err := acquire(t.Context())
					require.NoError(t, err)
					ended := make(chan time.Time, 1)
					go func() { // ends with the hold
						<-hold.Context().Done()
						ended <- time.Now()
					}()
					next := make(chan holding)
					go func() { // ends with the test, at the latest
						h, err := acquireNext(t.Context())
						if err != nil {
							t.Error(err)
						}
						select {
						case <-ended: // the timer, not somebody who asked
						default:
							t.Errorf("seed %d: the hold has not ended when there is another one", seed)
						}
						next <- h
					}()
					idle()
					require.NoError(t, hold.Context().Err(), "seed %d", seed)
					cut(e, holder, at)
					<-next
				})
			}
		})
	}
}
