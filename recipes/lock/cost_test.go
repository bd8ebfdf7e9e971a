package lock_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// asked is what a client has asked the servers for since the last time.
func asked(r *ensembletest.Recorder, c *client.Client) (ops []string) {
	synctest.Wait()
	for _, op := range r.Operations(ensembletest.Match{Session: c.Session().ID()}) {
		ops = append(ops, op.Op)
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
			require.Equal(t, []string{"create2", "getChildren2", "getData"}, asked(r, a))
			next := later(t, acquire[1])
			require.Equal(t, []string{"create2", "getChildren2", "getData", "getData"}, asked(r, b))
			require.NoError(t, h.Release(t.Context()))
			synctest.Wait()
			require.Equal(t, []string{"getChildren2"}, asked(r, b))
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
		synctest.Wait()
		r := e.Record()
		h := mustAcquire(t, s, 1)
		asks := asked(r, a)
		require.LessOrEqual(t, len(asks), 8, "a look at the door's node is left out if the door is gone already")
		require.Subset(t, []string{
			"create2", "getChildren2", "getChildren2", // through the door, and how many there are
			"create2", "getChildren2", "getData", // a permit
			"delete", "getData", // the door
		}, asks)
		one := mustAcquire(t, s, 1)
		asked(r, a)
		next := laterAcquire(t, lock.NewSemaphore(b, path, 2, nil), 2)
		require.ElementsMatch(t, []string{"create2", "getChildren2", "getChildren2", "getData", "getChildren2"}, asked(r, b))
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

// What takes time is round trips to the servers, one after the other: as many as the package says, measured on a slow way.
func TestRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const trip = 2 * time.Second / 100
		e := startServer(t)
		a, b := e.Connect(t), e.Connect(t)
		for _, path := range []string{path, path + "/leases", path + "/locks"} {
			_, err := a.Create(t.Context(), path, nil, &client.CreateOptions{Parents: client.PersistentParents})
			require.NoError(t, err)
		}
		for _, c := range []*client.Client{a, b} {
			e.DelayClient(c, trip/2)
		}
		begun := time.Now()
		takes := func(want int, what string) {
			t.Helper()
			require.Equal(t, time.Duration(want)*trip, time.Since(begun), what)
			begun = time.Now()
		}
		m := lock.NewMutex(a, path, nil)
		h := mustHold(t, m.Lock)
		takes(1, "Lock")
		require.NoError(t, h.Release(t.Context()))
		takes(1, "Release")
		h, err := m.TryLock(t.Context())
		require.NoError(t, err)
		takes(2, "TryLock")
		next := later(t, lock.NewMutex(b, path, nil).Lock)
		time.Sleep(time.Hour) // nobody is sure of the session of one who waits
		begun = time.Now()
		require.NoError(t, h.Release(t.Context()))
		takes(1, "Release")
		h = <-next
		takes(1, "the list, and the session, from when the one ahead has gone")
		require.NoError(t, h.Release(t.Context()))
		takes(1, "Release")
		m = lock.NewMutex(a, path, &lock.Options{Delay: time.Minute, Reentrant: true})
		h = mustHold(t, m.Lock)
		takes(2, "Lock, with a mark")
		again, err := m.Lock(h.Context())
		require.NoError(t, err)
		require.NoError(t, again.Release(t.Context()))
		takes(0, "Lock of what is held")
		require.NoError(t, h.Release(t.Context()))
		takes(2, "Release, with a mark")
		permits := mustAcquire(t, lock.NewSemaphore(a, path, 9, nil), 5)
		takes(3, "Acquire")
		require.NoError(t, permits.Release(t.Context()))
		takes(1, "Release")
	})
}
