package replica_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/auth"
	"github.com/bellwether-zk/bellwether/ensemble/internal/image"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/zab"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

var errReset = errors.New("connection reset")

var treeOptions = tree.Options{Extended: true}

// A host is a machine of the world: a disk, and while it runs a replica with all that it needs done.
type host struct {
	w    *world
	id   packet.ServerID
	disk platter
	r    *replica.Replica // nil: it is down

	queued    []replica.DiskOp            // asked of the disk and not done
	stall     func(replica.DiskKind) bool // what the disk does not get done for now, and what comes after it; nil: nothing
	votes     map[packet.ServerID]packet.Notification
	up        map[packet.ServerID]bool // whose election port it knows to be reachable
	ends      []*end
	accepting bool                                 // learners are let in
	failed    int                                  // dials that it has not heard of
	swallows  bool                                 // who calls its quorum port hears nothing
	wrong     bool                                 // its tree is known not to be what it should be, until it is again
	misjudges func(to *host, zxid znode.Zxid) bool // which digests it does not get right on the way to others; nil: none
	dialled   []int64                              // when it has tried to reach a leader
	deaf      bool                                 // no snapshot comes to it whole
	dumps     []packet.LinkID
	guests    []*client

	next      int64
	unsettled bool // something came in, and what it makes possible was not looked at
	done      replica.Applied
}

// A platter is what survives.
type platter struct {
	base              znode.Zxid
	image             []byte // the tree at base, as it is sent to others; nil: nothing
	records           []replica.Record
	accepted, current int64
	served, fuzzy     bool
	damaged           error
}

func receive(t require.TestingT, stream []byte) *tree.Tree {
	zxid := znode.Zxid(binary.BigEndian.Uint64(stream))
	digest := binary.BigEndian.Uint64(stream[8:])
	got, err := image.Receive(bytes.NewReader(stream[16:]), image.Arrival{Zxid: zxid, Options: treeOptions, Digest: digest, HasDigest: true})
	require.NoError(t, err)
	return got
}

// picture is a tree as it is sent to others, behind its zxid and digest.
func picture(t require.TestingT, of *tree.Tree) []byte {
	d := of.Dump()
	defer d.Close()
	var b bytes.Buffer
	b.Write(binary.BigEndian.AppendUint64(nil, uint64(d.Zxid)))
	b.Write(binary.BigEndian.AppendUint64(nil, d.Digest))
	require.NoError(t, image.Send(&b, image.Source{Dump: d, Lock: free{}}))
	return b.Bytes()
}

type free struct{}

func (free) Lock()   {}
func (free) Unlock() {}

// load reads what is on disk.
func (p *platter) load(t require.TestingT) *tree.Tree {
	loaded := tree.New(treeOptions)
	if p.image != nil {
		loaded = receive(t, p.image)
	}
	var res tree.Result
	for _, rec := range p.records {
		x, err := txn.Decode(rec.Payload)
		require.NoError(t, err)
		loaded.Apply(&x, &res)
	}
	return loaded
}

// truncate takes the log back, if it has that zxid.
func (p *platter) truncate(zxid znode.Zxid) bool {
	if zxid == p.base {
		p.records = nil
		return true
	}
	i := slices.IndexFunc(p.records, func(r replica.Record) bool { return r.Zxid == zxid })
	if i >= 0 {
		p.records = p.records[:i+1]
	}
	return i >= 0
}

// boot starts a server from its disk.
func (h *host) boot(untrusted error) {
	h.w.note("%d starts", h.id)
	loaded := h.disk.load(h.w)
	length := h.w.shape.history
	if length == 0 {
		length = 1000
	}
	history := zab.NewHistory(h.disk.base, length, 1<<20)
	for _, rec := range h.disk.records {
		require.NoError(h.w, history.Add(zab.Record{Zxid: rec.Zxid, Payload: rec.Payload}))
	}
	switch {
	case untrusted != nil:
		h.disk.damaged = untrusted
	case h.disk.damaged == nil && h.disk.fuzzy:
		untrusted = replica.ErrFuzzy
	default:
		untrusted = h.disk.damaged
	}
	reg, err := auth.New(auth.Config{})
	require.NoError(h.w, err)
	h.votes, h.up, h.next = make(map[packet.ServerID]packet.Notification), make(map[packet.ServerID]bool), h.w.now
	h.r = replica.New(replica.Config{
		ServerID: uint8(h.id), Tick: tick, MinTimeout: 2 * tick, MaxTimeout: 20 * tick, Auth: reg,
		Quorum: h.w.config, Self: h.id, InitLimit: initLimit, SyncLimit: syncLimit, Hold: hold, CounterStart: h.w.shape.counterStart,
	}, replica.Boot{
		Tree: loaded, History: history, AcceptedEpoch: h.disk.accepted, CurrentEpoch: h.disk.current, Untrusted: untrusted,
	}, h.w.time())
	h.unsettled = true
	for _, o := range h.w.hosts {
		if o != h {
			h.reach(o)
			o.reach(h)
		}
	}
}

// crash ends a server at once. Of what was asked of its disk some is done.
func (h *host) crash() {
	h.w.note("%d crashes", h.id)
	for n := h.w.rng.IntN(len(h.queued) + 1); n > 0; n-- {
		h.write(&h.queued[0])
		h.queued = h.queued[1:]
	}
	for _, e := range h.ends {
		e.kill()
	}
	for _, c := range h.guests {
		c.closed, c.told = true, true
	}
	h.r, h.queued, h.ends, h.accepting, h.failed, h.dumps, h.guests, h.stall, h.unsettled = nil, nil, nil, false, 0, nil, nil, nil, false
	for _, o := range h.w.hosts {
		o.reach(h)
	}
}

// serves reports whether a host serves clients in that role.
func (h *host) serves(as replica.Role) bool {
	if h.r == nil {
		return false
	}
	role, serving := h.r.Role()
	return serving && role == as
}

// reach tells a server whether another's election port can be reached.
func (h *host) reach(o *host) {
	up := h.r != nil && o.r != nil && !h.w.cut[pair(h.id, o.id)]
	if h.r == nil || h.up[o.id] == up {
		return
	}
	h.up[o.id] = up
	delete(h.votes, o.id)
	h.r.Reachable(o.id, up, h.w.time())
	h.unsettled = true
}

// can appends what can happen at this host.
func (h *host) can(list []func()) []func() {
	if h.r == nil {
		return list
	}
	do := func(f func()) {
		list = append(list, func() {
			f()
			if h.unsettled = true; h.w.rng.IntN(4) > 0 {
				h.settle()
			}
		})
	}
	if len(h.queued) > 0 && (h.stall == nil || !h.stall(h.queued[0].Kind)) {
		do(h.finish)
	}
	for id := packet.ServerID(1); int(id) <= len(h.w.hosts); id++ {
		if n, ok := h.votes[id]; ok && h.up[id] {
			do(func() {
				delete(h.votes, id)
				h.r.Vote(id, &n, h.w.time())
			})
		}
	}
	for _, e := range h.ends {
		if !e.dead && e.can() {
			do(e.deliver)
		}
	}
	h.ends = slices.DeleteFunc(h.ends, func(e *end) bool { return e.dead })
	if h.failed > 0 {
		do(func() {
			h.failed--
			h.r.LinkFailed(h.w.time())
		})
	}
	if len(h.dumps) > 0 {
		do(func() {
			id := h.dumps[0]
			h.dumps = h.dumps[1:]
			h.dump(id)
		})
	}
	for i, c := range h.guests {
		if c.closed && !c.told {
			do(func() {
				c.told = true
				h.guests = slices.Delete(h.guests, i, i+1)
				h.r.Gone(c.conn, h.w.time())
			})
		}
	}
	return list
}

// tick tells the replica who was heard of, and what time it is.
func (h *host) tick() {
	for _, c := range h.guests {
		if c.session != 0 && !c.closed && !c.silent {
			h.r.Touch(c.session, h.w.now)
		}
	}
	h.next = math.MaxInt64
	h.r.Tick(h.w.time())
	h.unsettled = true
	h.settle()
}

// settle applies what may be applied and carries out what the replica wants, until there is nothing left.
func (h *host) settle() {
	if h.r == nil || !h.unsettled {
		return
	}
	h.unsettled = false
	for {
		for h.apply() {
		}
		h.r.Proceed(h.w.time())
		if h.r.Ready().Empty() {
			break
		}
		h.perform()
	}
	h.next = min(h.next, h.r.Next(h.w.time()))
}

// apply applies one transaction, and checks that it made of the tree what it made of the others'.
func (h *host) apply() bool {
	applicable := h.r.Applicable()
	before := h.r.Tree().Zxid()
	ok, err := h.r.Apply(&h.done, h.w.time())
	require.NoError(h.w, err)
	if !ok {
		require.True(h.w, !applicable || h.r.Untrusted() != nil)
		if applicable {
			h.w.note("%d distrusts itself: %v", h.id, h.r.Untrusted())
			require.ErrorIs(h.w, h.r.Untrusted(), replica.ErrDiverged)
		}
		return false
	}
	require.True(h.w, applicable)
	if zxid := h.r.Tree().Zxid(); zxid != before {
		require.Equal(h.w, h.done.Zxid, zxid)
		digest, known := h.w.digests[zxid]
		h.wrong = h.wrong && (!known || digest != h.r.Tree().Digest())
		if h.wrong {
			return h.reply()
		}
		if !known {
			digest = h.r.Tree().Digest()
			h.w.digests[zxid] = digest
			h.w.note("%d is the first to apply %v, %v", h.id, zxid, h.done.Type)
		}
		require.Equal(h.w, digest, h.r.Tree().Digest(), "server %d, zxid %v", h.id, zxid)
	}
	return h.reply()
}

// reply tells the clients what came of the transaction that was applied last.
func (h *host) reply() bool {
	for _, c := range h.guests {
		for _, n := range h.done.Notices {
			if n.Conn == c.conn {
				c.events = append(c.events, n.Path)
			}
		}
		if c.conn == h.done.Conn {
			c.answer(&h.done)
		}
	}
	return true
}

// perform carries out what the replica wants.
func (h *host) perform() {
	w, rd := h.w, h.r.Ready()
	h.queued = append(h.queued, rd.Disk...)
	for _, m := range rd.Votes {
		if to := w.host(m.To); h.up[m.To] && to.up[h.id] {
			to.votes[h.id] = m.Notification // only the last matters
		}
	}
	for i := 0; i < len(rd.Links); i++ { // a snapshot that begins adds to them
		h.link(&rd.Links[i])
	}
	for _, op := range rd.Clients {
		for _, c := range h.guests {
			if c.conn == op.Conn {
				c.attend(&op)
			}
		}
	}
	rd.Reset()
}

func (h *host) end(id packet.LinkID) *end {
	for _, e := range h.ends {
		if e.id == id {
			return e
		}
	}
	return nil
}

func (h *host) link(op *replica.LinkOp) {
	e := h.end(op.Link)
	switch op.Kind {
	case replica.LinkDial:
		h.w.note("%d dials %d", h.id, op.Server)
		h.dialled = append(h.dialled, h.w.now)
		h.w.dial(h, op.Server)
	case replica.LinkAccept:
		h.accepting = true
	case replica.LinkRefuse:
		h.accepting = false
	case replica.LinkSend:
		if e != nil {
			if h.w.shape.strangers {
				unmark(&op.Packet)
			}
			h.misjudge(e.peer.host, &op.Packet)
			e.send(item{packet: op.Packet.AppendJute(nil)})
		}
	case replica.LinkClose:
		if e != nil {
			h.w.note("%d closes link %d: %v", h.id, op.Link, op.Err)
			e.close()
		}
	case replica.LinkSnapshot:
		if h.w.rng.IntN(2) == 0 {
			h.dumps = append(h.dumps, op.Link) // others come first
			return
		}
		h.dump(op.Link)
	}
}

// misjudge makes a transaction's digest on its way to another server wrong, if this one foresees badly.
func (h *host) misjudge(to *host, p *packet.Packet) {
	if h.misjudges != nil && (p.Type == packet.TypeProposal || p.Type == packet.TypeInform) && h.misjudges(to, p.Zxid) {
		p.Data = bytes.Clone(p.Data)
		p.Data[len(p.Data)-1] ^= 1
	}
}

// dump sends the tree as it is.
func (h *host) dump(id packet.LinkID) {
	e := h.end(id)
	if e == nil || !h.r.Learns(id) {
		return
	}
	stream := picture(h.w, h.r.Tree())
	p := packet.Packet{Type: packet.TypeSnap, Zxid: h.r.Tree().Zxid()}
	if h.r.Ours(id) {
		p.Data = stream[8:16]
	}
	e.send(item{packet: p.AppendJute(nil)})
	e.send(item{snapshot: stream})
	h.r.SnapshotTaken(id, p.Zxid, h.w.time())
}

// write does a disk operation. What was read again, if that was asked for, and whether it could be done.
func (h *host) write(op *replica.DiskOp) (reloaded *tree.Tree, ok bool) {
	switch op.Kind {
	case replica.DiskAppend:
		for _, rec := range op.Records.List {
			last := h.disk.base
			if n := len(h.disk.records); n > 0 {
				last = h.disk.records[n-1].Zxid
			}
			require.True(h.w, zab.Follows(last, rec.Zxid), "server %d logs %v behind %v", h.id, rec.Zxid, last)
			h.disk.records = append(h.disk.records, replica.Record{Zxid: rec.Zxid, Payload: bytes.Clone(rec.Payload)})
			op.Zxid = rec.Zxid
		}
	case replica.DiskAcceptedEpoch:
		require.GreaterOrEqual(h.w, op.Epoch, h.disk.accepted, "a promise is kept")
		h.disk.accepted = op.Epoch
	case replica.DiskCurrentEpoch:
		require.GreaterOrEqual(h.w, op.Epoch, h.disk.current)
		h.disk.current = op.Epoch
	case replica.DiskTruncate:
		if !h.disk.truncate(op.Zxid) {
			return nil, false
		}
		if op.Reload {
			reloaded = h.disk.load(h.w)
		}
	case replica.DiskServed:
		h.disk.served = true
	case replica.DiskWhole:
		h.disk.fuzzy = false
	}
	return reloaded, true
}

func everything(replica.DiskKind) bool { return true }

func truncation(k replica.DiskKind) bool { return k == replica.DiskTruncate }

// finish completes the oldest disk operation, and those that share its sync.
func (h *host) finish() {
	n := 1
	for n < len(h.queued) && h.queued[n-1].Kind == replica.DiskAppend && h.queued[n].Kind == replica.DiskAppend && h.w.rng.IntN(2) == 0 {
		n++
	}
	ops := slices.Clone(h.queued[:n])
	h.queued = h.queued[n:]
	for i := range ops {
		reloaded, ok := h.write(&ops[i])
		if !ok {
			h.w.note("%d cannot be taken back to %v", h.id, ops[i].Zxid)
			h.r.Unreachable(&ops[i], h.disk.damaged, h.w.time())
			continue
		}
		h.w.note("%d has on disk: kind %d, zxid %v, epoch %d", h.id, ops[i].Kind, ops[i].Zxid, ops[i].Epoch)
		h.r.Written(&ops[i], reloaded, h.w.time())
	}
}

// compact makes the tree as it is all that is on disk, as a snapshot would with the log before it purged.
func (h *host) compact() {
	require.Zero(h.w, h.r.Waiting())
	require.Empty(h.w, h.queued)
	h.disk.image, h.disk.base, h.disk.records = picture(h.w, h.r.Tree()), h.r.Tree().Zxid(), nil
}

func (h *host) node(path string) *tree.Node { return h.r.Tree().Node(path) }
