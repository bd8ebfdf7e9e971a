package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

var stat = znode.Stat{Czxid: 1, Mzxid: 2, Ctime: 3, Mtime: 4, Version: 5, Cversion: 6, Aversion: 7, EphemeralOwner: 8, DataLength: 9, NumChildren: 10, Pzxid: 11}

// requests has a filled record for every op that has one.
func requests() map[wire.Op]wire.Record {
	acl := []znode.ACL{{Perms: 31, ID: znode.Anyone}}
	create := &wire.CreateRequest{Path: "/a", Data: []byte("d"), ACL: acl, Mode: znode.ModeEphemeral, TTL: -1}
	return map[wire.Op]wire.Record{
		wire.OpCreate: create, wire.OpCreate2: create,
		wire.OpCreateContainer:      &wire.CreateRequest{Path: "/c", ACL: acl, Mode: znode.ModeContainer, TTL: -1},
		wire.OpCreateTTL:            &wire.CreateRequest{Path: "/t", Data: []byte{}, ACL: acl, Mode: znode.ModeTTL, TTL: 1000, HasTTL: true},
		wire.OpDelete:               &wire.DeleteRequest{Path: "/a", Version: -1},
		wire.OpCheck:                &wire.CheckRequest{Path: "/a", Version: 3},
		wire.OpExists:               &wire.WatchRequest{Path: "/a", Watch: true},
		wire.OpGetData:              &wire.WatchRequest{Path: "/a"},
		wire.OpGetChildren:          &wire.WatchRequest{Path: ""},
		wire.OpGetChildren2:         &wire.WatchRequest{Path: "/", Watch: true},
		wire.OpGetACL:               &wire.PathRequest{Path: "/a"},
		wire.OpGetAllChildrenNumber: &wire.PathRequest{Path: "/a"},
		wire.OpSetData:              &wire.SetDataRequest{Path: "/a", Data: nil, Version: 2},
		wire.OpSetACL:               &wire.SetACLRequest{Path: "/a", ACL: acl, Version: 2},
		wire.OpSync:                 &wire.SyncRequest{Path: []byte("/a")},
		wire.OpReconfig:             &wire.ReconfigRequest{Joining: []byte{}, ConfigID: -1},
		wire.OpCheckWatches:         &wire.WatcherRequest{Path: "/a", Type: wire.WatcherAny},
		wire.OpRemoveWatches:        &wire.WatcherRequest{Path: "/a", Type: wire.WatcherPersistentRecursive},
		wire.OpAddWatch:             &wire.AddWatchRequest{Path: "/a", Mode: wire.WatchPersistentRecursive},
		wire.OpSetWatches:           &wire.SetWatchesRequest{RelativeZxid: 5, Data: []string{"/a"}, Exist: []string{}, Child: []string{"/b", "/c"}},
		wire.OpSetWatches2:          &wire.SetWatchesRequest{Two: true, Data: []string{}, Exist: []string{}, Child: []string{}, Persistent: []string{"/p"}, PersistentRecursive: []string{"/r"}},
		wire.OpAuth:                 &wire.AuthRequest{Scheme: "digest", Auth: []byte("u:p")},
		wire.OpSASL:                 &wire.SASLToken{Token: []byte{}},
		wire.OpGetEphemerals:        &wire.PrefixRequest{Prefix: "/a"},
		wire.OpCreateSession:        &wire.CreateSessionRequest{Timeout: 4000},
		wire.OpDeleteContainer:      &wire.PathRequest{Path: "/c"},
		wire.OpMulti: &wire.MultiRequest{Ops: []wire.MultiOp{
			{Op: wire.OpCreate2, Record: create},
			{Op: wire.OpDelete, Record: &wire.DeleteRequest{Path: "/x", Version: 1}},
			{Op: wire.OpSetData, Record: &wire.SetDataRequest{Path: "/x", Data: []byte("v"), Version: -1}},
			{Op: wire.OpCheck, Record: &wire.CheckRequest{Path: "/x", Version: 0}},
		}},
		wire.OpMultiRead: &wire.MultiRequest{Read: true, Ops: []wire.MultiOp{
			{Op: wire.OpGetData, Record: &wire.WatchRequest{Path: "/x"}}, {Op: wire.OpGetChildren, Record: &wire.WatchRequest{Path: "/x", Watch: true}},
		}},
	}
}

func TestRequestsRoundTrip(t *testing.T) {
	for op, in := range requests() {
		out := wire.NewRequest(op)
		b := in.AppendJute(nil)
		d := jute.NewDecoder(b)
		out.DecodeJute(&d)
		require.NoError(t, d.Err(), "%v", op)
		require.Zero(t, d.Len(), "%v", op)
		require.Equal(t, in, out, "%v", op)
		for n := range b {
			d := jute.NewDecoder(b[:n])
			wire.NewRequest(op).DecodeJute(&d)
			require.ErrorIs(t, d.Err(), jute.ErrMalformed, "%v cut to %d bytes", op, n)
		}
	}
}

// responses has a filled record for every op that is answered with one of its own.
func responses() map[wire.Op]wire.Record {
	return map[wire.Op]wire.Record{
		wire.OpCreate:               &wire.CreateResponse{Path: "/a"},
		wire.OpCreate2:              &wire.CreateResponse{Path: "/a", Stat: stat, HasStat: true},
		wire.OpExists:               &wire.StatResponse{Stat: stat},
		wire.OpGetData:              &wire.DataResponse{Data: nil, Stat: stat},
		wire.OpGetACL:               &wire.ACLResponse{ACL: znode.OpenACL(), Stat: stat},
		wire.OpGetChildren:          &wire.ChildrenResponse{Children: []string{"a", "b"}},
		wire.OpGetChildren2:         &wire.ChildrenResponse{Children: []string{}, Stat: stat, HasStat: true},
		wire.OpSync:                 &wire.SyncRequest{},
		wire.OpSASL:                 &wire.SASLToken{},
		wire.OpGetEphemerals:        &wire.PathsResponse{Paths: []string{"/a"}},
		wire.OpGetAllChildrenNumber: &wire.CountResponse{Count: 3},
		wire.OpAddWatch:             &wire.ErrorResponse{},
		wire.OpWhoAmI:               &wire.WhoAmIResponse{IDs: []znode.ID{{Scheme: "ip", Name: "127.0.0.1"}}},
		wire.OpMulti: &wire.MultiResponse{Results: []wire.MultiResult{
			{Op: wire.OpCreate, Path: "/a"}, {Op: wire.OpCreate2, Path: "/b", Stat: stat}, {Op: wire.OpSetData, Stat: stat},
			{Op: wire.OpDelete}, {Op: wire.OpCheck}, {Op: wire.OpError, Err: znode.CodeNoNode}, {Op: wire.OpError},
			{Op: wire.OpGetData, Data: []byte{}, Stat: stat}, {Op: wire.OpGetChildren, Children: []string{"c"}},
		}},
	}
}

func TestResponsesRoundTrip(t *testing.T) {
	for op, in := range responses() {
		b := in.AppendJute(nil)
		d := jute.NewDecoder(b)
		out := wire.NewResponse(op)
		out.DecodeJute(&d)
		require.NoError(t, d.Err(), "%v", op)
		require.Equal(t, in, out, "%v", op)
	}
}

func TestHandshakeMirrorsReadOnlyByte(t *testing.T) {
	pw := make([]byte, wire.PasswordLen)
	for _, legacy := range []bool{true, false} {
		req := wire.ConnectRequest{LastZxidSeen: 9, Timeout: 1000, Session: -3, Password: pw, ReadOnly: !legacy, Legacy: legacy}
		b := req.AppendJute(nil)
		var gotReq wire.ConnectRequest
		d := jute.NewDecoder(b)
		gotReq.DecodeJute(&d)
		require.NoError(t, d.Err())
		require.Equal(t, req, gotReq)

		resp := wire.ConnectResponse{Timeout: 4000, Session: 1, Password: pw, Legacy: legacy}
		b = resp.AppendJute(nil)
		require.Len(t, b, map[bool]int{true: 36, false: 37}[legacy])
		var got wire.ConnectResponse
		d = jute.NewDecoder(b)
		got.DecodeJute(&d)
		require.Equal(t, resp, got)
	}
}

func TestMultiRefusesWhatDoesNotBelong(t *testing.T) {
	acl := znode.OpenACL()
	create := func(mode znode.CreateMode) *wire.CreateRequest {
		return &wire.CreateRequest{Path: "/a", ACL: acl, Mode: mode}
	}
	for name, ops := range map[string][]wire.MultiOp{
		"read":                {{Op: wire.OpGetData, Record: &wire.WatchRequest{Path: "/a"}}},
		"setACL":              {{Op: wire.OpSetACL, Record: &wire.SetACLRequest{Path: "/a", ACL: acl}}},
		"unknown mode":        {{Op: wire.OpCreate, Record: create(7)}},
		"TTL mode, no TTL":    {{Op: wire.OpCreate2, Record: create(znode.ModeTTL)}},
		"null path in delete": {{Op: wire.OpDelete, Record: &wire.SyncRequest{}}},
	} {
		d := jute.NewDecoder((&wire.MultiRequest{Ops: ops}).AppendJute(nil))
		var got wire.MultiRequest
		got.DecodeJute(&d)
		require.ErrorIs(t, d.Err(), jute.ErrMalformed, name)
		require.Empty(t, got.Ops, name)
	}
	d := jute.NewDecoder((&wire.MultiRequest{Ops: []wire.MultiOp{{Op: wire.OpDelete, Record: &wire.DeleteRequest{Path: "/a"}}}}).AppendJute(nil))
	got := wire.MultiRequest{Read: true}
	got.DecodeJute(&d)
	require.ErrorIs(t, d.Err(), jute.ErrMalformed, "write under multiRead")
}

func TestMultiSettlesCreates(t *testing.T) {
	acl := znode.OpenACL()
	in := wire.MultiRequest{Ops: []wire.MultiOp{
		{Op: wire.OpCreate, Record: &wire.CreateRequest{Path: "/c", ACL: acl, Mode: znode.ModeContainer}},
		{Op: wire.OpCreateTTL, Record: &wire.CreateRequest{Path: "/p", ACL: acl, Mode: znode.ModeEphemeral, TTL: 5, HasTTL: true}},
		{Op: wire.OpCreateTTL, Record: &wire.CreateRequest{Path: "/t", ACL: acl, Mode: znode.ModeTTL, TTL: 5, HasTTL: true}},
		{Op: wire.OpCreateTTL, Record: &wire.CreateRequest{Path: "/d", ACL: acl, Mode: znode.ModeContainer, TTL: 5, HasTTL: true}},
	}}
	d := jute.NewDecoder(in.AppendJute(nil))
	var got wire.MultiRequest
	got.DecodeJute(&d)
	require.NoError(t, d.Err())
	var ops []wire.Op
	for _, op := range got.Ops {
		ops = append(ops, op.Op)
	}
	require.Equal(t, []wire.Op{wire.OpCreateContainer, wire.OpCreate, wire.OpCreateTTL, wire.OpCreateContainer}, ops)
}

func TestNotificationFrame(t *testing.T) {
	b := wire.AppendNotification(nil, 7, znode.EventCreated, "/a")
	d := jute.NewDecoder(b)
	require.Equal(t, int32(len(b)-4), d.Int32())
	var h wire.ReplyHeader
	h.DecodeJute(&d)
	require.Equal(t, wire.ReplyHeader{Xid: -1, Zxid: 7}, h)
	var e wire.WatcherEvent
	e.DecodeJute(&d)
	require.NoError(t, d.Err())
	require.Equal(t, wire.WatcherEvent{Type: znode.EventCreated, State: 3, Path: "/a"}, e)
}

func TestClientMayNotSendServersOps(t *testing.T) {
	for _, op := range []wire.Op{wire.OpCreateSession, wire.OpDeleteContainer, wire.OpCheck, wire.OpNotification, wire.OpError, 10, 99, -12} {
		require.False(t, op.Client(), "%v", op)
	}
	for op := range requests() {
		switch op {
		case wire.OpCheck, wire.OpCreateSession, wire.OpDeleteContainer:
		default:
			require.True(t, op.Client(), "%v", op)
		}
	}
}

func FuzzConnectRequest(f *testing.F) {
	f.Add((&wire.ConnectRequest{Password: make([]byte, 16), Legacy: true}).AppendJute(nil))
	f.Add((&wire.ConnectRequest{Password: nil, ReadOnly: true}).AppendJute(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again wire.ConnectRequest
		d := jute.NewDecoder(b)
		if r.DecodeJute(&d); d.Err() != nil {
			return
		}
		d = jute.NewDecoder(r.AppendJute(nil))
		again.DecodeJute(&d)
		require.NoError(t, d.Err())
		require.Equal(t, r, again)
	})
}

// mustComeBack decodes b into one record and what that encodes to into another of its kind: they have to be the same. Bytes that do
// not decode, and ops without a record, prove nothing.
func mustComeBack(t *testing.T, first, second wire.Record, b []byte) {
	t.Helper()
	if first == nil {
		return
	}
	d := jute.NewDecoder(b)
	if first.DecodeJute(&d); d.Err() != nil {
		return
	}
	once := first.AppendJute(nil)
	d = jute.NewDecoder(once)
	second.DecodeJute(&d)
	require.NoError(t, d.Err())
	require.Equal(t, once, second.AppendJute(nil))
}

func FuzzRequest(f *testing.F) {
	for op, r := range requests() {
		f.Add(int32(op), r.AppendJute(nil))
	}
	f.Fuzz(func(t *testing.T, op int32, b []byte) {
		mustComeBack(t, wire.NewRequest(wire.Op(op)), wire.NewRequest(wire.Op(op)), b)
	})
}

func FuzzResponse(f *testing.F) {
	for op, r := range responses() {
		f.Add(int32(op), r.AppendJute(nil))
	}
	f.Add(int32(wire.OpWhoAmI), []byte{0x7f, 0, 0, 0})
	f.Fuzz(func(t *testing.T, op int32, b []byte) {
		mustComeBack(t, wire.NewResponse(wire.Op(op)), wire.NewResponse(wire.Op(op)), b)
	})
}

func FuzzMulti(f *testing.F) {
	for op, r := range requests() {
		if op == wire.OpMulti || op == wire.OpMultiRead {
			f.Add(op == wire.OpMultiRead, r.AppendJute(nil))
			continue
		}
		f.Add(false, (&wire.MultiRequest{Ops: []wire.MultiOp{{Op: op, Record: r}}}).AppendJute(nil)) // most do not belong
	}
	f.Fuzz(func(t *testing.T, read bool, b []byte) {
		r := wire.MultiRequest{Read: read}
		d := jute.NewDecoder(b)
		if r.DecodeJute(&d); d.Err() != nil {
			require.Empty(t, r.Ops)
			return
		}
		require.LessOrEqual(t, len(r.Ops), len(b)/9, "every op has a header of nine bytes")
		for _, op := range r.Ops {
			require.NotNil(t, op.Record)
			require.True(t, op.Op == wire.OpCheck || op.Op.Client(), "%v", op.Op)
		}
		once := r.AppendJute(nil)
		again := wire.MultiRequest{Read: read}
		d = jute.NewDecoder(once)
		again.DecodeJute(&d)
		require.NoError(t, d.Err())
		require.Equal(t, once, again.AppendJute(nil))
	})
}
