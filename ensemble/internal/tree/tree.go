// Package tree is the replicated state: the znodes, who may do what with them, and which sessions exist. Committed
// transactions go in through [Tree.Apply], reads look at [Node]s, and a [Dump] takes the state of one moment to disk while
// changes go on.
//
//	t := tree.New(tree.Options{})
//	var out tree.Result
//	t.Apply(&x, &out)               // out says what the client hears and what watches may fire
//	n := t.Node("/app/config")      // nil if there is none
//
// The one idea: everything that is asked often costs a constant. Nodes are found in one map by their full path; a child knows
// its place in its parent's list; an ephemeral its place in its session's; counts and the approximate size are kept, not
// computed; the digest of the whole tree is a sum from which a changed node's part is taken out and put in again.
//
// Replay is ordinary applying. A snapshot written by Apache's server is fuzzy: it may already hold parts of later transactions.
// So Apply forgives what cannot happen on a live server (a parent that is missing, a node that is already there) in just the
// way that ends, after the last such transaction, in the exact state.
//
// Concurrency: nothing here locks or starts a goroutine. Any number of goroutines may read (Node and its methods, the counts,
// one Dump's Next at a time) while nobody calls Apply, Dump, Dump.Close or anything else that is documented to need the tree for
// itself. Data and ACL slices are never changed once they can be seen, only replaced, so they may be used after the reader's turn is over.
//
// What a request may do, and which transaction it becomes, is decided by propose; who watches is in watch; bytes on disk are
// snapshot's.
package tree

import (
	"iter"
	"maps"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Options are what all members of an ensemble must agree on, and what one may leave out.
type Options struct {
	// Extended says that TTL nodes exist (zookeeper.extendedTypesEnabled). Without it their owner reads as a session.
	Extended bool
	// NoDigest turns the digest off (zookeeper.digest.enabled=false): Digest, ContentCRC and the history stay 0 and empty.
	NoDigest bool
}

// A Tree is the state of one server. Use [New] or a [Loader] to make one.
type Tree struct {
	opts Options

	nodes          map[string]*Node // by path; the root's is "/"
	root           *Node
	oldest, newest *Node  // all nodes, linked in order of creation, so that a parent comes before its children
	seq            uint64 // of the newest node; never goes down

	acls       aclCache
	sessions   sessions
	ephemerals map[znode.SessionID]*kin
	containers kin
	ttls       kin
	quotas     map[string]*quota // by the path they limit; nil as long as there is none

	zxid     znode.Zxid
	digest   uint64
	history  []Digest // the last historyLen at zxids divisible by historyStep, oldest at historyAt
	oldestAt int
	bytes    int64 // paths and data of all nodes
	owned    int   // ephemeral nodes

	dumps []*Dump        // that are running
	tombs map[*Node]bool // dead nodes that are still in the order of creation: a dump has not come past them
}

// New returns the tree of a server that has seen nothing: the root, /zookeeper and what is below it, at zxid 0.
func New(opts Options) *Tree {
	t := empty(opts)
	t.root = t.add(nil, "", []byte{}, t.acls.open, &znode.StatPersisted{})
	t.addReserved()
	return t
}

func empty(opts Options) *Tree {
	return &Tree{
		opts:       opts,
		nodes:      make(map[string]*Node),
		acls:       newACLCache(),
		sessions:   sessions{index: make(map[znode.SessionID]int)},
		ephemerals: make(map[znode.SessionID]*kin),
	}
}

// addReserved adds what is missing of the nodes that every tree has below the root.
func (t *Tree) addReserved() {
	parent := t.root
	for _, path := range []string{znode.System, znode.Quota, znode.ConfigNode} {
		n := t.nodes[path]
		if n == nil {
			acl, stat := t.acls.open, znode.StatPersisted{}
			if path == znode.ConfigNode {
				acl, stat.Aversion = t.acls.hold(znode.ReadACL()), -1
			}
			n = t.add(parent, path, []byte{}, acl, &stat)
		}
		if path == znode.System {
			parent = n
		}
	}
}

// Node is the node at path, nil if there is none. The empty path is the root's too, as for Apache's server; nothing else about
// the path is looked at.
func (t *Tree) Node(path string) *Node {
	if path == "" {
		return t.root
	}
	return t.nodes[path]
}

// NodeBytes is Node for a path that is still in a request's buffer. It does not allocate.
func (t *Tree) NodeBytes(path []byte) *Node {
	if len(path) == 0 {
		return t.root
	}
	return t.nodes[string(path)]
}

// Options are those the tree was made with.
func (t *Tree) Options() Options { return t.opts }

// Zxid is the highest of all transactions applied.
func (t *Tree) Zxid() znode.Zxid { return t.zxid }

// NodeCount is the number of nodes as monitors show it: the root counts twice, as in Apache's server, where it is filed under
// two names. An empty tree has 5.
func (t *Tree) NodeCount() int { return len(t.nodes) + 1 }

// EphemeralCount is the number of ephemeral nodes.
func (t *Tree) EphemeralCount() int { return t.owned }

// DataSize is the approximate size of the tree in bytes: the lengths of all paths and all data. An empty tree has 44.
func (t *Tree) DataSize() int64 { return t.bytes }

// Descendants is how many nodes are below path, not counting its own; 0 if there is none. It takes time in proportion, but for
// the root.
func (t *Tree) Descendants(path string) int {
	n := t.Node(path)
	switch n {
	case nil:
		return 0
	case t.root:
		return len(t.nodes) - 1
	}
	count := 0
	for range n.below() {
		count++
	}
	return count
}

// Session is the timeout in milliseconds of a session, and whether the tree knows it.
func (t *Tree) Session(id znode.SessionID) (timeout int32, ok bool) {
	i, ok := t.sessions.index[id]
	if !ok {
		return 0, false
	}
	return t.sessions.list[i].Timeout, true
}

// SessionCount is how many sessions the tree knows.
func (t *Tree) SessionCount() int { return len(t.sessions.list) }

// Sessions are all sessions with their timeouts in milliseconds, in an order that depends on the transactions alone.
func (t *Tree) Sessions() iter.Seq2[znode.SessionID, int32] {
	return func(yield func(znode.SessionID, int32) bool) {
		for _, s := range t.sessions.list {
			if !yield(s.ID, s.Timeout) {
				return
			}
		}
	}
}

// Ephemerals are the paths of a session's ephemeral nodes, in an order that depends on the transactions alone. The slice is the
// caller's.
func (t *Tree) Ephemerals(session znode.SessionID) []string {
	k := t.ephemerals[session]
	if k == nil {
		return nil
	}
	paths := make([]string, len(k.nodes))
	for i, n := range k.nodes {
		paths[i] = n.path
	}
	return paths
}

// EphemeralSessions are the sessions that own ephemeral nodes, in order of their ids. One that [Tree.Session] does not know is
// left over from a crash and has to be closed.
func (t *Tree) EphemeralSessions() iter.Seq[znode.SessionID] {
	return slices.Values(slices.Sorted(maps.Keys(t.ephemerals)))
}

// Containers are the container nodes, in an order that depends on the transactions alone.
func (t *Tree) Containers() iter.Seq[*Node] { return slices.Values(t.containers.nodes) }

// TTLs are the nodes with a time to live, in an order that depends on the transactions alone.
func (t *Tree) TTLs() iter.Seq[*Node] { return slices.Values(t.ttls.nodes) }

// A Session is one session as it is replicated.
type Session struct {
	ID      znode.SessionID
	Timeout int32 // milliseconds
}

// sessions keeps them in a slice besides the map, so that copying them for a snapshot is one memory copy and their order the same
// in every run.
type sessions struct {
	index map[znode.SessionID]int // in list
	list  []Session
}

func (s *sessions) put(id znode.SessionID, timeout int32) {
	if i, ok := s.index[id]; ok {
		s.list[i].Timeout = timeout
		return
	}
	s.index[id] = len(s.list)
	s.list = append(s.list, Session{ID: id, Timeout: timeout})
}

func (s *sessions) remove(id znode.SessionID) {
	i, ok := s.index[id]
	if !ok {
		return
	}
	last := len(s.list) - 1
	s.list[i] = s.list[last]
	s.index[s.list[i].ID] = i
	s.list = s.list[:last]
	delete(s.index, id)
}
