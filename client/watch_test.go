package client_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
)

func mustWake(t *testing.T, w *client.Watch, want client.EventType, path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	event, err := w.Wait(ctx)
	require.NoError(t, err)
	require.Equal(t, client.Event{Type: want, Path: path}, event)
}

func mustSleep(t *testing.T, w *client.Watch) {
	t.Helper()
	synctest.Wait()
	select {
	case <-w.Done():
		event, err := w.Wait(t.Context())
		t.Fatalf("woken by %v %v", event, err)
	default:
	}
}

func TestWatchesWakeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		srv := startServer(t, nil)
		c, _ := connect(t, srv, nil)
		other, _ := connect(t, srv, nil)

		_, exists, created, err := c.ExistsW(ctx, "/a")
		require.NoError(t, err)
		require.False(t, exists)
		mustSleep(t, created)
		mustCreate(t, other, "/a", nil)
		mustWake(t, created, client.EventCreated, "/a")

		_, _, data, err := c.GetW(ctx, "/a")
		require.NoError(t, err)
		_, exists, there, err := c.ExistsW(ctx, "/a")
		require.NoError(t, err)
		require.True(t, exists)
		_, _, children, err := c.ChildrenW(ctx, "/a")
		require.NoError(t, err)
		mustCreate(t, other, "/a/b", nil)
		mustWake(t, children, client.EventChildrenChanged, "/a")
		mustSleep(t, data)
		_, err = other.Set(ctx, "/a", nil, client.AnyVersion)
		require.NoError(t, err)
		mustWake(t, data, client.EventDataChanged, "/a")
		mustWake(t, there, client.EventDataChanged, "/a")
		mustWake(t, data, client.EventDataChanged, "/a") // the same answer for ever

		_, _, data, err = c.GetW(ctx, "/a/b")
		require.NoError(t, err)
		_, _, children, err = c.ChildrenW(ctx, "/a/b")
		require.NoError(t, err)
		require.NoError(t, other.Delete(ctx, "/a/b", client.AnyVersion))
		mustWake(t, data, client.EventDeleted, "/a/b")
		mustWake(t, children, client.EventDeleted, "/a/b")

		_, _, _, err = c.GetW(ctx, "/nowhere")
		require.ErrorIs(t, err, client.ErrNoNode)
		_, _, _, err = c.ChildrenW(ctx, "/nowhere")
		require.ErrorIs(t, err, client.ErrNoNode)
	})
}

// Waiting for a watch ends with the context too; the watch stays, and whoever asks next shares it.
func TestWatchIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t, nil)
		c, _ := connect(t, srv, nil)
		other, _ := connect(t, srv, nil)
		mustCreate(t, c, "/a", nil)
		var last *client.Watch
		for range 20 {
			_, _, w, err := c.GetW(t.Context(), "/a")
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, err = w.Wait(ctx)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			if last != nil {
				require.Equal(t, last.Done(), w.Done(), "one watch on the server")
			}
			last = w
		}
		_, err := other.Set(t.Context(), "/a", nil, client.AnyVersion)
		require.NoError(t, err)
		mustWake(t, last, client.EventDataChanged, "/a")
		_, _, w, err := c.GetW(t.Context(), "/a")
		require.NoError(t, err)
		mustSleep(t, w)
		require.NoError(t, other.Delete(t.Context(), "/a", client.AnyVersion))
		mustWake(t, w, client.EventDeleted, "/a")
	})
}

// After a reconnect every watch wakes, whether something changed or not, and the end of the session is no silent one either.
func TestWatchesWakeAfterReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c, l := connect(t, startServer(t, nil), nil)
		mustCreate(t, c, "/a", nil)
		_, _, data, err := c.GetW(ctx, "/a")
		require.NoError(t, err)
		_, _, absent, err := c.ExistsW(ctx, "/b")
		require.NoError(t, err)
		l.drop()
		mustWake(t, data, client.EventReconnected, "/a")
		mustWake(t, absent, client.EventReconnected, "/b")

		_, _, data, err = c.GetW(ctx, "/a")
		require.NoError(t, err)
		mustSleep(t, data)
		_, err = c.Set(ctx, "/a", nil, client.AnyVersion)
		require.NoError(t, err)
		mustWake(t, data, client.EventDataChanged, "/a")

		_, _, data, err = c.GetW(ctx, "/a")
		require.NoError(t, err)
		l.cut()
		_, err = data.Wait(ctx)
		require.ErrorIs(t, err, client.ErrSessionExpired)
	})
}

// A loop over a node sees what happened behind a broken connection, also when the node was replaced by another one.
func TestWatchNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t, nil)
		c, l := connect(t, srv, nil)
		other, _ := connect(t, srv, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		nodes := make(chan client.Node)
		end := make(chan error, 1)
		go func() { // ends with ctx
			for n, err := range c.WatchNode(ctx, "/a") {
				if err != nil {
					end <- err
					return
				}
				nodes <- n
			}
		}()
		require.False(t, (<-nodes).Exists)
		mustCreate(t, other, "/a", nil)
		first := <-nodes
		require.True(t, first.Exists)
		require.Equal(t, "data", string(first.Data))
		_, err := other.Set(t.Context(), "/a", []byte("new"), client.AnyVersion)
		require.NoError(t, err)
		require.Equal(t, "new", string((<-nodes).Data))

		l.cut()
		require.NoError(t, other.Delete(t.Context(), "/a", client.AnyVersion))
		mustCreate(t, other, "/a", nil)
		l.plug()
		second := <-nodes
		require.True(t, second.Exists)
		require.NotEqual(t, first.Stat.Czxid, second.Stat.Czxid, "another node, and one can tell")

		l.cut()
		<-c.Session().Context().Done()
		require.NoError(t, other.Delete(t.Context(), "/a", client.AnyVersion))
		l.plug()
		require.False(t, (<-nodes).Exists, "and on into the next session")

		cancel()
		require.ErrorIs(t, <-end, context.Canceled)
	})
}

func TestWatchChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t, nil)
		c, l := connect(t, srv, nil)
		other, _ := connect(t, srv, nil)
		sets := make(chan client.Children)
		end := make(chan error, 1)
		go func() { // ends with the client
			for s, err := range c.WatchChildren(context.Background(), "/d") {
				if err != nil {
					end <- err
					return
				}
				sets <- s
			}
		}()
		require.False(t, (<-sets).Exists)
		mustCreate(t, other, "/d", nil)
		require.True(t, (<-sets).Exists)
		mustCreate(t, other, "/d/x", nil)
		require.Equal(t, []string{"x"}, (<-sets).Names)
		l.cut()
		mustCreate(t, other, "/d/y", nil)
		l.plug()
		require.ElementsMatch(t, []string{"x", "y"}, (<-sets).Names)
		require.NoError(t, c.Close())
		require.ErrorIs(t, <-end, client.ErrClosed)
	})
}
