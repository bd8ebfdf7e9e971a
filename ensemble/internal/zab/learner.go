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

	Tick      int64 // tickTime in milliseconds
	InitLimit int   // ticks of silence allowed until the leader's history is here
	SyncLimit int   // ticks of silence allowed afterwards

	AcceptedEpoch, CurrentEpoch int64      // as on disk
	Last                        znode.Zxid // the last transaction that is durable in the log; 0 for none
	History                     *History   // the end of the log, whose Last is Last; kept equal to it. nil: somebody else's business

	MaxHeld int // bytes of packets kept while a truncation or installation is under way, default 256 MiB
}

// A Learner is the machine of a server that follows or observes a leader. Make one with [NewLearner].
type Learner struct {
	cfg LearnerConfig
}

// NewLearner begins to learn: the caller dials the leader and calls Connected. Without it the Learner abandons after initLimit ticks.
func NewLearner(cfg LearnerConfig, now int64, out *[]Effect) *Learner { return &Learner{cfg: cfg} }

// Connected says that the connection to the leader stands.
func (l *Learner) Connected(now int64, out *[]Effect) {}

// Receive takes a packet of the leader. Its Data is kept.
func (l *Learner) Receive(p *packet.Packet, now int64, out *[]Effect) {}

// Progress says that bytes of a snapshot have come or were written.
func (l *Learner) Progress(now int64) {}

// Synced says that the own log is durable up to zxid.
func (l *Learner) Synced(zxid znode.Zxid, now int64, out *[]Effect) {}

// Saved completes SaveAcceptedEpoch or SaveCurrentEpoch.
func (l *Learner) Saved(file EpochFile, epoch, now int64, out *[]Effect) {}

// Truncated completes Truncate: log, snapshots and tree end at zxid, durably; or that was not possible, and the Learner abandons with
// ErrTruncate: the server has to come back untrusted.
func (l *Learner) Truncated(zxid znode.Zxid, ok bool, now int64, out *[]Effect) {}

// Installed completes Install: the snapshot at zxid is durable, and is all there is.
func (l *Learner) Installed(zxid znode.Zxid, now int64, out *[]Effect) {}

// Tick lets time pass. Call it several times a tick.
func (l *Learner) Tick(now int64, out *[]Effect) {}

// PingReply answers the oldest PING that was passed and not answered yet; touches are the encoded touches of sessions, may be empty.
func (l *Learner) PingReply(touches []byte, now int64, out *[]Effect) {}

// Fresh reports whether the touches we send arrive: the leader has confirmed an answer of ours to a PING that we sent at most one and
// a half ticks ago. A leader that is not a Bellwether confirms nothing; with it, the last PING must be that young.
func (l *Learner) Fresh(now int64) bool { return false }

// Established reports whether the leader has declared us up to date.
func (l *Learner) Established() bool { return false }

// Epoch is the leader's epoch, 0 before it is known.
func (l *Learner) Epoch() int64 { return 0 }

// Last is the last zxid appended, Durable the last that is known to be on disk, Committed the last that is agreed upon. Base is
// where the synchronisation began: what DIFF left as it was, TRUNC cut to, or SNAP brought; it is committed once we are Established.
func (l *Learner) Last() znode.Zxid      { return 0 }
func (l *Learner) Durable() znode.Zxid   { return 0 }
func (l *Learner) Committed() znode.Zxid { return 0 }
func (l *Learner) Base() znode.Zxid      { return 0 }

// Ours reports whether the leader is a Bellwether.
func (l *Learner) Ours() bool { return false }

// Ignored is how many packets of unknown types were ignored.
func (l *Learner) Ignored() uint64 { return 0 }
