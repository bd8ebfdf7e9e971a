package conformance

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// The identity that owns what is protected, and how servers name it.
const (
	user       = "conformance"
	credential = user + ":secret"
)

func owner() znode.ID {
	hash := sha1.Sum([]byte(credential))
	return znode.ID{Scheme: "digest", Name: user + ":" + base64.StdEncoding.EncodeToString(hash[:])}
}

// identify gives the connection that identity.
func (s *session) identify() {
	m, err := s.conn.Auth(s.p.ctx, "digest", []byte(credential))
	s.p.must(err == nil, "auth: %v", err)
	s.p.must(m.Header.Err == znode.CodeOK, "auth with the scheme digest: %v", m.Header.Err)
}

// protect makes a node with a list.
func (s *session) protect(path string, list ...znode.ACL) {
	s.ok(wire.OpCreate, &wire.CreateRequest{Path: path, Data: []byte{}, ACL: list})
}

func ours(perms znode.Perms) znode.ACL { return znode.ACL{Perms: perms, ID: owner()} }

func anyones(perms znode.Perms) znode.ACL { return znode.ACL{Perms: perms, ID: znode.Anyone} }

// acl is a node's list in words.
func (s *session) acl(path string) string {
	return fmt.Sprint(s.ok(wire.OpGetACL, &wire.PathRequest{Path: path}).Record.(*wire.ACLResponse).ACL)
}

// permissions are the checks of access control lists and identities.
var permissions = []check{
	{"permissions", "owner-only", "what belongs to one identity is closed to all others, and open to it on any connection", func(p *probe) {
		s, stranger, friend := p.connect(), p.connect(), p.connect()
		s.identify()
		s.protect(p.root+"/n", znode.ACL{Perms: znode.PermAll, ID: znode.ID{Scheme: "auth"}})
		same(p, "the list in which the identity has taken the place of auth", fmt.Sprint([]znode.ACL{ours(znode.PermAll)}), s.acl(p.root+"/n"))
		path := p.root + "/n"
		for op, record := range map[wire.Op]wire.Record{
			wire.OpGetData: &wire.WatchRequest{Path: path}, wire.OpGetChildren: &wire.WatchRequest{Path: path},
			wire.OpGetChildren2: &wire.WatchRequest{Path: path}, wire.OpGetACL: &wire.PathRequest{Path: path},
			wire.OpSetData: &wire.SetDataRequest{Path: path, Version: -1}, wire.OpCreate: creation(path+"/c", "", 0),
			wire.OpSetACL: &wire.SetACLRequest{Path: path, ACL: znode.OpenACL(), Version: -1},
		} {
			stranger.refuses(znode.CodeNoAuth, op, record)
		}
		results, _ := stranger.multi(created(p.root+"/m", 0), changed(path, "x", -1))
		p.codes(results, 0, znode.CodeNoAuth)
		stranger.gone(p.root + "/m")
		friend.identify()
		friend.set(path, "x")
		friend.make(path + "/c")
		same(p, "the data", "x", s.data(path))
	}},
	{"permissions", "hash-hidden", "others do not see the hash of a password", func(p *probe) {
		s, stranger := p.connect(), p.connect()
		s.protect(p.root+"/n", ours(znode.PermAll), anyones(znode.PermRead))
		same(p, "the list for who may not change it", fmt.Sprint([]znode.ACL{
			{Perms: znode.PermAll, ID: znode.ID{Scheme: "digest", Name: user + ":x"}}, anyones(znode.PermRead),
		}), stranger.acl(p.root+"/n"))
	}},
	{"permissions", "bits", "each permission allows what it says, and nothing else", func(p *probe) {
		s, friend := p.connect(), p.connect()
		friend.identify()
		for _, perms := range []znode.Perms{znode.PermRead, znode.PermWrite, znode.PermCreate, znode.PermDelete, znode.PermAdmin} {
			path := fmt.Sprintf("%s/%d", p.root, perms)
			s.protect(path, anyones(perms), ours(znode.PermAll))
			if perms == znode.PermDelete {
				friend.make(path + "/c") // to be deleted
			}
			for _, try := range []struct {
				perm   znode.Perms
				op     wire.Op
				record wire.Record
			}{
				{znode.PermRead, wire.OpGetData, &wire.WatchRequest{Path: path}},
				{znode.PermWrite, wire.OpSetData, &wire.SetDataRequest{Path: path, Version: -1}},
				{znode.PermCreate, wire.OpCreate, creation(path+"/c", "", 0)},
				{znode.PermDelete, wire.OpDelete, &wire.DeleteRequest{Path: path + "/c", Version: -1}},
				{znode.PermAdmin, wire.OpSetACL, &wire.SetACLRequest{Path: path, ACL: znode.OpenACL(), Version: -1}}, // opens it to removal
			} {
				if try.perm == perms {
					s.ok(try.op, try.record)
				} else {
					s.refuses(znode.CodeNoAuth, try.op, try.record)
				}
			}
		}
	}},
	{"permissions", "delete-is-the-parents", "who may delete a node is said by its parent's list, not by its own", func(p *probe) {
		s, stranger := p.connect(), p.connect()
		s.identify()
		s.protect(p.root+"/closed", ours(znode.PermAll))
		s.make(p.root + "/closed/open")
		stranger.refuses(znode.CodeNoAuth, wire.OpDelete, &wire.DeleteRequest{Path: p.root + "/closed/open", Version: -1})
		same(p, "data below a closed node", p.root+"/closed/open", stranger.data(p.root+"/closed/open"))
		s.del(p.root + "/closed/open")
		stranger.del(p.root + "/closed")
	}},
	{"permissions", "list-refused", "a list that protects nothing, or locks out everybody, by mistake is refused", func(p *probe) {
		s := p.connect()
		for _, list := range [][]znode.ACL{
			{},
			{{Perms: znode.PermAll, ID: znode.ID{Scheme: "world", Name: "bob"}}},
			{{Perms: znode.PermAll, ID: znode.ID{Scheme: "no-such-scheme", Name: "bob"}}},
			{{Perms: znode.PermAll, ID: znode.ID{Scheme: "digest", Name: "without-a-hash"}}},
			{{Perms: znode.PermAll, ID: znode.ID{Scheme: "auth"}}}, // of which this connection has none
		} {
			s.refuses(znode.CodeInvalidACL, wire.OpCreate, &wire.CreateRequest{Path: p.root + "/n", Data: []byte{}, ACL: list})
			s.refuses(znode.CodeInvalidACL, wire.OpSetACL, &wire.SetACLRequest{Path: p.root, ACL: list, Version: -1})
		}
		s.gone(p.root + "/n")
	}},
	{"permissions", "aversion", "a list has a version of its own, and changing it is no change of the data", func(p *probe) {
		s := p.connect()
		s.make(p.root + "/n")
		before := s.stat(p.root + "/n")
		set := func(version int32) *wire.SetACLRequest {
			return &wire.SetACLRequest{Path: p.root + "/n", ACL: znode.OpenACL(), Version: version}
		}
		got := s.ok(wire.OpSetACL, set(0)).Record.(*wire.StatResponse).Stat
		want := before
		want.Aversion = 1
		same(p, "Stat in the answer", want, got)
		same(p, "Stat as it is read", want, s.stat(p.root+"/n"))
		s.refuses(znode.CodeBadVersion, wire.OpSetACL, set(0))
		s.ok(wire.OpSetACL, set(-1))
	}},
	{"permissions", "list-set", "what is closed is closed from the answer on", func(p *probe) {
		// Reads alone are asked for: a leader of Apache's may let a write pass by the old list until it has applied the new one itself.
		s := p.connect()
		s.make(p.root + "/n")
		s.ok(wire.OpSetACL, &wire.SetACLRequest{Path: p.root + "/n", ACL: []znode.ACL{ours(znode.PermAll)}, Version: -1})
		s.refuses(znode.CodeNoAuth, wire.OpGetData, &wire.WatchRequest{Path: p.root + "/n"})
		s.refuses(znode.CodeNoAuth, wire.OpGetChildren, &wire.WatchRequest{Path: p.root + "/n"})
		s.identify()
		s.data(p.root + "/n")
		s.set(p.root+"/n", "x")
	}},
	{"permissions", "unknown-scheme", "who cannot be identified is told so, and does not go on as somebody without an identity", func(p *probe) {
		s := p.connect()
		m, err := s.conn.Auth(p.ctx, "no-such-scheme", []byte("x"))
		p.must(err == nil, "auth: the connection failed instead of an answer: %v", err)
		same(p, "the answer to an unknown scheme", znode.CodeAuthFailed, m.Header.Err)
		s.closed()
	}},
	{"permissions", "who-am-i", "a client can ask who the server takes it for", func(p *probe) {
		s := p.connect()
		s.identify()
		ids := s.offers(wire.OpWhoAmI, nil).Record.(*wire.WhoAmIResponse).IDs
		for _, id := range ids {
			if id == (znode.ID{Scheme: "digest", Name: user}) {
				return
			}
		}
		p.fail("the identity %q is not among %v", user, ids)
	}},
}
