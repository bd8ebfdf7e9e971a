package node_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
	"github.com/bellwether-zk/bellwether/recipes/node"
)

func TestInspect(t *testing.T) {
	for name, opts := range map[string]*node.Options{"ephemeral": nil, "persistent": {Persistent: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				e := ensembletest.Start(t, 1, nil)
				c, other := e.Connect(t), e.Connect(t)
				n := mustKeep(t, c, "one", opts)
				look := func() node.State {
					t.Helper()
					s, err := n.Inspect(ctx)
					require.NoError(t, err)
					return s
				}
				_, stat, err := other.Get(ctx, path)
				require.NoError(t, err)
				require.Equal(t, node.State{
					Exists: true, Path: path, Data: []byte("one"), Session: stat.EphemeralOwner, Own: true, Czxid: n.Status().Czxid,
					Created: stat.Ctime, Written: stat.Mtime,
				}, look())
				require.NoError(t, n.Close(ctx))
				require.Zero(t, look())
				_, err = other.Create(ctx, path, []byte("theirs"), &client.CreateOptions{Mode: client.Ephemeral})
				require.NoError(t, err)
				s := look()
				require.False(t, s.Own)
				require.Equal(t, other.Session().ID(), s.Session)
				ctx, cancel := context.WithCancel(ctx)
				cancel()
				_, err = n.Inspect(ctx)
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorContains(t, err, "inspect "+path)
			})
		})
	}
}

// ends returns how a node's times of presence have ended, and its times of absence.
func ends(r *telemetrytest.Recorder) (there, wanted []string) {
	synctest.Wait()
	for _, m := range r.Measured("bellwether.node.presence.duration") {
		there = append(there, m.Attributes["bellwether.end"])
	}
	for _, m := range r.Measured("bellwether.node.wait.duration") {
		wanted = append(wanted, m.Attributes["error.type"])
	}
	return there, wanted
}

// A node is wanted and there in turn, and each time it goes is told with its reason.
func TestNodesAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var r telemetrytest.Recorder
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{
			SessionTimeout: 10 * time.Second, TracerProvider: r.TracerProvider(), MeterProvider: r.MeterProvider(),
		}})
		c, other := e.Connect(t), e.Connect(t)
		settled := func() {
			t.Helper()
			time.Sleep(time.Second) // what is put right for the second time is after a pause
			synctest.Wait()
			require.EqualValues(t, 1, r.Sum("bellwether.node.presence.count"))
			require.Zero(t, r.Sum("bellwether.node.wait.count"))
		}
		n := mustKeep(t, c, "one", &node.Options{Replace: true})
		settled()
		require.Equal(t, r.Spans("node.wait")[0].ID(), r.Spans("create")[0].Parent)
		time.Sleep(time.Minute)
		for range 3 {
			e.Drop(c)
			time.Sleep(time.Second)
		}
		require.NoError(t, n.Set(ctx, []byte("two")))
		_, err := other.Set(ctx, path, []byte("not yours"), client.AnyVersion)
		require.NoError(t, err)
		settled()
		require.Empty(t, r.Measured("bellwether.node.presence.duration"), "it was there all the time")

		require.NoError(t, other.Delete(ctx, path, client.AnyVersion))
		settled()
		_, err = other.Multi(ctx, client.DeleteOp(path, client.AnyVersion), client.CreateOp(path, nil, &client.CreateOptions{Mode: client.Ephemeral}))
		require.NoError(t, err)
		time.Sleep(time.Second)
		settled()
		require.NoError(t, e.Expire(ctx, c))
		time.Sleep(time.Minute)
		settled()
		require.EqualValues(t, 3, r.Sum("bellwether.node.presence.lost"))
		require.EqualValues(t, 4, r.Sum("bellwether.node.repairs"), "and that it was overwritten")
		require.NoError(t, n.Close(ctx))
		there, wanted := ends(&r)
		require.Equal(t, []string{"removed", "taken", "session_lost", "closed"}, there)
		require.Equal(t, []string{"", "", "", ""}, wanted)
		require.EqualValues(t, 3, r.Sum("bellwether.node.presence.lost"))
		require.Zero(t, r.Sum("bellwether.node.presence.count")+r.Sum("bellwether.node.wait.count"))
		for i, s := range r.Spans("node.presence") {
			require.True(t, s.Ended)
			require.Equal(t, []trace.SpanID{r.Spans("node.wait")[i].ID()}, s.Links)
			require.Equal(t, "ephemeral_node", s.Attributes["bellwether.recipe"])
		}
	})
}

// Who waits for somebody else's node is told why in the end, and one that outlives sessions is seen like the others.
func TestOtherNodesAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var r telemetrytest.Recorder
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second, MeterProvider: r.MeterProvider()}})
		c, other := e.Connect(t), e.Connect(t)
		_, err := other.Create(ctx, path, nil, &client.CreateOptions{Mode: client.Ephemeral, Parents: client.ContainerParents})
		require.NoError(t, err)
		hasty, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		_, err = node.Keep(hasty, c, path, nil, nil)
		require.ErrorIs(t, err, node.ErrTaken)
		_, wanted := ends(&r)
		require.Equal(t, []string{"taken"}, wanted)
		require.NoError(t, other.Delete(ctx, path, client.AnyVersion))

		mustKeep(t, c, "stays", &node.Options{Persistent: true})
		require.NoError(t, e.Expire(ctx, c))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.EqualValues(t, 1, r.Sum("bellwether.node.presence.count"))
		require.NoError(t, c.Close())
		there, _ := ends(&r)
		require.Equal(t, []string{"session_lost", "client_closed"}, there)
		require.Zero(t, r.Sum("bellwether.node.presence.count")+r.Sum("bellwether.node.wait.count"))
	})
}
