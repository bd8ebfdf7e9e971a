package judge

import (
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A Model is the whole ensemble as it ought to be: one map of nodes, one of sessions, and what each request does to them. It is
// the rules of the protocol written down a second time, knowing nothing of how the servers go about it: it takes requests, not
// transactions, so it also judges what a leader made of a request. It knows identities only as far as the simulator's clients
// use them: everybody is world:anyone.
type Model struct {
	extended bool
	nodes    map[string]*modelNode // the root is "/"
	sessions map[znode.SessionID]int32
	owned    map[znode.SessionID]map[string]bool
	zxid     znode.Zxid
	digest   uint64
	undo     []func() // within a multi: how to take back what was done, the last last; else nil
}

type modelNode struct {
	path     string
	data     []byte
	acl      []znode.ACL
	stat     znode.StatPersisted
	children map[string]bool // by name; nil while there were none
	weight   uint64          // what it counts in the digest
}

// NewModel is an ensemble that has seen nothing. extended says whether there are TTL nodes.
func NewModel(extended bool) *Model {
	m := &Model{
		extended: extended, nodes: map[string]*modelNode{}, sessions: map[znode.SessionID]int32{},
		owned: map[znode.SessionID]map[string]bool{},
	}
	for _, path := range []string{znode.Root, znode.System, znode.Quota, znode.ConfigNode} {
		m.put(&modelNode{path: path, data: []byte{}, acl: znode.OpenACL()})
	}
	config := m.nodes[znode.ConfigNode]
	config.acl, config.stat.Aversion = znode.ReadACL(), -1
	return m
}

// Zxid is that of the last transaction the model was told of.
func (m *Model) Zxid() znode.Zxid { return m.zxid }

// Digest is the digest of the tree as transactions carry it.
func (m *Model) Digest() uint64 { return m.digest }

// Has reports whether there is a node at path.
func (m *Model) Has(path string) bool { return m.nodes[path] != nil }

// Open reports whether a session is open.
func (m *Model) Open(id znode.SessionID) bool { _, ok := m.sessions[id]; return ok }

// parentOf is the path of the node above.
func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return znode.Root
}

func nameOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// weigh is what a node counts in the digest: nothing below /zookeeper.
func (n *modelNode) weigh() uint64 {
	if strings.HasPrefix(n.path, znode.System+"/") {
		return 0
	}
	var room [256]byte
	b := append(room[:0], strings.TrimSuffix(n.path, "/")...)
	b = append(b, n.data...)
	return uint64(crc32.ChecksumIEEE(n.stat.AppendDigest(b)))
}

// change lets f change a node, and the digest with it.
func (m *Model) change(n *modelNode, f func()) {
	if m.undo != nil {
		was := *n
		m.undo = append(m.undo, func() { m.change(n, func() { n.data, n.acl, n.stat = was.data, was.acl, was.stat }) })
	}
	m.digest -= n.weight
	f()
	n.weight = n.weigh()
	m.digest += n.weight
}

func (m *Model) put(n *modelNode) {
	if m.undo != nil {
		m.undo = append(m.undo, func() { m.take(n) })
	}
	m.nodes[n.path] = n
	n.weight = n.weigh()
	m.digest += n.weight
	if n.path != znode.Root {
		parent := m.nodes[parentOf(n.path)]
		if parent.children == nil {
			parent.children = map[string]bool{}
		}
		parent.children[nameOf(n.path)] = true
	}
	if id := n.stat.Owner.Session(m.extended); id != 0 {
		if m.owned[id] == nil {
			m.owned[id] = map[string]bool{}
		}
		m.owned[id][n.path] = true
	}
}

func (m *Model) take(n *modelNode) {
	if m.undo != nil {
		m.undo = append(m.undo, func() { m.put(n) })
	}
	m.digest -= n.weight
	delete(m.nodes, n.path)
	delete(m.nodes[parentOf(n.path)].children, nameOf(n.path))
	if id := n.stat.Owner.Session(m.extended); id != 0 {
		delete(m.owned[id], n.path)
	}
}

func (m *Model) statOf(n *modelNode) znode.Stat {
	s := znode.Stat{
		Czxid: n.stat.Czxid, Mzxid: n.stat.Mzxid, Ctime: n.stat.Ctime, Mtime: n.stat.Mtime, Version: n.stat.Version,
		Cversion: 2*n.stat.Cversion - int32(len(n.children)), Aversion: n.stat.Aversion,
		DataLength: int32(len(n.data)), NumChildren: int32(len(n.children)), Pzxid: n.stat.Pzxid,
	}
	s.EphemeralOwner = n.stat.Owner.Session(m.extended)
	return s
}

func (m *Model) ephemerals(id znode.SessionID) []string {
	return slices.Sorted(maps.Keys(m.owned[id]))
}

// may reports whether anybody may do that to a node.
func (n *modelNode) may(perm znode.Perms) bool {
	if len(n.acl) == 0 {
		return true
	}
	for _, a := range n.acl {
		if a.ID == znode.Anyone && a.Perms&perm != 0 {
			return true
		}
	}
	return false
}

// A Change is something that happened to a node and that somebody may watch.
type Change struct {
	Type znode.EventType // created, deleted or data changed
	Path string
	Zxid znode.Zxid
}

// An Answer is what the model says to a request.
type Answer struct {
	Err      znode.Code
	Response wire.Record // nil where the type has none, and with Err
	Changes  []Change    // what a write did, in order
	Bodies   []Body      // what a write comes to in the log: one, or one for each part of a multi
}

// A Body is what one operation comes to in the log, in as much as it can be predicted.
type Body struct {
	Err       znode.Code
	Type      wire.Op
	Path      string
	Data      []byte
	Ephemeral bool
	TTL       int64
	Count     int32 // create: the parent's creations afterwards; setData, setACL, check: the version afterwards
}

func (m *Model) system(path string) bool {
	return path == znode.System || strings.HasPrefix(path, znode.System+"/")
}

// Compare says in what the model and a server's image differ, empty if in nothing. What is below /zookeeper differs from server
// to server and is left out.
func (m *Model) Compare(img *Image) string {
	seen := 0
	for i := range img.Nodes {
		n := &img.Nodes[i]
		if m.system(n.Path) {
			continue
		}
		seen++
		want := m.nodes[n.Path]
		switch {
		case want == nil:
			return fmt.Sprintf("%s is there (owner %v, created at %v) and must not be", n.Path, n.Stat.Owner, n.Stat.Czxid)
		case string(want.data) != string(n.Data):
			return fmt.Sprintf("%s holds %q, must hold %q", n.Path, n.Data, want.data)
		case want.stat != n.Stat:
			return fmt.Sprintf("%s has the stat %+v, must have %+v", n.Path, n.Stat, want.stat)
		case !slices.Equal(want.acl, n.ACL):
			return fmt.Sprintf("%s has the ACL %v, must have %v", n.Path, n.ACL, want.acl)
		}
	}
	if seen != m.size() {
		return "missing: " + m.missing(img)
	}
	if !maps.Equal(m.sessions, img.Sessions) {
		return fmt.Sprintf("open sessions are %v, must be %v", img.Sessions, m.sessions)
	}
	if img.Digest != m.digest {
		return fmt.Sprintf("the digest says %x, must be %x", img.Digest, m.digest)
	}
	return ""
}

func (m *Model) size() (n int) {
	for path := range m.nodes {
		if !m.system(path) {
			n++
		}
	}
	return n
}

func (m *Model) missing(img *Image) string {
	var paths []string
	for path := range m.nodes {
		if !m.system(path) && !slices.ContainsFunc(img.Nodes, func(n Node) bool { return n.Path == path }) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return strings.Join(paths, " ")
}

// Image is the model's tree as a server that has it would show it, nodes by path.
func (m *Model) Image() Image {
	img := Image{Zxid: m.zxid, Digest: m.digest, Sessions: maps.Clone(m.sessions)}
	for _, path := range slices.Sorted(maps.Keys(m.nodes)) {
		n := m.nodes[path]
		img.Nodes = append(img.Nodes, Node{Path: path, Data: n.data, ACL: n.acl, Stat: n.stat})
	}
	return img
}
