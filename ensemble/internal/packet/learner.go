package packet

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Protocol is the version of the quorum protocol that every server since 3.4 speaks (Leader.CURRENT protocol 0x10000).
const Protocol int32 = 0x10000

// Mark ends the LearnerInfo and LeaderInfo of servers of ours. Apache's read what they know and ignore what follows.
const Mark = "BELL"

// LearnerInfo is the data of FOLLOWERINFO and OBSERVERINFO: who wants to learn.
type LearnerInfo struct {
	ServerID      ServerID
	Protocol      int32 // Protocol; below it there is no LEADERINFO
	ConfigVersion int64 // of the learner's committed configuration
	Ours          bool  // the learner is a Bellwether
}

// AppendJute appends the record.
func (i *LearnerInfo) AppendJute(b []byte) []byte {
	b = jute.AppendInt64(b, int64(i.ServerID))
	b = jute.AppendInt32(b, i.Protocol)
	b = jute.AppendInt64(b, i.ConfigVersion)
	return appendMark(b, i.Ours)
}

// DecodeJute reads the record. The shorter forms of old servers, without configuration version or with the id alone, leave
// the rest zero.
func (i *LearnerInfo) DecodeJute(d *jute.Decoder) {
	*i = LearnerInfo{ServerID: ServerID(d.Int64())}
	if d.Len() == 0 {
		return
	}
	i.Protocol = d.Int32()
	if d.Len() == 0 {
		return
	}
	i.ConfigVersion = d.Int64()
	i.Ours = readMark(d)
}

// LeaderInfo is the data of LEADERINFO, whose zxid names the new epoch.
type LeaderInfo struct {
	Protocol int32
	Ours     bool // the leader is a Bellwether
}

// AppendJute appends the record.
func (i *LeaderInfo) AppendJute(b []byte) []byte {
	return appendMark(jute.AppendInt32(b, i.Protocol), i.Ours)
}

// DecodeJute reads the record.
func (i *LeaderInfo) DecodeJute(d *jute.Decoder) { i.Protocol, i.Ours = d.Int32(), readMark(d) }

func appendMark(b []byte, ours bool) []byte {
	if ours {
		return append(b, Mark...)
	}
	return b
}

func readMark(d *jute.Decoder) bool {
	rest := d.Rest()
	return len(rest) >= len(Mark) && string(rest[:len(Mark)]) == Mark
}

// Request is the data of REQUEST: what a client of the learner asks, for the leader to plan. The packet's IDs are the client's.
type Request struct {
	Session znode.SessionID
	Cxid    int32
	Op      wire.Op
	Body    []byte // as the client sent it behind the request header; may be empty
}

// AppendJute appends the record.
func (r *Request) AppendJute(b []byte) []byte {
	b = jute.AppendInt64(b, int64(r.Session))
	b = jute.AppendInt32(b, r.Cxid)
	b = jute.AppendInt32(b, int32(r.Op))
	return append(b, r.Body...)
}

// DecodeJute reads the record to the end of the input, which Body aliases.
func (r *Request) DecodeJute(d *jute.Decoder) {
	r.Session, r.Cxid, r.Op = znode.SessionID(d.Int64()), d.Int32(), wire.Op(d.Int32())
	body := d.Rest()
	r.Body = body[:len(body):len(body)]
}

// Touch says that a session was heard of, in the answer to a PING.
type Touch struct {
	Session znode.SessionID
	Timeout int32 // milliseconds
}

const touchLen = 12

// AppendTouches appends the sessions, one after the other without a count. The result is never nil, for a null answer to a PING
// ends the link in Apache's leader.
func AppendTouches(b []byte, touches []Touch) []byte {
	if b == nil {
		b = make([]byte, 0, len(touches)*touchLen)
	}
	for _, t := range touches {
		b = jute.AppendInt32(jute.AppendInt64(b, int64(t.Session)), t.Timeout)
	}
	return b
}

// DecodeTouches appends to into the touches in a PING's data. An error wraps [jute.ErrMalformed].
func DecodeTouches(data []byte, into []Touch) ([]Touch, error) {
	d := jute.NewDecoder(data)
	for d.Len() > 0 {
		t := Touch{Session: znode.SessionID(d.Int64()), Timeout: d.Int32()}
		if d.Err() == nil {
			into = append(into, t)
		}
	}
	return into, d.Err()
}

// Revalidate is the data of a learner's REVALIDATE: may this session go on with me?
type Revalidate struct {
	Session znode.SessionID
	Timeout int32 // milliseconds
}

// AppendJute appends the record.
func (r *Revalidate) AppendJute(b []byte) []byte {
	return jute.AppendInt32(jute.AppendInt64(b, int64(r.Session)), r.Timeout)
}

// DecodeJute reads the record.
func (r *Revalidate) DecodeJute(d *jute.Decoder) {
	r.Session, r.Timeout = znode.SessionID(d.Int64()), d.Int32()
}

// Revalidated is the data of the leader's REVALIDATE, the answer.
type Revalidated struct {
	Session znode.SessionID
	Valid   bool
}

// AppendJute appends the record.
func (r *Revalidated) AppendJute(b []byte) []byte {
	return jute.AppendBool(jute.AppendInt64(b, int64(r.Session)), r.Valid)
}

// DecodeJute reads the record.
func (r *Revalidated) DecodeJute(d *jute.Decoder) {
	r.Session, r.Valid = znode.SessionID(d.Int64()), d.Bool()
}

// Signature is written behind the stream of a snapshot that follows SNAP, as a jute string: proof that all of it has come
// (class LearnerHandler).
const Signature = "BenWasHere"
