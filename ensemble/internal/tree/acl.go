package tree

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// ErrNoACL means that a node's ACL is neither in the snapshot it was loaded from nor in the log that followed.
var ErrNoACL = errors.New("tree: node without ACL")

// OpenACLID is the id under which snapshots know the ACL that lets anybody do anything; it is in no map of theirs.
const OpenACLID int64 = -1

// An ACLEntry is one list in a snapshot's map of ACLs.
type ACLEntry struct {
	ID   int64
	List []znode.ACL
}

// aclEntry is one list and how many nodes have it.
type aclEntry struct {
	id   int64
	list []znode.ACL // nil: its id was met in a snapshot, its list was not
	key  string      // the list encoded
	refs int
	slot int // aclCache.entries[slot] is this entry
}

// aclCache keeps each list once (class ReferenceCountedACLCache): a tree has many nodes and few lists. An id is never given out
// twice in a tree's life, so that one a running dump or a half-read snapshot mentions cannot come to mean something else.
type aclCache struct {
	open    *aclEntry // not counted, never dropped
	entries []*aclEntry
	byKey   map[string]*aclEntry
	last    int64  // highest id ever seen
	key     []byte // room for the key being looked up
}

func newACLCache() aclCache {
	return aclCache{open: &aclEntry{id: OpenACLID, list: znode.OpenACL()}, byKey: make(map[string]*aclEntry)}
}

func isOpen(list []znode.ACL) bool {
	return len(list) == 1 && list[0].Perms == znode.PermAll && list[0].ID == znode.Anyone
}

// hold returns the entry of a list, counted once more.
func (c *aclCache) hold(list []znode.ACL) *aclEntry {
	if isOpen(list) {
		return c.open
	}
	c.key = znode.AppendACLs(c.key[:0], list)
	e := c.byKey[string(c.key)]
	if e == nil {
		e = c.add(c.last+1, append([]znode.ACL{}, list...))
		e.key = string(c.key)
		c.byKey[e.key] = e
	}
	e.refs++
	return e
}

func (c *aclCache) add(id int64, list []znode.ACL) *aclEntry {
	e := &aclEntry{id: id, list: list, slot: len(c.entries)}
	c.entries = append(c.entries, e)
	c.last = max(c.last, id)
	return e
}

// release says that one node less has e.
func (c *aclCache) release(e *aclEntry) {
	if e == c.open {
		return
	}
	if e.refs--; e.refs == 0 {
		c.drop(e)
	}
}

func (c *aclCache) drop(e *aclEntry) {
	if c.byKey[e.key] == e {
		delete(c.byKey, e.key)
	}
	last := len(c.entries) - 1
	c.entries[e.slot] = c.entries[last]
	c.entries[e.slot].slot = e.slot
	c.entries[last] = nil
	c.entries = c.entries[:last]
}

// list is the map of a snapshot, in order of the ids.
func (c *aclCache) list() []ACLEntry {
	all := make([]ACLEntry, 0, len(c.entries))
	for _, e := range c.entries {
		if e.list != nil {
			all = append(all, ACLEntry{ID: e.id, List: e.list})
		}
	}
	slices.SortFunc(all, func(a, b ACLEntry) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// CheckACLs reports, with an error that wraps [ErrNoACL] and names one, whether nodes are left whose ACL is not known. To be asked
// once replay is over: a fuzzy snapshot may mention an ACL that was made while it was being written, and the log then repairs it. It
// is cheap unless there is something to report.
func (t *Tree) CheckACLs() error {
	for _, e := range t.acls.entries {
		if e.list != nil {
			continue
		}
		for n := t.oldest; n != nil; n = n.newer {
			if n.acl == e && !n.dead {
				return fmt.Errorf("%w: %s (and %d more) refers to ACL id %d, which is missing", ErrNoACL, n.Path(), e.refs-1, e.id)
			}
		}
	}
	return nil
}
