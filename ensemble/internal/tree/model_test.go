package tree

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// model is the tree a second time, slow and obvious: one map, nothing kept that can be computed. It knows only what happens on a
// live server, to which the generator of transactions keeps.
type model struct {
	extended bool
	nodes    map[string]*modelNode // the root is "/"
	sessions map[znode.SessionID]int32
	zxid     znode.Zxid
}

type modelNode struct {
	data []byte
	acl  []znode.ACL
	stat znode.StatPersisted
}

func newModel(extended bool) *model {
	m := &model{extended: extended, nodes: make(map[string]*modelNode), sessions: make(map[znode.SessionID]int32)}
	for _, path := range []string{"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"} {
		m.nodes[path] = &modelNode{data: []byte{}, acl: znode.OpenACL()}
	}
	m.nodes["/zookeeper/config"].acl = znode.ReadACL()
	m.nodes["/zookeeper/config"].stat.Aversion = -1
	return m
}

// clone is a copy that shares nothing which changes.
func (m *model) clone() *model {
	c := &model{extended: m.extended, nodes: make(map[string]*modelNode), sessions: make(map[znode.SessionID]int32), zxid: m.zxid}
	for path, n := range m.nodes {
		copied := *n
		c.nodes[path] = &copied
	}
	for id, timeout := range m.sessions {
		c.sessions[id] = timeout
	}
	return c
}

func (m *model) paths() []string {
	var all []string
	for path := range m.nodes {
		all = append(all, path)
	}
	slices.Sort(all)
	return all
}

func (m *model) children(path string) []string {
	var names []string
	for _, p := range m.paths() {
		if p != "/" && modelParent(p) == path {
			names = append(names, p[strings.LastIndex(p, "/")+1:])
		}
	}
	return names
}

func (m *model) descendants(path string) (paths []string) {
	for _, p := range m.paths() {
		if p != path && (path == "/" || strings.HasPrefix(p, path+"/")) {
			paths = append(paths, p)
		}
	}
	return paths
}

func modelParent(path string) string {
	if i := strings.LastIndex(path, "/"); i > 0 {
		return path[:i]
	}
	return "/"
}

// digest is the sum over all nodes, each computed from its bytes.
func (m *model) digest() uint64 {
	var sum uint64
	for path, n := range m.nodes {
		if strings.HasPrefix(path, "/zookeeper/") {
			continue
		}
		b := []byte(strings.TrimSuffix(path, "/"))
		b = append(b, n.data...)
		b = n.stat.AppendDigest(b)
		sum += uint64(crc32.ChecksumIEEE(b))
	}
	return sum
}

func (m *model) stat(path string) znode.Stat {
	n := m.nodes[path]
	kids := len(m.children(path))
	s := znode.Stat{
		Czxid: n.stat.Czxid, Mzxid: n.stat.Mzxid, Ctime: n.stat.Ctime, Mtime: n.stat.Mtime, Version: n.stat.Version,
		Cversion: 2*n.stat.Cversion - int32(kids), Aversion: n.stat.Aversion, Pzxid: n.stat.Pzxid,
		DataLength: int32(len(n.data)), NumChildren: int32(kids),
	}
	if m.kind(n) == znode.Ephemeral {
		s.EphemeralOwner = znode.SessionID(n.stat.Owner)
	}
	return s
}

func (m *model) kind(n *modelNode) znode.Kind {
	switch o := uint64(n.stat.Owner); {
	case o == 0:
		return znode.Persistent
	case o == 1<<63:
		return znode.Container
	case m.extended && o>>40 == 0xff0000:
		return znode.TTL
	}
	return znode.Ephemeral
}

// apply changes the model and says what changed, as type and path.
func (m *model) apply(x *txn.Txn) (events []string) {
	m.zxid = x.Zxid
	switch body := x.Body.(type) {
	case *txn.CreateSession:
		m.sessions[x.Session] = body.Timeout
	case *txn.CloseSession:
		delete(m.sessions, x.Session)
		for _, path := range body.Paths {
			events = append(events, m.delete(path, x.Zxid)...)
		}
	case *txn.Multi:
		if body.Failed() {
			return nil
		}
		for _, sub := range body.Subs {
			events = append(events, m.one(&x.Header, sub.Type, sub.Body)...)
		}
	case *txn.Error:
	default:
		events = m.one(&x.Header, x.Type, x.Body)
	}
	return events
}

func (m *model) one(h *txn.Header, typ wire.Op, body txn.Body) []string {
	switch c := body.(type) {
	case *txn.Create:
		n := &modelNode{data: bytes.Clone(c.Data), acl: c.ACL}
		n.stat = znode.StatPersisted{Czxid: h.Zxid, Mzxid: h.Zxid, Pzxid: h.Zxid, Ctime: h.Time, Mtime: h.Time}
		switch {
		case typ == wire.OpCreateContainer:
			n.stat.Owner = znode.OwnerContainer
		case typ == wire.OpCreateTTL:
			n.stat.Owner = znode.TTLOwner(c.TTL)
		case c.Ephemeral:
			n.stat.Owner = znode.Owner(h.Session)
		}
		parent := m.nodes[modelParent(c.Path)]
		parent.stat.Cversion++
		parent.stat.Pzxid = h.Zxid
		m.nodes[c.Path] = n
		events := []string{"NodeCreated " + c.Path}
		m.measure(c.Path)
		m.charge(c.Path, 1, len(c.Data))
		return events
	case *txn.Delete:
		return m.delete(c.Path, h.Zxid)
	case *txn.SetData:
		n := m.nodes[c.Path]
		grown := len(c.Data) - len(n.data)
		n.data, n.stat.Mzxid, n.stat.Mtime, n.stat.Version = bytes.Clone(c.Data), h.Zxid, h.Time, c.Version
		if grown != 0 {
			m.charge(c.Path, 0, grown)
		}
		return []string{"NodeDataChanged " + c.Path}
	case *txn.SetACL:
		n := m.nodes[c.Path]
		n.acl, n.stat.Aversion = c.ACL, c.Version
	}
	return nil
}

func (m *model) delete(path string, zxid znode.Zxid) []string {
	m.nodes[modelParent(path)].stat.Pzxid = zxid
	size := len(m.nodes[path].data)
	delete(m.nodes, path)
	m.charge(path, -1, -size)
	return []string{"NodeDeleted " + path}
}

// measure counts a subtree when its node of usage has just been made.
func (m *model) measure(path string) {
	top, found := strings.CutSuffix(strings.TrimPrefix(path, "/zookeeper/quota"), "/zookeeper_stats")
	if !found || !strings.HasPrefix(path, "/zookeeper/quota/") {
		return
	}
	count, size := 0, 0
	for _, p := range append(m.descendants(top), top) {
		if n := m.nodes[p]; n != nil {
			count++
			size += len(n.data)
		}
	}
	m.nodes[path].data = fmt.Appendf(nil, "count=%d,bytes=%d", count, size)
}

// charge looks for the deepest quota from path upwards.
func (m *model) charge(path string, count, size int) {
	for p := path; p != "/"; p = modelParent(p) {
		dir := "/zookeeper/quota" + p
		if m.nodes[dir+"/zookeeper_limits"] == nil {
			continue
		}
		if n := m.nodes[dir+"/zookeeper_stats"]; n != nil {
			var c, b int
			if _, err := fmt.Sscanf(string(n.data), "count=%d,bytes=%d", &c, &b); err != nil {
				panic(err)
			}
			n.data = fmt.Appendf(nil, "count=%d,bytes=%d", c+count, b+size)
		}
		return
	}
}
