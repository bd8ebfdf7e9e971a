package tree

import (
	"encoding/binary"
	"hash/adler32"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// The files below testdata were written by Apache ZooKeeper 3.8.0: two small ensembles with sessions, creates, ephemerals, a
// multi, refused requests and expiries. (They are cut after their last record.)

// logged reads the transactions of a log file.
func logged(t testing.TB, name string) (log []txn.Txn) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	require.Equal(t, "ZKLG", string(b[:4]))
	for b = b[16:]; len(b) > 12; {
		size := int(binary.BigEndian.Uint32(b[8:]))
		if size == 0 {
			break
		}
		payload := b[12 : 12+size]
		require.Equal(t, uint64(adler32.Checksum(payload)), binary.BigEndian.Uint64(b))
		require.Equal(t, byte('B'), b[12+size])
		x, err := txn.Decode(payload)
		require.NoError(t, err)
		log, b = append(log, x), b[12+size+1:]
	}
	return log
}

// loaded builds the tree of a snapshot file.
func loaded(t *testing.T, name string, zxid znode.Zxid) *Tree {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	d := jute.NewDecoder(b)
	require.Equal(t, int32(0x5A4B534E), d.Int32())
	require.Equal(t, int32(2), d.Int32())
	d.Int64()
	l := NewLoader(Options{})
	for range d.Int32() {
		id := znode.SessionID(d.Int64())
		l.Session(id, d.Int32())
	}
	for range d.Int32() {
		id := d.Int64()
		l.ACL(id, znode.DecodeACLs(&d))
	}
	for path := d.String(); path != "/"; path = d.String() {
		img := Image{Path: path, Data: d.Buffer(), ACL: d.Int64()}
		img.Stat.DecodeJute(&d)
		require.NoError(t, d.Err())
		require.NoError(t, l.Node(img))
	}
	sum := adler32.Checksum(b[:len(b)-d.Len()])
	require.Equal(t, int64(sum), d.Int64())
	require.Equal(t, "/", d.String())
	tr, err := l.Tree(zxid)
	require.NoError(t, err)
	require.NoError(t, tr.CheckACLs())
	requireConsistent(t, tr)
	return tr
}

// Replay of a log over the snapshot before it gives, after every transaction, the digest Apache's server wrote beside it. (It
// writes none beside a refused request.)
func TestReplayOfApachesLogs(t *testing.T) {
	for _, run := range []struct {
		name, snapshot, log string
		digests             int
	}{
		{"voters", "voters/snapshot.0", "voters/log.100000001", 13},
		{"voters on an empty tree", "", "voters/log.100000001", 13},
		{"observer", "observer-and-snap/snapshot.0", "observer-and-snap/log.100000001", 7},
		{"observer over what it got", "observer-and-snap/snapshot.100000000", "observer-and-snap/log.100000001", 7},
	} {
		t.Run(run.name, func(t *testing.T) {
			tr := New(Options{})
			if run.snapshot != "" {
				tr = loaded(t, run.snapshot, 0)
			}
			digests := 0
			var out Result
			for _, x := range logged(t, run.log) {
				tr.Apply(&x, &out)
				requireConsistent(t, tr)
				if x.HasDigest {
					require.Equal(t, x.Digest, tr.Digest(), "%v %v", x.Zxid, x.Type)
					digests++
				}
			}
			require.Equal(t, run.digests, digests)
			require.Zero(t, tr.SessionCount())
		})
	}
}

// Both ways to the same zxid lead to the same tree: Apache's snapshot of it, and the log. So does the log once more over the
// snapshot.
func TestApachesSnapshotIsItsLog(t *testing.T) {
	tr := loaded(t, "observer-and-snap/snapshot.100000007", 0x100000007)
	log := logged(t, "observer-and-snap/log.100000001")
	last := log[len(log)-1]
	require.Equal(t, tr.Zxid(), last.Zxid)
	require.Equal(t, last.Digest, tr.Digest())
	require.Equal(t, []znode.ACL{{Perms: znode.PermAll, ID: znode.ID{Scheme: "digest", Name: "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ="}}}, tr.Node("/s").ACL())

	var out Result
	for _, x := range log {
		tr.Apply(&x, &out)
	}
	require.Equal(t, last.Digest, tr.Digest())
	requireConsistent(t, tr)
}
