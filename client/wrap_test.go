package client_test

import (
	"context"
	"io"
	"log"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// bare connects as a user of the library does, through a proxy.
func bare(t *testing.T, e *ensembletest.Ensemble) (*zk.Conn, <-chan zk.Event, *proxy.Proxy) {
	t.Helper()
	p := proxy.New(&proxy.Options{Dial: e.Dial})
	t.Cleanup(func() { p.Close() })
	conn, events, err := zk.Connect([]string{e.ConnectString()}, 10*time.Second, zk.WithLogger(log.New(io.Discard, "", 0)),
		zk.WithDialer(func(network, addr string, _ time.Duration) (net.Conn, error) {
			return p.Dial(context.Background(), network, addr)
		}))
	require.NoError(t, err)
	return conn, events, p
}

func TestWrap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		conn, events, p := bare(t, e)
		c, err := client.Wrap(ctx, conn, events, &client.Options{SessionTimeout: 10 * time.Second})
		require.NoError(t, err)
		defer c.Close()
		s := c.Session()
		require.Equal(t, conn.SessionID(), s.ID())
		require.Equal(t, 10*time.Second, s.Timeout())
		_, err = s.Keep(ctx)
		require.ErrorIs(t, err, client.ErrWrapped)
		require.False(t, s.Deadline().After(time.Now()))

		mustCreate(t, c, "/dir", nil)
		made := mustCreate(t, c, "/dir/n-", &client.CreateOptions{Mode: client.EphemeralSequential, Protected: true})
		_, stat, watch, err := c.GetW(ctx, made)
		require.NoError(t, err)
		require.Equal(t, s.ID(), stat.EphemeralOwner)
		_, _, children, err := c.ChildrenW(ctx, "/dir")
		require.NoError(t, err)
		_, there, exists, err := c.ExistsW(ctx, "/dir/later")
		require.NoError(t, err)
		require.False(t, there)
		require.Len(t, e.Watches(), 3)
		_, err = c.Set(ctx, made, nil, 0)
		require.NoError(t, err)
		event, err := watch.Wait(ctx)
		require.NoError(t, err)
		require.Equal(t, client.Event{Type: client.EventDataChanged, Path: made}, event)
		mustCreate(t, c, "/dir/later", nil)
		event, err = children.Wait(ctx)
		require.NoError(t, err)
		require.Equal(t, client.EventChildrenChanged, event.Type)
		event, err = exists.Wait(ctx)
		require.NoError(t, err)
		require.Equal(t, client.EventCreated, event.Type)

		// A lost answer is what it is.
		p.Lose(proxy.Reply(proxy.OpSetData, ""))
		_, err = c.Set(ctx, "/dir", nil, client.AnyVersion)
		require.ErrorIs(t, err, client.ErrUnknown)
		p.Lose(proxy.Reply(proxy.OpCreate, ""))
		mustCreate(t, c, "/dir/p", &client.CreateOptions{Protected: true})
		names, _, err := c.Children(ctx, "/dir")
		require.NoError(t, err)
		require.Len(t, names, 3)
		synctest.Wait()
		require.Same(t, s, c.Session())
		require.Equal(t, client.StateReconnected, c.State())
	})
}

// What happens to the connection happens to the client: another session, another generation.
func TestWrapFollowsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		conn, events, p := bare(t, e)
		c, err := client.Wrap(ctx, conn, events, nil)
		require.NoError(t, err)
		defer c.Close()
		var states []client.State
		done := make(chan struct{})
		go func() { // ends with the client
			defer close(done)
			for s := range c.States(ctx) {
				states = append(states, s.State)
			}
		}()
		mustCreate(t, c, "/e", &client.CreateOptions{Mode: client.Ephemeral})
		seen := make(chan bool, 10)
		go func() { // ends with the client
			for n, err := range c.WatchNode(ctx, "/e") {
				if err != nil {
					return
				}
				seen <- n.Exists
			}
		}()
		require.True(t, <-seen)
		old := c.Session()
		require.NoError(t, e.ExpireSession(ctx, old.ID()))
		<-old.Context().Done()
		require.ErrorIs(t, old.Err(), client.ErrSessionExpired)
		require.False(t, <-seen)
		s, err := c.AwaitSession(ctx)
		require.NoError(t, err)
		require.Equal(t, 2, s.Generation())
		require.NotEqual(t, old.ID(), s.ID())
		_, err = old.Client().Create(ctx, "/old", nil, nil)
		require.ErrorIs(t, err, client.ErrSessionExpired)
		require.NotErrorIs(t, err, client.ErrUnknown)

		// What waits in the library's queue meanwhile runs in the next session, which is told as what it is.
		f := p.Swallow(proxy.Request(proxy.OpCreate, ""))
		failed := make(chan error)
		go func() { // ends with the create
			_, err := s.Client().Create(ctx, "/e", nil, &client.CreateOptions{Mode: client.Ephemeral})
			failed <- err
		}()
		<-f.Struck()
		require.NoError(t, e.ExpireSession(ctx, s.ID()))
		err = <-failed
		require.ErrorIs(t, err, client.ErrUnknown)
		c.Close()
		<-done
		require.Equal(t, client.StateClosed, states[len(states)-1])
		require.Contains(t, states, client.StateLost)
		_, _, err = c.Get(ctx, "/")
		require.ErrorIs(t, err, client.ErrClosed)
		require.Equal(t, zk.StateDisconnected, conn.State(), "it was the client's")
	})
}

// Somebody else closes the connection.
func TestWrapOfAConnectionThatIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		conn, events, _ := bare(t, e)
		c, err := client.Wrap(t.Context(), conn, events, nil)
		require.NoError(t, err)
		conn.Close()
		_, _, err = c.Get(t.Context(), "/")
		require.Error(t, err)
		synctest.Wait()
		require.Equal(t, client.StateClosed, c.State())
		require.ErrorIs(t, c.Session().Err(), client.ErrClosed)
		require.NoError(t, c.Close())

		conn, events, _ = bare(t, e)
		conn.Close()
		synctest.Wait()
		_, err = client.Wrap(t.Context(), conn, events, nil)
		require.ErrorIs(t, err, client.ErrClosed)
	})
}

func TestWrapRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		e.Server(1).Kill() // else there might be a session before it is wrapped
		conn, events, _ := bare(t, e)
		_, err := client.Wrap(t.Context(), conn, events, &client.Options{
			Auth: []client.Auth{ann}, Dialer: e.Dial, FollowConfig: true, ConnectTimeout: 1, Reconnect: func() backoff.BackOff { return nil },
			ReadOnly: true,
		})
		for _, name := range []string{"Auth", "Dialer", "ConnectTimeout", "Reconnect", "FollowConfig", "ReadOnly"} {
			require.ErrorContains(t, err, name)
		}
		require.ErrorIs(t, err, client.ErrBadArguments)
		_, err = client.Wrap(t.Context(), nil, nil, nil)
		require.ErrorIs(t, err, client.ErrBadArguments)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = client.Wrap(ctx, conn, events, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
