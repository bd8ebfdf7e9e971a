package tree

import (
	"iter"

	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A Node is one znode. It may be read as long as the tree holds still; what Path, Data and ACL returned stays as it was for ever
// and belongs to the tree: do not write to it.
type Node struct {
	path     string // "" for the root
	data     []byte
	acl      *aclEntry
	stat     znode.StatPersisted
	parent   *Node // nil for the root
	children []*Node
	older    *Node // neighbours in order of creation
	newer    *Node
	seq      uint64 // place in that order
	crc      uint32 // of path and data
	digest   uint32 // its part of the tree's digest
	slot     int32  // parent.children[slot] is this node
	kinSlot  int32  // and so is kin.nodes[kinSlot], where it has kin
	kind     znode.Kind
	hidden   bool // below /zookeeper: not in the digest
	dead     bool // deleted, but still linked for a dump
}

// Path is the node's full path, "/" for the root.
func (n *Node) Path() string {
	if n.parent == nil && n.path == "" {
		return znode.Root
	}
	return n.path
}

// Name is the last part of the path, empty for the root.
func (n *Node) Name() string {
	if n.parent == nil {
		return ""
	}
	return n.path[len(n.parent.path)+1:]
}

// Data is the node's content; nil is null, which is not the same as empty.
func (n *Node) Data() []byte { return n.data }

// ACL is who may do what. It is nil only after loading a fuzzy snapshot, until replay has told (see [Tree.CheckACLs]).
func (n *Node) ACL() []znode.ACL { return n.acl.list }

// Kind is what ends the node's life besides a delete.
func (n *Node) Kind() znode.Kind { return n.kind }

// Stat is what clients are told about the node.
func (n *Node) Stat() znode.Stat {
	return n.stat.Public(len(n.data), len(n.children), n.kind == znode.TTL)
}

// Persisted is the stat as it is stored.
func (n *Node) Persisted() znode.StatPersisted { return n.stat }

// ContentCRC is the CRC-32 of path and data, from which [NodeDigest] goes on. It is 0 below /zookeeper and without digests.
func (n *Node) ContentCRC() uint32 { return n.crc }

// Digest is the node's part of the tree's digest: 0 below /zookeeper and without digests.
func (n *Node) Digest() uint64 { return uint64(n.digest) }

// Parent is the node above, nil for the root.
func (n *Node) Parent() *Node { return n.parent }

// NumChildren is how many children the node has.
func (n *Node) NumChildren() int { return len(n.children) }

// Children are the names of the children, in no order that means anything but the same in every run.
func (n *Node) Children() iter.Seq[string] {
	return func(yield func(string) bool) {
		skip := len(n.path) + 1
		for _, c := range n.children {
			if !yield(c.path[skip:]) {
				return
			}
		}
	}
}

// ChildNodes are the children themselves, in the same order.
func (n *Node) ChildNodes() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for _, c := range n.children {
			if !yield(c) {
				return
			}
		}
	}
}

// below are all nodes under n, each after its parent. It needs no memory however deep the tree: a node's slot says where to go
// on.
func (n *Node) below() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for at := n; ; {
			if len(at.children) > 0 {
				at = at.children[0]
			} else {
				for at != n && int(at.slot)+1 == len(at.parent.children) {
					at = at.parent
				}
				if at == n {
					return
				}
				at = at.parent.children[at.slot+1]
			}
			if !yield(at) {
				return
			}
		}
	}
}

// attach makes c the last child of n.
func (n *Node) attach(c *Node) {
	c.slot = int32(len(n.children))
	n.children = append(n.children, c)
}

// detach takes c out of n's children; the last one takes its place. A list that was long gives its memory back.
func (n *Node) detach(c *Node) {
	last := len(n.children) - 1
	moved := n.children[last]
	n.children[c.slot], moved.slot = moved, c.slot
	n.children[last] = nil
	n.children = n.children[:last]
	switch {
	case last == 0:
		n.children = nil
	case cap(n.children) > 256 && last < cap(n.children)/4:
		n.children = append(make([]*Node, 0, 2*last), n.children...)
	}
}

// kin are nodes that end together or for the same reason: a session's ephemerals, the containers, the TTL nodes.
type kin struct{ nodes []*Node }

func (k *kin) add(n *Node) {
	n.kinSlot = int32(len(k.nodes))
	k.nodes = append(k.nodes, n)
}

func (k *kin) remove(n *Node) {
	last := len(k.nodes) - 1
	moved := k.nodes[last]
	k.nodes[n.kinSlot], moved.kinSlot = moved, n.kinSlot
	k.nodes[last] = nil
	k.nodes = k.nodes[:last]
}

// joinKin files n under what will end it.
func (t *Tree) joinKin(n *Node) {
	switch n.kind {
	case znode.Ephemeral:
		id := znode.SessionID(n.stat.Owner)
		k := t.ephemerals[id]
		if k == nil {
			k = new(kin)
			t.ephemerals[id] = k
		}
		k.add(n)
		t.owned++
	case znode.Container:
		t.containers.add(n)
	case znode.TTL:
		t.ttls.add(n)
	}
}

func (t *Tree) leaveKin(n *Node) {
	switch n.kind {
	case znode.Ephemeral:
		id := znode.SessionID(n.stat.Owner)
		k := t.ephemerals[id]
		if k.remove(n); len(k.nodes) == 0 {
			delete(t.ephemerals, id)
		}
		t.owned--
	case znode.Container:
		t.containers.remove(n)
	case znode.TTL:
		t.ttls.remove(n)
	}
}
