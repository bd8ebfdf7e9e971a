package ensembletest_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// All that clients do is recorded with what came of it, and nothing but that.
func TestRecord(t *testing.T) {
	bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		c := e.Server(2).Connect(t)
		mustCreate(t, c, "/before", client.Persistent)
		rec := e.Record()
		mustCreate(t, c, "/n", client.Persistent)
		mustCreate(t, c, "/n/s-", client.PersistentSequential)
		_, _, w, err := c.GetW(soon(t), "/n")
		require.NoError(t, err)
		mustSet(t, c, "/n", "x")
		_, err = w.Wait(soon(t))
		require.NoError(t, err)
		_, err = c.Set(soon(t), "/n", nil, 7)
		require.ErrorIs(t, err, client.ErrBadVersion)
		_, err = c.Multi(soon(t), client.SetOp("/n", nil, client.AnyVersion), client.DeleteOp("/none", client.AnyVersion))
		require.Error(t, err)
		_, err = c.Multi(soon(t), client.CreateOp("/m", nil, nil), client.DeleteOp("/before", client.AnyVersion))
		require.NoError(t, err)
		_, _, err = c.Children(soon(t), "/")
		require.NoError(t, err)
		require.NoError(t, c.Sync(soon(t), "/"))

		id := fmt.Sprintf(" by %#x", c.Session().ID())
		var said []string
		for _, o := range rec.Operations(ensembletest.Match{}) {
			require.Equal(t, 2, o.Server)
			said = append(said, o.String())
		}
		require.Equal(t, []string{
			"create /n" + id, "create /n/s-" + id, "getData /n" + id, "setData /n" + id, "setData /n" + id + ": version does not match",
			"multi [setData /n] [delete /none]" + id + ": node does not exist", "multi [create /m] [delete /before]" + id,
			"getChildren2 /" + id, "sync /" + id,
		}, said)
		all := rec.Operations(ensembletest.Match{})
		require.Equal(t, "/n/s-0000000000", all[1].Created)
		require.True(t, all[2].Watch)
		require.ErrorIs(t, all[4].Err, client.ErrBadVersion)
		require.Equal(t, "/m", all[6].Parts[0].Created)
		require.Len(t, rec.Events(ensembletest.Match{}), 1)
		require.Equal(t, "/n data changed: to"+id[3:], rec.Events(ensembletest.Match{})[0].String())

		for n, m := range []ensembletest.Match{
			{Session: 1}, {Op: "sync"}, {Op: "create"}, {Below: "/n"}, {Op: "setData", Path: "/n"}, {Server: 3}, {Path: "/none"},
		} {
			require.Len(t, rec.Operations(m), []int{0, 1, 3, 1, 3, 0, 1}[n], "%+v", m)
		}
		require.Equal(t, []int64{c.Session().ID()}, rec.Woken(ensembletest.Match{Type: client.EventDataChanged}))
		require.Empty(t, rec.Woken(ensembletest.Match{Type: client.EventDeleted}))

		rec.Reset()
		mustSet(t, c, "/n", "y")
		require.Len(t, rec.Operations(ensembletest.Match{}), 1)
		other := e.Record()
		rec.Stop()
		mustSet(t, e.Server(1).Connect(t), "/n", "z")
		require.Len(t, rec.Operations(ensembletest.Match{}), 1)
		require.Equal(t, 1, other.Operations(ensembletest.Match{Op: "setData"})[0].Server)
		require.Empty(t, rec.Events(ensembletest.Match{}), "the watch had been told once")
	})
}

// Who was away is told of what it has missed when it comes back, which is recorded too.
func TestRecordOfWhatWasMissed(t *testing.T) {
	bubble(t, 1, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		mustCreate(t, e.Connect(t), "/n", client.Persistent)
		conn, err := rawclient.Dial(t.Context(), rawclient.Options{Addr: e.ConnectString(), Network: dialer(e.Dial)})
		require.NoError(t, err)
		defer conn.Close()
		rec := e.Record()
		_, err = conn.Call(soon(t), wire.OpSetWatches, &wire.SetWatchesRequest{Exist: []string{"/n"}, Data: []string{"/none"}})
		require.NoError(t, err)
		events := rec.Events(ensembletest.Match{Session: int64(conn.Session())})
		require.Len(t, events, 2)
		require.Equal(t, []string{"/none", "/n"}, []string{events[0].Path, events[1].Path})
		require.Equal(t, []client.EventType{client.EventDeleted, client.EventCreated}, []client.EventType{events[0].Type, events[1].Type})
		require.Len(t, rec.Operations(ensembletest.Match{Op: "setWatches"}), 1)
	})
}

// Ten wait for a lock. Whoever lets go of it wakes one of them, not all.
func TestRecordOfAHerd(t *testing.T) {
	const waiters = 10
	bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		first := e.Connect(t)
		hold, err := lock.NewMutex(first, "/lock", nil).Lock(soon(t))
		require.NoError(t, err)
		holds := make(chan *lock.Hold, waiters)
		var sessions []int64
		for range waiters {
			c := e.Connect(t)
			sessions = append(sessions, c.Session().ID())
			go func() { // ends when it has the lock, which it does when the one before it lets go
				if hold, err := lock.NewMutex(c, "/lock", nil).Lock(t.Context()); err == nil {
					holds <- hold
				}
			}()
			synctest.Wait()
		}
		rec, holder := e.Record(), first.Session().ID()
		for _, next := range sessions {
			require.NoError(t, hold.Release(soon(t)))
			hold = <-holds
			synctest.Wait()
			waiting := slices.DeleteFunc(rec.Woken(ensembletest.Match{}), func(id int64) bool { return id == holder }) // who watches its own
			require.Equal(t, []int64{next}, waiting)
			holder = next
			require.Len(t, rec.Operations(ensembletest.Match{Op: "delete", Below: "/lock"}), 1)
			rec.Reset()
		}
		require.NoError(t, hold.Release(soon(t)))
		rec.Reset()

		gather := func() { // as it should not be done
			for _, c := range []*client.Client{e.Connect(t), e.Connect(t)} {
				_, _, _, err := c.ExistsW(soon(t), "/crowd")
				require.NoError(t, err)
			}
		}
		gather()
		mustCreate(t, e.Connect(t), "/crowd", client.Persistent)
		mustCatchUp(t, e)
		synctest.Wait()
		require.Len(t, rec.Woken(ensembletest.Match{Path: "/crowd"}), 2)
		require.False(t, slices.ContainsFunc(rec.Woken(ensembletest.Match{}), func(id int64) bool { return slices.Contains(sessions, id) }))
	})
}
