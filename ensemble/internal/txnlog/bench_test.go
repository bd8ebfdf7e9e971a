package txnlog

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Append and Sync of a group, on the real disk and in memory: go test -bench AppendSync -benchmem.
func BenchmarkAppendSync(b *testing.B) {
	for _, where := range []string{"os", "mem"} {
		for _, n := range []int{1, 10, 100, 1000} {
			b.Run(fmt.Sprintf("%s/group=%d", where, n), func(b *testing.B) {
				fsys, dir := disk.OS(), b.TempDir()
				if where == "mem" {
					fsys, dir = disk.NewMem(nil), "/"
				}
				l, err := Open(fsys, dir, nil)
				require.NoError(b, err)
				g := group(1, n, 100)
				var bytes int
				for _, r := range g {
					bytes += len(r.Payload) + RecordOverhead
				}
				b.SetBytes(int64(bytes))
				for b.Loop() {
					for i := range g {
						setZxid(&g[i], l.Last()+znode.Zxid(i)+1)
					}
					require.NoError(b, l.Append(g))
					_, err := l.Sync()
					require.NoError(b, err)
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
				require.NoError(b, l.Close())
			})
		}
	}
}

// setZxid gives a record another place in the order, in place.
func setZxid(r *Record, z znode.Zxid) {
	r.Zxid = z
	for i := range 8 {
		r.Payload[12+i] = byte(uint64(z) >> (56 - 8*i))
	}
}

func BenchmarkRead(b *testing.B) {
	m := newMem(b)
	l := mustOpen(b, m, nil)
	const n = 100_000
	for z := znode.Zxid(1); z <= n; z += 1000 {
		mustAppend(b, l, group(z, 1000, 100))
	}
	b.SetBytes(l.Written())
	b.ReportAllocs()
	for b.Loop() {
		count := 0
		for _, err := range l.From(1) {
			require.NoError(b, err)
			count++
		}
		require.Equal(b, n, count)
	}
}
