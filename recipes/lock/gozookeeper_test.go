package lock_test

import (
	"context"
	"io"
	"log"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// dial connects as programs do that use go-zookeeper alone.
func dial(t *testing.T, e *ensembletest.Ensemble) *zk.Conn {
	t.Helper()
	conn, _, err := zk.Connect([]string{e.ConnectString()}, 10*time.Second, zk.WithLogger(log.New(io.Discard, "", 0)),
		zk.WithDialer(func(network, addr string, _ time.Duration) (net.Conn, error) {
			return e.Dial(context.Background(), network, addr)
		}))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

// laterTheirs is later for go-zookeeper's Lock.
func laterTheirs(t *testing.T, l *zk.Lock) <-chan error {
	held := make(chan error, 1)
	go func() { held <- l.Lock() }() // ends with the lock, or the connection
	synctest.Wait()
	return held
}

// A Mutex and go-zookeeper's own Lock are one lock on one path: each waits for the other, in the order in which they came, and is seen.
func TestGoZookeepersLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, e := t.Context(), startServer(t)
		ours, theirs := lock.NewMutex(e.Connect(t), path, nil), zk.NewLock(dial(t, e), path, zk.WorldACL(zk.PermAll))
		require.NoError(t, theirs.Lock(), "who makes the directory")
		_, err := ours.TryLock(ctx)
		require.ErrorIs(t, err, lock.ErrHeld)
		next := later(t, ours.Lock)
		behind := laterTheirs(t, zk.NewLock(dial(t, e), path, zk.WorldACL(zk.PermAll)))
		requireWaits(t, next)

		state, err := ours.Inspect(ctx)
		require.NoError(t, err)
		require.Len(t, state.Holders, 1)
		require.Len(t, state.Waiters, 2)
		require.Empty(t, state.Foreign)
		require.NotZero(t, state.Holders[0].Token)
		require.NotZero(t, state.Holders[0].Session)

		require.NoError(t, theirs.Unlock())
		h := <-next
		require.Greater(t, h.Token(), state.Holders[0].Token)
		synctest.Wait()
		require.Empty(t, behind, "it waits for ours")
		require.NoError(t, h.Release(ctx))
		require.NoError(t, <-behind)
	})
}

// Users of both take turns: one is inside, and a number that each reads and writes in two steps has counted all of them.
func TestTurnsWithGoZookeepersLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const users, turns = 3, 30
		e := startServer(t)
		var all sync.WaitGroup
		inside, count := 0, 0
		turn := func() {
			inside++
			before := count
			time.Sleep(time.Millisecond) // virtual: whoever could come in does
			if inside != 1 {
				t.Error("two are inside")
			}
			inside--
			count = before + 1
		}
		for range users {
			m, conn := lock.NewMutex(e.Connect(t), path, nil), dial(t, e)
			all.Go(func() {
				for range turns {
					h, err := m.Lock(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					turn()
					if err := h.Release(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
			all.Go(func() {
				l := zk.NewLock(conn, path, zk.WorldACL(zk.PermAll))
				for range turns {
					if err := l.Lock(); err != nil {
						t.Error(err)
						return
					}
					turn()
					if err := l.Unlock(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		require.Equal(t, 2*users*turns, count)
	})
}

// With locks of other layouts go-zookeeper's Lock cannot share a path: it waits for them, as it takes all names for numbers, and they do not
// wait for it, which is said by Inspect.
func TestGoZookeepersLockIsForeignToOtherLayouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, e := t.Context(), startServer(t)
		theirs := zk.NewLock(dial(t, e), path, zk.WorldACL(zk.PermAll))
		require.NoError(t, theirs.Lock())
		c := e.Connect(t)
		kazoos, rw := lock.NewMutex(c, path, &lock.Options{Layout: lock.KazooLayout}), lock.NewRWMutex(c, path, nil)
		for _, inspect := range []func(context.Context) (lock.State, error){kazoos.Inspect, rw.Inspect} {
			state, err := inspect(ctx)
			require.NoError(t, err)
			require.Empty(t, state.Holders)
			require.Len(t, state.Foreign, 1)
			require.Regexp(t, "^_c_[0-9a-f]{32}-lock-", state.Foreign[0].Name)
		}
	})
}
