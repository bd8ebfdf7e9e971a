package election

import (
	"cmp"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
)

// A ballot is what a voter said last.
type ballot struct {
	vote   Vote
	state  packet.State
	legacy bool // from before there were epochs in votes
}

// agrees reports whether two ballots elect the same leader. While one is still looking they must be the same in everything;
// servers in office tell the round and the zxid they once voted with, which differ (ZOOKEEPER-1732, 1805).
func (b ballot) agrees(o ballot) bool {
	if b.state == packet.Looking || o.state == packet.Looking {
		return b.vote == o.vote
	}
	return b.vote.Leader == o.vote.Leader && (b.legacy != o.legacy || b.vote.Epoch == o.vote.Epoch)
}

// better reports whether v is a better vote than the current one: of a longer history, and for a server that may lead.
func (e *Election) better(v, current Vote) bool {
	if e.c.Quorum.Weight(v.Leader) == 0 {
		return false
	}
	return e.c.Quorum.Weight(current.Leader) == 0 ||
		cmp.Or(cmp.Compare(v.Epoch, current.Epoch), cmp.Compare(v.Zxid, current.Zxid), cmp.Compare(v.Leader, current.Leader)) > 0
}

// elected reports whether a quorum of the ballots agrees with one from a server in office, and its leader is known to lead:
// followers may still name one that is gone.
func (e *Election) elected(ballots map[packet.ServerID]ballot, b ballot) bool {
	leader := b.vote.Leader
	if leader == e.c.Self {
		if e.abstains || b.vote.Round != e.round {
			return false
		}
	} else if l, ok := ballots[leader]; !ok || l.state != packet.Leading || l.vote.Leader != leader {
		return false
	}
	return e.c.Quorum.Quorum(func(id packet.ServerID) bool {
		other, ok := ballots[id]
		return ok && other.agrees(b)
	})
}

// consider decides if the proposal has a quorum and nothing better is to be waited for, or says until when to wait.
func (e *Election) consider(now int64, out *[]Message) {
	if !e.c.Quorum.Quorum(e.proposes) {
		e.agreed, e.decideAt = never, never
		return
	}
	e.agreed = min(e.agreed, now)
	e.decideAt = e.agreed + e.c.Finalize
	if e.unanimous() {
		e.decideAt = now
		if e.strange() {
			e.decideAt = e.begun + e.c.Finalize
		}
	}
	if now >= e.decideAt {
		e.decide(e.vote, out)
	}
}

// proposes reports whether id votes as this server does.
func (e *Election) proposes(id packet.ServerID) bool {
	b, ok := e.received[id]
	return ok && b.vote == e.vote
}

// unanimous reports whether every voter that can be reached votes as this server does, the proposed leader is one of them,
// and they are a quorum. One that abstains has nothing to say.
func (e *Election) unanimous() bool {
	for _, id := range e.voters {
		if e.up[id] && !e.abstaining[id] && !e.proposes(id) {
			return false
		}
	}
	here := func(id packet.ServerID) bool { return (e.up[id] || id == e.c.Self) && e.proposes(id) }
	return here(e.vote.Leader) && e.c.Quorum.Quorum(here)
}

// strange reports whether there is a voter that was never reached: down, or its link is still being made.
func (e *Election) strange() bool {
	for _, id := range e.voters {
		if id != e.c.Self && !e.seen[id] {
			return true
		}
	}
	return false
}

// decide ends the looking. Servers that would otherwise find out only by asking again are told, and so is the leader, which
// need not wait for better votes when a quorum has made up its mind.
func (e *Election) decide(v Vote, out *[]Message) {
	e.side(v)
	state := packet.Following
	switch {
	case v.Leader == e.c.Self:
		state = packet.Leading
	case !e.isVoter[e.c.Self]:
		state = packet.Observing
	}
	e.Settle(state, v)
	e.decided = true
	if !e.isVoter[e.c.Self] {
		return
	}
	n := e.notification()
	for _, id := range e.voters {
		b, heard := e.received[id]
		differs := heard && b.state == packet.Looking && b.vote != v
		if id != e.c.Self && (differs || id == v.Leader || e.abstaining[id]) {
			e.send(id, n, out)
		}
	}
	n.Round = e.round
	for _, m := range e.c.Quorum.Members {
		if e.asked[m.ID] {
			e.send(m.ID, n, out)
		}
	}
}

// side notes who is for the leader that is decided for. The leader itself is, also when it was only heard of.
func (e *Election) side(v Vote) {
	e.behind = map[packet.ServerID]bool{v.Leader: true}
	for _, ballots := range []map[packet.ServerID]ballot{e.settled, e.received} {
		for id, b := range ballots {
			e.behind[id] = e.behind[id] || b.vote.Leader == v.Leader
		}
	}
}

// changeSides notes whether a voter is still, or now, for the leader that was decided for. What it said in earlier rounds says nothing.
func (e *Election) changeSides(from packet.ServerID, n *packet.Notification) {
	switch {
	case n.Round < e.vote.Round || e.vote.Leader == noLeader:
	case n.Leader != e.vote.Leader && e.better(voteOf(n), e.vote):
		delete(e.behind, from)
	case n.Leader == e.vote.Leader && n.State != packet.Observing:
		e.behind[from] = true
	}
}
