package ensembletest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/client"
)

// DumpOptions say what a dump shows. The zero value, like a nil pointer, is what is the same in every run.
type DumpOptions struct {
	Root  string // the top of what is shown; default: all
	Exact bool   // also zxids and times, and sessions by their ids instead of numbers in order of appearance
	Own   bool   // also what ZooKeeper keeps for itself, below /zookeeper
}

// Dump is the tree of the server as text, to be compared to a golden file: a line for each node, sorted by path, the same in every run
// that has made the same nodes. What is as it is for most is left out: versions that are 0, and an ACL that lets everybody do
// everything. It is empty if the server does not run. See the example.
func (s *Server) Dump(opts *DumpOptions) string {
	var o DumpOptions
	if opts != nil {
		o = *opts
	}
	nodes := s.Tree()
	d := dump{DumpOptions: o, sessions: map[int64]int{}}
	for _, path := range slices.SortedFunc(maps.Keys(nodes), beforeInTree) {
		if within(path, o.Root) && (o.Own || path != "/zookeeper" && !within(path, "/zookeeper")) {
			d.add(nodes[path])
		}
	}
	return d.text.String()
}

// beforeInTree puts every node behind its parent, and what is below it before its next sibling.
func beforeInTree(a, b string) int {
	return slices.Compare(strings.Split(strings.TrimSuffix(a, "/"), "/"), strings.Split(strings.TrimSuffix(b, "/"), "/"))
}

// within reports whether path is root or below it.
func within(path, root string) bool {
	root = strings.TrimSuffix(root, "/")
	return path == root || strings.HasPrefix(path, root+"/")
}

// A dump is the text of nodes.
type dump struct {
	DumpOptions
	sessions map[int64]int // numbers given to ids
	text     strings.Builder
}

func (d *dump) add(n Node) {
	d.text.WriteString(n.Path)
	if n.Data == nil {
		d.text.WriteString(" null")
	} else {
		fmt.Fprintf(&d.text, " %q", n.Data)
	}
	switch n.Mode {
	case client.Ephemeral:
		d.say("ephemeral", d.session(n.Stat.EphemeralOwner))
	case client.Container:
		d.text.WriteString(" container")
	case client.PersistentTTL:
		d.say("ttl", n.TTL)
	}
	for _, v := range []struct {
		name string
		n    int32
	}{{"version", n.Stat.Version}, {"cversion", n.Stat.Cversion}, {"aversion", n.Stat.Aversion}} {
		if v.n != 0 {
			d.say(v.name, v.n)
		}
	}
	if !slices.Equal(n.ACL, client.WorldACL(client.PermAll)) {
		for _, a := range n.ACL {
			d.say("acl", fmt.Sprintf("%s:%s:%s", a.Scheme, a.ID, letters(a.Perms)))
		}
	}
	if d.Exact {
		d.say("czxid", fmt.Sprintf("%#x", n.Stat.Czxid))
		d.say("mzxid", fmt.Sprintf("%#x", n.Stat.Mzxid))
		d.say("pzxid", fmt.Sprintf("%#x", n.Stat.Pzxid))
		d.say("ctime", n.Stat.Ctime.UTC().Format(time.RFC3339Nano))
		d.say("mtime", n.Stat.Mtime.UTC().Format(time.RFC3339Nano))
	}
	d.text.WriteByte('\n')
}

func (d *dump) say(name string, value any) { fmt.Fprintf(&d.text, " %s=%v", name, value) }

// session names a session.
func (d *dump) session(id int64) string {
	if d.Exact {
		return fmt.Sprintf("%#x", id)
	}
	if d.sessions[id] == 0 {
		d.sessions[id] = len(d.sessions) + 1
	}
	return fmt.Sprintf("session-%d", d.sessions[id])
}

// letters are permissions as people write them.
func letters(p client.Perm) string {
	var b strings.Builder
	for i, bit := range []client.Perm{client.PermCreate, client.PermDelete, client.PermRead, client.PermWrite, client.PermAdmin} {
		if p&bit != 0 {
			b.WriteByte("cdrwa"[i])
		}
	}
	return b.String()
}
