package cache_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/cache"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
)

// Mirrors of a process are counted together, and not any more when they have ended.
func TestMirrorsAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r telemetrytest.Recorder
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second, MeterProvider: r.MeterProvider()}})
		c, other := e.Connect(t), e.Connect(t)
		nodes := func() [2]float64 {
			synctest.Wait()
			return [2]float64{r.Sum("bellwether.cache.nodes"), r.Sum("bellwether.cache.size")}
		}
		mustCreate(t, other, "/a", "12345")
		mustCreate(t, other, "/a/b", "123")
		whole, part := mustOpen(t, c, "/a", nil), mustOpen(t, c, "/a/b", nil)
		opened := time.Now()
		require.Equal(t, [2]float64{3, 11}, nodes())
		s := whole.Status()
		require.WithinDuration(t, opened, s.AsOf, time.Second)
		s.AsOf = time.Time{}
		require.Equal(t, cache.Status{Synced: true, Nodes: 2, Bytes: 8}, s)

		mustCreate(t, other, "/a/c", "1")
		_, err := other.Set(t.Context(), "/a", nil, client.AnyVersion)
		require.NoError(t, err)
		require.NoError(t, other.Delete(t.Context(), "/a/b", client.AnyVersion))
		require.Equal(t, [2]float64{2, 1}, nodes())
		require.EqualValues(t, 1, whole.Status().Bytes)
		require.Zero(t, part.Status().Nodes)
		require.Empty(t, r.Measured("bellwether.cache.stale.count"), "to be read for the first time is not to be stale")

		time.Sleep(time.Minute)
		e.CutClient(c)
		time.Sleep(time.Minute)
		require.EqualValues(t, 2, r.Sum("bellwether.cache.stale.count"))
		since := whole.StaleSince()
		require.Equal(t, since, whole.Status().StaleSince)
		e.Heal()
		_, err = c.AwaitSession(t.Context())
		require.NoError(t, err)
		for whole.StaleSince() != (time.Time{}) || part.StaleSince() != (time.Time{}) {
			time.Sleep(time.Millisecond)
		}
		require.Zero(t, r.Sum("bellwether.cache.stale.count"))
		took := r.Measured("bellwether.cache.stale.duration")
		require.Len(t, took, 2)
		require.InDelta(t, time.Since(since).Seconds(), took[0].Value, 1)
		require.Greater(t, took[0].Value, 30.0)
		require.Equal(t, [2]float64{2, 1}, nodes())

		e.Drop(c)
		synctest.Wait()
		whole.Close()
		part.Close()
		require.Equal(t, [2]float64{0, 0}, nodes())
		require.Zero(t, r.Sum("bellwether.cache.stale.count"))
		s = whole.Status()
		require.Error(t, s.Err)
		require.NotZero(t, s.StaleSince)
		require.Equal(t, 2, s.Nodes, "which can still be read")
	})
}
