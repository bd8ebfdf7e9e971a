package tree

import (
	"slices"
	"strconv"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A Quota is a subtree that is measured, and its limits; -1 is no limit. The subtree's top counts too. Soft limits are only
// complained about, hard ones are for propose to enforce.
type Quota struct {
	Path                 string
	SoftCount, SoftBytes int64 // nodes; bytes of data
	HardCount, HardBytes int64
	Measured             bool  // somebody has asked for what there is to be counted; nothing is enforced before
	Count, Bytes         int64 // what there is; -1 as long as it is not measured
}

// Quota is the quota that a node at path is or would be charged to, the deepest that covers it, and whether there is one. Quotas
// of the root and of /zookeeper do not count, as in Apache's server.
func (t *Tree) Quota(path string) (Quota, bool) {
	q := t.quotaOf(path)
	if q == nil {
		return Quota{}, false
	}
	limits, usage := parseQuota(nil), parseQuota(nil)
	if n := t.nodes[q.limits]; n != nil {
		limits = parseQuota(n.data)
	}
	stats := t.nodes[q.stats]
	if stats != nil {
		usage = parseQuota(stats.data)
	}
	return Quota{
		Path: q.path, SoftCount: limits.count, SoftBytes: limits.bytes,
		HardCount: limits.other("countHardLimit"), HardBytes: limits.other("byteHardLimit"),
		Measured: stats != nil, Count: usage.count, Bytes: usage.bytes,
	}, true
}

// quota is one that is in force: a node of limits exists.
type quota struct {
	path   string // what is limited
	limits string // path of the node with the limits
	stats  string // path of the node with the usage
}

// quotaOf is the deepest quota at or above path. It costs nothing where there are none.
func (t *Tree) quotaOf(path string) *quota {
	if len(t.quotas) == 0 {
		return nil
	}
	for path != "" {
		if q := t.quotas[path]; q != nil {
			return q
		}
		path = path[:max(strings.LastIndexByte(path, '/'), 0)]
	}
	return nil
}

// limited is the path which a node of that path below /zookeeper/quota is about, and the node's own name there.
func limited(n *Node) (path, name string, ok bool) {
	if !n.hidden || !strings.HasPrefix(n.path, znode.Quota+"/") {
		return "", "", false
	}
	return n.parent.path[len(znode.Quota):], n.Name(), true
}

// quotaCreated is called with every node that comes: it may be the limits or the measure of a quota, and it is charged.
func (t *Tree) quotaCreated(n *Node) {
	if path, name, ok := limited(n); ok {
		switch name {
		case znode.QuotaLimits:
			t.limit(path)
		case znode.QuotaStats:
			t.measure(path, n)
		}
	}
	t.charge(n, 1, int64(len(n.data)))
}

// quotaDeleted is called with every node that has gone.
func (t *Tree) quotaDeleted(n *Node) {
	if path, name, ok := limited(n); ok && name == znode.QuotaLimits {
		delete(t.quotas, path)
	}
	t.charge(n, -1, -int64(len(n.data)))
}

// limit puts a quota of path into force.
func (t *Tree) limit(path string) {
	if path == "" || path == znode.System {
		return
	}
	if t.quotas == nil {
		t.quotas = make(map[string]*quota)
	}
	dir := znode.Quota + path + "/"
	t.quotas[path] = &quota{path: path, limits: dir + znode.QuotaLimits, stats: dir + znode.QuotaStats}
}

// measure counts path and all below it and writes the sums into stats.
func (t *Tree) measure(path string, stats *Node) {
	var u quotaText
	if n := t.Node(path); n != nil {
		u.count, u.bytes = 1, int64(len(n.data))
		for c := range n.below() {
			u.count++
			u.bytes += int64(len(c.data))
		}
	}
	t.writeUsage(stats, &u)
}

// charge adds to the usage of the deepest quota that covers n.
func (t *Tree) charge(n *Node, count, bytes int64) {
	q := t.quotaOf(n.path)
	if q == nil || count == 0 && bytes == 0 {
		return
	}
	stats := t.nodes[q.stats]
	if stats == nil {
		return
	}
	u := parseQuota(stats.data)
	u.count += count
	u.bytes += bytes
	t.writeUsage(stats, &u)
}

// writeUsage changes the data of a node of usage and nothing else about it: no version, no zxid, no watch, no digest.
func (t *Tree) writeUsage(stats *Node, u *quotaText) {
	t.keep(stats)
	data := u.append(nil)
	t.bytes += int64(len(data) - len(stats.data))
	stats.data = data
}

// setupQuotas puts the quotas of a loaded tree into force and counts anew, since usage is not replicated.
func (t *Tree) setupQuotas() {
	top := t.nodes[znode.Quota]
	for n := range top.below() {
		if path, name, _ := limited(n); name == znode.QuotaLimits {
			t.limit(path)
			if stats := t.nodes[znode.Quota+path+"/"+znode.QuotaStats]; stats != nil {
				t.measure(path, stats)
			}
		}
	}
}

// quotaText is what a node of limits or usage says (class StatsTrack): "count=2,bytes=9", and more keys after that as in
// "count=-1,bytes=-1=;byteHardLimit=900;countHardLimit=7".
type quotaText struct {
	count, bytes int64
	others       []quotaKey // sorted by key
}

type quotaKey struct {
	key   string
	value int64
}

func (q *quotaText) other(key string) int64 {
	for _, k := range q.others {
		if k.key == key {
			return k.value
		}
	}
	return -1
}

// parseQuota reads the text; what is missing or no number is -1. The last of equal keys counts.
func parseQuota(data []byte) quotaText {
	q := quotaText{count: -1, bytes: -1}
	for _, pair := range strings.FieldsFunc(string(data), func(r rune) bool { return r == ',' || r == ';' }) {
		key, text, _ := strings.Cut(pair, "=")
		text, _, _ = strings.Cut(text, "=")
		value, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			value = -1
		}
		switch key {
		case "count":
			q.count = value
		case "bytes":
			q.bytes = value
		default:
			i, found := slices.BinarySearchFunc(q.others, key, func(k quotaKey, key string) int { return strings.Compare(k.key, key) })
			if !found {
				q.others = slices.Insert(q.others, i, quotaKey{key: key})
			}
			q.others[i].value = value
		}
	}
	return q
}

func (q *quotaText) append(b []byte) []byte {
	b = strconv.AppendInt(append(b, "count="...), q.count, 10)
	b = strconv.AppendInt(append(b, ",bytes="...), q.bytes, 10)
	if len(q.others) > 0 {
		b = append(b, '=')
	}
	for _, k := range q.others {
		b = append(append(append(b, ';'), k.key...), '=')
		b = strconv.AppendInt(b, k.value, 10)
	}
	return b
}
