package zab

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A LearnerConfig is what a Learner is told once.
type LearnerConfig struct {
	Self      packet.ServerID
	Leader    packet.ServerID // for errors
	Quorum    *quorum.Config  // the own configuration
	Observer  bool            // we do not vote
	Untrusted bool            // what we have on disk must not be believed: come as observer with nothing, take a snapshot
	Uncut     Uncut           // this leader told us before to cut our log, and that cannot be done

	Tick      int64 // tickTime in milliseconds
	InitLimit int   // ticks of silence allowed until the leader's history is here
	SyncLimit int   // ticks of silence allowed afterwards

	AcceptedEpoch, CurrentEpoch int64      // as on disk
	Last                        znode.Zxid // the last transaction that is durable in the log; 0 for none
	History                     *History   // the end of the log, whose Last is Last; kept equal to it. nil: the caller does that

	MaxHeld int // bytes of packets kept while a truncation or installation is under way, default 256 MiB
}

// An Uncut is where a Learner was told to cut its log by a leader, in an epoch, and could not: what it has begins behind that, with a
// snapshot that another leader sent it and came to nothing. There is nothing wrong with what it has; it is merely on the wrong branch, and
// was counted for what it is when it said so. So it comes again to the same leader in the same epoch, as participant, and says
// that it has nothing (as it acknowledges an epoch that it has promised already, it does not count by that); the leader, ours or Apache's,
// answers with a snapshot. To anybody else, and in any other epoch, it goes on showing what it has.
//
// The snapshot must not take away what was agreed upon because the Learner has it. A leader sends nothing before a quorum has promised its
// epoch and found its history at least as good; so all of that is in it, and not behind Zxid, where the two part. A snapshot from there on has it; of one from before, when
// the leader's tree is behind its log, [Learner.Partial] says that it must not be believed without what follows.
//
// A server whose tree goes on being not what a leader of Apache's says it is asks for that leader's tree in the same way: its log and its
// epochs are what it said, and only the snapshot that it began with may be wrong. Zxid is the last that is agreed upon then.
type Uncut struct {
	Epoch int64      // 0: there is none
	Zxid  znode.Zxid // of TRUNC
}

const (
	// maxPending is how many proposals may wait for their commits.
	maxPending = 1 << 20
	// defaultHeld is MaxHeld unless told otherwise, in bytes.
	defaultHeld = 256 << 20
)

// A progress is how far a Learner has come.
type progress uint8

const (
	dialing   progress = iota
	greeting           // we said who we are; LEADERINFO is expected
	vowing             // our promise of the epoch is on its way to disk
	choosing           // ACKEPOCH sent; DIFF, TRUNC or SNAP is expected
	receiving          // the leader's history comes, until NEWLEADER
	hardening          // NEWLEADER is here; what came before it is on its way to disk
	sealing            // and then the epoch
	sealed             // NEWLEADER is acknowledged; UPTODATE is expected
	serving            // UPTODATE is here
	departed           // the end
)

// A Learner is the machine of a server that follows or observes a leader. Make one with [NewLearner].
type Learner struct {
	cfg      LearnerConfig
	history  *History // nil: not ours to keep
	observer bool     // because we are one or have to come as one
	at       progress
	epoch    int64  // the leader's; 0 before it is known
	ours     bool   // the leader is a Bellwether
	start    uint32 // the leader's counter begins behind it: 0
	heard    int64  // when there was the last sign of progress, of whatever kind the present state waits for

	base      znode.Zxid // where synchronisation began
	last      znode.Zxid // the last appended; ≥ base
	durable   znode.Zxid // ≤ last
	committed znode.Zxid // ≤ last
	first     znode.Zxid // the first appended of the leader's epoch; 0 if there is none
	acked     znode.Zxid // the last acknowledged; 0 if there is none
	whole     znode.Zxid // in hardening: the end of the leader's history
	pending   zxids      // appended, not committed

	changing  EffectKind // Truncate or Install while that is under way, otherwise 0
	target    znode.Zxid // its zxid
	held      []packet.Packet
	heldBytes int

	pings   pingReplies
	ignored uint64
}

// NewLearner begins to learn: the caller dials the leader and calls Connected. Without it the Learner abandons after initLimit ticks.
func NewLearner(cfg LearnerConfig, now int64, out *[]Effect) *Learner {
	cfg.Tick, cfg.InitLimit, cfg.SyncLimit = max(cfg.Tick, 2), max(cfg.InitLimit, 1), max(cfg.SyncLimit, 1)
	if cfg.MaxHeld <= 0 {
		cfg.MaxHeld = defaultHeld
	}
	l := &Learner{cfg: cfg, history: cfg.History, observer: cfg.Observer || cfg.Untrusted, heard: now}
	if l.history != nil {
		l.history = historyOf(cfg.History, cfg.Last)
	}
	l.begin(cfg.Last)
	return l
}

// begin starts over from z, which is durable and all there is.
func (l *Learner) begin(z znode.Zxid) { l.base, l.last, l.durable, l.committed = z, z, z, z }

// Connected says that the connection to the leader stands.
func (l *Learner) Connected(now int64, out *[]Effect) {
	if l.at != dialing {
		return
	}
	info := packet.LearnerInfo{ServerID: l.cfg.Self, Protocol: packet.Protocol, Ours: true}
	if l.cfg.Quorum != nil {
		info.ConfigVersion = l.cfg.Quorum.Version
	}
	typ := packet.TypeFollowerInfo
	if l.observer {
		typ = packet.TypeObserverInfo
	}
	l.at, l.heard = greeting, now
	l.send(packet.Packet{Type: typ, Zxid: znode.MakeZxid(uint32(l.cfg.AcceptedEpoch), 0), Data: info.AppendJute(nil)}, out)
}

func (l *Learner) send(p packet.Packet, out *[]Effect) {
	*out = append(*out, Effect{Kind: Send, Packet: p})
}

// Receive takes a packet of the leader. Its Data is kept. While a truncation or an installation is under way packets are kept for
// later.
func (l *Learner) Receive(p *packet.Packet, now int64, out *[]Effect) {
	if l.at == departed {
		return
	}
	l.heard = now
	if l.changing == 0 {
		l.handle(p, now, out)
		return
	}
	if l.heldBytes += len(p.Data) + overhead; l.heldBytes > l.cfg.MaxHeld {
		l.abandon(ErrOverflow, p.Zxid, "", out)
		return
	}
	l.held = append(l.held, *p)
}

func (l *Learner) handle(p *packet.Packet, now int64, out *[]Effect) {
	switch p.Type {
	case packet.TypeProposal:
		l.proposal(Record{Zxid: p.Zxid, Payload: p.Data}, out)
	case packet.TypeCommit:
		l.commit(p.Zxid, out)
	case packet.TypePing:
		l.ping(p, now, out)
	case packet.TypeInform:
		l.inform(Record{Zxid: p.Zxid, Payload: p.Data}, out)
	case packet.TypeCommitAndActivate, packet.TypeInformAndActivate:
		l.activate(p, out)
	case packet.TypeRevalidate, packet.TypeSync:
		if l.expect(p, serving, out) {
			*out = append(*out, Effect{Kind: Pass, Packet: *p})
		}
	case packet.TypeLeaderInfo:
		l.leaderInfo(p, out)
	case packet.TypeDiff, packet.TypeTrunc, packet.TypeSnap:
		l.operation(p, out)
	case packet.TypeNewLeader:
		l.newLeader(p, out)
	case packet.TypeUpToDate:
		l.upToDate(p, out)
	default:
		if known(p.Type) {
			l.abandon(ErrUnexpected, p.Zxid, p.Type.String(), out)
			return
		}
		l.ignored++
	}
}

// expect abandons unless the packet has its place where we are.
func (l *Learner) expect(p *packet.Packet, at progress, out *[]Effect) bool {
	if l.at != at {
		l.abandon(ErrUnexpected, p.Zxid, p.Type.String(), out)
	}
	return l.at == at
}

func (l *Learner) abandon(kind error, zxid znode.Zxid, detail string, out *[]Effect) {
	l.at, l.held, l.pending = departed, nil, zxids{}
	*out = append(*out, Effect{Kind: Abandon, Err: &Error{Server: l.cfg.Leader, Zxid: zxid, Kind: kind, Detail: detail}})
}

// Progress says that bytes of a snapshot have come or were written.
func (l *Learner) Progress(now int64) {
	if l.at < sealed {
		l.heard = now
	}
}

// Synced says that the own log is durable up to zxid.
func (l *Learner) Synced(zxid znode.Zxid, now int64, out *[]Effect) {
	if zxid = min(zxid, l.last); l.at == departed || l.changing != 0 || zxid <= l.durable {
		return
	}
	l.durable = zxid
	l.Progress(now)
	l.harden(out)
	l.acknowledge(out)
}

// Saved completes SaveAcceptedEpoch or SaveCurrentEpoch.
func (l *Learner) Saved(file EpochFile, epoch, now int64, out *[]Effect) {
	switch {
	case epoch != l.epoch:
	case file == AcceptedEpoch && l.at == vowing:
		l.heard = now
		l.ackEpoch(l.cfg.CurrentEpoch, out)
	case file == CurrentEpoch && l.at == sealing:
		l.at, l.heard = sealed, now
		l.send(packet.Packet{Type: packet.TypeAck, Zxid: l.newEpoch()}, out)
	}
}

// newEpoch is the zxid that stands for the leader's epoch.
func (l *Learner) newEpoch() znode.Zxid { return znode.MakeZxid(uint32(l.epoch), 0) }

// Tick lets time pass. Call it several times a tick.
func (l *Learner) Tick(now int64, out *[]Effect) {
	limit := l.cfg.InitLimit
	if l.at >= sealed {
		limit = l.cfg.SyncLimit
	}
	if l.at != departed && now-l.heard > int64(limit)*l.cfg.Tick {
		l.abandon(ErrTimeout, l.last, "", out)
	}
}

// Established reports whether the leader has declared us up to date.
func (l *Learner) Established() bool { return l.at == serving }

// Epoch is the leader's epoch, 0 before it is known.
func (l *Learner) Epoch() int64 { return l.epoch }

// Last is the last zxid appended.
func (l *Learner) Last() znode.Zxid { return l.last }

// Durable is the last zxid that is known to be on disk.
func (l *Learner) Durable() znode.Zxid { return l.durable }

// Committed is the last zxid that is agreed upon. It has a meaning once we are Established, or if it is above Base.
func (l *Learner) Committed() znode.Zxid { return l.committed }

// Base is where synchronisation began: what DIFF left as it was, TRUNC cut to, or SNAP brought; it is committed once we are Established.
func (l *Learner) Base() znode.Zxid { return l.base }

// Ours reports whether the leader is a Bellwether.
func (l *Learner) Ours() bool { return l.ours }

// Ignored is how many packets of unknown types were ignored, and those for transactions that we had already.
func (l *Learner) Ignored() uint64 { return l.ignored }
