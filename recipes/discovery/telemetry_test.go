package discovery_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
)

func startSeen(t *testing.T, r *telemetrytest.Recorder) *ensembletest.Ensemble {
	return ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{
		SessionTimeout: 10 * time.Second, TracerProvider: r.TracerProvider(), MeterProvider: r.MeterProvider(),
	}})
}

// An instance is to be listed, and listed, in turn; why it was not any more is told, and what was put right.
func TestRegistrationsAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r telemetrytest.Recorder
		e := startSeen(t, &r)
		c, other := e.Connect(t), e.Connect(t)
		path := base + "/mail/a"
		listed := func(n int) {
			t.Helper()
			time.Sleep(time.Minute)
			synctest.Wait()
			require.EqualValues(t, n, r.Sum("bellwether.discovery.registration.count"))
		}
		g := mustRegister(t, registryOf(c), mail("a", 25), nil)
		listed(1)
		require.NoError(t, g.Update(t.Context(), func(i *instance) { i.Port = 26 }))
		require.Zero(t, r.Sum("bellwether.discovery.repairs"), "an update repairs nothing")
		_, err := other.Set(t.Context(), path, nil, client.AnyVersion)
		require.NoError(t, err)
		listed(1)
		require.NoError(t, other.Delete(t.Context(), path, client.AnyVersion))
		listed(1)
		require.NoError(t, e.Expire(t.Context(), c))
		listed(1)
		require.EqualValues(t, 3, r.Sum("bellwether.discovery.repairs"))
		require.EqualValues(t, 2, r.Sum("bellwether.discovery.registration.lost"))
		require.NoError(t, g.Close(t.Context()))
		listed(0)
		var ends []string
		for _, m := range r.Measured("bellwether.discovery.registration.duration") {
			require.Equal(t, "registration", m.Attributes["bellwether.recipe"])
			ends = append(ends, m.Attributes["bellwether.end"])
		}
		require.Equal(t, []string{"removed", "session_lost", "closed"}, ends)
		require.Len(t, r.Measured("bellwether.discovery.wait.duration"), 3)
		require.Equal(t, path, r.Spans("discovery.registration")[0].Attributes["bellwether.path"])
		require.Empty(t, r.Measured("bellwether.node.wait.duration"), "it is not seen twice")
		require.Empty(t, r.Open())
	})
}

// Who is not listed since its check fails is counted as long as that is so.
func TestUnhealthyIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r telemetrytest.Recorder
		services := registryOf(startSeen(t, &r).Connect(t))
		var ill atomic.Bool
		ill.Store(true)
		g := mustRegister(t, services, mail("a", 25), &discovery.RegisterOptions{Check: func(context.Context) error {
			if ill.Load() {
				return errors.New("ill")
			}
			return nil
		}})
		for i, sick := range []bool{true, false, true, false, true} {
			ill.Store(sick)
			time.Sleep(time.Minute)
			synctest.Wait()
			want := map[bool][2]float64{true: {1, 0}, false: {0, 1}}[sick]
			require.Equal(t, want, [2]float64{r.Sum("bellwether.discovery.unhealthy.count"), r.Sum("bellwether.discovery.registration.count")}, i)
		}
		require.NoError(t, g.Close(t.Context()))
		require.Empty(t, r.Open())
	})
}

// Of a service it is told how many instances are known, for how long nothing was heard, and when too many went at once, whoever collects and
// when, as long as it is looked at.
func TestServicesAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r telemetrytest.Recorder
		e := startSeen(t, &r)
		c, fleet := e.Connect(t), e.Connect(t)
		for i, status := range []discovery.Status{"", discovery.Up, discovery.Starting, discovery.Draining, discovery.Down, "asleep"} {
			one := mail(string(rune('a'+i)), i)
			one.Status = status
			mustRegister(t, registryOf(fleet), one, nil)
		}
		_, err := fleet.Create(t.Context(), base+"/mail/z", []byte("?"), nil)
		require.NoError(t, err)
		require.Zero(t, r.Callbacks()-2, "those of the clients")
		view, again := mustLookup(t, c, nil), mustLookup(t, c, nil)
		known := func() map[string]float64 {
			synctest.Wait()
			all := make(map[string]float64)
			for _, m := range r.Observed("bellwether.discovery.instances") {
				require.Equal(t, "mail", m.Attributes["bellwether.service"])
				all[m.Attributes["bellwether.status"]] = m.Value
			}
			return all
		}
		require.Equal(t, map[string]float64{"up": 4, "starting": 2, "draining": 2, "down": 2, "other": 2, "unreadable": 2}, known(), "by two views")
		again.Close()
		require.Equal(t, map[string]float64{"up": 2, "starting": 1, "draining": 1, "down": 1, "other": 1, "unreadable": 1}, known())

		staleness := func() float64 { return r.Observed("bellwether.discovery.staleness")[0].Value }
		require.Zero(t, staleness())
		e.CutClient(c)
		time.Sleep(time.Minute)
		require.InDelta(t, 60, staleness(), 10)
		e.Heal()
		time.Sleep(time.Minute)
		require.Zero(t, staleness())

		require.Zero(t, r.Sum("bellwether.discovery.brakes"))
		require.NoError(t, fleet.Close())
		time.Sleep(time.Second)
		require.Equal(t, map[string]float64{"lost": 2, "unreadable": 1}, known())
		require.EqualValues(t, 1, r.Sum("bellwether.discovery.brakes"))
		time.Sleep(time.Hour)
		require.Equal(t, map[string]float64{"unreadable": 1}, known())
		require.EqualValues(t, 1, r.Sum("bellwether.discovery.brakes"))
		require.NoError(t, c.Close())
		synctest.Wait()
		require.Zero(t, r.Callbacks(), "the view has ended with its client, and is told of no more")
		view.Close()
	})
}
