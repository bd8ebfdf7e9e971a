package workload

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/judge"
)

// knows is what a client believes of the tree: from its replies, so perhaps old.
type knows struct {
	versions map[string]int32 // of nodes that are there; at most mostKnown
	paths    []string         // theirs, in an order that depends on the replies alone
	extra    []string         // nodes with names that servers chose; at most mostExtra
}

// mostKnown bounds how many versions a client remembers.
const mostKnown = 64

// mostExtra bounds how many sequential nodes a client remembers, and from how many on it makes no more.
const mostExtra = 12

func newKnows() knows { return knows{versions: map[string]int32{}} }

// learn takes what a reply shows.
func (k *knows) learn(o *judge.Op) {
	path := o.Path()
	switch r := o.Response.(type) {
	case *wire.StatResponse:
		k.is(path, r.Stat.Version)
	case *wire.DataResponse:
		k.is(path, r.Stat.Version)
	case *wire.CreateResponse:
		if r.Path != path {
			k.remember(r.Path)
		} else {
			k.is(path, 0)
		}
	case *wire.ChildrenResponse:
		for _, name := range r.Children {
			if strings.HasPrefix(name, "s-") {
				k.remember(znode.Join(path, name))
			}
		}
	}
	if o.Type.Create() && o.Err == znode.CodeNodeExists {
		k.is(path, -1) // any
	}
	if o.Type == wire.OpDelete && o.Err == znode.CodeOK || o.Err == znode.CodeNoNode && !o.Type.Create() {
		k.gone(path)
		k.extra = slices.DeleteFunc(k.extra, func(p string) bool { return p == path })
	}
}

// is notes the version of a node that is there.
func (k *knows) is(path string, version int32) {
	_, known := k.versions[path]
	switch {
	case !known && len(k.paths) == mostKnown:
		return
	case !known:
		k.paths = append(k.paths, path)
	}
	k.versions[path] = version
}

// gone notes that a node is not there.
func (k *knows) gone(path string) {
	if i := slices.Index(k.paths, path); i >= 0 {
		k.paths = slices.Delete(k.paths, i, i+1)
		delete(k.versions, path)
	}
}

// some is a node that was there, empty if the client knows none.
func (k *knows) some(r *rand.Rand) string {
	if len(k.paths) == 0 {
		return ""
	}
	return k.paths[r.IntN(len(k.paths))]
}

func (k *knows) remember(path string) {
	if len(k.extra) < mostExtra && !slices.Contains(k.extra, path) {
		k.extra = append(k.extra, path)
	}
}

// want asks for one thing, or moves.
func (c *Client) want(now clock.Time, out *[]Effect) {
	if c.mood == leaving {
		c.ask(now, wire.OpCloseSession, nil, out)
		return
	}
	if now >= c.turnAt && c.mix.Lull > 0 {
		c.lull, c.turnAt = c.rand.Float64() < c.mix.Lull, now+clock.Time(c.rand.Int64N(int64(2*c.timeout)))
	}
	h, ok := c.mix.pick(c.rand, func(h Habit) bool {
		if c.lull && h.writes() {
			return false
		}
		switch h {
		case CloseSession, Abandon, Move, Sulk:
			return c.mood == lively
		case CreateSequential, CreateEphemeralSequential:
			return len(c.knows.extra) < mostExtra
		}
		return true
	})
	if !ok {
		return
	}
	switch h {
	case SyncAndRead:
		c.ask(now, wire.OpSync, &wire.SyncRequest{Path: []byte(c.stable())}, out)
		op, path := wire.OpGetData, c.stable()
		if c.rand.IntN(4) == 0 {
			op = wire.OpExists
		}
		c.ask(now, op, &wire.WatchRequest{Path: path, Watch: c.rand.Float64() < c.mix.Watch}, out)
	case Abandon:
		c.closing = true // so that over forgets the session
		c.hangUp(now, out)
	case Move:
		c.hangUp(now, out)
		c.dialAt = now + clock.Time(c.rand.Int64N(int64(20*clock.Millisecond)))
	case Sulk:
		c.hangUp(now, out)
		c.dialAt = now + clock.Time(c.rand.Int64N(int64(c.timeout)*3/2))
	default:
		op, rec := c.wish(h)
		c.ask(now, op, rec, out)
	}
}

// wish is a request.
func (c *Client) wish(h Habit) (wire.Op, wire.Record) {
	r := c.rand
	switch h {
	case Create, CreateEphemeral, CreateSequential, CreateEphemeralSequential, CreateContainer:
		op, q := c.create(h)
		if _, known := c.knows.versions[q.Path]; known && !q.Mode.Sequential() && r.IntN(4) > 0 {
			return wire.OpSetData, &wire.SetDataRequest{Path: q.Path, Data: c.data(), Version: c.version(r, q.Path)} // it would be refused
		}
		return op, q
	case SetData:
		return wire.OpSetData, c.setData()
	case Delete:
		return wire.OpDelete, c.delete()
	case SetACL:
		return wire.OpSetACL, &wire.SetACLRequest{Path: c.any(), ACL: znode.OpenACL(), Version: -1}
	case Multi:
		return wire.OpMulti, c.multi()
	case GetData:
		return wire.OpGetData, c.look()
	case Exists:
		return wire.OpExists, c.look()
	case GetChildren:
		return []wire.Op{wire.OpGetChildren, wire.OpGetChildren2}[r.IntN(2)], &wire.WatchRequest{Path: c.parent(), Watch: r.Float64() < c.mix.Watch}
	case Sync:
		return wire.OpSync, &wire.SyncRequest{Path: []byte(c.stable())}
	case Survey:
		return c.survey()
	case AddWatch:
		return wire.OpAddWatch, &wire.AddWatchRequest{Path: c.parent(), Mode: wire.WatchMode(r.IntN(2))}
	case RemoveWatches:
		return wire.OpRemoveWatches, &wire.WatcherRequest{Path: c.watched(), Type: wire.WatcherAny}
	case CloseSession:
		return wire.OpCloseSession, nil
	}
	return wire.OpPing, nil
}

// The names: persistent nodes at the top and one below, parents of sequential nodes, ephemerals, containers.

func (c *Client) name(prefix string) string {
	return fmt.Sprintf("/%s%d", prefix, c.rand.IntN(c.mix.Names))
}

// stable is a node that only lives and dies by what clients ask.
func (c *Client) stable() string {
	if c.rand.IntN(4) == 0 {
		return c.name("k") + c.name("c")
	}
	return c.name("k")
}

// parent is a node that may have children.
func (c *Client) parent() string {
	switch c.rand.IntN(8) {
	case 0:
		return znode.Root
	case 1:
		return c.name("box")
	case 2:
		return c.name("e")
	}
	return c.name("k")
}

// any is some node: mostly one that may well be there.
func (c *Client) any() string {
	switch n := c.rand.IntN(16); {
	case n < 3:
		return c.name("e")
	case n < 4:
		return c.name("box")
	case n < 6 && len(c.knows.extra) > 0:
		return c.knows.extra[c.rand.IntN(len(c.knows.extra))]
	}
	return c.stable()
}

func (c *Client) watched() string {
	for _, set := range []map[string]bool{c.tells.data, c.tells.child, c.tells.persistent, c.tells.recursive} {
		if paths := sorted(set); len(paths) > 0 && c.rand.IntN(2) == 0 {
			return paths[c.rand.IntN(len(paths))]
		}
	}
	return c.any()
}

func (c *Client) look() *wire.WatchRequest {
	return &wire.WatchRequest{Path: c.any(), Watch: c.rand.Float64() < c.mix.Watch}
}

// data is unlike any other, and sometimes none.
func (c *Client) data() []byte {
	if c.rand.IntN(30) == 0 {
		return nil
	}
	b := fmt.Appendf(nil, "%d.%x.%d", c.id, uint64(c.session), c.xid+1)
	if c.mix.Size > 0 {
		b = append(b, bytes.Repeat([]byte{'.'}, c.rand.IntN(c.mix.Size+1))...) // no zeros: a sector of them could be a torn one
	}
	return b
}

// version is one to expect of a node.
func (c *Client) version(r *rand.Rand, path string) int32 {
	known, ok := c.knows.versions[path]
	switch x := r.Float64(); {
	case x < c.mix.Blind || !ok && x < 1-c.mix.Wrong:
		return -1
	case x > 1-c.mix.Wrong:
		return int32(r.IntN(6))
	}
	return known
}

func (c *Client) create(h Habit) (wire.Op, *wire.CreateRequest) {
	q := &wire.CreateRequest{Data: c.data(), ACL: znode.OpenACL(), TTL: -1}
	op := []wire.Op{wire.OpCreate, wire.OpCreate2}[c.rand.IntN(2)]
	switch h {
	case CreateEphemeral:
		q.Path, q.Mode = c.name("e"), znode.ModeEphemeral
		if c.rand.IntN(4) == 0 {
			q.Path = c.name("k") + c.name("e")
		}
	case CreateSequential:
		q.Path, q.Mode = c.name("k")+"/s-", znode.ModePersistentSequential
	case CreateEphemeralSequential:
		q.Path, q.Mode = c.name("k")+"/s-", znode.ModeEphemeralSequential
	case CreateContainer:
		q.Path, q.Mode, op = c.name("box"), znode.ModeContainer, wire.OpCreateContainer
	default:
		q.Path = c.stable()
		for range 2 { // rather one that is not there
			if _, known := c.knows.versions[q.Path]; known {
				q.Path = c.stable()
			}
		}
		if c.rand.IntN(12) == 0 {
			q.Path = c.parent() + "/x"
			if strings.HasPrefix(q.Path, "//") {
				q.Path = "/x"
			}
		}
	}
	return op, q
}

func (c *Client) setData() *wire.SetDataRequest {
	path := c.any()
	if known := c.knows.some(c.rand); known != "" && c.rand.IntN(3) > 0 {
		path = known
	}
	return &wire.SetDataRequest{Path: path, Data: c.data(), Version: c.version(c.rand, path)}
}

func (c *Client) delete() *wire.DeleteRequest {
	path := c.any()
	if n := len(c.knows.extra); n > 0 && c.rand.IntN(mostExtra) < n { // the more there are, the more have to go
		path = c.knows.extra[c.rand.IntN(n)]
	}
	return &wire.DeleteRequest{Path: path, Version: c.version(c.rand, path)}
}

func (c *Client) multi() *wire.MultiRequest {
	q := &wire.MultiRequest{}
	for range 1 + c.rand.IntN(4) {
		var op wire.MultiOp
		switch c.rand.IntN(8) {
		case 0, 1:
			op.Op, op.Record = wire.OpDelete, c.delete()
		case 2:
			path := c.stable()
			op.Op, op.Record = wire.OpCheck, &wire.CheckRequest{Path: path, Version: c.version(c.rand, path)}
		case 3, 4:
			kinds := []Habit{Create, Create, CreateEphemeral, CreateSequential}
			op.Op, op.Record = c.create(kinds[c.rand.IntN(len(kinds))])
		default:
			op.Op, op.Record = wire.OpSetData, c.setData()
		}
		q.Ops = append(q.Ops, op)
	}
	return q
}

func (c *Client) survey() (wire.Op, wire.Record) {
	switch c.rand.IntN(4) {
	case 0:
		return wire.OpGetEphemerals, &wire.PrefixRequest{Prefix: []string{"", "/", "/e", "/k"}[c.rand.IntN(4)]}
	case 1:
		return wire.OpGetAllChildrenNumber, &wire.PathRequest{Path: c.parent()}
	case 2:
		return wire.OpGetACL, &wire.PathRequest{Path: c.any()}
	}
	q := &wire.MultiRequest{Read: true}
	for range 1 + c.rand.IntN(3) {
		q.Ops = append(q.Ops, wire.MultiOp{
			Op: []wire.Op{wire.OpGetData, wire.OpGetChildren}[c.rand.IntN(2)], Record: &wire.WatchRequest{Path: c.any()},
		})
	}
	return wire.OpMultiRead, q
}
