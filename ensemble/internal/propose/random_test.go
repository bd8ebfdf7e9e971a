package propose_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/propose"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// TestDelayMakesNoDifference plans the same random requests twice: on a server that applies each at once, and on one that lags
// behind at random. Both have to plan the same transactions, every tree has to come to the digest its transaction foresaw, and
// nothing that was planned may fail to apply.
func TestDelayMakesNoDifference(t *testing.T) {
	planned := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		opts := tree.Options{Extended: rapid.Bool().Draw(rt, "extended")}
		cfg := propose.Config{MaxRecord: rapid.SampledFrom([]int{0, 70, 150}).Draw(rt, "maxRecord")}
		prompt, lagging := newServer(t, opts, cfg), newServer(t, opts, cfg)
		for _, path := range []string{"/a", "/a/b", "/d"} {
			prompt.must(wire.OpCreate, create(path, znode.ModePersistent))
			lagging.must(wire.OpCreate, create(path, znode.ModePersistent))
		}
		for range rapid.SampledFrom([]int{10, 150}).Draw(rt, "requests") {
			r, ok := drawRequest(rt, prompt, lagging)
			if !ok {
				continue
			}
			before := slices.Sorted(slices.Values(prompt.tree.Ephemerals(r.Session)))
			x, y := prompt.plan(r), lagging.plan(r)
			require.Equal(rt, x, y)
			planned[r.Op.String()+" "+refusal(x).String()]++
			switch r.Op {
			case wire.OpCloseSession:
				prompt.gone[r.Session], lagging.gone[r.Session] = true, true
				require.Equal(rt, append([]string{}, before...), x.Body.(*txn.CloseSession).Paths)
			case wire.OpCreateSession:
				delete(prompt.gone, r.Session)
				delete(lagging.gone, r.Session)
			}
			prompt.applyAll()
			for len(lagging.waiting) > 0 && rapid.IntRange(0, 3).Draw(rt, "lag") == 0 {
				lagging.apply()
			}
		}
		lagging.applyAll()
		require.Equal(rt, describe(prompt.tree), describe(lagging.tree))
	})
	for _, must := range []string{
		"create ok", "create node exists", "create not authorised", "create quota exceeded", "create session expired", "create2 ok",
		"createContainer ok", "createTTL ok", "createTTL unimplemented", "delete ok", "delete node has children", "delete bad version",
		"setData ok", "setData bad version", "setACL ok", "setACL invalid ACL", "multi ok", "multi no node", "multi node exists",
		"closeSession ok", "createSession ok",
	} {
		require.NotZero(t, planned[must], "the requests are not random enough: %v", planned)
	}
}

// describe is everything about a tree that a client can learn.
func describe(t *tree.Tree) []string {
	var out []string
	var walk func(n *tree.Node)
	walk = func(n *tree.Node) {
		out = append(out, fmt.Sprintf("%s %q %v %+v", n.Path(), n.Data(), n.ACL(), n.Stat()))
		for c := range n.ChildNodes() {
			walk(c)
		}
	}
	walk(t.Node("/"))
	slices.Sort(out)
	for id, timeout := range t.Sessions() {
		out = append(out, fmt.Sprintf("%v %d", id, timeout))
	}
	return out
}

var (
	somePaths = []string{"/a", "/a/b", "/a/b/c", "/d", "/d/e", "/zookeeper/x", "/a/s-0000000000", "/a/s-0000000001", "/d/s-0000000002"}
	someACLs  = [][]znode.ACL{znode.OpenACL(), bobs(znode.PermAll), {{Perms: 31, ID: znode.ID{Scheme: "auth"}}}, znode.ReadACL(), nil}
	someIDs   = [][]znode.ID{nil, {bob}, {bob}, {{Scheme: "ip", Name: "10.0.0.1"}, {Scheme: "super"}}}
)

func drawRequest(t *rapid.T, prompt, lagging *server) (request.Request, bool) {
	r := request.Request{
		Conn: 1, Session: znode.SessionID(rapid.IntRange(1, 3).Draw(t, "session")), Xid: 1, IDs: rapid.SampledFrom(someIDs).Draw(t, "ids"),
	}
	if prompt.gone[r.Session] && rapid.Bool().Draw(t, "open") {
		r.Op, r.Record = wire.OpCreateSession, &wire.CreateSessionRequest{Timeout: 4000}
		return r, true
	}
	switch rapid.IntRange(0, 23).Draw(t, "kind") {
	default:
		r.Op, r.Record = drawWrite(t, false)
	case 16, 17, 18, 19:
		r.Op = wire.OpMulti
		m := &wire.MultiRequest{}
		for range rapid.IntRange(0, 4).Draw(t, "parts") {
			op, rec := drawWrite(t, true)
			m.Ops = append(m.Ops, wire.MultiOp{Op: op, Record: rec})
		}
		r.Record = m
	case 20, 21:
		r.Conn, r.Session, r.Op = 0, 0, wire.OpDeleteContainer
		path := rapid.SampledFrom(somePaths).Draw(t, "path")
		r.Record = &wire.PathRequest{Path: path}
		// The server asks for this only when it has seen the node; then both have to have seen the same one.
		n, m := prompt.tree.Node(path), lagging.tree.Node(path)
		return r, n != nil && m != nil && n.Persisted().Mzxid == m.Persisted().Mzxid
	case 22:
		r.Op = wire.OpCloseSession
	}
	return r, true
}

// drawWrite draws a write on one node, alone or part of a multi; that a setACL is in none by the protocol does not matter here.
func drawWrite(t *rapid.T, part bool) (wire.Op, wire.Record) {
	path := rapid.SampledFrom(somePaths).Draw(t, "path")
	version := rapid.SampledFrom([]int32{-1, -1, 0, 1}).Draw(t, "version")
	data := rapid.SampledFrom([][]byte{nil, {}, []byte("data")}).Draw(t, "data")
	acl := rapid.SampledFrom(someACLs).Draw(t, "acl")
	if rapid.Bool().Draw(t, "open") {
		acl = znode.OpenACL()
	}
	switch rapid.IntRange(0, 7).Draw(t, "op") {
	case 0:
		return wire.OpDelete, &wire.DeleteRequest{Path: path, Version: version}
	case 1:
		return wire.OpSetData, &wire.SetDataRequest{Path: path, Data: data, Version: version}
	case 2:
		return wire.OpSetACL, &wire.SetACLRequest{Path: path, ACL: acl, Version: version}
	case 3:
		if !part {
			return wire.OpSetData, &wire.SetDataRequest{Path: path, Data: data, Version: -1}
		}
		return wire.OpCheck, &wire.CheckRequest{Path: path, Version: version}
	}
	op := rapid.SampledFrom([]wire.Op{wire.OpCreate, wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL}).Draw(t, "create")
	c := &wire.CreateRequest{Path: path, Data: data, ACL: acl, Mode: znode.CreateMode(rapid.IntRange(0, 4).Draw(t, "mode")), TTL: -1}
	if op == wire.OpCreateTTL {
		c.Mode, c.TTL, c.HasTTL = znode.ModeTTL, 1000, true
	}
	if c.Mode.Sequential() {
		c.Path = rapid.SampledFrom([]string{"/a/s-", "/d/s-", "/"}).Draw(t, "prefix")
	}
	return op, c
}
