//go:build interop

package integration

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/lease"
)

// Our Lease and kazoo's NonBlockingLease are one lease on one path: each keeps out the other for its time, and takes over behind it.
func TestLeaseWithKazoo(t *testing.T) {
	command := []string{process.MustEnv(t, "KAZOO_PYTHON"), "testdata/lease/lease.py"}
	inTurn(t, func(t *testing.T, k process.Kind) {
		server := startPeer(t, k)
		const path = "/leases/shared"
		kazoo := startCuratorProgram(t, command, server.Addr, path)
		c := mustConnect(t, server.Addr)
		ours := lease.New(c, path, &lease.Options{ID: "go"})

		g, err := ours.TryAcquire(t.Context(), 2*time.Second)
		require.NoError(t, err)
		kazoo.mustAnswer(t, "lease 1 py", "busy")
		<-g.Context().Done()
		require.ErrorIs(t, context.Cause(g.Context()), lease.ErrExpired)
		kazoo.mustAnswer(t, "lease 1 py", "busy") // a margin later
		require.Eventually(t, func() bool {
			answer, err := kazoo.ask("lease 60 py")
			return err == nil && answer == "held"
		}, 10*time.Second, 100*time.Millisecond)
		_, err = c.Multi(t.Context(), append(g.Guard(), bwclient.CreateOp("/guarded", nil, nil))...)
		require.ErrorIs(t, err, bwclient.ErrBadVersion)
		status, err := ours.Inspect(t.Context())
		require.NoError(t, err)
		require.Equal(t, "py", status.Holder)
		require.InDelta(t, 60, time.Until(status.Until).Seconds(), 3)
		_, err = ours.TryAcquire(t.Context(), time.Minute)
		require.ErrorIs(t, err, lease.ErrHeld)

		kazoo.mustAnswer(t, "lease 2 py", "held") // the same name makes it as short as it likes
		g, err = ours.Acquire(t.Context(), time.Minute)
		require.NoError(t, err)
		kazoo.mustAnswer(t, "lease 1 py", "busy")
		require.NoError(t, g.Release(t.Context()))
		kazoo.mustAnswer(t, "lease 1 py", "held")

		leaseTogether(t, command, server.Addr)
	}, process.Bellwether, process.Apache39)
}

// leaseTogether lets processes of Python and clients of ours, who all try at once, be granted leases that last: one of them is.
func leaseTogether(t *testing.T, command []string, server string) {
	const rounds = 8
	var kazoos []*curatorContender
	var ours []*bwclient.Client
	for range 2 {
		kazoos = append(kazoos, startCuratorProgram(t, command, server, "/leases/0"))
		ours = append(ours, mustConnect(t, server))
	}
	for round := range rounds {
		var granted atomic.Int32
		var all sync.WaitGroup
		path := fmt.Sprintf("/leases/%d", round)
		for i := range 2 {
			all.Go(func() {
				if answer, err := kazoos[i].ask(fmt.Sprintf("lease 60 py-%d %s", i, path)); err != nil {
					t.Error(err)
				} else if answer == "held" {
					granted.Add(1)
				}
			})
			all.Go(func() {
				g, err := lease.New(ours[i], path, nil).TryAcquire(t.Context(), time.Minute)
				if err == nil {
					granted.Add(1)
					t.Cleanup(func() { _ = g.Release(context.Background()) })
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, granted.Load(), path)
	}
}
