package watch

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func ignore(request.ConnID, znode.EventType, string) {}

func manyPaths(n int) []string {
	paths := make([]string, n)
	for i := range paths {
		paths[i] = fmt.Sprintf("/directory-%04d/node-%010d", i/1000, i)
	}
	return paths
}

// BenchmarkAddAndFire is a watch left by getData and used up by setData, in a table with many others.
func BenchmarkAddAndFire(b *testing.B) {
	for _, others := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) {
			t, paths := New(), manyPaths(others+1000)
			for i, p := range paths[:others] {
				t.Add(request.ConnID(i%1000), p, Data)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				p := paths[others+i%1000]
				t.Add(1, p, Data)
				t.Fire(znode.EventDataChanged, p, ignore)
			}
		})
	}
}

// BenchmarkFireUnwatched is what a change costs that nobody watches, without and with recursive watches elsewhere.
func BenchmarkFireUnwatched(b *testing.B) {
	for _, recursive := range []bool{false, true} {
		b.Run(fmt.Sprintf("recursive=%v", recursive), func(b *testing.B) {
			t, paths := New(), manyPaths(100_000)
			t.Add(1, "/other", Data)
			if recursive {
				t.Add(1, "/other", Recursive)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				t.Fire(znode.EventCreated, paths[i%len(paths)], ignore)
			}
		})
	}
}

// BenchmarkHerd is a crowd that watches one path: registering, being told, leaving.
func BenchmarkHerd(b *testing.B) {
	const herd = 100_000
	t := New()
	for b.Loop() {
		for i := range herd {
			t.Add(request.ConnID(i), "/config", Data)
		}
		t.Fire(znode.EventDataChanged, "/config", ignore)
		for i := range herd {
			t.Add(request.ConnID(i), "/config", Child)
		}
		for i := range herd {
			t.Drop(request.ConnID(i))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/herd/4, "ns/step")
}

// BenchmarkMillion reports the memory of a million watches: on as many paths by a thousand connections, and by a thousand
// connections on the same thousand paths. The paths themselves are not counted.
func BenchmarkMillion(b *testing.B) {
	for name, distinct := range map[string]int{"paths=1000000": 1_000_000, "paths=1000": 1000} {
		b.Run(name, func(b *testing.B) {
			paths := manyPaths(distinct)
			for b.Loop() {
				before := heap()
				t := New()
				for i := range 1_000_000 {
					t.Add(request.ConnID(i/1000), paths[i%distinct], Data)
				}
				b.ReportMetric(float64(heap()-before)/1e6, "bytes/watch")
				runtime.KeepAlive(t)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
