package choose_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/discovery/choose"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
)

// seenList is a source whose client has a MeterProvider.
type seenList struct {
	*list
	client *client.Client
}

func (l seenList) Name() string           { return "mail" }
func (l seenList) Client() *client.Client { return l.client }

// How requests are chosen for is told when somebody collects; who is ejected and tried again is counted.
func TestChoosersAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r telemetrytest.Recorder
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{MeterProvider: r.MeterProvider()}})
		l := listOf(one("a"), one("b"))
		source := seenList{l, e.Connect(t)}
		c := choose.New(source, choose.RoundRobin(), &choose.Options{Failures: 1, Eject: time.Second})
		second := choose.New(source, choose.RoundRobin(), nil)
		now := func(what string) float64 {
			t.Helper()
			for _, m := range r.Observed("bellwether.discovery." + what) {
				require.Equal(t, "mail", m.Attributes["bellwether.service"])
				if m.Attributes["error.type"] == "" {
					return m.Value
				}
			}
			return -1
		}
		require.EqualValues(t, 4, now("candidates"), "of both")
		require.EqualValues(t, 0, now("picks"))
		mustPick(t, second).Done(nil)
		second.Close()
		second.Close()
		require.EqualValues(t, 2, now("candidates"))
		require.EqualValues(t, 1, now("picks"), "what was counted stays counted")

		bad, good := mustPick(t, c), mustPick(t, c)
		require.EqualValues(t, 2, now("outstanding"))
		require.EqualValues(t, 3, now("picks"))
		bad.Done(errors.New("broken"))
		require.EqualValues(t, 1, now("outstanding"))
		require.EqualValues(t, 1, now("ejected"))
		require.EqualValues(t, 1, now("candidates"))
		require.EqualValues(t, 1, r.Sum("bellwether.discovery.ejections"))
		good.Done(nil)

		probe := func(err error) { // one that is half-open is tried
			time.Sleep(time.Minute)
			synctest.Wait()
			require.EqualValues(t, 1, now("ejected"))
			for {
				p := mustPick(t, c)
				if p.Entry == bad.Entry {
					p.Done(err)
					return
				}
				p.Done(nil)
			}
		}
		probe(errors.New("still broken"))
		require.EqualValues(t, 2, r.Sum("bellwether.discovery.ejections"))
		probe(context.Canceled)
		probe(nil)
		require.Zero(t, now("ejected"))
		var probes []string
		for _, m := range r.Measured("bellwether.discovery.probes") {
			probes = append(probes, m.Attributes["error.type"])
		}
		require.Equal(t, []string{"failed", "canceled", ""}, probes)

		before := now("picks")
		l.set(one("a"))
		require.Equal(t, before, now("picks"), "also those of who has gone")
		l.set()
		for range 3 {
			_, err := c.Pick()
			require.ErrorIs(t, err, choose.ErrNone)
		}
		_, err := c.PickFor("key")
		require.ErrorIs(t, err, choose.ErrNone)
		_, err = c.PickOther(bad, good)
		require.ErrorIs(t, err, choose.ErrNone, "which is the end of one that was chosen for before")
		none := r.Observed("bellwether.discovery.picks")
		require.Contains(t, none, telemetrytest.Measurement{Value: 4, Attributes: map[string]string{"bellwether.service": "mail", "error.type": "none"}})
		c.Close()
		require.Equal(t, 1, r.Callbacks(), "that of the client")
		require.Empty(t, r.Open())
	})
}

// To be seen costs a request nothing: no memory, and no word to the provider.
func TestSeenPicksTakeNoMemory(t *testing.T) {
	var r telemetrytest.Recorder
	e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{MeterProvider: r.MeterProvider()}})
	c := choose.New(seenList{listOf(some(10)...), e.Connect(t)}, choose.TwoChoices(), nil)
	defer c.Close()
	require.Zero(t, testing.AllocsPerRun(1000, func() { mustPick(t, c).Done(nil) }))
	require.Contains(t, r.Observed("bellwether.discovery.picks"),
		telemetrytest.Measurement{Value: 1001, Attributes: map[string]string{"bellwether.service": "mail"}})
}
