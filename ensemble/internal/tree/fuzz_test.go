package tree

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// FuzzApply replays whatever decodes, a dump begun somewhere on the way: a log may say anything, and the tree must stay one. The
// input is a byte that says when the dump begins and then payloads, each after its length.
func FuzzApply(f *testing.F) {
	for begin, name := range []string{"voters/log.100000001", "observer-and-snap/log.100000001"} {
		b := []byte{byte(begin)}
		for _, x := range logged(f, name) {
			b = jute.AppendBuffer(b, x.AppendPayload(nil))
		}
		f.Add(b)
	}
	var odd []byte
	for _, path := range []string{"", "/", "//", "/a/", "a", "/zookeeper/quota/zookeeper_limits", "/zookeeper/quota//zookeeper_stats"} {
		for _, x := range []txn.Txn{
			{Header: txn.Header{Type: wire.OpCreateTTL}, Body: &txn.Create{Path: path, TTL: -1, ParentCversion: -1}},
			{Header: txn.Header{Type: wire.OpSetData}, Body: &txn.SetData{Path: path}},
			{Header: txn.Header{Type: wire.OpSetACL}, Body: &txn.SetACL{Path: path}},
			{Header: txn.Header{Type: wire.OpDelete}, Body: &txn.Delete{Path: path}},
		} {
			x.Session, x.Zxid = -1<<63, -128
			odd = jute.AppendBuffer(odd, x.AppendPayload(nil))
		}
	}
	f.Add(append([]byte{3}, odd...))

	f.Fuzz(func(t *testing.T, b []byte) {
		tr := New(Options{Extended: true})
		if len(b) == 0 {
			return
		}
		d := jute.NewDecoder(b[1:])
		var dump *Dump
		var out Result
		for i := byte(0); d.Err() == nil && d.Len() > 0; i++ {
			if i == b[0] && dump == nil {
				dump = tr.Dump()
			}
			x, err := txn.Decode(d.Buffer())
			if err != nil {
				continue
			}
			tr.Apply(&x, &out)
			if dump != nil && i%4 == 0 {
				dump.Next(nil, 1)
			}
		}
		if dump != nil {
			dump.Close()
		}
		requireConsistent(t, tr)
		requireRecomputed(t, tr)
	})
}

// requireRecomputed computes from nothing what the tree keeps up to date.
func requireRecomputed(t *testing.T, tr *Tree) {
	sum, size, owned := uint64(0), int64(1), 0
	for n := tr.oldest; n != nil; n = n.newer {
		size += int64(len(n.path) + len(n.data))
		if !n.hidden {
			stat := n.Persisted()
			sum += NodeDigest(ContentCRC(n.path, n.data), &stat)
		}
		if n.Kind() == znode.Ephemeral {
			owned++
		}
	}
	require.Equal(t, sum, tr.Digest())
	require.Equal(t, size, tr.DataSize())
	require.Equal(t, owned, tr.EphemeralCount())
}
