package conformance

import (
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// part is one of a multi.
func part(op wire.Op, record wire.Record) wire.MultiOp { return wire.MultiOp{Op: op, Record: record} }

func created(path string, mode znode.CreateMode) wire.MultiOp {
	return part(wire.OpCreate, creation(path, "", mode))
}

func checked(path string, version int32) wire.MultiOp {
	return part(wire.OpCheck, &wire.CheckRequest{Path: path, Version: version})
}

func changed(path, data string, version int32) wire.MultiOp {
	return part(wire.OpSetData, &wire.SetDataRequest{Path: path, Data: []byte(data), Version: version})
}

func deleted(path string) wire.MultiOp {
	return part(wire.OpDelete, &wire.DeleteRequest{Path: path, Version: -1})
}

// multi does all parts, or none. A multi that fails is answered like one that does not.
func (s *session) multi(parts ...wire.MultiOp) (results []wire.MultiResult, zxid znode.Zxid) {
	m := s.call(wire.OpMulti, &wire.MultiRequest{Ops: parts})
	s.p.must(m.Header.Err == znode.CodeOK, "the header of the answer to a multi: want no error whatever became of its parts, got %v", m.Header.Err)
	results = m.Record.(*wire.MultiResponse).Results
	same(s.p, "results of a multi", len(parts), len(results))
	return results, m.Header.Zxid
}

// codes makes sure what is said of each part.
func (p *probe) codes(results []wire.MultiResult, want ...znode.Code) {
	got := make([]znode.Code, len(results))
	for i, r := range results {
		got[i] = r.Err
	}
	same(p, "the codes of the parts", fmt.Sprint(want), fmt.Sprint(got))
}

// multis are the checks of transactions.
var multis = []check{
	{"multis", "all", "a multi is one transaction: what it does is there at once, with one zxid", func(p *probe) {
		s := p.connect()
		s.make(p.root + "/set")
		s.make(p.root + "/del")
		results, zxid := s.multi(checked(p.root+"/set", 0), created(p.root+"/new", znode.ModeEphemeral), changed(p.root+"/set", "x", 0), deleted(p.root+"/del"))
		p.codes(results, 0, 0, 0, 0)
		same(p, "the path of the created one", p.root+"/new", results[1].Path)
		same(p, "the Stat of the changed one", s.stat(p.root+"/set"), results[2].Stat)
		same(p, "the zxid of the created one", zxid, s.stat(p.root+"/new").Czxid)
		same(p, "the zxid of the changed one", zxid, results[2].Stat.Mzxid)
		same(p, "the zxid of the last change of the children", zxid, s.stat(p.root).Pzxid)
		same(p, "the owner of the created one", s.conn.Session(), s.stat(p.root+"/new").EphemeralOwner)
		s.lists(p.root, "new set")
	}},
	{"multis", "nothing", "a multi that fails has done nothing, and tells which part is to blame and that the others are not", func(p *probe) {
		s := p.connect()
		s.make(p.root + "/n")
		before := s.stat(p.root + "/n")
		for _, c := range []struct {
			bad  wire.MultiOp
			code znode.Code
		}{
			{checked(p.root+"/n", 7), znode.CodeBadVersion},
			{checked(p.root+"/no", -1), znode.CodeNoNode},
			{created(p.root+"/n", 0), znode.CodeNodeExists},
			{created(p.root+"/no/n", 0), znode.CodeNoNode},
			{changed(p.root+"/n", "y", 7), znode.CodeBadVersion},
			{deleted(p.root), znode.CodeNotEmpty},
		} {
			results, _ := s.multi(created(p.root+"/new", 0), changed(p.root+"/n", "x", 0), c.bad, created(p.root+"/more", 0))
			p.codes(results, 0, 0, c.code, znode.CodeRuntimeInconsistency)
			s.lists(p.root, "n")
			same(p, "Stat of a node that a failed multi would have changed", before, s.stat(p.root+"/n"))
		}
	}},
	{"multis", "parts-see-each-other", "each part is done to what the parts before it have left", func(p *probe) {
		s := p.connect()
		results, _ := s.multi(created(p.root+"/a", 0), created(p.root+"/a/b", 0), changed(p.root+"/a", "x", 0), checked(p.root+"/a", 1), deleted(p.root+"/a/b"))
		p.codes(results, 0, 0, 0, 0, 0)
		same(p, "the data", "x", s.data(p.root+"/a"))
		s.lists(p.root+"/a", "")
		results, _ = s.multi(deleted(p.root+"/a"), checked(p.root+"/a", -1))
		p.codes(results, 0, znode.CodeNoNode)
	}},
	{"multis", "sequences", "numbers in a multi follow one another, and one that fails has used none", func(p *probe) {
		s := p.connect()
		results, _ := s.multi(created(p.root+"/n-", znode.ModePersistentSequential), checked(p.root+"/no", 0))
		p.codes(results, 0, znode.CodeNoNode)
		results, _ = s.multi(created(p.root+"/n-", znode.ModePersistentSequential), created(p.root+"/n-", znode.ModeEphemeralSequential))
		p.codes(results, 0, 0)
		same(p, "the first", p.root+"/n-0000000000", results[0].Path)
		same(p, "the second", p.root+"/n-0000000001", results[1].Path)
	}},
	{"multis", "of-nothing", "a multi without parts is done", func(p *probe) { p.connect().multi() }},
	{"multis", "only-writes", "a read is no part of a multi, and is not left out of it in silence", func(p *probe) {
		s := p.connect()
		s.refuses(znode.CodeMarshallingError, wire.OpMulti, &wire.MultiRequest{Ops: []wire.MultiOp{
			created(p.root+"/n", 0), part(wire.OpGetData, &wire.WatchRequest{Path: p.root}),
		}})
		s.gone(p.root + "/n")
	}},
	{"multis", "create2", "newer clients create with a Stat in a multi too", func(p *probe) {
		s := p.connect()
		s.offers(wire.OpCreate2, creation(p.root+"/probe", "", 0))
		results, _ := s.multi(part(wire.OpCreate2, creation(p.root+"/n", "x", 0)))
		if results[0].Op == wire.OpCreate {
			p.notOffered("a create2 in a multi is answered without a Stat, as before 3.9")
		}
		same(p, "the kind of result", wire.OpCreate2, results[0].Op)
		same(p, "the Stat", s.stat(p.root+"/n"), results[0].Stat)
	}},
	{"multis", "reads", "several reads in one round, of which each may fail by itself", func(p *probe) {
		s := p.connect()
		s.create(p.root+"/n", "x", 0)
		read := func(op wire.Op, path string) wire.MultiOp { return part(op, &wire.WatchRequest{Path: path}) }
		results := s.offers(wire.OpMultiRead, &wire.MultiRequest{Read: true, Ops: []wire.MultiOp{
			read(wire.OpGetData, p.root+"/n"), read(wire.OpGetData, p.root+"/no"), read(wire.OpGetChildren, p.root),
		}}).Record.(*wire.MultiResponse).Results
		p.codes(results, 0, znode.CodeNoNode, 0)
		same(p, "the data", "x", string(results[0].Data))
		same(p, "the children", "[n]", fmt.Sprint(results[2].Children))
	}},
}
