package zab

import (
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
	History                     *History   // the end of the log, whose Last is Last; the Leader adds what it proposes

	MaxLearners  int    // links at the same time, default 1000; further ones are closed
	CounterStart uint32 // the epoch's counter begins behind it; 0 but in tests of the counter's end
}

// A Leader is the machine of a server that won an election. Make one with [NewLeader].
type Leader struct {
	cfg  LeaderConfig
	last znode.Zxid
}

// NewLeader begins to lead: the Leader waits for learners to agree on an epoch. Its first effects may follow at once, when the server
// is a quorum by itself.
func NewLeader(cfg LeaderConfig, now int64, out *[]Effect) *Leader { return &Leader{cfg: cfg} }

// Accept says that a learner has connected. Who it is, it will say itself.
func (l *Leader) Accept(link packet.LinkID, now int64, out *[]Effect) {}

// Receive takes a packet of a link. The packet's Data is kept if the packet is passed on. Packets of unknown links are ignored.
func (l *Leader) Receive(link packet.LinkID, p *packet.Packet, now int64, out *[]Effect) {}

// Drop says that a link has ended. Links that the Leader has closed need not be dropped.
func (l *Leader) Drop(link packet.LinkID, now int64, out *[]Effect) {}

// Progress says that bytes of what was queued on the link have left, as those of a snapshot. It keeps a learner that is being
// synchronised, and the phase that waits for it, from timing out.
func (l *Leader) Progress(link packet.LinkID, now int64) {}

// Tick lets time pass. Call it several times a tick; half a tick is the coarsest that keeps the limits.
func (l *Leader) Tick(now int64, out *[]Effect) {}

// Saved completes SaveAcceptedEpoch or SaveCurrentEpoch.
func (l *Leader) Saved(file EpochFile, epoch, now int64, out *[]Effect) {}

// Synced says that the own log is durable up to zxid.
func (l *Leader) Synced(zxid znode.Zxid, now int64, out *[]Effect) {}

// Applied says that the own tree has everything up to zxid; a snapshot will not be older. History after it is kept.
func (l *Leader) Applied(zxid znode.Zxid) {}

// SnapshotTaken completes TakeSnapshot: SNAP and its stream, the tree at zxid, are queued on the link. What follows zxid is queued
// behind it, then NEWLEADER. ours: see [Leader.Ours]. A link that has ended meanwhile is ignored.
func (l *Leader) SnapshotTaken(link packet.LinkID, zxid znode.Zxid, now int64, out *[]Effect) {}

// Propose sends a transaction to all participants. The caller has queued it for its own log and will call Synced. The error is
// ErrNotEstablished before Established and ErrZxid if the record is not the one that Next names; then nothing has happened.
func (l *Leader) Propose(r Record, now int64, out *[]Effect) error { return nil }

// Next is the zxid of the next proposal. It means nothing before Established or when Exhausted.
func (l *Leader) Next() znode.Zxid { return l.last + 1 }

// Exhausted reports whether the epoch has no further zxid: the counter's last value is never given away (ZOOKEEPER-1277), the leader
// has to make room for a new epoch.
func (l *Leader) Exhausted() bool { return false }

// Barrier asks for proof that we still lead, to be had from a quorum by PINGs that are sent from now on. The Confirmed with
// this number or a higher one is the proof. Barriers that are asked for while a round is under way share the next.
func (l *Leader) Barrier(now int64, out *[]Effect) uint64 { return 0 }

// Fresh reports whether a quorum has answered PINGs sent at most one and a half ticks ago, so that nobody else can have been leading
// for longer than that.
func (l *Leader) Fresh(now int64) bool { return false }

// Established reports whether the leadership is established.
func (l *Leader) Established() bool { return false }

// Epoch is the epoch that was agreed upon, 0 before.
func (l *Leader) Epoch() int64 { return 0 }

// Committed is the last zxid that is agreed upon; before Established, the last of the own history, which nobody has agreed upon yet.
func (l *Leader) Committed() znode.Zxid { return 0 }

// Last is the last zxid proposed, or the last of the own history before the first.
func (l *Leader) Last() znode.Zxid { return l.last }

// Ours reports whether the learner of a link is a Bellwether.
func (l *Leader) Ours(link packet.LinkID) bool { return false }

// Ignored is how many packets of unknown types were ignored.
func (l *Leader) Ignored() uint64 { return 0 }

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
func (l *Leader) Learners(b []LearnerStatus) []LearnerStatus { return b }
