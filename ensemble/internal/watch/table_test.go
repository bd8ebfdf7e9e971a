package watch

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// notice is what one connection is told.
type notice struct {
	conn  request.ConnID
	event znode.EventType
	path  string
}

func (n notice) String() string { return fmt.Sprintf("%d:%v(%s)", n.conn, n.event, n.path) }

func fire(t *Table, event znode.EventType, path string) (told []notice) {
	t.Fire(event, path, func(conn request.ConnID, event znode.EventType, path string) {
		told = append(told, notice{conn, event, path})
	})
	return told
}

func said(told []notice) string {
	var words []string
	for _, n := range told {
		words = append(words, n.String())
	}
	return strings.Join(words, " ")
}

// What each kind of watch hears of each change, and whether it is there afterwards.
func TestWhatFires(t *testing.T) {
	const here, below = "/a", "/a/b"
	for _, c := range []struct {
		kind  Kind
		at    string
		event znode.EventType
		path  string
		told  string
		stays bool
	}{
		{Data, here, znode.EventCreated, here, "1:NodeCreated(/a)", false},
		{Data, here, znode.EventDataChanged, here, "1:NodeDataChanged(/a)", false},
		{Data, here, znode.EventDeleted, here, "1:NodeDeleted(/a)", false},
		{Data, here, znode.EventCreated, below, "", true},
		{Data, here, znode.EventDataChanged, below, "", true},
		{Child, here, znode.EventCreated, here, "", true},
		{Child, here, znode.EventDataChanged, here, "", true},
		{Child, here, znode.EventDeleted, here, "1:NodeDeleted(/a)", false},
		{Child, here, znode.EventCreated, below, "1:NodeChildrenChanged(/a)", false},
		{Child, here, znode.EventDeleted, below, "1:NodeChildrenChanged(/a)", false},
		{Child, here, znode.EventDataChanged, below, "", true},
		{Child, here, znode.EventCreated, "/a/b/c", "", true},
		{Child, "/", znode.EventCreated, here, "1:NodeChildrenChanged(/)", false},
		{Persistent, here, znode.EventCreated, here, "1:NodeCreated(/a)", true},
		{Persistent, here, znode.EventDataChanged, here, "1:NodeDataChanged(/a)", true},
		{Persistent, here, znode.EventDeleted, here, "1:NodeDeleted(/a)", true},
		{Persistent, here, znode.EventDeleted, below, "1:NodeChildrenChanged(/a)", true},
		{Persistent, here, znode.EventDataChanged, below, "", true},
		{Recursive, here, znode.EventCreated, here, "1:NodeCreated(/a)", true},
		{Recursive, here, znode.EventCreated, "/a/b/c", "1:NodeCreated(/a/b/c)", true},
		{Recursive, here, znode.EventDeleted, below, "1:NodeDeleted(/a/b)", true},
		{Recursive, "/", znode.EventDataChanged, below, "1:NodeDataChanged(/a/b)", true},
		{Recursive, "/", znode.EventDataChanged, "/", "1:NodeDataChanged(/)", true},
		{Recursive, here, znode.EventCreated, "/ab", "", true},
		{Data | Child | Persistent | Recursive, here, znode.EventDeleted, here, "1:NodeDeleted(/a)", true},
		{Data | Child | Persistent | Recursive, here, znode.EventCreated, below, "1:NodeCreated(/a/b) 1:NodeChildrenChanged(/a)", true},
	} {
		table := New()
		for k := Data; k <= Recursive; k <<= 1 {
			if c.kind&k != 0 {
				table.Add(1, c.at, k)
			}
		}
		name := fmt.Sprintf("kind %d at %s, %v of %s", c.kind, c.at, c.event, c.path)
		require.Equal(t, c.told, said(fire(table, c.event, c.path)), name)
		require.Equal(t, c.stays, table.Has(1, c.at, wire.WatcherAny), name)
	}
}

// Of one change: first the data table, from the node upwards, then the child table at the node, then at the parent; and in each
// place in the order in which they came.
func TestOrderOfNotices(t *testing.T) {
	table := New()
	table.Add(9, "/", Recursive)
	table.Add(8, "/a", Child)
	table.Add(7, "/a/b", Child)
	table.Add(6, "/a/b", Data)
	table.Add(5, "/a", Recursive)
	table.Add(4, "/a/b", Recursive)
	table.Add(3, "/a/b", Persistent)
	require.Equal(t, "6:NodeDeleted(/a/b) 4:NodeDeleted(/a/b) 3:NodeDeleted(/a/b) 5:NodeDeleted(/a/b) 9:NodeDeleted(/a/b) "+
		"7:NodeDeleted(/a/b) 8:NodeChildrenChanged(/a)", said(fire(table, znode.EventDeleted, "/a/b")))
}

// A watch told once is gone even for those the change's first step had told already.
func TestSuppressedWatchesAreConsumed(t *testing.T) {
	table := New()
	table.Add(1, "/a", Recursive)
	table.Add(1, "/a", Data)
	table.Add(1, "/a", Child)
	require.Equal(t, "1:NodeDeleted(/a)", said(fire(table, znode.EventDeleted, "/a")))
	require.False(t, table.Has(1, "/a", wire.WatcherData))
	require.False(t, table.Has(1, "/a", wire.WatcherChildren))
	require.True(t, table.Has(1, "/a", wire.WatcherPersistentRecursive))
}

func TestPathsAreNotInterpreted(t *testing.T) {
	table := New()
	table.Add(1, "", Data)
	table.Add(1, "relative", Data)
	table.Add(1, "/a/", Child)
	require.Empty(t, fire(table, znode.EventDataChanged, "/"))
	require.Empty(t, fire(table, znode.EventCreated, "/a/b"))
	require.Equal(t, "1:NodeDataChanged(relative)", said(fire(table, znode.EventDataChanged, "relative")))
	require.False(t, table.Has(1, "/a/", wire.WatcherType(99)))
}

// model is the two tables as the protocol describes them: sets, and nothing that makes them fast.
type model struct {
	data, child map[modelKey]map[string]bool // which of "standard", "persistent", "recursive"
}

type modelKey struct {
	path string
	conn request.ConnID
}

func newModel() *model {
	return &model{data: map[modelKey]map[string]bool{}, child: map[modelKey]map[string]bool{}}
}

func put(table map[modelKey]map[string]bool, k modelKey, mode string) {
	if table[k] == nil {
		table[k] = map[string]bool{}
	}
	table[k][mode] = true
}

func (m *model) add(conn request.ConnID, path string, kind Kind) {
	k := modelKey{path, conn}
	switch kind {
	case Data:
		put(m.data, k, "standard")
	case Child:
		put(m.child, k, "standard")
	case Persistent:
		put(m.data, k, "persistent")
		put(m.child, k, "persistent")
	case Recursive:
		put(m.data, k, "recursive")
	}
}

func (m *model) remove(conn request.ConnID, path string, typ wire.WatcherType, really bool) bool {
	k := modelKey{path, conn}
	found := false
	take := func(table map[modelKey]map[string]bool, mode string) {
		if table[k][mode] {
			found = true
			if really {
				if delete(table[k], mode); len(table[k]) == 0 {
					delete(table, k)
				}
			}
		}
	}
	switch typ {
	case wire.WatcherChildren:
		take(m.child, "standard")
	case wire.WatcherData:
		take(m.data, "standard")
	case wire.WatcherPersistent:
		take(m.data, "persistent")
		take(m.child, "persistent")
	case wire.WatcherPersistentRecursive:
		take(m.data, "recursive")
	case wire.WatcherAny:
		for _, mode := range []string{"standard", "persistent", "recursive"} {
			take(m.data, mode)
			take(m.child, mode)
		}
	}
	return found
}

func (m *model) drop(conn request.ConnID) {
	for _, table := range []map[modelKey]map[string]bool{m.data, m.child} {
		for k := range table {
			if k.conn == conn {
				delete(table, k)
			}
		}
	}
}

// fire returns the three steps' notices, each a set.
func (m *model) fire(event znode.EventType, path string) (steps [3]map[notice]bool) {
	at := func(table map[modelKey]map[string]bool, p string, modes ...string) (conns []request.ConnID) {
		for k, have := range table {
			if k.path != p {
				continue
			}
			if slices.ContainsFunc(modes, func(mode string) bool { return have[mode] }) {
				conns = append(conns, k.conn)
			}
			if slices.Contains(modes, "standard") && have["standard"] {
				if delete(have, "standard"); len(have) == 0 {
					delete(table, k)
				}
			}
		}
		return conns
	}
	for i := range steps {
		steps[i] = map[notice]bool{}
	}
	for _, conn := range at(m.data, path, "standard", "persistent", "recursive") {
		steps[0][notice{conn, event, path}] = true
	}
	for p := path; p != "/"; {
		p = modelParent(p)
		for _, conn := range at(m.data, p, "recursive") {
			steps[0][notice{conn, event, path}] = true
		}
	}
	if event == znode.EventDeleted {
		for _, conn := range at(m.child, path, "standard", "persistent") {
			if n := (notice{conn, event, path}); !steps[0][n] {
				steps[1][n] = true
			}
		}
	}
	if event != znode.EventDataChanged {
		above := modelParent(path)
		for _, conn := range at(m.child, above, "standard", "persistent") {
			steps[2][notice{conn, znode.EventChildrenChanged, above}] = true
		}
	}
	return steps
}

func modelParent(path string) string {
	if i := strings.LastIndex(path, "/"); i > 0 {
		return path[:i]
	}
	return "/"
}

func TestTableAgreesWithModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, m := New(), newModel()
		conns := rapid.Uint64Range(1, rapid.SampledFrom([]uint64{3, 80}).Draw(t, "connections"))
		paths := rapid.SampledFrom([]string{"/", "/a", "/a/b", "/a/b/c", "/ab", "/zookeeper"})
		events := rapid.SampledFrom([]znode.EventType{znode.EventCreated, znode.EventDeleted, znode.EventDataChanged})
		types := rapid.SampledFrom([]wire.WatcherType{1, 2, 3, 4, 5})
		for step := range rapid.IntRange(1, 200).Draw(t, "steps") {
			conn, path := request.ConnID(conns.Draw(t, "conn")), paths.Draw(t, "path")
			switch rapid.IntRange(0, 11).Draw(t, "call") {
			default:
				kind := rapid.SampledFrom([]Kind{Data, Child, Persistent, Recursive}).Draw(t, "kind")
				table.Add(conn, path, kind)
				m.add(conn, path, kind)
			case 0:
				event := events.Draw(t, "event")
				if path == "/" {
					event = znode.EventDataChanged
				}
				requireSteps(t, m.fire(event, path), fire(table, event, path))
			case 1, 2:
				typ := types.Draw(t, "type")
				require.Equal(t, m.remove(conn, path, typ, true), table.Remove(conn, path, typ))
			case 3:
				typ := types.Draw(t, "type")
				require.Equal(t, m.remove(conn, path, typ, false), table.Has(conn, path, typ))
			case 4:
				table.Drop(conn)
				m.drop(conn)
			}
			if step%16 == 0 {
				requireCounts(t, m, table)
				requireConsistent(t, table)
			}
		}
		requireCounts(t, m, table)
		requireConsistent(t, table)
	})
}

// requireSteps checks that told is the steps' sets one after the other.
func requireSteps(t require.TestingT, steps [3]map[notice]bool, told []notice) {
	for _, want := range steps {
		require.GreaterOrEqual(t, len(told), len(want))
		got := map[notice]bool{}
		for _, n := range told[:len(want)] {
			got[n] = true
		}
		require.Equal(t, want, got)
		told = told[len(want):]
	}
	require.Empty(t, told)
}

func requireCounts(t require.TestingT, m *model, table *Table) {
	byConn, byPath := map[request.ConnID][]string{}, map[string][]request.ConnID{}
	for k := range m.data {
		byConn[k.conn] = append(byConn[k.conn], k.path)
		byPath[k.path] = append(byPath[k.path], k.conn)
	}
	require.Equal(t, Summary{Conns: len(byConn), Paths: len(byPath), Watches: len(m.data)}, table.Summary())
	require.Equal(t, len(m.data)+len(m.child), table.Count())

	var lastConn request.ConnID
	conns, paths := 0, 0
	for conn, list := range table.ByConn() {
		require.Greater(t, conn, lastConn)
		slices.Sort(byConn[conn])
		require.Equal(t, byConn[conn], list)
		lastConn = conn
		conns++
	}
	lastPath := ""
	for path, list := range table.ByPath() {
		require.Greater(t, path, lastPath)
		slices.Sort(byPath[path])
		require.Equal(t, byPath[path], list)
		lastPath = path
		paths++
	}
	require.Equal(t, len(byConn), conns)
	require.Equal(t, len(byPath), paths)
}

// requireConsistent checks the references between marks, watchers and the indexes of crowds, and that nothing empty is left.
func requireConsistent(t require.TestingT, table *Table) {
	marks, crowded := 0, 0
	for path, s := range table.spots {
		require.Equal(t, path, s.path)
		require.NotEmpty(t, s.marks)
		for i, mk := range s.marks {
			require.NotZero(t, mk.bits)
			require.Equal(t, ref{at: s, pos: int32(i)}, mk.who.refs[mk.back])
			require.Same(t, mk.who, table.conns[mk.who.id])
		}
		marks += len(s.marks)
		if len(s.marks) > crowd {
			crowded++
			require.Len(t, table.crowds[s], len(s.marks))
		}
	}
	require.Len(t, table.crowds, crowded)
	refs := 0
	for _, w := range table.conns {
		require.NotEmpty(t, w.refs)
		refs += len(w.refs)
	}
	require.Equal(t, marks, refs)
}

// The same calls give the same notices in the same order, crowds included.
func TestOrderIsReproducible(t *testing.T) {
	run := func() (all []notice) {
		table := New()
		for i := range 2000 {
			table.Add(request.ConnID(i*7919%500), fmt.Sprintf("/%d", i%3), Kind(1<<(i%4)))
			if i%50 == 0 {
				all = append(all, fire(table, znode.EventDeleted, "/1")...)
				table.Drop(request.ConnID(i % 500))
			}
		}
		return all
	}
	require.Equal(t, run(), run())
}

func TestAll(t *testing.T) {
	table := New()
	for _, w := range []Watch{{2, "/b", Data}, {2, "/b", Recursive}, {1, "/b", Child}, {3, "/a", Persistent}, {3, "/c", Data}} {
		table.Add(w.Conn, w.Path, w.Kinds)
	}
	table.Drop(3)
	table.Add(3, "/a", Child)
	require.Equal(t, []Watch{{3, "/a", Child}, {1, "/b", Child}, {2, "/b", Data | Recursive}}, slices.Collect(table.All()))
	for range table.All() {
		break // nobody minds
	}
	require.Empty(t, slices.Collect(New().All()))
}
