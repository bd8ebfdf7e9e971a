package cache_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/cache"
)

// What a read costs, and what a node takes: bytes/node is all that lives longer in this process with a mirror than without it, paths,
// data and the client's watches among it, and the watches of the server that runs in here.
func BenchmarkMirror(b *testing.B) {
	const nodes = 10_000
	srv, err := ensemble.Start(b.Context(), nil)
	require.NoError(b, err)
	defer srv.Close()
	c, err := client.Connect(b.Context(), srv.ConnectString(), &client.Options{Dialer: srv.Dial})
	require.NoError(b, err)
	defer c.Close()
	_, err = c.Create(b.Context(), "/s", nil, nil)
	require.NoError(b, err)
	for i := range nodes / 100 {
		ops := make([]client.Op, 100)
		for j := range ops {
			ops[j] = client.CreateOp(fmt.Sprintf("/s/instance-%05d", i*100+j), make([]byte, 100), nil)
		}
		_, err := c.Multi(b.Context(), ops...)
		require.NoError(b, err)
	}
	live := func() uint64 {
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := live()
	m, err := cache.Open(b.Context(), c, "/s", nil)
	require.NoError(b, err)
	defer m.Close()
	perNode := float64(live()-before) / nodes
	b.Run("get", func(b *testing.B) {
		b.ReportMetric(perNode, "bytes/node")
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, ok := m.Get("/s/instance-00042"); !ok {
					b.Error("not there")
				}
			}
		})
	})
	b.Run("children", func(b *testing.B) {
		for b.Loop() {
			n := 0
			for range m.Children("/s") {
				n++
			}
			require.Equal(b, nodes, n)
		}
	})
}
