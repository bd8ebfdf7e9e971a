package queue_test

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
	"github.com/bellwether-zk/bellwether/recipes/queue"
)

// Over a connection that cannot promise when its session ends items are put, and none is taken.
func TestWrapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		conn, events, err := zk.Connect([]string{e.ConnectString()}, 10*time.Second, zk.WithLogger(log.New(io.Discard, "", 0)),
			zk.WithDialer(func(network, addr string, _ time.Duration) (net.Conn, error) {
				return e.Dial(context.Background(), network, addr)
			}))
		require.NoError(t, err)
		c, err := client.Wrap(ctx, conn, events, nil)
		require.NoError(t, err)
		defer c.Close()
		q := queue.New(c, path, nil)
		mustPut(t, q, item("a"))
		for range 2 {
			_, err = q.Take(ctx)
			require.ErrorIs(t, err, client.ErrWrapped)
		}
		d := mustTake(t, queue.New(e.Connect(t), path, nil))
		require.Equal(t, 1, d.Attempt())
		require.NoError(t, d.Ack(ctx))
	})
}
