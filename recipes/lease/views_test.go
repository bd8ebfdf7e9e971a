package lease_test

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
)

// Over a connection that cannot promise when its session ends nobody is let through the door, and nothing is left.
func TestNoLeaseOverAWrappedConnection(t *testing.T) {
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
		_, err = leaseOf(c, "anna").TryAcquire(t.Context(), time.Minute)
		require.ErrorIs(t, err, client.ErrWrapped)
		time.Sleep(time.Second)
		names, _, err := e.Connect(t).Children(t.Context(), path)
		require.NoError(t, err)
		require.Empty(t, names)
	})
}

// A view of one session asks in that session, and in no other; what it was granted lasts.
func TestLeaseOfOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		s := c.Session()
		g := mustAcquire(t, leaseOf(s.Client(), "anna"), time.Minute)
		require.NoError(t, g.Renew(t.Context(), time.Minute))
		require.NoError(t, e.Expire(t.Context(), c))
		<-s.Context().Done()
		require.NoError(t, g.Context().Err())
		require.ErrorIs(t, g.Renew(t.Context(), time.Minute), client.ErrSessionExpired)
		require.ErrorIs(t, g.Release(t.Context()), client.ErrSessionExpired)
		_, err := leaseOf(s.Client(), "anna").TryAcquire(t.Context(), time.Minute)
		require.ErrorIs(t, err, client.ErrSessionExpired)
		require.NoError(t, mustAcquire(t, leaseOf(c, "anna"), time.Minute).Release(t.Context()))
	})
}
