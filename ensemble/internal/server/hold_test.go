package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// While the core is held nothing is written, and reads are answered; afterwards it goes on as if nothing had been.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		leader := c.mustServe()
		v := leader.mustDial()
		v.mustCall(wire.OpCreate, create("/n", znode.ModePersistent))
		was := leader.server.Zxid()
		require.NotZero(t, was)

		release := leader.server.Hold()
		ctx, cancel := context.WithTimeout(t.Context(), tick/2)
		defer cancel()
		_, err := v.Call(ctx, wire.OpCreate, create("/m", znode.ModePersistent))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, was, leader.server.Zxid())
		release()
		release()
		synctest.Wait()
		require.Equal(t, was+1, leader.server.Zxid())

		leader.server.Hold() // closing is not held up, nor is who holds what is closed
		begun := time.Now()
		require.NoError(t, leader.stop())
		c.mustServe()
		require.Less(t, time.Since(begun), tick)
		for _, m := range c.members {
			if s := m.running(); s != nil {
				require.NoError(t, m.stop())
				s.Hold()()
			}
		}
	})
}
