package ensembletest

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/internal/inside"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/watch"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A Node is one znode as a server has it. It is a copy.
type Node struct {
	Path string
	Data []byte // nil is ZooKeeper's null, which is not the same as empty
	ACL  []client.ACL
	Stat client.Stat   // as clients are told it
	Mode client.Mode   // Persistent, Ephemeral, Container or PersistentTTL; that a name was numbered cannot be seen
	TTL  time.Duration // of a node with a time to live
}

// Tree is every node the server has at this moment, by path, /zookeeper and what is below it too; nil if it does not run. A server that
// is behind others has what they had some time ago. No client is needed, and no permission.
func (s *Server) Tree() map[string]Node {
	var nodes map[string]Node
	s.look(func(t *tree.Tree) {
		nodes = make(map[string]Node, t.NodeCount())
		for todo := []*tree.Node{t.Node(znode.Root)}; len(todo) > 0; {
			n := todo[len(todo)-1]
			todo = slices.AppendSeq(todo[:len(todo)-1], n.ChildNodes())
			nodes[n.Path()] = nodeOf(n)
		}
	})
	return nodes
}

// Node is the node the server has at path at this moment, and whether there is one. A server that does not run has none.
func (s *Server) Node(path string) (node Node, ok bool) {
	s.look(func(t *tree.Tree) {
		if n := t.Node(path); n != nil {
			node, ok = nodeOf(n), true
		}
	})
	return node, ok
}

// look shows the tree of a server that runs.
func (s *Server) look(look func(*tree.Tree)) {
	s.e.mustBelong()
	if srv := s.now(); srv != nil && s.Running() {
		inside.Server(srv).Look(look)
	}
}

// modes are the ways to make nodes of each kind.
var modes = [...]client.Mode{
	znode.Persistent: client.Persistent, znode.Ephemeral: client.Ephemeral, znode.Container: client.Container, znode.TTL: client.PersistentTTL,
}

func nodeOf(n *tree.Node) Node {
	st := n.Stat()
	out := Node{
		Path: n.Path(), Data: bytes.Clone(n.Data()), Mode: modes[n.Kind()],
		Stat: client.Stat{
			Czxid: int64(st.Czxid), Mzxid: int64(st.Mzxid), Pzxid: int64(st.Pzxid), Ctime: time.UnixMilli(st.Ctime), Mtime: time.UnixMilli(st.Mtime),
			Version: st.Version, Cversion: st.Cversion, Aversion: st.Aversion,
			EphemeralOwner: int64(st.EphemeralOwner), DataLength: int(st.DataLength), NumChildren: int(st.NumChildren),
		},
	}
	if n.Kind() == znode.TTL {
		out.TTL = time.Duration(n.Persisted().Owner.TTL()) * time.Millisecond
	}
	for _, a := range n.ACL() {
		out.ACL = append(out.ACL, client.ACL{Perms: client.Perm(a.Perms), Scheme: a.ID.Scheme, ID: a.ID.Name})
	}
	return out
}

// A Session is one that is open.
type Session struct {
	ID         int64
	Timeout    time.Duration
	Ephemerals []string // the paths of its ephemeral nodes, sorted
	Server     int      // the number of the server its client is connected to; 0: none
}

// Sessions are the open sessions of which the server knows, all of the ensemble's if it is not behind, by id; none if it does not run.
func (s *Server) Sessions() []Session {
	var sessions []Session
	s.look(func(t *tree.Tree) {
		for id, timeout := range t.Sessions() {
			paths := t.Ephemerals(id)
			slices.Sort(paths)
			sessions = append(sessions, Session{ID: int64(id), Timeout: time.Duration(timeout) * time.Millisecond, Ephemerals: paths})
		}
	})
	slices.SortFunc(sessions, func(a, b Session) int { return cmp.Compare(a.ID, b.ID) })
	through := s.e.connected()
	for i := range sessions {
		sessions[i].Server = through[sessions[i].ID]
	}
	return sessions
}

// connected is through which server each session speaks.
func (e *Ensemble) connected() map[int64]int {
	through := map[int64]int{}
	for _, s := range e.servers {
		if srv := s.now(); srv != nil && s.Running() {
			for _, c := range inside.Server(srv).View().Connections() {
				through[int64(c.Session)] = s.id
			}
		}
	}
	return through
}

// A WatchKind is a way of watching.
type WatchKind string

// The ways of watching.
const (
	WatchData       WatchKind = "data"       // one creation, change of data or deletion: getData and exists
	WatchChildren   WatchKind = "children"   // one coming or going of a child, or the deletion: getChildren
	WatchPersistent WatchKind = "persistent" // both, again and again: addWatch
	WatchRecursive  WatchKind = "recursive"  // creation, change of data and deletion here and below, again and again: addWatch
)

// A Watch is a session that waits to be told.
type Watch struct {
	Path    string
	Kind    WatchKind
	Session int64
}

// kinds are the ways of watching, in the order of the constants.
var kinds = []struct {
	bit  watch.Kind
	kind WatchKind
}{{watch.Data, WatchData}, {watch.Child, WatchChildren}, {watch.Persistent, WatchPersistent}, {watch.Recursive, WatchRecursive}}

// Watches are the watches of the clients that are connected to this server, by path, session and kind; none if it does not run. Watches
// live on the server that was asked, and come again on the next one after a client has moved there.
func (s *Server) Watches() (watches []Watch) {
	s.e.mustBelong()
	srv := s.now()
	if srv == nil || !s.Running() {
		return nil
	}
	for _, w := range inside.Server(srv).Watches() {
		for _, k := range kinds {
			if w.Kinds&k.bit != 0 {
				watches = append(watches, Watch{Path: w.Path, Kind: k.kind, Session: int64(w.Session)})
			}
		}
	}
	slices.SortStableFunc(watches, func(a, b Watch) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Session, b.Session)) })
	return watches
}

// Watches are those of all servers, by path, session and kind.
func (e *Ensemble) Watches() (watches []Watch) {
	for _, s := range e.servers {
		watches = append(watches, s.Watches()...)
	}
	slices.SortStableFunc(watches, func(a, b Watch) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Session, b.Session)) })
	return watches
}
