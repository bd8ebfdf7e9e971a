package wire

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// multiHeader stands before every entry of a multi, and with done set after the last (class MultiHeader).
type multiHeader struct {
	op   Op
	done bool
	err  znode.Code
}

func (h multiHeader) append(b []byte) []byte {
	b = jute.AppendInt32(b, int32(h.op))
	b = jute.AppendBool(b, h.done)
	return jute.AppendInt32(b, int32(h.err))
}

func (h *multiHeader) decode(d *jute.Decoder) {
	h.op, h.done, h.err = Op(d.Int32()), d.Bool(), znode.Code(d.Int32())
}

var multiEnd = multiHeader{op: OpError, done: true, err: -1}

// A MultiOp is one operation of a multi. The record's type is that of [NewRequest] for the op. Decoding settles what
// ZooKeeper leaves to flags: a create or create2 with mode container becomes a createContainer, a createTTL without a TTL
// mode a create, which with mode container is a createContainer again.
type MultiOp struct {
	Op     Op
	Record Record
}

// MultiRequest is the record of multi and multiRead: several operations in one request.
type MultiRequest struct {
	Ops  []MultiOp
	Read bool // a multiRead; set before decoding
}

// AppendJute appends the request.
func (r *MultiRequest) AppendJute(b []byte) []byte {
	for _, op := range r.Ops {
		b = multiHeader{op: op.Op, err: -1}.append(b)
		b = op.Record.AppendJute(b)
	}
	return multiEnd.append(b)
}

// DecodeJute reads the request. An op that does not belong in it, a mode there is not, a TTL mode without a TTL, a null path or a null ACL
// list makes the whole request malformed.
func (r *MultiRequest) DecodeJute(d *jute.Decoder) {
	r.Ops = nil
	for {
		var h multiHeader
		if h.decode(d); d.Err() != nil {
			r.Ops = nil
			return
		}
		if h.done {
			return
		}
		op := MultiOp{Op: h.op}
		if r.Read {
			op.decodeRead(d)
		} else {
			op.decodeWrite(d)
		}
		if d.Err() != nil {
			r.Ops = nil
			return
		}
		r.Ops = append(r.Ops, op)
	}
}

func (o *MultiOp) decodeRead(d *jute.Decoder) {
	if o.Op != OpGetData && o.Op != OpGetChildren {
		d.Fail("%v in a multiRead", o.Op)
		return
	}
	o.Record = NewRequest(o.Op)
	o.Record.DecodeJute(d)
}

func (o *MultiOp) decodeWrite(d *jute.Decoder) {
	switch o.Op {
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL:
		r := &CreateRequest{HasTTL: o.Op == OpCreateTTL}
		r.DecodeJute(d)
		o.Record = r
		o.settleCreate(d, r)
	case OpDelete, OpSetData, OpCheck:
		ahead := *d
		if decodePath(&ahead); ahead.Err() != nil { // alone, setData and check take a null path for a bad one
			*d = ahead
			return
		}
		o.Record = NewRequest(o.Op)
		o.Record.DecodeJute(d)
	default:
		d.Fail("%v in a multi", o.Op)
	}
}

// settleCreate turns mode and op into one op (class Op.Create of Apache's client, which the server decodes into).
func (o *MultiOp) settleCreate(d *jute.Decoder, r *CreateRequest) {
	switch {
	case d.Err() != nil:
		return
	case !r.Mode.Valid():
		d.Fail("create mode %d", r.Mode)
		return
	case o.Op == OpCreateTTL && r.Mode.TTL():
		return
	case o.Op == OpCreateTTL:
		o.Op, r.HasTTL, r.TTL = OpCreate, false, -1
	case r.Mode.TTL():
		d.Fail("create mode %d without a time to live", r.Mode)
		return
	case r.ACL == nil:
		d.Fail("null ACL in a multi")
		return
	}
	if r.Mode == znode.ModeContainer {
		o.Op = OpCreateContainer
	}
}

// A MultiResult is the outcome of one operation of a multi. With Err other than 0, or Op OpError, only Err counts: every entry
// of a failed multi is such a one.
type MultiResult struct {
	Op       Op // OpCreate, OpCreate2 (all creates that answer a Stat), OpDelete, OpSetData, OpCheck, OpGetData, OpGetChildren, OpError
	Err      znode.Code
	Path     string
	Stat     znode.Stat
	Data     []byte
	Children []string
}

// AppendJute appends the entry, its header included.
func (r *MultiResult) AppendJute(b []byte) []byte {
	if r.Op == OpError || r.Err != 0 {
		return jute.AppendInt32(multiHeader{op: OpError, err: r.Err}.append(b), int32(r.Err))
	}
	b = multiHeader{op: r.Op}.append(b)
	switch r.Op {
	case OpCreate:
		b = jute.AppendString(b, r.Path)
	case OpCreate2:
		b = r.Stat.AppendJute(jute.AppendString(b, r.Path))
	case OpSetData:
		b = r.Stat.AppendJute(b)
	case OpGetData:
		b = r.Stat.AppendJute(jute.AppendBuffer(b, r.Data))
	case OpGetChildren:
		b = jute.AppendStrings(b, r.Children)
	}
	return b
}

func (r *MultiResult) decode(h multiHeader, d *jute.Decoder) {
	r.Op, r.Err = h.op, h.err
	switch h.op {
	case OpError:
		r.Err = znode.Code(d.Int32())
	case OpCreate:
		r.Path = d.String()
	case OpCreate2:
		r.Path = d.String()
		r.Stat.DecodeJute(d)
	case OpSetData:
		r.Stat.DecodeJute(d)
	case OpGetData:
		r.Data = d.Buffer()
		r.Stat.DecodeJute(d)
	case OpGetChildren:
		r.Children = d.Strings()
	case OpDelete, OpCheck:
	default:
		d.Fail("%v in the answer to a multi", h.op)
	}
}

// MultiResponse is the answer to a multi or a multiRead.
type MultiResponse struct{ Results []MultiResult }

// AppendJute appends the response.
func (r *MultiResponse) AppendJute(b []byte) []byte {
	for i := range r.Results {
		b = r.Results[i].AppendJute(b)
	}
	return multiEnd.append(b)
}

// DecodeJute reads the response.
func (r *MultiResponse) DecodeJute(d *jute.Decoder) {
	r.Results = nil
	for {
		var h multiHeader
		if h.decode(d); d.Err() != nil {
			r.Results = nil
			return
		}
		if h.done {
			return
		}
		var res MultiResult
		if res.decode(h, d); d.Err() != nil {
			r.Results = nil
			return
		}
		r.Results = append(r.Results, res)
	}
}
