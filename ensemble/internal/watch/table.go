// Package watch knows who asked to be told of which changes. Registrations go in, changes go in, and out comes who is to be
// told what, in order; frames, sockets and permissions are others' business.
//
//	t := watch.New()
//	t.Add(conn, "/app/config", watch.Data)
//	t.Fire(znode.EventDataChanged, "/app/config", func(conn request.ConnID, event znode.EventType, path string) { … })
//
// The one idea: a watch is one bit. A connection that watches a path has one mark there, and the mark says by its bits in which
// ways; so a connection can never be told twice of one thing because it asked twice. Each mark knows its place among its
// connection's and each connection its marks' places among their paths', so both a change and a departure cost as much as
// they find.
//
// The model is that of version 3.9 (class WatchManager): two tables, data and children, and in them watches that are standard
// (told once), persistent (in both tables), and persistent recursive (in the data table, also for all below). A path may be
// watched in all ways at once, and need not exist.
//
// Order is never left to chance: who is told first depends on the calls alone. Nothing here locks; connections register
// while they read, so whoever shares a Table guards it.
package watch

import (
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A Kind is a way of watching a path; kinds are bits, since they can be combined.
type Kind uint8

// The kinds of watches.
const (
	Data       Kind = 1 << iota // told once of creation, deletion or new data; left by exists and getData
	Child                       // told once of deletion or of children coming and going; left by getChildren
	Persistent                  // both of these, every time; left by addWatch
	Recursive                   // of creation, deletion and new data here and below, every time; left by addWatch
)

// inData and inChild are the kinds each of the two tables holds.
const (
	inData  = Data | Persistent | Recursive
	inChild = Child | Persistent
)

// A Table is all watches of one server. Use [New] to make one.
type Table struct {
	spots     map[string]*spot
	conns     map[request.ConnID]*watcher
	crowds    map[*spot]map[*watcher]int32 // place of a watcher's mark, for spots with more than crowd marks
	round     uint64                       // of notices; a watcher told in a round is not told again in it
	recursive int                          // marks with the bit Recursive
	data      int                          // marks in the data table
	child     int                          // marks in the child table
	dataPaths int                          // spots with marks in the data table
	dataConns int                          // watchers with such marks
}

// spot is a path that somebody watches.
type spot struct {
	path  string
	marks []mark // never empty while the spot is in the table
	data  int32  // how many of them are in the data table
}

// mark says in which ways one watcher watches one spot.
type mark struct {
	who  *watcher
	back int32 // who.refs[back] refers to this mark
	bits Kind  // never 0
}

// watcher is a connection that watches something.
type watcher struct {
	id    request.ConnID
	refs  []ref
	data  int    // how many of them are in the data table
	round uint64 // in which it was last told
}

// ref is where one mark of a watcher is: at.marks[pos].
type ref struct {
	at  *spot
	pos int32
}

// crowd is the number of marks up to which a spot is searched from end to end.
const crowd = 32

// New returns an empty Table.
func New() *Table {
	return &Table{
		spots: make(map[string]*spot), conns: make(map[request.ConnID]*watcher), crowds: make(map[*spot]map[*watcher]int32),
	}
}

// Add registers a watch. Registering it again changes nothing. The path is taken as it is and kept.
func (t *Table) Add(conn request.ConnID, path string, kind Kind) {
	s := t.spots[path]
	if s == nil {
		s = &spot{path: path}
		t.spots[path] = s
	}
	w := t.conns[conn]
	if w == nil {
		w = &watcher{id: conn}
		t.conns[conn] = w
	}
	pos := t.find(s, w)
	if pos < 0 {
		pos = len(s.marks)
		s.marks = append(s.marks, mark{who: w, back: int32(len(w.refs))})
		w.refs = append(w.refs, ref{at: s, pos: int32(pos)})
		t.noteJoined(s, w, pos)
	}
	t.setBits(s, pos, s.marks[pos].bits|kind)
}

// Has reports whether conn has a watch at path of the type checkWatches asks for: any of either table for WatcherAny.
func (t *Table) Has(conn request.ConnID, path string, typ wire.WatcherType) bool {
	s, pos := t.mark(conn, path)
	return s != nil && s.marks[pos].bits&kinds(typ) != 0
}

// Remove takes away the watches of the type removeWatches asks for that conn has at path, and reports whether there were any.
func (t *Table) Remove(conn request.ConnID, path string, typ wire.WatcherType) bool {
	s, pos := t.mark(conn, path)
	if s == nil || s.marks[pos].bits&kinds(typ) == 0 {
		return false
	}
	t.setBits(s, pos, s.marks[pos].bits&^kinds(typ))
	if s.marks[pos].bits == 0 {
		t.erase(s, pos)
	}
	return true
}

// kinds are what a client means by a type of watcher.
func kinds(typ wire.WatcherType) Kind {
	switch typ {
	case wire.WatcherChildren:
		return Child
	case wire.WatcherData:
		return Data
	case wire.WatcherAny:
		return Data | Child | Persistent | Recursive
	case wire.WatcherPersistent:
		return Persistent
	case wire.WatcherPersistentRecursive:
		return Recursive
	}
	return 0
}

// Drop takes away all watches of conn: it has gone. It takes time in proportion to their number.
func (t *Table) Drop(conn request.ConnID) {
	w := t.conns[conn]
	if w == nil {
		return
	}
	for len(w.refs) > 0 {
		r := w.refs[len(w.refs)-1]
		t.setBits(r.at, int(r.pos), 0)
		t.erase(r.at, int(r.pos))
	}
}

// mark finds conn's mark at path; the spot is nil if there is none.
func (t *Table) mark(conn request.ConnID, path string) (*spot, int) {
	s, w := t.spots[path], t.conns[conn]
	if s == nil || w == nil {
		return nil, -1
	}
	pos := t.find(s, w)
	if pos < 0 {
		return nil, -1
	}
	return s, pos
}

// find is the place of w's mark at s, -1 if it has none.
func (t *Table) find(s *spot, w *watcher) int {
	if len(s.marks) > crowd {
		if pos, ok := t.crowds[s][w]; ok {
			return int(pos)
		}
		return -1
	}
	for i := range s.marks {
		if s.marks[i].who == w {
			return i
		}
	}
	return -1
}

// noteJoined keeps the index of a spot that is, or has just become, crowded.
func (t *Table) noteJoined(s *spot, w *watcher, pos int) {
	switch {
	case len(s.marks) > crowd+1:
		t.crowds[s][w] = int32(pos)
	case len(s.marks) == crowd+1:
		index := make(map[*watcher]int32, 2*crowd)
		for i := range s.marks {
			index[s.marks[i].who] = int32(i)
		}
		t.crowds[s] = index
	}
}

// setBits changes a mark and all counts with it. A mark left without bits has to be erased by the caller.
func (t *Table) setBits(s *spot, pos int, bits Kind) {
	m := &s.marks[pos]
	was := m.bits
	m.bits = bits
	t.recursive += has(bits, Recursive) - has(was, Recursive)
	t.child += has(bits, inChild) - has(was, inChild)
	switch has(bits, inData) - has(was, inData) {
	case 1:
		t.data++
		if s.data++; s.data == 1 {
			t.dataPaths++
		}
		if m.who.data++; m.who.data == 1 {
			t.dataConns++
		}
	case -1:
		t.data--
		if s.data--; s.data == 0 {
			t.dataPaths--
		}
		if m.who.data--; m.who.data == 0 {
			t.dataConns--
		}
	}
}

// has is 1 if bits has any of kinds, otherwise 0.
func has(bits, kinds Kind) int {
	if bits&kinds != 0 {
		return 1
	}
	return 0
}

// erase takes a mark without bits out of its spot and out of its watcher; the last of each takes its place. What is left empty
// goes too.
func (t *Table) erase(s *spot, pos int) {
	w, back := s.marks[pos].who, s.marks[pos].back

	last := len(w.refs) - 1
	moved := w.refs[last]
	w.refs[back] = moved
	moved.at.marks[moved.pos].back = back
	w.refs[last] = ref{}
	if w.refs = w.refs[:last]; last == 0 {
		delete(t.conns, w.id)
	}

	index := t.crowds[s]
	delete(index, w)
	last = len(s.marks) - 1
	if pos != last {
		m := s.marks[last]
		s.marks[pos] = m
		m.who.refs[m.back].pos = int32(pos)
		if index != nil {
			index[m.who] = int32(pos)
		}
	}
	s.marks[last] = mark{}
	s.marks = s.marks[:last]
	switch last {
	case crowd:
		delete(t.crowds, s)
	case 0:
		delete(t.spots, s.path)
	}
}

// Fire tells of a change to the node at path: emit is called for every connection that watches it, in order, and must not use the
// Table. A connection is told of one event at one path at most once, and watches that are told once are gone afterwards. Of
// a creation or deletion those learn too who watch the children of the node above.
//
// The events a change makes, first to last: what happened to path, for the data table; a deletion again for the child table, to
// those not told yet; and children changed at the parent.
func (t *Table) Fire(change znode.EventType, path string, emit func(conn request.ConnID, event znode.EventType, path string)) {
	if len(t.spots) == 0 {
		return
	}
	t.round++
	t.tell(path, inData, Data, change, path, emit)
	if t.recursive > 0 {
		for above := path; above != znode.Root && above != ""; {
			above = parent(above)
			t.tell(above, Recursive, 0, change, path, emit)
		}
	}
	if change == znode.EventDataChanged {
		return
	}
	if change == znode.EventDeleted {
		t.tell(path, inChild, Child, change, path, emit)
	}
	above := parent(path)
	t.round++
	t.tell(above, inChild, Child, znode.EventChildrenChanged, above, emit)
}

// tell tells those who have one of kinds at a spot and have not been told in this round, and takes the bit once away from all.
func (t *Table) tell(
	at string, kinds, once Kind, event znode.EventType, path string,
	emit func(request.ConnID, znode.EventType, string),
) {
	s := t.spots[at]
	if s == nil {
		return
	}
	for i := range s.marks {
		if m := &s.marks[i]; m.bits&kinds != 0 && m.who.round != t.round {
			m.who.round = t.round
			emit(m.who.id, event, path)
		}
	}
	if once == 0 {
		return
	}
	for i := len(s.marks) - 1; i >= 0; i-- { // from the end, so that most often none has to move
		if bits := s.marks[i].bits; bits&once != 0 {
			if t.setBits(s, i, bits&^once); bits == once {
				t.erase(s, i)
			}
		}
	}
}

// parent is the path above: "/" above "/a" and above itself.
func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return znode.Root
}
