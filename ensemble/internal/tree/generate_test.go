package tree

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// generator draws transactions such as a planner makes: each fits the state its model is in.
type generator struct {
	model *model
	// plain leaves out creates that do not say what the parent's count is afterwards: only old logs have them, and they
	// cannot be replayed over a fuzzy snapshot.
	plain bool
	fresh int // makes names that were never used
}

var lists = [][]znode.ACL{
	znode.OpenACL(),
	znode.ReadACL(),
	{{Perms: znode.PermAll, ID: znode.ID{Scheme: "digest", Name: "bob:hash"}}},
	{{Perms: znode.PermRead, ID: znode.Anyone}, {Perms: znode.PermAll, ID: znode.ID{Scheme: "ip", Name: "10.0.0.1"}}},
	{},
}

// next draws a transaction and applies it to the model.
func (g *generator) next(t *rapid.T) (txn.Txn, []string) {
	x := txn.Txn{Header: txn.Header{
		Zxid: g.model.zxid + 1, Session: 0, Cxid: 7, Time: 1_700_000_000_000 + int64(g.model.zxid)*3,
	}}
	switch rapid.IntRange(0, 19).Draw(t, "sort of transaction") {
	case 0:
		x.Type, x.Session = wire.OpCreateSession, g.session(t)
		x.Body = &txn.CreateSession{Timeout: rapid.Int32Range(1000, 9000).Draw(t, "timeout")}
	case 1:
		x.Type, x.Session = wire.OpCloseSession, g.session(t)
		x.Body = &txn.CloseSession{Paths: rapid.Permutation(g.model.ephemerals(x.Session)).Draw(t, "paths")}
	case 2:
		x.Type, x.Body = wire.OpError, &txn.Error{Code: znode.CodeNoNode}
	case 3, 4:
		x.Type, x.Body = wire.OpMulti, g.multi(t, &x)
	default:
		x.Session = g.session(t)
		x.Type, x.Body = g.change(t, g.model)
	}
	return x, g.model.apply(&x)
}

// multi plans its parts against a copy that sees those before.
func (g *generator) multi(t *rapid.T, x *txn.Txn) *txn.Multi {
	x.Session = g.session(t)
	view := g.model.clone()
	body := &txn.Multi{}
	for range rapid.IntRange(0, 5).Draw(t, "parts") {
		var sub txn.Sub
		if sub.Type, sub.Body = g.change(t, view); rapid.IntRange(0, 3).Draw(t, "check") == 0 {
			sub = txn.Sub{Type: wire.OpCheck, Body: &txn.Check{Path: "/", Version: 0}}
		} else {
			view.one(&x.Header, sub.Type, sub.Body)
		}
		body.Subs = append(body.Subs, sub)
	}
	if n := len(body.Subs); n > 0 && rapid.IntRange(0, 2).Draw(t, "failing") == 0 {
		at := rapid.IntRange(0, n-1).Draw(t, "where")
		code := znode.CodeBadVersion
		for i := at; i < n; i++ {
			body.Subs[i] = txn.Sub{Type: wire.OpError, Body: &txn.Error{Code: code}}
			code = znode.CodeRuntimeInconsistency
		}
	}
	return body
}

func (g *generator) session(t *rapid.T) znode.SessionID {
	return znode.SessionID(0x100000000000000 + rapid.Int64Range(1, 4).Draw(t, "session"))
}

// change draws a change to one node that fits m.
func (g *generator) change(t *rapid.T, m *model) (wire.Op, txn.Body) {
	paths := m.paths()
	path := rapid.SampledFrom(paths).Draw(t, "path")
	n := m.nodes[path]
	switch rapid.IntRange(0, 9).Draw(t, "sort of change") {
	case 0, 1, 2:
		data := g.data(t)
		if strings.HasSuffix(path, "/zookeeper_stats") {
			data = []byte("count=40,bytes=-2")
		}
		typ := wire.OpSetData
		if path == "/zookeeper/config" {
			typ = wire.OpReconfig
		}
		return typ, &txn.SetData{Path: path, Data: data, Version: n.stat.Version + 1}
	case 3:
		return wire.OpSetACL, &txn.SetACL{Path: path, ACL: g.acl(t), Version: n.stat.Aversion + 1}
	case 4, 5, 6:
		if !znode.Reserved(path) && len(m.children(path)) == 0 {
			typ := rapid.SampledFrom([]wire.Op{wire.OpDelete, wire.OpDeleteContainer}).Draw(t, "delete")
			return typ, &txn.Delete{Path: path}
		}
	}
	return g.create(t, m, path)
}

// create draws a new node below path, or below the root if that cannot have one more.
func (g *generator) create(t *rapid.T, m *model, path string) (wire.Op, txn.Body) {
	c := &txn.Create{Data: g.data(t), ACL: g.acl(t)}
	typ := rapid.SampledFrom([]wire.Op{
		wire.OpCreate, wire.OpCreate2, wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL,
	}).Draw(t, "create")
	if c.Path = g.quotaPath(t, m); c.Path == "" {
		g.fresh++
		for _, name := range []string{"a", "bb", "ccc", fmt.Sprintf("n%d", g.fresh)} {
			if m.kind(m.nodes[path]) == znode.Ephemeral || strings.Count(path, "/") > 3 {
				path = "/"
			}
			if c.Path = znode.Join(path, name); m.nodes[c.Path] == nil {
				break
			}
		}
	} else if typ != wire.OpCreate2 {
		typ = wire.OpCreate
	}
	parent := m.nodes[modelParent(c.Path)]
	c.ParentCversion = parent.stat.Cversion + 1
	if !g.plain && rapid.IntRange(0, 9).Draw(t, "old") == 0 {
		c.ParentCversion = -1
	}
	switch {
	case typ == wire.OpCreateTTL:
		c.TTL = rapid.Int64Range(1, znode.MaxTTL).Draw(t, "ttl")
	case typ == wire.OpCreateContainer || strings.HasPrefix(c.Path, "/zookeeper/"):
	default:
		c.Ephemeral = rapid.Bool().Draw(t, "ephemeral")
	}
	return typ, c
}

// quotaPath is, once in a while, the next node that is missing for a quota.
func (g *generator) quotaPath(t *rapid.T, m *model) string {
	if rapid.IntRange(0, 5).Draw(t, "quota") > 0 {
		return ""
	}
	top := rapid.SampledFrom(m.paths()).Draw(t, "limited")
	if top == "/" || strings.HasPrefix(top, "/zookeeper") {
		return ""
	}
	name := rapid.SampledFrom([]string{"/zookeeper_limits", "/zookeeper_stats"}).Draw(t, "name")
	path := "/zookeeper/quota"
	for _, part := range strings.Split(top[1:]+name, "/") {
		path += "/" + part
		n := m.nodes[path]
		if n == nil {
			return path
		}
		if m.kind(n) == znode.Ephemeral {
			return ""
		}
	}
	return ""
}

func (g *generator) acl(t *rapid.T) []znode.ACL { return rapid.SampledFrom(lists).Draw(t, "acl") }

func (g *generator) data(t *rapid.T) []byte {
	return rapid.SampledFrom([][]byte{nil, {}, []byte("x"), []byte("some data"), make([]byte, 300)}).Draw(t, "data")
}

func (m *model) ephemerals(id znode.SessionID) []string {
	var paths []string
	for _, path := range m.paths() {
		if n := m.nodes[path]; m.kind(n) == znode.Ephemeral && n.stat.Owner == znode.Owner(id) {
			paths = append(paths, path)
		}
	}
	return slices.Clip(paths)
}
