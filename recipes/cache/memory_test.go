//go:build !race

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

// The memory that a node of a mirror takes is what the package says, and does not depend on how many there are. It is the difference between a large
// mirror and a small one, with paths of 18 bytes and no data, and with the watches of the server, which runs in here and has its part of them.
func TestMemoryPerNode(t *testing.T) {
	const small, large = 2_000, 12_000
	srv, err := ensemble.Start(t.Context(), nil)
	require.NoError(t, err)
	defer srv.Close()
	c, err := client.Connect(t.Context(), srv.ConnectString(), &client.Options{Dialer: srv.Dial})
	require.NoError(t, err)
	defer c.Close()
	took := map[int]int64{}
	for _, nodes := range []int{small, large} {
		path := fmt.Sprintf("/s%05d", nodes)
		mustCreate(t, c, path, "")
		for i := 0; i < nodes; i += 500 {
			var ops []client.Op
			for j := range 500 {
				ops = append(ops, client.CreateOp(fmt.Sprintf("%s/node-%05d", path, i+j), nil, nil))
			}
			_, err := c.Multi(t.Context(), ops...)
			require.NoError(t, err)
		}
		before := heap()
		m, err := cache.Open(t.Context(), c, path, nil)
		require.NoError(t, err)
		require.Equal(t, nodes+1, m.Len())
		took[nodes] = heap() - before
		m.Close()
		runtime.KeepAlive(m)
	}
	perNode := (took[large] - took[small]) / (large - small)
	t.Logf("%d bytes a node", perNode)
	require.Less(t, perNode, int64(2_500))
	require.Greater(t, perNode, int64(500), "or it was not measured")
}

// heap is what lives.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what had a finalizer goes with the second
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
