package discovery

import (
	"cmp"
	"slices"
	"time"
)

// brake keeps instances that are gone, when too many of them went at once. It is a machine: time is an argument.
//
// There are three sets, which do not meet: present are those that are registered; missing are those that went lately, without having said so
// by a status before, and in whose place no other has come since; of these some are kept, all or none. They are kept while they are more
// than share of present and missing together, and at least two. A missing one is forgotten when it was missing for window if it is not
// kept, and for hold if it is.
type brake[T any] struct {
	share  float64
	window time.Duration
	hold   time.Duration

	present []*Entry[T] // by path
	missing []*Entry[T] // by Lost, oldest first
	kept    bool
}

// find returns the place of a path among those that are present, and whether it is.
func (b *brake[T]) find(path string) (int, bool) {
	return slices.BinarySearchFunc(b.present, path, func(e *Entry[T], path string) int { return cmp.Compare(e.Path, path) })
}

// added tells that an instance is registered, or has changed.
func (b *brake[T]) added(e *Entry[T]) {
	at, known := b.find(e.Path)
	if known {
		b.present[at] = e
		return
	}
	b.present = slices.Insert(b.present, at, e)
	if len(b.missing) == 0 {
		return
	}
	i := slices.IndexFunc(b.missing, func(m *Entry[T]) bool { return m.Path == e.Path }) // it has come again
	if i < 0 {
		i = slices.IndexFunc(b.missing, func(m *Entry[T]) bool { return reachedAs(m, e) }) // under another name
	}
	b.missing = slices.Delete(b.missing, max(i, 0), max(i, 0)+1) // or another in place of the oldest
}

func reachedAs[T any](a, b *Entry[T]) bool {
	return a.Address != "" && a.Address == b.Address && a.Port == b.Port && a.TLSPort == b.TLSPort
}

// removed tells that an instance is not registered any more.
func (b *brake[T]) removed(path string, now time.Time) {
	at, ok := b.find(path)
	if !ok {
		return
	}
	e := b.present[at]
	b.present = slices.Delete(b.present, at, at+1)
	if b.share >= 1 || !e.Available() {
		return
	}
	lost := *e
	lost.Lost = now
	b.missing = append(b.missing, &lost)
}

// settle decides what is kept, and returns when to ask again though nothing has happened; the zero time if never.
func (b *brake[T]) settle(now time.Time) time.Time {
	for len(b.missing) > 0 {
		b.kept = len(b.missing) >= 2 && float64(len(b.missing)) > b.share*float64(len(b.present)+len(b.missing))
		until := b.missing[0].Lost.Add(b.patience())
		if until.After(now) {
			return until
		}
		b.missing = b.missing[1:]
	}
	b.kept = false
	return time.Time{}
}

func (b *brake[T]) patience() time.Duration {
	if b.kept {
		return b.hold
	}
	return b.window
}

// listed returns what there is, and what is kept, by path. It belongs to the caller.
func (b *brake[T]) listed() []*Entry[T] {
	if !b.kept {
		return slices.Clone(b.present)
	}
	all := slices.Concat(b.present, b.missing)
	slices.SortFunc(all, func(a, b *Entry[T]) int { return cmp.Compare(a.Path, b.Path) })
	return all
}
