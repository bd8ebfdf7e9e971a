package leader_test

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
)

// Over a connection that cannot promise when its session ends nobody leads, and nothing is left.
func TestNobodyLeadsOverAWrappedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		conn, events, err := zk.Connect([]string{srv.ConnectString()}, 10*time.Second, zk.WithLogger(log.New(io.Discard, "", 0)),
			zk.WithDialer(func(network, addr string, _ time.Duration) (net.Conn, error) {
				return srv.Dial(context.Background(), network, addr)
			}))
		require.NoError(t, err)
		c, err := client.Wrap(t.Context(), conn, events, nil)
		require.NoError(t, err)
		defer c.Close()
		_, err = election(c, "anna").Lead(t.Context())
		require.ErrorIs(t, err, client.ErrWrapped)
		time.Sleep(time.Second)
		mustStand(t, srv.Connect(t))
	})
}
