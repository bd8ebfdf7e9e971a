package client

import (
	"crypto/sha1"
	"encoding/base64"
	"time"

	"github.com/go-zookeeper/zk"
)

// Stat is what ZooKeeper keeps about a node beside its data.
type Stat struct {
	Czxid          int64     // the transaction that created the node; never changes, grows from node to node
	Mzxid          int64     // the transaction that last changed the data
	Pzxid          int64     // the transaction that last added or removed a child
	Ctime          time.Time // when it was created, by the leader's clock
	Mtime          time.Time // when its data last changed, by the leader's clock
	Version        int32     // changes of the data
	Cversion       int32     // changes of the set of children
	Aversion       int32     // changes of the ACL
	EphemeralOwner int64     // the session an ephemeral node lives and dies with; 0 for every other kind
	DataLength     int       // bytes of data
	NumChildren    int       // children it has
}

func statOf(s *zk.Stat) Stat {
	if s == nil {
		return Stat{}
	}
	return Stat{
		Czxid: s.Czxid, Mzxid: s.Mzxid, Pzxid: s.Pzxid,
		Ctime: time.UnixMilli(s.Ctime), Mtime: time.UnixMilli(s.Mtime),
		Version: s.Version, Cversion: s.Cversion, Aversion: s.Aversion,
		EphemeralOwner: s.EphemeralOwner, DataLength: int(s.DataLength), NumChildren: int(s.NumChildren),
	}
}

// Mode is the kind of node to create. The zero Mode is a persistent node.
type Mode int32

// The kinds of nodes, with ZooKeeper's numbers (CreateMode in Java).
const (
	Persistent              Mode = 0 // stays until somebody deletes it
	Ephemeral               Mode = 1 // goes with the session that made it
	PersistentSequential    Mode = 2 // persistent, and its name gets a number of ten digits
	EphemeralSequential     Mode = 3 // ephemeral, and its name gets a number of ten digits
	Container               Mode = 4 // removed by the server some time after its last child went
	PersistentTTL           Mode = 5 // removed when it had no child and no change for its time to live
	PersistentSequentialTTL Mode = 6 // the same, and its name gets a number of ten digits
)

func (m Mode) ephemeral() bool { return m == Ephemeral || m == EphemeralSequential }
func (m Mode) ttl() bool       { return m == PersistentTTL || m == PersistentSequentialTTL }
func (m Mode) sequential() bool {
	return m == PersistentSequential || m == EphemeralSequential || m == PersistentSequentialTTL
}

// Parents says what Create does when the parent of the new node does not exist.
type Parents int

const (
	NoParents         Parents = iota // ErrNoNode
	ContainerParents                 // make the missing ones as containers, as Curator's recipes do; persistent where the server has no containers
	PersistentParents                // make the missing ones as persistent nodes
)

// CreateOptions say how a node is created. The zero value, or nil, is a plain persistent node with the client's default ACL.
type CreateOptions struct {
	// Mode is the kind of node. Default: Persistent.
	Mode Mode
	// ACL is the access control list. Default: Options.ACLFor, and Options.ACL.
	ACL []ACL
	// TTL is the time to live of the two TTL modes, at least a millisecond, and must be zero for all others.
	TTL time.Duration
	// Parents says what happens when the parent is missing. Default: NoParents. Parents that are made have empty data, and the ACL of
	// this create if it names one. As containers vanish by themselves, a parent is made again as often as it is found missing, until ctx ends.
	Parents Parents
	// Protected puts "_c_<id>-" before the last element of the path, Curator's protection, so that a create whose answer was lost
	// can be told by its name. Create then finds out by itself, in the same session: it returns the node's path if the create took
	// effect, and tries again if it did not. If the call ends with ErrUnknown, because its context or its session did, the node is
	// removed should it come about: in the background, for as long as the client is open.
	Protected bool
	// ProtectionID is the id a protected create uses, in the form of [NewProtectionID], for callers who want to look for the node
	// themselves; then nothing is removed. Default: a fresh one.
	ProtectionID string
}

// Perm is a set of permissions, a bit for each.
type Perm int32

// The permissions of ZooKeeper's ACLs. PermCreate and PermDelete speak about children, the others about the node itself.
const (
	PermRead Perm = 1 << iota
	PermWrite
	PermCreate
	PermDelete
	PermAdmin
	PermAll Perm = PermRead | PermWrite | PermCreate | PermDelete | PermAdmin
)

// ACL is one entry of an access control list: who (an id within a scheme) may do what.
type ACL struct {
	Perms  Perm
	Scheme string // "world", "auth", "digest", "ip", …
	ID     string // "anyone", "", "user:hash", an address, …
}

// WorldACL gives the permissions to everybody.
func WorldACL(p Perm) []ACL { return []ACL{{p, "world", "anyone"}} }

// AuthACL gives the permissions to every identity the creating session has been authenticated with.
func AuthACL(p Perm) []ACL { return []ACL{{p, "auth", ""}} }

// DigestACL gives the permissions to one user of the digest scheme, known by name and password. ZooKeeper stores the SHA-1 of both;
// it keeps the password from being read in passing, and is not strong protection.
func DigestACL(p Perm, user, password string) []ACL {
	sum := sha1.Sum([]byte(user + ":" + password))
	return []ACL{{p, "digest", user + ":" + base64.StdEncoding.EncodeToString(sum[:])}}
}

func libraryACL(acl []ACL) []zk.ACL {
	out := make([]zk.ACL, len(acl))
	for i, a := range acl {
		out[i] = zk.ACL{Perms: int32(a.Perms), Scheme: a.Scheme, ID: a.ID}
	}
	return out
}

func aclFrom(acl []zk.ACL) []ACL {
	out := make([]ACL, len(acl))
	for i, a := range acl {
		out[i] = ACL{Perms: Perm(a.Perms), Scheme: a.Scheme, ID: a.ID}
	}
	return out
}
