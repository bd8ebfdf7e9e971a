package replica

import (
	"errors"
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/election"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/zab"
)

// Reasons why a server's data counts in no quorum until it has been replaced by a leader's.
var (
	// ErrNewcomer: it is empty, and others are not.
	ErrNewcomer = errors.New("replica: this server is empty and others are not: it takes over their data before it votes")
	// ErrFuzzy: it has a snapshot that must not be believed without what followed, and not all of that.
	ErrFuzzy = errors.New("replica: the leader was lost between its snapshot and what makes that whole")
	// ErrTruncate: the log was found damaged when it was to be cut.
	ErrTruncate = errors.New("replica: the log cannot be cut")
)

var (
	errNoLeader = errors.New("replica: the elected leader does not answer")
	errOutvoted = errors.New("replica: others have found a better leader")
)

// The transitions between roles. A server looks for a leader as soon as the role before is over and everything it asked
// of the disk is done: a vote names the last transaction in the log, and that has to be there.

// look begins to look for a leader, or waits for the disk.
func (r *Replica) look(now Time) {
	if r.role != Looking || r.writing > 0 || r.replacing {
		return
	}
	r.election.Look(r.candidate(), now.Mono, &r.ready.Votes)
	r.decide(now)
}

// candidate is what this server has to show when it wants to lead.
func (r *Replica) candidate() election.Candidate {
	return election.Candidate{Zxid: r.synced, Epoch: r.epochs.current, Abstain: r.untrusted != nil}
}

// Vote takes in a notification from another server.
func (r *Replica) Vote(from packet.ServerID, n *packet.Notification, now Time) {
	if from == r.silent { // it speaks again
		r.silent = 0
		r.election.Reachable(from, true, now.Mono, &r.ready.Votes)
	}
	r.election.Receive(from, n, now.Mono, &r.ready.Votes)
	r.reconsider(now)
	r.decide(now)
}

// Reachable says that the connection to another server's election port is there, or no longer is.
func (r *Replica) Reachable(id packet.ServerID, up bool, now Time) {
	if id == r.silent {
		r.silent = 0
	}
	r.election.Reachable(id, up, now.Mono, &r.ready.Votes)
	r.decide(now)
}

// decide takes a role if the election is over.
func (r *Replica) decide(now Time) {
	if r.role != Looking || r.writing > 0 || r.replacing {
		return
	}
	if r.untrusted == nil && r.synced == 0 && r.epochs.current == 0 && r.election.History() {
		r.untrusted = ErrNewcomer // an empty server must not make up a majority that outvotes those who know something
		r.look(now)
		return
	}
	vote, ok := r.election.Decision()
	if !ok {
		return
	}
	r.vote = vote
	r.tally.takes(now)
	if vote.Leader == r.cfg.Self {
		r.takeLead(now)
		return
	}
	r.follow(now)
}

// reconsider leaves a role of which it is known before it has begun that nothing will come of it: a leader whose quorum has found a better
// one meanwhile, a follower whose leader has. Both are a matter of who heard of whom first; whoever was late looks again at once.
func (r *Replica) reconsider(now Time) {
	if r.established || r.role == Looking || r.role == Standalone {
		return
	}
	switch {
	case r.role != Leading:
		if r.heard || r.election.Behind(r.vote.Leader) {
			return
		}
	case r.cfg.Quorum.Quorum(func(id packet.ServerID) bool {
		return id == r.cfg.Self || r.leader.Follows(id) || r.election.Behind(id)
	}):
		return
	}
	r.leave(errOutvoted, now)
}

// settleVote makes the election answer others with the vote that was elected; once the role is established, under its epoch
// (ZOOKEEPER-1732).
func (r *Replica) settleVote() {
	state := packet.Following
	switch r.role {
	case Leading:
		state = packet.Leading
	case Observing:
		state = packet.Observing
	}
	r.election.Settle(state, r.vote)
}

// leave ends the present role. Clients are kept, see [Config].
func (r *Replica) leave(err error, now Time) {
	if r.role == Looking || r.role == Standalone {
		return
	}
	if r.role == Leading {
		r.link(LinkOp{Kind: LinkRefuse})
	}
	r.inVain(err)
	for _, id := range r.links {
		r.link(LinkOp{Kind: LinkClose, Link: id, Err: err})
	}
	if r.serving {
		r.since = now.Mono
	}
	r.left = err
	r.tally.looks(now)
	r.role, r.serving, r.links = Looking, false, r.links[:0]
	r.established = false
	r.leader, r.learner, r.planner, r.sessions = nil, nil, nil, nil
	r.answers, r.early, r.due, r.moved = nil, nil, nil, nil
	r.dialing, r.installing, r.doubts.row = false, false, 0
	r.sweeper = sweeper{}
	r.effects = r.effects[:0]
	r.local.unsend()
	r.roleOver = true
	r.installed = false
	if r.fuzzy {
		r.untrusted, r.fuzzy = ErrFuzzy, false
	}
	r.election.Withdraw() // others are not to wait for a leader that is none while the disk keeps this server from looking
	r.look(now)
}

// Resign ends the present role as if it had failed, for tests; whoever looks or stands alone goes on.
func (r *Replica) Resign(now Time) { r.leave(errResigned, now) }

var errResigned = errors.New("replica: told to resign")

// Left is why the last role ended, nil if none has.
func (r *Replica) Left() error { return r.left }

// distrust makes this server's data count in no quorum until a leader's has replaced it.
func (r *Replica) distrust(err error, now Time) {
	r.untrusted = err
	r.closeAll()
	r.waiting = queue{}
	if r.role == Looking { // with a vote that is not to count
		r.look(now)
		return
	}
	r.leave(err, now)
}

// serve begins to serve clients as soon as the tree has everything that came before this role was established. What was asked
// for earlier and is in the history has been answered by then; what is not in it was not done, and never will be.
func (r *Replica) serve(now Time) {
	if r.serving || !r.established || r.tree.Zxid() < r.serveFrom {
		return
	}
	if r.untrusted != nil { // it has the leader's data now, and comes back as what it is
		r.untrusted = nil
		r.leave(errHealed, now)
		return
	}
	r.serving, r.held = true, true
	r.tally.serves(r.role, r.since, now)
	r.doubt()
	r.askedEpoch = r.vote.Epoch
	r.local.keep(func(e *local) bool {
		if e.Op == wire.OpCreateSession {
			if r.clients.opening[e.Session] != 0 {
				return true
			}
			delete(r.clients.opening, e.Session)
			return false
		}
		c := r.clients.byConn[e.Conn]
		return c != nil && !c.cut
	})
	if r.role == Leading {
		r.lead(now)
	} else {
		r.touchAll()
	}
	for i := range r.clients.attaching {
		if a := &r.clients.attaching[i]; a.asked || a.valid || a.round > 0 { // what an earlier leader said is not this one's word
			r.admit(a, now)
		}
	}
	r.flushEarly(now)
	r.pump(now)
	r.letIn(now)
}

// doubt ends the connections with requests of which nobody can say whether they were done. The history tells it as a rule; but
// to the same leader, in the same epoch, they may be on their way still: an observer hears of nothing before it is committed, and
// a leader of Apache's may take up what came on an earlier link after a later one.
func (r *Replica) doubt() {
	if r.vote.Epoch != r.askedEpoch || r.role == Leading || r.role == Following && r.learner.Ours() {
		return
	}
	for i := r.local.head; i < min(r.local.asked, len(r.local.list)); i++ {
		e := &r.local.list[i]
		e.asked = e.Op == wire.OpCloseSession
		if c := r.clients.byConn[e.Conn]; e.Op != wire.OpSync && c != nil && !c.cut {
			if c.session != 0 {
				r.release(c.session)
			}
			if e.Op == wire.OpCreateSession {
				delete(r.clients.opening, e.Session)
			}
			c.cut = true
			r.client(ClientOp{Kind: ClientClose, Conn: e.Conn})
		}
	}
}

var errHealed = errors.New("replica: this server has taken over the leader's data, and joins again")

// Tick says what time it is. Touches up to now must have been told before.
func (r *Replica) Tick(now Time) {
	switch r.role {
	case Looking:
		r.election.Tick(now.Mono, &r.ready.Votes)
		r.decide(now)
	case Leading:
		r.leader.Tick(now.Mono, &r.effects)
		r.handle(now)
		r.reconsider(now)
	case Following, Observing:
		if r.learner != nil {
			r.learner.Tick(now.Mono, &r.effects)
			r.handle(now)
		} else {
			r.redial(now)
		}
	}
	if r.sessions != nil && r.serving {
		r.tickSessions(now)
	}
	if !r.serving && r.held && now.Mono-r.since > r.cfg.Hold {
		r.held = false
		r.closeAll()
		r.refuseAll()
	}
}

// Next is when Tick is to be called at the latest, in milliseconds of the monotonic clock; earlier calls do no harm.
func (r *Replica) Next(now Time) int64 {
	next := now.Mono + max(r.cfg.Tick/4, 1)
	switch {
	case r.role == Looking:
		if r.writing == 0 {
			next = min(next, r.election.Next())
		}
	case r.role != Leading && r.learner == nil && r.role != Standalone:
		if next = min(next, r.giveUpAt()); !r.dialing {
			next = min(next, r.retryAt)
		}
	}
	return next
}

// Fresh reports whether a client may be told that its session lives: whoever can end it has heard of this server a short while
// ago (on the leader: a quorum has), and so not longer ago than that does a client believe in a session that others see end.
func (r *Replica) Fresh(now Time) bool {
	switch {
	case r.role == Standalone:
		return true
	case !r.serving:
		return false
	case r.leader != nil:
		return r.leader.Fresh(now.Mono)
	}
	return r.learner.Fresh(now.Mono)
}

// Written says that a disk operation is done, durably. Of an append, op.Zxid is the last record's; after a truncation that was to
// reload, t is what was read, and otherwise nil.
func (r *Replica) Written(op *DiskOp, t *tree.Tree, now Time) {
	r.writing--
	switch op.Kind {
	case DiskAppend:
		r.synced = max(r.synced, op.Zxid)
		if op.Records.Reset(); len(r.spare) < spareMost {
			r.spare = append(r.spare, op.Records)
		}
		switch {
		case r.role == Standalone:
			r.committed = r.synced
		case r.leader != nil:
			r.leader.Synced(r.synced, now.Mono, &r.effects)
		case r.learner != nil:
			r.learner.Synced(r.synced, now.Mono, &r.effects)
		}
	case DiskAcceptedEpoch:
		r.epochs.accepted = op.Epoch
		r.saved(zab.AcceptedEpoch, op.Epoch, now)
	case DiskCurrentEpoch:
		r.epochs.current = op.Epoch
		r.saved(zab.CurrentEpoch, op.Epoch, now)
	case DiskTruncate:
		r.truncated(op, t, now)
	}
	r.handle(now)
	r.look(now)
}

func (r *Replica) saved(which zab.EpochFile, epoch int64, now Time) {
	switch {
	case r.leader != nil:
		r.leader.Saved(which, epoch, now.Mono, &r.effects)
	case r.learner != nil:
		r.learner.Saved(which, epoch, now.Mono, &r.effects)
	}
}

// truncated takes note of a log that was cut.
func (r *Replica) truncated(op *DiskOp, t *tree.Tree, now Time) {
	r.waiting.truncate(op.Zxid)
	r.history.Truncate(op.Zxid)
	r.logged, r.synced, r.committed = min(r.logged, op.Zxid), min(r.synced, op.Zxid), min(r.committed, op.Zxid)
	if t != nil {
		r.tree = t
		r.publish(now)
		r.readAgain()
	}
	if r.learner != nil {
		r.learner.Truncated(op.Zxid, true, now.Mono, &r.effects)
	}
}

// Unreachable says that a truncation could not be done, and has changed nothing. If damage says what is wrong with the log this
// server's data counts no more. Otherwise the snapshots and the log begin behind where the leader's history parts from them, or have
// another history there; that is as good as any other until the leader's snapshot replaces it, for which it is called again, see
// [zab.Uncut].
func (r *Replica) Unreachable(op *DiskOp, damage error, now Time) {
	r.writing--
	if damage == nil && r.doubts.reading {
		damage = errNothingToRead
	}
	r.doubts.reading = false
	switch {
	case damage != nil:
		r.distrust(fmt.Errorf("%w: %v: %w", ErrTruncate, op.Zxid, damage), now)
	case r.learner != nil:
		r.uncut, r.uncutBy = zab.Uncut{Epoch: r.learner.Epoch(), Zxid: op.Zxid}, r.vote.Leader
		r.learner.Truncated(op.Zxid, false, now.Mono, &r.effects)
		r.handle(now)
	default:
		r.look(now)
	}
}

// Accepted says that a server has connected, which it does to learn.
func (r *Replica) Accepted(id packet.LinkID, now Time) {
	if r.leader == nil {
		r.link(LinkOp{Kind: LinkClose, Link: id, Err: errNoLeader})
		return
	}
	r.links = append(r.links, id)
	r.leader.Accept(id, now.Mono, &r.effects)
	r.handle(now)
}

// Packets takes in what came on a link. The packets belong to the Replica from now on.
func (r *Replica) Packets(id packet.LinkID, batch []packet.Packet, now Time) {
	for i := range batch {
		if !r.linked(id) {
			return // of an earlier role, or closed meanwhile
		}
		switch {
		case r.leader != nil:
			r.leader.Receive(id, &batch[i], now.Mono, &r.effects)
		case r.learner != nil:
			r.heard = true
			r.learner.Receive(&batch[i], now.Mono, &r.effects)
		}
		r.handle(now)
	}
}

// Learns reports whether somebody on a link learns from this server.
func (r *Replica) Learns(id packet.LinkID) bool { return r.leader != nil && r.linked(id) }

// Ours reports whether the learner on a link is a Bellwether.
func (r *Replica) Ours(id packet.LinkID) bool { return r.leader != nil && r.leader.Ours(id) }

func (r *Replica) linked(id packet.LinkID) bool {
	for _, l := range r.links {
		if l == id {
			return true
		}
	}
	return false
}

// unlink forgets a link; false if it is not one of this role.
func (r *Replica) unlink(id packet.LinkID) bool {
	for i, l := range r.links {
		if l == id {
			r.links = append(r.links[:i], r.links[i+1:]...)
			return true
		}
	}
	return false
}

// LinkDown says that a link is no more.
func (r *Replica) LinkDown(id packet.LinkID, err error, now Time) {
	if !r.unlink(id) {
		return
	}
	switch {
	case r.leader != nil:
		r.leader.Drop(id, now.Mono, &r.effects)
		r.handle(now)
	case r.learner != nil && !r.heard && r.writing == 0:
		r.learner = nil
		r.LinkFailed(now)
	default:
		r.leave(fmt.Errorf("replica: the connection to leader %d: %w", r.vote.Leader, err), now)
	}
}
