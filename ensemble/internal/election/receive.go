package election

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
)

// Receive takes a notification in, whatever the server is doing. What cannot be is ignored: a vote from or for a server that
// is no voter, a state there is not, a round out of all measure. Before the first Look nothing is answered.
func (e *Election) Receive(from packet.ServerID, n *packet.Notification, now int64, out *[]Message) {
	if from == e.c.Self || n.State < packet.Looking || n.State > packet.Observing || n.Round > e.round+maxLeap {
		return
	}
	voter := e.isVoter[from]
	e.history = e.history || voter && (n.Zxid > 0 || n.PeerEpoch > 0)
	switch {
	case e.begun == never:
	case !voter:
		e.answerOutsider(from, n, now, out)
	default:
		if e.mustTell(n) {
			e.send(from, e.notification(), out)
		}
		switch {
		case !e.isVoter[n.Leader]:
		case e.state == packet.Looking:
			e.weigh(from, n, now, out)
		default:
			e.changeSides(from, n)
		}
	}
}

// mustTell reports whether n's sender, a voter, has to be told what this server knows: it looks, and this one has a leader or
// is in a later round. A looking server without vote tells nobody: its word would only be answered.
func (e *Election) mustTell(n *packet.Notification) bool {
	inOffice := e.state != packet.Looking && e.vote.Leader != noLeader
	return n.State == packet.Looking && (inOffice || n.Round < e.round && e.isVoter[e.c.Self])
}

// weigh takes in the vote of a voter while this server looks.
func (e *Election) weigh(from packet.ServerID, n *packet.Notification, now int64, out *[]Message) {
	switch n.State {
	case packet.Looking:
		e.receiveLooking(from, n, now, out)
	case packet.Following, packet.Leading:
		e.receiveSettled(from, n, now, out)
	}
}

// answerOutsider answers a server without vote, an observer or one that wants to join. It is told our own round, which is how
// Apache's observers expect it. Only questions are answered, and not without end: two servers that each take the other for an
// outsider would go on for ever.
func (e *Election) answerOutsider(from packet.ServerID, n *packet.Notification, now int64, out *[]Message) {
	if n.State != packet.Looking || !e.isVoter[e.c.Self] || !e.mayAnswer(now) {
		return
	}
	if _, member := e.c.Quorum.Member(from); member && e.state == packet.Looking {
		e.asked[from] = true
	}
	answer := e.notification()
	answer.Round = e.round
	e.send(from, answer, out)
}

// mayAnswer counts answers to outsiders: in MinInterval, enough for all there can be and for some strangers.
func (e *Election) mayAnswer(now int64) bool {
	if e.answersFrom == never || now-e.answersFrom >= e.c.MinInterval {
		e.answersFrom, e.answers = now, 0
	}
	e.answers++
	return e.answers <= 16+4*(len(e.c.Quorum.Members)-len(e.voters))
}

// receiveLooking takes in the proposal of a voter that looks as this server does.
func (e *Election) receiveLooking(from packet.ServerID, n *packet.Notification, now int64, out *[]Message) {
	if n.Zxid == -1 {
		e.abstaining[from] = true
		e.consider(now, out)
		return
	}
	delete(e.abstaining, from)
	theirs := voteOf(n)
	switch {
	case e.abstains || theirs.Round < e.round:
		return
	case theirs.Round > e.round:
		e.enter(theirs.Round)
		if e.better(theirs, e.own) {
			e.propose(theirs)
		} else {
			e.propose(e.own)
		}
		e.tellChange(out)
	case e.better(theirs, e.vote):
		e.propose(theirs)
		e.tellChange(out)
	case e.isVoter[e.c.Self] && e.better(e.vote, theirs):
		// It began to look after we had told it of ours, and has not taken it in. (Among Apache's it would learn of it when we
		// say it again, after MinInterval.) Only the better side answers, so this ends.
		e.send(from, e.notification(), out)
	}
	e.received[from] = ballot{vote: theirs, state: n.State, legacy: n.Version == 0}
	e.consider(now, out)
}

// tellChange tells the voters of a new proposal, which from a server without vote is of no interest.
func (e *Election) tellChange(out *[]Message) {
	if e.isVoter[e.c.Self] {
		e.broadcast(out)
	}
}

// receiveSettled takes in the vote of a server that has a leader or is one. A quorum of those ends the election, in whatever
// round they found their leader.
func (e *Election) receiveSettled(from packet.ServerID, n *packet.Notification, now int64, out *[]Message) {
	b := ballot{vote: voteOf(n), state: n.State, legacy: n.Version == 0}
	if n.Round == e.round {
		e.received[from] = b
		if e.elected(e.received, b) {
			e.decide(b.vote, out)
			return
		}
	}
	e.settled[from] = b
	if e.elected(e.settled, b) {
		e.round = max(e.round, n.Round)
		e.decide(b.vote, out)
		return
	}
	e.interval = min(e.interval, e.longestInterval())
	e.resendAt = min(e.resendAt, now+e.interval)
	e.consider(now, out)
}

func voteOf(n *packet.Notification) Vote {
	return Vote{Leader: n.Leader, Zxid: n.Zxid, Round: n.Round, Epoch: n.PeerEpoch}
}
