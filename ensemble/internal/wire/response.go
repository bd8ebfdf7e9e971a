package wire

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// CreateResponse answers create; the three younger creates answer with a Stat too.
type CreateResponse struct {
	Path    string
	Stat    znode.Stat
	HasStat bool // for create2, createContainer and createTTL; set before encoding or decoding
}

// AppendJute appends the response.
func (r *CreateResponse) AppendJute(b []byte) []byte {
	b = jute.AppendString(b, r.Path)
	if r.HasStat {
		b = r.Stat.AppendJute(b)
	}
	return b
}

// DecodeJute reads the response.
func (r *CreateResponse) DecodeJute(d *jute.Decoder) {
	r.Path = d.String()
	if r.HasStat {
		r.Stat.DecodeJute(d)
	}
}

// StatResponse answers exists, setData and setACL.
type StatResponse struct{ Stat znode.Stat }

// AppendJute appends the response.
func (r *StatResponse) AppendJute(b []byte) []byte { return r.Stat.AppendJute(b) }

// DecodeJute reads the response.
func (r *StatResponse) DecodeJute(d *jute.Decoder) { r.Stat.DecodeJute(d) }

// DataResponse answers getData and reconfig.
type DataResponse struct {
	Data []byte // nil is null
	Stat znode.Stat
}

// AppendJute appends the response.
func (r *DataResponse) AppendJute(b []byte) []byte {
	return r.Stat.AppendJute(jute.AppendBuffer(b, r.Data))
}

// DecodeJute reads the response.
func (r *DataResponse) DecodeJute(d *jute.Decoder) {
	r.Data = d.Buffer()
	r.Stat.DecodeJute(d)
}

// ACLResponse answers getACL.
type ACLResponse struct {
	ACL  []znode.ACL
	Stat znode.Stat
}

// AppendJute appends the response.
func (r *ACLResponse) AppendJute(b []byte) []byte {
	return r.Stat.AppendJute(znode.AppendACLs(b, r.ACL))
}

// DecodeJute reads the response.
func (r *ACLResponse) DecodeJute(d *jute.Decoder) {
	r.ACL = znode.DecodeACLs(d)
	r.Stat.DecodeJute(d)
}

// ChildrenResponse answers getChildren and getChildren2, in no particular order.
type ChildrenResponse struct {
	Children []string
	Stat     znode.Stat
	HasStat  bool // for getChildren2; set before encoding or decoding
}

// AppendJute appends the response.
func (r *ChildrenResponse) AppendJute(b []byte) []byte {
	b = jute.AppendStrings(b, r.Children)
	if r.HasStat {
		b = r.Stat.AppendJute(b)
	}
	return b
}

// DecodeJute reads the response.
func (r *ChildrenResponse) DecodeJute(d *jute.Decoder) {
	r.Children = d.Strings()
	if r.HasStat {
		r.Stat.DecodeJute(d)
	}
}

// PathsResponse answers getEphemerals.
type PathsResponse struct{ Paths []string }

// AppendJute appends the response.
func (r *PathsResponse) AppendJute(b []byte) []byte { return jute.AppendStrings(b, r.Paths) }

// DecodeJute reads the response.
func (r *PathsResponse) DecodeJute(d *jute.Decoder) { r.Paths = d.Strings() }

// CountResponse answers getAllChildrenNumber.
type CountResponse struct{ Count int32 }

// AppendJute appends the response.
func (r *CountResponse) AppendJute(b []byte) []byte { return jute.AppendInt32(b, r.Count) }

// DecodeJute reads the response.
func (r *CountResponse) DecodeJute(d *jute.Decoder) { r.Count = d.Int32() }

// ErrorResponse answers addWatch.
type ErrorResponse struct{ Err znode.Code }

// AppendJute appends the response.
func (r *ErrorResponse) AppendJute(b []byte) []byte { return jute.AppendInt32(b, int32(r.Err)) }

// DecodeJute reads the response.
func (r *ErrorResponse) DecodeJute(d *jute.Decoder) { r.Err = znode.Code(d.Int32()) }

// WhoAmIResponse answers whoAmI: every identity of the connection, scheme and the name a user knows.
type WhoAmIResponse struct{ IDs []znode.ID }

// AppendJute appends the response.
func (r *WhoAmIResponse) AppendJute(b []byte) []byte {
	b = jute.AppendInt32(b, int32(len(r.IDs)))
	for _, id := range r.IDs {
		b = jute.AppendString(jute.AppendString(b, id.Scheme), id.Name)
	}
	return b
}

// DecodeJute reads the response.
func (r *WhoAmIResponse) DecodeJute(d *jute.Decoder) {
	n := d.Count(8)
	r.IDs = nil
	for range n {
		r.IDs = append(r.IDs, znode.ID{Scheme: d.String(), Name: d.String()})
	}
}

// NewResponse returns an empty record for the answer to op, nil where it is only a header.
func NewResponse(op Op) Record {
	switch op {
	case OpCreate:
		return &CreateResponse{}
	case OpCreate2, OpCreateContainer, OpCreateTTL:
		return &CreateResponse{HasStat: true}
	case OpExists, OpSetData, OpSetACL:
		return &StatResponse{}
	case OpGetData, OpReconfig:
		return &DataResponse{}
	case OpGetACL:
		return &ACLResponse{}
	case OpGetChildren:
		return &ChildrenResponse{}
	case OpGetChildren2:
		return &ChildrenResponse{HasStat: true}
	case OpSync:
		return &SyncRequest{}
	case OpMulti, OpMultiRead:
		return &MultiResponse{}
	case OpSASL:
		return &SASLToken{}
	case OpGetEphemerals:
		return &PathsResponse{}
	case OpGetAllChildrenNumber:
		return &CountResponse{}
	case OpAddWatch:
		return &ErrorResponse{}
	case OpWhoAmI:
		return &WhoAmIResponse{}
	}
	return nil
}
