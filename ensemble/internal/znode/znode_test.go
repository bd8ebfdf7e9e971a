package znode_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func TestZxid(t *testing.T) {
	z := znode.MakeZxid(0xffffffff, 7)
	require.Equal(t, uint32(0xffffffff), z.Epoch())
	require.Equal(t, uint32(7), z.Counter())
	require.Equal(t, "0xffffffff00000007", z.String())
	require.Equal(t, "0", znode.Zxid(0).Hex())
}

func TestOwnerKinds(t *testing.T) {
	for _, c := range []struct {
		owner    znode.Owner
		extended bool
		kind     znode.Kind
		session  znode.SessionID
	}{
		{0, true, znode.Persistent, 0},
		{znode.OwnerContainer, false, znode.Container, 0},
		{znode.OwnerContainer, true, znode.Container, 0},
		{znode.TTLOwner(1000), true, znode.TTL, 0},
		{znode.TTLOwner(znode.MaxTTL), true, znode.TTL, 0},
		{znode.TTLOwner(1000), false, znode.Ephemeral, znode.SessionID(znode.TTLOwner(1000))},
		{0x0100000000000001, true, znode.Ephemeral, 0x0100000000000001},
		{-0x0100000000000001, true, znode.Ephemeral, -0x0100000000000001}, // top byte fe
	} {
		require.Equal(t, c.kind, c.owner.Kind(c.extended), "%x", uint64(c.owner))
		require.Equal(t, c.session, c.owner.Session(c.extended), "%x", uint64(c.owner))
	}
	require.Equal(t, int64(1000), znode.TTLOwner(1000).TTL())
}

func TestPublicStat(t *testing.T) {
	root := znode.StatPersisted{}
	got := root.Public(0, 1, true)
	require.Equal(t, int32(-1), got.Cversion, "a fresh root has one child that was never created")
	s := znode.StatPersisted{Cversion: 5, Owner: znode.TTLOwner(9)}
	require.Equal(t, znode.Stat{Cversion: 8, NumChildren: 2, DataLength: 3}, s.Public(3, 2, true))
}

func TestStatRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := znode.Stat{
			Czxid: znode.Zxid(rapid.Int64().Draw(t, "c")), Mzxid: 2, Ctime: rapid.Int64().Draw(t, "ct"), Mtime: 4, Version: 5,
			Cversion: rapid.Int32().Draw(t, "cv"), Aversion: 7, EphemeralOwner: 8, DataLength: 9, NumChildren: 10, Pzxid: 11,
		}
		b := in.AppendJute(nil)
		require.Len(t, b, znode.StatLen)
		var out znode.Stat
		d := jute.NewDecoder(b)
		out.DecodeJute(&d)
		require.NoError(t, d.Err())
		require.Equal(t, in, out)

		p := znode.StatPersisted{Czxid: in.Czxid, Mtime: 3, Cversion: in.Cversion, Owner: 9, Pzxid: 10}
		b = p.AppendJute(nil)
		require.Len(t, b, znode.StatPersistedLen)
		var q znode.StatPersisted
		d = jute.NewDecoder(b)
		q.DecodeJute(&d)
		require.Equal(t, p, q)
		require.Len(t, p.AppendDigest(nil), znode.StatPersistedLen)
	})
}

func TestACLs(t *testing.T) {
	in := []znode.ACL{{Perms: 3 | 1<<20, ID: znode.ID{Scheme: "digest", Name: "bob:x"}}, {Perms: 1, ID: znode.Anyone}}
	d := jute.NewDecoder(znode.AppendACLs(nil, in))
	require.Equal(t, in, znode.DecodeACLs(&d))
	d = jute.NewDecoder(jute.AppendInt32(nil, -1))
	require.Nil(t, znode.DecodeACLs(&d))
	require.NoError(t, d.Err())
	d = jute.NewDecoder(jute.AppendInt32(nil, 1<<30))
	require.Nil(t, znode.DecodeACLs(&d))
	require.ErrorIs(t, d.Err(), jute.ErrMalformed)
}

func TestValidatePath(t *testing.T) {
	for _, p := range []string{"/", "/a", "/a/b", "/...", "/.a", "/a b:c", "/é世", "/a/\u00a0", "/\uf900", "/\uffef"} {
		require.NoError(t, znode.ValidatePath(p), "%q", p)
	}
	for _, p := range []string{"", "a", "/a/", "//", "/a//b", "/.", "/..", "/a/../b", "/a/.", "/a\x00", "/\x1f", "/\x7f", "/\u0085",
		"/\ue000", "/\uf8ff", "/\ufff0", "/\uffff", "/😀", "/a\xff", "/\xed\xa0\x80"} {
		require.ErrorIs(t, znode.ValidatePath(p), znode.CodeBadArguments, "%q", p)
	}
}

func TestSplitAndJoin(t *testing.T) {
	for _, c := range []struct{ path, parent, name string }{{"/a", "/", "a"}, {"/a/b", "/a", "b"}, {"/", "/", ""}, {"/a/", "/a", ""}} {
		parent, name, ok := znode.Split(c.path)
		require.True(t, ok)
		require.Equal(t, []string{c.parent, c.name}, []string{parent, name}, c.path)
	}
	_, _, ok := znode.Split("a")
	require.False(t, ok)
	require.Equal(t, "/a", znode.Join("/", "a"))
	require.Equal(t, "/a/b", znode.Join("/a", "b"))
}

func FuzzValidatePath(f *testing.F) {
	for _, s := range []string{"/", "/a/b", "//", "/a/./b", "/\xff", "/\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if znode.ValidatePath(p) != nil {
			return
		}
		require.True(t, strings.HasPrefix(p, "/"))
		require.NotContains(t, p, "//")
		parent, name, ok := znode.Split(p)
		require.True(t, ok)
		if p != "/" {
			require.Equal(t, p, znode.Join(parent, name))
			require.NoError(t, znode.ValidatePath(parent))
		}
	})
}
