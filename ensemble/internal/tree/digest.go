package tree

import (
	"hash/crc32"
	"iter"
	"math/bits"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A Digest is the digest the tree had after a transaction.
type Digest struct {
	Zxid   znode.Zxid
	Digest uint64
}

// Every historyStep-th zxid's digest is remembered, the last historyLen of them, for tools that compare servers (class
// DataTree: DIGEST_LOG_INTERVAL, DIGEST_LOG_LIMIT).
const (
	historyStep = 128
	historyLen  = 1024
)

// Digest is the sum of the digests of all nodes outside of /zookeeper/, modulo 2⁶⁴: what a transaction's digest is compared to.
func (t *Tree) Digest() uint64 { return t.digest }

// History are digests the tree had after transactions whose zxid is divisible by 128, oldest first, at most 1024.
func (t *Tree) History() iter.Seq[Digest] {
	return func(yield func(Digest) bool) {
		for i := range t.history {
			if !yield(t.history[(t.oldestAt+i)%len(t.history)]) {
				return
			}
		}
	}
}

func (t *Tree) remember() {
	d := Digest{Zxid: t.zxid, Digest: t.digest}
	if len(t.history) < historyLen {
		t.history = append(t.history, d)
		return
	}
	t.history[t.oldestAt] = d
	t.oldestAt = (t.oldestAt + 1) % historyLen
}

// redigest makes the tree's digest follow a change of n's stat. A change of its data also needs a new crc before.
func (t *Tree) redigest(n *Node) {
	if n.hidden || t.opts.NoDigest {
		return
	}
	t.digest -= uint64(n.digest)
	n.digest = statCRC(n.crc, &n.stat)
	t.digest += uint64(n.digest)
}

// contentCRC is n's crc as it should be.
func (t *Tree) contentCRC(n *Node) uint32 {
	if n.hidden || t.opts.NoDigest {
		return 0
	}
	return ContentCRC(n.path, n.data)
}

// InDigest reports whether the node at path counts for the tree's digest: all do but those below /zookeeper.
func InDigest(path string) bool { return !strings.HasPrefix(path, znode.System+"/") }

// ContentCRC is the CRC-32 of a path and of data: the part of a node's digest that does not change with its stat. The root's path
// may be given as "/" or "".
func ContentCRC(path string, data []byte) uint32 {
	if path == znode.Root {
		path = ""
	}
	return crc32.Update(stringCRC(path), crc32.IEEETable, data)
}

// NodeDigest is the digest of a node with that [ContentCRC] and that stat (class DigestCalculator, version 2).
func NodeDigest(content uint32, stat *znode.StatPersisted) uint64 {
	return uint64(statCRC(content, stat))
}

// slices8 are the tables by which eight bytes go into a CRC-32 at once: slices8[k][b] is the effect of byte b with k bytes to
// follow. Package crc32 has them too, but behind a function value that makes every buffer escape to the heap; digests are
// taken of fields that are in no buffer, several times a transaction.
var slices8 = func() (tables [8][256]uint32) {
	tables[0] = *crc32.IEEETable
	for b := range 256 {
		for k := 1; k < 8; k++ {
			c := tables[k-1][b]
			tables[k][b] = tables[0][byte(c)] ^ c>>8
		}
	}
	return tables
}()

// feed8 puts the eight bytes of v, high byte first, into an inverted CRC.
func feed8(c uint32, v uint64) uint32 {
	c ^= bits.ReverseBytes32(uint32(v >> 32))
	return slices8[7][byte(c)] ^ slices8[6][byte(c>>8)] ^ slices8[5][byte(c>>16)] ^ slices8[4][c>>24] ^
		slices8[3][byte(v>>24)] ^ slices8[2][byte(v>>16)] ^ slices8[1][byte(v>>8)] ^ slices8[0][byte(v)]
}

func feed4(c, v uint32) uint32 {
	c ^= bits.ReverseBytes32(v)
	return slices8[3][byte(c)] ^ slices8[2][byte(c>>8)] ^ slices8[1][byte(c>>16)] ^ slices8[0][c>>24]
}

// statCRC continues a CRC with the sixty bytes [znode.StatPersisted.AppendDigest] would write.
func statCRC(crc uint32, s *znode.StatPersisted) uint32 {
	c := ^crc
	c = feed8(c, uint64(s.Czxid))
	c = feed8(c, uint64(s.Mzxid))
	c = feed8(c, uint64(s.Pzxid))
	c = feed8(c, uint64(s.Ctime))
	c = feed8(c, uint64(s.Mtime))
	c = feed8(c, uint64(uint32(s.Version))<<32|uint64(uint32(s.Cversion)))
	c = feed4(c, uint32(s.Aversion))
	c = feed8(c, uint64(s.Owner))
	return ^c
}

// stringCRC is the CRC-32 of a string's bytes.
func stringCRC(s string) uint32 {
	c := ^uint32(0)
	for len(s) >= 8 {
		c = feed8(c, uint64(s[0])<<56|uint64(s[1])<<48|uint64(s[2])<<40|uint64(s[3])<<32|
			uint64(s[4])<<24|uint64(s[5])<<16|uint64(s[6])<<8|uint64(s[7]))
		s = s[8:]
	}
	for i := range len(s) {
		c = slices8[0][byte(c)^s[i]] ^ c>>8
	}
	return ^c
}
