package workload

import (
	"maps"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/judge"
)

// tells is what a client has asked to be told, so that it can ask again on its next connection. exist holds watches on nodes that
// were not there (class ZKWatchManager of Apache's client keeps the same lists).
type tells struct {
	data, exist, child, persistent, recursive map[string]bool
}

func newTells() tells {
	return tells{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
}

func (t *tells) empty() bool {
	return len(t.data)+len(t.exist)+len(t.child)+len(t.persistent)+len(t.recursive) == 0
}

// left notes what an answered request left of watches, or took away.
func (t *tells) left(o *judge.Op) {
	switch q := o.Request.(type) {
	case *wire.WatchRequest:
		switch {
		case !q.Watch:
		case o.Type == wire.OpExists && o.Err == znode.CodeNoNode:
			t.exist[q.Path] = true
		case o.Err != znode.CodeOK:
		case o.Type == wire.OpExists, o.Type == wire.OpGetData:
			t.data[q.Path] = true
		default:
			t.child[q.Path] = true
		}
	case *wire.AddWatchRequest:
		switch {
		case o.Err != znode.CodeOK:
		case q.Mode == wire.WatchPersistentRecursive:
			t.recursive[q.Path] = true
		default:
			t.persistent[q.Path] = true
		}
	case *wire.WatcherRequest: // always of any type
		if o.Type == wire.OpRemoveWatches && o.Err == znode.CodeOK {
			for _, set := range []map[string]bool{t.data, t.exist, t.child, t.persistent, t.recursive} {
				delete(set, q.Path)
			}
		}
	}
}

// told takes away what an event used up.
func (t *tells) told(e *wire.WatcherEvent) {
	switch e.Type {
	case znode.EventCreated, znode.EventDataChanged:
		delete(t.data, e.Path)
		delete(t.exist, e.Path)
	case znode.EventDeleted:
		delete(t.data, e.Path)
		delete(t.exist, e.Path)
		delete(t.child, e.Path)
	case znode.EventChildrenChanged:
		delete(t.child, e.Path)
	}
}

// restore is the request that leaves all watches again.
func (t *tells) restore(seen znode.Zxid) (wire.Op, wire.Record) {
	q := &wire.SetWatchesRequest{
		RelativeZxid: seen, Data: sorted(t.data), Exist: sorted(t.exist), Child: sorted(t.child),
		Persistent: sorted(t.persistent), PersistentRecursive: sorted(t.recursive),
	}
	if q.Two = len(q.Persistent)+len(q.PersistentRecursive) > 0; q.Two {
		return wire.OpSetWatches2, q
	}
	return wire.OpSetWatches, q
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
