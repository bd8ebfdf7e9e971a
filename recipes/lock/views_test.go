package lock_test

import (
	"context"
	"io"
	"log"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// Over a connection that cannot promise when its session ends, nothing is locked, and nothing left.
func TestNothingIsLockedOverAWrappedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		conn, events, err := zk.Connect([]string{e.ConnectString()}, 10*time.Second, zk.WithLogger(log.New(io.Discard, "", 0)),
			zk.WithDialer(func(network, addr string, _ time.Duration) (net.Conn, error) {
				return e.Dial(context.Background(), network, addr)
			}))
		require.NoError(t, err)
		c, err := client.Wrap(t.Context(), conn, events, nil)
		require.NoError(t, err)
		defer c.Close()
		_, err = lock.NewMutex(c, "/lock", nil).Lock(t.Context())
		require.ErrorIs(t, err, client.ErrWrapped)
		_, err = lock.NewRWMutex(c, "/rw", nil).RLock(t.Context())
		require.ErrorIs(t, err, client.ErrWrapped)
		_, err = lock.NewSemaphore(c, "/semaphore", 2, nil).Acquire(t.Context(), 2)
		require.ErrorIs(t, err, client.ErrWrapped)
		time.Sleep(time.Second)
		for path := range e.Server(1).Tree() {
			require.NotContains(t, path, "_c_", "a node was left")
		}
	})
}

// A lock of a view of the client is the same lock as the whole client's, at the path where it is.
func TestLockOfAView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		whole := e.Connect(t)
		c, err := whole.Sub("/team")
		require.NoError(t, err)
		m := lock.NewMutex(c, "/lock", nil)
		hold, err := m.Lock(ctx)
		require.NoError(t, err)
		_, err = c.Create(ctx, "/state", nil, nil)
		require.NoError(t, err)
		_, err = c.Multi(ctx, hold.Guard(), client.SetOp("/state", []byte("mine"), 0))
		require.NoError(t, err)
		_, err = lock.NewMutex(e.Connect(t), "/team/lock", nil).TryLock(ctx)
		require.ErrorIs(t, err, lock.ErrHeld)
		require.NoError(t, hold.Release(ctx))
		other, err := lock.NewMutex(whole, "/team/lock", nil).Lock(ctx)
		require.NoError(t, err)
		require.NoError(t, other.Release(ctx))

		permit, err := lock.NewSharedSemaphore(c, "/semaphore", "/limit", 1, nil).Acquire(ctx, 1)
		require.NoError(t, err)
		_, err = lock.NewSharedSemaphore(whole, "/team/semaphore", "/team/limit", 5, nil).TryAcquire(ctx, 1)
		require.ErrorIs(t, err, lock.ErrHeld)
		require.NoError(t, permit.Release(ctx))
		read, err := lock.NewRWMutex(c, "/rw", nil).RLock(ctx)
		require.NoError(t, err)
		_, err = lock.NewRWMutex(whole, "/team/rw", nil).TryLock(ctx)
		require.ErrorIs(t, err, lock.ErrHeld)
		require.NoError(t, read.Release(ctx))
	})
}
