package tree

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func (s *steps) put(path, data string) {
	s.t.Helper()
	s.do(wire.OpCreate, &txn.Create{Path: path, Data: []byte(data), ACL: znode.OpenACL(), ParentCversion: -1})
	require.Equal(s.t, znode.CodeOK, s.out.Code, path)
}

func (s *steps) usage(path string) string {
	return string(s.tree.Node("/zookeeper/quota" + path + "/zookeeper_stats").Data())
}

func TestQuota(t *testing.T) {
	s := &steps{t: t, tree: New(Options{})}
	for _, p := range []string{"/a", "/a/b", "/a/bc", "/zookeeper/quota/a", "/zookeeper/quota/a/b"} {
		s.put(p, "123")
	}
	_, ok := s.tree.Quota("/a/b")
	require.False(t, ok)

	s.put("/zookeeper/quota/a/b/zookeeper_limits", "count=5,bytes=-1=;byteHardLimit=900;countHardLimit=7")
	q, ok := s.tree.Quota("/a/b/c/d")
	require.True(t, ok)
	require.Equal(t, Quota{Path: "/a/b", SoftCount: 5, SoftBytes: -1, HardBytes: 900, HardCount: 7, Count: -1, Bytes: -1}, q)
	s.put("/zookeeper/quota/a/b/zookeeper_stats", "count=0,bytes=0")
	require.Equal(t, "count=1,bytes=3", s.usage("/a/b"), "what is there is counted, the top too")

	stats := s.tree.Node("/zookeeper/quota/a/b/zookeeper_stats")
	stat, digest := stats.Persisted(), s.tree.Digest()
	s.put("/a/b/c", "12345")
	require.Equal(t, "count=2,bytes=8", s.usage("/a/b"))
	require.Equal(t, []string{"NodeCreated /a/b/c"}, changesOf(&s.out), "usage changes without a watch")
	require.Equal(t, stat, stats.Persisted(), "and without a version or zxid")
	s.do(wire.OpSetData, &txn.SetData{Path: "/a/b/c", Data: []byte("1"), Version: 1})
	require.Equal(t, "count=2,bytes=4", s.usage("/a/b"))
	s.do(wire.OpDelete, &txn.Delete{Path: "/a/b/c"})
	require.Equal(t, "count=1,bytes=3", s.usage("/a/b"))
	require.NotEqual(t, digest, s.tree.Digest())
	s.put("/a/bc/d", "1")
	require.Equal(t, "count=1,bytes=3", s.usage("/a/b"), "/a/bc is not below /a/b")

	s.put("/zookeeper/quota/a/zookeeper_limits", "count=1,bytes=1")
	s.put("/zookeeper/quota/a/zookeeper_stats", "")
	require.Equal(t, "count=4,bytes=10", s.usage("/a"))
	s.put("/a/b/c", "12")
	require.Equal(t, "count=4,bytes=10", s.usage("/a"), "only the deepest is charged")
	require.Equal(t, "count=2,bytes=5", s.usage("/a/b"))
	q, _ = s.tree.Quota("/a")
	require.Equal(t, Quota{Path: "/a", SoftCount: 1, SoftBytes: 1, HardBytes: -1, HardCount: -1, Measured: true, Count: 4, Bytes: 10}, q)

	s.do(wire.OpDelete, &txn.Delete{Path: "/zookeeper/quota/a/b/zookeeper_limits"})
	s.put("/a/b/d", "1")
	require.Equal(t, "count=2,bytes=5", s.usage("/a/b"), "no longer in force")
	require.Equal(t, "count=5,bytes=11", s.usage("/a"), "so the next above is charged")
	s.do(wire.OpDelete, &txn.Delete{Path: "/zookeeper/quota/a/zookeeper_stats"})
	s.put("/a/b/e", "1")
	q, _ = s.tree.Quota("/a/x")
	require.Equal(t, int64(-1), q.Count)
}

func TestNoQuotaOfTheRoot(t *testing.T) {
	s := &steps{t: t, tree: New(Options{})}
	s.put("/zookeeper/quota/zookeeper_limits", "count=1,bytes=1")
	s.put("/zookeeper/quota/zookeeper", "")
	s.put("/zookeeper/quota/zookeeper/zookeeper_limits", "count=1,bytes=1")
	for _, path := range []string{"/", "/a", "/zookeeper", "/zookeeper/quota/x", ""} {
		_, ok := s.tree.Quota(path)
		require.False(t, ok, path)
	}
}

func TestQuotaText(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "count=-1,bytes=-1",
		"count=3,bytes=4":              "count=3,bytes=4",
		"bytes=4;;,count=3":            "count=3,bytes=4",
		"count=,bytes=x":               "count=-1,bytes=-1",
		"count=1,bytes=2=;b=9;a=8;b=7": "count=1,bytes=2=;a=8;b=7",
		"count=-1,bytes=-1=;byteHardLimit=900;countHardLimit=7": "count=-1,bytes=-1=;byteHardLimit=900;countHardLimit=7",
	} {
		q := parseQuota([]byte(in))
		require.Equal(t, want, string(q.append(nil)), in)
	}
}

// Any text can be in a node of limits or usage; what is made of it has settled after one turn.
func FuzzQuotaText(f *testing.F) {
	f.Add([]byte("count=-1,bytes=-1=;byteHardLimit=900;countHardLimit=7"))
	f.Add([]byte("count=99999999999999999999,,;=,=;\x00=\xff"))
	f.Fuzz(func(t *testing.T, text []byte) {
		q := parseQuota(text)
		once := q.append(nil)
		again := parseQuota(once)
		require.Equal(t, string(once), string(again.append(nil)))
	})
}
