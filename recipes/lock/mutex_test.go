package lock_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/lock"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		*runs = min(*runs, 2)
	}
	goleak.VerifyTestMain(m)
}

const path = "/locks/one"

// cable is the way from one client to its servers. It can be pulled out.
type cable struct {
	p *proxy.Proxy

	mu  sync.Mutex
	out *proxy.Fault // nil: it is not
}

// set breaks what is connected, and tells whether it may connect again.
func (c *cable) set(out bool) {
	c.plug()
	c.mu.Lock()
	defer c.mu.Unlock()
	if out {
		c.out = c.p.Lose(proxy.Request(proxy.OpConnect, "").Always())
	}
	c.p.Drop()
}

func (c *cable) plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out != nil {
		c.out.End()
		c.out = nil
	}
}

func startServer(t *testing.T) *ensembletest.Ensemble {
	t.Helper()
	return ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second}})
}

func connect(t *testing.T, e *ensembletest.Ensemble) (*client.Client, *cable) {
	t.Helper()
	c := e.Connect(t)
	return c, &cable{p: e.Proxy(c)}
}

func mustLock(t *testing.T, m *lock.Mutex) *lock.Hold {
	t.Helper()
	h, err := m.Lock(t.Context())
	require.NoError(t, err)
	require.NoError(t, h.Context().Err())
	return h
}

func TestLockIsPassedOnInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, _ := connect(t, srv)
		h := mustLock(t, lock.NewMutex(c, path, nil))
		require.True(t, strings.HasPrefix(h.Path(), path+"/_c_"))
		require.Same(t, c.Session(), h.Session())
		order := make(chan int)
		var all sync.WaitGroup
		for i := range 5 {
			other, _ := connect(t, srv)
			all.Go(func() {
				mine, err := lock.NewMutex(other, path, nil).Lock(t.Context())
				if err != nil {
					t.Error(err)
				}
				order <- i
				if err := mine.Release(t.Context()); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		line, err := lock.NewMutex(c, path, nil).Line(t.Context())
		require.NoError(t, err)
		require.Len(t, line, 6)
		require.NoError(t, h.Release(t.Context()))
		for i := range 5 {
			require.Equal(t, i, <-order)
		}
		all.Wait()
	})
}

func TestTryLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, _ := connect(t, srv)
		other, _ := connect(t, srv)
		m := lock.NewMutex(c, path, nil)
		h, err := m.TryLock(t.Context())
		require.NoError(t, err)
		for _, m := range []*lock.Mutex{m, lock.NewMutex(other, path, nil)} {
			_, err = m.TryLock(t.Context())
			require.ErrorIs(t, err, lock.ErrHeld)
			require.EqualError(t, err, "trylock /locks/one: lock is held by another")
		}
		line, err := m.Line(t.Context())
		require.NoError(t, err)
		require.Len(t, line, 1)
		require.NoError(t, h.Release(t.Context()))
		h, err = lock.NewMutex(other, path, nil).TryLock(t.Context())
		require.NoError(t, err)
		require.NoError(t, h.Release(t.Context()))
	})
}

// A try whose node somebody else removes is over.
func TestTryLockIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		e.DelayClient(c, 20*time.Millisecond)
		var removing sync.WaitGroup
		removing.Go(func() { // ends when it has removed it
			for {
				names, _, _ := other.Children(t.Context(), "/lock")
				if len(names) > 0 {
					if err := other.Delete(t.Context(), "/lock/"+names[0], client.AnyVersion); err != nil {
						t.Error(err)
					}
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
		_, err := lock.NewMutex(c, "/lock", &lock.Options{Delay: time.Second}).TryLock(t.Context())
		require.ErrorIs(t, err, lock.ErrRemoved)
		removing.Wait()
	})
}

// Many at once: one of them wins, and the losers leave nothing.
func TestTryLockTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, _ := connect(t, srv)
		m := lock.NewMutex(c, path, nil)
		var won atomic.Int32
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				switch _, err := m.TryLock(t.Context()); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, lock.ErrHeld):
					t.Error(err)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, won.Load())
		line, err := m.Line(t.Context())
		require.NoError(t, err)
		require.Len(t, line, 1)
	})
}

func TestCancelledLockLeavesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := connect(t, startServer(t))
		m := lock.NewMutex(c, path, nil)
		h := mustLock(t, m)
		why := errors.New("the user lost interest")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, why)
		defer cancel()
		start := time.Now()
		_, err := m.Lock(ctx)
		require.ErrorIs(t, err, why)
		require.Equal(t, time.Minute, time.Since(start))
		line, err := m.Line(t.Context())
		require.NoError(t, err)
		require.Len(t, line, 1)
		require.NoError(t, h.Context().Err())
	})
}

// A hold ends with its session, and the next one's token is greater. The loser is told by its own client.
func TestHoldEndsWithTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, wire := connect(t, srv)
		other, _ := connect(t, srv)
		h := mustLock(t, lock.NewMutex(c, path, nil))
		wire.set(true)
		next := mustLock(t, lock.NewMutex(other, path, nil))
		require.Greater(t, next.Token(), h.Token())
		<-h.Context().Done()
		require.ErrorIs(t, context.Cause(h.Context()), client.ErrSessionExpired)
		require.NoError(t, h.Release(t.Context()), "there is nothing left to release")
		require.NoError(t, next.Context().Err())

		require.NoError(t, other.Close())
		require.ErrorIs(t, context.Cause(next.Context()), client.ErrClosed)
	})
}

// A reconnect within the session's timeout costs nobody anything.
func TestHoldOutlivesAReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, wire := connect(t, srv)
		m := lock.NewMutex(c, path, nil)
		h := mustLock(t, m)
		for range 5 {
			wire.set(false)
			time.Sleep(5 * time.Second)
		}
		require.NoError(t, h.Context().Err())
		wire.set(false)
		require.NoError(t, h.Release(t.Context()))
		line, err := m.Line(t.Context())
		require.NoError(t, err)
		require.Empty(t, line)
	})
}

func TestReleaseIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := connect(t, startServer(t))
		m := lock.NewMutex(c, path, nil)
		h := mustLock(t, m)
		for range 2 {
			require.NoError(t, h.Release(t.Context()))
		}
		require.ErrorIs(t, context.Cause(h.Context()), lock.ErrReleased)
		next := mustLock(t, m)
		require.NoError(t, h.Release(t.Context()), "late")
		require.NoError(t, next.Context().Err(), "and it touched nobody else's")

		require.NoError(t, c.Delete(t.Context(), next.Path(), client.AnyVersion))
		<-next.Context().Done()
		require.ErrorIs(t, context.Cause(next.Context()), lock.ErrRemoved)
		require.NoError(t, next.Release(t.Context()))
	})
}

// A session lost while waiting costs the place in the line, not the call.
func TestLockGoesOnInTheNextSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, wire := connect(t, srv)
		other, _ := connect(t, srv)
		h := mustLock(t, lock.NewMutex(other, path, nil))
		old := c.Session()
		type result struct {
			hold *lock.Hold
			err  error
		}
		results, bound := make(chan result, 1), make(chan result, 1)
		go func() { // ends with the lock
			h, err := lock.NewMutex(c, path, nil).Lock(t.Context())
			results <- result{h, err}
		}()
		go func() { // ends with the session
			h, err := lock.NewMutex(old.Client(), path, nil).Lock(t.Context())
			bound <- result{h, err}
		}()
		synctest.Wait()
		wire.set(true)
		require.ErrorIs(t, (<-bound).err, client.ErrSessionExpired, "a view stays with its session")
		wire.set(false)
		_, err := c.AwaitSession(t.Context())
		require.NoError(t, err)
		require.NoError(t, h.Release(t.Context()))
		got := <-results
		require.NoError(t, got.err)
		require.NotSame(t, old, got.hold.Session())

		require.NoError(t, c.Close())
		_, err = lock.NewMutex(c, path, nil).Lock(t.Context())
		require.ErrorIs(t, err, client.ErrClosed)
	})
}

// The guard is exact: a change together with it happens only while the lock is held.
func TestGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := connect(t, startServer(t))
		h := mustLock(t, lock.NewMutex(c, path, nil))
		_, err := c.Multi(t.Context(), h.Guard(), client.CreateOp("/done", nil, nil))
		require.NoError(t, err)
		require.NoError(t, h.Release(t.Context()))
		_, err = c.Multi(t.Context(), h.Guard(), client.CreateOp("/done-late", nil, nil))
		require.ErrorIs(t, err, client.ErrNoNode)
		_, exists, err := c.Exists(t.Context(), "/done-late")
		require.NoError(t, err)
		require.False(t, exists)
	})
}

func TestForeignChildrenAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := connect(t, startServer(t))
		_, err := c.Create(t.Context(), path+"/leases", nil, &client.CreateOptions{Parents: client.ContainerParents})
		require.NoError(t, err)
		var log strings.Builder
		m := lock.NewMutex(c, path, &lock.Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), Data: []byte("me")})
		for range 3 {
			h := mustLock(t, m)
			data, _, err := c.Get(t.Context(), h.Path())
			require.NoError(t, err)
			require.Equal(t, "me", string(data))
			require.NoError(t, h.Release(t.Context()))
		}
		require.Equal(t, 1, strings.Count(log.String(), "leases"))
	})
}

// Contenders with impatient users and bad cables: never two inside who are entitled to it, tokens only grow, nobody is left in the line,
// and work gets done. A holder is entitled until its context ends, or its session is over.
func TestExclusionUnderTrouble(t *testing.T) {
	var done atomic.Int64
	seeds := uint64(40)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { done.Add(contend(t, seed)) })
		})
	}
	t.Logf("%d times the lock was held", done.Load())
	require.Greater(t, done.Load(), int64(25*seeds))
}

func contend(t *testing.T, seed uint64) int64 {
	const contenders, turns = 5, 12
	srv := startServer(t)
	var (
		inside sync.Mutex
		last   int64
		held   int64
		all    sync.WaitGroup
	)
	for i := range contenders {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		upTo := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }
		c, wire := connect(t, srv)
		m := lock.NewMutex(c, path, nil)
		all.Go(func() {
			for range turns {
				if rng.IntN(3) == 0 { // trouble soon: a break, or an outage that may cost the session
					out := rng.IntN(3) == 0
					time.AfterFunc(upTo(time.Second), func() { wire.set(out) })
					time.AfterFunc(time.Second+upTo(14*time.Second), wire.plug)
				}
				ctx, cancel := context.WithTimeout(t.Context(), upTo(time.Minute))
				h, err := m.Lock(ctx)
				cancel()
				if err != nil {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("seed %d: %v", seed, err)
					}
					continue
				}
				entered := inside.TryLock()
				if h.Context().Err() != nil { // lost before it was of use
					if entered {
						inside.Unlock()
					}
					continue
				}
				if !entered {
					t.Errorf("seed %d: two hold the lock", seed)
					return
				}
				if h.Token() <= last {
					t.Errorf("seed %d: token %d after %d", seed, h.Token(), last)
				}
				last = h.Token()
				held++
				work := time.NewTimer(upTo(500 * time.Millisecond))
				select {
				case <-work.C:
				case <-h.Context().Done():
				}
				inside.Unlock()
				if err := h.Release(t.Context()); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		})
	}
	all.Wait()
	admin, _ := connect(t, srv)
	time.Sleep(30 * time.Second) // sessions that were lost are over
	line, err := ticket.Line(t.Context(), admin, path, "lock-")
	require.NoError(t, err)
	require.Empty(t, line)
	return held
}
