package lease_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
	"github.com/bellwether-zk/bellwether/recipes/lease"
)

// Waits and grants are told of with their ends, also of a grant that has outlived its session.
func TestGrantsAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var r telemetrytest.Recorder
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{TracerProvider: r.TracerProvider(), MeterProvider: r.MeterProvider()}})
		c := e.Connect(t)
		words := func(name, key string) (words []string) {
			synctest.Wait()
			for _, m := range r.Measured(name) {
				words = append(words, m.Attributes[key])
			}
			return words
		}

		first := mustAcquire(t, leaseOf(c, "anna"), time.Minute)
		require.NoError(t, e.Expire(ctx, c))
		_, err := leaseOf(c, "ben").TryAcquire(ctx, time.Minute)
		require.ErrorIs(t, err, lease.ErrHeld)
		require.EqualValues(t, 1, r.Sum("bellwether.lease.grant.count"))
		<-first.Context().Done()
		require.ErrorIs(t, first.Renew(ctx, time.Minute), lease.ErrExpired)
		time.Sleep(2 * time.Second)

		second := mustAcquire(t, leaseOf(c, "anna"), time.Minute)
		mustAcquire(t, leaseOf(c, "anna"), time.Minute)
		<-second.Context().Done()
		require.NoError(t, second.Release(ctx))
		require.Equal(t, []string{"", "held", "", ""}, words("bellwether.lease.wait.duration", "error.type"))
		require.Equal(t, []string{"expired", "taken"}, words("bellwether.lease.grant.duration", "bellwether.end"))
		require.InDelta(t, 60, r.Measured("bellwether.lease.grant.duration")[0].Value, 1)
		require.EqualValues(t, 1, r.Sum("bellwether.lease.grant.lost"))
		require.Equal(t, []string{"expired", ""}, words("bellwether.lease.operation.duration", "error.type"))
		require.Equal(t, []string{"renew", "release"}, words("bellwether.lease.operation.duration", "bellwether.operation"))
		require.Zero(t, r.Sum("bellwether.lease.wait.count"))

		grant := r.Spans("lease.grant")[0]
		require.Equal(t, path, grant.Attributes["bellwether.path"])
		require.NotContains(t, grant.Attributes, "bellwether.session", "it is no session's")
		require.Len(t, r.Spans("lease.wait"), 4)
	})
}
