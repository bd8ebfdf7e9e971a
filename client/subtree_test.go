package client

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	subtreeRuns = flag.Int("subtree.runs", 500, "how many subtrees are followed in TestSubtreeFollows")
	subtreeFrom = flag.Uint64("subtree.from", 0, "the first one's seed")
)

// world is a tree as servers keep it, with the watches of one client, by maps and loops.
type world struct {
	zxid    int64
	nodes   map[string]Stat
	secret  map[string]bool // what must not be read
	watches map[watchKey]*signal
	fired   []*signal
	cut     bool // changes fire nothing: the client is not connected
}

func (w *world) fire(kind watchKind, path string) {
	if s := w.watches[watchKey{kind, path}]; s != nil && !w.cut {
		delete(w.watches, watchKey{kind, path})
		w.fired = append(w.fired, s)
	}
}

func (w *world) parent(path string) {
	p := parentOf(path)
	if stat, ok := w.nodes[p]; ok && path != "/" {
		stat.Pzxid = w.zxid
		w.nodes[p] = stat
		w.fire(watchChildren, p)
	}
}

func (w *world) below(path string) (names []string) {
	for p := range w.nodes {
		if p != path && parentOf(p) == path {
			names = append(names, p[strings.LastIndexByte(p, '/')+1:])
		}
	}
	return names
}

func (w *world) create(path string, owner int64) {
	w.zxid++
	w.nodes[path] = Stat{Czxid: w.zxid, Mzxid: w.zxid, EphemeralOwner: owner}
	w.fire(watchExists, path)
	w.parent(path)
}

func (w *world) set(path string) {
	w.zxid++
	stat := w.nodes[path]
	stat.Mzxid = w.zxid
	w.nodes[path] = stat
	w.fire(watchData, path)
	w.fire(watchExists, path)
}

func (w *world) delete(path string) {
	w.zxid++
	delete(w.nodes, path)
	delete(w.secret, path)
	for kind := range kinds {
		w.fire(kind, path)
	}
	w.parent(path)
}

// change does something to the tree below /r.
func (w *world) change(r *rand.Rand) {
	paths := slices.Sorted(maps.Keys(w.nodes))
	path := paths[r.IntN(len(paths))]
	switch r.IntN(9) {
	case 0, 1, 2, 3:
		child := Join(path, string(rune('a'+r.IntN(3))))
		if path == "/" {
			child = "/r"
		}
		if _, there := w.nodes[child]; !there && w.nodes[path].EphemeralOwner == 0 && strings.Count(child, "/") < 5 {
			w.create(child, int64(r.IntN(4)/3))
		}
	case 4, 5:
		if path != "/" {
			w.set(path)
		}
	case 6:
		if path != "/" && len(w.below(path)) == 0 {
			w.delete(path)
		}
	case 7:
		if path != "/" && len(w.below(path)) == 0 {
			old := w.nodes[path]
			w.delete(path)
			w.create(path, old.EphemeralOwner)
		}
	case 8:
		if path != "/" {
			w.renew(path)
		}
	}
}

// renew deletes a node and all below it, and makes them again.
func (w *world) renew(path string) {
	var below []string
	for p := range w.nodes {
		if strings.HasPrefix(p+"/", path+"/") {
			below = append(below, p)
		}
	}
	slices.Sort(below)
	owners := make([]int64, len(below))
	for i, p := range slices.Backward(below) {
		owners[i] = w.nodes[p].EphemeralOwner
		w.delete(p)
	}
	for i, p := range below {
		w.create(p, owners[i])
	}
}

// answer does a read, and sets its watch.
func (w *world) answer(l look) seen {
	r := seen{look: l}
	path := l.node.path
	if w.secret[path] && l.kind != watchExists {
		r.err = ErrNoAuth
		return r
	}
	r.stat, r.found = w.nodes[path]
	if l.kind == watchChildren && r.found {
		r.names = w.below(path)
	}
	if r.found || l.kind == watchExists {
		key := watchKey{l.kind, path}
		if w.watches[key] == nil {
			w.watches[key] = &signal{done: make(chan struct{})}
		}
		r.watch = &Watch{signal: w.watches[key]}
	}
	return r
}

// heard applies what was told, and makes sure that it can be so: also that nothing is told to be gone that is there.
func (w *world) heard(t *testing.T, known map[string]int64, c TreeChange) {
	t.Helper()
	_, there := known[c.Path]
	switch c.Kind {
	case TreeAdded:
		require.False(t, there, "%s is added twice", c.Path)
		if c.Path != "/r" {
			require.Contains(t, known, parentOf(c.Path), "the parent of %s comes first", c.Path)
		}
		known[c.Path] = c.Stat.Mzxid
	case TreeChanged:
		require.True(t, there, "%s is not there", c.Path)
		known[c.Path] = c.Stat.Mzxid
	case TreeRemoved:
		require.True(t, there, "%s is not there", c.Path)
		require.NotEqual(t, c.Stat.Czxid, w.nodes[c.Path].Czxid, "%s is there", c.Path)
		for p := range known {
			require.NotEqual(t, c.Path, parentOf(p), "%s goes before its parent", p)
		}
		delete(known, c.Path)
	}
}

// Whatever changes while reads are under way, watches are late or connections gone: in the end the told tree is the real one.
func TestSubtreeFollows(t *testing.T) {
	replaced := 0
	for i := range *subtreeRuns {
		seed := *subtreeFrom + uint64(i)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { replaced += followed(t, rand.New(rand.NewPCG(seed, 5))) })
	}
	require.Greater(t, replaced, *subtreeRuns)
}

func followed(t *testing.T, r *rand.Rand) (replaced int) {
	w := &world{nodes: map[string]Stat{"/": {}}, secret: map[string]bool{}, watches: map[watchKey]*signal{}}
	depth := r.IntN(5) - 1 // NodeOnly among them
	tree := newSubtree("/r", depth)
	known := map[string]int64{}
	var under []seen
	followers := map[*signal][]look{}
	current := 0
	again := func(all []*signal, reconnect bool) {
		for _, s := range all {
			for _, l := range followers[s] {
				tree.wake(l, s, reconnect)
			}
			delete(followers, s)
		}
	}
	step := func(choice int) {
		switch {
		case choice < 5 && len(tree.wants) > 0 && len(under) < 3:
			l := tree.wants[0]
			tree.wants = tree.wants[1:]
			if !l.node.gone {
				under = append(under, w.answer(l))
			}
		case choice < 9 && len(under) > 0:
			i := r.IntN(len(under)) // answers may be handled in any order
			read := under[i]
			under = slices.Delete(under, i, i+1)
			if n := tree.take(read); n != nil {
				s := read.watch.signal
				followers[s] = append(followers[s], look{n, read.look.kind})
				if w.watches[watchKey{read.look.kind, read.look.node.path}] != s && !slices.Contains(w.fired, s) {
					w.fired = append(w.fired, s) // it fired before it was followed
				}
			}
		case len(w.fired) > 0:
			s := w.fired[0]
			w.fired = w.fired[1:]
			again([]*signal{s}, false)
		case len(under) == 0 && len(w.fired) == 0 && tree.settle():
			current++
		}
		told := tree.told()
		for i, c := range told {
			w.heard(t, known, c)
			if c.Replaced {
				require.Less(t, i+1, len(told), "what is in the place of %s comes at once", c.Path)
				require.Equal(t, TreeAdded, told[i+1].Kind)
				require.Equal(t, c.Path, told[i+1].Path)
				replaced++
			}
		}
	}
	reconnect := func() {
		w.cut = false
		gone := slices.SortedFunc(maps.Keys(w.watches), func(a, b watchKey) int {
			return cmp.Or(strings.Compare(a.path, b.path), cmp.Compare(a.kind, b.kind))
		})
		r.Shuffle(len(gone), func(i, j int) { gone[i], gone[j] = gone[j], gone[i] })
		signals := make([]*signal, len(gone))
		for i, key := range gone {
			signals[i] = w.watches[key]
		}
		w.watches = map[watchKey]*signal{}
		for i, read := range under { // they are repeated
			under[i] = w.answer(read.look)
		}
		again(signals, true)
	}
	rest := func() {
		for range 20_000 {
			step(0)
			step(8)
			step(10)
			if len(under) == 0 && len(tree.wants) == 0 && len(w.fired) == 0 && !tree.stale {
				return
			}
		}
		t.Fatal("it does not come to rest")
	}
	mustBeTheSame := func() {
		t.Helper()
		want := map[string]int64{}
		for path, stat := range w.nodes {
			if path != "/" && (depth == 0 || strings.Count(path, "/") <= max(depth, 0)+1) {
				want[path] = stat.Mzxid
			}
		}
		require.Equal(t, want, known)
	}
	for range 300 {
		switch r.IntN(12) {
		case 0, 1, 2:
			w.change(r)
		case 3:
			if r.IntN(8) == 0 {
				w.cut = true
			}
		case 4:
			if w.cut {
				reconnect()
			}
		default:
			step(r.IntN(12))
		}
	}
	if w.cut {
		reconnect()
	}
	rest()
	mustBeTheSame()
	require.Positive(t, current)
	before := current
	w.cut = true
	for range 20 {
		w.change(r)
	}
	reconnect()
	rest()
	mustBeTheSame()
	if len(followers) > 0 {
		require.Greater(t, current, before, "and says so")
	}
	for n := range tree.root.all() {
		require.NotContains(t, n.looking, true, "nothing is wanted any more")
	}
	return replaced
}

// read does all reads that a subtree wants, and returns what it tells.
func (w *world) read(tree *subtree) (said []string) {
	for len(tree.wants) > 0 {
		l := tree.wants[0]
		tree.wants = tree.wants[1:]
		tree.take(w.answer(l))
	}
	tree.settle()
	for _, c := range tree.told() {
		said = append(said, fmt.Sprint(c.Kind, " ", c.Path))
		if c.Err != nil {
			said[len(said)-1] += fmt.Sprint(" ", c.Err)
		}
	}
	return said
}

// fire wakes a watch of a subtree's node.
func (t *subtree) fire(n *treeNode, kind watchKind) {
	t.wake(look{n, kind}, n.armed[kind].signal, false)
}

// A child that is seen before it is known that its parent is another one is told when its parent was.
func TestSubtreeTellsTheParentFirst(t *testing.T) {
	begin := func(paths ...string) (*world, *subtree) {
		w := &world{nodes: map[string]Stat{"/": {}}, watches: map[watchKey]*signal{}}
		for _, p := range paths {
			w.create(p, 0)
		}
		tree := newSubtree("/r", 0)
		require.Len(t, w.read(tree), len(paths)+1)
		return w, tree
	}
	t.Run("a child that was there", func(t *testing.T) {
		w, tree := begin("/r", "/r/a")
		w.renew("/r")
		tree.fire(tree.root.children["a"], watchData)
		require.Equal(t, []string{"removed /r/a", "removed /r", "added /r", "added /r/a"}, w.read(tree))
	})
	t.Run("a child that is new", func(t *testing.T) {
		w, tree := begin("/r")
		w.create("/r/a", 0)
		tree.fire(tree.root, watchChildren)
		tree.take(w.answer(tree.wants[0]))
		tree.wants = tree.wants[1:]
		require.Equal(t, "/r/a", tree.wants[0].node.path)
		w.renew("/r")
		require.Equal(t, []string{"removed /r", "added /r", "added /r/a"}, w.read(tree))
	})
	t.Run("and a list that is older", func(t *testing.T) {
		w, tree := begin("/r", "/r/a")
		w.create("/r/b", 0)
		tree.fire(tree.root, watchChildren)
		old := w.answer(tree.wants[0])
		tree.wants = nil
		w.renew("/r")
		tree.fire(tree.root.children["a"], watchData)
		require.Empty(t, w.read(tree), "nobody knows")
		tree.take(old)
		require.Equal(t, []string{"removed /r/a", "removed /r", "added /r", "added /r/a", "added /r/b"}, w.read(tree))
	})
	t.Run("the parent is the same", func(t *testing.T) {
		w, tree := begin("/r", "/r/a")
		w.renew("/r/a")
		tree.fire(tree.root.children["a"], watchData)
		require.Equal(t, []string{"removed /r/a", "added /r/a"}, w.read(tree))
	})
	t.Run("and does not say when it lived", func(t *testing.T) { // as of servers that have lost a Pzxid, ZOOKEEPER-3125
		w, tree := begin("/r", "/r/a")
		stat := w.nodes["/r"]
		w.renew("/r/a")
		w.nodes["/r"] = stat
		tree.fire(tree.root.children["a"], watchData)
		require.Equal(t, []string{"removed /r/a", "added /r/a"}, w.read(tree))
	})
	t.Run("or cannot be asked", func(t *testing.T) {
		w, tree := begin("/r", "/r/a")
		w.renew("/r/a")
		w.secret = map[string]bool{"/r": true}
		tree.fire(tree.root.children["a"], watchData)
		require.Equal(t, []string{"changed /r not authorised", "removed /r/a", "added /r/a"}, w.read(tree))
		w.renew("/r/a")
		tree.fire(tree.root.children["a"], watchData)
		require.Equal(t, []string{"removed /r/a", "added /r/a"}, w.read(tree), "it is told once")
	})
}

// A list that is older than a child, and is taken after it, does not take the child away.
func TestSubtreeTakesListsLate(t *testing.T) {
	w := &world{nodes: map[string]Stat{"/": {}}, watches: map[watchKey]*signal{}}
	w.create("/r", 0)
	w.create("/r/a", 0)
	tree := newSubtree("/r", 1)
	answer := func() seen {
		l := tree.wants[0]
		tree.wants = tree.wants[1:]
		return w.answer(l)
	}
	for len(tree.wants) > 0 {
		tree.take(answer())
	}
	require.Len(t, tree.told(), 2)
	known, list := tree.root.children["a"], tree.root.armed[watchChildren].signal
	data := known.armed[watchData].signal

	w.delete("/r/a")
	tree.wake(look{tree.root, watchChildren}, list, false)
	late := answer()
	require.Empty(t, late.names)
	w.create("/r/a", 0)
	w.set("/r")
	tree.wake(look{tree.root, watchData}, tree.root.armed[watchData].signal, false)
	tree.wake(look{known, watchData}, data, false)
	for len(tree.wants) > 0 {
		tree.take(answer()) // it is another one
	}
	changes := tree.told()
	require.Len(t, changes, 3)
	require.Equal(t, TreeChanged, changes[0].Kind, "of the directory, which was there when the child was")
	require.Equal(t, TreeRemoved, changes[1].Kind)
	require.Equal(t, TreeAdded, changes[2].Kind)
	tree.take(late)
	require.Empty(t, tree.told())
	require.Contains(t, w.fired, late.watch.signal, "and the next list is on its way")
}

// A node that must not be read is told once, is no reason to stop, and is read when it may be again.
func TestSubtreeOfSecrets(t *testing.T) {
	w := &world{nodes: map[string]Stat{"/": {}}, secret: map[string]bool{}, watches: map[watchKey]*signal{}}
	for _, p := range []string{"/r", "/r/a", "/r/a/x", "/r/b"} {
		w.create(p, 0)
	}
	w.secret["/r/a"] = true
	tree := newSubtree("/r", 0)
	require.Equal(t, []string{"added /r", "added /r/a not authorised", "added /r/b", "current /r"}, w.read(tree))
	delete(w.secret, "/r/a")
	tree.wake(look{tree.root, watchData}, tree.root.armed[watchData].signal, true)
	require.Equal(t, []string{"changed /r/a", "added /r/a/x", "current /r"}, w.read(tree))
}
