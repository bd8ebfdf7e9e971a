package tree

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Readers and a dump share the tree between batches of an applier, as the package promises: the race detector must agree, and the
// dump, whose images are looked at outside the lock, must be of its moment.
func TestReadersDumpAndApplierShareTheTree(t *testing.T) {
	tr, paths := populated(3000)
	l := &locked{tree: tr}
	moment := tr.Digest()
	d := tr.Dump()
	var crew sync.WaitGroup
	for r := range 2 {
		crew.Go(func() { // ends after its rounds
			out := make([]byte, 0, 16<<10)
			for round := range 200 {
				l.read(paths[(r*1000+round*7)%2900:][:64], out[:0])
				l.mu.RLock()
				for name := range tr.Node("/directory-0001").Children() {
					out = append(out[:0], name...)
				}
				tr.Descendants("/directory-0002")
				l.mu.RUnlock()
			}
		})
	}
	crew.Go(func() { // ends after its batches
		set := make([]txn.Txn, 30)
		zxid := znode.Zxid(10_000)
		for batch := range 100 {
			for i := range set {
				zxid++
				path := paths[batch*30+i]
				set[i] = txn.Txn{Header: txn.Header{Zxid: zxid, Type: wire.OpSetData}, Body: &txn.SetData{Path: path, Data: []byte{1}, Version: 1}}
				switch i % 3 {
				case 1:
					set[i].Type, set[i].Body = wire.OpCreate, &txn.Create{Path: path + "/child", ACL: lists[2], ParentCversion: 1}
				case 2:
					set[i].Type, set[i].Body = wire.OpDelete, &txn.Delete{Path: path}
				}
			}
			l.apply(set)
		}
	})
	sum := uint64(0)
	crew.Go(func() { // ends with the dump
		var images []Image
		for {
			l.mu.RLock()
			images = d.Next(images[:0], 4096)
			l.mu.RUnlock()
			if len(images) == 0 {
				return
			}
			for _, img := range images {
				if InDigest(img.Path) {
					sum += NodeDigest(ContentCRC(img.Path, img.Data), &img.Stat)
				}
			}
		}
	})
	crew.Wait()
	d.Close()
	require.Equal(t, moment, sum)
	requireConsistent(t, tr)
}
