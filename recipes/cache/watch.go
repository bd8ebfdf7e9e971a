package cache

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
)

// Kind says what a change is.
type Kind int

// The kinds of changes. The last two are about the whole mirror, and have no node.
const (
	Added   Kind = iota + 1 // the node is there
	Changed                 // its data, or what can be read of it
	Removed                 // it is not there any more
	Current                 // everything is known, at first and after each outage
	Stale                   // changes may be missed from now on, until the next Current
)

// String returns the kind in a word.
func (k Kind) String() string {
	if k < Added || k > Stale {
		return fmt.Sprintf("kind %d", int(k))
	}
	return [...]string{"added", "changed", "removed", "current", "stale"}[k-Added]
}

// Change is the difference between what a loop was told of a path before, and what is there.
type Change struct {
	Kind Kind
	Path string
	Old  Node // before, of Changed and Removed
	New  Node // now, of Added and Changed
}

// watcher is what a loop over changes has not been told yet.
type watcher struct {
	more    chan struct{}    // holds one token when there is something
	pending map[string]*Node // what the loop knows of the paths that have changed: nil if it knows of no node
	kinds   []Kind           // Current or Stale, if it has become so: the last is what is
}

// Watch yields what there is, as Added, and then what changes. A loop that is slower than the changes is told the difference to what it knows:
// Removed and Added for a node that was replaced, nothing for one that came and went. Where Current stands between the changes, all that was
// before it was told. The loop ends with ctx, or when the mirror has ended.
func (m *Cache) Watch(ctx context.Context) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		for batch := range m.WatchBatches(ctx) {
			for _, change := range batch {
				if !yield(change) {
					return
				}
			}
		}
	}
}

// WatchBatches is Watch for who would rather be told at once of all that there is to tell at a moment. A batch has each path at most once, or
// twice for a node that was replaced, and belongs to who gets it. It is never empty.
func (m *Cache) WatchBatches(ctx context.Context) iter.Seq[[]Change] {
	return func(yield func([]Change) bool) {
		w := m.enter()
		defer m.leave(w)
		for {
			if batch := m.take(w); len(batch) > 0 && !yield(batch) {
				return
			}
			select {
			case <-w.more:
			case <-ctx.Done():
				return
			case <-m.done:
				if batch := m.take(w); len(batch) > 0 {
					yield(batch)
				}
				return
			}
		}
	}
}

// enter begins to collect for a loop, with all there is.
func (m *Cache) enter() *watcher {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := &watcher{more: make(chan struct{}, 1), pending: make(map[string]*Node)}
	for n := range m.All() {
		w.pending[n.Path] = nil
	}
	w.kinds = []Kind{Current}
	if !m.staleSince.IsZero() {
		w.kinds[0] = Stale
	}
	m.watchers[w] = struct{}{}
	return w
}

func (m *Cache) leave(w *watcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.watchers, w)
}

// note has the loops told that a path has changed, where there was an old node, or none. The caller holds mu.
func (m *Cache) note(path string, old *Node) {
	for w := range m.watchers {
		if _, known := w.pending[path]; !known {
			w.pending[path] = old
		}
		w.wake()
	}
}

// tell has the loops told what has become of the whole. The caller holds mu.
func (m *Cache) tell(k Kind) {
	for w := range m.watchers {
		w.kinds = append(w.kinds[:0], k)
		w.wake()
	}
}

func (w *watcher) wake() {
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// take returns what a loop is to be told: what is gone, children before their parents, then what is there, parents before their children.
func (m *Cache) take(w *watcher) []Change {
	m.mu.Lock()
	defer m.mu.Unlock()
	var gone, there []Change
	for path, old := range w.pending {
		now, ok := m.Get(path)
		switch {
		case old == nil && ok:
			there = append(there, Change{Kind: Added, Path: path, New: now})
		case old == nil:
		case !ok:
			gone = append(gone, Change{Kind: Removed, Path: path, Old: *old})
		case old.Stat.Czxid != now.Stat.Czxid && old.Err == nil && now.Err == nil:
			gone = append(gone, Change{Kind: Removed, Path: path, Old: *old})
			there = append(there, Change{Kind: Added, Path: path, New: now})
		default:
			there = append(there, Change{Kind: Changed, Path: path, Old: *old, New: now})
		}
	}
	clear(w.pending)
	slices.SortFunc(gone, func(a, b Change) int { return cmp.Compare(b.Path, a.Path) })
	slices.SortFunc(there, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	changes := append(gone, there...)
	for _, k := range w.kinds {
		changes = append(changes, Change{Kind: k, Path: m.path})
	}
	w.kinds = nil
	return changes
}
