package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func TestParseACL(t *testing.T) {
	acl, err := parseACL("world:anyone:r,digest:bob:aGFzaA==:cdrwa,auth::rw,ip:::1/64:d")
	require.NoError(t, err)
	require.Equal(t, []znode.ACL{
		{Perms: znode.PermRead, ID: znode.Anyone},
		{Perms: znode.PermAll, ID: znode.ID{Scheme: "digest", Name: "bob:aGFzaA=="}},
		{Perms: znode.PermRead | znode.PermWrite, ID: znode.ID{Scheme: "auth"}},
		{Perms: znode.PermDelete, ID: znode.ID{Scheme: "ip", Name: "::1/64"}},
	}, acl)
	for text, want := range map[string]string{
		"":                `"" is not of the form scheme:id:perms`,
		"world:r":         `"world:r" is not of the form scheme:id:perms`,
		":a:r":            `":a:r" is not of the form scheme:id:perms`,
		"world:anyone:":   "no permissions given",
		"world:anyone:rx": `'x' is not among the permissions c, d, r, w, a`,
		"world:anyone:r,": `"" is not of the form scheme:id:perms`,
	} {
		_, err := parseACL(text)
		require.EqualError(t, err, want, text)
	}
}

func TestCreateFlags(t *testing.T) {
	cases := []struct {
		flags createFlags
		op    wire.Op
		mode  znode.CreateMode
		ttl   int64
	}{
		{createFlags{}, wire.OpCreate2, znode.ModePersistent, -1},
		{createFlags{sequential: true}, wire.OpCreate2, znode.ModePersistentSequential, -1},
		{createFlags{ephemeral: true}, wire.OpCreate2, znode.ModeEphemeral, -1},
		{createFlags{ephemeral: true, sequential: true, hold: true}, wire.OpCreate2, znode.ModeEphemeralSequential, -1},
		{createFlags{container: true}, wire.OpCreateContainer, znode.ModeContainer, -1},
		{createFlags{ttl: time.Second}, wire.OpCreateTTL, znode.ModeTTL, 1000},
		{createFlags{ttl: time.Second, sequential: true}, wire.OpCreateTTL, znode.ModeTTLSequential, 1000},
	}
	for _, c := range cases {
		op, r, err := c.flags.request("/a", nil)
		require.NoError(t, err)
		require.Equal(t, c.op, op)
		require.Equal(t, c.mode, r.Mode)
		require.Equal(t, c.ttl, r.TTL)
		require.Equal(t, znode.OpenACL(), r.ACL)
	}
}

func TestTTLFlag(t *testing.T) {
	for text, want := range map[string]time.Duration{"1": time.Millisecond, "5000": 5 * time.Second, "5m": 5 * time.Minute} {
		var f ttlFlag
		require.NoError(t, f.Set(text), text)
		require.Equal(t, want, time.Duration(f), text)
	}
	for _, text := range []string{"", "0", "-1", "1us", "1099511627776", "x"} {
		require.Error(t, new(ttlFlag).Set(text), text)
	}
}
