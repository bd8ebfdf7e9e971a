package differential

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"math"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// The users of scheme digest, name and password.
var users = []string{"ann:one", "bob:two", "cid:three"}

// superUser may do anything, if the server is started with DigestAuthenticationProvider.superDigest=superDigest.
const superUser = "super:secret"

// digestOf is a user's identity in the scheme digest.
func digestOf(user string) string {
	name, _, _ := strings.Cut(user, ":")
	sum := sha1.Sum([]byte(user))
	return name + ":" + base64.StdEncoding.EncodeToString(sum[:])
}

var names = []string{"a", "b", "c", "d", "long-name.with_parts", "ü", "名", "x y"}

// quotaRoots are the only paths that ever get a quota.
var quotaRoots = []string{"/a", "/b", "/a/c"}

const maxDepth = 5

func isWritable(e *entry) bool { return e.open }

// someNode is a node there is.
func (g *Generator) someNode() string {
	if e := g.tree.pick(g.rand, func(*entry) bool { return true }); e != nil {
		return e.path
	}
	return znode.Root
}

// writable is a node there is and whose ACL lets anybody do anything.
func (g *Generator) writable() string {
	if e := g.tree.pick(g.rand, isWritable); e != nil {
		return e.path
	}
	return g.someNode()
}

// leaf is a node without children, below one that lets anybody delete.
func (g *Generator) leaf() string {
	fits := func(e *entry) bool { return e.children == 0 && g.tree.parent(e.path).open }
	if e := g.tree.pick(g.rand, fits); e != nil {
		return e.path
	}
	return g.someNode()
}

// parent is a node below which anybody may create.
func (g *Generator) parent() string {
	if g.chance(15) {
		return znode.Root
	}
	fits := func(e *entry) bool { return e.open && e.owner < 0 && strings.Count(e.path, "/") < maxDepth }
	if e := g.tree.pick(g.rand, fits); e != nil {
		return e.path
	}
	return znode.Root
}

// freshPath is a path there is no node at yet, below one there is.
func (g *Generator) freshPath() string {
	for range 20 {
		if p := znode.Join(g.parent(), oneOf(g, names...)); g.tree.at[p] == nil {
			return p
		}
	}
	return znode.Join(g.parent(), fmt.Sprintf("n%d", g.next))
}

// somePath is what a read asks about: mostly a node there is, sometimes one that was or will be, the system's, or nonsense.
func (g *Generator) somePath() string {
	switch n := g.rand.IntN(100); {
	case n < 65:
		return g.someNode()
	case n < 83:
		return g.freshPath()
	case n < 88:
		return znode.Root
	case n < 95:
		root := oneOf(g, quotaRoots...)
		return oneOf(g, znode.System, znode.Quota, znode.ConfigNode, znode.Quota+root, quotaNode(root, znode.QuotaLimits), quotaNode(root, znode.QuotaStats))
	}
	return g.oddPath()
}

// oddPath is one that no node can have.
func (g *Generator) oddPath() string {
	return oneOf(g, "", "a", "/a/", "//a", "/a//b", "/a/./b", "/..", "/a/..", "/a\x00b", "/a\x01", "/a\u0085", "/\ue000", "/a\uffff", "/nowhere/at/all",
		"/zookeeper/", "/...", "/.a")
}

// version is -1, or right, or wrong.
func (g *Generator) version(path string) int32 {
	e := g.tree.at[path]
	switch n := g.rand.IntN(100); {
	case n < 65 || e == nil:
		return -1
	case n < 92:
		return e.version
	}
	return e.version + oneOf[int32](g, 1, -1, -3, math.MaxInt32)
}

func (g *Generator) data() []byte {
	switch n := g.rand.IntN(100); {
	case n < 10:
		return nil
	case n < 20:
		return []byte{}
	case n < 97:
		return []byte(strings.Repeat("x", g.rand.IntN(4)) + fmt.Sprint(g.rand.IntN(1000)))
	}
	return []byte(strings.Repeat("long\x00", 20+g.rand.IntN(300)))
}

// acl is mostly the open one.
func (g *Generator) acl() []znode.ACL {
	user := oneOf(g, users...)
	digest := func(p znode.Perms) znode.ACL {
		return znode.ACL{Perms: p, ID: znode.ID{Scheme: "digest", Name: digestOf(user)}}
	}
	id := func(p znode.Perms, scheme, name string) []znode.ACL {
		return []znode.ACL{{Perms: p, ID: znode.ID{Scheme: scheme, Name: name}}}
	}
	switch n := g.rand.IntN(200); {
	case n < 160:
		return znode.OpenACL()
	case n < 166:
		return znode.ReadACL()
	case n < 172:
		return []znode.ACL{digest(znode.PermAll)}
	case n < 176:
		return []znode.ACL{digest(znode.PermRead | znode.PermWrite), {Perms: znode.Perms(g.rand.IntN(32)), ID: znode.Anyone}}
	case n < 180:
		return append(znode.OpenACL(), append(id(31, "auth", ""), znode.OpenACL()...)...)
	case n < 184:
		return id(31, "auth", oneOf(g, "", "ignored"))
	case n < 190:
		return id(31, "ip", oneOf(g, "127.0.0.1", "127.0.0.0/8", "10.0.0.1", "127.0.0.1/32", "0.0.0.0/0"))
	case n < 192:
		return id(znode.Perms(g.rand.IntN(1<<10)), "world", "anyone")
	case n < 194:
		return nil
	}
	return oneOf(g, id(31, "world", "bob"), id(31, "foo", "bar"), id(31, "digest", "nocolon"), id(31, "digest", "a:b:c"), id(31, "ip", "300.1.1.1"),
		id(31, "ip", "127.0.0.1/33"), id(31, "super", ""), id(31, "ip", "::1"), id(31, "ip", "localhost"), id(31, "", ""))
}

// multi is a few writes; mostly they fit each other and the tree.
func (g *Generator) multi(slot int) (wire.Op, wire.Record) { return g.writes(slot, false) }

// multiCheck is a multi with at least one check.
func (g *Generator) multiCheck(slot int) (wire.Op, wire.Record) { return g.writes(slot, true) }

func (g *Generator) writes(slot int, check bool) (wire.Op, wire.Record) {
	q := &wire.MultiRequest{}
	if !check && g.chance(4) {
		return wire.OpMulti, q
	}
	var made []string
	for range 1 + g.rand.IntN(4) {
		op := g.part(slot, made)
		if c, ok := op.Record.(*wire.CreateRequest); ok && !c.Mode.Sequential() {
			made = append(made, c.Path)
		}
		q.Ops = append(q.Ops, op)
	}
	if check {
		at := g.rand.IntN(len(q.Ops) + 1)
		path := g.writable()
		version := oneOf[int32](g, -1, -1, -1, 5)
		if e := g.tree.at[path]; e != nil && g.chance(60) {
			version = e.version
		}
		q.Ops = append(q.Ops[:at:at], append([]wire.MultiOp{{Op: wire.OpCheck, Record: &wire.CheckRequest{Path: path, Version: version}}}, q.Ops[at:]...)...)
	}
	return wire.OpMulti, q
}

// part is one op of a multi; made are the paths its earlier ops create.
func (g *Generator) part(slot int, made []string) wire.MultiOp {
	if len(made) > 0 && g.chance(40) {
		path := oneOf(g, made...)
		switch g.rand.IntN(4) {
		case 0:
			return wire.MultiOp{Op: wire.OpSetData, Record: &wire.SetDataRequest{Path: path, Data: g.data(), Version: oneOf[int32](g, -1, 0)}}
		case 1:
			return wire.MultiOp{Op: wire.OpDelete, Record: &wire.DeleteRequest{Path: path, Version: -1}}
		case 2:
			return wire.MultiOp{Op: wire.OpCheck, Record: &wire.CheckRequest{Path: path, Version: 0}}
		}
		return wire.MultiOp{Op: g.create2(), Record: &wire.CreateRequest{Path: path + "/m-", ACL: znode.OpenACL(), Mode: znode.ModePersistentSequential}}
	}
	switch g.rand.IntN(7) {
	case 0, 1, 2:
		return g.creation()
	case 3, 4:
		path := g.leaf()
		return wire.MultiOp{Op: wire.OpDelete, Record: &wire.DeleteRequest{Path: path, Version: g.version(path)}}
	case 5:
		path := g.somePath()
		return wire.MultiOp{Op: wire.OpCheck, Record: &wire.CheckRequest{Path: path, Version: -1}}
	}
	_, r := g.setData(slot)
	return wire.MultiOp{Op: wire.OpSetData, Record: r}
}

func (g *Generator) creation() wire.MultiOp {
	op := oneOf(g, wire.OpCreate, g.create2(), wire.OpCreateContainer, wire.OpCreateTTL)
	mode := znode.CreateMode(g.rand.IntN(4))
	switch {
	case op == wire.OpCreateContainer:
		mode = znode.ModeContainer
	case op == wire.OpCreateTTL:
		mode = oneOf(g, znode.ModeTTL, znode.ModeTTLSequential)
	case g.chance(5):
		mode = znode.ModeContainer // which turns the op into a createContainer here
	}
	q := g.create(op, mode)
	if q.ACL == nil {
		q.ACL = []znode.ACL{}
	}
	return wire.MultiOp{Op: op, Record: q}
}

// create2 is that op, or the older create where create2 may not stand in a multi.
func (g *Generator) create2() wire.Op {
	if g.PlainMultis {
		return wire.OpCreate
	}
	return wire.OpCreate2
}

func (g *Generator) multiRead(int) (wire.Op, wire.Record) {
	q := &wire.MultiRequest{Read: true}
	for range g.rand.IntN(5) {
		op := oneOf(g, wire.OpGetData, wire.OpGetChildren)
		q.Ops = append(q.Ops, wire.MultiOp{Op: op, Record: &wire.WatchRequest{Path: g.somePath(), Watch: g.chance(20)}})
	}
	return wire.OpMultiRead, q
}

func quotaNode(root, name string) string { return znode.Quota + root + "/" + name }

// quota sets up, changes, reads and takes away quotas, one node at a time as the client tools do.
func (g *Generator) quota(int) (wire.Op, wire.Record) {
	root := oneOf(g, quotaRoots...)
	limits, stats := quotaNode(root, znode.QuotaLimits), quotaNode(root, znode.QuotaStats)
	for i := range root {
		if i > 0 && root[i] == '/' && g.tree.at[znode.Quota+root[:i]] == nil {
			return wire.OpCreate, plain(znode.Quota+root[:i], nil)
		}
	}
	switch {
	case g.tree.at[znode.Quota+root] == nil:
		return wire.OpCreate, plain(znode.Quota+root, nil)
	case g.tree.at[limits] == nil:
		return wire.OpCreate, plain(limits, g.limits())
	case g.tree.at[stats] == nil:
		return wire.OpCreate, plain(stats, []byte("count=0,bytes=0"))
	}
	switch n := g.rand.IntN(10); {
	case n < 5:
		return wire.OpGetData, &wire.WatchRequest{Path: stats, Watch: g.chance(50)}
	case n < 7:
		return wire.OpSetData, &wire.SetDataRequest{Path: limits, Data: g.limits(), Version: -1}
	case n < 9:
		return wire.OpDelete, &wire.DeleteRequest{Path: limits, Version: -1}
	}
	return wire.OpDelete, &wire.DeleteRequest{Path: stats, Version: -1}
}

func plain(path string, data []byte) *wire.CreateRequest {
	return &wire.CreateRequest{Path: path, Data: data, ACL: znode.OpenACL()}
}

func (g *Generator) limits() []byte {
	soft := oneOf(g, "count=-1,bytes=-1", "count=10,bytes=-1", "count=3,bytes=200")
	if g.HardQuotas && g.chance(70) {
		return []byte(soft + oneOf(g, "=;countHardLimit=8", "=;byteHardLimit=300", "=;byteHardLimit=900;countHardLimit=20"))
	}
	return []byte(soft)
}
