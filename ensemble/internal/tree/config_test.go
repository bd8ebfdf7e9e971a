package tree

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

const threeServers = "server.1=a:2888:3888:participant\nserver.2=b:2888:3888:participant\nserver.3=c:2888:3888:participant\nversion=100000007"

// The configuration is a server's own affair: it changes what clients read and what is in the node's stat, and nothing that servers
// compare.
func TestSetConfig(t *testing.T) {
	tr := New(Options{})
	digest, size := tr.Digest(), tr.DataSize()
	tr.SetConfig(threeServers, 0x100000007, 1718000000123)
	n := tr.Node(znode.ConfigNode)
	require.Equal(t, threeServers, string(n.Data()))
	require.Equal(t, znode.ReadACL(), n.ACL())
	require.Equal(t, znode.Stat{
		Mzxid: 0x100000007, Mtime: 1718000000123, Version: -1, Aversion: -1, DataLength: int32(len(threeServers)),
	}, n.Stat())
	require.Equal(t, digest, tr.Digest())
	require.Zero(t, tr.Zxid(), "no transaction")
	require.Equal(t, size+int64(len(threeServers)), tr.DataSize())
	requireConsistent(t, tr)

	tr.SetConfig(threeServers, 0x100000007, 1718000009999)
	require.EqualValues(t, 1718000000123, n.Stat().Mtime, "what is there already is left alone")
	tr.SetConfig("version=0", 0, 1718000009999)
	require.Equal(t, "version=0", string(n.Data()))
	require.Equal(t, size+9, tr.DataSize())
}

// A dump that has not come to the node yet shows it as it was.
func TestSetConfigDuringADump(t *testing.T) {
	tr := New(Options{})
	tr.SetConfig("version=1", 1, 10)
	d := tr.Dump()
	tr.SetConfig(threeServers, 2, 20)
	seen := 0
	for _, img := range d.Next(nil, 1<<20) {
		if img.Path == znode.ConfigNode {
			require.Equal(t, "version=1", string(img.Data))
			require.EqualValues(t, 1, img.Stat.Mzxid)
			seen++
		}
	}
	d.Close()
	require.Equal(t, 1, seen)
	require.Equal(t, threeServers, string(tr.Node(znode.ConfigNode).Data()))
}

// What it weighs is charged to whoever limits the node, as if a client had written it.
func TestSetConfigIsCharged(t *testing.T) {
	tr := New(Options{})
	var out Result
	for i, path := range []string{"/zookeeper", "/zookeeper/config", "/zookeeper/config/zookeeper_limits", "/zookeeper/config/zookeeper_stats"} {
		data := map[bool]string{true: "count=-1,bytes=1000"}[i == 2]
		tr.Apply(&txn.Txn{
			Header: txn.Header{Zxid: znode.Zxid(i + 1), Type: wire.OpCreate},
			Body:   &txn.Create{Path: znode.Quota + path, Data: []byte(data), ACL: znode.OpenACL(), ParentCversion: -1},
		}, &out)
		require.Equal(t, znode.CodeOK, out.Code)
	}
	tr.SetConfig(threeServers, 1, 1)
	q, ok := tr.Quota(znode.ConfigNode)
	require.True(t, ok)
	require.EqualValues(t, len(threeServers), q.Bytes)
}
