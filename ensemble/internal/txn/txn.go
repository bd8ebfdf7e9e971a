// Package txn is an agreed change: what a leader proposes, every server logs, and the tree applies. A [Txn] is a header (who
// asked, its place in the order, when), a body chosen by its type, and a digest of the whole tree as it must be afterwards.
//
// Its encoding is the payload of a record of ZooKeeper's transaction log and of a PROPOSAL on its quorum port:
//
//	TxnHeader (32 bytes)  body (by type, may be absent)  TxnDigest (12 bytes, may be absent)
//
// A request that was refused is a Txn too, of type [wire.OpError]: it took its place in the order and changed nothing.
package txn

import (
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// DigestVersion is the version of the tree digest written here, the only one compared.
const DigestVersion = 2

// Header is a transaction's place in the order (class TxnHeader).
type Header struct {
	Session znode.SessionID // who asked; 0 for a server's own
	Cxid    int32           // the client's number of the request; 0 for a server's own
	Zxid    znode.Zxid
	Time    int64 // milliseconds since 1970 by the leader's clock
	Type    wire.Op
}

// HeaderLen is the encoded length of a Header in bytes.
const HeaderLen = 32

// A Txn is an agreed change. Body is nil where the type has none or, in old logs, left it out.
type Txn struct {
	Header
	Body      Body
	Digest    uint64 // of the tree after this transaction
	HasDigest bool
}

// A Body is one of [*Create], [*Delete], [*SetData], [*SetACL], [*Check], [*Multi], [*CreateSession], [*CloseSession], [*Error].
type Body interface {
	append(b []byte, typ wire.Op) []byte
	decode(d *jute.Decoder, typ wire.Op)
}

// Create is the body of the four creates (classes CreateTxn, CreateTTLTxn, CreateContainerTxn).
type Create struct {
	Path           string
	Data           []byte // nil is null
	ACL            []znode.ACL
	Ephemeral      bool  // types create and create2
	ParentCversion int32 // the parent's creation count afterwards; -1: one more than it has
	TTL            int64 // type createTTL, milliseconds
}

// Delete is the body of delete and deleteContainer.
type Delete struct{ Path string }

// SetData is the body of setData and reconfig.
type SetData struct {
	Path    string
	Data    []byte
	Version int32 // the version afterwards
}

// SetACL is the body of setACL.
type SetACL struct {
	Path    string
	ACL     []znode.ACL
	Version int32 // the ACL's version afterwards
}

// Check is a multi's check that held; applying it changes nothing.
type Check struct {
	Path    string
	Version int32
}

// CreateSession opens a session.
type CreateSession struct{ Timeout int32 } // milliseconds

// CloseSession ends the session in the header and deletes its ephemerals. Paths lists them, those created and not yet applied
// when the session was closed included; nil (old logs) leaves only what the tree knows.
type CloseSession struct{ Paths []string }

// Error is the body of a request that was refused.
type Error struct{ Code znode.Code }

// Sub is one change of a multi.
type Sub struct {
	Type wire.Op
	Body Body
}

// Multi is several changes at one place in the order. If one of them is an Error none is applied.
type Multi struct{ Subs []Sub }

// Failed reports whether one of m's parts was refused.
func (m *Multi) Failed() bool {
	for i := range m.Subs {
		if m.Subs[i].Type == wire.OpError {
			return true
		}
	}
	return false
}

// AppendPayload appends t as it is logged.
func (t *Txn) AppendPayload(b []byte) []byte {
	b = jute.AppendInt64(b, int64(t.Session))
	b = jute.AppendInt32(b, t.Cxid)
	b = jute.AppendInt64(b, int64(t.Zxid))
	b = jute.AppendInt64(b, t.Time)
	b = jute.AppendInt32(b, int32(t.Type))
	if t.Body != nil {
		b = t.Body.append(b, t.Type)
	}
	if t.HasDigest {
		b = jute.AppendInt64(jute.AppendInt32(b, DigestVersion), int64(t.Digest))
	}
	return b
}

// DecodeHeader reads only the header of a payload.
func DecodeHeader(payload []byte) (Header, error) {
	d := jute.NewDecoder(payload)
	h := decodeHeader(&d)
	return h, d.Err()
}

func decodeHeader(d *jute.Decoder) Header {
	return Header{
		Session: znode.SessionID(d.Int64()), Cxid: d.Int32(), Zxid: znode.Zxid(d.Int64()), Time: d.Int64(), Type: wire.Op(d.Int32()),
	}
}

// Decode reads a payload. Buffers of the result alias it. Bytes after the last field are ignored, as Apache's server ignores
// them; a digest of another version counts as none. The error wraps [jute.ErrMalformed], also for a type that may not stand in a
// log.
func Decode(payload []byte) (Txn, error) {
	d := jute.NewDecoder(payload)
	t := Txn{Header: decodeHeader(&d)}
	if d.Err() != nil {
		return Txn{}, d.Err()
	}
	if t.Type == wire.OpCloseSession {
		t.Body = decodeCloseSession(&d)
	} else {
		t.Body = newBody(t.Type)
		if t.Body == nil || t.Type == wire.OpCheck {
			return Txn{}, fmt.Errorf("%w: transaction of type %v", jute.ErrMalformed, t.Type)
		}
		t.Body.decode(&d, t.Type)
	}
	if d.Err() != nil {
		return Txn{}, fmt.Errorf("transaction %v of type %v: %w", t.Zxid, t.Type, d.Err())
	}
	if d.Len() >= 12 && d.Int32() == DigestVersion {
		t.Digest, t.HasDigest = uint64(d.Int64()), true
	}
	return t, nil
}

// decodeCloseSession copes with three generations: nothing after the header (until 3.5, or with closeSessionTxn.enabled off),
// a list, and that switch off but digests on, where twelve bytes of digest stand where a list would begin.
func decodeCloseSession(d *jute.Decoder) Body {
	if d.Len() == 0 {
		return &CloseSession{}
	}
	if try := jute.NewDecoder(d.Rest()); d.Len() == 12 {
		if try.Strings(); try.Err() != nil {
			return &CloseSession{}
		}
	}
	body := &CloseSession{}
	body.decode(d, wire.OpCloseSession)
	return body
}

func newBody(typ wire.Op) Body {
	switch typ {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		return &Create{}
	case wire.OpDelete, wire.OpDeleteContainer:
		return &Delete{}
	case wire.OpSetData, wire.OpReconfig:
		return &SetData{}
	case wire.OpSetACL:
		return &SetACL{}
	case wire.OpCheck:
		return &Check{}
	case wire.OpMulti:
		return &Multi{}
	case wire.OpCreateSession:
		return &CreateSession{}
	case wire.OpCloseSession:
		return &CloseSession{}
	case wire.OpError:
		return &Error{}
	}
	return nil
}

func (c *Create) append(b []byte, typ wire.Op) []byte {
	b = jute.AppendString(b, c.Path)
	b = jute.AppendBuffer(b, c.Data)
	b = znode.AppendACLs(b, c.ACL)
	if typ == wire.OpCreate || typ == wire.OpCreate2 {
		b = jute.AppendBool(b, c.Ephemeral)
	}
	b = jute.AppendInt32(b, c.ParentCversion)
	if typ == wire.OpCreateTTL {
		b = jute.AppendInt64(b, c.TTL)
	}
	return b
}

func (c *Create) decode(d *jute.Decoder, typ wire.Op) {
	c.Path, c.Data, c.ACL = d.String(), d.Buffer(), znode.DecodeACLs(d)
	if typ == wire.OpCreate || typ == wire.OpCreate2 {
		c.Ephemeral = d.Bool()
		if typ == wire.OpCreate && d.Err() == nil && d.Len() == 0 { // written before 3.4
			c.ParentCversion = -1
			return
		}
	}
	c.ParentCversion = d.Int32()
	if typ == wire.OpCreateTTL {
		c.TTL = d.Int64()
	}
}

func (c *Delete) append(b []byte, _ wire.Op) []byte        { return jute.AppendString(b, c.Path) }
func (c *Delete) decode(d *jute.Decoder, _ wire.Op)        { c.Path = d.String() }
func (c *Error) append(b []byte, _ wire.Op) []byte         { return jute.AppendInt32(b, int32(c.Code)) }
func (c *Error) decode(d *jute.Decoder, _ wire.Op)         { c.Code = znode.Code(d.Int32()) }
func (c *CreateSession) append(b []byte, _ wire.Op) []byte { return jute.AppendInt32(b, c.Timeout) }
func (c *CreateSession) decode(d *jute.Decoder, _ wire.Op) { c.Timeout = d.Int32() }

func (c *SetData) append(b []byte, _ wire.Op) []byte {
	return jute.AppendInt32(jute.AppendBuffer(jute.AppendString(b, c.Path), c.Data), c.Version)
}

func (c *SetData) decode(d *jute.Decoder, _ wire.Op) {
	c.Path, c.Data, c.Version = d.String(), d.Buffer(), d.Int32()
}

func (c *SetACL) append(b []byte, _ wire.Op) []byte {
	return jute.AppendInt32(znode.AppendACLs(jute.AppendString(b, c.Path), c.ACL), c.Version)
}

func (c *SetACL) decode(d *jute.Decoder, _ wire.Op) {
	c.Path, c.ACL, c.Version = d.String(), znode.DecodeACLs(d), d.Int32()
}

func (c *Check) append(b []byte, _ wire.Op) []byte {
	return jute.AppendInt32(jute.AppendString(b, c.Path), c.Version)
}

func (c *Check) decode(d *jute.Decoder, _ wire.Op) { c.Path, c.Version = d.String(), d.Int32() }

func (c *CloseSession) append(b []byte, _ wire.Op) []byte {
	if c.Paths == nil {
		return b
	}
	return jute.AppendStrings(b, c.Paths)
}

func (c *CloseSession) decode(d *jute.Decoder, _ wire.Op) { c.Paths = d.Strings() }

func (c *Multi) append(b []byte, _ wire.Op) []byte {
	b = jute.AppendInt32(b, int32(len(c.Subs)))
	for _, s := range c.Subs {
		b = jute.AppendInt32(b, int32(s.Type))
		var start int
		b, start = wire.BeginFrame(b) // a buffer has the form of a frame
		b = wire.EndFrame(s.Body.append(b, s.Type), start)
	}
	return b
}

func (c *Multi) decode(d *jute.Decoder, _ wire.Op) {
	n := d.Count(8)
	if n <= 0 {
		return
	}
	c.Subs = make([]Sub, 0, n)
	for range n {
		s := Sub{Type: wire.Op(d.Int32())}
		part := jute.NewDecoder(d.Buffer())
		if d.Err() != nil {
			return
		}
		s.Body = newBody(s.Type)
		switch s.Type {
		case wire.OpMulti, wire.OpCreateSession, wire.OpCloseSession, wire.OpReconfig:
			s.Body = nil
		}
		if s.Body == nil {
			d.Fail("%v in a multi", s.Type)
			return
		}
		if s.Body.decode(&part, s.Type); part.Err() != nil {
			d.Fail("%v in a multi: %v", s.Type, part.Err())
			return
		}
		c.Subs = append(c.Subs, s)
	}
}
