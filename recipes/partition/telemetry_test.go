package partition_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
	"github.com/bellwether-zk/bellwether/recipes/partition"
)

// How many parts are owned and wanted is told, how long it took to get them, and why they were given up: moved, lost with the session, or
// left.
func TestPartsAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r, others telemetrytest.Recorder
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{
			SessionTimeout: 10 * time.Second, TracerProvider: r.TracerProvider(), MeterProvider: r.MeterProvider(),
		}})
		c, j := e.Connect(t), newJournal(t)
		second, err := client.Connect(t.Context(), e.ConnectString(), &client.Options{Dialer: e.Dial, MeterProvider: others.MeterProvider()})
		require.NoError(t, err)
		defer second.Close()
		settled := func(owned int) {
			t.Helper()
			time.Sleep(time.Minute)
			synctest.Wait()
			require.EqualValues(t, owned, r.Sum("bellwether.partition.part.count"))
			require.Zero(t, r.Sum("bellwether.partition.wait.count"))
		}
		anna := start(t, member(c, "anna", partition.Options{}), j.work("anna"))
		settled(len(parts))
		require.EqualValues(t, 1, r.Observed("bellwether.group.members")[0].Value)
		ben := start(t, member(second, "ben", partition.Options{}), j.work("ben"))
		mine := len(chosen("anna", "ben")["anna"])
		settled(mine)
		require.EqualValues(t, len(parts)-mine, others.Sum("bellwether.partition.part.count"))
		for _, m := range others.Measured("bellwether.partition.wait.duration") {
			require.InDelta(t, partition.DefaultNotice.Seconds(), m.Value, 2, "it is handed over after notice")
		}
		require.NoError(t, e.Expire(t.Context(), c))
		settled(mine)
		require.EqualValues(t, mine, r.Sum("bellwether.partition.part.lost"))
		anna.mustEnd(t)
		settled(0)
		ben.mustEnd(t)
		ends := make(map[string]int)
		for _, m := range r.Measured("bellwether.partition.part.duration") {
			require.Equal(t, "part", m.Attributes["bellwether.recipe"])
			ends[m.Attributes["bellwether.end"]]++
		}
		require.Equal(t, map[string]int{"moved": len(parts) - mine, "session_lost": mine, "_OTHER": mine}, ends)
		require.Len(t, r.Measured("bellwether.partition.wait.duration"), len(parts)+mine)
		require.Len(t, r.Spans("partition.part"), len(parts)+mine)
		require.Empty(t, r.Open())
	})
}
