package propose_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/auth"
	"github.com/bellwether-zk/bellwether/ensemble/internal/propose"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// gone are the sessions whose requests are refused.
type gone map[znode.SessionID]bool

func (g gone) Check(id znode.SessionID) znode.Code {
	if g[id] {
		return znode.CodeSessionExpired
	}
	return znode.CodeOK
}

// server is a tree with a planner, and the transactions that are planned and not applied.
type server struct {
	t       testing.TB
	tree    *tree.Tree
	planner *propose.Planner
	gone    gone
	zxid    znode.Zxid
	waiting []txn.Txn
	result  tree.Result
}

func newServer(t testing.TB, opts tree.Options, cfg propose.Config) *server {
	a, err := auth.New(auth.Config{})
	require.NoError(t, err)
	s := &server{t: t, tree: tree.New(opts), gone: gone{99: true}}
	s.planner = propose.New(s.tree, s.gone, a, cfg)
	return s
}

func (s *server) plan(r request.Request) txn.Txn {
	s.zxid++
	x := s.planner.Plan(&r, s.zxid, 1000+int64(s.zxid))
	s.waiting = append(s.waiting, x)
	return x
}

// apply applies the oldest transaction and checks that the tree comes to be what was foreseen.
func (s *server) apply() {
	s.t.Helper()
	x := s.waiting[0]
	s.waiting = s.waiting[1:]
	logged, err := txn.Decode(x.AppendPayload(nil))
	require.NoError(s.t, err)
	s.tree.Apply(&logged, &s.result)
	require.Equal(s.t, x.Type != wire.OpError && !s.tree.Options().NoDigest, x.HasDigest)
	if x.HasDigest {
		require.Equal(s.t, s.tree.Digest(), x.Digest, "%v %+v", x.Type, x.Body)
	}
	require.Equal(s.t, refusal(x), s.result.Code, "%v %+v", x.Type, x.Body)
	s.planner.Applied(x.Zxid)
}

func (s *server) applyAll() {
	s.t.Helper()
	for len(s.waiting) > 0 {
		s.apply()
	}
	require.Zero(s.t, s.planner.Pending())
}

// do plans and applies.
func (s *server) do(op wire.Op, rec wire.Record) txn.Txn {
	s.t.Helper()
	x := s.plan(request.Request{Conn: 1, Session: 1, Xid: 5, Op: op, Record: rec})
	s.applyAll()
	return x
}

// must does what has to succeed.
func (s *server) must(op wire.Op, rec wire.Record) txn.Txn {
	s.t.Helper()
	x := s.do(op, rec)
	require.Equal(s.t, znode.CodeOK, refusal(x))
	return x
}

// refusal is the code a transaction answers with.
func refusal(x txn.Txn) znode.Code {
	switch b := x.Body.(type) {
	case *txn.Error:
		return b.Code
	case *txn.Multi:
		for _, sub := range b.Subs {
			if e, ok := sub.Body.(*txn.Error); ok {
				return e.Code
			}
		}
	}
	return znode.CodeOK
}

var bob = znode.ID{Scheme: "digest", Name: "bob:hash"}

func bobs(perms znode.Perms) []znode.ACL { return []znode.ACL{{Perms: perms, ID: bob}} }

func create(path string, mode znode.CreateMode) *wire.CreateRequest {
	return &wire.CreateRequest{Path: path, Data: []byte("x"), ACL: znode.OpenACL(), Mode: mode, TTL: -1}
}

// step is one stretch of a ladder: what is wrong is put right, and the next wrong thing shows.
type step struct {
	why  string
	fix  func(*request.Request)
	want znode.Code
}

func climb(t *testing.T, s *server, r request.Request, steps []step) {
	t.Helper()
	for _, st := range steps {
		st.fix(&r)
		x := s.plan(r)
		require.Equal(t, st.want, refusal(x), st.why)
		s.applyAll()
	}
}

func TestCreateChecksInOrder(t *testing.T) {
	for _, extended := range []bool{false, true} {
		s := newServer(t, tree.Options{Extended: extended}, propose.Config{EnforceQuota: true})
		s.must(wire.OpCreate, create("/q", znode.ModePersistent))
		s.must(wire.OpCreate, create("/q/e", znode.ModeEphemeral))
		s.must(wire.OpCreate, create("/zookeeper/quota/q", znode.ModePersistent))
		limits := create("/zookeeper/quota/q/zookeeper_limits", znode.ModePersistent)
		limits.Data = []byte("count=-1,bytes=-1=;countHardLimit=2")
		s.must(wire.OpCreate, limits)
		s.must(wire.OpCreate, create("/zookeeper/quota/q/zookeeper_stats", znode.ModePersistent))
		locked := create("/locked", znode.ModePersistent)
		locked.ACL = bobs(znode.PermAll &^ znode.PermAdmin)
		s.must(wire.OpCreate, locked)

		q := func(r *request.Request) *wire.CreateRequest { return r.Record.(*wire.CreateRequest) }
		ttl := znode.CodeUnimplemented
		if extended {
			ttl = znode.CodeBadArguments
		}
		bad := &wire.CreateRequest{Path: "x", ACL: nil, Mode: 7, TTL: 5, HasTTL: true}
		climb(t, s, request.Request{Conn: 1, Session: 99, Op: wire.OpCreateTTL, Record: bad}, []step{
			{"no such mode", func(*request.Request) {}, znode.CodeBadArguments},
			{"TTL modes that are not enabled, or 0 milliseconds", func(r *request.Request) { q(r).Mode, q(r).TTL = znode.ModeTTL, 0 }, ttl},
			{"too long to live", func(r *request.Request) { q(r).TTL = znode.MaxTTL + 1 }, ttl},
			{"a TTL for a node without", func(r *request.Request) { q(r).Mode, q(r).TTL = znode.ModeEphemeral, 5 }, znode.CodeBadArguments},
			{"createTTL without a TTL", func(r *request.Request) { q(r).TTL = -1 }, znode.CodeBadArguments},
			{"session", func(r *request.Request) { r.Op = wire.OpCreate2 }, znode.CodeSessionExpired},
			{"no slash", func(r *request.Request) { r.Session = 1 }, znode.CodeBadArguments},
			{"NUL", func(r *request.Request) { q(r).Path = "/nope/\x00" }, znode.CodeBadArguments},
			{"ACL", func(r *request.Request) { q(r).Path = "/nope/." }, znode.CodeInvalidACL},
			{"parent", func(r *request.Request) { q(r).ACL = znode.OpenACL() }, znode.CodeNoNode},
			{"permission", func(r *request.Request) { q(r).Path = "/locked/." }, znode.CodeNoAuth},
			{"path", func(r *request.Request) { r.IDs = []znode.ID{bob} }, znode.CodeBadArguments},
			{"is there", func(r *request.Request) { q(r).Path = "/q/e" }, znode.CodeNodeExists},
			{"below an ephemeral", func(r *request.Request) { q(r).Path = "/q/e/x" }, znode.CodeNoChildrenForEphemerals},
			{"quota", func(r *request.Request) { q(r).Path = "/q/y" }, znode.CodeQuotaExceeded},
			{"nothing", func(r *request.Request) { q(r).Path = "/locked/y" }, znode.CodeOK},
		})
	}
}

func TestCreatePaths(t *testing.T) {
	s := newServer(t, tree.Options{}, propose.Config{})
	s.must(wire.OpCreate, create("/d", znode.ModePersistent))
	for _, c := range []struct {
		path string
		mode znode.CreateMode
		want znode.Code
		made string
	}{
		{"/", 0, znode.CodeNodeExists, ""}, {"/x/", 0, znode.CodeNoNode, ""}, {"/d/", 0, znode.CodeBadArguments, ""}, {"//x", 0, znode.CodeBadArguments, ""},
		{"a/b", 0, znode.CodeNoNode, ""}, {"/zookeeper/new", 0, znode.CodeOK, "/zookeeper/new"}, {"/d/", 2, znode.CodeOK, "/d/0000000000"},
		{"/d/s-", 2, znode.CodeOK, "/d/s-0000000001"}, {"/d/s-", 3, znode.CodeOK, "/d/s-0000000002"}, {"/d/p", 0, znode.CodeOK, "/d/p"},
		{"/d/s-", 2, znode.CodeOK, "/d/s-0000000004"}, {"/", 2, znode.CodeOK, "/0000000001"},
	} {
		x := s.do(wire.OpCreate, create(c.path, c.mode))
		require.Equal(t, c.want, refusal(x), "%q", c.path)
		if c.made != "" {
			require.Equal(t, c.made, x.Body.(*txn.Create).Path)
			require.NotNil(t, s.tree.Node(c.made))
		}
	}
}

func TestKindFollowsTheOp(t *testing.T) {
	s := newServer(t, tree.Options{Extended: true}, propose.Config{})
	withTTL := create("/ttl", znode.ModeTTL)
	withTTL.TTL = 5
	for _, c := range []struct {
		op   wire.Op
		q    *wire.CreateRequest
		kind znode.Kind
	}{
		{wire.OpCreate, create("/plain", znode.ModePersistent), znode.Persistent}, {wire.OpCreate2, create("/eph", znode.ModeEphemeral), znode.Ephemeral},
		{wire.OpCreate, create("/flagged", znode.ModeContainer), znode.Persistent}, {wire.OpCreateContainer, create("/box", znode.ModeContainer), znode.Container},
		{wire.OpCreateContainer, create("/odd", znode.ModeEphemeral), znode.Container}, {wire.OpCreateTTL, withTTL, znode.TTL},
	} {
		s.must(c.op, c.q)
		require.Equal(t, c.kind, s.tree.Node(c.q.Path).Kind(), c.q.Path)
	}
	s.must(wire.OpCreate, create("/box/child", znode.ModeEphemeral))
	s.must(wire.OpCreate, create("/ttl/child", znode.ModeEphemeral))
	x := s.do(wire.OpCreate, create("/eph/child", znode.ModePersistent))
	require.Equal(t, znode.CodeNoChildrenForEphemerals, refusal(x))
}

// TestSequenceWraps: after 2³¹-1 the count goes on at -2³¹, and a name's number is at least ten characters wide, its sign included.
func TestSequenceWraps(t *testing.T) {
	l := tree.NewLoader(tree.Options{})
	require.NoError(t, l.Node(tree.Image{Path: "", ACL: tree.OpenACLID}))
	for i, count := range []int32{2147483646, -2, 999_999_999} {
		stat := znode.StatPersisted{Cversion: count}
		require.NoError(t, l.Node(tree.Image{Path: fmt.Sprintf("/%d", i), ACL: tree.OpenACLID, Stat: stat}))
	}
	loaded, err := l.Tree(1)
	require.NoError(t, err)
	s := newServer(t, tree.Options{}, propose.Config{})
	a, err := auth.New(auth.Config{})
	require.NoError(t, err)
	s.tree, s.zxid = loaded, 1
	s.planner = propose.New(loaded, s.gone, a, propose.Config{})
	for dir, names := range map[string][]string{
		"/0/": {"2147483646", "2147483647", "-2147483648", "-2147483647"},
		"/1/": {"-000000002", "-000000001", "0000000000"}, "/2/": {"0999999999", "1000000000"},
	} {
		for _, name := range names {
			s.plan(request.Request{Conn: 1, Session: 1, Op: wire.OpCreate, Record: create(dir, znode.ModePersistentSequential)})
			require.Equal(t, dir+name, s.waiting[len(s.waiting)-1].Body.(*txn.Create).Path)
		}
	}
	s.applyAll()
}

func TestDeleteChecksInOrder(t *testing.T) {
	s := newServer(t, tree.Options{}, propose.Config{})
	locked := create("/locked", znode.ModePersistent)
	locked.ACL = bobs(znode.PermDelete)
	locked.ACL = append(locked.ACL, znode.ACL{Perms: znode.PermCreate, ID: znode.Anyone})
	s.must(wire.OpCreate, locked)
	child := create("/locked/a", znode.ModePersistent)
	child.ACL = bobs(0)
	child.ACL = append(child.ACL, znode.ACL{Perms: znode.PermCreate, ID: znode.Anyone})
	s.must(wire.OpCreate, child)
	s.must(wire.OpCreate, create("/locked/a/b", znode.ModePersistent))
	q := func(r *request.Request) *wire.DeleteRequest { return r.Record.(*wire.DeleteRequest) }
	steps := []step{{"session", func(*request.Request) {}, znode.CodeSessionExpired}}
	for _, path := range []string{"x", "", "/\x00", "/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"} {
		steps = append(steps, step{"reserved " + path, func(r *request.Request) { r.Session, q(r).Path = 1, path }, znode.CodeBadArguments})
	}
	steps = append(steps, []step{
		{"parent", func(r *request.Request) { q(r).Path = "/nope/x" }, znode.CodeNoNode},
		{"permission on the parent before the node", func(r *request.Request) { q(r).Path = "/locked/nope" }, znode.CodeNoAuth},
		{"node", func(r *request.Request) { r.IDs = []znode.ID{bob} }, znode.CodeNoNode},
		{"version", func(r *request.Request) { q(r).Path = "/locked/a" }, znode.CodeBadVersion},
		{"children", func(r *request.Request) { q(r).Version = 0 }, znode.CodeNotEmpty},
		{"unlocked child", func(r *request.Request) { q(r).Path, q(r).Version = "/locked/a/b", -1 }, znode.CodeNoAuth},
		{"super", func(r *request.Request) { r.IDs = []znode.ID{{Scheme: "super"}} }, znode.CodeOK},
		{"nothing, though bob may do nothing with the node itself", func(r *request.Request) { r.IDs, q(r).Path = []znode.ID{bob}, "/locked/a" }, znode.CodeOK},
	}...)
	climb(t, s, request.Request{Conn: 1, Session: 99, Op: wire.OpDelete, Record: &wire.DeleteRequest{Path: "x", Version: 7}}, steps)
	require.Nil(t, s.tree.Node("/locked/a"))
}

func TestSetDataChecksInOrder(t *testing.T) {
	s := newServer(t, tree.Options{}, propose.Config{EnforceQuota: true})
	locked := create("/q", znode.ModePersistent)
	locked.ACL = bobs(znode.PermWrite)
	s.must(wire.OpCreate, locked)
	s.must(wire.OpCreate, create("/zookeeper/quota/q", znode.ModePersistent))
	limits := create("/zookeeper/quota/q/zookeeper_limits", znode.ModePersistent)
	limits.Data = []byte("count=1,bytes=1=;byteHardLimit=5")
	s.must(wire.OpCreate, limits)
	s.must(wire.OpCreate, create("/zookeeper/quota/q/zookeeper_stats", znode.ModePersistent))
	q := func(r *request.Request) *wire.SetDataRequest { return r.Record.(*wire.SetDataRequest) }
	climb(t, s, request.Request{Conn: 1, Session: 99, Op: wire.OpSetData, Record: &wire.SetDataRequest{Path: "/nope/", Data: []byte("123456"), Version: 7}}, []step{
		{"session", func(*request.Request) {}, znode.CodeSessionExpired},
		{"path", func(r *request.Request) { r.Session = 1 }, znode.CodeBadArguments},
		{"empty, which null reads as", func(r *request.Request) { q(r).Path = "" }, znode.CodeBadArguments},
		{"node", func(r *request.Request) { q(r).Path = "/nope" }, znode.CodeNoNode},
		{"permission", func(r *request.Request) { q(r).Path = "/q" }, znode.CodeNoAuth},
		{"quota before version", func(r *request.Request) { r.IDs = []znode.ID{bob} }, znode.CodeQuotaExceeded},
		{"version", func(r *request.Request) { q(r).Data = []byte("12345") }, znode.CodeBadVersion},
		{"nothing", func(r *request.Request) { q(r).Version = 0 }, znode.CodeOK},
		{"the version has moved on", func(r *request.Request) {}, znode.CodeBadVersion},
		{"any version, null data", func(r *request.Request) { q(r).Version, q(r).Data = -1, nil }, znode.CodeOK},
	})
	require.Nil(t, s.tree.Node("/q").Data())
}

func TestLimitsOfWhatNobodyMeasuresRefuseNothing(t *testing.T) {
	s := newServer(t, tree.Options{}, propose.Config{EnforceQuota: true})
	s.must(wire.OpCreate, create("/q", znode.ModePersistent))
	s.must(wire.OpCreate, create("/zookeeper/quota/q", znode.ModePersistent))
	limits := create("/zookeeper/quota/q/zookeeper_limits", znode.ModePersistent)
	limits.Data = []byte("count=-1,bytes=-1=;byteHardLimit=5")
	s.must(wire.OpCreate, limits)
	s.must(wire.OpSetData, &wire.SetDataRequest{Path: "/q", Data: []byte("123456"), Version: -1})
	require.Equal(t, "123456", string(s.tree.Node("/q").Data()))
}

func TestSetACLChecksInOrder(t *testing.T) {
	s := newServer(t, tree.Options{}, propose.Config{})
	locked := create("/a", znode.ModePersistent)
	locked.ACL = bobs(znode.PermAdmin)
	s.must(wire.OpCreate, locked)
	q := func(r *request.Request) *wire.SetACLRequest { return r.Record.(*wire.SetACLRequest) }
	climb(t, s, request.Request{Conn: 1, Session: 99, Op: wire.OpSetACL, Record: &wire.SetACLRequest{Path: "/nope/", Version: 7}}, []step{
		{"session", func(*request.Request) {}, znode.CodeSessionExpired},
		{"path", func(r *request.Request) { r.Session = 1 }, znode.CodeBadArguments},
		{"ACL", func(r *request.Request) { q(r).Path = "/nope" }, znode.CodeInvalidACL},
		{"node", func(r *request.Request) { q(r).ACL = []znode.ACL{{Perms: 31, ID: znode.ID{Scheme: "ip", Name: "::1"}}} }, znode.CodeNoNode},
		{"permission", func(r *request.Request) { q(r).Path = "/a" }, znode.CodeNoAuth},
		{"version of the ACL", func(r *request.Request) { r.IDs = []znode.ID{bob} }, znode.CodeBadVersion},
		{"nothing", func(r *request.Request) { q(r).Version = 0 }, znode.CodeOK},
		{"bob has locked himself out", func(r *request.Request) { q(r).Version = 1 }, znode.CodeNoAuth},
	})
	stat := s.tree.Node("/a").Stat()
	require.Equal(t, []int32{0, 1}, []int32{stat.Version, stat.Aversion})
}

func TestCheckChecksInOrder(t *testing.T) {
	s := newServer(t, tree.Options{}, propose.Config{})
	locked := create("/a", znode.ModePersistent)
	locked.ACL = bobs(znode.PermRead)
	s.must(wire.OpCreate, locked)
	check := &wire.CheckRequest{Path: "/nope/", Version: 7}
	multi := &wire.MultiRequest{Ops: []wire.MultiOp{{Op: wire.OpCheck, Record: check}}}
	climb(t, s, request.Request{Conn: 1, Session: 99, Op: wire.OpMulti, Record: multi}, []step{
		{"session", func(*request.Request) {}, znode.CodeSessionExpired},
		{"path", func(r *request.Request) { r.Session = 1 }, znode.CodeBadArguments},
		{"node", func(r *request.Request) { check.Path = "/nope" }, znode.CodeNoNode},
		{"permission", func(r *request.Request) { check.Path = "/a" }, znode.CodeNoAuth},
		{"version", func(r *request.Request) { r.IDs = []znode.ID{bob} }, znode.CodeBadVersion},
		{"nothing", func(r *request.Request) { check.Version = 0 }, znode.CodeOK},
		{"nothing either", func(r *request.Request) { check.Version = -1 }, znode.CodeOK},
		{"on its own", func(r *request.Request) { r.Op, r.Record = wire.OpCheck, check }, znode.CodeUnimplemented},
	})
}

func TestDeleteContainer(t *testing.T) {
	s := newServer(t, tree.Options{}, propose.Config{})
	s.must(wire.OpCreateContainer, create("/box", znode.ModeContainer))
	s.must(wire.OpCreate, create("/box/a", znode.ModePersistent))
	s.must(wire.OpCreate, create("/plain", znode.ModePersistent))
	s.must(wire.OpCreate, create("/eph", znode.ModeEphemeral))
	q := func(r *request.Request) *wire.PathRequest { return r.Record.(*wire.PathRequest) }
	climb(t, s, request.Request{Conn: 1, Op: wire.OpDeleteContainer, Record: &wire.PathRequest{Path: "/zookeeper"}}, []step{
		{"not for clients", func(r *request.Request) {}, znode.CodeUnimplemented},
		{"reserved", func(r *request.Request) { r.Conn = 0 }, znode.CodeBadArguments},
		{"node", func(r *request.Request) { q(r).Path = "/nope" }, znode.CodeNoNode},
		{"children", func(r *request.Request) { q(r).Path = "/box" }, znode.CodeNotEmpty},
		{"ephemeral", func(r *request.Request) { q(r).Path = "/eph" }, znode.CodeBadVersion},
		{"plain", func(r *request.Request) { q(r).Path = "/plain" }, znode.CodeBadVersion},
	})
	s.must(wire.OpDelete, &wire.DeleteRequest{Path: "/box/a", Version: -1})

	box := request.Request{Op: wire.OpDeleteContainer, Record: &wire.PathRequest{Path: "/box"}}
	s.plan(request.Request{Conn: 1, Session: 1, Op: wire.OpSetData, Record: &wire.SetDataRequest{Path: "/box", Version: -1}})
	require.Equal(t, znode.CodeBadVersion, refusal(s.plan(box)), "written to since it was seen")
	s.applyAll()
	require.Equal(t, znode.CodeOK, refusal(s.plan(box)))
	require.Equal(t, znode.CodeNoNode, refusal(s.plan(box)), "it will have gone")
	s.applyAll()
	require.Nil(t, s.tree.Node("/box"))
	s.plan(request.Request{Conn: 1, Session: 1, Op: wire.OpCreateContainer, Record: create("/box", znode.ModeContainer)})
	require.Equal(t, znode.CodeBadVersion, refusal(s.plan(box)), "another one, which nobody has seen")
	s.applyAll()
}

func TestReconfigOfAServerThatStandsAlone(t *testing.T) {
	for _, c := range []struct {
		enabled bool
		session znode.SessionID
		want    znode.Code
	}{{false, 99, znode.CodeReconfigDisabled}, {true, 99, znode.CodeSessionExpired}, {true, 1, znode.CodeUnimplemented}} {
		s := newServer(t, tree.Options{}, propose.Config{Reconfig: c.enabled})
		x := s.plan(request.Request{Conn: 1, Session: c.session, Op: wire.OpReconfig, Record: &wire.ReconfigRequest{}})
		require.Equal(t, c.want, refusal(x))
	}
}

func TestRefusalTakesItsPlace(t *testing.T) {
	s := newServer(t, tree.Options{}, propose.Config{})
	x := s.do(wire.OpCreate, create("/no/parent", znode.ModePersistent))
	require.Equal(t, txn.Txn{
		Header: txn.Header{Session: 1, Cxid: 5, Zxid: 1, Time: 1001, Type: wire.OpError}, Body: &txn.Error{Code: znode.CodeNoNode},
	}, x)
	require.Equal(t, znode.Zxid(1), s.tree.Zxid())
}

func TestMulti(t *testing.T) {
	s := newServer(t, tree.Options{}, propose.Config{})
	s.must(wire.OpCreate, create("/d", znode.ModePersistent))
	s.must(wire.OpCreate, create("/d/old", znode.ModeEphemeral))
	before := s.tree.Digest()
	seq := func() wire.MultiOp {
		return wire.MultiOp{Op: wire.OpCreate, Record: create("/d/s-", znode.ModeEphemeralSequential)}
	}
	ops := []wire.MultiOp{
		seq(), seq(),
		{Op: wire.OpDelete, Record: &wire.DeleteRequest{Path: "/d/old", Version: 0}},
		{Op: wire.OpCreate2, Record: create("/d/old", znode.ModePersistent)},
		{Op: wire.OpSetData, Record: &wire.SetDataRequest{Path: "/d/old", Data: []byte("new"), Version: 0}},
		{Op: wire.OpCheck, Record: &wire.CheckRequest{Path: "/d/old", Version: 1}},
	}
	bad := append(slices.Clone(ops), wire.MultiOp{Op: wire.OpDelete, Record: &wire.DeleteRequest{Path: "/d/none", Version: -1}}, seq())
	x := s.do(wire.OpMulti, &wire.MultiRequest{Ops: bad})
	require.Equal(t, wire.OpMulti, x.Type)
	require.Equal(t, before, x.Digest, "nothing was done")
	var types []wire.Op
	for _, sub := range x.Body.(*txn.Multi).Subs {
		types = append(types, sub.Type)
	}
	require.Equal(t, []wire.Op{wire.OpCreate, wire.OpCreate, wire.OpDelete, wire.OpCreate2, wire.OpSetData, wire.OpCheck, wire.OpError, wire.OpError}, types)
	require.Equal(t, &txn.Error{Code: znode.CodeNoNode}, x.Body.(*txn.Multi).Subs[6].Body)
	require.Equal(t, &txn.Error{Code: znode.CodeRuntimeInconsistency}, x.Body.(*txn.Multi).Subs[7].Body)

	x = s.must(wire.OpMulti, &wire.MultiRequest{Ops: ops})
	subs := x.Body.(*txn.Multi).Subs
	require.Equal(t, "/d/s-0000000001", subs[0].Body.(*txn.Create).Path, "a failed multi does not advance the sequence")
	require.Equal(t, "/d/s-0000000002", subs[1].Body.(*txn.Create).Path)
	require.Equal(t, int32(4), s.tree.Node("/d").Persisted().Cversion)
	s.must(wire.OpMulti, &wire.MultiRequest{})
	x = s.plan(request.Request{Session: 1, Op: wire.OpCloseSession})
	require.Equal(t, []string{"/d/s-0000000001", "/d/s-0000000002"}, x.Body.(*txn.CloseSession).Paths)
	s.applyAll()
}

// TestCloseSessionKnowsWhatIsInFlight: what will be created is on its list, what will be deleted or another's is not.
func TestCloseSessionKnowsWhatIsInFlight(t *testing.T) {
	s := newServer(t, tree.Options{}, propose.Config{})
	for _, path := range []string{"/c-stays", "/b-goes", "/d-changes-hands"} {
		s.must(wire.OpCreate, create(path, znode.ModeEphemeral))
	}
	plan := func(session znode.SessionID, op wire.Op, rec wire.Record) txn.Txn {
		t.Helper()
		return s.plan(request.Request{Conn: 1, Session: session, Op: op, Record: rec})
	}
	plan(1, wire.OpDelete, &wire.DeleteRequest{Path: "/b-goes", Version: -1})
	plan(2, wire.OpDelete, &wire.DeleteRequest{Path: "/d-changes-hands", Version: -1})
	plan(2, wire.OpCreate, create("/d-changes-hands", znode.ModeEphemeral))
	plan(1, wire.OpCreate, create("/a-comes", znode.ModeEphemeral))
	plan(1, wire.OpSetData, &wire.SetDataRequest{Path: "/c-stays", Version: -1})
	plan(1, wire.OpMulti, &wire.MultiRequest{Ops: []wire.MultiOp{
		{Op: wire.OpCreate, Record: create("/never", znode.ModeEphemeral)}, {Op: wire.OpDelete, Record: &wire.DeleteRequest{Path: "/c-stays", Version: -1}},
		{Op: wire.OpDelete, Record: &wire.DeleteRequest{Path: "/none"}},
	}})
	x := plan(1, wire.OpCloseSession, nil)
	require.Equal(t, []string{"/a-comes", "/c-stays"}, x.Body.(*txn.CloseSession).Paths)
	again := plan(1, wire.OpCloseSession, nil)
	require.Equal(t, []string{}, again.Body.(*txn.CloseSession).Paths, "closed twice")
	require.Equal(t, znode.CodeNoNode, refusal(plan(2, wire.OpDelete, &wire.DeleteRequest{Path: "/a-comes", Version: -1})))
	require.Equal(t, znode.CodeOK, refusal(plan(2, wire.OpCreate, create("/a-comes", znode.ModePersistent))))
	s.applyAll()
	require.Equal(t, []string{"/d-changes-hands"}, s.tree.Ephemerals(2))
	require.Empty(t, s.tree.Ephemerals(1))
	require.Nil(t, s.tree.Node("/never"))

	x = s.plan(request.Request{Session: 7, Op: wire.OpCreateSession, Record: &wire.CreateSessionRequest{Timeout: 4000}})
	require.Equal(t, &txn.CreateSession{Timeout: 4000}, x.Body)
	s.applyAll()
	timeout, ok := s.tree.Session(7)
	require.True(t, ok)
	require.Equal(t, int32(4000), timeout)
}

// TestSessionCanAlwaysBeClosed: the ephemeral that would make the closeSession too long is refused, to the byte.
func TestSessionCanAlwaysBeClosed(t *testing.T) {
	s := newServer(t, tree.Options{}, propose.Config{MaxRecord: 300})
	n := 0
	for ; ; n++ {
		if x := s.do(wire.OpCreate, create("/e-", znode.ModeEphemeralSequential)); refusal(x) != znode.CodeOK {
			require.Equal(t, znode.CodeQuotaExceeded, refusal(x))
			break
		}
	}
	require.Equal(t, (300-48)/(4+13), n)
	s.must(wire.OpCreate, create("/plain", znode.ModePersistent))
	s.must(wire.OpDelete, &wire.DeleteRequest{Path: "/e-0000000001", Version: -1})
	s.must(wire.OpCreate, create("/e-", znode.ModeEphemeralSequential))
	require.Equal(t, znode.CodeQuotaExceeded, refusal(s.do(wire.OpCreate, create("/e-", znode.ModeEphemeralSequential))))

	x := s.plan(request.Request{Session: 1, Op: wire.OpCloseSession})
	size := len(x.AppendPayload(nil))
	require.LessOrEqual(t, size, 300)
	require.Greater(t, size+4+13, 300)
	s.applyAll()
	s.must(wire.OpCreate, create("/e-", znode.ModeEphemeralSequential))
}

// TestRecordsStayReadable: a requester with many identities cannot make a transaction nobody could read.
func TestRecordsStayReadable(t *testing.T) {
	const limit = 4000
	s := newServer(t, tree.Options{}, propose.Config{MaxRecord: limit})
	var ids []znode.ID
	for i := range 50 {
		ids = append(ids, znode.ID{Scheme: "digest", Name: fmt.Sprintf("user%d:hash", i)})
	}
	var multi wire.MultiRequest
	for i := range 10 {
		c := create(fmt.Sprintf("/n%d", i), znode.ModePersistent)
		c.ACL = []znode.ACL{{Perms: 31, ID: znode.ID{Scheme: "auth"}}}
		multi.Ops = append(multi.Ops, wire.MultiOp{Op: wire.OpCreate, Record: c})
	}
	x := s.plan(request.Request{Conn: 1, Session: 1, Op: wire.OpMulti, Record: &multi, IDs: ids})
	require.Equal(t, znode.CodeMarshallingError, refusal(x))
	require.LessOrEqual(t, len(x.AppendPayload(nil)), 2*limit)
	multi.Ops = multi.Ops[:2]
	x = s.plan(request.Request{Conn: 1, Session: 1, Op: wire.OpMulti, Record: &multi, IDs: ids})
	require.Equal(t, znode.CodeOK, refusal(x))
	s.applyAll()

	big := &wire.SetACLRequest{Path: "/n0", Version: -1}
	for i := range 10 {
		big.ACL = append(big.ACL, znode.ACL{Perms: znode.Perms(i), ID: znode.ID{Scheme: "auth"}})
	}
	x = s.plan(request.Request{Conn: 1, Session: 1, Op: wire.OpSetACL, Record: big, IDs: ids})
	require.Equal(t, znode.CodeMarshallingError, refusal(x))
	data := &wire.SetDataRequest{Path: "/n0", Version: -1, Data: bytes.Repeat([]byte("x"), limit)}
	x = s.plan(request.Request{Conn: 1, Session: 1, Op: wire.OpSetData, Record: data, IDs: ids})
	require.Equal(t, znode.CodeOK, refusal(x), "what fits into a frame fits into a record")
	s.applyAll()
}

func TestWithoutDigests(t *testing.T) {
	s := newServer(t, tree.Options{NoDigest: true}, propose.Config{})
	s.must(wire.OpCreate, create("/a", znode.ModeEphemeral))
	s.must(wire.OpSetData, &wire.SetDataRequest{Path: "/a", Version: -1})
	require.False(t, s.plan(request.Request{Session: 1, Op: wire.OpCloseSession}).HasDigest)
	s.applyAll()
}

func TestScreen(t *testing.T) {
	s := newServer(t, tree.Options{}, propose.Config{})
	locked := create("/locked", znode.ModePersistent)
	locked.ACL = append(bobs(znode.PermAll), znode.ACL{Perms: znode.PermCreate, ID: znode.Anyone})
	s.must(wire.OpCreate, locked)
	s.must(wire.OpCreate, create("/locked/open", znode.ModePersistent))
	shut := create("/shut", znode.ModePersistent)
	shut.ACL = bobs(znode.PermAll)
	s.must(wire.OpCreate, shut)
	a, err := auth.New(auth.Config{})
	require.NoError(t, err)
	invalid := create("/shut/x", znode.ModePersistent)
	invalid.ACL = nil
	for _, c := range []struct {
		why  string
		op   wire.Op
		rec  wire.Record
		ids  []znode.ID
		want znode.Code
	}{
		{"create needs the parent", wire.OpCreate, create("/shut/x", 0), nil, znode.CodeNoAuth},
		{"create2 by bob", wire.OpCreate2, create("/shut/x", 0), []znode.ID{bob}, znode.CodeOK},
		{"anyone may create", wire.OpCreate, create("/locked/x", 0), nil, znode.CodeOK},
		{"invalid ACL", wire.OpCreate, invalid, []znode.ID{bob}, znode.CodeInvalidACL},
		{"containers are not looked at", wire.OpCreateContainer, create("/shut/x", 0), nil, znode.CodeOK},
		{"what is missing is not judged", wire.OpCreate, create("/none/x", 0), nil, znode.CodeOK},
		{"no path at all", wire.OpCreate, create("x", 0), nil, znode.CodeOK},
		{"delete needs the parent", wire.OpDelete, &wire.DeleteRequest{Path: "/locked/open"}, nil, znode.CodeNoAuth},
		{"setData needs the node", wire.OpSetData, &wire.SetDataRequest{Path: "/locked/open"}, nil, znode.CodeOK},
		{"setData", wire.OpSetData, &wire.SetDataRequest{Path: "/shut"}, nil, znode.CodeNoAuth},
		{"setACL", wire.OpSetACL, &wire.SetACLRequest{Path: "/shut", ACL: znode.OpenACL()}, nil, znode.CodeNoAuth},
		{"setACL to nothing", wire.OpSetACL, &wire.SetACLRequest{Path: "/shut"}, nil, znode.CodeInvalidACL},
		{"multi", wire.OpMulti, &wire.MultiRequest{}, nil, znode.CodeOK},
	} {
		got := propose.Screen(s.tree, a, &request.Request{Conn: 1, Session: 1, Op: c.op, Record: c.rec, IDs: c.ids})
		require.Equal(t, c.want, got, c.why)
	}
}
