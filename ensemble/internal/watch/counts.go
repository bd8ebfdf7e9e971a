package watch

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
)

// A Summary is what the command wchs shows. Like wchc and wchp it leaves out the child table, as in Apache's server.
type Summary struct {
	Conns   int // connections that watch data
	Paths   int // paths whose data is watched
	Watches int // pairs of these
}

// Summary counts the data table. It takes constant time.
func (t *Table) Summary() Summary {
	return Summary{Conns: t.dataConns, Paths: t.dataPaths, Watches: t.data}
}

// Count is the number of watches: pairs of a connection and a path, counted in each of the two tables.
func (t *Table) Count() int { return t.data + t.child }

// CountOf is the number of paths conn watches, in whatever ways. It takes constant time.
func (t *Table) CountOf(conn request.ConnID) int {
	if w := t.conns[conn]; w != nil {
		return len(w.refs)
	}
	return 0
}

// ByConn are the connections in the data table, in order, each with the paths it watches, sorted: what wchc shows.
func (t *Table) ByConn() iter.Seq2[request.ConnID, []string] {
	return func(yield func(request.ConnID, []string) bool) {
		for _, id := range slices.Sorted(maps.Keys(t.conns)) {
			var paths []string
			for _, r := range t.conns[id].refs {
				if r.at.marks[r.pos].bits&inData != 0 {
					paths = append(paths, r.at.path)
				}
			}
			slices.Sort(paths)
			if paths != nil && !yield(id, paths) {
				return
			}
		}
	}
}

// ByPath are the paths in the data table, sorted, each with the connections that watch it, in order: what wchp shows.
func (t *Table) ByPath() iter.Seq2[string, []request.ConnID] {
	return func(yield func(string, []request.ConnID) bool) {
		for _, path := range slices.Sorted(maps.Keys(t.spots)) {
			s := t.spots[path]
			if s.data == 0 {
				continue
			}
			ids := make([]request.ConnID, 0, s.data)
			for _, m := range s.marks {
				if m.bits&inData != 0 {
					ids = append(ids, m.who.id)
				}
			}
			slices.Sort(ids)
			if !yield(path, ids) {
				return
			}
		}
	}
}

// All are all watches, sorted by path and then by connection, each with the ways in which that connection watches that path.
func (t *Table) All() iter.Seq[Watch] {
	return func(yield func(Watch) bool) {
		for _, path := range slices.Sorted(maps.Keys(t.spots)) {
			marks := slices.SortedFunc(slices.Values(t.spots[path].marks), func(a, b mark) int { return cmp.Compare(a.who.id, b.who.id) })
			for _, m := range marks {
				if !yield(Watch{Conn: m.who.id, Path: path, Kinds: m.bits}) {
					return
				}
			}
		}
	}
}

// A Watch is a connection that watches a path, in one or several ways.
type Watch struct {
	Conn  request.ConnID
	Path  string
	Kinds Kind // bits
}
