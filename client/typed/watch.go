package typed

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/bellwether-zk/bellwether/client"
)

// Watch follows the directory: it yields what there is, and then again after each change of a node's value and each coming and going. Changes
// that follow each other faster than the loop takes them are yielded together, but never is the last one left out; after a reconnect,
// in the same session or another, everything is read again and yielded if it differs. Each Listing is the loop's to keep and change.
//
// A node whose value cannot be had is in Listing.Bad and looked at again when it changes. One that may not be read cannot be watched
// either: it is looked at again when anything else in the directory has changed. An error of any other kind ends the loop and is the
// last thing yielded: ctx's cause, client.ErrClosed, client.ErrNoAuth for the directory itself, …
func (d *Directory[T]) Watch(ctx context.Context) iter.Seq2[Listing[T], error] {
	return func(yield func(Listing[T], error) bool) {
		v := &view[T]{d: d, bell: make(chan struct{}, 1), over: make(chan struct{})}
		defer v.close()
		for first := true; ; first = false {
			changed, err := v.refresh(ctx)
			if err != nil {
				yield(Listing[T]{}, err)
				return
			}
			if (first || changed) && !yield(listing(v.entries), nil) {
				return
			}
			select {
			case <-v.bell:
			case <-ctx.Done():
				yield(Listing[T]{}, context.Cause(ctx))
				return
			}
		}
	}
}

// view is what one loop over Watch knows.
type view[T any] struct {
	d       *Directory[T]
	watch   *client.Watch // of the names; nil before they were read
	names   []string
	entries map[string]entry[T]

	bell    chan struct{} // has something in it if a watch may have been woken
	over    chan struct{} // closed when the loop ends
	waiting sync.WaitGroup
}

// close ends what waits for watches.
func (v *view[T]) close() {
	close(v.over)
	v.waiting.Wait()
}

// refresh reads what may have changed, and tells whether it has.
//
// What has no watch is read again each time. A name whose node has gone meanwhile needs none: its going, and its coming again, wake the
// watch of the names, which was set before.
func (v *view[T]) refresh(ctx context.Context) (changed bool, err error) {
	if woken(v.watch) {
		if v.names, v.watch, err = v.d.namesW(ctx); err != nil {
			return false, err
		}
		v.listen(v.watch)
	}
	stale := slices.DeleteFunc(slices.Clone(v.names), func(name string) bool { return !woken(v.entries[name].watch) })
	read, err := each(stale, func(name string) (entry[T], error) { return v.d.Node(name).entryW(ctx) })
	if err != nil {
		return false, err
	}
	before := v.entries
	v.entries = make(map[string]entry[T], len(v.names))
	for _, name := range v.names {
		e, isNew := read[name]
		if !isNew {
			e = before[name]
		}
		if !e.state.Exists {
			continue
		}
		if isNew && e.watch != nil {
			v.listen(e.watch)
		}
		v.entries[name] = e
	}
	return !maps.EqualFunc(before, v.entries, entry[T].same), nil
}

// listen rings the bell when a watch is woken.
func (v *view[T]) listen(w *client.Watch) {
	v.waiting.Go(func() { // ends when the watch is woken, or with the loop
		select {
		case <-w.Done():
		case <-v.over:
			return
		}
		select {
		case v.bell <- struct{}{}:
		default: // it rings already
		}
	})
}

// same tells whether two entries are of one node that has not changed in between.
func (e entry[T]) same(other entry[T]) bool {
	return e.state.Stat.Czxid == other.state.Stat.Czxid && e.state.Stat.Mzxid == other.state.Stat.Mzxid && (e.err == nil) == (other.err == nil)
}

func woken(w *client.Watch) bool {
	if w == nil {
		return true
	}
	select {
	case <-w.Done():
		return true
	default:
		return false
	}
}

// namesW returns the names of the directory's nodes, and a watch for the next change of them; of its own creation where it does not exist.
func (d *Directory[T]) namesW(ctx context.Context) ([]string, *client.Watch, error) {
	for {
		names, _, w, err := d.c.ChildrenW(ctx, d.path)
		if !errors.Is(err, client.ErrNoNode) {
			return names, w, err
		}
		_, exists, w, err := d.c.ExistsW(ctx, d.path)
		if err != nil || !exists {
			return nil, w, err
		}
	}
}

// entryW reads the node and sets a watch for its next change. Where there is no node, or none that may be read, there is no watch.
func (n *Node[T]) entryW(ctx context.Context) (entry[T], error) {
	var v T
	data, stat, w, err := n.c.GetW(ctx, n.path)
	if err == nil {
		v, err = n.decode(data)
	}
	e, err := entryOf(v, stat, err)
	e.watch = w
	return e, err
}
