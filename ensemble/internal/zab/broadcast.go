package zab

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// lastCounter is the highest counter that is given away. One more, 0xffffffff, would have the next zxid fall into the next
// epoch; Apache's leader does not use it either (ZOOKEEPER-1277).
const lastCounter = 1<<32 - 2

// A watch sees that acknowledgements keep coming: not the age of every proposal, but of the oldest that was not acknowledged when
// the last one seen was (class LearnerHandler.SyncLimitCheck).
type watch struct {
	zxid  znode.Zxid // acknowledged by then; 0 if nothing is waited for
	since int64
}

func (w *watch) begin(zxid znode.Zxid, now int64) {
	if w.zxid == 0 {
		w.zxid, w.since = zxid, now
	}
}

// reached says what is acknowledged, and what is the last that should be.
func (w *watch) reached(acked, last znode.Zxid, now int64) {
	if w.zxid == 0 || acked < w.zxid {
		return
	}
	w.zxid = 0
	if acked < last {
		w.begin(last, now)
	}
}

func (w *watch) late(now, limit int64) bool { return w.zxid != 0 && now-w.since > limit }

// after is the zxid behind z, which is a transaction of our epoch or the last of the history before it.
func (l *Leader) after(z znode.Zxid) znode.Zxid {
	if int64(z.Epoch()) == l.epoch && z.Counter() > l.cfg.CounterStart {
		return z + 1
	}
	return znode.MakeZxid(uint32(l.epoch), l.cfg.CounterStart) + 1
}

// Next is the zxid of the next proposal. It means nothing before Established or when Exhausted.
func (l *Leader) Next() znode.Zxid { return l.after(l.last) }

// Exhausted reports whether the epoch has no further zxid: the counter's last value is never given away (ZOOKEEPER-1277), the leader
// has to make room for a new epoch.
func (l *Leader) Exhausted() bool {
	return int64(l.last.Epoch()) == l.epoch && l.last.Counter() >= lastCounter || l.cfg.CounterStart >= lastCounter
}

// Propose sends a transaction to all participants. The caller has queued it for its own log and will call Synced. The error is
// ErrNotEstablished before Established and ErrZxid if the record is not the one that Next names; then nothing has happened.
func (l *Leader) Propose(r Record, now int64, out *[]Effect) error {
	if l.phase != leading {
		return ErrNotEstablished
	}
	if r.Zxid != l.Next() || l.Exhausted() {
		return ErrZxid
	}
	if err := l.history.Add(r); err != nil {
		return err
	}
	l.last = r.Zxid
	l.pace.begin(r.Zxid, now)
	for _, f := range l.learners {
		if f.observer || f.stage < syncing {
			continue
		}
		send(out, f.link, packet.Packet{Type: packet.TypeProposal, Zxid: r.Zxid, Data: r.Payload})
		f.sent = r.Zxid
		if f.stage >= settled {
			f.pace.begin(r.Zxid, now)
		}
	}
	return nil
}

// Synced says that the own log is durable up to zxid.
func (l *Leader) Synced(zxid znode.Zxid, now int64, out *[]Effect) {
	zxid = min(zxid, l.last)
	if l.phase != leading || zxid <= l.synced {
		return
	}
	l.synced = zxid
	l.pace.reached(zxid, l.last, now)
	l.commit(out)
}

// ack takes the acknowledgement of NEWLEADER, or of a proposal and all before it: learners acknowledge in order. One that overtakes
// that of NEWLEADER, as Apache's 3.8.4 sends it (ZOOKEEPER-4685), counts when that has come. Those for records of the
// synchronisation say nothing new.
func (l *Leader) ack(f *learner, p *packet.Packet, now int64, out *[]Effect) {
	switch {
	case f.stage < syncing:
		l.close(f, ErrUnexpected, p.Zxid, now, out)
	case p.Zxid == l.newEpoch():
		if f.stage == syncing {
			l.settle(f, now, out)
		}
	case f.observer || p.Zxid.Counter() == 0 || p.Zxid <= f.acked:
	case p.Zxid > max(f.sent, l.committed):
		l.close(f, ErrAck, p.Zxid, now, out)
	case int64(p.Zxid.Epoch()) == l.epoch:
		f.acked = p.Zxid
		if f.stage >= settled {
			f.pace.reached(f.acked, f.sent, now)
			l.commit(out)
		}
	}
}

// acked is how far a voter's acknowledgements count.
func (l *Leader) acked(v *voter) znode.Zxid {
	switch {
	case v.id == l.cfg.Self:
		return l.synced
	case v.learner != nil && v.learner.stage >= settled:
		return v.learner.acked
	}
	return 0
}

// commit commits everything that a quorum has acknowledged, in order.
func (l *Leader) commit(out *[]Effect) {
	agreed := l.committed
	for i := range l.voters {
		if z := l.acked(&l.voters[i]); z > agreed {
			l.ackedLimit = z
			if l.cfg.Quorum.Quorum(l.hasAcked) {
				agreed = z
			}
		}
	}
	if agreed == l.committed {
		return
	}
	for i := l.history.After(l.committed); i < l.history.Len() && l.history.At(i).Zxid <= agreed; i++ {
		l.tell(l.history.At(i), out)
	}
	l.committed = agreed
	*out = append(*out, Effect{Kind: Committed, Zxid: agreed})
}

// tell announces a commit to everybody whose turn it is. Participants between NEWLEADER and UPTODATE are told later.
func (l *Leader) tell(r Record, out *[]Effect) {
	for _, f := range l.learners {
		switch {
		case f.observer && f.stage >= syncing:
			send(out, f.link, packet.Packet{Type: packet.TypeInform, Zxid: r.Zxid, Data: r.Payload})
		case !f.observer && f.stage == current:
			send(out, f.link, packet.Packet{Type: packet.TypeCommit, Zxid: r.Zxid})
			f.commits = r.Zxid
		}
	}
}
