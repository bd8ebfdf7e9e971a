package propose

import (
	"maps"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A record is a node as it will be: in the overlay because a planned transaction changes it, or a look at the tree.
type record struct {
	path     string     // "/" for the root
	zxid     znode.Zxid // of the last planned transaction that changes it; 0: only looked at
	exists   bool       // false: it will have been deleted
	stat     znode.StatPersisted
	acl      []znode.ACL
	children int32
	length   int    // of its data
	crc      uint32 // of path and data
	digest   uint64 // what it counts in overlay.digest; 0 when it does not
}

// pending is a place in the order of changes.
type pending struct {
	zxid znode.Zxid
	rec  *record
}

// undo is how a record was before a part of a multi changed it.
type undo struct {
	rec    *record
	before record // zxid 0: it was not in the overlay
}

// An overlay is what planned transactions make of the tree. Every record in byPath has zxid z > 0 and stands in order under z,
// and perhaps under lower ones; when z has been applied it goes.
type overlay struct {
	tree       *tree.Tree
	extended   bool
	undigested bool   // there are no digests
	digest     uint64 // of the tree once everything planned is applied

	byPath map[string]*record
	order  []pending // order[head:] is in use; zxids never fall
	head   int
	free   []*record // to be used again
	owners map[znode.SessionID]*estate

	inMulti bool
	undos   []undo
}

func newOverlay(t *tree.Tree) overlay {
	return overlay{
		tree: t, extended: t.Options().Extended, undigested: t.Options().NoDigest, digest: t.Digest(),
		byPath: map[string]*record{}, owners: map[znode.SessionID]*estate{},
	}
}

// at is the node that will be at path, nil if there will be none. It is in the overlay or in room, and not to be changed but after
// change.
func (o *overlay) at(path string, room *record) *record {
	if path == "" {
		path = znode.Root
	}
	if rec := o.byPath[path]; rec != nil {
		if !rec.exists {
			return nil
		}
		return rec
	}
	n := o.tree.Node(path)
	if n == nil {
		return nil
	}
	*room = record{
		path: path, exists: true, stat: n.Persisted(), acl: n.ACL(), children: int32(n.NumChildren()),
		length: len(n.Data()), crc: n.ContentCRC(), digest: n.Digest(),
	}
	return room
}

// change returns rec, which came from at, as the overlay's own, ready to be changed by the transaction at zxid. Once changed it
// has to be settled.
func (o *overlay) change(rec *record, zxid znode.Zxid) *record {
	if rec.zxid == 0 {
		own := o.take()
		*own = *rec
		o.byPath[own.path] = own
		rec = own
	}
	return o.stamp(rec, zxid)
}

// create returns the record of a node that at did not find.
func (o *overlay) create(path string, zxid znode.Zxid) *record {
	rec := o.byPath[path]
	if rec == nil {
		rec = o.take()
		*rec = record{path: path}
		o.byPath[path] = rec
	}
	return o.stamp(rec, zxid)
}

func (o *overlay) stamp(rec *record, zxid znode.Zxid) *record {
	if o.inMulti {
		o.undos = append(o.undos, undo{rec: rec, before: *rec})
	}
	if rec.zxid != zxid {
		o.push(pending{zxid: zxid, rec: rec})
		rec.zxid = zxid
	}
	return rec
}

// push moves the order to the front of its room only when at least half of it is free, or a nearly full one would be moved for
// every few pushes.
func (o *overlay) push(c pending) {
	if len(o.order) == cap(o.order) && o.head > len(o.order)/2 {
		n := copy(o.order, o.order[o.head:])
		clear(o.order[n:])
		o.order, o.head = o.order[:n], 0
	}
	o.order = append(o.order, c)
}

// settle makes the digest follow what was changed about rec.
func (o *overlay) settle(rec *record) {
	if o.undigested {
		return
	}
	var now uint64
	if rec.exists && tree.InDigest(rec.path) {
		now = tree.NodeDigest(rec.crc, &rec.stat)
	}
	o.digest += now - rec.digest
	rec.digest = now
}

// owner is the session rec lives for, 0 if it is no ephemeral or does not exist.
func (o *overlay) owner(rec *record) znode.SessionID {
	if !rec.exists || rec.stat.Owner == znode.OwnerNone {
		return 0
	}
	return rec.stat.Owner.Session(o.extended)
}

func (o *overlay) applied(zxid znode.Zxid) {
	for o.head < len(o.order) && o.order[o.head].zxid <= zxid {
		c := o.order[o.head]
		o.order[o.head] = pending{}
		if o.head++; o.head == len(o.order) {
			o.order, o.head = o.order[:0], 0
		}
		if c.rec.zxid == c.zxid {
			delete(o.byPath, c.rec.path)
			o.give(c.rec)
		}
	}
}

// begin remembers from now on how records were, until commit or rollback.
func (o *overlay) begin() { o.inMulti = true }

func (o *overlay) commit() {
	o.inMulti = false
	clear(o.undos)
	o.undos = o.undos[:0]
}

// rollback makes everything as it was at begin; zxid is that of the multi.
func (o *overlay) rollback(zxid znode.Zxid) {
	for _, u := range slices.Backward(o.undos) {
		if id := o.owner(u.rec); id != 0 {
			o.estate(id).remove(u.rec.path)
		}
		o.digest += u.before.digest - u.rec.digest
		path := u.rec.path
		*u.rec = u.before
		if id := o.owner(u.rec); id != 0 {
			o.estate(id).add(path)
		}
		if u.rec.zxid == 0 {
			delete(o.byPath, path)
			o.give(u.rec)
		}
	}
	for len(o.order) > o.head && o.order[len(o.order)-1].zxid == zxid {
		o.order[len(o.order)-1] = pending{}
		o.order = o.order[:len(o.order)-1]
	}
	o.commit()
}

func (o *overlay) take() *record {
	last := len(o.free) - 1
	if last < 0 {
		return new(record)
	}
	rec := o.free[last]
	o.free = o.free[:last]
	return rec
}

// give keeps a bounded number of records for take.
func (o *overlay) give(rec *record) {
	*rec = record{}
	if len(o.free) < 4096 {
		o.free = append(o.free, rec)
	}
}

// An estate is what a session will leave behind: its ephemerals.
type estate struct {
	paths map[string]struct{}
	bytes int // of the paths as a list in a transaction
}

// estate is that of the session. It is made of what the tree has when the first change is planned that concerns it, so that
// sessions which do not change their ephemerals cost nothing; from then on it is kept up.
func (o *overlay) estate(id znode.SessionID) *estate {
	e := o.owners[id]
	if e != nil {
		return e
	}
	e = &estate{paths: map[string]struct{}{}}
	o.owners[id] = e
	for _, path := range o.tree.Ephemerals(id) {
		if rec := o.byPath[path]; rec == nil || o.owner(rec) == id {
			e.add(path)
		}
	}
	return e
}

func (e *estate) add(path string) {
	if _, ok := e.paths[path]; !ok {
		e.paths[path] = struct{}{}
		e.bytes += 4 + len(path)
	}
}

func (e *estate) remove(path string) {
	if _, ok := e.paths[path]; ok {
		delete(e.paths, path)
		e.bytes -= 4 + len(path)
	}
}

// sorted is all of it as a list that is never nil.
func (e *estate) sorted() []string {
	paths := slices.AppendSeq(make([]string, 0, len(e.paths)), maps.Keys(e.paths))
	slices.Sort(paths)
	return paths
}
