// Package wire is ZooKeeper's client protocol: what a frame holds in either direction. It knows encodings only; what a
// request means is decided elsewhere.
//
// A frame is a four-byte length and that many bytes. The first frame of a connection is a [ConnectRequest], answered by a
// [ConnectResponse]; every later request is a [RequestHeader] and a record chosen by its op, every later reply a
// [ReplyHeader] and, if its error is 0, a record. A reply whose xid is [XidNotification] is not a reply but a
// [WatcherEvent].
//
//	b, start := wire.BeginFrame(b)
//	b = wire.ReplyHeader{Xid: 7, Zxid: zxid}.AppendJute(b)
//	b = stat.AppendJute(b)
//	b = wire.EndFrame(b, start)
//
// Records append themselves to a slice and decode from a [jute.Decoder], whose error says whether they did. Decoded
// buffers alias the frame.
package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// An Op is the type of a request (class ZooDefs.OpCode).
type Op int32

// The ops. CreateSession and DeleteContainer are made by servers only; Check stands only inside a multi.
const (
	OpNotification         Op = 0
	OpCreate               Op = 1
	OpDelete               Op = 2
	OpExists               Op = 3
	OpGetData              Op = 4
	OpSetData              Op = 5
	OpGetACL               Op = 6
	OpSetACL               Op = 7
	OpGetChildren          Op = 8
	OpSync                 Op = 9
	OpPing                 Op = 11
	OpGetChildren2         Op = 12
	OpCheck                Op = 13
	OpMulti                Op = 14
	OpCreate2              Op = 15
	OpReconfig             Op = 16
	OpCheckWatches         Op = 17
	OpRemoveWatches        Op = 18
	OpCreateContainer      Op = 19
	OpDeleteContainer      Op = 20
	OpCreateTTL            Op = 21
	OpMultiRead            Op = 22
	OpAuth                 Op = 100
	OpSetWatches           Op = 101
	OpSASL                 Op = 102
	OpGetEphemerals        Op = 103
	OpGetAllChildrenNumber Op = 104
	OpSetWatches2          Op = 105
	OpAddWatch             Op = 106
	OpWhoAmI               Op = 107
	OpCreateSession        Op = -10
	OpCloseSession         Op = -11
	OpError                Op = -1
)

var opNames = map[Op]string{
	OpNotification: "notification", OpCreate: "create", OpDelete: "delete", OpExists: "exists", OpGetData: "getData",
	OpSetData: "setData", OpGetACL: "getACL", OpSetACL: "setACL", OpGetChildren: "getChildren", OpSync: "sync", OpPing: "ping",
	OpGetChildren2: "getChildren2", OpCheck: "check", OpMulti: "multi", OpCreate2: "create2", OpReconfig: "reconfig",
	OpCheckWatches: "checkWatches", OpRemoveWatches: "removeWatches", OpCreateContainer: "createContainer",
	OpDeleteContainer: "deleteContainer", OpCreateTTL: "createTTL", OpMultiRead: "multiRead", OpAuth: "auth",
	OpSetWatches: "setWatches", OpSASL: "sasl", OpGetEphemerals: "getEphemerals", OpGetAllChildrenNumber: "getAllChildrenNumber",
	OpSetWatches2: "setWatches2", OpAddWatch: "addWatch", OpWhoAmI: "whoAmI", OpCreateSession: "createSession",
	OpCloseSession: "closeSession", OpError: "error",
}

func (o Op) String() string {
	if s, ok := opNames[o]; ok {
		return s
	}
	return fmt.Sprintf("op %d", int32(o))
}

// Write reports whether o changes the tree or the sessions and so takes part in the order.
func (o Op) Write() bool {
	switch o {
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL, OpDelete, OpDeleteContainer, OpSetData, OpSetACL, OpMulti, OpReconfig,
		OpCreateSession, OpCloseSession:
		return true
	}
	return false
}

// Create reports whether o is one of the four that create a node.
func (o Op) Create() bool {
	return o == OpCreate || o == OpCreate2 || o == OpCreateContainer || o == OpCreateTTL
}

// Client reports whether a client may send o on its own. Apache's server also takes createSession and deleteContainer from
// clients, the latter past all ACLs; here they are unknown ops.
func (o Op) Client() bool {
	switch o {
	case OpNotification, OpCheck, OpDeleteContainer, OpCreateSession, OpError:
		return false
	}
	_, known := opNames[o]
	return known
}

// Special xids.
const (
	XidNotification int32 = -1
	XidPing         int32 = -2
	XidAuth         int32 = -4
	XidSetWatches   int32 = -8
)

// DefaultMaxFrame is the default of jute.maxbuffer: the longest frame a server reads, in bytes.
const DefaultMaxFrame = 0xfffff

// BeginFrame leaves room for a frame's length; start is where it is.
func BeginFrame(b []byte) (_ []byte, start int) { return append(b, 0, 0, 0, 0), len(b) }

// EndFrame puts the length of all that was appended since BeginFrame.
func EndFrame(b []byte, start int) []byte {
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// AppendErrorFrame appends a whole reply that is only a header.
func AppendErrorFrame(b []byte, h ReplyHeader) []byte {
	b, start := BeginFrame(b)
	return EndFrame(h.AppendJute(b), start)
}

// A Record is anything that can be written and read as jute.
type Record interface {
	AppendJute(b []byte) []byte
	DecodeJute(d *jute.Decoder)
}

// RequestHeader opens every request but the first.
type RequestHeader struct {
	Xid int32
	Op  Op
}

// RequestHeaderLen is the encoded length of a RequestHeader in bytes.
const RequestHeaderLen = 8

// AppendJute appends the header.
func (h RequestHeader) AppendJute(b []byte) []byte {
	return jute.AppendInt32(jute.AppendInt32(b, h.Xid), int32(h.Op))
}

// DecodeJute reads the header.
func (h *RequestHeader) DecodeJute(d *jute.Decoder) { h.Xid, h.Op = d.Int32(), Op(d.Int32()) }

// ReplyHeader opens every reply but the first. With Err other than 0 nothing follows it.
type ReplyHeader struct {
	Xid  int32
	Zxid znode.Zxid
	Err  znode.Code
}

// ReplyHeaderLen is the encoded length of a ReplyHeader in bytes.
const ReplyHeaderLen = 16

// AppendJute appends the header.
func (h ReplyHeader) AppendJute(b []byte) []byte {
	b = jute.AppendInt32(b, h.Xid)
	b = jute.AppendInt64(b, int64(h.Zxid))
	return jute.AppendInt32(b, int32(h.Err))
}

// DecodeJute reads the header.
func (h *ReplyHeader) DecodeJute(d *jute.Decoder) {
	h.Xid, h.Zxid, h.Err = d.Int32(), znode.Zxid(d.Int64()), znode.Code(d.Int32())
}

// PasswordLen is the length of a session's password in bytes.
const PasswordLen = 16

// ConnectRequest is a client's first frame.
type ConnectRequest struct {
	ProtocolVersion int32
	LastZxidSeen    znode.Zxid
	Timeout         int32 // milliseconds
	Session         znode.SessionID
	Password        []byte
	ReadOnly        bool // the client would take a read-only server
	Legacy          bool // the frame ends before ReadOnly, as old clients' do; so must the answer's
}

// AppendJute appends the request.
func (r *ConnectRequest) AppendJute(b []byte) []byte {
	b = jute.AppendInt32(b, r.ProtocolVersion)
	b = jute.AppendInt64(b, int64(r.LastZxidSeen))
	b = jute.AppendInt32(b, r.Timeout)
	b = jute.AppendInt64(b, int64(r.Session))
	b = jute.AppendBuffer(b, r.Password)
	if r.Legacy {
		return b
	}
	return jute.AppendBool(b, r.ReadOnly)
}

// DecodeJute reads the request.
func (r *ConnectRequest) DecodeJute(d *jute.Decoder) {
	r.ProtocolVersion, r.LastZxidSeen = d.Int32(), znode.Zxid(d.Int64())
	r.Timeout, r.Session = d.Int32(), znode.SessionID(d.Int64())
	r.Password = d.Buffer()
	if r.Legacy = d.Len() == 0; !r.Legacy {
		r.ReadOnly = d.Bool()
	}
}

// ConnectResponse is a server's first frame. A refused session has Timeout 0, Session 0 and a password of zeros.
type ConnectResponse struct {
	ProtocolVersion int32
	Timeout         int32 // milliseconds, as negotiated
	Session         znode.SessionID
	Password        []byte // PasswordLen bytes
	ReadOnly        bool
	Legacy          bool // leave ReadOnly out, as the request did
}

// AppendJute appends the response.
func (r *ConnectResponse) AppendJute(b []byte) []byte {
	b = jute.AppendInt32(b, r.ProtocolVersion)
	b = jute.AppendInt32(b, r.Timeout)
	b = jute.AppendInt64(b, int64(r.Session))
	b = jute.AppendBuffer(b, r.Password)
	if r.Legacy {
		return b
	}
	return jute.AppendBool(b, r.ReadOnly)
}

// DecodeJute reads the response.
func (r *ConnectResponse) DecodeJute(d *jute.Decoder) {
	r.ProtocolVersion, r.Timeout = d.Int32(), d.Int32()
	r.Session, r.Password = znode.SessionID(d.Int64()), d.Buffer()
	if r.Legacy = d.Len() == 0; !r.Legacy {
		r.ReadOnly = d.Bool()
	}
}

// StateSyncConnected is the state of every event a server sends.
const StateSyncConnected int32 = 3

// WatcherEvent tells a client that a watch fired. Its frame's header has XidNotification and the zxid of the change.
type WatcherEvent struct {
	Type  znode.EventType
	State int32
	Path  string
}

// AppendJute appends the event.
func (e *WatcherEvent) AppendJute(b []byte) []byte {
	b = jute.AppendInt32(b, int32(e.Type))
	b = jute.AppendInt32(b, e.State)
	return jute.AppendString(b, e.Path)
}

// DecodeJute reads the event.
func (e *WatcherEvent) DecodeJute(d *jute.Decoder) {
	e.Type, e.State, e.Path = znode.EventType(d.Int32()), d.Int32(), d.String()
}

// AppendNotification appends a whole frame that tells a client of a change at path. zxid is that of the change, -1 when it is
// told late, by setWatches.
func AppendNotification(b []byte, zxid znode.Zxid, typ znode.EventType, path string) []byte {
	b, start := BeginFrame(b)
	b = ReplyHeader{Xid: XidNotification, Zxid: zxid}.AppendJute(b)
	b = (&WatcherEvent{Type: typ, State: StateSyncConnected, Path: path}).AppendJute(b)
	return EndFrame(b, start)
}
