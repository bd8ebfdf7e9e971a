package conformance_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/conformance"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// everything is a server that offers all there is.
var everything = ensemble.Options{TTLNodes: true, FourLetterWords: []string{"*"}}

// In real time, with subtests. The tick is as short as a busy machine allows: a session of two of them pings every third of a second.
func TestServer(t *testing.T) {
	opts := &ensembletest.Options{Server: everything}
	opts.Server.TickTime = 500 * time.Millisecond
	opts.Server.Containers.CheckInterval = 500 * time.Millisecond
	e := ensembletest.Start(t, 1, opts)
	conformance.Run(t, e.ConnectString(), &conformance.Options{Dial: e.Dial, All: true, Removal: time.Minute})
}

// bubble starts one server with everything in virtual time.
func bubble(t *testing.T, test func(t *testing.T, e *ensembletest.Ensemble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, ensembletest.Start(t, 1, &ensembletest.Options{Server: everything})) })
}

// In virtual time, alone and through each of three.
func TestServersInBubble(t *testing.T) {
	for _, n := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, n, &ensembletest.Options{Server: everything})
			for _, s := range e.Servers() {
				o := &conformance.Options{Dial: e.Dial, All: true, Removal: 2 * time.Minute} // they look once a minute
				report, err := conformance.Check(t.Context(), s.ConnectString(), o)
				require.NoError(t, err)
				require.NoError(t, report.Err())
				require.Greater(t, len(report.Results), 50)
				require.Contains(t, report.String(), "removals/ttl: passed")
			}
		})
	}
}

// What a server does not offer is said to be that, by a code or by the end of the connection, and is a failure where all is wanted.
func TestNotOffered(t *testing.T) {
	bubble(t, func(t *testing.T, e *ensembletest.Ensemble) {
		old := mistake{told: func(_ *conn, op wire.Op, frame []byte) [][]byte {
			if op == wire.OpGetEphemerals || op == wire.OpCreateTTL {
				return withCode(frame, znode.CodeUnimplemented)
			}
			return [][]byte{frame}
		}}
		o := &conformance.Options{Dial: wrong(e.Dial, old), Only: []string{"nodes/ttl", "nodes/ephemerals-listed", "nodes/create"}}
		report, err := conformance.Check(t.Context(), e.ConnectString(), o)
		require.NoError(t, err)
		require.NoError(t, report.Err())
		var verdicts []string
		for _, r := range report.Results {
			verdicts = append(verdicts, r.Name+" "+r.Verdict.String())
		}
		require.Equal(t, []string{"create passed", "ephemerals-listed not offered", "ttl not offered"}, verdicts)
		require.Contains(t, report.String(), "nodes/ttl: not offered: createTTL: zookeeper: unimplemented")

		o.All = true
		report, err = conformance.Check(t.Context(), e.ConnectString(), o)
		require.NoError(t, err)
		require.ErrorContains(t, report.Err(), "nodes/ttl: failed: not offered")
		require.ErrorContains(t, report.Err(), "nodes/ephemerals-listed: failed: not offered")

		o = &conformance.Options{Only: []string{"watches/recursive"}}
		o.Dial = wrong(e.Dial, mistake{asked: func(c *conn, op wire.Op, record []byte) []byte {
			if op == wire.OpAddWatch {
				_ = c.Conn.Close() // as a server does that takes it for junk
			}
			return record
		}})
		report, err = conformance.Check(t.Context(), e.ConnectString(), o)
		require.NoError(t, err)
		require.Equal(t, conformance.NotOffered, report.Results[0].Verdict, report)
	})
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil) // with the settings of production
		report, err := conformance.Check(t.Context(), e.ConnectString(), &conformance.Options{Dial: e.Dial, Only: []string{"nodes/ttl", "words"}})
		require.NoError(t, err)
		require.NoError(t, report.Err())
		require.Equal(t, "not offered", report.Results[0].Verdict.String())
		require.Equal(t, "passed", report.Results[1].Verdict.String(), "srvr is always there")
		require.Equal(t, "not offered", report.Results[2].Verdict.String())
	})
}

// Everything happens below the chroot, and nothing is left there.
func TestLeavesNothingBehind(t *testing.T) {
	bubble(t, func(t *testing.T, e *ensembletest.Ensemble) {
		c := e.Connect(t)
		_, err := c.Create(t.Context(), "/app", nil, nil)
		require.NoError(t, err)
		before, _, err := c.Exists(t.Context(), "/")
		require.NoError(t, err)
		report, err := conformance.Check(t.Context(), e.ConnectString()+"/app", &conformance.Options{Dial: e.Dial})
		require.NoError(t, err)
		require.NoError(t, report.Err())
		after, _, err := c.Exists(t.Context(), "/")
		require.NoError(t, err)
		require.Equal(t, before, after)
		app, _, err := c.Exists(t.Context(), "/app")
		require.NoError(t, err)
		require.Zero(t, app.NumChildren)
		require.Equal(t, int32(2), app.Cversion, "one node was made and removed")
	})
}

// A limit that is not the server's is found out.
func TestMaxFrame(t *testing.T) {
	bubble(t, func(t *testing.T, e *ensembletest.Ensemble) {
		check := func(max int) conformance.Result {
			o := &conformance.Options{Dial: e.Dial, MaxFrame: max, Only: []string{"limits/longest-frame"}}
			report, err := conformance.Check(t.Context(), e.ConnectString(), o)
			require.NoError(t, err)
			return report.Results[0]
		}
		require.Equal(t, conformance.Passed, check(0).Verdict)
		require.Equal(t, conformance.Failed, check(1<<20).Verdict)
		require.Equal(t, conformance.Failed, check(1<<20-2).Verdict)
		require.Equal(t, conformance.NotOffered, check(-1).Verdict)
	})
}

func TestNoChecks(t *testing.T) {
	nobody := errors.New("nobody there")
	refuse := func(context.Context, string, string) (net.Conn, error) { return nil, nobody }
	_, err := conformance.Check(t.Context(), "127.0.0.1:1", &conformance.Options{Dial: refuse})
	require.ErrorContains(t, err, "nobody there")
	_, err = conformance.Check(t.Context(), "127.0.0.1", &conformance.Options{Dial: refuse})
	require.ErrorContains(t, err, "missing port")
	_, err = conformance.Check(t.Context(), "127.0.0.1:1", &conformance.Options{Dial: refuse, Only: []string{"watches/none"}})
	require.ErrorContains(t, err, `no check is called "watches/none"`)
	bubble(t, func(t *testing.T, e *ensembletest.Ensemble) {
		_, err := conformance.Check(t.Context(), e.ConnectString()+"/no/such", &conformance.Options{Dial: e.Dial})
		require.ErrorContains(t, err, "no node")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // a session takes longer to expire
		defer cancel()
		report, err := conformance.Check(ctx, e.ConnectString(), &conformance.Options{Dial: e.Dial, Only: []string{"sessions"}})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, "expire", report.Results[len(report.Results)-1].Name)
		require.Error(t, report.Err())

		o := &conformance.Options{Dial: e.Dial, Patience: 5 * time.Second, Only: []string{"sessions/expire"}}
		report, err = conformance.Check(t.Context(), e.ConnectString(), o)
		require.NoError(t, err)
		require.ErrorContains(t, report.Err(), "it takes longer than 5s")
	})
}
