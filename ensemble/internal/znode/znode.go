// Package znode is the vocabulary of ZooKeeper's data model: zxids and session ids, paths, Stat, ACLs, the kinds of
// nodes, events and error codes. It holds data and the small pure rules that go with it; everything that talks to a client,
// to a peer or to a disk speaks in these words.
package znode

import (
	"fmt"
	"strconv"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
)

// A Zxid numbers a transaction: the epoch of the leader that proposed it in the high 32 bits, a counter in the low 32.
type Zxid int64

// MakeZxid puts epoch and counter together.
func MakeZxid(epoch, counter uint32) Zxid { return Zxid(uint64(epoch)<<32 | uint64(counter)) }

// Epoch is the high half.
func (z Zxid) Epoch() uint32 { return uint32(uint64(z) >> 32) }

// Counter is the low half.
func (z Zxid) Counter() uint32 { return uint32(z) }

// String is the form ZooKeeper prints: 0x and lower-case hex.
func (z Zxid) String() string { return "0x" + z.Hex() }

// Hex is the form of file names: lower-case hex without leading zeros.
func (z Zxid) Hex() string { return strconv.FormatUint(uint64(z), 16) }

// A SessionID names a session. Its top byte is the id of the server that opened it, so it may be negative.
type SessionID int64

// String is the form ZooKeeper prints: 0x and lower-case hex.
func (s SessionID) String() string { return "0x" + strconv.FormatUint(uint64(s), 16) }

// Stat is what clients are told about a node.
type Stat struct {
	Czxid          Zxid  // transaction that created it
	Mzxid          Zxid  // transaction that last set its data
	Ctime          int64 // milliseconds since 1970, when created
	Mtime          int64 // milliseconds since 1970, when data was last set
	Version        int32 // number of data changes
	Cversion       int32 // number of child creations and deletions
	Aversion       int32 // number of ACL changes
	EphemeralOwner SessionID
	DataLength     int32
	NumChildren    int32
	Pzxid          Zxid // transaction that last created or deleted a child
}

// StatLen is the encoded length of a Stat in bytes.
const StatLen = 68

// AppendJute appends the 68 bytes clients read.
func (s *Stat) AppendJute(b []byte) []byte {
	b = jute.AppendInt64(b, int64(s.Czxid))
	b = jute.AppendInt64(b, int64(s.Mzxid))
	b = jute.AppendInt64(b, s.Ctime)
	b = jute.AppendInt64(b, s.Mtime)
	b = jute.AppendInt32(b, s.Version)
	b = jute.AppendInt32(b, s.Cversion)
	b = jute.AppendInt32(b, s.Aversion)
	b = jute.AppendInt64(b, int64(s.EphemeralOwner))
	b = jute.AppendInt32(b, s.DataLength)
	b = jute.AppendInt32(b, s.NumChildren)
	return jute.AppendInt64(b, int64(s.Pzxid))
}

// DecodeJute reads what AppendJute wrote.
func (s *Stat) DecodeJute(d *jute.Decoder) {
	s.Czxid, s.Mzxid = Zxid(d.Int64()), Zxid(d.Int64())
	s.Ctime, s.Mtime = d.Int64(), d.Int64()
	s.Version, s.Cversion, s.Aversion = d.Int32(), d.Int32(), d.Int32()
	s.EphemeralOwner = SessionID(d.Int64())
	s.DataLength, s.NumChildren = d.Int32(), d.Int32()
	s.Pzxid = Zxid(d.Int64())
}

// StatPersisted is what is stored of a node besides its data and ACL. Its Cversion counts child creations only and its
// Owner also tells containers and TTL nodes; [StatPersisted.Public] turns it into what clients see.
type StatPersisted struct {
	Czxid, Mzxid                Zxid
	Ctime, Mtime                int64 // milliseconds since 1970
	Version, Cversion, Aversion int32
	Owner                       Owner
	Pzxid                       Zxid
}

// StatPersistedLen is the encoded length of a StatPersisted in bytes.
const StatPersistedLen = 60

// AppendJute appends the 60 bytes of a snapshot's node.
func (s *StatPersisted) AppendJute(b []byte) []byte {
	b = jute.AppendInt64(b, int64(s.Czxid))
	b = jute.AppendInt64(b, int64(s.Mzxid))
	b = jute.AppendInt64(b, s.Ctime)
	b = jute.AppendInt64(b, s.Mtime)
	b = jute.AppendInt32(b, s.Version)
	b = jute.AppendInt32(b, s.Cversion)
	b = jute.AppendInt32(b, s.Aversion)
	b = jute.AppendInt64(b, int64(s.Owner))
	return jute.AppendInt64(b, int64(s.Pzxid))
}

// DecodeJute reads what AppendJute wrote.
func (s *StatPersisted) DecodeJute(d *jute.Decoder) {
	s.Czxid, s.Mzxid = Zxid(d.Int64()), Zxid(d.Int64())
	s.Ctime, s.Mtime = d.Int64(), d.Int64()
	s.Version, s.Cversion, s.Aversion = d.Int32(), d.Int32(), d.Int32()
	s.Owner = Owner(d.Int64())
	s.Pzxid = Zxid(d.Int64())
}

// AppendDigest appends the 60 bytes the tree digest is computed over, in its own order (pzxid third; class DigestCalculator).
func (s *StatPersisted) AppendDigest(b []byte) []byte {
	b = jute.AppendInt64(b, int64(s.Czxid))
	b = jute.AppendInt64(b, int64(s.Mzxid))
	b = jute.AppendInt64(b, int64(s.Pzxid))
	b = jute.AppendInt64(b, s.Ctime)
	b = jute.AppendInt64(b, s.Mtime)
	b = jute.AppendInt32(b, s.Version)
	b = jute.AppendInt32(b, s.Cversion)
	b = jute.AppendInt32(b, s.Aversion)
	return jute.AppendInt64(b, int64(s.Owner))
}

// Public is the Stat clients see of a node with that much data and that many children: their cversion goes up on deletions
// too (twice the creations minus the children left), and a container or TTL node shows no owner.
func (s *StatPersisted) Public(dataLength, children int, extended bool) Stat {
	return Stat{
		Czxid: s.Czxid, Mzxid: s.Mzxid, Ctime: s.Ctime, Mtime: s.Mtime,
		Version: s.Version, Cversion: 2*s.Cversion - int32(children), Aversion: s.Aversion,
		EphemeralOwner: s.Owner.Session(extended),
		DataLength:     int32(dataLength), NumChildren: int32(children), Pzxid: s.Pzxid,
	}
}

// Owner is the stored ephemeralOwner: it says who a node lives for, and thereby what kind of node it is (class
// EphemeralType).
type Owner int64

const (
	// OwnerNone is a persistent node's.
	OwnerNone Owner = 0
	// OwnerContainer is a container's: only the top bit. No session ever has this id.
	OwnerContainer Owner = -1 << 63

	ownerTTL = -1 << 56 // 0xff in the top byte: an extended kind, the next two bytes (zero) say TTL
	// MaxTTL is the longest time to live in milliseconds, 2⁴⁰-1: about 34 years.
	MaxTTL int64 = 1<<40 - 1
	// MaxExtendedServerID is the highest server id where extended types are enabled: the top byte 0xff is theirs.
	MaxExtendedServerID = 254
)

// TTLOwner is the owner of a node that lives ttl milliseconds after its last change.
func TTLOwner(ttl int64) Owner { return Owner(ownerTTL | ttl&MaxTTL) }

// Kind tells what kind of node has this owner. Extended types (TTL) are known only where enabled; elsewhere such a value
// reads as a session, as in Apache's server.
func (o Owner) Kind(extended bool) Kind {
	switch {
	case o == OwnerNone:
		return Persistent
	case o == OwnerContainer:
		return Container
	case extended && int64(o)&ownerTTL == ownerTTL && uint64(o)>>40&0xffff == 0:
		return TTL
	}
	return Ephemeral
}

// Session is the session an ephemeral node belongs to, 0 for every other kind.
func (o Owner) Session(extended bool) SessionID {
	if o.Kind(extended) == Ephemeral {
		return SessionID(o)
	}
	return 0
}

// TTL is the time to live in milliseconds of a TTL node's owner.
func (o Owner) TTL() int64 { return int64(o) & MaxTTL }

// A Kind says what ends a node's life besides a delete.
type Kind uint8

// The kinds of nodes.
const (
	Persistent Kind = iota // nothing
	Ephemeral              // the end of its session
	Container              // the departure of its last child
	TTL                    // time without change and without children
)

func (k Kind) String() string {
	switch k {
	case Persistent:
		return "persistent"
	case Ephemeral:
		return "ephemeral"
	case Container:
		return "container"
	case TTL:
		return "ttl"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// A CreateMode is the flags field of a create request (class CreateMode).
type CreateMode int32

// The create modes.
const (
	ModePersistent CreateMode = iota
	ModeEphemeral
	ModePersistentSequential
	ModeEphemeralSequential
	ModeContainer
	ModeTTL
	ModeTTLSequential
)

// Valid reports whether m is one of the seven modes.
func (m CreateMode) Valid() bool { return m >= ModePersistent && m <= ModeTTLSequential }

// Sequential reports whether the server appends a sequence number to the name.
func (m CreateMode) Sequential() bool {
	return m == ModePersistentSequential || m == ModeEphemeralSequential || m == ModeTTLSequential
}

// Ephemeral reports whether the node belongs to the session.
func (m CreateMode) Ephemeral() bool { return m == ModeEphemeral || m == ModeEphemeralSequential }

// TTL reports whether the node has a time to live.
func (m CreateMode) TTL() bool { return m == ModeTTL || m == ModeTTLSequential }

// An EventType is what a watch reports. A server sends only these four.
type EventType int32

// The events a server sends.
const (
	EventCreated         EventType = 1
	EventDeleted         EventType = 2
	EventDataChanged     EventType = 3
	EventChildrenChanged EventType = 4
)

func (e EventType) String() string {
	switch e {
	case EventCreated:
		return "NodeCreated"
	case EventDeleted:
		return "NodeDeleted"
	case EventDataChanged:
		return "NodeDataChanged"
	case EventChildrenChanged:
		return "NodeChildrenChanged"
	}
	return fmt.Sprintf("event %d", int32(e))
}
