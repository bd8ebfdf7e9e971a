package sim

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// A Bug is one that can be planted, to see whether a campaign finds it: who never sees a fault cannot say that there is none. All are
// planted where the simulator stands in for package server, so that nothing shipped knows of them. Each breaks a rule that a
// shell, a disk or another server has to keep; most of them are bugs that ZooKeeper or its like have had.
type Bug int

// The bugs.
const (
	NoBug               Bug = iota
	AckBeforeSync           // records are reported durable before they are written
	NeverSync               // records are written, and never synced
	SyncLies                // nothing on the disk is ever synced, names are
	NoDirectorySync         // names are never synced
	ForgetCurrentEpoch      // the current epoch is reported saved, and is not
	ForgetAcceptedEpoch     // the same for the accepted epoch
	SkipTruncate            // the log is reported truncated, and is not
	NoReload                // the tree keeps what was truncated from the log
	DropRecord              // now and then the last record of a group is not logged
	TrustDamage             // a damaged disk is taken for an empty one that has never served
	ForgetServed            // an emptied disk is taken for a new one
	VolatileInstall         // a tree from the leader is reported durable, and is only in memory
	FuzzySnapshot           // a tree is dumped later than the zxid it is sent with
	MislabelledSnapshot     // a snapshot's name is one zxid too high
	PurgeTooMuch            // all but the newest snapshot and log are removed, while the newest is not complete
	CountTwice              // an acknowledgement counts for another server, too
	AckOnReceipt            // a follower acknowledges what it has not logged
	CommitOnReceipt         // a follower takes a proposal for committed
	HighVote                // a server's votes for itself show a longer history than it has
	RepeatRequest           // now and then a follower sends a request to the leader twice
	SwapRequests            // now and then a follower sends two requests in the wrong order
	LoseTouches             // a follower does not tell the leader who was heard of
	RevalidateAll           // a follower takes any session that comes to it for valid
	ExpireByFollower        // a follower ends sessions it has not heard of for a while
	PingAlways              // pings are answered whatever the leader knows
	PingByLeader            // the same, by leaders only
	WallClock               // sessions are timed by the wall clock
	LateTouches             // who was heard of is told once in a long while
	SyncAtOnce              // a sync is answered without asking anybody
	SyncByLeader            // the same, by leaders only
	ReadsOvertake           // reads do not wait for the writes before them
	ServeBehind             // clients that have seen more than the server are let in
	WatchAfterReply         // events come after the reply that shows them
	DropEvent               // now and then an event is lost
	DoubleEvent             // now and then an event comes twice
	ForgetChanges           // who comes back with watches is not told what it has missed
	bugs
)

var bugNames = [bugs]string{
	"none", "ack before sync", "never sync", "sync lies", "no directory sync", "forget current epoch",
	"forget accepted epoch", "skip truncate", "no reload", "drop record", "trust damage", "forget served", "volatile install",
	"fuzzy snapshot", "mislabelled snapshot", "purge too much", "count twice", "ack on receipt", "commit on receipt", "high vote",
	"repeat request", "swap requests", "lose touches", "revalidate all", "expire by follower", "ping always", "ping by leader",
	"wall clock", "late touches", "sync at once", "sync by leader", "reads overtake", "serve behind", "watch after reply", "drop event",
	"double event", "forget changes",
}

// String is the bug's name.
func (b Bug) String() string { return bugNames[b] }

// Bugs are all that can be planted.
func Bugs() []Bug {
	all := make([]Bug, 0, bugs-1)
	for b := NoBug + 1; b < bugs; b++ {
		all = append(all, b)
	}
	return all
}

// has reports whether a bug is planted in this run.
func (s *simulation) has(b Bug) bool { return s.opts.Bug == b }

// rarely is true now and then, if a bug is planted.
func (s *server) rarely(b Bug, n int) bool { return s.has(b) && s.bugs.IntN(n) == 0 }

// filesystem is the server's disk as its process sees it.
func (s *server) filesystem() disk.FS {
	if s.has(SyncLies) || s.has(NoDirectorySync) {
		return liar{s.fs, s.has(SyncLies)}
	}
	return s.fs
}

// A liar is a disk that does not sync what it says it has.
type liar struct {
	disk.FS
	files bool // file contents, otherwise names
}

func (l liar) SyncDir(dir string) error {
	if l.files {
		return l.FS.SyncDir(dir)
	}
	return nil
}

func (l liar) Create(name string) (disk.File, error) { return l.wrap(l.FS.Create(name)) }

func (l liar) Edit(name string) (disk.File, error) { return l.wrap(l.FS.Edit(name)) }

func (l liar) wrap(f disk.File, err error) (disk.File, error) {
	if err != nil || !l.files {
		return f, err
	}
	return lyingFile{f}, nil
}

type lyingFile struct{ disk.File }

func (lyingFile) Sync() error { return nil }

// wipe empties a damaged disk and opens it again.
func (l *life) wipe() error {
	_ = l.st.Close()
	for _, name := range append(l.files(), "/data/bellwether.served") {
		_ = l.fs.Remove(name)
	}
	return l.open()
}

// sabotage plants what concerns a disk operation in the job that does it.
func (l *life) sabotage(j job) job {
	op := j.op
	switch {
	case op.Kind == replica.DiskCurrentEpoch && l.has(ForgetCurrentEpoch),
		op.Kind == replica.DiskAcceptedEpoch && l.has(ForgetAcceptedEpoch),
		op.Kind == replica.DiskServed && l.has(ForgetServed):
		j.do = func() error { return nil }
	case op.Kind == replica.DiskTruncate && l.has(SkipTruncate):
		j.do = func() error {
			l.inv.Truncating(l.world.now, int(l.id), op.Zxid)
			return nil
		}
	case op.Kind == replica.DiskAppend && l.has(AckBeforeSync):
		early := op
		early.Zxid = op.Records.List[len(op.Records.List)-1].Zxid
		records := *op.Records
		records.List = append([]replica.Record(nil), op.Records.List...)
		j.op.Records = &records
		l.done(finished{op: early})
		j.quiet = true
	}
	return j
}

// misread changes what came on a link before the core gets it.
func (k *link) misread(batch []packet.Packet) []packet.Packet {
	l := k.l
	if l.opts.Bug == NoBug {
		return batch
	}
	var out []packet.Packet
	for _, p := range batch {
		out = append(out, p)
		switch {
		case p.Type == packet.TypeProposal && k.dialled && l.has(CommitOnReceipt):
			out = append(out, packet.Packet{Type: packet.TypeCommit, Zxid: p.Zxid})
		case p.Type == packet.TypeCommit && k.dialled && l.has(CommitOnReceipt):
			out = out[:len(out)-1]
		case p.Type == packet.TypeProposal && k.dialled && l.told.serving && l.has(AckOnReceipt):
			k.out = (&packet.Packet{Type: packet.TypeAck, Zxid: p.Zxid}).AppendJute(k.out)
			k.flush()
		case p.Type == packet.TypeRevalidate && k.dialled && l.has(RevalidateAll):
			var v packet.Revalidated
			if packet.Decode(p.Data, &v) == nil {
				v.Valid = true
				out[len(out)-1].Data = v.AppendJute(nil)
			}
		}
	}
	return out
}

// countTwice lets an acknowledgement count for another follower.
func (k *link) countTwice(batch []packet.Packet, now replica.Time) {
	l := k.l
	if !l.has(CountTwice) || k.dialled || !l.told.leads {
		return
	}
	for id := packet.LinkID(1); id <= l.lastLink; id++ {
		other := l.links[id]
		if other == nil || other == k || other.dialled || !other.opened || !l.isVoter(other.server) {
			continue
		}
		for _, p := range batch {
			if p.Type == packet.TypeAck && p.Zxid.Counter() != 0 {
				l.r.Packets(other.id, []packet.Packet{p}, now)
			}
		}
		return
	}
}

// missay changes a packet before it is sent; again is how often it is to be sent.
func (k *link) missay(p packet.Packet) (_ packet.Packet, again int) {
	l := k.l
	switch {
	case !k.dialled:
	case p.Type == packet.TypePing && l.has(LoseTouches):
		p.Data = []byte{}
	case p.Type == packet.TypeRequest && l.rarely(RepeatRequest, 50):
		return p, 2
	case p.Type == packet.TypeAck && l.has(AckOnReceipt) && l.told.serving && p.Zxid.Counter() != 0:
		return p, 0
	}
	return p, 1
}

// swapRequests exchanges two requests that are about to be sent behind each other.
func (l *life) swapRequests(rd *replica.Ready) {
	if !l.has(SwapRequests) {
		return
	}
	for i := 1; i < len(rd.Links); i++ {
		a, b := &rd.Links[i-1], &rd.Links[i]
		if a.Kind == replica.LinkSend && b.Kind == replica.LinkSend && a.Link == b.Link && a.Packet.Type == packet.TypeRequest && b.Packet.Type == packet.TypeRequest {
			*a, *b = *b, *a
		}
	}
}

// misvote changes a notification before it is sent.
func (l *life) misvote(n *packet.Notification) {
	if l.has(HighVote) && n.State == packet.Looking && n.Leader == l.id && l.id%2 == 1 {
		n.Zxid += 1000
	}
}

// careless answers a sync, or a read, without waiting for what it has to wait for; false if it does not.
func (g *guest) careless(q *request.Request) bool {
	l := g.l
	leads := l.told.role == replica.Leading
	switch {
	case q.Op == wire.OpSync && (l.has(SyncAtOnce) || leads && l.has(SyncByLeader)) && g.pending.Len() == 0 && q.Record != nil:
		b, start := wire.BeginFrame(g.out)
		b = wire.ReplyHeader{Xid: q.Xid, Zxid: l.r.Tree().Zxid()}.AppendJute(b)
		g.out = wire.EndFrame(q.Record.AppendJute(b), start)
		return true
	case !q.Ordered() && l.has(ReadsOvertake) && q.Op != wire.OpPing:
		g.answer(q)
		return true
	}
	return false
}

// expireHere ends sessions of this server that were silent for half their time, as only a leader may.
func (l *life) expireHere(now replica.Time) {
	if !l.has(ExpireByFollower) || l.told.role != replica.Following || !l.told.serving {
		return
	}
	for _, g := range l.inOrder {
		if g.session != 0 && l.guests[g.id] != nil && !g.ended && g.pending.Len() == 0 && now.Mono-g.heard > g.timeout/4 {
			g.ended = true
			g.pending.Push(request.Request{Conn: g.id, Session: g.session, Op: wire.OpCloseSession})
			l.in.requests = append(l.in.requests, request.Request{Conn: g.id, Session: g.session, Op: wire.OpCloseSession})
		}
	}
}

// wrongTime is what the process takes for the time.
func (l *life) wrongTime(t replica.Time) replica.Time {
	if l.has(WallClock) {
		t.Mono = max(l.latest, t.Wall-clock.Epoch+1_000_000)
		l.latest = t.Mono
	}
	return t
}
