package group_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
)

// A membership is told of as such, with its losses and repairs, and so is how many members are known.
func TestMembersAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r telemetrytest.Recorder
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{
			SessionTimeout: 10 * time.Second, TracerProvider: r.TracerProvider(), MeterProvider: r.MeterProvider(),
		}})
		c, other := e.Connect(t), e.Connect(t)
		v := mustObserve(t, other, nil)
		known := func() float64 {
			time.Sleep(time.Minute)
			synctest.Wait()
			return r.Observed("bellwether.group.members")[0].Value
		}
		require.Zero(t, known())
		anna := mustJoin(t, c, "anna", "one")
		ben := mustJoin(t, other, "ben", "")
		require.EqualValues(t, 2, known())
		require.EqualValues(t, 2, r.Sum("bellwether.group.membership.count"))
		require.NoError(t, anna.Set(t.Context(), []byte("two")))
		require.NoError(t, e.Expire(t.Context(), c))
		require.EqualValues(t, 2, known())
		require.NoError(t, other.Delete(t.Context(), anna.Path(), client.AnyVersion))
		require.EqualValues(t, 2, known())
		require.EqualValues(t, 2, r.Sum("bellwether.group.membership.lost"))
		require.EqualValues(t, 2, r.Sum("bellwether.group.repairs"))
		require.NoError(t, anna.Leave(t.Context()))
		require.EqualValues(t, 1, known())
		var ends []string
		for _, m := range r.Measured("bellwether.group.membership.duration") {
			require.Equal(t, "membership", m.Attributes["bellwether.recipe"])
			ends = append(ends, m.Attributes["bellwether.end"])
		}
		require.Equal(t, []string{"session_lost", "removed", "closed"}, ends)
		require.Equal(t, path+"/anna", r.Spans("group.membership")[0].Attributes["bellwether.path"])
		v.Close()
		require.Empty(t, r.Observed("bellwether.group.members"))
		require.NoError(t, ben.Leave(t.Context()))
		require.Empty(t, r.Open())
	})
}
