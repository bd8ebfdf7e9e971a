package differential

import (
	"slices"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// The mix. Every weight is at least one in a hundred of the sum, with room for chance.
var choices []choice

func init() {
	modes := map[znode.CreateMode]Kind{
		znode.ModePersistent: "persistent", znode.ModeEphemeral: "ephemeral", znode.ModePersistentSequential: "persistentSequential",
		znode.ModeEphemeralSequential: "ephemeralSequential", znode.ModeTTL: "ttl", znode.ModeTTLSequential: "ttlSequential",
	}
	for mode := znode.ModePersistent; mode <= znode.ModeEphemeralSequential; mode++ {
		choices = append(choices,
			choice{kind: "create " + modes[mode], weight: 14, call: creating(wire.OpCreate, mode)},
			choice{kind: "create2 " + modes[mode], weight: 14, call: creating(wire.OpCreate2, mode)})
	}
	choices = append(choices,
		choice{kind: "createTTL " + modes[znode.ModeTTL], weight: 14, call: creating(wire.OpCreateTTL, znode.ModeTTL)},
		choice{kind: "createTTL " + modes[znode.ModeTTLSequential], weight: 14, call: creating(wire.OpCreateTTL, znode.ModeTTLSequential)},
		choice{kind: "createContainer", weight: 16, call: creating(wire.OpCreateContainer, znode.ModeContainer)},
		choice{kind: "create with odd flags", weight: 12, call: (*Generator).oddCreate},
		choice{kind: "delete", weight: 90, call: (*Generator).delete},
		choice{kind: "setData", weight: 80, call: (*Generator).setData},
		choice{kind: "setACL", weight: 20, call: (*Generator).setACL},
		choice{kind: "multi", weight: 60, call: (*Generator).multi},
		choice{kind: "multi with check", weight: 25, call: (*Generator).multiCheck},
		choice{kind: "reconfig", weight: 13, call: (*Generator).reconfig},
		choice{kind: "quota", weight: 20, call: (*Generator).quota},
		choice{kind: "closeSession", weight: 13, call: func(*Generator, int) (wire.Op, wire.Record) { return wire.OpCloseSession, nil }},

		choice{kind: "exists", weight: 55, call: watching(wire.OpExists)},
		choice{kind: "getData", weight: 55, call: watching(wire.OpGetData)},
		choice{kind: "getChildren", weight: 40, call: watching(wire.OpGetChildren)},
		choice{kind: "getChildren2", weight: 40, call: watching(wire.OpGetChildren2)},
		choice{kind: "getACL", weight: 25, call: (*Generator).getACL},
		choice{kind: "getAllChildrenNumber", weight: 16, call: (*Generator).allChildren},
		choice{kind: "getEphemerals", weight: 16, call: (*Generator).ephemerals},
		choice{kind: "sync", weight: 16, call: (*Generator).sync},
		choice{kind: "multiRead", weight: 22, call: (*Generator).multiRead},
		choice{kind: "addWatch", weight: 25, call: (*Generator).addWatch},
		choice{kind: "removeWatches", weight: 22, call: watcher(wire.OpRemoveWatches)},
		choice{kind: "checkWatches", weight: 20, call: watcher(wire.OpCheckWatches)},
		choice{kind: "setWatches", weight: 14, call: (*Generator).setWatches},
		choice{kind: "setWatches2", weight: 14, call: (*Generator).setWatches2},
		choice{kind: "whoAmI", weight: 14, call: func(*Generator, int) (wire.Op, wire.Record) { return wire.OpWhoAmI, nil }},
		choice{kind: "auth", weight: 22, call: (*Generator).auth, alone: true},
		choice{kind: "ping", weight: 14, call: func(*Generator, int) (wire.Op, wire.Record) { return wire.OpPing, nil }},
		choice{kind: "malformed", weight: 12, call: (*Generator).malformed, alone: true},

		choice{kind: Kind(Reattach.String()), weight: 13, link: Reattach, alone: true},
		choice{kind: Kind(TakeOver.String()), weight: 13, link: TakeOver, alone: true},
		choice{kind: Kind(WrongPassword.String()), weight: 13, link: WrongPassword, alone: true},
		choice{kind: Kind(Ahead.String()), weight: 13, link: Ahead, alone: true},
	)
}

func creating(op wire.Op, mode znode.CreateMode) func(*Generator, int) (wire.Op, wire.Record) {
	return func(g *Generator, _ int) (wire.Op, wire.Record) {
		if len(g.tree.order) > 250 && g.chance(60) {
			return g.delete(0)
		}
		return op, g.create(op, mode)
	}
}

func (g *Generator) create(op wire.Op, mode znode.CreateMode) *wire.CreateRequest {
	q := &wire.CreateRequest{Data: g.data(), ACL: g.acl(), Mode: mode, TTL: -1, HasTTL: op == wire.OpCreateTTL}
	if mode.TTL() {
		q.TTL = oneOf[int64](g, 3_600_000, 86_400_000, znode.MaxTTL)
		if g.chance(8) {
			q.TTL = oneOf[int64](g, 0, -1, znode.MaxTTL+1, -1<<63)
		}
	}
	switch {
	case g.chance(8):
		q.Path = g.oddPath()
	case mode.Sequential():
		q.Path = znode.Join(g.parent(), oneOf(g, "s-", "q", "n0", ""))
	case g.chance(8):
		q.Path = g.someNode()
	default:
		q.Path = g.freshPath()
	}
	return q
}

// oddCreate asks for what the op and the mode together do not mean.
func (g *Generator) oddCreate(int) (wire.Op, wire.Record) {
	switch g.rand.IntN(5) {
	case 0: // a container mode without the container op makes a plain node
		return oneOf(g, wire.OpCreate, wire.OpCreate2), &wire.CreateRequest{Path: g.freshPath(), ACL: znode.OpenACL(), Mode: znode.ModeContainer}
	case 1: // a container whatever the mode says
		mode := oneOf(g, znode.ModePersistent, znode.ModePersistentSequential)
		return wire.OpCreateContainer, &wire.CreateRequest{Path: g.freshPath(), ACL: znode.OpenACL(), Mode: mode}
	case 2: // a TTL mode without a TTL
		mode := oneOf(g, znode.ModeTTL, znode.ModeTTLSequential)
		return oneOf(g, wire.OpCreate, wire.OpCreate2), &wire.CreateRequest{Path: g.freshPath(), ACL: znode.OpenACL(), Mode: mode}
	case 3: // a TTL without a TTL mode
		return wire.OpCreateTTL, &wire.CreateRequest{Path: g.freshPath(), ACL: znode.OpenACL(), Mode: znode.ModePersistent, TTL: 3_600_000, HasTTL: true}
	default:
		mode := oneOf[znode.CreateMode](g, 7, -1, 1<<20)
		return oneOf(g, wire.OpCreate, wire.OpCreate2), &wire.CreateRequest{Path: g.freshPath(), ACL: znode.OpenACL(), Mode: mode}
	}
}

func (g *Generator) delete(int) (wire.Op, wire.Record) {
	if len(g.tree.order) < 60 && g.chance(60) {
		return wire.OpCreate2, g.create(wire.OpCreate2, znode.ModePersistent)
	}
	path := g.leaf()
	if g.chance(10) {
		path = g.somePath()
	}
	return wire.OpDelete, &wire.DeleteRequest{Path: path, Version: g.version(path)}
}

func (g *Generator) setData(int) (wire.Op, wire.Record) {
	path := g.writable()
	if g.chance(10) {
		path = g.somePath()
	}
	if strings.HasPrefix(path, znode.Quota+"/") {
		path = znode.ConfigNode // what is not a quota's text there ends Apache's server, now or when the quota is next charged
	}
	return wire.OpSetData, &wire.SetDataRequest{Path: path, Data: g.data(), Version: g.version(path)}
}

// setACL leaves the root alone: without it nobody could do anything any more.
func (g *Generator) setACL(int) (wire.Op, wire.Record) {
	path := g.writable()
	if e := g.tree.at[path]; g.chance(20) || path == znode.Root || e != nil && e.children > 0 && g.chance(50) {
		path = g.leaf()
	}
	if path == znode.Root {
		path = "/nowhere"
	}
	q := &wire.SetACLRequest{Path: path, ACL: g.acl(), Version: -1}
	if e := g.tree.at[path]; e != nil && g.chance(30) {
		q.Version = e.aversion + oneOf[int32](g, 0, 0, 0, 1)
	}
	return wire.OpSetACL, q
}

func (g *Generator) reconfig(int) (wire.Op, wire.Record) {
	q := &wire.ReconfigRequest{ConfigID: oneOf[int64](g, -1, 0, 1<<32)}
	switch g.rand.IntN(3) {
	case 0:
		q.Joining, q.Leaving = []byte("server.2=localhost:1:2;3"), []byte("")
	case 1:
		q.Leaving = []byte("1")
	default:
		q.NewMembers = []byte("server.1=localhost:1:2;3,server.2=localhost:4:5;6")
	}
	return wire.OpReconfig, q
}

func watching(op wire.Op) func(*Generator, int) (wire.Op, wire.Record) {
	return func(g *Generator, _ int) (wire.Op, wire.Record) {
		return op, &wire.WatchRequest{Path: g.somePath(), Watch: g.chance(50)}
	}
}

func (g *Generator) getACL(int) (wire.Op, wire.Record) {
	return wire.OpGetACL, &wire.PathRequest{Path: g.somePath()}
}

func (g *Generator) allChildren(int) (wire.Op, wire.Record) {
	return wire.OpGetAllChildrenNumber, &wire.PathRequest{Path: g.somePath()}
}

func (g *Generator) ephemerals(slot int) (wire.Op, wire.Record) {
	prefix := oneOf(g, "/", "", " ", "/a", "/b/", "nothing", g.someNode())
	if made := g.slots[slot].made; len(made) > 0 && g.chance(40) {
		prefix = oneOf(g, made...)
		prefix = prefix[:1+g.rand.IntN(len(prefix))]
	}
	return wire.OpGetEphemerals, &wire.PrefixRequest{Prefix: strings.ToValidUTF8(prefix, "")}
}

func (g *Generator) sync(int) (wire.Op, wire.Record) {
	return wire.OpSync, &wire.SyncRequest{Path: oneOf(g, []byte(g.somePath()), []byte("/"), nil)}
}

func (g *Generator) addWatch(int) (wire.Op, wire.Record) {
	mode := oneOf(g, wire.WatchPersistent, wire.WatchPersistentRecursive)
	return wire.OpAddWatch, &wire.AddWatchRequest{Path: g.somePath(), Mode: mode}
}

func watcher(op wire.Op) func(*Generator, int) (wire.Op, wire.Record) {
	return func(g *Generator, slot int) (wire.Op, wire.Record) {
		path := g.somePath()
		if w := g.slots[slot].watched; len(w) > 0 && g.chance(80) {
			path = oneOf(g, w...)
		}
		return op, &wire.WatcherRequest{Path: path, Type: wire.WatcherType(1 + g.rand.IntN(5))}
	}
}

func (g *Generator) setWatches(int) (wire.Op, wire.Record) {
	q := &wire.SetWatchesRequest{RelativeZxid: max(0, g.last-znode.Zxid(g.rand.IntN(200)))}
	q.Data, q.Exist, q.Child = g.paths(), g.paths(), g.paths()
	return wire.OpSetWatches, q
}

func (g *Generator) setWatches2(slot int) (wire.Op, wire.Record) {
	_, r := g.setWatches(slot)
	q := r.(*wire.SetWatchesRequest)
	q.Two, q.Persistent, q.PersistentRecursive = true, g.paths(), g.paths()
	return wire.OpSetWatches2, q
}

func (g *Generator) paths() []string {
	var paths []string
	for range g.rand.IntN(3) {
		if p := g.somePath(); !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	return paths
}

// auth mostly succeeds. Apache answers it out of turn, so it does not come in bursts. Of super there is little, or nothing would ever be refused.
func (g *Generator) auth(int) (wire.Op, wire.Record) {
	q := &wire.AuthRequest{Scheme: "digest"}
	switch n := g.rand.IntN(100); {
	case n < 60:
		q.Auth = []byte(oneOf(g, users...))
	case n < 68:
		q.Auth = []byte(superUser)
	case n < 76:
		q.Auth = []byte(oneOf(g, "nobody", "", ":p", "a:b:c", "ü:ü"))
	case n < 92:
		q.Scheme, q.Auth = "ip", []byte(oneOf(g, "10.0.0.1", "", "127.0.0.1"))
	default:
		q.Scheme, q.Auth = oneOf(g, "foo", "world", "super", "auth"), []byte("x")
	}
	return wire.OpAuth, q
}

// malformed requests are answered with an error, and the unknown op also with the end of the connection. Only reads: a write
// that does not decode takes a zxid from Apache's server and none from ours, where it never takes part in the order.
func (g *Generator) malformed(int) (wire.Op, wire.Record) {
	path := jute.AppendString(nil, "/a")
	null := jute.AppendBuffer(nil, nil)
	switch g.rand.IntN(9) {
	case 0:
		return wire.OpExists, Body(path[:5])
	case 1:
		return wire.OpGetData, Body(append(null, 0))
	case 2:
		return wire.OpGetChildren2, Body(nil)
	case 3:
		return wire.OpAddWatch, Body(jute.AppendInt32(path, 7))
	case 4:
		return wire.OpRemoveWatches, Body(jute.AppendInt32(path, 9))
	case 5:
		return wire.OpGetACL, Body(null)
	case 6:
		return wire.OpMultiRead, Body(path)
	case 7:
		return wire.OpSetWatches, Body(jute.AppendInt64(nil, 3))
	default:
		return oneOf[wire.Op](g, 10, 99, wire.OpCheck, wire.OpNotification), Body(path)
	}
}
