package lock_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

var paths = []string{"/locks/c", "/locks/a", "/locks/b"}

func newMulti(t *testing.T, c *client.Client, paths ...string) *lock.Multi {
	t.Helper()
	var locks []*lock.Mutex
	for _, p := range paths {
		locks = append(locks, lock.NewMutex(c, p, nil))
	}
	m, err := lock.NewMulti(locks...)
	require.NoError(t, err)
	return m
}

func requireFree(t *testing.T, c *client.Client, paths ...string) {
	t.Helper()
	for _, p := range paths {
		line, err := lock.NewMutex(c, p, nil).Line(t.Context())
		require.NoError(t, err)
		require.Empty(t, line, p)
	}
}

func TestMulti(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ctx := startServer(t), t.Context()
		c, other := e.Connect(t), e.Connect(t)
		m := newMulti(t, c, paths...)
		h, err := m.Lock(ctx)
		require.NoError(t, err)
		require.NoError(t, h.Context().Err())
		require.Len(t, h.All(), 3)
		for i, one := range h.All() {
			require.Contains(t, one.Path(), paths[i], "in the order they were given")
			_, err := lock.NewMutex(other, paths[i], nil).TryLock(ctx)
			require.ErrorIs(t, err, lock.ErrHeld)
		}
		_, err = c.Multi(ctx, append(h.Guard(), client.CreateOp("/done", nil, nil))...)
		require.NoError(t, err)
		require.NoError(t, c.Delete(ctx, h.All()[2].Path(), client.AnyVersion))
		<-h.Context().Done()
		require.ErrorIs(t, context.Cause(h.Context()), lock.ErrRemoved)
		_, err = c.Multi(ctx, append(h.Guard(), client.CreateOp("/done-late", nil, nil))...)
		require.ErrorIs(t, err, client.ErrNoNode, "one of them is not held any more")
		require.NoError(t, h.Release(ctx))
		requireFree(t, other, paths...)

		h, err = m.TryLock(ctx)
		require.NoError(t, err)
		require.NoError(t, h.Release(ctx))
		require.ErrorIs(t, context.Cause(h.Context()), lock.ErrReleased)
		one := mustLock(t, lock.NewMutex(other, paths[0], nil))
		_, err = m.TryLock(ctx)
		require.ErrorIs(t, err, lock.ErrHeld)
		requireFree(t, other, paths[1:]...)
		require.NoError(t, one.Release(ctx))
	})
}

func TestMultiRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		c, other := e.Connect(t), e.Connect(t)
		a, b := lock.NewMutex(c, "/a", nil), lock.NewMutex(c, "/b", nil)
		for _, locks := range [][]*lock.Mutex{{}, {a, b, a}, {a, lock.NewMutex(c, "/a", nil)}, {a, lock.NewMutex(other, "/b", nil)}} {
			_, err := lock.NewMulti(locks...)
			require.ErrorIs(t, err, client.ErrBadArguments)
		}
	})
}

// One time limit is for all together, and who runs out of it keeps none. (In Curator's each lock may take all of the time.)
func TestMultiHasOneDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		c, other := e.Connect(t), e.Connect(t)
		first, last := mustLock(t, lock.NewMutex(other, "/locks/a", nil)), mustLock(t, lock.NewMutex(other, "/locks/c", nil))
		time.AfterFunc(40*time.Second, func() { _ = first.Release(context.Background()) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := newMulti(t, c, paths...).Lock(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))
		requireFree(t, c, "/locks/a", "/locks/b")
		require.NoError(t, last.Release(t.Context()))
		requireFree(t, c, paths...)
	})
}

// One that cannot be locked is the end at once: those that were held are given back, and none behind it is tried. (Curator's goes on.)
func TestMultiWhoseMemberFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ctx := startServer(t), t.Context()
		c, other := e.Connect(t), e.Connect(t)
		held := mustLock(t, lock.NewMutex(other, "/locks/c", nil))
		_, err := other.Create(ctx, "/locks/b", nil, &client.CreateOptions{ACL: client.WorldACL(client.PermRead)})
		require.NoError(t, err)
		for _, acquire := range []func(context.Context) (*lock.Holds, error){newMulti(t, c, paths...).Lock, newMulti(t, c, paths...).TryLock} {
			start := time.Now()
			_, err = acquire(ctx)
			require.ErrorIs(t, err, client.ErrNoAuth)
			require.Less(t, time.Since(start), time.Second)
			requireFree(t, other, "/locks/a", "/locks/b")
			line, err := lock.NewMutex(other, "/locks/c", nil).Line(ctx)
			require.NoError(t, err)
			require.Len(t, line, 1)
			require.NoError(t, held.Context().Err())
		}
	})
}

// In whatever order they were named: nobody waits for each other.
func TestMultisInDifferentOrdersDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		var all sync.WaitGroup
		for i := range 3 {
			c, wire := connect(t, e)
			wire.p.Delay(proxy.Reply(proxy.OpAll, "").Always(), time.Millisecond) // so that they meet half-way
			m := newMulti(t, c, slices.Concat(paths[i:], paths[:i])...)
			all.Go(func() {
				for range 10 {
					h, err := m.Lock(t.Context())
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
		requireFree(t, e.Connect(t), paths...)
	})
}

// What is lost while the others are waited for is acquired again, in the session of the others.
func TestMultiIsHeldInOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		c, wire := connect(t, e)
		other := e.Connect(t)
		last := mustLock(t, lock.NewMutex(other, "/locks/c", nil))
		held := make(chan *lock.Holds, 1)
		go func() { // ends with the locks
			h, err := newMulti(t, c, paths...).Lock(t.Context())
			if err != nil {
				t.Error(err)
			}
			held <- h
		}()
		synctest.Wait()
		removeFirst(t, c, "/locks/a")
		synctest.Wait()
		line, err := lock.NewMutex(c, "/locks/a", nil).Line(t.Context())
		require.NoError(t, err)
		require.Len(t, line, 1, "it does not wait for the last one without the first one")
		old := c.Session()
		wire.set(true)
		<-old.Context().Done()
		wire.set(false)
		_, err = c.AwaitSession(t.Context())
		require.NoError(t, err)
		time.Sleep(20 * time.Second)
		require.Empty(t, held)
		require.NoError(t, last.Release(t.Context()))
		h := <-held
		require.NoError(t, h.Context().Err())
		for _, one := range h.All() {
			require.Same(t, c.Session(), one.Session())
		}
		require.NoError(t, h.Release(t.Context()))
		requireFree(t, other, paths...)
	})
}

func removeFirst(t *testing.T, c *client.Client, path string) {
	t.Helper()
	line, err := lock.NewMutex(c, path, nil).Line(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, line)
	require.NoError(t, c.Delete(t.Context(), path+"/"+line[0].Name, client.AnyVersion))
}

// Some of some locks, in any order, in trouble: whoever holds one of them is alone with it.
func TestMultiInTrouble(t *testing.T) {
	inRuns(t, func(t *testing.T, r *trial) {
		r.dirs = paths
		tokens := make(map[string]int64)
		r.contend(4, 12, func(c *contender, ctx context.Context) {
			some := slices.Clone(paths)
			c.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
			some = some[:1+c.IntN(3)]
			h, err := newMulti(t, c.client, some...).Lock(ctx)
			if c.refused(err) {
				return
			}
			defer c.mustRelease(h)
			if !c.enter(h, 1, 1, some...) {
				return
			}
			defer c.leave(h)
			c.trial.mu.Lock()
			for i, one := range h.All() {
				if one.Token() <= tokens[some[i]] {
					t.Errorf("seed %d: token %d of %s after %d", r.seed, one.Token(), some[i], tokens[some[i]])
				}
				tokens[some[i]] = one.Token()
			}
			c.trial.mu.Unlock()
			c.work(h)
		})
		requireFree(t, r.ensemble.Connect(t), paths...)
		require.Empty(t, r.inside, fmt.Sprint("seed ", r.seed))
	})
}
