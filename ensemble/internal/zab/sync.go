package zab

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A Plan is how a learner gets a leader's history.
type Plan struct {
	Type packet.Type // TypeDiff, TypeTrunc or TypeSnap
	Zxid znode.Zxid  // of DIFF: where the history ends; of TRUNC: where to cut; unset for SNAP
	From znode.Zxid  // records after it follow; unset for SNAP
}

// Plan decides for a learner whose log ends with last, given that the history up to upto is to be its own (what lies beyond is
// proposed anew).
//
//   - DIFF if last is in the history, so that nothing is missing between (ZOOKEEPER-2418, -4352). A last with counter 0 is the mark of an
//     epoch's beginning, not a transaction: whoever has it has everything before.
//   - TRUNC to exactly the last zxid that both have (ZOOKEEPER-1156), the one before last in the history. If it is of last's epoch,
//     two logs of one epoch agree as far as both go. If it is of an earlier one, we have nothing of last's epoch; but that epoch had a
//     leader whose history a quorum took over before it proposed anything, so both logs have that, and we nothing beyond it.
//   - SNAP if the history does not reach back so far, or the learner has nothing.
//
// TRUNC never takes from a learner what was agreed upon, and may have only few disks to be on. SNAP might, where the tree is
// behind the log; see [Leader.SnapshotTaken].
//
// Apache's learners (ours is false) cut badly: they keep a snapshot of what was cut (ZOOKEEPER-1549, -4837), or the record after the
// cut when it falls on a snapshot. But after SNAP they keep the log beyond it. So they are told TRUNC where SNAP would be worse:
// when they are ahead of all we have.
func (h *History) Plan(last, upto znode.Zxid, ours bool) Plan {
	switch {
	case last == upto, last > upto && last.Counter() == 0:
		return Plan{Type: packet.TypeDiff, Zxid: last, From: last}
	case last > upto:
		return cut(upto)
	case last < h.base:
		return Plan{Type: packet.TypeSnap}
	case h.Has(last) || last.Counter() == 0:
		return Plan{Type: packet.TypeDiff, Zxid: upto, From: last}
	case !ours:
		return Plan{Type: packet.TypeSnap}
	}
	if i := h.After(last); i > 0 {
		return cut(h.At(i - 1).Zxid)
	}
	return cut(h.base)
}

// cut is TRUNC to z, if z is a transaction.
func cut(z znode.Zxid) Plan {
	if z.Counter() == 0 {
		return Plan{Type: packet.TypeSnap}
	}
	return Plan{Type: packet.TypeTrunc, Zxid: z, From: z}
}

// sync begins to give a learner our history.
func (l *Leader) sync(f *learner, now int64, out *[]Effect) {
	f.deadline = now + l.ticks(l.cfg.InitLimit+l.cfg.SyncLimit)
	plan := l.history.Plan(f.last, l.committed, f.ours)
	if plan.Type == packet.TypeSnap {
		f.stage = snapshotting
		*out = append(*out, Effect{Kind: TakeSnapshot, Link: f.link})
		return
	}
	send(out, f.link, packet.Packet{Type: plan.Type, Zxid: plan.Zxid})
	l.forward(f, plan.From, out)
}

// SnapshotTaken completes TakeSnapshot: SNAP and its stream, the tree at zxid, are queued on the link. What follows zxid is queued
// behind it, then NEWLEADER, which therefore cannot be acknowledged without the snapshot (ZOOKEEPER-3104). A link that has ended
// meanwhile is ignored. A tree older than what Applied told cannot be used, since what follows is forgotten. Nor can one that is older
// than what the learner has, for of that some may have been agreed upon because the learner has it. Then the link is closed with
// ErrForgotten, and the learner tries again.
func (l *Leader) SnapshotTaken(link packet.LinkID, zxid znode.Zxid, now int64, out *[]Effect) {
	f := l.links[link]
	if f == nil || f.stage != snapshotting || l.phase == ended {
		return
	}
	if zxid > l.committed || !l.history.Has(zxid) || f.last <= l.committed && zxid < f.last {
		l.close(f, ErrForgotten, zxid, now, out)
		return
	}
	f.deadline = now + l.ticks(l.cfg.InitLimit+l.cfg.SyncLimit)
	l.forward(f, zxid, out)
}

// forward queues what follows from: first what is committed, each with its COMMIT, then for participants what is proposed,
// then NEWLEADER. Whatever is proposed from now on is queued behind.
func (l *Leader) forward(f *learner, from znode.Zxid, out *[]Effect) {
	for i := l.history.After(from); i < l.history.Len(); i++ {
		r := l.history.At(i)
		if r.Zxid > l.committed && f.observer {
			break
		}
		send(out, f.link, packet.Packet{Type: packet.TypeProposal, Zxid: r.Zxid, Data: r.Payload})
		if r.Zxid <= l.committed {
			send(out, f.link, packet.Packet{Type: packet.TypeCommit, Zxid: r.Zxid})
		} else {
			f.sent = r.Zxid
		}
	}
	var config []byte
	if l.cfg.Config != "" {
		config = []byte(l.cfg.Config)
	}
	send(out, f.link, packet.Packet{Type: packet.TypeNewLeader, Zxid: l.newEpoch(), Data: config})
	f.stage, f.commits = syncing, l.committed
}

// release declares a learner up to date, and tells it the commits that were held back: between NEWLEADER and UPTODATE a COMMIT
// ends the synchronisation of Apache's 3.8 (ZOOKEEPER-4394). Observers were told all along.
func (l *Leader) release(f *learner, out *[]Effect) {
	f.stage = current
	send(out, f.link, packet.Packet{Type: packet.TypeUpToDate, Zxid: -1})
	if f.observer {
		return
	}
	for f.commits < l.committed {
		f.commits = l.after(f.commits)
		send(out, f.link, packet.Packet{Type: packet.TypeCommit, Zxid: f.commits})
	}
}

// Progress says that bytes of what was queued on the link have left, as those of a snapshot. It keeps a learner that is being
// synchronised, and the phase that waits for it, from timing out (ZOOKEEPER-1697).
func (l *Leader) Progress(link packet.LinkID, now int64) {
	f := l.links[link]
	if f == nil || f.stage != snapshotting && f.stage != syncing {
		return
	}
	f.deadline = max(f.deadline, now+l.ticks(l.cfg.InitLimit+l.cfg.SyncLimit))
	if l.phase == settling && f.voter != nil {
		l.deadline = max(l.deadline, now+l.ticks(l.cfg.InitLimit))
	}
}

// Applied says that the own tree has everything up to zxid; a snapshot will not be older. History after it is kept.
func (l *Leader) Applied(zxid znode.Zxid) {
	if l.phase != ended {
		l.history.Keep(min(zxid, l.committed))
	}
}
