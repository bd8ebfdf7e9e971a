package snapshot

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A million small nodes: go test -bench MillionNodes -benchtime 3x.
func BenchmarkMillionNodes(b *testing.B) {
	const count, chunk = 1_000_000, 1000
	nodes := make([]Node, chunk)
	writeAll := func(b *testing.B, dir string, c Compression) *Writer {
		w, err := Create(disk.OS(), dir, 1, c)
		require.NoError(b, err)
		require.NoError(b, w.Sessions(nil))
		require.NoError(b, w.ACLs(nil))
		require.NoError(b, w.Nodes([]Node{{Path: "/"}}))
		for from := 0; from < count; from += chunk {
			for i := range nodes {
				nodes[i] = Node{Path: fmt.Sprintf("/app/node-%08d", from+i), Data: []byte("0123456789abcdef"), ACL: OpenACL,
					Stat: znode.StatPersisted{Czxid: znode.Zxid(from + i), Mzxid: znode.Zxid(from + i), Ctime: 1_700_000_000_000}}
			}
			require.NoError(b, w.Nodes(nodes))
		}
		require.NoError(b, w.Finish(Trailer{HasDigest: true}))
		require.NoError(b, w.Publish())
		return w
	}
	for _, c := range []Compression{None, Gzip, Snappy} {
		b.Run("write/"+string(c), func(b *testing.B) {
			dir := b.TempDir()
			for b.Loop() {
				b.SetBytes(writeAll(b, dir, c).Size())
			}
		})
		b.Run("read/"+string(c), func(b *testing.B) {
			dir := b.TempDir()
			w := writeAll(b, dir, c)
			b.SetBytes(w.Size())
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, Verify(disk.OS(), dir, w.Name()))
			}
		})
	}
}
