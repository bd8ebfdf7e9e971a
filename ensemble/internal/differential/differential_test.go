//go:build interop

package differential

import (
	"context"
	"errors"
	"flag"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/integration/process"
)

var (
	seed       = flag.Uint64("seed", 0, "seed of the operations; 0 takes one from the clock")
	operations = flag.Int("operations", 100_000, "operations to play")
	single     = flag.Int("single", 60, "percent of the operations that come one at a time, the rest in bursts")
)

// sessions act in turn.
const sessions = 8

func plan() Plan {
	p := Plan{Seed: *seed, Operations: *operations, Single: *single, MaxBurst: 60}
	if p.Seed == 0 {
		p.Seed = uint64(time.Now().UnixNano())
	}
	return p
}

// mustPlay plays against two fresh servers.
func mustPlay(t *testing.T, plan Plan, reference, candidate process.Kind, network *corrupting) (Report, error) {
	t.Helper()
	t.Logf("seed %d, %d operations: %s and %s", plan.Seed, plan.Operations, reference.Name, candidate.Name)
	start := func(k process.Kind) *Player {
		server := mustStart(t, k, filepath.Join(t.TempDir(), "data"), "forceSync=no")
		p := NewPlayer(k.Name, server.Addr, nil, sessions)
		t.Cleanup(p.Close)
		return p
	}
	a, b := start(reference), start(candidate)
	if network != nil {
		b.net = lingering{network}
	}
	return Run(t.Context(), plan, a, b)
}

func requireMix(t *testing.T, r Report) {
	t.Helper()
	for _, k := range Kinds() {
		require.GreaterOrEqual(t, 100*r.Kinds[k].Asked, r.Operations, "kind %q is not a hundredth of the mix", k)
	}
	require.GreaterOrEqual(t, 2*r.Writes.Done, r.Writes.Asked, "most writes failed")
}

func TestBellwetherIsApache(t *testing.T) {
	report, err := mustPlay(t, plan(), process.Apache39, process.Bellwether, nil)
	t.Log(report.String())
	require.NoError(t, err)
	requireMix(t, report)
}

// TestApacheIsApache shows that nothing is left to chance: two servers of one kind never differ.
func TestApacheIsApache(t *testing.T) {
	p := plan()
	p.Operations /= 10
	report, err := mustPlay(t, p, process.Apache39, process.Apache39, nil)
	t.Log(report.String())
	require.NoError(t, err)
}

// TestOneWrongBitIsSeen has a network between us and one of two equal servers that flips a bit of a zxid.
func TestOneWrongBitIsSeen(t *testing.T) {
	p := plan()
	p.Operations = 2_000
	_, err := mustPlay(t, p, process.Apache39, process.Apache39, &corrupting{frame: 700})
	mismatch, ok := errors.AsType[*Mismatch](err)
	require.True(t, ok, "nobody noticed: %v", err)
	t.Log(mismatch)
}

// corrupting is a network that flips one bit in one frame of all it receives: the last of the zxid in a reply's header.
type corrupting struct {
	net.Dialer
	frame int64
	seen  atomic.Int64
}

func (n *corrupting) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := n.Dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &corruptConn{TCPConn: c.(*net.TCPConn), network: n}, nil
}

type corruptConn struct {
	*net.TCPConn
	network *corrupting
	length  uint32 // of the frame that is being read
	at      uint32 // bytes of it that have been, its length included
	number  int64  // among all frames
}

func (c *corruptConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	for i := range b[:n] {
		if c.at < 4 {
			c.length = c.length<<8 | uint32(b[i])
		}
		if c.at++; c.at == 4 {
			c.number = c.network.seen.Add(1)
		}
		if c.at == 4+12 && c.number == c.network.frame {
			b[i] ^= 1
		}
		if c.at >= 4 && c.at == 4+c.length {
			c.at, c.length = 0, 0
		}
	}
	return n, err
}
