// Package packet is what servers say to each other: the packets of the quorum port, where a leader and its learners agree on
// history, and the notifications of the election port, where a leader is found. It knows encodings only; what is said when is
// decided elsewhere.
//
// On the quorum port [Packet] follows [Packet] without framing; a [Reader] takes them off a connection. Some carry a record in
// their data: [LearnerInfo], [LeaderInfo], [Request], [Revalidate], [Revalidated], touches ([AppendTouches]). On the election
// port the dialler says [Hello] once, then frames with one [Notification] each flow both ways.
//
//	b = (&packet.Packet{Type: packet.TypeFollowerInfo, Zxid: znode.MakeZxid(accepted, 0), Data: info.AppendJute(nil)}).AppendJute(b)
//
//	for packets := packet.NewReader(conn, packet.DefaultMax); ; {
//		var p packet.Packet
//		if err := packets.Next(&p); err != nil {
//			return err
//		}
//		...
//	}
//
// Everything is what Apache ZooKeeper 3.8 and 3.9 write and read, byte for byte. Two records of ours end in a [Mark] that
// Apache's servers do not look at: by it ours know each other.
//
// Decoders bear any input: they fail, wrapping [jute.ErrMalformed], and never allocate more than the input has paid for.
package packet

import (
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// DefaultMax is the longest buffer or string a server reads from another, in bytes, unless told otherwise: jute.maxbuffer and
// as much again, as in Apache's (class BinaryInputArchive).
const DefaultMax = 2 * wire.DefaultMaxFrame

// A ServerID names a server of the ensemble: what stands in its myid file.
type ServerID int64

// A LinkID names one connection of the quorum port in one run of a server. It is never reused in that run.
type LinkID uint64

// A Type says what a [Packet] is.
type Type int32

// The types of packets, with their direction.
const (
	TypeRequest           Type = 1  // learner to leader: a Request
	TypeProposal          Type = 2  // leader to follower: a transaction to be logged
	TypeAck               Type = 3  // learner to leader: it is logged
	TypeCommit            Type = 4  // leader to follower: a proposal is agreed upon
	TypePing              Type = 5  // both ways; the learner's answer carries touches, and is never null
	TypeRevalidate        Type = 6  // learner to leader: Revalidate; back: Revalidated
	TypeSync              Type = 7  // leader to learner: everything before your sync is on its way
	TypeInform            Type = 8  // leader to observer: a proposal, already agreed upon
	TypeCommitAndActivate Type = 9  // leader to follower: a reconfiguration is agreed upon
	TypeNewLeader         Type = 10 // leader to learner: you have my history
	TypeFollowerInfo      Type = 11 // participant to leader: LearnerInfo
	TypeUpToDate          Type = 12 // leader to learner: you may serve
	TypeDiff              Type = 13 // leader to learner: what you lack follows
	TypeTrunc             Type = 14 // leader to learner: forget what lies beyond
	TypeSnap              Type = 15 // leader to learner: a stream follows that replaces what you have
	TypeObserverInfo      Type = 16 // observer to leader: LearnerInfo
	TypeLeaderInfo        Type = 17 // leader to learner: LeaderInfo
	TypeAckEpoch          Type = 18 // learner to leader: an int32, its current epoch or -1
	TypeInformAndActivate Type = 19 // leader to observer: a reconfiguration, already agreed upon
)

var typeNames = [...]string{
	TypeRequest: "REQUEST", TypeProposal: "PROPOSAL", TypeAck: "ACK", TypeCommit: "COMMIT", TypePing: "PING", TypeRevalidate: "REVALIDATE",
	TypeSync: "SYNC", TypeInform: "INFORM", TypeCommitAndActivate: "COMMITANDACTIVATE", TypeNewLeader: "NEWLEADER",
	TypeFollowerInfo: "FOLLOWERINFO", TypeUpToDate: "UPTODATE", TypeDiff: "DIFF", TypeTrunc: "TRUNC", TypeSnap: "SNAP",
	TypeObserverInfo: "OBSERVERINFO", TypeLeaderInfo: "LEADERINFO", TypeAckEpoch: "ACKEPOCH", TypeInformAndActivate: "INFORMANDACTIVATE",
}

func (t Type) String() string {
	if t > 0 && int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("packet type %d", int32(t))
}

// A Packet is the unit of the quorum port (record QuorumPacket).
type Packet struct {
	Type Type
	Zxid znode.Zxid
	Data []byte     // nil is null, empty is empty, and to Apache's servers that is a difference
	IDs  []znode.ID // who is behind a request; nil is null
}

// AppendJute appends the packet.
func (p *Packet) AppendJute(b []byte) []byte {
	b = jute.AppendInt32(b, int32(p.Type))
	b = jute.AppendInt64(b, int64(p.Zxid))
	b = jute.AppendBuffer(b, p.Data)
	return appendIDs(b, p.IDs)
}

// DecodeJute reads the packet. Data aliases the decoder's input.
func (p *Packet) DecodeJute(d *jute.Decoder) {
	p.Type, p.Zxid, p.Data = Type(d.Int32()), znode.Zxid(d.Int64()), d.Buffer()
	p.IDs = decodeIDs(d)
}

// String is the packet in a line, for logs and traces: type, zxid, and how much it carries.
func (p *Packet) String() string {
	s := fmt.Sprintf("%v %v", p.Type, p.Zxid)
	if p.Data != nil {
		s += fmt.Sprintf(" %d bytes", len(p.Data))
	}
	if p.IDs != nil {
		s += fmt.Sprintf(" %d ids", len(p.IDs))
	}
	return s
}

func appendIDs(b []byte, ids []znode.ID) []byte {
	if ids == nil {
		return jute.AppendInt32(b, -1)
	}
	b = jute.AppendInt32(b, int32(len(ids)))
	for _, id := range ids {
		b = jute.AppendString(jute.AppendString(b, id.Scheme), id.Name)
	}
	return b
}

func decodeIDs(d *jute.Decoder) []znode.ID {
	n := d.Count(8)
	if n < 0 || d.Err() != nil {
		return nil
	}
	ids := make([]znode.ID, n)
	for i := range ids {
		ids[i] = znode.ID{Scheme: d.String(), Name: d.String()}
	}
	if d.Err() != nil {
		return nil
	}
	return ids
}

// Decode reads one record out of a packet's data: r is a *LearnerInfo, *Request and so on. Bytes behind the record are ignored,
// as Apache's servers do. An error wraps [jute.ErrMalformed].
func Decode(data []byte, r wire.Record) error {
	d := jute.NewDecoder(data)
	r.DecodeJute(&d)
	return d.Err()
}
