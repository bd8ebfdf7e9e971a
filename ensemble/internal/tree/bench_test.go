package tree

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// BenchmarkSetData is one transaction on a node of a small tree and of a large one, whose nodes are in no cache.
func BenchmarkSetData(b *testing.B) {
	for _, nodes := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			t, paths := populated(nodes)
			set := &txn.SetData{Data: make([]byte, 100)}
			x := txn.Txn{Header: txn.Header{Zxid: t.Zxid(), Type: wire.OpSetData}, Body: set}
			var out Result
			b.ReportAllocs()
			for at := 0; b.Loop(); at = (at + 104_729) % len(paths) {
				x.Zxid++
				set.Path, set.Version = paths[at], int32(x.Zxid)
				t.Apply(&x, &out)
			}
		})
	}
}

// BenchmarkSetDataAfresh is the same on nodes that are in the processor's cache: what applying itself costs.
func BenchmarkSetDataAfresh(b *testing.B) {
	for _, size := range []int{0, 100, 1000} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			t, paths := populated(1_000_000)
			set := &txn.SetData{Path: paths[4711], Data: make([]byte, size)}
			x := txn.Txn{Header: txn.Header{Zxid: t.Zxid(), Type: wire.OpSetData}, Body: set}
			var out Result
			b.ReportAllocs()
			for b.Loop() {
				x.Zxid++
				t.Apply(&x, &out)
			}
		})
	}
}

// BenchmarkCreateDelete is a pair of transactions, and reports each as half.
func BenchmarkCreateDelete(b *testing.B) {
	t, _ := populated(100_000)
	create := txn.Txn{
		Header: txn.Header{Session: 7, Type: wire.OpCreate},
		Body:   &txn.Create{Path: "/directory-0042/one-more", Data: make([]byte, 100), ACL: openACL, Ephemeral: true, ParentCversion: -1},
	}
	remove := txn.Txn{Header: txn.Header{Type: wire.OpDelete}, Body: &txn.Delete{Path: "/directory-0042/one-more"}}
	zxid := t.Zxid()
	var out Result
	b.ReportAllocs()
	for b.Loop() {
		create.Zxid, remove.Zxid = zxid+1, zxid+2
		zxid += 2
		t.Apply(&create, &out)
		t.Apply(&remove, &out)
	}
}

// BenchmarkGrow builds trees of a million nodes and reports the time for one and its memory, with 100 bytes of data each.
func BenchmarkGrow(b *testing.B) {
	const nodes = 1_000_000
	for b.Loop() {
		before := heap()
		t, paths := populated(nodes)
		grown := heap() - before
		b.ReportMetric(float64(grown)/nodes, "bytes/node")
		runtime.KeepAlive(t)
		runtime.KeepAlive(paths)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/nodes, "ns/node")
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkDump hands out a tree of a million nodes in pieces of 64 KiB, without and with changes to every node before its turn.
func BenchmarkDump(b *testing.B) {
	const nodes = 1_000_000
	for _, changing := range []bool{false, true} {
		b.Run(fmt.Sprintf("changing=%v", changing), func(b *testing.B) {
			t, paths := populated(nodes)
			set := &txn.SetData{Data: make([]byte, 100)}
			x := txn.Txn{Header: txn.Header{Zxid: t.Zxid(), Type: wire.OpSetData}, Body: set}
			var out Result
			var images []Image
			for b.Loop() {
				d := t.Dump()
				if b.StopTimer(); changing {
					for _, path := range paths {
						x.Zxid++
						set.Path, set.Version = path, int32(x.Zxid)
						t.Apply(&x, &out)
					}
				}
				b.StartTimer()
				for images = d.Next(images[:0], 64<<10); len(images) > 0; {
					images = d.Next(images[:0], 64<<10)
				}
				d.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/nodes, "ns/node")
		})
	}
}

// BenchmarkDigest is the digest of a node whose data has not changed.
func BenchmarkDigest(b *testing.B) {
	stat := znode.StatPersisted{Czxid: 1, Mzxid: 2, Ctime: 3, Mtime: 4, Version: 5}
	sum := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		sum += NodeDigest(uint32(sum), &stat)
	}
}
