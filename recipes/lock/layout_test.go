package lock_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// In kazoo's layout names are such as kazoo knows, and nodes that it makes are contenders.
func TestKazooLayout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := startServer(t)
		c, python := e.Connect(t), e.Connect(t)
		opts := &lock.Options{Layout: lock.KazooLayout, Reentrant: true}
		kazoo := func(kind string) (node string) {
			node, err := python.Create(ctx, path+"/0123456789abcdef0123456789abcdef"+kind, nil, &client.CreateOptions{Mode: client.EphemeralSequential})
			require.NoError(t, err)
			return node
		}
		m := lock.NewMutex(c, path, opts)
		h := mustLock(t, m)
		require.Regexp(t, `/_c_[0-9a-f-]{36}-__lock__\d{10}$`, h.Path())
		again, err := m.Lock(h.Context())
		require.NoError(t, err)
		require.NoError(t, again.Release(ctx))
		node := kazoo("__lock__")
		next := later(t, m.Lock)
		require.NoError(t, h.Release(ctx))
		requireWaits(t, next)
		require.NoError(t, python.Delete(ctx, node, client.AnyVersion))
		require.NoError(t, (<-next).Release(ctx))

		rw := lock.NewRWMutex(c, path, opts)
		node = kazoo("__rlock__")
		reader := mustHold(t, rw.RLock)
		_, err = rw.Lock(reader.Context())
		require.ErrorIs(t, err, lock.ErrNested)
		require.NoError(t, reader.Release(ctx))
		_, err = rw.TryLock(ctx)
		require.ErrorIs(t, err, lock.ErrHeld)
		require.NoError(t, python.Delete(ctx, node, client.AnyVersion))
		writer := mustHold(t, rw.Lock)
		require.NoError(t, writer.Downgrade(ctx))
		require.Regexp(t, `/_c_[0-9a-f-]{36}-__rlock__\d{10}$`, writer.Path())
		require.NoError(t, writer.Release(ctx))

		_, err = lock.NewSemaphore(c, "/permits", 1, opts).Acquire(ctx, 1)
		require.ErrorIs(t, err, client.ErrBadArguments)
	})
}
