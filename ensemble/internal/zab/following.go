package zab

import (
	"encoding/binary"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// leaderInfo learns the epoch and promises it: durably first, then to the leader.
func (l *Learner) leaderInfo(p *packet.Packet, out *[]Effect) {
	if !l.expect(p, greeting, out) {
		return
	}
	var info packet.LeaderInfo
	epoch := int64(p.Zxid.Epoch())
	switch err := packet.Decode(p.Data, &info); {
	case err != nil || p.Data == nil:
		l.abandon(ErrMalformed, p.Zxid, "LEADERINFO", out)
		return
	case info.Protocol < packet.Protocol:
		l.abandon(ErrProtocol, p.Zxid, "", out)
		return
	case epoch > maxEpoch:
		l.abandon(ErrEpochLimit, p.Zxid, "", out)
		return
	case epoch < l.cfg.AcceptedEpoch:
		l.abandon(ErrEpoch, p.Zxid, "", out)
		return
	}
	l.epoch, l.ours, l.start = epoch, info.Ours, p.Zxid.Counter()
	if epoch == l.cfg.AcceptedEpoch {
		l.ackEpoch(-1, out) // promised before, perhaps to somebody else: it must not count
		return
	}
	l.at = vowing
	*out = append(*out, Effect{Kind: SaveAcceptedEpoch, Epoch: epoch})
}

// ackEpoch sends the promise and what we have. One that cannot trust its disk has nothing, and must not count. One that cannot be cut says
// that it has nothing, see [Uncut].
func (l *Learner) ackEpoch(current int64, out *[]Effect) {
	last := l.last
	if l.blank() {
		last, current = -1, -1
	}
	l.at = choosing
	l.send(packet.Packet{Type: packet.TypeAckEpoch, Zxid: last, Data: binary.BigEndian.AppendUint32(nil, uint32(int32(current)))}, out)
}

// blank reports whether we have told the leader that we have nothing.
func (l *Learner) blank() bool { return l.cfg.Untrusted || l.uncut() }

func (l *Learner) uncut() bool { return l.cfg.Uncut.Epoch != 0 && l.cfg.Uncut.Epoch == l.epoch }

// Partial reports whether the snapshot that was last asked to be installed is not to be believed before NEWLEADER is acknowledged: one of
// Apache's has parts in it of what follows; one for a server that has lost data, or that begins before where it could not be cut, may lack
// what was agreed upon because this server had it.
func (l *Learner) Partial() bool {
	return !l.ours || l.cfg.Untrusted || l.uncut() && l.target < l.cfg.Uncut.Zxid
}

// operation takes DIFF, TRUNC or SNAP. DIFF changes nothing by itself: what we have is what we have on disk (ZOOKEEPER-2355).
func (l *Learner) operation(p *packet.Packet, out *[]Effect) {
	if !l.expect(p, choosing, out) {
		return
	}
	l.at = receiving
	switch {
	case p.Zxid < 0:
		l.abandon(ErrMalformed, p.Zxid, p.Type.String(), out)
	case p.Type == packet.TypeSnap:
		l.changing, l.target = Install, p.Zxid
		*out = append(*out, Effect{Kind: Install, Zxid: p.Zxid, Packet: *p})
	case l.blank():
		l.abandon(ErrUnexpected, p.Zxid, p.Type.String()+" for a server without history", out)
	case p.Type == packet.TypeTrunc && p.Zxid > l.last, p.Type == packet.TypeDiff && p.Zxid < l.last:
		l.abandon(ErrUnexpected, p.Zxid, p.Type.String()+" that does not fit "+l.last.String(), out)
	case p.Type == packet.TypeTrunc:
		l.changing, l.target = Truncate, p.Zxid
		*out = append(*out, Effect{Kind: Truncate, Zxid: p.Zxid})
	}
}

// Truncated completes Truncate: log, snapshots and tree end at zxid, durably; or that was not possible and has changed nothing, and
// the Learner abandons with ErrTruncate (ZOOKEEPER-3701): the server has to come back with [Uncut].
func (l *Learner) Truncated(zxid znode.Zxid, ok bool, now int64, out *[]Effect) {
	if l.at == departed || l.changing != Truncate {
		return
	}
	if !ok || zxid != l.target {
		l.abandon(ErrTruncate, l.target, "", out)
		return
	}
	if l.history != nil {
		l.history.Truncate(zxid)
		historyOf(l.history, zxid)
	}
	l.resume(zxid, now, out)
}

// Installed completes Install: the snapshot at zxid is durable, and is all there is.
func (l *Learner) Installed(zxid znode.Zxid, now int64, out *[]Effect) {
	if l.at == departed || l.changing != Install {
		return
	}
	if zxid != l.target {
		l.abandon(ErrInstall, zxid, "announced was "+l.target.String(), out)
		return
	}
	if l.history != nil {
		l.history.Reset(zxid)
	}
	l.resume(zxid, now, out)
}

// resume goes on from z with the packets that had to wait.
func (l *Learner) resume(z znode.Zxid, now int64, out *[]Effect) {
	l.begin(z)
	l.changing, l.heard = 0, now
	held := l.held
	l.held, l.heldBytes = nil, 0
	for i := range held {
		if l.at == departed {
			return
		}
		l.handle(&held[i], now, out)
	}
}

// admit reports whether a transaction of the leader has its place behind those we have; otherwise it abandons. What was in our
// history before the leader sent any is skipped while its history comes: a snapshot may be younger than what follows it.
func (l *Learner) admit(z znode.Zxid, out *[]Effect) bool {
	switch {
	case l.at < receiving:
		l.abandon(ErrUnexpected, z, "transaction before synchronisation", out)
	case l.at == receiving && z >= 0 && z <= l.base:
		l.ignored++
	case !Follows(l.last, z) || l.at > receiving && int64(z.Epoch()) != l.epoch || int64(z.Epoch()) > l.epoch || l.headless(z):
		l.abandon(ErrGap, z, "after "+l.last.String(), out)
	case l.pending.len() >= maxPending:
		l.abandon(ErrOverflow, z, "too many proposals without commit", out)
	default:
		return true
	}
	return false
}

// headless reports whether z would be our first of the leader's epoch, but is not its first.
func (l *Learner) headless(z znode.Zxid) bool {
	return int64(z.Epoch()) == l.epoch && l.last.Epoch() < z.Epoch() && z.Counter() != l.start+1
}

func (l *Learner) append(r Record, out *[]Effect) {
	l.last = r.Zxid
	if l.first == 0 && int64(r.Zxid.Epoch()) == l.epoch {
		l.first = r.Zxid
	}
	if l.history != nil {
		if err := l.history.Add(r); err != nil {
			panic("zab: the history is not the log's: " + err.Error())
		}
	}
	*out = append(*out, Effect{Kind: Append, Record: r})
}

func (l *Learner) proposal(r Record, out *[]Effect) {
	if l.admit(r.Zxid, out) {
		l.pending.push(r.Zxid)
		l.append(r, out)
	}
}

// inform takes a transaction that is agreed upon already. Nothing can be pending before it.
func (l *Learner) inform(r Record, out *[]Effect) {
	switch {
	case !l.observer:
		l.abandon(ErrUnexpected, r.Zxid, "INFORM for a participant", out)
	case l.pending.len() > 0:
		l.abandon(ErrCommit, r.Zxid, "expected is "+l.pending.first().String(), out)
	case l.admit(r.Zxid, out):
		l.append(r, out)
		l.agree(r.Zxid, out)
	}
}

// commit takes a COMMIT, which is for the oldest transaction that has none yet (Apache's follower would exit, code 12). Of those
// skipped by admit it is skipped too.
func (l *Learner) commit(z znode.Zxid, out *[]Effect) {
	switch {
	case l.at < receiving:
		l.abandon(ErrUnexpected, z, "COMMIT before synchronisation", out)
	case l.pending.len() > 0 && l.pending.first() == z:
		l.pending.pop()
		l.agree(z, out)
	case l.at == receiving && z >= 0 && z <= l.base:
		l.ignored++
	case l.pending.len() > 0:
		l.abandon(ErrCommit, z, "expected is "+l.pending.first().String(), out)
	default:
		l.abandon(ErrCommit, z, "expected is none", out)
	}
}

func (l *Learner) agree(z znode.Zxid, out *[]Effect) {
	l.committed = z
	*out = append(*out, Effect{Kind: Committed, Zxid: z})
}

// activate takes the commit of a reconfiguration. The transaction is agreed upon like any other, but with the members we know we
// cannot go on.
func (l *Learner) activate(p *packet.Packet, out *[]Effect) {
	if len(p.Data) < 8 {
		l.abandon(ErrMalformed, p.Zxid, p.Type.String(), out)
		return
	}
	if p.Type == packet.TypeCommitAndActivate {
		l.commit(p.Zxid, out)
	} else {
		l.inform(Record{Zxid: p.Zxid, Payload: p.Data[8:]}, out)
	}
	if l.at != departed && l.committed == p.Zxid {
		l.abandon(ErrReconfigured, p.Zxid, "", out)
	}
}

// newLeader takes NEWLEADER: the leader's history is here.
func (l *Learner) newLeader(p *packet.Packet, out *[]Effect) {
	if !l.expect(p, receiving, out) {
		return
	}
	if p.Zxid != l.newEpoch() {
		l.abandon(ErrEpoch, p.Zxid, "NEWLEADER", out)
		return
	}
	if len(p.Data) > 1 && l.cfg.Quorum != nil {
		theirs, err := quorum.Parse(string(p.Data))
		if err != nil {
			l.abandon(ErrMalformed, p.Zxid, err.Error(), out)
			return
		}
		if theirs.Version > l.cfg.Quorum.Version && !sameRoles(l.cfg.Quorum, theirs) {
			l.abandon(ErrReconfigured, p.Zxid, "", out)
			return
		}
	}
	l.at, l.whole = hardening, l.last
	l.harden(out)
}

// sameRoles reports whether two configurations have the same members, who vote or not in both.
func sameRoles(a, b *quorum.Config) bool {
	for _, m := range a.Members {
		if other, ok := b.Member(m.ID); !ok || other.Observer != m.Observer {
			return false
		}
	}
	return len(a.Members) == len(b.Members)
}

// harden saves the epoch once the history it stands for is on disk, never before (ZOOKEEPER-4643, -4785).
func (l *Learner) harden(out *[]Effect) {
	if l.at == hardening && l.durable >= l.whole {
		l.at = sealing
		*out = append(*out, Effect{Kind: SaveCurrentEpoch, Epoch: l.epoch})
	}
}

// upToDate begins to serve.
func (l *Learner) upToDate(p *packet.Packet, out *[]Effect) {
	if !l.expect(p, sealed, out) {
		return
	}
	l.at = serving
	l.send(packet.Packet{Type: packet.TypeAck, Zxid: l.newEpoch()}, out)
	*out = append(*out, Effect{Kind: Established, Epoch: l.epoch, Zxid: l.base})
	l.acknowledge(out)
}

// acknowledge tells the leader what is on disk, not before UPTODATE, so that it cannot overtake the acknowledgement of NEWLEADER
// (ZOOKEEPER-4685). To one of ours the last zxid says it all; Apache's leader wants each.
func (l *Learner) acknowledge(out *[]Effect) {
	if l.at != serving || l.observer || l.first == 0 || l.durable < l.first || l.durable <= l.acked {
		return
	}
	z := l.durable
	if !l.ours {
		z = max(l.acked+1, l.first)
	}
	for ; z <= l.durable; z++ {
		l.send(packet.Packet{Type: packet.TypeAck, Zxid: z}, out)
	}
	l.acked = l.durable
}

// zxids is a queue that reuses its room.
type zxids struct {
	ring []znode.Zxid // its length is a power of two, or 0
	head int
	n    int
}

func (q *zxids) len() int          { return q.n }
func (q *zxids) first() znode.Zxid { return q.ring[q.head] }

func (q *zxids) push(z znode.Zxid) {
	if q.n == len(q.ring) {
		ring := make([]znode.Zxid, max(64, 2*len(q.ring)))
		for i := range q.n {
			ring[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
		}
		q.ring, q.head = ring, 0
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = z
	q.n++
}

func (q *zxids) pop() {
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
}
