package job_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/job"
)

const leasePath = "/leases/one"

func lease(c *client.Client, id string) *job.Lease {
	return job.NewLease(c, leasePath, &job.LeaseOptions{ID: id})
}

func mustAcquire(t *testing.T, l *job.Lease, d time.Duration) *job.Grant {
	t.Helper()
	g, err := l.TryAcquire(t.Context(), d)
	require.NoError(t, err)
	return g
}

// over tells whether a context has ended, without asking it.
func over(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 3, nil)
		c, d := e.Connect(t), e.Connect(t)
		anna, ben := lease(c, "anna"), lease(d, "ben")
		status, err := anna.Inspect(ctx)
		require.NoError(t, err)
		require.Zero(t, status)
		time.Sleep(10 * time.Millisecond)
		g := mustAcquire(t, anna, time.Minute)
		require.Equal(t, time.Minute, time.Until(g.Until()).Round(time.Second))
		_, err = ben.TryAcquire(ctx, time.Minute)
		require.ErrorIs(t, err, job.ErrHeld)
		data, _, err := c.Get(ctx, leasePath+"/lease_holder")
		require.NoError(t, err)
		require.Contains(t, string(data), `{"version":1,"holder":"anna","end":"2000-01-01T00:01:02",`)
		status, err = ben.Inspect(ctx)
		require.NoError(t, err)
		require.Equal(t, "anna", status.Holder)
		require.Equal(t, g.Token(), status.Token)
		require.WithinDuration(t, time.Now(), status.Since, time.Second)

		time.Sleep(30 * time.Second)
		require.NoError(t, g.Renew(ctx, time.Minute))
		time.Sleep(45 * time.Second)
		require.NoError(t, g.Context().Err())
		_, err = c.Multi(ctx, append(g.Guard(), client.CreateOp("/a", nil, nil))...)
		require.NoError(t, err)
		_, err = ben.TryAcquire(ctx, time.Minute)
		require.ErrorIs(t, err, job.ErrHeld)
		require.NoError(t, g.Renew(ctx, time.Second), "it lasts longer already")
		time.Sleep(14 * time.Second)
		require.False(t, over(g.Context()))
		time.Sleep(2 * time.Second)
		require.True(t, over(g.Context()))
		require.ErrorIs(t, context.Cause(g.Context()), job.ErrLeaseOver)
		require.ErrorIs(t, g.Renew(ctx, time.Minute), job.ErrLeaseOver)
		time.Sleep(2 * time.Second)

		next := mustAcquire(t, ben, time.Minute)
		require.Greater(t, next.Token(), g.Token())
		_, err = c.Multi(ctx, append(g.Guard(), client.CreateOp("/b", nil, nil))...)
		require.ErrorIs(t, err, client.ErrBadVersion)
		require.NoError(t, g.Release(ctx), "it is another's, and stays so")
		_, err = anna.TryAcquire(ctx, time.Minute)
		require.ErrorIs(t, err, job.ErrHeld)
		require.NoError(t, next.Release(ctx))
		require.NoError(t, next.Release(ctx))
		require.ErrorIs(t, context.Cause(next.Context()), job.ErrReleased)
		require.ErrorIs(t, next.Renew(ctx, time.Minute), job.ErrReleased)
		last := mustAcquire(t, anna, time.Minute)
		require.NoError(t, last.Release(ctx))
		_, err = anna.TryAcquire(ctx, 0)
		require.ErrorIs(t, err, client.ErrBadArguments)

		names, _, err := c.Children(ctx, leasePath)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"lease_fence", "lease_holder"}, names)
	})
}

// A lease outlives its session and its client; who comes back with its name has it again, and what was granted before is void.
func TestLeaseOutlivesItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 3, nil)
		c, d := e.Connect(t), e.Connect(t)
		g := mustAcquire(t, lease(c, "anna"), 5*time.Minute)
		require.NoError(t, e.Expire(ctx, c))
		time.Sleep(time.Minute)
		require.NoError(t, g.Context().Err())
		require.NoError(t, g.Renew(ctx, 5*time.Minute), "in the next session")
		c.Close()
		time.Sleep(time.Minute)
		require.NoError(t, g.Context().Err())
		_, err := lease(d, "ben").TryAcquire(ctx, time.Minute)
		require.ErrorIs(t, err, job.ErrHeld)

		again := mustAcquire(t, lease(d, "anna"), 10*time.Minute)
		require.Greater(t, again.Token(), g.Token())
		_, err = d.Multi(ctx, append(g.Guard(), client.CreateOp("/x", nil, nil))...)
		require.ErrorIs(t, err, client.ErrBadVersion)
		require.ErrorIs(t, g.Release(ctx), client.ErrClosed)
		_, err = lease(d, "ben").TryAcquire(ctx, time.Minute)
		require.ErrorIs(t, err, job.ErrHeld, "the void one released nothing")
		require.NoError(t, again.Release(ctx))
	})
}

// Whoever waits is granted the lease when it is released, or when its time is over.
func TestLeaseIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		first := mustAcquire(t, lease(e.Connect(t), "anna"), time.Minute)
		begun := time.Now()
		waiting := lease(e.Connect(t), "ben")
		granted := make(chan *job.Grant)
		wait := func(d time.Duration) {
			g, err := waiting.Acquire(t.Context(), d)
			if err != nil {
				t.Error(err)
			}
			granted <- g
		}
		go wait(time.Minute) // ends when it is granted
		g := <-granted
		require.True(t, over(first.Context()))
		require.InDelta(t, 61.5, time.Since(begun).Seconds(), 1)
		require.Greater(t, g.Token(), first.Token())

		waiting = lease(e.Connect(t), "carl")
		go wait(time.Second)
		time.Sleep(10 * time.Second)
		require.NoError(t, g.Release(t.Context()))
		require.InDelta(t, 71.5, time.Since(begun).Seconds(), 1.1)
		g = <-granted
		require.InDelta(t, 71.5, time.Since(begun).Seconds(), 1.1)

		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := lease(e.Connect(t), "dora").Acquire(ctx, time.Minute)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, g.Release(t.Context()))
	})
}

// AtLeast keeps the lease from everybody though it was released.
func TestLeaseAtLeast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		anna := job.NewLease(c, leasePath, &job.LeaseOptions{ID: "anna", AtLeast: 30 * time.Second})
		g := mustAcquire(t, anna, time.Minute)
		require.NoError(t, g.Release(ctx))
		for _, l := range []*job.Lease{anna, lease(c, "ben")} {
			_, err := l.TryAcquire(ctx, time.Minute)
			require.ErrorIs(t, err, job.ErrHeld)
		}
		time.Sleep(33 * time.Second)
		require.NoError(t, mustAcquire(t, anna, time.Minute).Release(ctx))
	})
}

// kazoo takes a lease by deleting the record and making it anew, which begins its versions anew.
func TestLeaseIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		kazoo := func() {
			require.NoError(t, c.Delete(ctx, leasePath+"/lease_holder", client.AnyVersion))
			_, err := c.Create(ctx, leasePath+"/lease_holder", []byte(`{"version": 1, "holder": "py", "end": "2000-01-01T00:10:00"}`), nil)
			require.NoError(t, err)
		}
		guarded := func(g *job.Grant) error {
			_, err := c.Multi(ctx, append(g.Guard(), client.SetOp(leasePath, nil, client.AnyVersion))...)
			return err
		}
		g := mustAcquire(t, lease(c, "anna"), time.Minute)
		require.NoError(t, guarded(g))
		kazoo()
		require.ErrorIs(t, guarded(g), client.ErrBadVersion)
		<-g.Context().Done()
		require.ErrorIs(t, context.Cause(g.Context()), job.ErrTaken)
		require.ErrorIs(t, g.Renew(ctx, time.Minute), job.ErrTaken)
		require.NoError(t, g.Release(ctx))
		_, err := lease(c, "ben").TryAcquire(ctx, time.Minute)
		require.ErrorIs(t, err, job.ErrHeld)
		status, err := lease(c, "ben").Inspect(ctx)
		require.NoError(t, err)
		require.Equal(t, job.LeaseStatus{Holder: "py", Until: time.Date(2000, 1, 1, 0, 10, 0, 0, time.UTC)}, status)

		time.Sleep(10 * time.Minute)
		second := mustAcquire(t, lease(c, "ben"), time.Minute) // its record has the version that g's had
		require.NoError(t, guarded(second))
		require.ErrorIs(t, guarded(g), client.ErrBadVersion)
		require.NoError(t, second.Release(ctx))

		_, err = c.Set(ctx, leasePath+"/lease_holder", []byte(`{"version":2}`), client.AnyVersion)
		require.NoError(t, err)
		_, err = lease(c, "ben").TryAcquire(ctx, time.Minute)
		require.ErrorIs(t, err, job.ErrRecord)
		_, err = lease(c, "ben").Inspect(ctx)
		require.ErrorIs(t, err, job.ErrRecord)
	})
}

// Leases among lost answers, lost sessions and servers that fail: never two at once, tokens grow, and everybody gets it in the end.
func TestLeaseAmongFaults(t *testing.T) {
	first := *faultSeed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	granted := 0
	for i := range *faultRuns {
		seed := first + uint64(i)
		synctest.Test(t, func(t *testing.T) {
			w := &leaseWorld{t: t, seed: seed, e: ensembletest.Start(t, 3, &ensembletest.Options{
				Client: client.Options{SessionTimeout: 10 * time.Second, TickTime: time.Second},
			})}
			w.run()
			granted += w.granted
		})
	}
	t.Logf("granted %d times", granted)
	require.Greater(t, granted, 20**faultRuns)
}

type leaseWorld struct {
	t    *testing.T
	seed uint64
	e    *ensembletest.Ensemble

	mu      sync.Mutex
	last    *job.Grant
	granted int
}

func (w *leaseWorld) run() {
	var all sync.WaitGroup
	clients := make([]*client.Client, 4)
	stop := make(chan struct{})
	for i := range clients {
		clients[i] = w.e.Connect(w.t)
		r := rand.New(rand.NewPCG(w.seed, uint64(i)))
		all.Go(func() { // ends when it is stopped and has had the lease once more
			l := lease(clients[i], fmt.Sprint(i))
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
	for range 25 {
		w.fault(clients[r.IntN(len(clients))], r)
		time.Sleep(time.Duration(r.Int64N(int64(8 * time.Second))))
	}
	time.Sleep(15 * time.Second)
	w.e.Heal()
	for _, c := range clients {
		w.e.Proxy(c).Heal()
	}
	close(stop)
	all.Wait()
	time.Sleep(30 * time.Second)
	names, _, err := w.e.Connect(w.t).Children(w.t.Context(), leasePath)
	require.NoError(w.t, err)
	require.ElementsMatch(w.t, []string{"lease_fence", "lease_holder"}, names)
}

// turn has the lease for a while, if it is granted in time.
func (w *leaseWorld) turn(l *job.Lease, r *rand.Rand, patience time.Duration) {
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

func (w *leaseWorld) fault(c *client.Client, r *rand.Rand) {
	p, e := w.e.Proxy(c), w.e
	later := func(f func()) { time.AfterFunc(time.Duration(r.Int64N(int64(12*time.Second))), f) }
	ops := []proxy.Op{proxy.OpMulti, proxy.OpMulti, proxy.OpCreate, proxy.OpDelete, proxy.OpGetData, proxy.OpExists, proxy.OpSync}
	op := ops[r.IntN(len(ops))]
	server := e.Server(1 + r.IntN(3))
	switch r.IntN(9) {
	case 0, 1:
		p.Lose(proxy.Reply(op, ""))
	case 2:
		p.Lose(proxy.Request(op, "").Times(2))
	case 3:
		later(p.Freeze(proxy.Reply(proxy.OpAll, "").Always()).End)
	case 4:
		later(p.Freeze(proxy.Request(op, "")).End)
	case 5:
		e.CutClient(c)
		later(e.Heal)
	case 6:
		_ = e.ExpireSession(w.t.Context(), c.Session().ID())
	case 7:
		e.Partition([]int{server.ID()})
		later(e.Heal)
	case 8:
		if server.Running() {
			server.Pause()
			later(server.Resume)
		}
	}
}
