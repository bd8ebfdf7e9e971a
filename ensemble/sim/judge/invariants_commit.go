package judge

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// Establish says that a server leads an epoch: a quorum has acknowledged its NEWLEADER. With that all its history is committed.
// A server that stands alone is established as soon as it serves.
func (v *Invariants) Establish(now clock.Time, server int, epoch int64) {
	s := v.server(server)
	if other, ok := v.leaders[epoch]; ok {
		v.fail(now, "A1", "server %d is established as leader of epoch %d; server %d was", server, epoch, other)
	}
	if len(v.leaders) > 0 {
		v.changes++
	}
	v.leaders[epoch], s.leads = server, epoch
	v.reigns = append(v.reigns, reign{epoch, now})
	if !v.rules.quorum(v.saved[epoch]) {
		v.fail(now, "A5", "server %d is established as leader of epoch %d, which is on the disk of no quorum", server, epoch)
	}
	if int64(v.top.zxid.Epoch()) > epoch { // it slept, its followers have a new leader, and all its words will be in vain
		return
	}
	if !v.top.onChain(s.last) {
		v.fail(now, "A4", "server %d is established as leader of epoch %d without the committed %v; its log ends at %v",
			server, epoch, v.top.zxid, s.last.zxid)
		return
	}
	v.commit(now, s, s.last)
}

// Pong says that a server answers a client's ping, by which the client knows that its session lives. Sessions end by the word of
// whoever leads: so a leader must know that nobody else has been leading for longer than a tick and a half, and a learner that its
// leader has known that as short a time ago.
func (v *Invariants) Pong(now clock.Time, server int) {
	s := v.server(server)
	limit := 2 * v.rules.Tick // a tick and a half that the last answers of a quorum may be old, and half a tick until that is looked at again
	if s.leads < 0 {
		limit += v.rules.Tick * 3 / 2
	}
	limit += limit * clock.Time(v.rules.MaxDrift) / 1_000_000
	for _, r := range v.reigns {
		if r.epoch > s.current && now > r.since+limit {
			v.fail(now, "A10", "server %d, of epoch %d, answers a ping; server %d has led epoch %d since %v", server, s.current, v.leaders[r.epoch],
				r.epoch, r.since)
			return
		}
	}
}

// Depose says that a server no longer takes itself for the leader.
func (v *Invariants) Depose(_ clock.Time, server int) { v.server(server).leads = -1 }

// Ack says that a leader counts a server's acknowledgement of everything up to zxid, its own included.
func (v *Invariants) Ack(now clock.Time, leader, from int, zxid znode.Zxid) {
	r := v.find(zxid)
	if r == nil {
		if zxid.Counter() != 0 { // that of NEWLEADER is no transaction's
			v.fail(now, "A5", "server %d counts an acknowledgement by %d of %v, which nobody proposed", leader, from, zxid)
		}
		return
	}
	if r.index < 0 && !r.isDurable(from) {
		v.fail(now, "A5", "server %d counts an acknowledgement by %d of %v, which %d has not on disk", leader, from, zxid, from)
	}
}

// Commit says that a server knows everything up to zxid to be committed: on the leader, that it has counted a quorum; on a
// learner, that it was told.
func (v *Invariants) Commit(now clock.Time, server int, zxid znode.Zxid) {
	s := v.server(server)
	r := v.find(zxid)
	switch {
	case r == nil:
		v.fail(now, "A2", "server %d commits %v, which nobody proposed", server, zxid)
	case r.index >= 0:
	case !s.serving && s.leads < 0: // a learner that is being synced: what it applies is only certain when it serves
	case !r.onChain(s.last):
		v.fail(now, "A2", "server %d commits %v without having it; its log ends at %v", server, zxid, s.last.zxid)
	case s.leads != int64(zxid.Epoch()):
		v.fail(now, "A5", "server %d commits %v before its leader has", server, zxid)
	default:
		v.commit(now, s, r)
	}
}

// commit makes r and all before it the one history.
func (v *Invariants) commit(now clock.Time, s *member, r *record) {
	if r.zxid <= v.top.zxid {
		return
	}
	if !v.top.onChain(r) {
		v.fail(now, "A2", "server %d commits %v, behind which is not the committed %v", s.id, r.zxid, v.top.zxid)
		return
	}
	if !v.rules.quorum(r.durable) {
		v.fail(now, "A5", "server %d commits %v, which is on the disks of no quorum (servers %b)", s.id, r.zxid, r.durable)
	}
	first := len(v.h.Txns)
	for at := r; at != v.top; at = at.before {
		at.index = 0 // counted below
		v.h.Txns = append(v.h.Txns, Txn{Payload: at.payload, Leader: at.leader, Proposed: at.proposed})
	}
	moment := v.h.moment(now)
	added := v.h.Txns[first:]
	for i, j := 0, len(added)-1; i < j; i, j = i+1, j-1 {
		added[i], added[j] = added[j], added[i]
	}
	for i := range added {
		x := &added[i]
		x.Committed = moment
		x.Txn, _ = txn.Decode(x.Payload) // if it cannot be, that was said when it was proposed
		v.owners(now, &x.Txn)
	}
	for at, i := r, len(v.h.Txns)-1; at != v.top; at, i = at.before, i-1 {
		at.index = i
	}
	v.top = r
}

// owners keeps A7.
func (v *Invariants) owners(now clock.Time, x *txn.Txn) {
	_, open := v.open[x.Session]
	switch body := x.Body.(type) {
	case *txn.CreateSession:
		if open {
			v.fail(now, "A7", "%v opens session %v, which is open", x.Zxid, x.Session)
		}
		v.open[x.Session] = map[string]bool{}
		return
	case *txn.CloseSession:
		for _, path := range body.Paths {
			if v.owner[path] != x.Session {
				v.fail(now, "A7", "%v closes session %v with %s, which it does not own", x.Zxid, x.Session, path)
			}
			v.gone(path)
		}
		for path := range v.open[x.Session] {
			v.fail(now, "A7", "%v closes session %v and leaves its ephemeral %s", x.Zxid, x.Session, path)
			break
		}
		delete(v.open, x.Session)
		return
	case *txn.Error:
		return
	case *txn.Multi:
		if body.Failed() {
			return
		}
		for i := range body.Subs {
			v.own(x.Session, body.Subs[i].Body)
		}
	default:
		v.own(x.Session, x.Body)
	}
	if !open && x.Type != wire.OpDeleteContainer {
		v.fail(now, "A7", "%v is a %v of session %v, which is not open", x.Zxid, x.Type, x.Session)
	}
}

func (v *Invariants) own(session znode.SessionID, body txn.Body) {
	switch b := body.(type) {
	case *txn.Create:
		if b.Ephemeral && v.open[session] != nil {
			v.open[session][b.Path] = true
			v.owner[b.Path] = session
		}
	case *txn.Delete:
		v.gone(b.Path)
	}
}

func (v *Invariants) gone(path string) {
	if id, ok := v.owner[path]; ok {
		delete(v.open[id], path)
		delete(v.owner, path)
	}
}

// Apply says that a server's tree has taken a step, and the digest it has now. A server applies one after the other, and only
// what is on its own disk; and, once it serves, only what is committed.
func (v *Invariants) Apply(now clock.Time, server int, zxid znode.Zxid, digest uint64) {
	s := v.server(server)
	r := v.find(zxid)
	switch {
	case r == nil || r.index < 0 && s.serving:
		v.fail(now, "A5", "server %d applies %v, which is not committed", server, zxid)
		return
	case r.before != s.tree:
		v.fail(now, "A3", "server %d applies %v when its tree is at %v", server, zxid, s.tree.zxid)
	case !r.onChain(s.synced):
		v.fail(now, "A5", "server %d applies %v, which it has not on disk (synced up to %v)", server, zxid, s.synced.zxid)
	}
	v.arrive(now, s, r, digest, false)
}

// Load says that a server's tree was made from its disk, or from a snapshot of its leader's: up to where, and its digest. The tail
// of what it read may not be committed; before it serves, it must be.
func (v *Invariants) Load(now clock.Time, server int, zxid znode.Zxid, digest uint64) {
	s := v.server(server)
	r := v.find(zxid)
	if r == nil || !r.onChain(s.last) {
		v.fail(now, "A2", "server %d has a tree at %v that its log, which ends at %v, does not lead to", server, zxid, s.last.zxid)
		return
	}
	v.arrive(now, s, r, digest, true)
}

// arrive compares digests (A6).
func (v *Invariants) arrive(now clock.Time, s *member, r *record, digest uint64, loaded bool) {
	s.tree = r
	at := r
	for !at.digested && at.before != nil { // a refusal carries no digest: it changes nothing
		at = at.before
	}
	if at.digested && at.digest != digest {
		v.fail(now, "A6", "server %d has the digest %x at %v; the transaction says %x", s.id, digest, r.zxid, at.digest)
	}
	v.h.Steps[s.id] = append(v.h.Steps[s.id], Applied{Zxid: r.zxid, Digest: digest, At: v.h.moment(now), Loaded: loaded})
}

// Serve says that a server begins to answer clients from its tree.
func (v *Invariants) Serve(now clock.Time, server int) {
	s := v.server(server)
	if s.tree.index < 0 && s.tree != v.root {
		v.fail(now, "A5", "server %d serves clients from a tree at %v, which is not committed", server, s.tree.zxid)
	}
	if s.current < int64(s.tree.zxid.Epoch()) {
		v.fail(now, "A1", "server %d serves with the current epoch %d from a tree at %v", server, s.current, s.tree.zxid)
	}
	s.serving = true
}

// Rest says that a server no longer answers clients.
func (v *Invariants) Rest(_ clock.Time, server int) { v.server(server).serving = false }

// Reply says that a server hands a connection (any number that names it for good) a reply with a zxid above 0 (A8).
func (v *Invariants) Reply(now clock.Time, server int, conn uint64, zxid znode.Zxid) {
	s, c := v.server(server), v.stream(conn)
	switch {
	case !s.serving:
		v.fail(now, "A5", "server %d answers connection %d at %v without serving", server, conn, zxid)
	case zxid < max(c.reply, c.event):
		v.fail(now, "A8", "server %d answers connection %d at %v after it had told it of %v", server, conn, zxid, max(c.reply, c.event))
	case zxid > v.top.zxid && zxid.Counter() != 0:
		v.fail(now, "A5", "server %d answers connection %d at %v, committed is %v", server, conn, zxid, v.top.zxid)
	}
	c.reply = max(c.reply, zxid)
}

// Event says that a server hands a connection an event with a zxid above 0 (A8).
func (v *Invariants) Event(now clock.Time, server int, conn uint64, zxid znode.Zxid) {
	c := v.stream(conn)
	if zxid < c.event || zxid <= c.reply {
		v.fail(now, "A8", "server %d tells connection %d of %v after a reply at %v and an event at %v", server, conn, zxid, c.reply, c.event)
	}
	c.event = max(c.event, zxid)
}

// Hangup says that a connection is over, so that it can be forgotten.
func (v *Invariants) Hangup(conn uint64) { delete(v.conns, conn) }

func (v *Invariants) stream(conn uint64) *stream {
	c := v.conns[conn]
	if c == nil {
		c = &stream{}
		v.conns[conn] = c
	}
	return c
}

// Bound says how long a queue of a server's is and how long it may be (A9).
func (v *Invariants) Bound(now clock.Time, server int, queue string, n, most int) {
	if n > most {
		v.fail(now, "A9", "server %d has %d in its queue %s, which may hold %d", server, n, queue, most)
	}
}

// Inspect adds what a server holds at a moment at which nothing is under way, to be judged with the history.
func (v *Invariants) Inspect(now clock.Time, img Image) {
	img.At = v.h.moment(now)
	v.h.Images = append(v.h.Images, img)
}
