package tree

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func TestEmptyTree(t *testing.T) {
	tr := New(Options{})
	require.Equal(t, uint64(0x51C6D660), tr.Digest())
	require.Equal(t, uint64(0x04128908), tr.Node("/").Digest())
	require.Equal(t, uint64(0x4DB44D58), tr.Node("/zookeeper").Digest())
	require.Equal(t, 5, tr.NodeCount())
	require.Equal(t, int64(44), tr.DataSize())
	require.Equal(t, 3, tr.Descendants("/"))
	require.Equal(t, int32(-1), tr.Node("/").Stat().Cversion)
	require.Equal(t, int32(-2), tr.Node("/zookeeper").Stat().Cversion)
	require.Equal(t, int32(-1), tr.Node("/zookeeper/config").Stat().Aversion)
	require.Equal(t, znode.ReadACL(), tr.Node("/zookeeper/config").ACL())
	require.NotNil(t, tr.Node("/").Data())
	require.Same(t, tr.Node("/"), tr.Node(""), "the empty path is the root's too")
	require.Same(t, tr.Node("/"), tr.NodeBytes(nil))
	require.Nil(t, tr.Node("/zookeeper/"), "a path is only a key")
	requireModel(t, newModel(false), tr)
}

// The tree and the slow model of it agree after every transaction: what it came to, what changed, and every node.
func TestApplyAgreesWithModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		extended := rapid.Bool().Draw(t, "extended")
		g := &generator{model: newModel(extended)}
		tr := New(Options{Extended: extended})
		var out Result
		for range rapid.IntRange(1, 60).Draw(t, "transactions") {
			x, events := g.next(t)
			tr.Apply(&x, &out)
			requireResult(t, g.model, &x, &out)
			require.Equal(t, events, changesOf(&out), "%v", x.Body)
			require.Equal(t, g.model.digest(), tr.Digest(), "digest after %v %v", x.Type, x.Body)
			require.Equal(t, x.Zxid, tr.Zxid())
		}
		requireModel(t, g.model, tr)
		requireConsistent(t, tr)
	})
}

func changesOf(out *Result) []string {
	var events []string
	for _, c := range out.Changes {
		events = append(events, c.Type.String()+" "+c.Path)
	}
	return events
}

// requireResult compares what the client hears.
func requireResult(t require.TestingT, m *model, x *txn.Txn, out *Result) {
	switch body := x.Body.(type) {
	case *txn.Error:
		require.Equal(t, body.Code, out.Code)
	case *txn.Multi:
		require.Len(t, out.Subs, len(body.Subs))
		failed := false
		for i, sub := range body.Subs {
			want := SubResult{Type: sub.Type}
			if e, ok := sub.Body.(*txn.Error); ok {
				failed, want.Code = true, e.Code
			}
			if body.Failed() {
				want.Type = wire.OpError
				require.Equal(t, want, out.Subs[i])
			}
			require.Equal(t, want.Code, out.Subs[i].Code)
			require.Equal(t, want.Type, out.Subs[i].Type)
		}
		require.Equal(t, failed, out.Code != znode.CodeOK)
	case *txn.Create:
		require.Equal(t, Result{Path: body.Path, Stat: m.stat(body.Path)}, bare(out))
	case *txn.SetACL:
		require.Equal(t, Result{Path: body.Path, Stat: m.stat(body.Path)}, bare(out))
	case *txn.SetData:
		want := Result{Path: body.Path, Stat: m.stat(body.Path)}
		if x.Type == wire.OpReconfig {
			want.Data = m.nodes[body.Path].data
		}
		require.Equal(t, want, bare(out))
	case *txn.Delete:
		require.Equal(t, Result{Path: body.Path}, bare(out))
	default:
		require.Equal(t, Result{}, bare(out))
	}
}

func bare(out *Result) Result {
	return Result{Code: out.Code, Path: out.Path, Stat: out.Stat, Data: out.Data}
}

// requireModel compares everything a reader can see.
func requireModel(t require.TestingT, m *model, tr *Tree) {
	require.Equal(t, m.zxid, tr.Zxid())
	require.Equal(t, m.digest(), tr.Digest())
	size, owned := int64(1), 0
	ephemerals := make(map[znode.SessionID][]string)
	var containers, ttls []string
	for path, n := range m.nodes {
		got := tr.Node(path)
		require.NotNil(t, got, "%s", path)
		require.Equal(t, path, got.Path())
		require.Equal(t, n.data, got.Data(), "data of %s", path)
		require.Equal(t, n.acl, got.ACL(), "ACL of %s", path)
		require.Equal(t, n.stat, got.Persisted(), "%s", path)
		require.Equal(t, m.stat(path), got.Stat(), "%s", path)
		require.Equal(t, m.kind(n), got.Kind(), "%s", path)
		require.Equal(t, m.children(path), slices.Sorted(got.Children()), "children of %s", path)
		require.Equal(t, len(m.children(path)), got.NumChildren())
		require.Equal(t, len(m.descendants(path)), tr.Descendants(path), "descendants of %s", path)
		size += int64(len(strings.TrimSuffix(path, "/")) + len(n.data))
		switch m.kind(n) {
		case znode.Ephemeral:
			id := znode.SessionID(n.stat.Owner)
			ephemerals[id] = append(ephemerals[id], path)
			owned++
		case znode.Container:
			containers = append(containers, path)
		case znode.TTL:
			ttls = append(ttls, path)
		}
	}
	require.Equal(t, len(m.nodes)+1, tr.NodeCount())
	require.Equal(t, size, tr.DataSize())
	require.Equal(t, owned, tr.EphemeralCount())
	require.ElementsMatch(t, containers, pathsOf(slices.Collect(tr.Containers())))
	require.ElementsMatch(t, ttls, pathsOf(slices.Collect(tr.TTLs())))
	require.Equal(t, len(ephemerals), len(slices.Collect(tr.EphemeralSessions())))
	for id, paths := range ephemerals {
		require.ElementsMatch(t, paths, tr.Ephemerals(id))
	}
	require.Equal(t, len(m.sessions), tr.SessionCount())
	for id, timeout := range tr.Sessions() {
		require.Equal(t, m.sessions[id], timeout)
		got, ok := tr.Session(id)
		require.True(t, ok)
		require.Equal(t, timeout, got)
	}
}

func pathsOf(nodes []*Node) (paths []string) {
	for _, n := range nodes {
		paths = append(paths, n.Path())
	}
	return paths
}

// requireConsistent checks what no reader sees: links, places and reference counts.
func requireConsistent(t require.TestingT, tr *Tree) {
	refs := make(map[*aclEntry]int)
	seen := make(map[*Node]bool)
	count := 0
	var last *Node
	for n := tr.oldest; n != nil; last, n = n, n.newer {
		require.Same(t, n, tr.Node(n.Path()))
		require.False(t, n.dead)
		require.Same(t, last, n.older)
		if last != nil {
			require.Greater(t, n.seq, last.seq)
			require.True(t, seen[n.parent], "%s comes before its parent", n.path)
			require.Same(t, n, n.parent.children[n.slot])
			require.Equal(t, n.path, znode.Join(n.parent.Path(), n.Name()))
		}
		require.Equal(t, tr.contentCRC(n), n.crc)
		seen[n] = true
		refs[n.acl]++
		count++
	}
	require.Same(t, last, tr.newest)
	require.Equal(t, len(tr.nodes), count)
	delete(refs, tr.acls.open)
	require.Len(t, tr.acls.entries, len(refs))
	for i, e := range tr.acls.entries {
		require.Equal(t, refs[e], e.refs)
		require.Equal(t, i, e.slot)
	}
	require.LessOrEqual(t, len(tr.acls.byKey), len(refs))
}

// steps applies transactions written by hand, one zxid each, and keeps the last result.
type steps struct {
	t    *testing.T
	tree *Tree
	out  Result
}

func (s *steps) do(typ wire.Op, body txn.Body) *Result {
	return s.at(s.tree.Zxid()+1, typ, body)
}

func (s *steps) at(zxid znode.Zxid, typ wire.Op, body txn.Body) *Result {
	s.t.Helper()
	x := txn.Txn{Header: txn.Header{Session: 7, Zxid: zxid, Time: int64(zxid) * 10, Type: typ}, Body: body}
	s.tree.Apply(&x, &s.out)
	requireConsistent(s.t, s.tree)
	return &s.out
}

func (s *steps) create(path string, count int32) *Result {
	s.t.Helper()
	return s.do(wire.OpCreate, &txn.Create{Path: path, Data: []byte{}, ACL: znode.OpenACL(), ParentCversion: count})
}

// What replay over a fuzzy snapshot meets: each case names the rule.
func TestLenientReplay(t *testing.T) {
	s := &steps{t: t, tree: New(Options{})}
	require.Equal(t, znode.CodeNoNode, s.create("/no/where", 1).Code, "a create without a parent is skipped")
	require.Equal(t, znode.Zxid(1), s.tree.Zxid(), "and takes its zxid")
	require.Equal(t, znode.CodeNoNode, s.create("no-slash", 1).Code)
	require.Equal(t, znode.CodeNoNode, s.do(wire.OpSetData, &txn.SetData{Path: "/no"}).Code)
	require.Equal(t, znode.CodeNoNode, s.do(wire.OpSetACL, &txn.SetACL{Path: "/no"}).Code)
	require.Equal(t, znode.CodeNoNode, s.do(wire.OpDelete, &txn.Delete{Path: "/no/where"}).Code)
	require.Equal(t, znode.CodeBadArguments, s.do(wire.OpDelete, &txn.Delete{Path: "/zookeeper"}).Code)
	require.Empty(t, s.out.Changes)

	require.Equal(t, znode.CodeOK, s.create("/a", 5).Code)
	require.Equal(t, int32(5), s.tree.Node("/").Persisted().Cversion)
	made := s.tree.Zxid()
	s.create("/b", 3)
	require.Equal(t, int32(5), s.tree.Node("/").Persisted().Cversion, "the parent's count never goes down")
	require.Equal(t, made, s.tree.Node("/").Persisted().Pzxid, "nor does its pzxid follow then")

	s.do(wire.OpSetData, &txn.SetData{Path: "/a", Data: []byte("kept"), Version: 1})
	stat := s.tree.Node("/a").Persisted()
	res := s.do(wire.OpCreateTTL, &txn.Create{Path: "/a", ACL: znode.ReadACL(), ParentCversion: 9})
	require.Equal(t, znode.CodeNodeExists, res.Code)
	require.Empty(t, res.Changes)
	require.Equal(t, []byte("kept"), s.tree.Node("/a").Data(), "what is there stays")
	require.Equal(t, stat, s.tree.Node("/a").Persisted())
	require.Equal(t, znode.ReadACL(), s.tree.Node("/a").ACL(), "but for its ACL")
	require.Equal(t, int32(9), s.tree.Node("/").Persisted().Cversion, "and the parent learns of it")
	require.Equal(t, s.tree.Zxid(), s.tree.Node("/").Persisted().Pzxid)

	s.at(100, wire.OpDelete, &txn.Delete{Path: "/gone"})
	require.Equal(t, znode.CodeNoNode, s.out.Code)
	require.Equal(t, znode.Zxid(100), s.tree.Node("/").Persisted().Pzxid, "also of a deletion that has been")
	s.at(50, wire.OpDelete, &txn.Delete{Path: "/gone"})
	require.Equal(t, znode.Zxid(100), s.tree.Node("/").Persisted().Pzxid, "whose zxid only goes up")
	require.Equal(t, znode.Zxid(100), s.tree.Zxid(), "as does the tree's")

	s.create("/b/c", 1)
	s.create("/b/c/d", 1)
	s.do(wire.OpDelete, &txn.Delete{Path: "/b"})
	require.Nil(t, s.tree.Node("/b/c/d"), "what is below goes too: it came later and will come again")
	require.Equal(t, 4, s.tree.Descendants("/"))
}

func TestParentCountWraps(t *testing.T) {
	s := &steps{t: t, tree: New(Options{})}
	s.tree.Node("/").stat.Cversion = 1<<31 - 1
	s.create("/a", -1<<31)
	require.Equal(t, int32(-1<<31), s.tree.Node("/").Persisted().Cversion)
	s.create("/b", -1<<31)
	s.create("/c", -1)
	require.Equal(t, int32(-1<<31)+1, s.tree.Node("/").Persisted().Cversion, "-1 is one more than there was")
}

func TestCloseSession(t *testing.T) {
	s := &steps{t: t, tree: New(Options{})}
	ephemeral := func(path string) {
		s.do(wire.OpCreate2, &txn.Create{Path: path, ACL: znode.OpenACL(), Ephemeral: true, ParentCversion: -1})
	}
	s.do(wire.OpCreateSession, &txn.CreateSession{Timeout: 4000})
	for _, path := range []string{"/1", "/2", "/3"} {
		ephemeral(path)
	}
	require.Equal(t, []string{"/1", "/2", "/3"}, s.tree.Ephemerals(7))

	s.do(wire.OpCloseSession, &txn.CloseSession{Paths: []string{"/2", "/9"}})
	require.Equal(t, []string{"NodeDeleted /2", "NodeDeleted /1", "NodeDeleted /3"}, changesOf(&s.out), "those listed, then the others")
	require.Equal(t, s.tree.Zxid(), s.tree.Node("/").Persisted().Pzxid)
	_, open := s.tree.Session(7)
	require.False(t, open)
	require.Empty(t, s.tree.Ephemerals(7))

	ephemeral("/4")
	require.Equal(t, []znode.SessionID{7}, slices.Collect(s.tree.EphemeralSessions()), "a session nobody knows")
	s.do(wire.OpCloseSession, nil)
	require.Equal(t, []string{"NodeDeleted /4"}, changesOf(&s.out), "old logs have no list")
	require.Equal(t, 0, s.tree.EphemeralCount())
}

func TestMultiAppliesAllOrNothing(t *testing.T) {
	s := &steps{t: t, tree: New(Options{})}
	create := func(path string) txn.Sub {
		return txn.Sub{Type: wire.OpCreate, Body: &txn.Create{Path: path, ACL: znode.OpenACL(), ParentCversion: -1}}
	}
	s.do(wire.OpMulti, &txn.Multi{Subs: []txn.Sub{
		create("/a"), create("/a/b"), {Type: wire.OpDelete, Body: &txn.Delete{Path: "/a/b"}},
		{Type: wire.OpCheck, Body: &txn.Check{Path: "/a"}},
	}})
	require.Equal(t, znode.CodeOK, s.out.Code)
	require.Equal(t, []string{"NodeCreated /a", "NodeCreated /a/b", "NodeDeleted /a/b"}, changesOf(&s.out))
	require.Zero(t, s.out.Subs[0].Stat.Cversion, "the stat of a part is of the moment the part was done")
	require.Equal(t, int32(2), s.tree.Node("/a").Stat().Cversion)
	require.Equal(t, "/a", s.out.Subs[3].Path)

	before := s.tree.Digest()
	s.do(wire.OpMulti, &txn.Multi{Subs: []txn.Sub{
		create("/c"),
		{Type: wire.OpError, Body: &txn.Error{Code: znode.CodeBadVersion}},
		{Type: wire.OpError, Body: &txn.Error{Code: znode.CodeRuntimeInconsistency}},
	}})
	require.Equal(t, znode.CodeBadVersion, s.out.Code)
	require.Equal(t, []SubResult{
		{Type: wire.OpError}, {Type: wire.OpError, Code: znode.CodeBadVersion}, {Type: wire.OpError, Code: znode.CodeRuntimeInconsistency},
	}, s.out.Subs)
	require.Nil(t, s.tree.Node("/c"))
	require.Equal(t, before, s.tree.Digest())

	s.do(wire.OpMulti, &txn.Multi{})
	require.Equal(t, znode.CodeOK, s.out.Code)
	require.Empty(t, s.out.Subs, "nothing is left over from the last result")
}

func TestChangesCarryACLs(t *testing.T) {
	s := &steps{t: t, tree: New(Options{})}
	s.create("/a", 1)
	s.do(wire.OpSetACL, &txn.SetACL{Path: "/a", ACL: lists[2], Version: 1})
	require.Empty(t, s.out.Changes, "nobody watches ACLs")
	s.do(wire.OpCreate, &txn.Create{Path: "/a/b", ACL: lists[3], ParentCversion: 1})
	require.Equal(t, []Change{{Type: znode.EventCreated, Path: "/a/b", ACL: lists[3], ParentACL: lists[2]}}, s.out.Changes)
	s.do(wire.OpDelete, &txn.Delete{Path: "/a/b"})
	require.Equal(t, []Change{{Type: znode.EventDeleted, Path: "/a/b", ACL: lists[3], ParentACL: lists[2]}}, s.out.Changes)
	s.do(wire.OpSetData, &txn.SetData{Path: "/"})
	require.Equal(t, []Change{{Type: znode.EventDataChanged, Path: "/", ACL: lists[0], ParentACL: lists[0]}}, s.out.Changes)
}

func TestResultKeepsNothingOfTheBuffer(t *testing.T) {
	s := &steps{t: t, tree: New(Options{})}
	data, list := []byte("data"), []znode.ACL{{Perms: 1, ID: znode.ID{Scheme: "ip", Name: "10.0.0.1"}}}
	s.do(wire.OpCreate, &txn.Create{Path: "/a", Data: data, ACL: list, ParentCversion: 1})
	data[0], list[0].Perms = 'x', 31
	require.Equal(t, []byte("data"), s.tree.Node("/a").Data())
	require.Equal(t, znode.Perms(1), s.tree.Node("/a").ACL()[0].Perms)
	data = []byte("more")
	s.do(wire.OpSetData, &txn.SetData{Path: "/a", Data: data, Version: 1})
	data[0] = 'x'
	require.Equal(t, []byte("more"), s.tree.Node("/a").Data())
}

func TestWithoutDigest(t *testing.T) {
	s := &steps{t: t, tree: New(Options{NoDigest: true})}
	for i := range int32(300) {
		s.create(fmt.Sprintf("/%d", i), i+1)
	}
	require.Zero(t, s.tree.Digest())
	require.Empty(t, slices.Collect(s.tree.History()))
}

func TestHistory(t *testing.T) {
	tr := New(Options{})
	var out Result
	for zxid := znode.Zxid(1); zxid <= historyStep*(historyLen+5); zxid++ {
		tr.Apply(&txn.Txn{Header: txn.Header{Zxid: zxid, Type: wire.OpSetData}, Body: &txn.SetData{Path: "/", Version: int32(zxid)}}, &out)
	}
	all := slices.Collect(tr.History())
	require.Len(t, all, historyLen)
	for i, d := range all {
		require.Equal(t, znode.Zxid(historyStep*(i+6)), d.Zxid)
	}
	require.Equal(t, Digest{Zxid: tr.Zxid(), Digest: tr.Digest()}, all[historyLen-1])
}

func TestDigestFunctions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path, data := rapid.String().Draw(t, "path"), rapid.SliceOf(rapid.Byte()).Draw(t, "data")
		stat := znode.StatPersisted{
			Czxid: znode.Zxid(rapid.Int64().Draw(t, "")), Mzxid: znode.Zxid(rapid.Int64().Draw(t, "")), Pzxid: znode.Zxid(rapid.Int64().Draw(t, "")),
			Ctime: rapid.Int64().Draw(t, ""), Mtime: rapid.Int64().Draw(t, ""), Owner: znode.Owner(rapid.Int64().Draw(t, "")),
			Version: rapid.Int32().Draw(t, ""), Cversion: rapid.Int32().Draw(t, ""), Aversion: rapid.Int32().Draw(t, ""),
		}
		m := &model{nodes: map[string]*modelNode{"/x" + path + "y": {data: data, stat: stat}}}
		require.Equal(t, m.digest(), NodeDigest(ContentCRC("/x"+path+"y", data), &stat))
	})
	require.Equal(t, ContentCRC("", nil), ContentCRC("/", nil))
	for path, in := range map[string]bool{"/": true, "/zookeeper": true, "/zookeeper/quota": false, "/zookeepers": true} {
		require.Equal(t, in, InDigest(path), path)
	}
}
