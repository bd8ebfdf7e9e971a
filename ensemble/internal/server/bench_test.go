package server

import (
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/store"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// BenchmarkRequests is a server on a real directory and a real port, clients and all in one process: each of conns
// connections sends bursts of depth requests. An operation is one request; writes are synced to the disk.
func BenchmarkRequests(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	s, err := Start(Config{
		ID: 1, FS: disk.OS(), Tick: 2 * time.Second, MinTimeout: 4 * time.Second, MaxTimeout: 40 * time.Second,
		Store: store.Options{DataDir: b.TempDir()}, Listeners: []Listener{{Listener: l}},
		SnapCount: 100_000, PurgeRetain: 3, MaxBatch: 1000, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(b, err)
	defer s.Close()
	for _, op := range []wire.Op{wire.OpGetData, wire.OpSetData} {
		for _, c := range []struct{ conns, depth int }{{1, 1}, {16, 1}, {16, 16}} {
			b.Run(fmt.Sprintf("%v/conns=%d/depth=%d", op, c.conns, c.depth), func(b *testing.B) {
				var clients sync.WaitGroup
				b.ResetTimer()
				for i := range c.conns {
					n := b.N / c.conns
					if i < b.N%c.conns {
						n++
					}
					clients.Go(func() { load(b, l.Addr().String(), fmt.Sprintf("/bench%d", i), op, n, c.depth) })
				}
				clients.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
			})
		}
	}
}

// load sends n requests on a connection of its own, in bursts of depth.
func load(b *testing.B, addr, path string, op wire.Op, n, depth int) {
	c, err := rawclient.Dial(b.Context(), rawclient.Options{Addr: addr})
	require.NoError(b, err)
	defer func() { require.NoError(b, c.CloseSession(b.Context())) }()
	_, err = c.Call(b.Context(), wire.OpCreate, &wire.CreateRequest{Path: path, Data: make([]byte, 128), ACL: znode.OpenACL()})
	require.NoError(b, err)
	var req wire.Record = &wire.WatchRequest{Path: path}
	if op == wire.OpSetData {
		req = &wire.SetDataRequest{Path: path, Data: make([]byte, 128), Version: -1}
	}
	for n > 0 {
		burst := min(n, depth)
		n -= burst
		for range burst {
			c.Send(op, req)
		}
		require.NoError(b, c.Flush(b.Context()))
		for range burst {
			m, err := c.Receive(b.Context())
			require.NoError(b, err)
			require.NoError(b, m.Err())
		}
	}
}
