package store

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
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

// A server of a simulation: a crash, a restart on what is left, one transaction: go test -bench Restart -benchmem.
func BenchmarkRestart(b *testing.B) {
	opts := small()
	opts.Log.Prealloc = 4096
	m := crashable()
	s, _ := mustRecover(b, m, opts, 0)
	mustSave(b, s, 0)
	mustAppend(b, s, 1, 20)
	require.NoError(b, s.Close())
	verify := func(r *snapshot.Reader) error { return r.Verify() }
	ignore := func(txnlog.Record) error { return nil }
	restart := func(b *testing.B, m *disk.Mem) {
		s, err := Open(m, opts)
		require.NoError(b, err)
		_, err = s.Recover(verify, ignore)
		require.NoError(b, err)
		require.NoError(b, s.Append(records(s.Last()+1, 1)))
		_, err = s.Sync()
		require.NoError(b, err)
	}
	b.Run("clone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.CrashClone(disk.KeepNone)
		}
	})
	b.Run("clone+open+recover+append+sync", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			restart(b, m.CrashClone(disk.KeepNone))
		}
	})
	b.Run("append+sync", func(b *testing.B) {
		s, err := Open(m.CrashClone(disk.KeepNone), opts)
		require.NoError(b, err)
		_, err = s.Recover(verify, ignore)
		require.NoError(b, err)
		b.ReportAllocs()
		for b.Loop() {
			if s.Last()%1000 == 0 {
				require.NoError(b, s.Roll())
			}
			require.NoError(b, s.Append(records(s.Last()+1, 1)))
			_, err = s.Sync()
			require.NoError(b, err)
		}
	})
}
