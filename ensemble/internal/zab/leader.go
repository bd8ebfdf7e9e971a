package zab

import (
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A LeaderConfig is what a Leader is told once.
type LeaderConfig struct {
	Self   packet.ServerID
	Quorum *quorum.Config // the committed configuration; not changed while the Leader lives
	Config string         // sent with NEWLEADER; usually Quorum.String(), empty for none

	Tick      int64 // tickTime in milliseconds
	InitLimit int   // ticks for each of the three barriers, and for a learner to say what is expected next
	SyncLimit int   // ticks of silence after which a learner, or the quorum, counts as lost

	AcceptedEpoch, CurrentEpoch int64      // as on disk
	Last                        znode.Zxid // the last transaction that is durable in the log; 0 for none
	History                     *History   // the end of the log, whose Last is Last; the Leader adds what it proposes, and tells it what to keep

	MaxLearners  int    // links at the same time, default 1000; further ones are closed
	CounterStart uint32 // the epoch's counter begins behind it, and LEADERINFO says so; 0 but in tests of the counter's end
}

// A phase is how far a Leader has come. Each begins when the barrier of the one before has fallen.
type phase uint8

const (
	discovering   phase = iota // until a quorum has told which epochs it promised (class Leader, getEpochToPropose)
	promising                  // until our own promise of the new epoch is on disk
	acknowledging              // until a quorum has promised the new epoch (waitForEpochAck)
	settling                   // until a quorum, we among it, has our history and the new epoch on disk (waitForNewLeaderAck)
	leading                    // until the end
	ended
)

// A Leader is the machine of a server that won an election. Make one with [NewLeader].
type Leader struct {
	cfg      LeaderConfig
	history  *History
	phase    phase
	deadline int64 // of the phase, if it is before leading

	epoch   int64 // in discovering: above every epoch heard of; afterwards: the epoch agreed upon
	settled bool  // our own currentEpoch is on disk
	outbid  int64 // above epoch: a member has promised this to somebody who came to nothing, and can never follow us; 0 if there is none

	links    map[packet.LinkID]*learner
	learners []*learner // the same, in the order of connecting
	voters   []voter    // by id
	byID     map[packet.ServerID]*voter

	last      znode.Zxid // the last proposed; of the own history before the first
	committed znode.Zxid // agreed upon; ≤ last. Before leading, the own history's last
	synced    znode.Zxid // durable here; ≤ last
	pace      watch      // of our own log

	pings   rounds
	ignored uint64

	// Questions for cfg.Quorum, made once so that asking costs no memory, and what they compare with.
	hasAcked, hasAnswered func(packet.ServerID) bool
	ackedLimit            znode.Zxid
	answeredLimit         uint64
}

// A voter is what is known of a member that counts, the leader itself included.
type voter struct {
	id           packet.ServerID
	promised     bool     // it told the epoch it had accepted
	acknowledged bool     // it promised our epoch, and is not ahead of us
	learner      *learner // its link as a participant, nil if there is none; never set for ourselves
	missing      int64    // if learner is nil: until when it is believed to come back
}

// NewLeader begins to lead: the Leader waits for learners to agree on an epoch. Its first effects may follow at once, when the server
// is a quorum by itself.
func NewLeader(cfg LeaderConfig, now int64, out *[]Effect) *Leader {
	cfg.Tick, cfg.InitLimit, cfg.SyncLimit = max(cfg.Tick, 2), max(cfg.InitLimit, 1), max(cfg.SyncLimit, 1)
	if cfg.MaxLearners <= 0 {
		cfg.MaxLearners = 1000
	}
	l := &Leader{
		cfg: cfg, history: historyOf(cfg.History, cfg.Last), deadline: now + int64(cfg.InitLimit)*cfg.Tick,
		epoch: max(cfg.AcceptedEpoch, cfg.CurrentEpoch, int64(cfg.Last.Epoch())) + 1, links: map[packet.LinkID]*learner{}, byID: map[packet.ServerID]*voter{},
		last: cfg.Last, committed: cfg.Last, synced: cfg.Last,
	}
	l.history.Keep(min(l.history.keep, cfg.Last)) // if more is kept already, the tree lacks it
	for _, id := range cfg.Quorum.Voters() {
		l.voters = append(l.voters, voter{id: id, missing: never})
	}
	for i := range l.voters {
		l.byID[l.voters[i].id] = &l.voters[i]
	}
	l.hasAcked = func(id packet.ServerID) bool { return l.acked(l.byID[id]) >= l.ackedLimit }
	l.hasAnswered = func(id packet.ServerID) bool { return l.answered(l.byID[id]) >= l.answeredLimit }
	if l.epoch > maxEpoch {
		l.abdicate(&Error{Server: cfg.Self, Kind: ErrEpochLimit}, out)
		return l
	}
	l.checkPromised(out)
	return l
}

// historyOf is h, or a new History, that ends with last.
func historyOf(h *History, last znode.Zxid) *History {
	if h == nil {
		return NewHistory(last, defaultCount, defaultBytes)
	}
	if h.Last() != last {
		h.Reset(last)
	}
	return h
}

// Accept says that a learner has connected. Who it is, it will say itself.
func (l *Leader) Accept(link packet.LinkID, now int64, out *[]Effect) {
	if l.phase == ended || l.links[link] != nil {
		return
	}
	f := &learner{link: link, heard: now, deadline: now + l.ticks(l.cfg.InitLimit)}
	l.links[link] = f
	l.learners = append(l.learners, f)
	if len(l.learners) > l.cfg.MaxLearners { // whoever has kept silent longest makes room; so strangers cannot keep members out
		oldest := slices.IndexFunc(l.learners, func(f *learner) bool { return f.stage == connected })
		l.close(l.learners[oldest], ErrCrowded, 0, now, out)
	}
}

// Receive takes a packet of a link. The packet's Data is kept if the packet is passed on. Packets of unknown links are ignored.
func (l *Leader) Receive(link packet.LinkID, p *packet.Packet, now int64, out *[]Effect) {
	f := l.links[link]
	if f == nil || l.phase == ended {
		return
	}
	f.heard = now
	switch p.Type {
	case packet.TypeAck:
		l.ack(f, p, now, out)
	case packet.TypeRequest, packet.TypeRevalidate:
		l.pass(f, p, now, out)
	case packet.TypePing:
		l.pong(f, p, now, out)
	case packet.TypeFollowerInfo, packet.TypeObserverInfo:
		l.join(f, p, now, out)
	case packet.TypeAckEpoch:
		l.ackEpoch(f, p, now, out)
	default:
		if known(p.Type) {
			l.close(f, ErrUnexpected, p.Zxid, now, out)
			return
		}
		l.ignored++
	}
}

// known reports whether a packet of that type exists.
func known(t packet.Type) bool { return t >= packet.TypeRequest && t <= packet.TypeInformAndActivate }

// pass hands on what a learner asks for its clients.
func (l *Leader) pass(f *learner, p *packet.Packet, now int64, out *[]Effect) {
	if f.stage != current {
		l.close(f, ErrUnexpected, p.Zxid, now, out)
		return
	}
	*out = append(*out, Effect{Kind: Pass, Link: f.link, Packet: *p})
}

// Drop says that a link has ended. Links that the Leader has closed need not be dropped.
func (l *Leader) Drop(link packet.LinkID, now int64, out *[]Effect) {
	if f := l.links[link]; f != nil && l.phase != ended {
		l.forget(f, now+l.cfg.Tick)
	}
}

// Saved completes SaveAcceptedEpoch or SaveCurrentEpoch.
//
// A member that has promised a higher epoch than ours, to somebody who came to nothing, would stay out for as long as we lead (as with
// Apache's leader). One short election lets it in: we make its epoch our own accepted one, so that the next is higher, and abdicate.
func (l *Leader) Saved(file EpochFile, epoch, now int64, out *[]Effect) {
	switch {
	case l.phase == leading && file == AcceptedEpoch && epoch == l.outbid:
		l.abdicate(&Error{Server: l.cfg.Self, Zxid: znode.MakeZxid(uint32(epoch), 0), Kind: ErrOutbid}, out)
	case epoch != l.epoch:
	case file == AcceptedEpoch && l.phase == promising:
		l.announce(now, out)
	case file == CurrentEpoch && l.phase == settling && !l.settled:
		l.settled = true
		l.checkSettled(now, out)
	}
}

// close ends a learner's link because of kind.
func (l *Leader) close(f *learner, kind error, zxid znode.Zxid, now int64, out *[]Effect) {
	back := now + l.cfg.Tick
	if kind == ErrTimeout || kind == ErrUnacknowledged {
		back = never
	}
	l.forget(f, back)
	*out = append(*out, Effect{Kind: Close, Link: f.link, Err: &Error{Server: f.server, Zxid: zxid, Kind: kind}})
}

// forget takes a learner out. If it counted, it is believed to come back until then.
func (l *Leader) forget(f *learner, back int64) {
	delete(l.links, f.link)
	if i := slices.Index(l.learners, f); i >= 0 {
		l.learners = slices.Delete(l.learners, i, i+1)
	}
	if v := f.voter; v != nil && v.learner == f {
		v.learner = nil
		if f.stage >= waiting {
			v.missing = back
		}
	}
}

func (l *Leader) abdicate(err *Error, out *[]Effect) {
	l.phase = ended
	*out = append(*out, Effect{Kind: Abdicate, Err: err})
}

func (l *Leader) ticks(n int) int64 { return int64(n) * l.cfg.Tick }

func send(out *[]Effect, link packet.LinkID, p packet.Packet) {
	*out = append(*out, Effect{Kind: Send, Link: link, Packet: p})
}

// Established reports whether the leadership is established.
func (l *Leader) Established() bool { return l.phase == leading }

// Epoch is the epoch that was agreed upon, 0 before.
func (l *Leader) Epoch() int64 {
	if l.phase == discovering {
		return 0
	}
	return l.epoch
}

// Committed is the last zxid that is agreed upon; before Established, the last of the own history, which nobody has agreed upon yet.
func (l *Leader) Committed() znode.Zxid { return l.committed }

// Last is the last zxid proposed, or the last of the own history before the first.
func (l *Leader) Last() znode.Zxid { return l.last }

// Server is whose link that is, 0 if it is nobody's who has said so.
func (l *Leader) Server(link packet.LinkID) packet.ServerID {
	if f := l.links[link]; f != nil {
		return f.server
	}
	return 0
}

// Follows reports whether a voter has a link to us and has said on it that it follows.
func (l *Leader) Follows(id packet.ServerID) bool {
	v := l.byID[id]
	return v != nil && v.learner != nil
}

// Ours reports whether the learner of a link is a Bellwether.
func (l *Leader) Ours(link packet.LinkID) bool {
	f := l.links[link]
	return f != nil && f.ours
}

// Ignored is how many packets of unknown types were ignored, and PINGs nobody asked for.
func (l *Leader) Ignored() uint64 { return l.ignored }

// A LearnerStatus is what a Leader knows of a learner.
type LearnerStatus struct {
	Link     packet.LinkID
	Server   packet.ServerID
	Observer bool       // it is informed of commits only, and never counted
	Voter    bool       // it counts
	Ours     bool       // it is a Bellwether
	Synced   bool       // it has acknowledged NEWLEADER
	Acked    znode.Zxid // the last proposal it acknowledged, 0 for none
	Heard    int64      // when it last said something
}

// Learners appends the learners that have said who they are to b, in the order of their connecting.
func (l *Leader) Learners(b []LearnerStatus) []LearnerStatus {
	for _, f := range l.learners {
		if f.stage == connected {
			continue
		}
		b = append(b, LearnerStatus{
			Link: f.link, Server: f.server, Observer: f.observer, Voter: f.voter != nil, Ours: f.ours,
			Synced: f.stage >= settled, Acked: f.acked, Heard: f.heard,
		})
	}
	return b
}
