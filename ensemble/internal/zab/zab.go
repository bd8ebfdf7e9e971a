// Package zab brings the servers of an ensemble to one order of transactions, whoever fails: the protocol of ZooKeeper's quorum port
// (Zab 1.0; classes Leader, LearnerHandler, Learner, Follower, Observer).
//
// A server that won an election becomes a [Leader], the others each become a [Learner] of it, and they go through three phases
// together:
//
//   - discovery: the learners say which epochs they promised to follow, the leader takes a higher one, and a quorum promises it;
//   - synchronisation: every learner is given exactly the leader's history ([History] plans how), and a quorum makes it durable;
//   - broadcast: the leader proposes, a quorum makes durable and acknowledges, the leader commits, in the order of zxids.
//
// The one idea is that a promise leaves a server only after the disk has it. So Leader and Learner are pure machines: packets, the
// passing of time and the completions of what was asked of the disk go in as method calls; what to do comes out as a list of
// [Effect] in the order in which it is to be done. A machine never says "save this, then send that" in one breath: it says
// "save", and the call of Saved makes it say "send". What must be durable before what is thus written in the machine, not in the
// hands that carry it out.
//
//	l := zab.NewLearner(cfg, now, &out)
//	l.Connected(now, &out)              // out: Send FOLLOWERINFO
//	l.Receive(&packet, now, &out)       // LEADERINFO; out: SaveAcceptedEpoch
//	l.Saved(zab.AcceptedEpoch, epoch, now, &out)   // out: Send ACKEPOCH
//
// Time is an argument: milliseconds of a clock that does not jump. Nothing here locks; a machine belongs to one goroutine, and
// its History with it. The payload of a transaction is opaque: whoever appends a [Record] to the log has looked at it before.
//
// A machine ends with [Abdicate] or [Abandon], once, and then ignores everything. What is left to others: elections, sockets, the
// disk, the tree, sessions, requests.
package zab

import (
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A Record is a transaction as it is logged and proposed. Its Payload is never changed once it is here.
type Record struct {
	Zxid    znode.Zxid
	Payload []byte
}

// An EffectKind says what is to be done.
type EffectKind uint8

// What a Leader asks for is marked A, what a Learner asks for is marked L.
const (
	_ EffectKind = iota

	// Send (A, L): queue Packet on Link (a Learner has one link, and leaves Link 0). Packets of a link leave in order. Data is shared
	// and must not be changed.
	Send
	// Close (A): close Link, because of Err. The machine has forgotten the link already.
	Close
	// SaveAcceptedEpoch (A, L): make Epoch durable as the accepted epoch; then call Saved(AcceptedEpoch, Epoch, …).
	SaveAcceptedEpoch
	// SaveCurrentEpoch (A, L): make Epoch durable as the current epoch; then call Saved(CurrentEpoch, Epoch, …).
	SaveCurrentEpoch
	// TakeSnapshot (A): dump the tree as it is for Link, queue SNAP with its zxid and the stream on the link, and call SnapshotTaken
	// before anything else is queued there.
	TakeSnapshot
	// Established (A): a quorum has the leader's history in Epoch; all of it is committed, and Propose is allowed from now on.
	// (L): the leader serves and so may we; everything up to the Learner's Base is committed, later transactions are when Committed
	// says so. An untrusted learner leaves now and comes back as what it is.
	Established
	// Committed (A, L): everything up to Zxid is agreed upon. It may be applied once it is durable here as well. What a Learner says before
	// it is Established it has only been told: another leader may still take it back, so nobody may be served from it.
	Committed
	// Confirmed (A): a quorum has answered PINGs that were sent after the Barriers numbered up to Round were asked for.
	Confirmed
	// Pass (A): Packet of Link is the caller's: REQUEST, REVALIDATE, or the answer to a PING with touches in its data.
	// (L): likewise, from the leader: REVALIDATE, SYNC, or a PING, which is answered with PingReply.
	Pass
	// Abdicate (A): stop leading, because of Err. The last effect.
	Abdicate
	// Append (L): queue Record for the log. Once it is durable, call Synced with its zxid or a later one.
	Append
	// Truncate (L): remove everything after Zxid from log, snapshots and tree, durably; then call Truncated. Nothing is appended before.
	Truncate
	// Install (L): a snapshot follows on the link. Once it has replaced tree, snapshots and log (also what lies beyond it), durably, call
	// Installed. Zxid is what SNAP promises, Packet is SNAP. Nothing is appended before.
	Install
	// Abandon (L): leave the leader, because of Err. The last effect. If a Truncate or an Install was not completed, memory is not to
	// be believed: reload from disk.
	Abandon
)

var effectNames = [...]string{
	Send: "send", Close: "close", SaveAcceptedEpoch: "save accepted epoch", SaveCurrentEpoch: "save current epoch",
	TakeSnapshot: "take snapshot", Established: "established", Committed: "committed", Confirmed: "confirmed", Pass: "pass",
	Abdicate: "abdicate", Append: "append", Truncate: "truncate", Install: "install", Abandon: "abandon",
}

func (k EffectKind) String() string {
	if k > 0 && int(k) < len(effectNames) {
		return effectNames[k]
	}
	return "unknown effect"
}

// An Effect is something to be done. Which fields are set depends on Kind.
type Effect struct {
	Kind   EffectKind
	Link   packet.LinkID
	Packet packet.Packet
	Zxid   znode.Zxid
	Epoch  int64
	Round  uint64
	Record Record
	Err    error
}

// An EpochFile is one of the two files an epoch is saved in.
type EpochFile uint8

// The epoch files: the highest epoch a server promised to follow, and that of the leader whose history it has.
const (
	AcceptedEpoch EpochFile = iota
	CurrentEpoch
)

func (f EpochFile) String() string {
	if f == CurrentEpoch {
		return "currentEpoch"
	}
	return "acceptedEpoch"
}

// String is the effect in a line, for traces.
func (e *Effect) String() string {
	switch e.Kind {
	case Send, Pass:
		return fmt.Sprintf("%v %d %v", e.Kind, e.Link, &e.Packet)
	case Close, Abdicate, Abandon:
		return fmt.Sprintf("%v %d: %v", e.Kind, e.Link, e.Err)
	case SaveAcceptedEpoch, SaveCurrentEpoch, Established:
		return fmt.Sprintf("%v %d", e.Kind, e.Epoch)
	case TakeSnapshot:
		return fmt.Sprintf("%v %d", e.Kind, e.Link)
	case Confirmed:
		return fmt.Sprintf("%v %d", e.Kind, e.Round)
	case Append:
		return fmt.Sprintf("%v %v", e.Kind, e.Record.Zxid)
	}
	return fmt.Sprintf("%v %v", e.Kind, e.Zxid)
}
