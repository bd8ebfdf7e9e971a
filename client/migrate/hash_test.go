package migrate

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
)

// The texts are what ZooKeeper's Java clients 3.8.0 and 3.9.5 printed for the same requests.
func TestHashedText(t *testing.T) {
	two := []client.ACL{{Perms: client.PermAll, Scheme: "world", ID: "anyone"}, {Perms: client.PermRead | client.PermWrite, Scheme: "digest", ID: "u:h,}%"}}
	for _, tt := range []struct {
		op   client.Intent
		want string
	}{
		{client.Intent{Op: "create", Path: "/a,}%é😀\x01x", Data: []byte{0, 1, 15, 16, 127, 128, 255}, ACL: two, Mode: client.EphemeralSequential},
			"/a,}%é😀\x01x" + "1" + "'/a%2C%7D%25é😀\x01x,#01f107fffffff80ffffffff,v{s{31,s{'world,'anyone}},s{3,s{'digest,'u:h%2C%7D%25}}},3\n"},
		{client.Intent{Op: "create", Path: "/a", ACL: two[:1]}, "/a1'/a,,v{s{31,s{'world,'anyone}}},0\n"},
		{client.Intent{Op: "create", Path: "/a", Data: []byte{}}, "/a1'/a,,v{},0\n"},
		{client.Intent{Op: "set", Path: "/a", Data: []byte("hi"), Version: -1}, "/a5'/a,#6869,-1\n"},
		{client.Intent{Op: "set", Path: "/a", Version: 7}, "/a5'/a,,7\n"},
		{client.Intent{Op: "delete", Path: "/a", Version: 3}, "/a2'/a,3\n"},
		{client.Intent{Op: "check", Path: "/a\r\n", Version: 3}, "/a\r\n13'/a%0D%0A,3\n"},
	} {
		require.Equal(t, tt.want, string(appendOp(nil, &tt.op)))
	}
	const ofNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	require.Equal(t, ofNothing, hex.EncodeToString(hash(nil)))
}

func TestNextNumber(t *testing.T) {
	for _, tt := range []struct {
		names              []string
		cversion, children int
		want               int32
	}{
		{nil, 0, 0, 0},
		{[]string{"meta-0000000000", "meta-0000000001"}, 2, 2, 2},
		{[]string{"meta-0000000000"}, 3, 1, 2},                    // the second was deleted
		{[]string{"meta-0000000007"}, 1, 1, 8},                    // restored
		{[]string{"meta-0000000000", "zebra", "meta-x"}, 3, 3, 3}, // somebody else's
	} {
		require.Equal(t, tt.want, nextNumber(tt.names, client.Stat{Cversion: int32(tt.cversion), NumChildren: tt.children}), tt.names)
	}
}
