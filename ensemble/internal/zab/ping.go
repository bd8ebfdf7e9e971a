package zab

import (
	"encoding/binary"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// maxPings is how many PINGs of one link may wait for their answers. A link with so many gets no further ones until it answers.
const maxPings = 64

// Rounds number the PINGs that are sent to all learners at once. A round is confirmed when a quorum has answered the PING of that
// round or of a later one.
type rounds struct {
	next      int64  // when the next round is due
	last      uint64 // the round begun last
	confirmed uint64 // the last round that is confirmed; ≤ last
	asked     uint64 // the highest that Barrier gave away; ≤ last+1
	reported  uint64 // up to here Confirmed was said; ≤ confirmed
}

// A sentPing is a PING that waits for its answer.
type sentPing struct {
	round uint64
	at    int64
}

// A pingQueue matches a link's answers with the PINGs, first in first out.
type pingQueue struct {
	waiting   [maxPings]sentPing // those numbered answers … sent-1, each at its number modulo maxPings
	sent      uint64
	answers   uint64   // ≤ sent ≤ answers+maxPings
	answered  sentPing // the last that was answered; at is when it was sent
	confirmed uint64   // how many of the answers the learner knows to have come; ≤ answers
	told      bool     // a learner of ours knows already that its answers come
}

// round sends a PING to all learners that have our history.
func (l *Leader) round(now int64, out *[]Effect) {
	l.pings.last++
	l.pings.next = now + l.cfg.Tick/2
	for _, f := range l.learners {
		if f.stage >= settled {
			l.ping(f, now, out)
		}
	}
	l.confirm(now, out)
}

// ping sends a PING. One of ours is told how many answers have come to a leader that a quorum still followed, so that it knows
// which of its touches count.
func (l *Leader) ping(f *learner, now int64, out *[]Effect) {
	q := &f.pings
	if q.sent-q.answers == maxPings {
		return
	}
	q.waiting[q.sent%maxPings] = sentPing{round: l.pings.last, at: now}
	q.sent++
	var data []byte
	if f.ours {
		if l.Fresh(now) { // a leader that others may have left confirms nothing
			q.confirmed = q.answers
		}
		data = binary.BigEndian.AppendUint64(nil, q.confirmed)
	}
	send(out, f.link, packet.Packet{Type: packet.TypePing, Zxid: max(l.last, l.newEpoch()), Data: data})
}

// pong takes the answer to a PING. Its touches are the caller's.
func (l *Leader) pong(f *learner, p *packet.Packet, now int64, out *[]Effect) {
	q := &f.pings
	if q.answers == q.sent {
		l.ignored++
		return
	}
	q.answered = q.waiting[q.answers%maxPings]
	q.answers++
	if f.stage == current {
		*out = append(*out, Effect{Kind: Pass, Link: f.link, Packet: *p})
		if f.ours && !q.told && l.Fresh(now) { // tell it at once that its touches arrive
			q.told = true
			l.ping(f, now, out)
		}
	}
	l.confirm(now, out)
}

// answered is the last round that a voter has answered.
func (l *Leader) answered(v *voter) uint64 {
	switch {
	case v.id == l.cfg.Self:
		return l.pings.last
	case v.learner != nil:
		return v.learner.pings.answered.round
	}
	return 0
}

// confirm finds the last round a quorum has answered, reports it to whoever waits, and begins the next if that was asked for.
func (l *Leader) confirm(now int64, out *[]Effect) {
	if l.phase != leading {
		return
	}
	p := &l.pings
	for i := range l.voters {
		if n := l.answered(&l.voters[i]); n > p.confirmed {
			l.answeredLimit = n
			if l.cfg.Quorum.Quorum(l.hasAnswered) {
				p.confirmed = n
			}
		}
	}
	if p.reported < min(p.asked, p.confirmed) {
		p.reported = p.confirmed
		*out = append(*out, Effect{Kind: Confirmed, Round: p.confirmed})
	}
	if p.asked > p.last && p.confirmed == p.last {
		l.round(now, out)
	}
}

// Barrier asks for proof that we still lead, to be had from a quorum by PINGs that are sent from now on. The Confirmed with this
// number or a higher one is the proof; it may be among the effects of this very call. Barriers that are asked for while a round is
// under way share the next.
func (l *Leader) Barrier(now int64, out *[]Effect) uint64 {
	p := &l.pings
	want := p.last + 1
	p.asked = want
	if l.phase == leading && p.confirmed == p.last {
		l.round(now, out)
	}
	return want
}

// Fresh reports whether a quorum has answered PINGs sent at most one and a half ticks ago, so that nobody else can have been leading
// for longer than that.
func (l *Leader) Fresh(now int64) bool {
	return l.phase == leading && l.cfg.Quorum.Quorum(func(id packet.ServerID) bool {
		if id == l.cfg.Self {
			return true
		}
		f := l.byID[id].learner
		return f != nil && f.pings.answers > 0 && now-f.pings.answered.at <= l.cfg.Tick+l.cfg.Tick/2
	})
}

// Tick lets time pass. Call it several times a tick; half a tick is the coarsest that keeps the limits.
func (l *Leader) Tick(now int64, out *[]Effect) {
	if l.phase == ended {
		return
	}
	for i := 0; i < len(l.learners); {
		f := l.learners[i]
		if kind := l.overdue(f, now); kind != nil {
			l.close(f, kind, f.pace.zxid, now, out)
			continue
		}
		i++
	}
	if kind := l.failing(now); kind != nil {
		l.abdicate(&Error{Server: l.cfg.Self, Zxid: l.committed, Kind: kind}, out)
		return
	}
	if now >= l.pings.next {
		l.round(now, out)
	}
}

// overdue says why a learner has to go, or nil. One that waits for others is in nobody's debt.
func (l *Leader) overdue(f *learner, now int64) error {
	limit := l.ticks(l.cfg.SyncLimit)
	switch f.stage {
	case joined, waiting:
		return nil
	case settled, current:
		if now-f.heard > limit {
			return ErrTimeout
		}
		if f.pace.late(now, limit) {
			return ErrUnacknowledged
		}
		return nil
	}
	if now > f.deadline {
		return ErrTimeout
	}
	return nil
}

// failing says why we can lead no longer, or nil. In touch is who has promised to follow us and has not been silent for too long; one
// whose link broke a tick ago at most may be on its way back.
func (l *Leader) failing(now int64) error {
	if l.phase < leading {
		if now > l.deadline {
			return ErrInitLimit
		}
		return nil
	}
	if l.pace.late(now, l.ticks(l.cfg.SyncLimit)) {
		return ErrSlowLog
	}
	if !l.cfg.Quorum.Quorum(func(id packet.ServerID) bool {
		v := l.byID[id]
		return id == l.cfg.Self || v.learner != nil && v.learner.stage >= waiting || now <= v.missing
	}) {
		return ErrQuorumLost
	}
	return nil
}

// PingReplies are a Learner's PINGs and its answers to them.
type pingReplies struct {
	heard    int64      // when the last PING came
	zxid     znode.Zxid // of the last PING
	owed     uint64     // PINGs passed and not answered; 0 before the first
	sent     uint64     // answers
	received uint64     // answers the leader has received, as it says; ≤ sent
	at       [maxPings]int64
	fresh    int64 // when the last of those it received was sent
}

// ping takes a PING. Before NEWLEADER is acknowledged the leader expects no answer.
func (l *Learner) ping(p *packet.Packet, now int64, out *[]Effect) {
	if l.at < sealed {
		return
	}
	q := &l.pings
	if l.ours {
		if len(p.Data) != 8 {
			l.abandon(ErrMalformed, p.Zxid, "PING", out)
			return
		}
		n := binary.BigEndian.Uint64(p.Data)
		if n < q.received || n > q.sent {
			l.abandon(ErrUnexpected, p.Zxid, "PING that counts answers we did not give", out)
			return
		}
		if n > q.received {
			q.received = n
			if q.sent-n < maxPings {
				q.fresh = q.at[n%maxPings]
			}
		}
	}
	q.heard, q.zxid = now, p.Zxid
	q.owed++
	*out = append(*out, Effect{Kind: Pass, Packet: *p})
}

// PingReply answers the oldest PING that was passed and not answered yet; touches are the encoded touches of sessions and may be
// empty. Without such a PING it does nothing.
func (l *Learner) PingReply(touches []byte, now int64, out *[]Effect) {
	q := &l.pings
	if l.at == departed || q.owed == 0 {
		return
	}
	if touches == nil {
		touches = []byte{} // null ends the link in Apache's leader
	}
	q.owed--
	q.sent++
	q.at[q.sent%maxPings] = now
	l.send(packet.Packet{Type: packet.TypePing, Zxid: q.zxid, Data: touches}, out)
}

// Fresh reports whether the touches we send arrive: the leader has confirmed an answer of ours to a PING that we sent at most one and
// a half ticks ago. A leader that is not a Bellwether confirms nothing; with it, the last PING must be that young.
func (l *Learner) Fresh(now int64) bool {
	q := &l.pings
	at, ok := q.fresh, q.received > 0
	if !l.ours {
		at, ok = q.heard, q.owed+q.sent > 0
	}
	return l.at == serving && ok && now-at <= l.cfg.Tick+l.cfg.Tick/2
}
