package tree

import (
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// The measurements of decisions/2026-11-21-sharing-the-tree.md. To be run as written there.

const (
	sharedNodes = 100_000
	writeEvery  = 10 // one batch in so many is of writes
	connections = 32 // goroutines per processor
)

// shared is a way of letting many goroutines use one tree, a batch at a time.
type shared interface {
	read(batch []string, out []byte) []byte
	apply(batch []txn.Txn)
	close()
}

// locked is the way that was chosen: readers together, an applier alone, both for a batch.
type locked struct {
	mu   sync.RWMutex
	tree *Tree
	out  Result
}

func (l *locked) read(batch []string, out []byte) []byte {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return answerAll(l.tree, batch, out)
}

func (l *locked) apply(batch []txn.Txn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range batch {
		l.tree.Apply(&batch[i], &l.out)
	}
}

func (l *locked) close() {}

// owned lets one goroutine do everything; batches are handed over and back.
type owned struct {
	work chan handover
	done chan struct{}
}

type handover struct {
	reads  []string
	writes []txn.Txn
	out    []byte
	back   chan []byte
}

func newOwned(t *Tree) *owned {
	o := &owned{work: make(chan handover, 128), done: make(chan struct{})}
	go func() { // ends when work is closed
		defer close(o.done)
		var out Result
		for h := range o.work {
			for i := range h.writes {
				t.Apply(&h.writes[i], &out)
			}
			h.back <- answerAll(t, h.reads, h.out)
		}
	}()
	return o
}

var backs = sync.Pool{New: func() any { return make(chan []byte, 1) }}

func (o *owned) read(batch []string, out []byte) []byte {
	back := backs.Get().(chan []byte)
	defer backs.Put(back)
	o.work <- handover{reads: batch, out: out, back: back}
	return <-back
}

func (o *owned) apply(batch []txn.Txn) {
	back := backs.Get().(chan []byte)
	defer backs.Put(back)
	o.work <- handover{writes: batch, back: back}
	<-back
}

func (o *owned) close() {
	close(o.work)
	<-o.done
}

// persistent keeps the nodes in a hash trie of which a writer copies what it changes, so that readers need no lock at all.
type persistent struct {
	seed maphash.Seed
	top  atomic.Pointer[trie]
	mu   sync.Mutex // writers
}

type trie struct {
	kids [16]*trie
	path string
	node *Node
}

func newPersistent(t *Tree) *persistent {
	p := &persistent{seed: maphash.MakeSeed()}
	top := &trie{}
	for path, n := range t.nodes {
		top = p.put(top, path, n, maphash.String(p.seed, path), 60)
	}
	p.top.Store(top)
	return p
}

func (p *persistent) put(at *trie, path string, n *Node, hash uint64, shift int) *trie {
	if at == nil {
		return &trie{path: path, node: n}
	}
	fresh := *at
	if at.node != nil && at.path == path || at.node == nil && shift < 0 {
		fresh.path, fresh.node = path, n
		return &fresh
	}
	i := hash >> shift & 15
	fresh.kids[i] = p.put(at.kids[i], path, n, hash, shift-4)
	return &fresh
}

func (p *persistent) find(path string) *Node {
	hash := maphash.String(p.seed, path)
	for at, shift := p.top.Load(), 60; at != nil; at, shift = at.kids[hash>>shift&15], shift-4 {
		if at.node != nil && at.path == path {
			return at.node
		}
	}
	return nil
}

func (p *persistent) read(batch []string, out []byte) []byte {
	for _, path := range batch {
		out = answer(p.find(path), out)
	}
	return out
}

func (p *persistent) apply(batch []txn.Txn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	top := p.top.Load()
	for i := range batch {
		set := batch[i].Body.(*txn.SetData)
		fresh := *p.find(set.Path)
		fresh.data = append([]byte(nil), set.Data...)
		fresh.stat.Version, fresh.stat.Mzxid = set.Version, batch[i].Zxid
		fresh.crc = ContentCRC(fresh.path, fresh.data)
		fresh.digest = statCRC(fresh.crc, &fresh.stat)
		top = p.put(top, set.Path, &fresh, maphash.String(p.seed, set.Path), 60)
	}
	p.top.Store(top)
}

func (p *persistent) close() {}

func answerAll(t *Tree, batch []string, out []byte) []byte {
	for _, path := range batch {
		out = answer(t.Node(path), out)
	}
	return out
}

func answer(n *Node, out []byte) []byte {
	if n == nil {
		return out
	}
	stat := n.Stat()
	return stat.AppendJute(jute.AppendBuffer(out, n.Data()))
}

// BenchmarkSharing measures a request, with one batch of writes to nine of reads, over 32 connections a processor.
func BenchmarkSharing(b *testing.B) {
	ways := []struct {
		name string
		make func(*Tree) shared
	}{
		{"rwmutex", func(t *Tree) shared { return &locked{tree: t} }},
		{"owner", func(t *Tree) shared { return newOwned(t) }},
		{"persistent", func(t *Tree) shared { return newPersistent(t) }},
	}
	for _, size := range []int{1, 64} {
		for _, way := range ways {
			b.Run(fmt.Sprintf("%s/batch=%d", way.name, size), func(b *testing.B) {
				t, paths := populated(sharedNodes)
				s := way.make(t)
				defer s.close()
				b.ResetTimer()
				shareOut(b, s, paths, size)
				b.ReportMetric(float64(b.N)*float64(size)/b.Elapsed().Seconds()/1e6, "Mreq/s")
			})
		}
	}
}

func shareOut(b *testing.B, s shared, paths []string, size int) {
	var workers atomic.Int64
	b.SetParallelism(connections)
	b.RunParallel(func(pb *testing.PB) {
		at := int(workers.Add(1)) * 7919
		reads, writes := make([]string, size), make([]txn.Txn, size)
		for i := range writes {
			writes[i] = txn.Txn{Header: txn.Header{Type: wire.OpSetData}, Body: &txn.SetData{Data: make([]byte, 100)}}
		}
		out := make([]byte, 0, 256*size)
		for round := 0; pb.Next(); round++ {
			for i := range size {
				at = (at + 104_729) % len(paths)
				reads[i] = paths[at]
			}
			if round%writeEvery != 0 {
				s.read(reads, out[:0])
				continue
			}
			for i := range writes {
				writes[i].Zxid++
				writes[i].Body.(*txn.SetData).Path = reads[i]
			}
			s.apply(writes)
		}
	})
}

// populated is a tree of n nodes in directories of a thousand, and their paths.
func populated(n int) (*Tree, []string) {
	t := New(Options{})
	var out Result
	zxid := znode.Zxid(0)
	create := func(path string) {
		zxid++
		t.Apply(&txn.Txn{
			Header: txn.Header{Zxid: zxid, Time: 1_700_000_000_000, Type: wire.OpCreate},
			Body:   &txn.Create{Path: path, Data: make([]byte, 100), ACL: openACL, ParentCversion: -1},
		}, &out)
	}
	paths := make([]string, n)
	for i := range paths {
		dir := fmt.Sprintf("/directory-%04d", i/1000)
		if i%1000 == 0 {
			create(dir)
		}
		paths[i] = fmt.Sprintf("%s/node-%010d", dir, i)
		create(paths[i])
	}
	return t, paths
}

var openACL = znode.OpenACL()
