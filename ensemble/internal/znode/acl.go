package znode

import "github.com/bellwether-zk/bellwether/ensemble/internal/jute"

// Perms is a set of permissions. Bits outside PermAll are stored and given back untouched.
type Perms int32

// The permissions.
const (
	PermRead   Perms = 1
	PermWrite  Perms = 2
	PermCreate Perms = 4
	PermDelete Perms = 8
	PermAdmin  Perms = 16
	PermAll    Perms = 31
)

// An ID is an identity: a scheme (world, ip, digest, x509, sasl, super) and a name within it.
type ID struct{ Scheme, Name string }

// Anyone is the identity everybody has.
var Anyone = ID{Scheme: "world", Name: "anyone"}

// An ACL grants permissions to an identity.
type ACL struct {
	Perms Perms
	ID    ID
}

// OpenACL returns a new list that lets anybody do anything.
func OpenACL() []ACL { return []ACL{{Perms: PermAll, ID: Anyone}} }

// ReadACL returns a new list that lets anybody read.
func ReadACL() []ACL { return []ACL{{Perms: PermRead, ID: Anyone}} }

// AppendACLs appends a vector of ACLs; nil is written as an empty vector.
func AppendACLs(b []byte, v []ACL) []byte {
	b = jute.AppendInt32(b, int32(len(v)))
	for i := range v {
		b = jute.AppendInt32(b, int32(v[i].Perms))
		b = jute.AppendString(b, v[i].ID.Scheme)
		b = jute.AppendString(b, v[i].ID.Name)
	}
	return b
}

// DecodeACLs reads a vector of ACLs, nil for null. A null scheme or name reads as empty, which no scheme accepts (kazoo
// sends null for an empty name).
func DecodeACLs(d *jute.Decoder) []ACL {
	n := d.Count(12)
	if n < 0 || d.Err() != nil {
		return nil
	}
	v := make([]ACL, n)
	for i := range v {
		v[i].Perms = Perms(d.Int32())
		v[i].ID.Scheme = d.String()
		v[i].ID.Name = d.String()
	}
	if d.Err() != nil {
		return nil
	}
	return v
}
