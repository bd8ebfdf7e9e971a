package tree

import (
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// An Image is a node as a snapshot holds it. Data belongs to the tree: do not write to it; it never changes.
type Image struct {
	Path string // "" for the root
	Data []byte
	ACL  int64 // id in the snapshot's map, or OpenACLID
	Stat znode.StatPersisted
}

// imageOverhead is about what a node takes in a snapshot besides its path and data.
const imageOverhead = 4 + 4 + 8 + znode.StatPersistedLen

// A Dump is the tree of one moment, handed out piece by piece while the tree goes on. It costs memory only for what changes
// meanwhile and has not been handed out yet: such a node's old version, which shares its data, is kept until its turn.
//
// The nodes are linked in order of creation. A Dump walks that order up to the node that was the newest when it began; a
// node that is changed before its turn leaves its old self here first, and a node that is deleted stays in the order as a
// tombstone until every Dump that needs it has passed.
type Dump struct {
	Zxid   znode.Zxid // of the moment
	Digest uint64
	// HasDigest is false if the tree keeps none (see Options.NoDigest).
	HasDigest bool
	Sessions  []Session  // in an order that depends on the transactions alone
	ACLs      []ACLEntry // by id

	tree   *Tree
	next   *Node            // to be handed out next; nil when done
	last   uint64           // seq of the last node of the moment
	frozen map[*Node]*Image // old versions of nodes from next to last
}

// Dump begins one. It needs the tree for itself, for about the time it takes to copy the sessions and ACLs. Several may run, each
// with its own moment; every change of the tree looks at all of them. It must be closed.
func (t *Tree) Dump() *Dump {
	d := &Dump{
		Zxid: t.zxid, Digest: t.digest, HasDigest: !t.opts.NoDigest, Sessions: slices.Clone(t.sessions.list), ACLs: t.acls.list(),
		tree: t, next: t.oldest, last: t.seq, frozen: make(map[*Node]*Image),
	}
	t.dumps = append(t.dumps, d)
	return d
}

// Next appends the next nodes to dst, every parent before its children and the root first, until they are about maxBytes in a
// snapshot, and at least one; when none is appended there are no more. It may run beside readers of the tree, but not beside itself
// or the Next of another dump.
func (d *Dump) Next(dst []Image, maxBytes int) []Image {
	for size := 0; d.next != nil && size < maxBytes; {
		n := d.next
		img, changed := d.frozen[n]
		switch {
		case changed:
			dst = append(dst, *img)
			delete(d.frozen, n)
		case !n.dead:
			dst = append(dst, n.image())
		}
		if changed || !n.dead { // otherwise it was dead before the moment, and is there for another dump
			size += len(dst[len(dst)-1].Path) + len(dst[len(dst)-1].Data) + imageOverhead
		}
		d.next = n.newer
		if d.next != nil && d.next.seq > d.last {
			d.next = nil
		}
		if n.dead {
			d.tree.bury(n)
		}
	}
	return dst
}

// Close ends the dump, finished or not. It needs the tree for itself.
func (d *Dump) Close() {
	if d.tree == nil {
		return
	}
	t := d.tree
	t.dumps = slices.DeleteFunc(t.dumps, func(o *Dump) bool { return o == d })
	for n := range t.tombs {
		t.bury(n)
	}
	*d = Dump{Zxid: d.Zxid, Digest: d.Digest, HasDigest: d.HasDigest, Sessions: d.Sessions, ACLs: d.ACLs}
}

// ahead reports whether n is of the moment and has still to be handed out.
func (d *Dump) ahead(n *Node) bool {
	return d.next != nil && n.seq >= d.next.seq && n.seq <= d.last
}

// freeze keeps n as it is, unless it is kept already.
func (d *Dump) freeze(n *Node) {
	if _, kept := d.frozen[n]; !kept {
		img := n.image()
		d.frozen[n] = &img
	}
}

func (n *Node) image() Image {
	return Image{Path: n.path, Data: n.data, ACL: n.acl.id, Stat: n.stat}
}
