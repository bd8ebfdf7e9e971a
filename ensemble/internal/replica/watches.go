package replica

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/watch"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// watch leaves a watch; false if the connection has as many as it may. (Apache's server knows no bound.)
func (r *Replica) watch(conn request.ConnID, path string, kind watch.Kind) bool {
	r.watching.Lock()
	defer r.watching.Unlock()
	return r.add(conn, path, kind)
}

// add is watch with the table held.
func (r *Replica) add(conn request.ConnID, path string, kind watch.Kind) bool {
	if r.cfg.MaxWatches > 0 && r.watches.CountOf(conn) >= r.cfg.MaxWatches && !r.watches.Has(conn, path, wire.WatcherAny) {
		return false
	}
	r.watches.Add(conn, path, kind)
	return true
}

func (r *Replica) addWatch(out []byte, q *request.Request) []byte {
	var req wire.AddWatchRequest
	if !decode(q, &req) {
		return r.refuse(out, q, znode.CodeMarshallingError)
	}
	kind := watch.Persistent
	if req.Mode == wire.WatchPersistentRecursive {
		kind = watch.Recursive
	}
	if !r.watch(q.Conn, req.Path, kind) {
		return r.refuse(out, q, znode.CodeThrottledOp)
	}
	return r.reply(out, q, &wire.ErrorResponse{})
}

// findWatches answers checkWatches and removeWatches.
func (r *Replica) findWatches(out []byte, q *request.Request) []byte {
	var req wire.WatcherRequest
	if !decode(q, &req) {
		return r.refuse(out, q, znode.CodeMarshallingError)
	}
	r.watching.Lock()
	defer r.watching.Unlock()
	find := r.watches.Has
	if q.Op == wire.OpRemoveWatches {
		find = r.watches.Remove
	}
	if !find(q.Conn, req.Path, req.Type) {
		return r.refuse(out, q, znode.CodeNoWatcher)
	}
	return wire.AppendErrorFrame(out, wire.ReplyHeader{Xid: q.Xid, Zxid: r.tree.Zxid()})
}

// setWatches is what a client sends after it has come back: the watches it had, and the last zxid it saw. What changed since is
// told at once, before the answer; the rest is watched again. (Catch-up events carry zxid -1 and are not filtered by ACL, as in
// Apache's server.)
func (r *Replica) setWatches(out []byte, q *request.Request) []byte {
	req := wire.SetWatchesRequest{Two: q.Op == wire.OpSetWatches2}
	if !decode(q, &req) {
		return r.refuse(out, q, znode.CodeMarshallingError)
	}
	r.watching.Lock()
	defer r.watching.Unlock()
	for _, list := range []struct {
		paths []string
		kind  watch.Kind
		since func(path string) (znode.EventType, bool)
	}{
		{req.Data, watch.Data, func(p string) (znode.EventType, bool) {
			n := r.tree.Node(p)
			if n == nil {
				return znode.EventDeleted, true
			}
			return znode.EventDataChanged, n.Persisted().Mzxid > req.RelativeZxid
		}},
		{req.Exist, watch.Data, func(p string) (znode.EventType, bool) {
			return znode.EventCreated, r.tree.Node(p) != nil
		}},
		{req.Child, watch.Child, func(p string) (znode.EventType, bool) {
			n := r.tree.Node(p)
			if n == nil {
				return znode.EventDeleted, true
			}
			return znode.EventChildrenChanged, n.Persisted().Pzxid > req.RelativeZxid
		}},
		{req.Persistent, watch.Persistent, nil},
		{req.PersistentRecursive, watch.Recursive, nil},
	} {
		for _, path := range list.paths {
			if list.since != nil {
				if event, changed := list.since(path); changed {
					out = wire.AppendNotification(out, -1, event, path)
					continue
				}
			}
			if !r.add(q.Conn, path, list.kind) {
				return r.refuse(out, q, znode.CodeThrottledOp)
			}
		}
	}
	return wire.AppendErrorFrame(out, wire.ReplyHeader{Xid: q.Xid, Zxid: r.tree.Zxid()})
}
