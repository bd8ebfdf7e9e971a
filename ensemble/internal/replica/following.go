package replica

import (
	"errors"
	"fmt"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/zab"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// How often an elected leader that does not answer is tried, and how long to wait before trying again, in milliseconds: it takes
// a leader a moment to open its port. The wait doubles up to the longest.
const (
	dialTries   = 8
	dialBudget  = 1500 // from the election on; a server that does not lead lets who calls it wait for a while
	dialWait    = 10
	dialLongest = 200
)

// How long a server waits before it calls a leader that it has left in vain more than once, one time after the other, in
// milliseconds: what fails at once may fail so for ever, and costs the leader a snapshot each time. The first time it comes back
// at once. The wait doubles up to the longest, which is a second or a quarter of initLimit, whichever is less; who serves, or is to follow
// another leader, starts anew.
const (
	vainWait    = 50
	vainLongest = 1000
)

// pause is how long to wait before the elected leader is called.
func (r *Replica) pause() int64 {
	if r.vainBy != r.vote.Leader || r.vain < 2 {
		return 0
	}
	longest := min(vainLongest, r.cfg.Tick*int64(r.cfg.InitLimit)/4)
	return min(vainWait<<min(r.vain-2, 10), longest)
}

// inVain notes that the present role ends. It was in vain if it had begun to learn and did not come to serve.
func (r *Replica) inVain(err error) {
	switch {
	case r.serving || errors.Is(err, errHealed):
		r.vain = 0
	case r.role != Leading && r.heard:
		if r.vainBy != r.vote.Leader {
			r.vain, r.vainBy = 0, r.vote.Leader
		}
		r.vain++
	}
}

// follow begins to follow, or observe, the elected leader.
func (r *Replica) follow(now Time) {
	r.role = Following
	if !r.cfg.Quorum.Voter(r.cfg.Self) {
		r.role = Observing
	}
	r.settleVote()
	wait := r.pause()
	r.elected, r.retryAt = now.Mono+wait, now.Mono+wait
	r.established, r.agreed, r.heard, r.tries, r.dialing = false, 0, false, 0, false
	if wait == 0 {
		r.dial()
	}
}

func (r *Replica) dial() {
	r.dialing = true
	r.link(LinkOp{Kind: LinkDial, Server: r.vote.Leader})
}

// comeAgain leaves the leader's link, and calls the same leader anew, in the role that we have.
func (r *Replica) comeAgain(err error, now Time) {
	for _, id := range r.links {
		r.link(LinkOp{Kind: LinkClose, Link: id, Err: err})
	}
	r.links, r.learner = r.links[:0], nil
	r.elected, r.agreed, r.heard, r.tries = now.Mono, 0, false, 0
	r.dial()
}

// giveUpAt is when the elected leader has had its time to be reached, in milliseconds of the monotonic clock: initLimit ticks, whatever
// has come of the calls, which may take longer each where packets are lost.
func (r *Replica) giveUpAt() int64 { return r.elected + int64(r.cfg.InitLimit)*r.cfg.Tick }

// redial tries again when it is time, or gives up.
func (r *Replica) redial(now Time) {
	switch {
	case now.Mono >= r.giveUpAt():
		r.leave(fmt.Errorf("%w: server %d", errNoLeader, r.vote.Leader), now)
	case !r.dialing && now.Mono >= r.retryAt:
		r.dial()
	}
}

// LinkFailed says that the leader could not be reached.
func (r *Replica) LinkFailed(now Time) {
	if r.role != Following && r.role != Observing || r.learner != nil {
		return
	}
	if r.dialing, r.tries = false, r.tries+1; r.tries >= dialTries || now.Mono-r.elected >= dialBudget {
		r.leave(fmt.Errorf("%w: server %d", errNoLeader, r.vote.Leader), now)
		return
	}
	r.retryAt = now.Mono + int64(min(dialWait<<(r.tries-1), dialLongest))
}

// Linked says that the leader that was to be dialed is on this link.
func (r *Replica) Linked(server packet.ServerID, id packet.LinkID, now Time) {
	if !r.dialing || r.learner != nil || server != r.vote.Leader {
		r.link(LinkOp{Kind: LinkClose, Link: id, Err: errNoLeader})
		return
	}
	r.dialing = false
	r.links = append(r.links, id)
	clear(r.clients.unclaimed)
	if r.uncutBy != server {
		r.uncut = zab.Uncut{}
	}
	r.learner = zab.NewLearner(zab.LearnerConfig{
		Self: r.cfg.Self, Leader: server, Observer: r.role == Observing, Untrusted: r.untrusted != nil, Uncut: r.uncut,
		Tick: r.cfg.Tick, InitLimit: r.cfg.InitLimit, SyncLimit: r.cfg.SyncLimit,
		Quorum: r.cfg.Quorum, AcceptedEpoch: r.epochs.accepted, CurrentEpoch: r.epochs.current, Last: r.synced,
	}, now.Mono, &r.effects)
	r.learner.Connected(now.Mono, &r.effects)
	r.handle(now)
}

// Installing reports whether a snapshot may be taken in on a link: its stream follows. What it replaces goes on being used until
// Installed.
func (r *Replica) Installing(id packet.LinkID) bool {
	return r.installing && r.linked(id)
}

// BeginInstall is Installing for whoever is going to make the snapshot durable in place of all there is. Until Installed or
// NotInstalled says what came of it nobody can say what is on this server's disk, and it does not vote.
func (r *Replica) BeginInstall(id packet.LinkID) bool {
	if r.replacing || !r.Installing(id) {
		return false
	}
	r.replacing, r.partial = true, r.learner.Partial()
	return true
}

// Partial reports whether the snapshot that is being made durable is not to be believed without what follows it, as zab's Learner says.
// Whoever makes it durable has to note that, until a DiskWhole.
func (r *Replica) Partial() bool { return r.partial }

// NotInstalled says that the snapshot has not come to its end, and that what was there before still is.
func (r *Replica) NotInstalled(now Time) {
	r.replacing = false
	r.look(now)
}

// Progress says that a snapshot goes on being taken in, or sent, on a link.
func (r *Replica) Progress(id packet.LinkID, now Time) {
	switch {
	case !r.linked(id):
	case r.learner != nil:
		r.learner.Progress(now.Mono)
	case r.leader != nil:
		r.leader.Progress(id, now.Mono)
	}
}

// Installed says that the store holds nothing but the leader's snapshot now, of which t is the tree. It changes the tree. Whoever was
// connected is not any more: nobody can tell which of their requests are in it.
func (r *Replica) Installed(id packet.LinkID, t *tree.Tree, now Time) {
	zxid := t.Zxid()
	r.replacing = false
	r.closeAll()
	r.tree, r.waiting = t, queue{}
	r.publish(now)
	r.logged, r.synced, r.committed = zxid, zxid, zxid
	r.history.Reset(zxid)
	r.uncut = zab.Uncut{}
	if !r.Installing(id) {
		if r.partial && r.untrusted == nil {
			r.untrusted = ErrFuzzy
		}
		r.look(now)
		return
	}
	r.installing, r.installed, r.fuzzy = false, true, r.partial
	r.learner.Installed(zxid, now.Mono, &r.effects)
	r.handle(now)
}

// learn carries out what the learner wants.
func (r *Replica) learn(e *zab.Effect, now Time) {
	switch e.Kind {
	case zab.Append:
		r.append(&e.Record, now)
	case zab.Truncate:
		op := DiskOp{Kind: DiskTruncate, Zxid: e.Zxid, Reload: r.tree.Zxid() > e.Zxid}
		if op.Reload {
			r.closeAll()
		}
		r.disk(op)
	case zab.Install:
		r.installing = true
	case zab.Committed:
		r.agree(e.Zxid)
	case zab.Established:
		r.established = true
		r.noteForesight(e.Epoch)
		r.agree(r.agreed)
		r.agree(r.learner.Base())
		r.serveFrom = max(r.committed, r.logged) // what was asked for on an earlier link to this leader may be among it
		r.vote.Epoch = e.Epoch
		r.settleVote()
		r.serve(now)
	case zab.Pass:
		r.told(&e.Packet, now)
	case zab.Abandon:
		if errors.Is(e.Err, zab.ErrTruncate) {
			r.comeAgain(e.Err, now)
			return
		}
		if errors.Is(e.Err, zab.ErrTimeout) {
			// Its links may stand for a long time yet. Nobody needs to wait for the vote of who has fallen silent.
			r.silent = r.vote.Leader
			r.election.Reachable(r.silent, false, now.Mono, &r.ready.Votes)
		}
		r.leave(e.Err, now)
	}
}

// agree notes how far the ensemble has agreed. Before this server is established in its role that is only what the leader would
// have the ensemble agree on: its history is everybody's when a quorum has it, and not before.
func (r *Replica) agree(zxid znode.Zxid) {
	if !r.established {
		r.agreed = max(r.agreed, zxid)
		return
	}
	r.committed = max(r.committed, zxid)
}

// append takes a proposal to the log. The payload gets memory of its own: it lives on in the tree and in the history, long after
// the packets it came with.
func (r *Replica) append(rec *zab.Record, now Time) {
	payload := slices.Clone(rec.Payload)
	x, err := txn.Decode(payload)
	if err == nil && x.Zxid != rec.Zxid {
		err = fmt.Errorf("%w: it says it is %v", jute.ErrMalformed, x.Zxid)
	}
	if err != nil {
		r.leave(fmt.Errorf("replica: proposal %v: %w", rec.Zxid, err), now)
		return
	}
	if err := r.history.Add(zab.Record{Zxid: rec.Zxid, Payload: payload}); err != nil {
		r.leave(err, now)
		return
	}
	r.tally.Received++
	r.waiting.push(x)
	rs := r.records()
	rs.List = append(rs.List, Record{Zxid: rec.Zxid, Payload: payload})
	r.logged = rec.Zxid
}

// told takes in what the leader has to say besides the order of things.
func (r *Replica) told(p *packet.Packet, now Time) {
	switch p.Type {
	case packet.TypeSync:
		r.local.synced(r.committed)
	case packet.TypeRevalidate:
		var v packet.Revalidated
		if err := packet.Decode(p.Data, &v); err != nil {
			r.leave(fmt.Errorf("replica: leader %d: %w", r.vote.Leader, err), now)
			return
		}
		r.revalidated(v.Session, v.Valid)
	case packet.TypePing:
		r.pong(now)
	}
}

// pong tells the leader who was heard of since the last time.
func (r *Replica) pong(now Time) {
	touches := make([]packet.Touch, 0, len(r.touched))
	for id, timeout := range r.touched {
		touches = append(touches, packet.Touch{Session: id, Timeout: timeout})
	}
	slices.SortFunc(touches, func(a, b packet.Touch) int { return int(min(max(a.Session-b.Session, -1), 1)) })
	clear(r.touched)
	r.learner.PingReply(packet.AppendTouches(nil, touches), now.Mono, &r.effects)
}

// forward sends the leader a request.
func (r *Replica) forward(e *local) {
	req := packet.Request{Session: e.Session, Cxid: e.Xid, Op: e.Op}
	if e.Record != nil {
		req.Body = e.Record.AppendJute(nil)
	}
	ids := e.IDs
	if ids == nil {
		ids = []znode.ID{} // null is something else to Apache's leader
	}
	r.send(packet.Packet{Type: packet.TypeRequest, Zxid: -1, Data: req.AppendJute(nil), IDs: ids})
}

// revalidate asks the leader whether a session may go on here.
func (r *Replica) revalidate(id znode.SessionID, timeout int32) {
	ask := packet.Revalidate{Session: id, Timeout: timeout}
	r.send(packet.Packet{Type: packet.TypeRevalidate, Zxid: -1, Data: ask.AppendJute(nil)})
}

// send sends the leader a packet.
func (r *Replica) send(p packet.Packet) {
	r.link(LinkOp{Kind: LinkSend, Link: r.links[0], Packet: p})
}
