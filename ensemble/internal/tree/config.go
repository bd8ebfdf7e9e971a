package tree

import "github.com/bellwether-zk/bellwether/ensemble/internal/znode"

// SetConfig makes text the data of /zookeeper/config, where clients look up who the servers are: with version as the zxid of its last
// change, wall (milliseconds) as the time, and -1 for the count of changes, as in Apache's server (class ZKDatabase,
// initConfigInZKDatabase). It is no transaction: every server writes down the configuration it has been given itself, the digest
// leaves the node out, and no watch fires. Where the node says all of that already it is left as it is. SetConfig needs the tree for
// itself.
func (t *Tree) SetConfig(text string, version znode.Zxid, wall int64) {
	n := t.nodes[znode.ConfigNode]
	if string(n.data) == text && n.stat.Mzxid == version && n.stat.Version == -1 {
		return
	}
	t.keep(n)
	grown := int64(len(text) - len(n.data))
	n.data = []byte(text)
	n.stat.Mzxid, n.stat.Mtime, n.stat.Version = version, wall, -1
	t.bytes += grown
	t.charge(n, 0, grown)
}
