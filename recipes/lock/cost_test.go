package lock_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// asked is what a client has asked the servers for since the last time, but for the signs of life that it asks for while it holds.
func asked(r *ensembletest.Recorder, c *client.Client) (ops []string) {
	for _, op := range r.Operations(ensembletest.Match{Session: c.Session().ID()}) {
		if op.Op != "setData" {
			ops = append(ops, op.Op)
		}
	}
	r.Reset()
	return ops
}

// What it costs is what the package says.
func TestCostOfLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		a, b := e.Connect(t), e.Connect(t)
		r := e.Record()
		for _, acquire := range [][2]func(context.Context) (*lock.Hold, error){
			{lock.NewMutex(a, path, nil).Lock, lock.NewMutex(b, path, nil).Lock},
			{lock.NewRWMutex(a, path, nil).RLock, lock.NewRWMutex(b, path, nil).Lock},
			{lock.NewRWMutex(a, path, nil).Lock, lock.NewRWMutex(b, path, nil).RLock},
		} {
			require.NoError(t, mustHold(t, acquire[0]).Release(t.Context())) // now there is a directory
			asked(r, a)
			h := mustHold(t, acquire[0])
			require.Equal(t, []string{"create", "exists", "getChildren2", "exists"}, asked(r, a))
			next := later(t, acquire[1])
			require.Equal(t, []string{"create", "exists", "getChildren2", "getData"}, asked(r, b))
			require.NoError(t, h.Release(t.Context()))
			synctest.Wait()
			require.Equal(t, []string{"getChildren2", "exists"}, asked(r, b))
			require.NoError(t, (<-next).Release(t.Context()))
			synctest.Wait()
			require.Contains(t, asked(r, b), "delete")
			require.Empty(t, e.Watches(), "none is left behind")
		}
	})
}

func TestCostOfASemaphore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		a, b := e.Connect(t), e.Connect(t)
		s := lock.NewSemaphore(a, path, 2, nil)
		require.NoError(t, mustAcquire(t, s, 1).Release(t.Context())) // now there are directories
		r := e.Record()
		h := mustAcquire(t, s, 1)
		require.Equal(t, []string{
			"create", "exists", "getChildren2", "exists", // through the door
			"getChildren2", "create", "exists", "getChildren2", "exists", // a permit
			"delete", // the door
		}, asked(r, a))
		one := mustAcquire(t, s, 1)
		asked(r, a)
		next := laterAcquire(t, lock.NewSemaphore(b, path, 2, nil), 2)
		require.Equal(t, []string{"create", "exists", "getChildren2", "exists", "getChildren2", "getChildren2"}, asked(r, b))
		for _, h := range []*lock.Holds{one, h} {
			require.NoError(t, h.Release(t.Context()))
			synctest.Wait()
			require.Equal(t, "getChildren2", asked(r, b)[0])
		}
		require.NoError(t, (<-next).Release(t.Context()))
		synctest.Wait()
		require.Empty(t, e.Watches(), "none is left behind")
	})
}
