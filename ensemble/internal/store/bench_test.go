package store

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Append and Sync of a group with everything the Store adds: go test -bench AppendSync -benchmem.
func BenchmarkAppendSync(b *testing.B) {
	for _, where := range []string{"os", "mem"} {
		for _, n := range []int{1, 10, 100} {
			b.Run(fmt.Sprintf("%s/group=%d", where, n), func(b *testing.B) {
				fsys, opts := disk.OS(), Options{DataDir: b.TempDir()}
				if where == "mem" {
					fsys = disk.NewMem(nil)
				}
				s, err := Open(fsys, opts)
				require.NoError(b, err)
				_, err = s.Recover(nil, nil)
				require.NoError(b, err)
				g := records(1, n)
				for b.Loop() {
					for i := range g {
						z := s.Last() + znode.Zxid(i) + 1
						g[i].Zxid = z
						for k := range 8 {
							g[i].Payload[12+k] = byte(uint64(z) >> (56 - 8*k))
						}
					}
					require.NoError(b, s.Append(g))
					_, err := s.Sync()
					require.NoError(b, err)
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
				require.NoError(b, s.Close())
			})
		}
	}
}
