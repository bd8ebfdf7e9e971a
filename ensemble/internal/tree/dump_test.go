package tree

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A dump is the tree of the moment it began, whatever happens while it runs, and can be loaded.
func TestDumpIsOfOneMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		extended := rapid.Bool().Draw(t, "extended")
		g := &generator{model: newModel(extended)}
		tr := New(Options{Extended: extended})
		var out Result
		run := func(most int) {
			for range rapid.IntRange(0, most).Draw(t, "transactions") {
				x, _ := g.next(t)
				tr.Apply(&x, &out)
			}
		}
		for range rapid.IntRange(1, 3).Draw(t, "dumps") {
			run(40)
			moment := g.model.clone()
			d := tr.Dump()
			require.Equal(t, moment.zxid, d.Zxid)
			require.Equal(t, moment.digest(), d.Digest)
			leave := rapid.IntRange(0, 9).Draw(t, "left unfinished") == 0
			var images []Image
			for {
				run(6)
				had := len(images)
				images = d.Next(images, rapid.IntRange(1, 1000).Draw(t, "bytes"))
				if leave || len(images) == had {
					break
				}
			}
			run(3)
			d.Close()
			d.Close()
			require.Empty(t, d.frozen)
			if !leave {
				requireImages(t, moment, images, d)
				requireLoadable(t, moment, images, d)
			}
			requireConsistent(t, tr)
		}
		requireModel(t, g.model, tr)
	})
}

// Several dumps that run at once, each begun and ended when it likes, do not get into each other's way.
func TestDumpsOverlap(t *testing.T) {
	type running struct {
		*Dump
		moment *model
		images []Image
	}
	rapid.Check(t, func(t *rapid.T) {
		extended := rapid.Bool().Draw(t, "extended")
		g := &generator{model: newModel(extended)}
		tr := New(Options{Extended: extended})
		var out Result
		var dumps []*running
		end := func(i int) {
			d := dumps[i]
			dumps = append(dumps[:i], dumps[i+1:]...)
			d.Close()
			require.Empty(t, d.frozen)
		}
		advance := func(i int) (more bool) {
			d := dumps[i]
			had := len(d.images)
			if d.images = d.Next(d.images, rapid.IntRange(1, 1000).Draw(t, "bytes")); len(d.images) > had {
				return true
			}
			requireImages(t, d.moment, d.images, d.Dump)
			requireLoadable(t, d.moment, d.images, d.Dump)
			end(i)
			return false
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			for range rapid.IntRange(0, 6).Draw(t, "transactions") {
				x, _ := g.next(t)
				tr.Apply(&x, &out)
			}
			switch what := rapid.IntRange(0, 9).Draw(t, "what"); {
			case len(dumps) == 0 || what < 2 && len(dumps) < 4:
				dumps = append(dumps, &running{Dump: tr.Dump(), moment: g.model.clone()})
			case what == 2:
				end(rapid.IntRange(0, len(dumps)-1).Draw(t, "left unfinished"))
			default:
				advance(rapid.IntRange(0, len(dumps)-1).Draw(t, "goes on"))
			}
		}
		for len(dumps) > 0 {
			for advance(0) {
			}
		}
		require.Empty(t, tr.dumps)
		require.Empty(t, tr.tombs)
		requireConsistent(t, tr)
		requireModel(t, g.model, tr)
	})
}

func requireImages(t *rapid.T, m *model, images []Image, d *Dump) {
	acls := map[int64][]znode.ACL{OpenACLID: znode.OpenACL()}
	last := int64(0)
	for _, e := range d.ACLs {
		require.Greater(t, e.ID, last)
		acls[e.ID], last = e.List, e.ID
	}
	seen := make(map[string]bool)
	for i, img := range images {
		path := img.Path
		if path == "" {
			require.Zero(t, i, "the root comes first")
			path = "/"
		} else {
			require.True(t, seen[modelParent(path)], "%s comes before its parent", path)
		}
		require.False(t, seen[path], "%s comes twice", path)
		seen[path] = true
		n := m.nodes[path]
		require.NotNil(t, n, "%s was not there", path)
		require.Equal(t, n.data, img.Data, "data of %s", path)
		require.Equal(t, n.acl, acls[img.ACL], "ACL of %s", path)
		require.Equal(t, n.stat, img.Stat, "%s", path)
	}
	require.Len(t, images, len(m.nodes))
	require.Len(t, d.Sessions, len(m.sessions))
	for _, s := range d.Sessions {
		require.Equal(t, m.sessions[s.ID], s.Timeout)
	}
}

func requireLoadable(t *rapid.T, m *model, images []Image, d *Dump) {
	l := NewLoader(Options{Extended: m.extended})
	for _, s := range d.Sessions {
		l.Session(s.ID, s.Timeout)
	}
	for _, e := range d.ACLs {
		l.ACL(e.ID, e.List)
	}
	for _, img := range images {
		require.NoError(t, l.Node(img))
	}
	tr, err := l.Tree(d.Zxid)
	require.NoError(t, err)
	require.NoError(t, tr.CheckACLs())
	requireConsistent(t, tr)
	require.Equal(t, d.Digest, tr.Digest())
	requireModel(t, recounted(m), tr)
}

// recounted is the model as loading leaves it: usage is counted anew, and then a quota covers those below it too.
func recounted(m *model) *model {
	m = m.clone()
	for _, path := range m.paths() {
		if dir, is := strings.CutSuffix(path, "/zookeeper_limits"); is && strings.HasPrefix(path, "/zookeeper/quota/") {
			if stats := dir + "/zookeeper_stats"; m.nodes[stats] != nil {
				m.measure(stats)
			}
		}
	}
	return m
}

func TestDumpHandsOutBoundedPieces(t *testing.T) {
	tr, _ := populated(2000)
	d := tr.Dump()
	defer d.Close()
	total := 0
	for {
		piece := d.Next(nil, 4096)
		if len(piece) == 0 {
			break
		}
		size := 0
		for _, img := range piece[:len(piece)-1] {
			size += len(img.Path) + len(img.Data) + imageOverhead
		}
		require.Less(t, size, 4096)
		total += len(piece)
	}
	require.Equal(t, 2000+2+4, total)
}

// Only what changes before its turn is kept, once.
func TestDumpKeepsLittle(t *testing.T) {
	tr, paths := populated(1000)
	d := tr.Dump()
	defer d.Close()
	images := d.Next(nil, 300*(100+30+imageOverhead))
	passed := len(images)
	var out Result
	zxid := tr.Zxid()
	for range 3 {
		for _, path := range paths {
			zxid++
			tr.Apply(&txn.Txn{Header: txn.Header{Zxid: zxid, Type: wire.OpSetData}, Body: &txn.SetData{Path: path, Data: []byte("new"), Version: 1}}, &out)
		}
	}
	require.Len(t, d.frozen, 1000+1+4-passed)
	for _, path := range paths {
		zxid++
		tr.Apply(&txn.Txn{Header: txn.Header{Zxid: zxid, Type: wire.OpDelete}, Body: &txn.Delete{Path: path}}, &out)
	}
	require.Len(t, d.frozen, 1000+1+4-passed)
	for had := 0; len(images) > had; {
		had = len(images)
		images = d.Next(images, 4096)
	}
	require.Empty(t, d.frozen)
	require.Len(t, images, 1000+1+4)
	for _, img := range images[5:] {
		require.Equal(t, make([]byte, 100), img.Data)
	}
	requireConsistent(t, tr)
}

// A snapshot as Apache's server writes it, node by node while transactions go on, and the log from its beginning give the tree
// of the log's end.
func TestFuzzySnapshotAndReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &generator{model: newModel(true), plain: true}
		step := func(n int) (log []txn.Txn, moments []*model) {
			for range n {
				x, _ := g.next(t)
				log, moments = append(log, x), append(moments, g.model.clone())
			}
			return log, moments
		}
		step(rapid.IntRange(0, 30).Draw(t, "before"))
		begin := g.model.clone()
		log, moments := step(rapid.IntRange(1, 40).Draw(t, "meanwhile"))
		f := &fuzzy{t: t, moments: append([]*model{begin}, moments...), loader: NewLoader(Options{Extended: true})}
		f.write()
		tr, err := f.loader.Tree(begin.zxid)
		require.NoError(t, err)

		var out Result
		for i := range log {
			tr.Apply(&log[i], &out)
		}
		require.NoError(t, tr.CheckACLs())
		requireConsistent(t, tr)
		for path, n := range g.model.nodes { // usage is only about right then, as in Apache's server
			if strings.HasSuffix(path, "/zookeeper_stats") && tr.Node(path) != nil {
				n.data = tr.Node(path).Data()
			}
		}
		requireModel(t, g.model, tr)
	})
}

// fuzzy writes a snapshot while time passes: moments[0] is when it begins.
type fuzzy struct {
	t       *rapid.T
	moments []*model
	loader  *Loader
}

func (f *fuzzy) now() *model {
	for len(f.moments) > 1 && rapid.IntRange(0, 3).Draw(f.t, "time passes") == 0 {
		f.moments = f.moments[1:]
	}
	return f.moments[0]
}

func (f *fuzzy) write() {
	for id, timeout := range f.now().sessions {
		f.loader.Session(id, timeout)
	}
	known := make(map[int]bool)
	for _, n := range f.now().nodes {
		known[listID(n.acl)] = true
	}
	for id := range lists {
		if known[id] && id > 0 {
			f.loader.ACL(int64(id), lists[id])
		}
	}
	f.node("/")
}

// node writes the node as it is now, and then whichever of the children it has now are still there when their turn comes.
func (f *fuzzy) node(path string) {
	m := f.now()
	n := m.nodes[path]
	if n == nil {
		return
	}
	img := Image{Path: strings.TrimSuffix(path, "/"), Data: n.data, ACL: int64(listID(n.acl)), Stat: n.stat}
	if img.ACL == 0 {
		img.ACL = OpenACLID
	}
	require.NoError(f.t, f.loader.Node(img))
	for _, name := range m.children(path) {
		f.node(znode.Join(path, name))
	}
}

func listID(acl []znode.ACL) int {
	encoded := znode.AppendACLs(nil, acl)
	for i := range lists {
		if bytes.Equal(encoded, znode.AppendACLs(nil, lists[i])) {
			return i
		}
	}
	panic("an ACL the generator does not draw")
}

func TestLoaderRefuses(t *testing.T) {
	for name, paths := range map[string][]string{
		"no root":         {},
		"second root":     {"", "/"},
		"missing parent":  {"", "/a/b"},
		"twice":           {"", "/a", "/a"},
		"no slash":        {"", "a"},
		"trailing slash":  {"", "/a", "/a/"},
		"before the root": {"/a"},
	} {
		l := NewLoader(Options{})
		var err error
		for _, path := range paths {
			if err == nil {
				err = l.Node(Image{Path: path, ACL: OpenACLID})
			}
		}
		if err == nil {
			_, err = l.Tree(1)
		}
		require.ErrorIs(t, err, ErrBadImage, name)
	}
}

func TestLoaderCompletes(t *testing.T) {
	l := NewLoader(Options{})
	l.ACL(3, lists[1])
	l.ACL(4, lists[2])
	l.ACL(OpenACLID, lists[1])
	require.NoError(t, l.Node(Image{Path: "/", ACL: OpenACLID}))
	require.NoError(t, l.Node(Image{Path: "/a", ACL: 3}))
	require.NoError(t, l.Node(Image{Path: "/b", ACL: 9}))
	s := &steps{t: t}
	var err error
	s.tree, err = l.Tree(5)
	require.NoError(t, err)
	require.NotNil(t, s.tree.Node("/zookeeper/config"), "an old snapshot has none")
	require.Len(t, s.tree.acls.entries, 2, "nobody has the ACL 4, and /zookeeper/config has 3")
	require.Equal(t, lists[0], s.tree.Node("/").ACL())

	require.Nil(t, s.tree.Node("/b").ACL())
	err = s.tree.CheckACLs()
	require.ErrorIs(t, err, ErrNoACL)
	require.ErrorContains(t, err, "/b ")
	s.do(wire.OpCreate, &txn.Create{Path: "/b", ACL: lists[2], ParentCversion: 1})
	require.NoError(t, s.tree.CheckACLs())
	require.Equal(t, int64(10), s.tree.Node("/b").acl.id, "an id that was once mentioned is not given out again")
}
