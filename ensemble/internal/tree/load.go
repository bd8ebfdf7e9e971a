package tree

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// ErrBadImage means that what a snapshot says cannot be a tree.
var ErrBadImage = errors.New("tree: not an image of a tree")

// A Loader builds a tree from what a snapshot holds: sessions and ACLs, then the nodes, every parent before its children. It
// takes Apache's snapshots too, whose nodes may refer to ACLs that are not in them.
type Loader struct {
	tree *Tree
	acls map[int64]*aclEntry
}

// NewLoader returns an empty Loader.
func NewLoader(opts Options) *Loader {
	return &Loader{tree: empty(opts), acls: make(map[int64]*aclEntry)}
}

// Session adds a session with its timeout in milliseconds.
func (l *Loader) Session(id znode.SessionID, timeout int32) { l.tree.sessions.put(id, timeout) }

// ACL adds a list under its id. The list is copied.
func (l *Loader) ACL(id int64, list []znode.ACL) {
	if id == OpenACLID {
		return
	}
	e := l.entry(id)
	e.list = append([]znode.ACL{}, list...)
}

// entry is the one with that id, made without a list if it is new.
func (l *Loader) entry(id int64) *aclEntry {
	e := l.acls[id]
	if e == nil {
		e = l.tree.acls.add(id, nil)
		l.acls[id] = e
	}
	return e
}

// Node adds a node; the root's path is "" or "/". The data is copied. The error wraps [ErrBadImage]: a parent that is missing, a
// path that has come before or is none.
func (l *Loader) Node(img Image) error {
	t := l.tree
	acl := t.acls.open
	if img.ACL != OpenACLID {
		acl = l.entry(img.ACL)
	}
	if img.Path == "" || img.Path == znode.Root {
		if t.root != nil {
			return fmt.Errorf("%w: a second root", ErrBadImage)
		}
		t.root = t.add(nil, "", bytes.Clone(img.Data), acl, &img.Stat)
		acl.refs++
		return nil
	}
	above, name, ok := znode.Split(img.Path)
	switch {
	case !ok || name == "":
		return fmt.Errorf("%w: path %q", ErrBadImage, img.Path)
	case t.nodes[above] == nil:
		return fmt.Errorf("%w: %q comes before its parent", ErrBadImage, img.Path)
	case t.nodes[img.Path] != nil:
		return fmt.Errorf("%w: %q comes twice", ErrBadImage, img.Path)
	}
	t.add(t.nodes[above], img.Path, bytes.Clone(img.Data), acl, &img.Stat)
	acl.refs++
	return nil
}

// Tree is the tree as of zxid, ready for replay. ACLs no node has are dropped, reserved nodes an old snapshot lacks are
// added, quotas are counted anew. The error wraps [ErrBadImage]: there is no root. The Loader is used up.
func (l *Loader) Tree(zxid znode.Zxid) (*Tree, error) {
	t := l.tree
	if t.root == nil {
		return nil, fmt.Errorf("%w: no root", ErrBadImage)
	}
	l.tree = nil
	t.zxid = zxid
	for _, e := range slices.Clone(t.acls.entries) {
		switch {
		case e.refs == 0:
			t.acls.drop(e)
		case e.list != nil:
			e.key = string(znode.AppendACLs(nil, e.list))
			if t.acls.byKey[e.key] == nil {
				t.acls.byKey[e.key] = e
			}
		}
	}
	t.addReserved()
	t.setupQuotas()
	return t, nil
}
