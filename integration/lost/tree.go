package lost

import (
	"context"
	"errors"
	"path"
	"strings"

	"github.com/bellwether-zk/bellwether/client"
)

// A tree is what the witness saw, by path.
type tree map[string]znode

// A znode is one of a tree.
type znode struct {
	data string
	stat client.Stat
}

// add adds a node and all below it. at is its path for the witness, and at without the root is that in the tree.
func (t tree) add(ctx context.Context, c *client.Client, root, at string) error {
	full := root + at
	data, stat, err := c.Get(ctx, full)
	if errors.Is(err, client.ErrNoNode) {
		return nil // it went meanwhile
	}
	if err != nil {
		return err
	}
	t[at] = znode{string(data), stat}
	if stat.NumChildren == 0 {
		return nil
	}
	names, _, err := c.Children(ctx, full)
	if errors.Is(err, client.ErrNoNode) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if "/"+name == secret {
			continue
		}
		if err := t.add(ctx, c, root, at+"/"+name); err != nil {
			return err
		}
	}
	return nil
}

// below are the paths of a node's children.
func (t tree) below(dir string) (paths []string) {
	for p := range t {
		if path.Dir(p) == dir {
			paths = append(paths, p)
		}
	}
	return paths
}

// within are the paths of a node and all below it.
func (t tree) within(top string) (paths []string) {
	for p := range t {
		if p == top || strings.HasPrefix(p, top+"/") {
			paths = append(paths, p)
		}
	}
	return paths
}

// came is how many children of a node have come between two trees, also those that have gone since: a server counts how many came and
// how many went together, and how many are there.
func came(before, after tree, dir string) int {
	changes, more := changed(before, after, dir)
	return (changes + more) / 2
}

// went is how many have gone, also those that came.
func went(before, after tree, dir string) int {
	changes, more := changed(before, after, dir)
	return (changes - more) / 2
}

func changed(before, after tree, dir string) (changes, more int) {
	a, b := before[dir].stat, after[dir].stat
	return int(b.Cversion - a.Cversion), b.NumChildren - a.NumChildren
}

// gone tells whether no ephemeral node is left.
func gone(t tree) bool {
	for _, n := range t {
		if n.stat.EphemeralOwner != 0 {
			return false
		}
	}
	return true
}
