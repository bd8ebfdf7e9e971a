package zab

import (
	"encoding/binary"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

const (
	// maxEpoch is the highest epoch: a zxid is signed, and its upper half must not make it negative.
	maxEpoch = 1<<31 - 1
	// never is a moment before all others.
	never = -1 << 62
)

// A stage is how far a learner has come, as its leader knows it.
type stage uint8

const (
	connected    stage = iota // it has not said who it is
	joined                    // it waits for the epoch
	informed                  // LEADERINFO sent; ACKEPOCH is expected
	waiting                   // it waits for a quorum's promises
	snapshotting              // TakeSnapshot asked for
	syncing                   // history and NEWLEADER sent; their acknowledgement is expected. Proposals are forwarded from here on
	settled                   // it has our history and epoch on disk, and waits for UPTODATE
	current                   // UPTODATE sent
)

// A learner is one link to a leader.
type learner struct {
	link     packet.LinkID
	server   packet.ServerID
	voter    *voter // nil if it does not count
	observer bool
	ours     bool
	stage    stage

	heard    int64 // when it last said something
	deadline int64 // when the link is closed; only in connected, informed, snapshotting and syncing

	last    znode.Zxid // of its log, as it said in ACKEPOCH
	sent    znode.Zxid // the last proposal of our epoch sent, committed or not
	acked   znode.Zxid // the highest acknowledged; ≤ max(sent, committed). Counts from settled on
	commits znode.Zxid // up to here it was told what is committed; ≤ committed
	pace    watch
	pings   pingQueue
}

// join takes FOLLOWERINFO and OBSERVERINFO. A voter that comes as an observer, as one that cannot trust its disk does, does not
// count (ZOOKEEPER-2959); but every epoch that was ever promised must be passed.
func (l *Leader) join(f *learner, p *packet.Packet, now int64, out *[]Effect) {
	var info packet.LearnerInfo
	switch err := packet.Decode(p.Data, &info); {
	case f.stage != connected:
		l.close(f, ErrUnexpected, p.Zxid, now, out)
		return
	case p.Data == nil || err != nil:
		l.close(f, ErrMalformed, p.Zxid, now, out)
		return
	}
	f.server = info.ServerID
	if kind := l.refuse(&info, p.Zxid); kind != nil {
		l.close(f, kind, p.Zxid, now, out)
		return
	}
	for _, other := range l.learners {
		if other != f && other.stage != connected && other.server == f.server {
			l.close(other, ErrReplaced, 0, now, out)
			break
		}
	}
	f.stage, f.ours, f.observer = joined, info.Ours, p.Type == packet.TypeObserverInfo
	if v := l.byID[f.server]; v != nil && !f.observer {
		f.voter, v.learner = v, f
	}
	accepted := int64(p.Zxid.Epoch())
	l.promise(f, accepted, out)
	if _, member := l.cfg.Quorum.Member(f.server); member && l.phase == leading && accepted > max(l.epoch, l.outbid) {
		l.outbid = accepted
		*out = append(*out, Effect{Kind: SaveAcceptedEpoch, Epoch: accepted})
	}
	if l.phase >= acknowledging {
		l.inform(f, now, out)
	}
}

// refuse says why somebody cannot be a learner of ours, or nil.
func (l *Leader) refuse(info *packet.LearnerInfo, accepted znode.Zxid) error {
	switch {
	case info.Protocol < packet.Protocol:
		return ErrProtocol
	case info.ServerID < 0 || info.ServerID == l.cfg.Self:
		return ErrIdentity
	case info.ConfigVersion > l.cfg.Quorum.Version:
		return ErrConfigVersion
	case accepted < 0 || accepted.Epoch() >= maxEpoch:
		return ErrEpochLimit
	}
	return nil
}

// promise counts the epoch a learner has accepted: ours must be higher (not equal, ZOOKEEPER-1343).
func (l *Leader) promise(f *learner, accepted int64, out *[]Effect) {
	if l.phase != discovering {
		return
	}
	l.epoch = max(l.epoch, accepted+1)
	if f.voter != nil {
		f.voter.promised = true
		l.checkPromised(out)
	}
}

func (l *Leader) checkPromised(out *[]Effect) {
	if l.cfg.Quorum.Quorum(func(id packet.ServerID) bool { return id == l.cfg.Self || l.byID[id].promised }) {
		l.phase = promising
		*out = append(*out, Effect{Kind: SaveAcceptedEpoch, Epoch: l.epoch})
	}
}

// announce tells the epoch, which is durable here, to everybody who waits for it.
func (l *Leader) announce(now int64, out *[]Effect) {
	l.phase, l.deadline = acknowledging, now+l.ticks(l.cfg.InitLimit)
	for _, f := range l.learners {
		if f.stage == joined {
			l.inform(f, now, out)
		}
	}
	l.checkAcknowledged(now, out)
}

func (l *Leader) inform(f *learner, now int64, out *[]Effect) {
	info := packet.LeaderInfo{Protocol: packet.Protocol, Ours: true}
	f.stage, f.deadline = informed, now+l.ticks(l.cfg.InitLimit)
	send(out, f.link, packet.Packet{Type: packet.TypeLeaderInfo, Zxid: l.newEpoch() + znode.Zxid(l.cfg.CounterStart), Data: info.AppendJute(nil)})
}

// newEpoch is the zxid that stands for the epoch.
func (l *Leader) newEpoch() znode.Zxid { return znode.MakeZxid(uint32(l.epoch), 0) }

// ackEpoch takes a learner's promise and the summary of its history. One that had promised the epoch before, to whomever, says -1 and
// is not counted; nor is one without a history to speak of. Once a quorum has promised, nobody can be ahead.
func (l *Leader) ackEpoch(f *learner, p *packet.Packet, now int64, out *[]Effect) {
	switch {
	case f.stage != informed:
		l.close(f, ErrUnexpected, p.Zxid, now, out)
		return
	case len(p.Data) < 4:
		l.close(f, ErrMalformed, p.Zxid, now, out)
		return
	case p.Zxid >= 0 && int64(p.Zxid.Epoch()) > l.epoch:
		l.close(f, ErrAhead, p.Zxid, now, out)
		return
	}
	f.stage, f.last = waiting, p.Zxid
	if l.phase > acknowledging {
		l.sync(f, now, out)
		return
	}
	if epoch := int64(int32(binary.BigEndian.Uint32(p.Data))); epoch != -1 {
		if epoch > l.cfg.CurrentEpoch || epoch == l.cfg.CurrentEpoch && f.last > l.cfg.Last {
			l.close(f, ErrAhead, p.Zxid, now, out)
			return
		}
		if f.voter != nil && f.last != -1 {
			f.voter.acknowledged = true
		}
	}
	l.checkAcknowledged(now, out)
}

func (l *Leader) checkAcknowledged(now int64, out *[]Effect) {
	if !l.cfg.Quorum.Quorum(func(id packet.ServerID) bool { return id == l.cfg.Self || l.byID[id].acknowledged }) {
		return
	}
	l.phase, l.deadline = settling, now+l.ticks(l.cfg.InitLimit)
	*out = append(*out, Effect{Kind: SaveCurrentEpoch, Epoch: l.epoch})
	for _, f := range l.learners {
		if f.stage == waiting {
			l.sync(f, now, out)
		}
	}
}

// settle takes the acknowledgement of NEWLEADER: history and epoch are on the learner's disk.
func (l *Leader) settle(f *learner, now int64, out *[]Effect) {
	f.stage = settled
	if f.sent > f.acked {
		f.pace.begin(f.sent, now)
	}
	if l.phase == settling {
		l.checkSettled(now, out)
		return
	}
	l.release(f, out)
	l.ping(f, now, out)
	l.commit(out)
}

// checkSettled establishes the leadership when a quorum, we among it, has our history and epoch on disk and is still with us: then all
// of that history is committed, and not earlier (ZOOKEEPER-790).
func (l *Leader) checkSettled(now int64, out *[]Effect) {
	if !l.settled || !l.cfg.Quorum.Quorum(func(id packet.ServerID) bool {
		f := l.byID[id].learner
		return id == l.cfg.Self || f != nil && f.stage >= settled
	}) {
		return
	}
	l.phase = leading
	*out = append(*out, Effect{Kind: Established, Epoch: l.epoch, Zxid: l.committed})
	for _, f := range l.learners {
		if f.stage == settled {
			l.release(f, out)
		}
	}
	l.round(now, out)
}
