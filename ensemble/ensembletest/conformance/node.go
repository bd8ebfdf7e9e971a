package conformance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// nodes are the checks of single nodes.
var nodes = []check{
	{"nodes", "create", "who has created a node knows by its Stat whose it is, and that nobody has changed it", func(p *probe) {
		s := p.connect()
		m := s.create(p.root+"/n", "abc", 0)
		same(p, "the path of a created node", p.root+"/n", m.Record.(*wire.CreateResponse).Path)
		st := s.stat(p.root + "/n")
		want := znode.Stat{Czxid: m.Header.Zxid, Mzxid: m.Header.Zxid, Pzxid: m.Header.Zxid, Ctime: st.Ctime, Mtime: st.Ctime, DataLength: 3}
		same(p, "the Stat of a new node", want, st)
		same(p, "its data", "abc", s.data(p.root+"/n"))
	}},
	{"nodes", "create-refused", "recipes tell by the code why a node cannot be created", func(p *probe) {
		s := p.connect()
		s.make(p.root + "/n")
		s.create(p.root+"/e", "", znode.ModeEphemeral)
		s.refuses(znode.CodeNodeExists, wire.OpCreate, creation(p.root+"/n", "", 0))
		s.refuses(znode.CodeNodeExists, wire.OpCreate, creation(p.root+"/n", "", znode.ModeEphemeral))
		s.refuses(znode.CodeNoNode, wire.OpCreate, creation(p.root+"/no/n", "", 0))
		s.refuses(znode.CodeNoChildrenForEphemerals, wire.OpCreate, creation(p.root+"/e/n", "", 0))
		s.refuses(znode.CodeBadArguments, wire.OpCreate, creation(p.root+"/x", "", 99))
		s.lists(p.root, "e n")
	}},
	{"nodes", "create2", "a create that answers with the Stat saves the round in which somebody else could be faster", func(p *probe) {
		s := p.connect()
		r := s.offers(wire.OpCreate2, creation(p.root+"/n", "x", 0)).Record.(*wire.CreateResponse)
		same(p, "the path", p.root+"/n", r.Path)
		same(p, "the Stat", s.stat(p.root+"/n"), r.Stat)
	}},
	{"nodes", "null-data", "null and empty data are two things to programs in Java", func(p *probe) {
		s := p.connect()
		request := creation(p.root+"/null", "", 0)
		request.Data = nil
		s.ok(wire.OpCreate, request)
		s.create(p.root+"/empty", "", 0)
		read := func(name string) []byte {
			return s.ok(wire.OpGetData, &wire.WatchRequest{Path: p.root + "/" + name}).Record.(*wire.DataResponse).Data
		}
		p.must(read("null") == nil, "null data comes back as %q", read("null"))
		p.must(read("empty") != nil && len(read("empty")) == 0, "empty data comes back as null")
		same(p, "the length of null data", 0, s.stat(p.root+"/null").DataLength)
	}},
	{"nodes", "set", "optimistic locking: a version that grows by one with each change, and refuses who has not seen the last", func(p *probe) {
		s := p.connect()
		before := s.create(p.root+"/n", "0", 0).Header.Zxid
		for version := range int32(3) {
			m := s.ok(wire.OpSetData, &wire.SetDataRequest{Path: p.root + "/n", Data: []byte("abc"), Version: version})
			st := m.Record.(*wire.StatResponse).Stat
			same(p, "the version after a change", version+1, st.Version)
			p.must(st.Mzxid > before, "a later change has the zxid %v after %v", st.Mzxid, before)
			before = st.Mzxid
			same(p, "the zxid of the change in Stat and answer", m.Header.Zxid, st.Mzxid)
			same(p, "Stat in the answer, and as it is read", s.stat(p.root+"/n"), st)
		}
		s.refuses(znode.CodeBadVersion, wire.OpSetData, &wire.SetDataRequest{Path: p.root + "/n", Data: []byte("late"), Version: 2})
		s.refuses(znode.CodeNoNode, wire.OpSetData, &wire.SetDataRequest{Path: p.root + "/no", Version: -1})
		same(p, "data after a refused change", "abc", s.data(p.root+"/n"))
		s.set(p.root+"/n", "whatever the version is")
	}},
	{"nodes", "delete", "nobody deletes what has changed since, or what others have put their nodes below", func(p *probe) {
		s := p.connect()
		s.make(p.root + "/n")
		s.make(p.root + "/n/c")
		s.refuses(znode.CodeBadVersion, wire.OpDelete, &wire.DeleteRequest{Path: p.root + "/n/c", Version: 1})
		s.refuses(znode.CodeNotEmpty, wire.OpDelete, &wire.DeleteRequest{Path: p.root + "/n", Version: -1})
		s.refuses(znode.CodeNoNode, wire.OpDelete, &wire.DeleteRequest{Path: p.root + "/no", Version: -1})
		s.lists(p.root+"/n", "c")
		s.ok(wire.OpDelete, &wire.DeleteRequest{Path: p.root + "/n/c", Version: 0})
		s.del(p.root + "/n")
		s.gone(p.root + "/n")
	}},
	{"nodes", "parent-stat", "caches tell by cversion and pzxid whether to read the children again", func(p *probe) {
		s := p.connect()
		before := s.stat(p.root)
		zxid := s.make(p.root + "/n").Header.Zxid
		want := before
		want.Cversion, want.Pzxid, want.NumChildren = 1, zxid, 1
		same(p, "the parent's Stat after a create", want, s.stat(p.root))
		s.set(p.root+"/n", "x")
		same(p, "the parent's Stat after a change of the child's data", want, s.stat(p.root))
		zxid = s.del(p.root + "/n").Header.Zxid
		want.Cversion, want.Pzxid, want.NumChildren = 2, zxid, 0
		same(p, "the parent's Stat after a delete", want, s.stat(p.root))
	}},
	{"nodes", "ephemeral", "a node that says whose it is: locks compare its owner with their session", func(p *probe) {
		s, other := p.connect(), p.connect()
		s.create(p.root+"/e", "", znode.ModeEphemeral)
		same(p, "the owner", s.conn.Session(), other.stat(p.root+"/e").EphemeralOwner)
		other.set(p.root+"/e", "anybody may")
		s.ok(wire.OpCloseSession, nil)
		s.lost = true
		other.gone(p.root + "/e")
		other.create(p.root+"/e", "", znode.ModeEphemeral)
		same(p, "the next owner", other.conn.Session(), other.stat(p.root+"/e").EphemeralOwner)
	}},
	{"nodes", "ephemerals-listed", "who comes back to a session finds out what is left of it", func(p *probe) {
		s, other := p.connect(), p.connect()
		for _, name := range []string{"a", "b"} {
			s.create(p.root+"/"+name, "", znode.ModeEphemeral)
		}
		s.make(p.root + "/persistent")
		other.create(p.root+"/other", "", znode.ModeEphemeral)
		list := func(prefix string) string {
			paths := s.offers(wire.OpGetEphemerals, &wire.PrefixRequest{Prefix: prefix}).Record.(*wire.PathsResponse).Paths
			slices.Sort(paths)
			return strings.ReplaceAll(strings.Join(paths, " "), p.root, "")
		}
		same(p, "all of a session's ephemeral nodes", "/a /b", list("/"))
		same(p, "those with a prefix", "/b", list(p.root+"/b"))
	}},
	{"nodes", "container", "recipes put their nodes into containers, which take children and are nobody's", func(p *probe) {
		s := p.connect()
		r := s.offers(wire.OpCreateContainer, creation(p.root+"/c", "", znode.ModeContainer)).Record.(*wire.CreateResponse)
		same(p, "the path", p.root+"/c", r.Path)
		same(p, "the owner of a container", 0, s.stat(p.root+"/c").EphemeralOwner)
		s.make(p.root + "/c/n")
		s.refuses(znode.CodeNotEmpty, wire.OpDelete, &wire.DeleteRequest{Path: p.root + "/c", Version: -1})
	}},
	{"nodes", "ttl", "a node with a time to live is made as one, and a time that is none is refused", func(p *probe) {
		s := p.connect()
		request := func(ttl int64) *wire.CreateRequest {
			r := creation(p.root+"/t", "", znode.ModeTTL)
			r.TTL, r.HasTTL = ttl, true
			return r
		}
		s.offers(wire.OpCreateTTL, request(3_600_000))
		same(p, "the owner of a node with a time to live", 0, s.stat(p.root+"/t").EphemeralOwner)
		s.make(p.root + "/t/n")
		for _, ttl := range []int64{0, -1, znode.MaxTTL + 1} {
			s.refuses(znode.CodeBadArguments, wire.OpCreateTTL, request(ttl))
		}
	}},
	{"nodes", "children", "all ways to ask for children agree", func(p *probe) {
		s := p.connect()
		for _, name := range []string{"b", "a", "b/c", "b/c/d"} {
			s.make(p.root + "/" + name)
		}
		s.lists(p.root, "a b")
		r := s.ok(wire.OpGetChildren2, &wire.WatchRequest{Path: p.root}).Record.(*wire.ChildrenResponse)
		slices.Sort(r.Children)
		same(p, "names with Stat", "a b", strings.Join(r.Children, " "))
		same(p, "Stat with names", s.stat(p.root), r.Stat)
		s.lists(p.root+"/a", "")
		s.refuses(znode.CodeNoNode, wire.OpGetChildren, &wire.WatchRequest{Path: p.root + "/no"})
		s.refuses(znode.CodeNoNode, wire.OpGetChildren2, &wire.WatchRequest{Path: p.root + "/no"})
	}},
	{"nodes", "all-children-number", "the number of all descendants, without a walk", func(p *probe) {
		s := p.connect()
		for _, name := range []string{"b", "a", "b/c", "b/c/d"} {
			s.make(p.root + "/" + name)
		}
		count := func(path string) int32 {
			return s.offers(wire.OpGetAllChildrenNumber, &wire.PathRequest{Path: path}).Record.(*wire.CountResponse).Count
		}
		same(p, "descendants", 4, count(p.root))
		same(p, "descendants of a leaf", 0, count(p.root+"/a"))
		s.refuses(znode.CodeNoNode, wire.OpGetAllChildrenNumber, &wire.PathRequest{Path: p.root + "/no"})
	}},
	{"nodes", "bad-paths", "a path that is none is refused, and does not become a node that nobody can delete", func(p *probe) {
		s := p.connect()
		for _, path := range []string{
			"", "relative", p.root + "/", p.root + "//n", p.root + "/.", p.root + "/./n", p.root + "/..", p.root + "/a\x00b", p.root + "/a\x01b",
			p.root + "/a\x7fb", p.root + "/\ufff0",
		} {
			s.refusedPath(path, wire.OpCreate, creation(path, "", 0))
			s.refusedPath(path, wire.OpSetData, &wire.SetDataRequest{Path: path, Version: -1})
		}
		for _, path := range []string{"/", "/zookeeper", "relative"} {
			s.refuses(znode.CodeBadArguments, wire.OpDelete, &wire.DeleteRequest{Path: path, Version: -1})
		}
		s.lists(p.root, "")
		for _, name := range []string{"...", ".a", "a b", "a:b", "\u00e4", "\u4e2d"} {
			s.make(p.root + "/" + name)
			s.del(p.root + "/" + name)
		}
		s.refuses(znode.CodeNoNode, wire.OpGetData, &wire.WatchRequest{Path: p.root + "/"})
	}},
	{"nodes", "zxids", "an answer names a transaction that is no older than what the client has been shown", func(p *probe) {
		s := p.connect()
		last := znode.Zxid(0)
		for i := range 10 {
			name := fmt.Sprintf("%s/%d", p.root, i)
			for _, m := range []rawclient.Message{
				s.make(name), s.refuses(znode.CodeNodeExists, wire.OpCreate, creation(name, "", 0)),
				s.set(name, "x"), s.del(name),
			} {
				p.must(m.Header.Zxid > last, "%v has the zxid %v, the one before %v", m.Op, m.Header.Zxid, last)
				last = m.Header.Zxid
				read := s.ok(wire.OpExists, &wire.WatchRequest{Path: p.root}).Header.Zxid
				p.must(read >= last, "a read behind %v shows %v", last, read)
			}
		}
	}},
}

// refusedPath asks for something that has to be refused because of its path; a parent that is none may be what hinders.
func (s *session) refusedPath(path string, op wire.Op, record wire.Record) {
	m := s.call(op, record)
	bad := m.Header.Err == znode.CodeBadArguments
	if op == wire.OpCreate {
		bad = bad || m.Header.Err == znode.CodeNoNode && (strings.Contains(path, "//") || strings.Contains(path, "/./"))
	}
	s.p.must(bad, "%v %q: want %v, got %v", op, path, znode.CodeBadArguments, m.Header.Err)
}

// sequences are the checks of the numbers of sequential nodes.
var sequences = []check{
	{"sequences", "count", "queues and locks stand in the order of these numbers, ten digits that grow by one from zero", func(p *probe) {
		s, other := p.connect(), p.connect()
		same(p, "the first", p.root+"/n-0000000000", s.made(p.root+"/n-", znode.ModePersistentSequential))
		same(p, "the second", p.root+"/m-0000000001", other.made(p.root+"/m-", znode.ModeEphemeralSequential))
		s.make(p.root + "/plain")
		same(p, "behind one without a number", p.root+"/n-0000000003", s.made(p.root+"/n-", znode.ModePersistentSequential))
	}},
	{"sequences", "not-reused", "a number comes once: who stood in line before does not find another in his place", func(p *probe) {
		s := p.connect()
		for i := range 4 {
			path := s.made(p.root+"/n-", znode.ModeEphemeralSequential)
			same(p, "the number behind those that are deleted", fmt.Sprintf("%s/n-%010d", p.root, i), path)
			s.del(path)
		}
		s.refuses(znode.CodeBadArguments, wire.OpCreate, creation(p.root+"/a\x01-", "", znode.ModePersistentSequential))
		same(p, "behind one that was refused", p.root+"/n-0000000004", s.made(p.root+"/n-", znode.ModeEphemeralSequential))
	}},
	{"sequences", "name-of-a-number", "some queues name their nodes by the number alone", func(p *probe) {
		same(p, "the path", p.root+"/0000000000", p.connect().made(p.root+"/", znode.ModePersistentSequential))
	}},
	{"sequences", "owner", "who is first in line is told by the owner of a node", func(p *probe) {
		s := p.connect()
		path := s.made(p.root+"/n-", znode.ModeEphemeralSequential)
		same(p, "the owner of an ephemeral one", s.conn.Session(), s.stat(path).EphemeralOwner)
		same(p, "the owner of a persistent one", 0, s.stat(s.made(p.root+"/n-", znode.ModePersistentSequential)).EphemeralOwner)
	}},
}
