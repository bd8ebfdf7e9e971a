// Package snapshot is the image of a tree on disk, in the format of Apache ZooKeeper (classes FileSnap, SnapStream,
// DataTree), so that either server opens what the other wrote.
//
// An image is a file named snapshot.<hex> after the last zxid that is sure to be in it, with .gz or .snappy behind if it is
// compressed. Numbers are big-endian, strings have their length before them:
//
//	"ZKSN"  version 2 (int32)  dbid -1 (int64)
//	count (int32)  {session (int64)  timeout in ms (int32)}...
//	count (int32)  {id (int64)  ACL}...
//	{path  data  ACL's id (int64)  stat (60 bytes)}...  "/"                the root first, parents before children
//	seal
//	zxid (int64)  digest version 2 (int32)  digest (int64)  seal           absent in old images and by configuration
//	last zxid (int64)  seal                                                absent before 3.9 and by configuration
//
// A seal is the Adler-32 of everything before it, in eight bytes, and the string "/": one running checksum covers the whole
// file, so that every bit of it counts. The last two sections have no tags; which of them are there is told by the number of
// bytes left, where Apache's reader guesses from its own configuration.
//
// The same sections without header, seals and digests, and a signature behind them, are what a leader sends to a learner: see
// [StreamWriter] and [StreamReader].
//
// The one idea is that an image does not exist until it is whole: a [Writer] writes beside, syncs, and Publish gives the
// name. What a [Reader] has handed out may be believed only when it has returned io.EOF, after every seal has been checked.
// An image by Apache may be fuzzy (later transactions are partly in it); reading it is the same, only the replay that follows
// must know.
//
// This package knows bytes and checksums, not trees: whether parents are there and ACL ids are known is for whoever loads
// the nodes. Memory is bounded: no length is believed before that many bytes have been read. A Writer or Reader belongs to one
// goroutine at a time; different ones are independent.
package snapshot

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

const (
	magic   = 0x5A4B534E // "ZKSN"
	version = 2

	digestVersion = 2
	digestLen     = 20
	lastLen       = 8
	sealLen       = 13

	// maxField is the largest string or buffer that is read, in bytes: far above any sensible jute.maxbuffer.
	maxField = 256 << 20
	// maxCandidates is how many images are tried before giving up (class FileTxnSnapLog).
	maxCandidates = 100
)

// sealTail ends every seal, and so every complete image.
const sealTail = "\x00\x00\x00\x01/"

// ErrMisuse: a Writer's methods were called out of order, or given what no image can hold.
var ErrMisuse = errors.New("snapshot: misuse")

// Compression of an image (zookeeper.snapshot.compression.method).
type Compression string

// The compressions. Snappy is framed as snappy-java does, which is not the framing other snappy tools use.
const (
	None   Compression = ""
	Gzip   Compression = "gz"
	Snappy Compression = "snappy"
)

// Valid says whether c is one of the three.
func (c Compression) Valid() bool { return c == None || c == Gzip || c == Snappy }

// Name is the name of an image.
type Name struct {
	Zxid        znode.Zxid // every transaction up to this one is in it
	Compression Compression
}

func (n Name) String() string {
	s := "snapshot." + n.Zxid.Hex()
	if n.Compression != None {
		s += "." + string(n.Compression)
	}
	return s
}

// ParseName is the inverse of String. Apache takes names with other parts behind (snapshot.1f.tmp) for images; this does not.
func ParseName(name string) (Name, bool) {
	rest, ok := strings.CutPrefix(name, "snapshot.")
	if !ok {
		return Name{}, false
	}
	hex, ext, _ := strings.Cut(rest, ".")
	z, err := strconv.ParseUint(hex, 16, 63)
	n := Name{Zxid: znode.Zxid(z), Compression: Compression(ext)}
	return n, err == nil && n.Compression.Valid() && n.String() == name
}

// Names returns the images in dir, whole or not, the newest first.
func Names(fsys disk.FS, dir string) ([]Name, error) {
	files, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []Name
	for _, f := range files {
		if n, ok := ParseName(f); ok {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, func(a, b Name) int {
		if a.Zxid != b.Zxid {
			return -int(min(max(int64(a.Zxid-b.Zxid), -1), 1))
		}
		return strings.Compare(string(a.Compression), string(b.Compression))
	})
	return names, nil
}

// A Session is an open session and the timeout negotiated for it, in milliseconds.
type Session struct {
	ID      znode.SessionID
	Timeout int32
}

// An ACL is a list of permissions and the number by which nodes refer to it. Number -1 is the open list (anyone may do
// anything), which is in no image.
type ACL struct {
	ID   int64
	List []znode.ACL
}

// OpenACL is the number of the list that lets anyone do anything.
const OpenACL int64 = -1

// A Node is a znode. The root's path is "/"; a Writer also takes "", which is what the file has.
type Node struct {
	Path string
	Data []byte // nil is null
	ACL  int64
	Stat znode.StatPersisted
}

// A Trailer is what follows the nodes.
type Trailer struct {
	// Digest of the tree as of DigestZxid, which is not before the zxid in the name: the last digest that had been recorded
	// when the nodes had been written. Meaningful if HasDigest.
	Digest     uint64
	DigestZxid znode.Zxid
	HasDigest  bool
	// Last is the last transaction in the tree when the nodes had been written. Meaningful if HasLast.
	Last    znode.Zxid
	HasLast bool
}
