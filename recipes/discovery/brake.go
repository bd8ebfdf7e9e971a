package discovery

import (
	"cmp"
	"maps"
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

	present map[string]*Entry[T] // by path
	missing []*Entry[T]          // by Lost, oldest first
	kept    bool
}

// added tells that an instance is registered, or has changed.
func (b *brake[T]) added(e *Entry[T]) {
	_, known := b.present[e.Path]
	b.present[e.Path] = e
	if known || len(b.missing) == 0 {
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
	e, ok := b.present[path]
	delete(b.present, path)
	if !ok || b.share >= 1 || !e.Available() {
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

// listed returns what there is, and what is kept, by path.
func (b *brake[T]) listed() []*Entry[T] {
	all := slices.AppendSeq(make([]*Entry[T], 0, len(b.present)+len(b.missing)), maps.Values(b.present))
	if b.kept {
		all = append(all, b.missing...)
	}
	slices.SortFunc(all, func(a, b *Entry[T]) int { return cmp.Compare(a.Path, b.Path) })
	return all
}
