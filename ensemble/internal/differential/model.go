package differential

import (
	"math/rand/v2"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A model is what the generator remembers of the tree: enough to aim well, never a judge. The servers' answers feed it.
type model struct {
	at     map[string]*entry
	order  []*entry // of the nodes below the root that are not the system's, for picking one at random
	system map[string]bool
}

type entry struct {
	path              string
	index             int // in order, -1 for those that are not in it
	version, aversion int32
	owner             int // slot of the session it lives for, -1 for none
	open              bool
	children          int
}

func newModel() *model {
	m := &model{at: map[string]*entry{}, system: map[string]bool{}}
	m.at[znode.Root] = &entry{path: znode.Root, index: -1, owner: -1, open: true}
	for _, p := range []string{znode.System, znode.Quota, znode.ConfigNode} {
		m.created(p, -1, true)
	}
	return m
}

func (m *model) created(path string, owner int, open bool) {
	if m.at[path] != nil {
		return
	}
	e := &entry{path: path, index: -1, owner: owner, open: open}
	m.at[path] = e
	if path == znode.System || strings.HasPrefix(path, znode.System+"/") {
		m.system[path] = true
	} else {
		e.index = len(m.order)
		m.order = append(m.order, e)
	}
	if parent := m.parent(path); parent != nil {
		parent.children++
	}
}

func (m *model) parent(path string) *entry {
	parent, _, _ := znode.Split(path)
	return m.at[parent]
}

func (m *model) deleted(path string) {
	e := m.at[path]
	if e == nil {
		return
	}
	delete(m.at, path)
	delete(m.system, path)
	if e.index >= 0 {
		last := m.order[len(m.order)-1]
		m.order[e.index], last.index = last, e.index
		m.order = m.order[:len(m.order)-1]
	}
	if parent := m.parent(path); parent != nil {
		parent.children--
	}
}

// sessionEnded forgets the ephemeral nodes of a slot's session.
func (m *model) sessionEnded(slot int) {
	for i := 0; i < len(m.order); {
		if e := m.order[i]; e.owner == slot {
			m.deleted(e.path) // puts another in its place
			continue
		}
		i++
	}
}

// pick is a random node that fits, trying a few times; nil if none was found.
func (m *model) pick(r *rand.Rand, fits func(*entry) bool) *entry {
	if len(m.order) == 0 {
		return nil
	}
	for range 12 {
		if e := m.order[r.IntN(len(m.order))]; fits(e) {
			return e
		}
	}
	return nil
}

func isOpen(acl []znode.ACL) bool {
	for _, a := range acl {
		if a.ID == znode.Anyone && a.Perms&znode.PermAll == znode.PermAll {
			return true
		}
	}
	return false
}
