package lock_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

func newSemaphore(t *testing.T, e *ensembletest.Ensemble, n int) *lock.Semaphore {
	t.Helper()
	return lock.NewSemaphore(e.Connect(t), path, n, nil)
}

func mustAcquire(t *testing.T, s *lock.Semaphore, weight int) *lock.Holds {
	t.Helper()
	h, err := s.Acquire(t.Context(), weight)
	require.NoError(t, err)
	require.NoError(t, h.Context().Err())
	require.Len(t, h.All(), weight)
	return h
}

// laterAcquire starts to acquire, and returns when it waits, or holds, for the result.
func laterAcquire(t *testing.T, s *lock.Semaphore, weight int) <-chan *lock.Holds {
	held := make(chan *lock.Holds, 1)
	go func() { // ends with the permits, or the test
		h, err := s.Acquire(t.Context(), weight)
		if err != nil {
			t.Error(err)
		}
		held <- h
	}()
	synctest.Wait()
	return held
}

func requirePermits(t *testing.T, s *lock.Semaphore, permits, waiting int) {
	t.Helper()
	given, err := s.Permits(t.Context())
	require.NoError(t, err)
	require.Len(t, given, permits)
	line, err := s.Line(t.Context())
	require.NoError(t, err)
	require.Len(t, line, waiting)
}

func TestSemaphore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ctx := startServer(t), t.Context()
		c := e.Connect(t)
		s := lock.NewSemaphore(c, path, 3, &lock.Options{Data: []byte("me")})
		require.Equal(t, path, s.Path())
		requirePermits(t, s, 0, 0)
		a := mustAcquire(t, s, 2)
		for _, h := range a.All() {
			require.Regexp(t, "^"+path+"/leases/_c_[0-9a-f-]{36}-lease-[0-9]{10}$", h.Path())
			data, stat, err := c.Get(ctx, h.Path())
			require.NoError(t, err)
			require.Equal(t, "me", string(data))
			require.Equal(t, c.Session().ID(), stat.EphemeralOwner)
		}
		b := mustAcquire(t, newSemaphore(t, e, 3), 1)
		requirePermits(t, s, 3, 0)
		_, err := s.TryAcquire(ctx, 1)
		require.ErrorIs(t, err, lock.ErrHeld)
		require.NoError(t, a.Release(ctx))
		require.NoError(t, a.Release(ctx), "again")
		require.ErrorIs(t, context.Cause(a.Context()), lock.ErrReleased)
		_, err = s.TryAcquire(ctx, 3)
		require.ErrorIs(t, err, lock.ErrHeld)
		one, err := s.TryAcquire(ctx, 1)
		require.NoError(t, err)
		two, err := s.TryAcquire(ctx, 1)
		require.NoError(t, err, "the door is free when the one before has returned")
		requirePermits(t, s, 3, 0)
		for _, h := range []*lock.Holds{b, one, two} {
			require.NoError(t, h.Release(ctx))
		}
		requirePermits(t, s, 0, 0)
	})
}

func TestSemaphoreRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ctx := startServer(t), t.Context()
		s := newSemaphore(t, e, 2)
		for _, acquire := range []func(context.Context, int) (*lock.Holds, error){s.Acquire, s.TryAcquire} {
			_, err := acquire(ctx, 0)
			require.ErrorIs(t, err, client.ErrBadArguments)
			_, err = acquire(ctx, 3)
			require.ErrorIs(t, err, lock.ErrLimit, "it would wait for ever, and others with it")
		}
		require.ErrorIs(t, s.SetLimit(ctx, 3), client.ErrBadArguments)
		limit, err := s.Limit(ctx)
		require.NoError(t, err)
		require.Equal(t, 2, limit)
		requirePermits(t, s, 0, 0)
	})
}

// All of what one asks for is taken behind one door: two who want all there is get it one after the other. (Curator's semaphore takes one
// permit after the other, and each would have half of them, for ever.)
func TestWeightsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		const n, turns = 4, 10
		var all sync.WaitGroup
		for range 3 {
			s := newSemaphore(t, e, n)
			all.Go(func() {
				for range turns {
					h, err := s.Acquire(t.Context(), n)
					if err != nil {
						t.Error(err)
						return
					}
					if err := h.Release(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		requirePermits(t, newSemaphore(t, e, n), 0, 0)
	})
}

// Who asks for many is not overtaken by those who ask for few, and one permit that is released tells one who waits.
func TestSemaphoreIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ctx := startServer(t), t.Context()
		s := newSemaphore(t, e, 3)
		one, two := mustAcquire(t, s, 1), mustAcquire(t, s, 2)
		waiting := []<-chan *lock.Holds{
			laterAcquire(t, newSemaphore(t, e, 3), 3), laterAcquire(t, newSemaphore(t, e, 3), 1), laterAcquire(t, newSemaphore(t, e, 3), 1),
		}
		requirePermits(t, s, 3, 3)
		_, err := s.TryAcquire(ctx, 1)
		require.ErrorIs(t, err, lock.ErrHeld)
		r := e.Record()
		require.NoError(t, two.Release(ctx))
		synctest.Wait()
		require.Empty(t, waiting[0])
		require.Empty(t, waiting[1], "there is room, but it is not its turn")
		require.Len(t, r.Woken(ensembletest.Match{Type: client.EventChildrenChanged}), 1)
		_, err = s.TryAcquire(ctx, 1)
		require.ErrorIs(t, err, lock.ErrHeld, "nor is it that of who does not stand in line")
		require.NoError(t, one.Release(ctx))
		many := <-waiting[0]
		requirePermits(t, s, 3, 2)
		require.NoError(t, many.Release(ctx))
		require.NoError(t, (<-waiting[1]).Release(ctx))
		require.NoError(t, (<-waiting[2]).Release(ctx))
		requirePermits(t, s, 0, 0)
	})
}

// A shared limit is one for all, four bytes as in Curator's SharedCount, and whoever waits hears of its changes.
func TestSharedLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ctx := startServer(t), t.Context()
		const at = "/limits/one"
		shared := func(n int) *lock.Semaphore { return lock.NewSharedSemaphore(e.Connect(t), path, at, n, nil) }
		a, b := shared(1), shared(5)
		one := mustAcquire(t, a, 1)
		node, ok := e.Server(1).Node(at)
		require.True(t, ok)
		require.Equal(t, []byte{0, 0, 0, 1}, node.Data)
		limit, err := b.Limit(ctx)
		require.NoError(t, err)
		require.Equal(t, 1, limit, "the first has made it")
		_, err = b.Acquire(ctx, 2)
		require.ErrorIs(t, err, lock.ErrLimit)

		waiting := laterAcquire(t, b, 1)
		require.Empty(t, waiting)
		require.NoError(t, a.SetLimit(ctx, 2))
		two := <-waiting
		_, err = b.TryAcquire(ctx, 1)
		require.ErrorIs(t, err, lock.ErrHeld)

		require.NoError(t, a.SetLimit(ctx, 1))
		require.NoError(t, one.Context().Err(), "nobody loses a permit")
		require.NoError(t, two.Context().Err())
		waiting = laterAcquire(t, a, 1)
		require.NoError(t, one.Release(ctx))
		synctest.Wait()
		require.Empty(t, waiting, "there is still one")
		require.NoError(t, two.Release(ctx))
		three := <-waiting

		patience, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		failed := make(chan error, 1)
		go func() { // ends with the limit
			_, err := b.Acquire(patience, 1)
			failed <- err
		}()
		synctest.Wait()
		require.NoError(t, a.SetLimit(ctx, 0))
		require.ErrorIs(t, <-failed, lock.ErrLimit, "who waits is told that there is nothing to wait for")
		require.ErrorIs(t, a.SetLimit(ctx, -1), client.ErrBadArguments)
		c := e.Connect(t)
		_, err = c.Set(ctx, at, []byte("a lot"), client.AnyVersion)
		require.NoError(t, err)
		_, err = a.Acquire(ctx, 1)
		require.ErrorIs(t, err, lock.ErrLimit)
		require.NoError(t, c.Delete(ctx, at, client.AnyVersion))
		require.NoError(t, a.SetLimit(ctx, 7))
		limit, err = b.Limit(ctx)
		require.NoError(t, err)
		require.Equal(t, 7, limit)
		require.NoError(t, three.Release(ctx))
		requirePermits(t, a, 0, 0)
	})
}

// A permit that is created after the limit has shrunk obeys it, also if there was room when it was asked for.
func TestLimitShrinksMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ctx := startServer(t), t.Context()
		c, wire := connect(t, e)
		a, b := lock.NewSharedSemaphore(e.Connect(t), path, "/limit", 2, nil), lock.NewSharedSemaphore(c, path, "/limit", 2, nil)
		one := mustAcquire(t, a, 1)
		late := wire.p.Freeze(proxy.Request(proxy.OpCreate, path+"/leases/*"))
		waiting := laterAcquire(t, b, 1)
		<-late.Struck()
		require.NoError(t, a.SetLimit(ctx, 1))
		late.End()
		synctest.Wait()
		require.Empty(t, waiting)
		requirePermits(t, a, 1, 1)
		require.NoError(t, one.Release(ctx))
		require.NoError(t, (<-waiting).Release(ctx))
	})
}

// Permits are one: what becomes of one of them becomes of all.
func TestPermitsEndTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ctx := startServer(t), t.Context()
		c, wire := connect(t, e)
		s := lock.NewSemaphore(c, path, 3, nil)
		h := mustAcquire(t, s, 3)
		_, err := c.Multi(ctx, append(h.Guard(), client.CreateOp("/done", nil, nil))...)
		require.NoError(t, err)
		require.NoError(t, c.Delete(ctx, h.All()[1].Path(), client.AnyVersion))
		<-h.Context().Done()
		require.ErrorIs(t, context.Cause(h.Context()), lock.ErrRemoved)
		_, err = c.Multi(ctx, append(h.Guard(), client.CreateOp("/done-late", nil, nil))...)
		require.ErrorIs(t, err, client.ErrNoNode)
		require.NoError(t, h.Release(ctx))

		h = mustAcquire(t, s, 2)
		other := newSemaphore(t, e, 3)
		wire.set(true)
		next := mustAcquire(t, other, 3)
		select {
		case <-h.Context().Done():
		default:
			t.Error("they are given to others while they are held")
		}
		require.ErrorIs(t, context.Cause(h.Context()), client.ErrSessionExpired)
		require.NoError(t, h.Release(ctx))
		require.NoError(t, next.Release(ctx))
	})
}

// Whatever answer gets lost, there are as many nodes as permits, and none when they are released.
func TestSemaphoreWithLostAnswers(t *testing.T) {
	for _, op := range []proxy.Op{proxy.OpCreate, proxy.OpGetChildren, proxy.OpDelete, proxy.OpGetData} {
		for _, skip := range []int{0, 1, 2, 3} {
			t.Run(fmt.Sprint(op, skip), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					e := startServer(t)
					c, wire := connect(t, e)
					s := lock.NewSharedSemaphore(c, path, "/limit", 3, nil)
					wire.p.Lose(proxy.Reply(op, "").Skip(skip).Times(2))
					h := mustAcquire(t, s, 3)
					admin := newSemaphore(t, e, 3)
					time.Sleep(5 * time.Second)
					requirePermits(t, admin, 3, 0)
					require.NoError(t, h.Release(t.Context()))
					requirePermits(t, admin, 0, 0)
				})
			})
		}
	}
}

// An Acquire that is cancelled at any moment leaves neither permits nor its place at the door.
func TestCancelledAcquireLeavesNothing(t *testing.T) {
	why := errors.New("the user lost interest")
	for delay := range 24 {
		synctest.Test(t, func(t *testing.T) {
			e := startServer(t)
			c, wire := connect(t, e)
			admin := newSemaphore(t, e, 4)
			one := mustAcquire(t, admin, delay%2+1)
			wire.p.Delay(proxy.Reply(proxy.OpAll, "").Always(), time.Millisecond) // so that there are moments
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Duration(delay)*time.Millisecond/2, why)
			defer cancel()
			h, err := lock.NewSemaphore(c, path, 4, nil).Acquire(ctx, 3)
			if err == nil {
				require.Equal(t, 1, delay%2+1, "there is room")
				require.NoError(t, h.Release(t.Context()))
			} else {
				require.ErrorIs(t, err, why)
			}
			requirePermits(t, admin, delay%2+1, 0)
			require.NoError(t, one.Release(t.Context()))
			time.Sleep(5 * time.Second)
			requirePermits(t, admin, 0, 0)
		})
	}
}

// Who is behind the door when somebody removes it goes to the end of the line, and there are never too many permits.
func TestDoorIsNotWhatLimitsPermits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ctx := startServer(t), t.Context()
		s := newSemaphore(t, e, 1)
		h := mustAcquire(t, s, 1)
		waiting := []<-chan *lock.Holds{laterAcquire(t, newSemaphore(t, e, 1), 1), laterAcquire(t, newSemaphore(t, e, 1), 1)}
		c := e.Connect(t)
		for range 3 {
			line, err := s.Line(ctx)
			require.NoError(t, err)
			require.NoError(t, c.Delete(ctx, path+"/locks/"+line[0].Name, client.AnyVersion))
			synctest.Wait()
		}
		requirePermits(t, s, 1, 2)
		require.NoError(t, h.Release(ctx))
		synctest.Wait()
		require.Equal(t, 1, len(waiting[0])+len(waiting[1]))
		requirePermits(t, s, 1, 1)
		for i, w := range waiting {
			if len(w) == 1 {
				require.NoError(t, (<-w).Release(ctx))
				require.NoError(t, (<-waiting[1-i]).Release(ctx))
				break
			}
		}
		requirePermits(t, s, 0, 0)
	})
}

// Others' nodes are no permits, and are told of; directories may be swept.
func TestStrangersAreNoPermits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ctx := startServer(t), t.Context()
		c := e.Connect(t)
		for range 2 {
			require.NoError(t, mustAcquire(t, newSemaphore(t, e, 1), 1).Release(ctx))
			for range 2 {
				_, err := e.Sweep(ctx)
				require.NoError(t, err)
			}
			_, there := e.Server(1).Node(path)
			require.False(t, there)
		}
		var log strings.Builder
		s := lock.NewSemaphore(c, path, 1, &lock.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for _, name := range []string{"lease-", "lease-7", "_c_short", "lock-0000000000"} {
			_, err := c.Create(ctx, path+"/leases/"+name, nil, &client.CreateOptions{Parents: client.ContainerParents})
			require.NoError(t, err)
		}
		for range 2 {
			require.NoError(t, mustAcquire(t, s, 1).Release(ctx))
		}
		require.Equal(t, 1, strings.Count(log.String(), "no contenders"))
	})
}

// Permits of all weights in trouble: never more than the limit, as it was when they were made, and all is given back.
func TestSemaphoreInTrouble(t *testing.T) {
	inRuns(t, func(t *testing.T, r *trial) {
		const n = 4
		r.dirs = []string{path + "/locks", path + "/leases"}
		r.contend(5, 12, func(c *contender, ctx context.Context) {
			s := lock.NewSemaphore(c.client, path, n, c.options())
			weight := 1 + c.IntN(n)
			h, err := s.Acquire(ctx, weight)
			if c.refused(err) {
				return
			}
			defer c.mustRelease(h)
			if !c.enter(h, n, weight, path) {
				return
			}
			defer c.leave(h)
			c.work(h)
		})
		requirePermits(t, newSemaphore(t, r.ensemble, n), 0, 0)
	})
}

// Permits that were held for too long are not held any more by the time somebody else holds one of them, also for who waits for the end of them
// all together.
func TestPermitsEndBeforeAnotherHasOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		c, other := e.Connect(t), newSemaphore(t, e, 8)
		for range 100 {
			h := mustAcquire(t, lock.NewSemaphore(c, path, 8, &lock.Options{MaxHold: time.Second}), 8)
			next := mustAcquire(t, other, 1)
			select {
			case <-h.Context().Done():
				require.ErrorIs(t, context.Cause(h.Context()), lock.ErrMaxHold)
			default:
				t.Fatal("it is held twice")
			}
			require.NoError(t, next.Release(t.Context()))
			require.NoError(t, h.Release(t.Context()))
		}
	})
}
