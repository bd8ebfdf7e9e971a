package txn_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// all has one transaction of every type and of every shape that matters.
func all() []txn.Txn {
	open := znode.OpenACL()
	h := func(typ wire.Op) txn.Header {
		return txn.Header{Session: -5, Cxid: 7, Zxid: 1<<32 | 9, Time: 1700000000000, Type: typ}
	}
	create := &txn.Create{Path: "/a", Data: []byte("x"), ACL: open, Ephemeral: true, ParentCversion: 3}
	return []txn.Txn{
		{Header: h(wire.OpCreate), Body: create, Digest: 1, HasDigest: true},
		{Header: h(wire.OpCreate2), Body: &txn.Create{Path: "/n", ACL: open, ParentCversion: 1}},
		{Header: h(wire.OpCreateContainer), Body: &txn.Create{Path: "/c", Data: []byte{}, ACL: open, ParentCversion: 1}, HasDigest: true},
		{Header: h(wire.OpCreateTTL), Body: &txn.Create{Path: "/t", Data: []byte{}, ACL: open, ParentCversion: 1, TTL: 1000}},
		{Header: h(wire.OpDelete), Body: &txn.Delete{Path: "/a"}, Digest: 1 << 63, HasDigest: true},
		{Header: h(wire.OpDeleteContainer), Body: &txn.Delete{Path: "/c"}},
		{Header: h(wire.OpSetData), Body: &txn.SetData{Path: "/a", Data: []byte("y"), Version: 2}},
		{Header: h(wire.OpReconfig), Body: &txn.SetData{Path: "/zookeeper/config", Data: []byte("v"), Version: -1}},
		{Header: h(wire.OpSetACL), Body: &txn.SetACL{Path: "/a", ACL: znode.ReadACL(), Version: 1}},
		{Header: h(wire.OpCreateSession), Body: &txn.CreateSession{Timeout: 30000}},
		{Header: h(wire.OpCloseSession), Body: &txn.CloseSession{Paths: []string{"/a", "/b"}}, Digest: 4, HasDigest: true},
		{Header: h(wire.OpCloseSession), Body: &txn.CloseSession{Paths: []string{}}, Digest: 4, HasDigest: true},
		{Header: h(wire.OpCloseSession), Body: &txn.CloseSession{}},
		{Header: h(wire.OpError), Body: &txn.Error{Code: znode.CodeNoNode}},
		{Header: h(wire.OpMulti), Body: &txn.Multi{Subs: []txn.Sub{
			{Type: wire.OpCreate, Body: create},
			{Type: wire.OpCheck, Body: &txn.Check{Path: "/a", Version: 1}},
			{Type: wire.OpError, Body: &txn.Error{Code: znode.CodeRuntimeInconsistency}},
		}}, Digest: 9, HasDigest: true},
		{Header: h(wire.OpMulti), Body: &txn.Multi{}},
	}
}

func TestRoundTrip(t *testing.T) {
	for _, in := range all() {
		out, err := txn.Decode(in.AppendPayload(nil))
		require.NoError(t, err)
		require.Equal(t, in, out)
		h, err := txn.DecodeHeader(in.AppendPayload(nil))
		require.NoError(t, err)
		require.Equal(t, in.Header, h)
	}
}

// The entry printed in Apache's own documentation of the format: createSession with the digest of the empty tree.
func TestGoldenCreateSession(t *testing.T) {
	const payload = "0000000000100001 00000000 0000000100000001 0000018BCFE56800 FFFFFFF6 00007530 00000002 0000000051C6D660"
	raw, err := hex.DecodeString(strings.ReplaceAll(payload, " ", ""))
	require.NoError(t, err)
	got, err := txn.Decode(raw)
	require.NoError(t, err)
	require.Equal(t, txn.Txn{
		Header: txn.Header{Session: 0x100001, Zxid: 1<<32 | 1, Time: 1700000000000, Type: wire.OpCreateSession},
		Body:   &txn.CreateSession{Timeout: 30000}, Digest: 0x51C6D660, HasDigest: true,
	}, got)
	require.Equal(t, raw, got.AppendPayload(nil))
}

func TestCloseSessionGenerations(t *testing.T) {
	h := txn.Header{Session: 1, Zxid: 2, Type: wire.OpCloseSession}
	bare := (&txn.Txn{Header: h}).AppendPayload(nil)
	got, err := txn.Decode(bare)
	require.NoError(t, err)
	require.Equal(t, &txn.CloseSession{}, got.Body)
	require.False(t, got.HasDigest)

	got, err = txn.Decode((&txn.Txn{Header: h, Digest: 0x123456789a, HasDigest: true}).AppendPayload(nil))
	require.NoError(t, err)
	require.Equal(t, &txn.CloseSession{}, got.Body, "a digest where the list would be is no list")
	require.Equal(t, uint64(0x123456789a), got.Digest)
}

func TestOldCreateWithoutParentCversion(t *testing.T) {
	b := (&txn.Txn{Header: txn.Header{Type: wire.OpCreate}}).AppendPayload(nil)
	b = jute.AppendBool(znode.AppendACLs(jute.AppendBuffer(jute.AppendString(b, "/o"), []byte("d")), znode.OpenACL()), false)
	got, err := txn.Decode(b)
	require.NoError(t, err)
	require.Equal(t, int32(-1), got.Body.(*txn.Create).ParentCversion)
}

func TestMalformed(t *testing.T) {
	for _, in := range all() {
		if in.Type == wire.OpCloseSession || in.Type == wire.OpCreate {
			continue // their optional endings are told apart by running out of bytes
		}
		in.HasDigest = false
		whole := in.AppendPayload(nil)
		for n := range whole {
			_, err := txn.Decode(whole[:n])
			require.ErrorIs(t, err, jute.ErrMalformed, "%v cut to %d of %d bytes", in.Type, n, len(whole))
		}
	}
	for _, typ := range []wire.Op{wire.OpCheck, wire.OpGetData, 99} {
		_, err := txn.Decode((&txn.Txn{Header: txn.Header{Type: typ}, Body: &txn.Check{Path: "/a"}}).AppendPayload(nil))
		require.ErrorIs(t, err, jute.ErrMalformed, "%v", typ)
	}
	nested := txn.Txn{Header: txn.Header{Type: wire.OpMulti}, Body: &txn.Multi{Subs: []txn.Sub{{Type: wire.OpMulti, Body: &txn.Multi{}}}}}
	_, err := txn.Decode(nested.AppendPayload(nil))
	require.ErrorIs(t, err, jute.ErrMalformed)
}

func FuzzDecode(f *testing.F) {
	for _, in := range all() {
		f.Add(in.AppendPayload(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := txn.Decode(b)
		if err != nil {
			return
		}
		again, err := txn.Decode(got.AppendPayload(nil))
		require.NoError(t, err)
		require.Equal(t, got.AppendPayload(nil), again.AppendPayload(nil))
	})
}
