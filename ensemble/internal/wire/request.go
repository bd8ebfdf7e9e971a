package wire

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// decodePath reads a path that may not be null.
func decodePath(d *jute.Decoder) string {
	s, null := d.NullableString()
	if null && d.Err() == nil {
		d.Fail("null path")
	}
	return s
}

// decodePaths reads a vector of paths; neither it nor one of them may be null.
func decodePaths(d *jute.Decoder) []string {
	n := d.Count(4)
	if n < 0 {
		d.Fail("null list of paths")
	}
	if d.Err() != nil {
		return nil
	}
	paths := make([]string, n)
	for i := range paths {
		paths[i] = decodePath(d)
	}
	return paths
}

// CreateRequest is the record of all four creates. TTL is on the wire only for OpCreateTTL, so the op must be known: see
// [CreateRequest.HasTTL].
type CreateRequest struct {
	Path   string
	Data   []byte // nil is null
	ACL    []znode.ACL
	Mode   znode.CreateMode
	TTL    int64 // milliseconds; -1 where there is none
	HasTTL bool  // set before encoding or decoding a createTTL
}

// AppendJute appends the request.
func (r *CreateRequest) AppendJute(b []byte) []byte {
	b = jute.AppendString(b, r.Path)
	b = jute.AppendBuffer(b, r.Data)
	b = znode.AppendACLs(b, r.ACL)
	b = jute.AppendInt32(b, int32(r.Mode))
	if r.HasTTL {
		b = jute.AppendInt64(b, r.TTL)
	}
	return b
}

// DecodeJute reads the request.
func (r *CreateRequest) DecodeJute(d *jute.Decoder) {
	r.Path, r.Data = decodePath(d), d.Buffer()
	r.ACL = znode.DecodeACLs(d)
	r.Mode, r.TTL = znode.CreateMode(d.Int32()), -1
	if r.HasTTL {
		r.TTL = d.Int64()
	}
}

// DeleteRequest is the record of delete.
type DeleteRequest struct {
	Path    string
	Version int32 // -1 matches any
}

// AppendJute appends the request.
func (r *DeleteRequest) AppendJute(b []byte) []byte {
	return jute.AppendInt32(jute.AppendString(b, r.Path), r.Version)
}

// DecodeJute reads the request.
func (r *DeleteRequest) DecodeJute(d *jute.Decoder) { r.Path, r.Version = decodePath(d), d.Int32() }

// CheckRequest is the record of check. A null path reads as empty, which is no valid path.
type CheckRequest struct {
	Path    string
	Version int32 // -1 matches any
}

// AppendJute appends the request.
func (r *CheckRequest) AppendJute(b []byte) []byte {
	return jute.AppendInt32(jute.AppendString(b, r.Path), r.Version)
}

// DecodeJute reads the request.
func (r *CheckRequest) DecodeJute(d *jute.Decoder) { r.Path, r.Version = d.String(), d.Int32() }

// WatchRequest is the record of the reads that may leave a watch: exists, getData, getChildren, getChildren2.
type WatchRequest struct {
	Path  string
	Watch bool
}

// AppendJute appends the request.
func (r *WatchRequest) AppendJute(b []byte) []byte {
	return jute.AppendBool(jute.AppendString(b, r.Path), r.Watch)
}

// DecodeJute reads the request.
func (r *WatchRequest) DecodeJute(d *jute.Decoder) { r.Path, r.Watch = decodePath(d), d.Bool() }

// PathRequest is the record of getACL and getAllChildrenNumber.
type PathRequest struct{ Path string }

// AppendJute appends the request.
func (r *PathRequest) AppendJute(b []byte) []byte { return jute.AppendString(b, r.Path) }

// DecodeJute reads the request.
func (r *PathRequest) DecodeJute(d *jute.Decoder) { r.Path = decodePath(d) }

// PrefixRequest is the record of getEphemerals; a null prefix reads as empty, which means all.
type PrefixRequest struct{ Prefix string }

// AppendJute appends the request.
func (r *PrefixRequest) AppendJute(b []byte) []byte { return jute.AppendString(b, r.Prefix) }

// DecodeJute reads the request.
func (r *PrefixRequest) DecodeJute(d *jute.Decoder) { r.Prefix = d.String() }

// SyncRequest is the record of sync and of its answer, which gives the path back as it came, null included.
type SyncRequest struct{ Path []byte }

// AppendJute appends the request.
func (r *SyncRequest) AppendJute(b []byte) []byte { return jute.AppendBuffer(b, r.Path) }

// DecodeJute reads the request.
func (r *SyncRequest) DecodeJute(d *jute.Decoder) { r.Path = d.Buffer() }

// SetDataRequest is the record of setData. A null path reads as empty, which is no valid path.
type SetDataRequest struct {
	Path    string
	Data    []byte // nil is null
	Version int32  // -1 matches any
}

// AppendJute appends the request.
func (r *SetDataRequest) AppendJute(b []byte) []byte {
	return jute.AppendInt32(jute.AppendBuffer(jute.AppendString(b, r.Path), r.Data), r.Version)
}

// DecodeJute reads the request.
func (r *SetDataRequest) DecodeJute(d *jute.Decoder) {
	r.Path, r.Data, r.Version = d.String(), d.Buffer(), d.Int32()
}

// SetACLRequest is the record of setACL. A null path reads as empty, which is no valid path.
type SetACLRequest struct {
	Path    string
	ACL     []znode.ACL
	Version int32 // of the ACL; -1 matches any
}

// AppendJute appends the request.
func (r *SetACLRequest) AppendJute(b []byte) []byte {
	return jute.AppendInt32(znode.AppendACLs(jute.AppendString(b, r.Path), r.ACL), r.Version)
}

// DecodeJute reads the request.
func (r *SetACLRequest) DecodeJute(d *jute.Decoder) {
	r.Path, r.ACL, r.Version = d.String(), znode.DecodeACLs(d), d.Int32()
}

// ReconfigRequest is the record of reconfig; absent fields are nil, which is not the same as empty.
type ReconfigRequest struct {
	Joining, Leaving, NewMembers []byte
	ConfigID                     int64
}

// AppendJute appends the request.
func (r *ReconfigRequest) AppendJute(b []byte) []byte {
	b = jute.AppendBuffer(b, r.Joining)
	b = jute.AppendBuffer(b, r.Leaving)
	b = jute.AppendBuffer(b, r.NewMembers)
	return jute.AppendInt64(b, r.ConfigID)
}

// DecodeJute reads the request.
func (r *ReconfigRequest) DecodeJute(d *jute.Decoder) {
	r.Joining, r.Leaving, r.NewMembers, r.ConfigID = d.Buffer(), d.Buffer(), d.Buffer(), d.Int64()
}

// CreateSessionRequest is the record of createSession, which a server makes of a ConnectRequest.
type CreateSessionRequest struct{ Timeout int32 } // milliseconds

// AppendJute appends the request.
func (r *CreateSessionRequest) AppendJute(b []byte) []byte { return jute.AppendInt32(b, r.Timeout) }

// DecodeJute reads the request.
func (r *CreateSessionRequest) DecodeJute(d *jute.Decoder) { r.Timeout = d.Int32() }

// A WatcherType says which watches checkWatches and removeWatches mean.
type WatcherType int32

// The watcher types.
const (
	WatcherChildren            WatcherType = 1
	WatcherData                WatcherType = 2
	WatcherAny                 WatcherType = 3
	WatcherPersistent          WatcherType = 4
	WatcherPersistentRecursive WatcherType = 5
)

// WatcherRequest is the record of checkWatches and removeWatches.
type WatcherRequest struct {
	Path string
	Type WatcherType
}

// AppendJute appends the request.
func (r *WatcherRequest) AppendJute(b []byte) []byte {
	return jute.AppendInt32(jute.AppendString(b, r.Path), int32(r.Type))
}

// DecodeJute reads the request; a type there is not is malformed.
func (r *WatcherRequest) DecodeJute(d *jute.Decoder) {
	r.Path, r.Type = decodePath(d), WatcherType(d.Int32())
	if d.Err() == nil && (r.Type < WatcherChildren || r.Type > WatcherPersistentRecursive) {
		d.Fail("watcher type %d", r.Type)
	}
}

// A WatchMode is the kind of watch addWatch leaves.
type WatchMode int32

// The modes of addWatch.
const (
	WatchPersistent          WatchMode = 0
	WatchPersistentRecursive WatchMode = 1
)

// AddWatchRequest is the record of addWatch.
type AddWatchRequest struct {
	Path string
	Mode WatchMode
}

// AppendJute appends the request.
func (r *AddWatchRequest) AppendJute(b []byte) []byte {
	return jute.AppendInt32(jute.AppendString(b, r.Path), int32(r.Mode))
}

// DecodeJute reads the request; a mode there is not is malformed.
func (r *AddWatchRequest) DecodeJute(d *jute.Decoder) {
	r.Path, r.Mode = decodePath(d), WatchMode(d.Int32())
	if d.Err() == nil && r.Mode != WatchPersistent && r.Mode != WatchPersistentRecursive {
		d.Fail("watch mode %d", r.Mode)
	}
}

// SetWatchesRequest is the record of setWatches and setWatches2; the persistent lists are on the wire only for the latter.
type SetWatchesRequest struct {
	RelativeZxid                    znode.Zxid
	Data, Exist, Child              []string
	Persistent, PersistentRecursive []string
	Two                             bool // set before encoding or decoding a setWatches2
}

// AppendJute appends the request.
func (r *SetWatchesRequest) AppendJute(b []byte) []byte {
	b = jute.AppendInt64(b, int64(r.RelativeZxid))
	b = jute.AppendStrings(b, r.Data)
	b = jute.AppendStrings(b, r.Exist)
	b = jute.AppendStrings(b, r.Child)
	if r.Two {
		b = jute.AppendStrings(b, r.Persistent)
		b = jute.AppendStrings(b, r.PersistentRecursive)
	}
	return b
}

// DecodeJute reads the request.
func (r *SetWatchesRequest) DecodeJute(d *jute.Decoder) {
	r.RelativeZxid = znode.Zxid(d.Int64())
	r.Data, r.Exist, r.Child = decodePaths(d), decodePaths(d), decodePaths(d)
	if r.Two {
		r.Persistent, r.PersistentRecursive = decodePaths(d), decodePaths(d)
	}
}

// AuthRequest is the record of auth.
type AuthRequest struct {
	Type   int32
	Scheme string
	Auth   []byte
}

// AppendJute appends the request.
func (r *AuthRequest) AppendJute(b []byte) []byte {
	return jute.AppendBuffer(jute.AppendString(jute.AppendInt32(b, r.Type), r.Scheme), r.Auth)
}

// DecodeJute reads the request.
func (r *AuthRequest) DecodeJute(d *jute.Decoder) {
	r.Type, r.Scheme, r.Auth = d.Int32(), d.String(), d.Buffer()
}

// SASLToken is the record of sasl and of its answer.
type SASLToken struct{ Token []byte }

// AppendJute appends the token.
func (r *SASLToken) AppendJute(b []byte) []byte { return jute.AppendBuffer(b, r.Token) }

// DecodeJute reads the token.
func (r *SASLToken) DecodeJute(d *jute.Decoder) { r.Token = d.Buffer() }

// NewRequest returns an empty record for a request of type op, nil where the op has none (ping, closeSession, whoAmI) or is not
// known.
func NewRequest(op Op) Record {
	switch op {
	case OpCreate, OpCreate2, OpCreateContainer:
		return &CreateRequest{}
	case OpCreateTTL:
		return &CreateRequest{HasTTL: true}
	case OpDelete:
		return &DeleteRequest{}
	case OpDeleteContainer, OpGetACL, OpGetAllChildrenNumber:
		return &PathRequest{}
	case OpCheck:
		return &CheckRequest{}
	case OpExists, OpGetData, OpGetChildren, OpGetChildren2:
		return &WatchRequest{}
	case OpSetData:
		return &SetDataRequest{}
	case OpSetACL:
		return &SetACLRequest{}
	case OpSync:
		return &SyncRequest{}
	case OpMulti:
		return &MultiRequest{}
	case OpMultiRead:
		return &MultiRequest{Read: true}
	case OpReconfig:
		return &ReconfigRequest{}
	case OpCheckWatches, OpRemoveWatches:
		return &WatcherRequest{}
	case OpAddWatch:
		return &AddWatchRequest{}
	case OpSetWatches:
		return &SetWatchesRequest{}
	case OpSetWatches2:
		return &SetWatchesRequest{Two: true}
	case OpAuth:
		return &AuthRequest{}
	case OpSASL:
		return &SASLToken{}
	case OpGetEphemerals:
		return &PrefixRequest{}
	case OpCreateSession:
		return &CreateSessionRequest{}
	}
	return nil
}
