package auth_test

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/auth"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func registry(t testing.TB, c auth.Config) *auth.Registry {
	t.Helper()
	r, err := auth.New(c)
	require.NoError(t, err)
	return r
}

func id(scheme, name string) znode.ID { return znode.ID{Scheme: scheme, Name: name} }

func acl(perms znode.Perms, scheme, name string) znode.ACL {
	return znode.ACL{Perms: perms, ID: id(scheme, name)}
}

// The names java's DigestAuthenticationProvider.generateDigest gives.
var digests = map[string]string{
	"super:test": "super:D/InIHSb7yEEbrWz8b9l71RjZJU=", "bob:": "bob:tK1fpNO1hB0F++FhHpSq0Fa4tv0=", "bob": "bob:SBgazSKz7a68ikR4aKfffOYpkgo=",
	":p": ":LlDE5iroUDDm9zdvmLsfjkUvn0k=", "a:b:c": "a:cLzgnoJ6mP5qz3w+mwvPE2vDgu0=", "": ":2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
}

func TestDigestNames(t *testing.T) {
	r := registry(t, auth.Config{})
	for login, want := range digests {
		ids, code := r.Authenticate("digest", []byte(login), netip.Addr{}, nil)
		require.Equal(t, znode.CodeOK, code)
		require.Equal(t, []znode.ID{id("digest", want)}, ids, "%q", login)
	}
	_, code := r.Authenticate("digest", nil, netip.Addr{}, nil)
	require.Equal(t, znode.CodeAuthFailed, code, "null")
}

func TestDigestAlgorithms(t *testing.T) {
	for alg, length := range map[string]int{"": 28, "SHA1": 28, "sha-1": 28, "SHA": 28, "MD5": 24, "SHA-256": 44, "SHA256": 44, "SHA-384": 64,
		"SHA-512": 88, "SHA-512/256": 44, "SHA3-256": 44, "SHA3-512": 88, "SHA-224": 40, "SHA512/224": 40, "SHA3-224": 40, "SHA3-384": 64} {
		ids, code := registry(t, auth.Config{DigestAlg: alg}).Authenticate("digest", []byte("u:p"), netip.Addr{}, nil)
		require.Equal(t, znode.CodeOK, code)
		require.Len(t, strings.TrimPrefix(ids[0].Name, "u:"), length, alg)
	}
	_, err := auth.New(auth.Config{DigestAlg: "ROT13"})
	require.ErrorContains(t, err, "ROT13")
}

// TestDigestOfBytesThatAreNoText holds what Java's UTF-8 decoder makes of such bytes.
func TestDigestOfBytesThatAreNoText(t *testing.T) {
	r := registry(t, auth.Config{})
	for in, text := range map[string]string{
		"61e4b83a": "61efbfbd3a", "e4b8": "efbfbd", "eda0803a": "efbfbd3a", "ed3a": "efbfbd3a", "eda03a": "efbfbd3a", "eda0": "efbfbd",
		"f09f983a": "efbfbd3a", "f09f3a": "efbfbd3a", "f0803a": "efbfbdefbfbd3a", "f48f": "efbfbd", "f4903a": "efbfbdefbfbd3a",
		"f5803a": "efbfbdefbfbd3a", "e0803a": "efbfbdefbfbd3a", "e09f3a": "efbfbdefbfbd3a", "c0803a": "efbfbdefbfbd3a", "c23a": "efbfbd3a",
		"c2": "efbfbd", "80813a": "efbfbdefbfbd3a", "fffe3a": "efbfbdefbfbd3a", "f88888883a": "efbfbdefbfbdefbfbdefbfbd3a",
		"e4b8e4b8ad3a": "efbfbde4b8ad3a", "f09f9880ff3a": "f09f9880efbfbd3a", "eda080edb0803a": "efbfbdefbfbd3a", "edbf": "efbfbd",
		"ee80": "efbfbd", "f1": "efbfbd", "f180": "efbfbd", "f18080": "efbfbd", "f1808080": "f1808080",
	} {
		b, err := hex.DecodeString(in)
		require.NoError(t, err)
		want, err := hex.DecodeString(text)
		require.NoError(t, err)
		got, _ := r.Authenticate("digest", b, netip.Addr{}, nil)
		same, _ := r.Authenticate("digest", want, netip.Addr{}, nil)
		require.Equal(t, same, got, in)
	}
}

func TestIdentitiesAreAdded(t *testing.T) {
	r := registry(t, auth.Config{SuperDigest: digests["super:test"]})
	remote := netip.MustParseAddr("::ffff:10.0.0.5")
	first := r.Initial(remote)
	require.Equal(t, []znode.ID{id("ip", "10.0.0.5")}, first)
	again, code := r.Authenticate("ip", nil, remote, first)
	require.Equal(t, znode.CodeOK, code)
	require.Equal(t, first, again)

	bob, _ := r.Authenticate("digest", []byte("bob:"), remote, first)
	super, _ := r.Authenticate("digest", []byte("super:test"), remote, bob)
	other, _ := r.Authenticate("digest", []byte("bob"), remote, bob)
	require.Equal(t, []znode.ID{id("ip", "10.0.0.5")}, first, "a request's identities never change")
	require.Equal(t, []znode.ID{id("ip", "10.0.0.5"), id("digest", digests["bob:"])}, bob)
	require.Equal(t, []znode.ID{id("ip", "10.0.0.5"), id("digest", digests["bob:"]), id("super", ""), id("digest", digests["super:test"])}, super)
	require.Equal(t, id("digest", digests["bob"]), other[2], "no shared backing array")

	require.Equal(t, []znode.ID{id("ip", "10.0.0.5"), id("digest", "bob"), id("super", ""), id("digest", "super")}, r.Names(super))
	require.Empty(t, r.Initial(netip.Addr{}))

	for _, scheme := range []string{"world", "auth", "super", "x509", "sasl", "", "nobody"} {
		ids, code := r.Authenticate(scheme, []byte("a:b"), remote, first)
		require.Equal(t, znode.CodeAuthFailed, code, scheme)
		require.Equal(t, first, ids)
	}
	token, code := r.SASL([]byte("x"))
	require.Nil(t, token)
	require.Equal(t, znode.CodeOK, code)
}

func TestAddressNames(t *testing.T) {
	r := registry(t, auth.Config{})
	for in, want := range map[string]string{"::1": "0:0:0:0:0:0:0:1", "2001:db8::ff": "2001:db8:0:0:0:0:0:ff", "127.0.0.1": "127.0.0.1",
		"fe80::1%eth0": "fe80:0:0:0:0:0:0:1%eth0"} {
		require.Equal(t, []znode.ID{id("ip", want)}, r.Initial(netip.MustParseAddr(in)))
	}
}

// TestACLNames holds the answers of Apache's 3.9.5 providers.
func TestACLNames(t *testing.T) {
	r := registry(t, auth.Config{})
	for scheme, names := range map[string]map[string]bool{
		"ip": {"": false, "1.2.3.4": true, "1.2.3": false, "1.2.3.4.5": false, "1.2.3.256": false, "1.2.3.+4": true, "01.2.3.4": true,
			"1.2.3.-0": true, "1.2.3.4/": false, "1.2.3.4/0": true, "1.2.3.4/32": true, "1.2.3.4/33": false, "1.2.3.4/-1": false,
			"1.2.3.4/+8": true, "1.2.3.4/8/9": false, "1.2.3.4 ": false, "/8": false, "::": true, "::1": true, "fe80::1%eth0": false,
			"::1/128": true, "::1/129": false, "::ffff:1.2.3.4": false, "::ffff:1.2.3.4/24": false, "1::2::3": false, "2001:db8::/32": true,
			"[::1]": false, "host": false, "0:0:0:0:0:0:0:1": true, "12345::": false, "1:2:3:4:5:6:7": false, "::1.2.3.4": false,
			"1:2:3:4:5:6:7::": true, "1.2.3.4.": false, "0001:2::3": true, "::1%lo/64": false, ":::": false, "1:2:3:4:5:6:7:8:9": false,
			"::g": false, "1:2:3:4:5:6:1.2.3.4": false, "::ffff:0102:0304": true, "a": false, "[::1]/64": false, "::/0": true},
		"digest": {"": false, ":": false, "a": false, "a:": false, ":p": true, "a:b": true, "a:b:": true, "a:b::": true, "a::b": false,
			"a:b:c": false, "::b": false, "::": false, " : ": true},
		"world": {"anyone": true, "": false, "someone": false},
		"auth":  {"": false}, "super": {"": false, "x": false}, "x509": {"CN=a": false}, "sasl": {"bob": false}, "": {"": false, "anyone": false},
	} {
		for name, valid := range names {
			got, code := r.Expand([]znode.ACL{acl(31, scheme, name)}, nil)
			if !valid {
				require.Equal(t, znode.CodeInvalidACL, code, "%s %q", scheme, name)
				require.Nil(t, got)
				continue
			}
			require.Equal(t, znode.CodeOK, code, "%s %q", scheme, name)
			require.Equal(t, []znode.ACL{acl(31, scheme, name)}, got)
		}
	}
}

// TestAddressesMatch holds the answers of Apache's 3.9.5 IPAuthenticationProvider.
func TestAddressesMatch(t *testing.T) {
	r := registry(t, auth.Config{})
	for _, c := range []struct {
		name, acl string
		want      bool
	}{
		{"1.2.3.4", "1.2.3.4", true}, {"1.2.3.4", "1.2.3.4/8", true}, {"1.2.3.4", "1.200.3.4/8", true}, {"1.2.3.4", "2.2.3.4/8", false},
		{"1.2.3.4", "9.9.9.9/0", true}, {"0:0:0:0:0:0:0:1", "::1", true}, {"0:0:0:0:0:0:0:1", "::2", false},
		{"0:0:0:0:0:0:0:1", "::/0", true}, {"1.2.3.4", "::/0", false}, {"0:0:0:0:0:0:0:1", "0.0.0.0/0", false},
		{"1.2.3.4", "::ffff:1.2.3.4", false}, {"1.2.3.4", "::ffff:1.2.3.9/24", false}, {"0:0:0:0:0:ffff:102:304", "1.2.3.4", false},
		{"1.2.3.4", "::ffff:0102:0304", false}, {"fe80:0:0:0:0:0:0:1%eth0", "fe80::1", false}, {"fe80:0:0:0:0:0:0:1", "fe80::1", true},
		{"2001:db8:0:0:0:0:0:9", "2001:db8::/32", true}, {"2001:db9:0:0:0:0:0:9", "2001:db8::/32", false},
		{"1.2.3.4", "1.2.3.5/31", true}, {"1.2.3.6", "1.2.3.5/31", false}, {"1.2.3.4", "01.2.3.+4", true}, {"1.2.3.4", "x", false},
	} {
		got := r.Permit([]znode.ACL{acl(1, "ip", c.acl)}, []znode.ID{id("digest", c.name), id("ip", c.name)}, znode.PermRead)
		require.Equal(t, c.want, got, "%+v", c)
	}
}

func TestPermit(t *testing.T) {
	plain := registry(t, auth.Config{})
	bob := id("digest", digests["bob:"])
	mine := []znode.ACL{{Perms: znode.PermRead | znode.PermAdmin, ID: bob}, acl(znode.PermCreate, "world", "anyone")}
	for _, c := range []struct {
		why  string
		r    *auth.Registry
		acl  []znode.ACL
		ids  []znode.ID
		want znode.Perms
		ok   bool
	}{
		{"no ACL", plain, nil, nil, znode.PermAdmin, true},
		{"nobody in particular", plain, mine, nil, znode.PermRead, false},
		{"anyone", plain, mine, nil, znode.PermCreate, true},
		{"bob", plain, mine, []znode.ID{bob}, znode.PermRead, true},
		{"bob wants more", plain, mine, []znode.ID{bob}, znode.PermWrite, false},
		{"one of two is enough", plain, mine, []znode.ID{bob}, znode.PermWrite | znode.PermAdmin, true},
		{"the name under another scheme", plain, mine, []znode.ID{id("sasl", bob.Name)}, znode.PermRead, false},
		{"another password", plain, mine, []znode.ID{id("digest", digests["bob"])}, znode.PermRead, false},
		{"super", plain, mine, []znode.ID{id("ip", "1.2.3.4"), id("super", "")}, znode.PermDelete, true},
		{"super in an ACL is nobody", plain, []znode.ACL{acl(31, "super", "x")}, []znode.ID{bob}, znode.PermRead, false},
		{"auth in an ACL is nobody", plain, []znode.ACL{acl(31, "auth", "")}, []znode.ID{bob}, znode.PermRead, false},
		{"sasl has no provider", plain, []znode.ACL{acl(31, "sasl", "bob")}, []znode.ID{id("sasl", "bob")}, znode.PermRead, false},
		{"a permission nobody has", plain, []znode.ACL{acl(0, "world", "anyone")}, nil, znode.PermRead, false},
		{"skipACL", registry(t, auth.Config{SkipACL: true}), mine, nil, znode.PermDelete, true},
		{"digest disabled", registry(t, auth.Config{DigestDisabled: true}), mine, []znode.ID{bob}, znode.PermRead, false},
	} {
		require.Equal(t, c.ok, c.r.Permit(c.acl, c.ids, c.want), c.why)
	}
}

func TestExpand(t *testing.T) {
	r := registry(t, auth.Config{})
	ids := []znode.ID{id("ip", "1.2.3.4"), id("digest", "a:1"), id("super", ""), id("digest", "b:2")}
	got, code := r.Expand([]znode.ACL{acl(1, "auth", "whatever"), acl(31, "world", "anyone"), acl(2, "ip", "10.0.0.0/8"), acl(31, "world", "anyone"),
		acl(1, "digest", "a:1"), acl(1, "auth", "")}, ids)
	require.Equal(t, znode.CodeOK, code)
	require.Equal(t, []znode.ACL{acl(1, "digest", "a:1"), acl(1, "digest", "b:2"), acl(31, "world", "anyone"), acl(2, "ip", "10.0.0.0/8"),
		acl(1, "digest", "a:1"), acl(1, "digest", "a:1"), acl(1, "digest", "b:2")}, got, "only what the request repeats is dropped")

	for why, in := range map[string][]znode.ACL{"empty": {}, "null": nil, "one bad among good": {acl(31, "world", "anyone"), acl(1, "ip", "x")}} {
		_, code := r.Expand(in, ids)
		require.Equal(t, znode.CodeInvalidACL, code, why)
	}
	_, code = r.Expand([]znode.ACL{acl(1, "auth", "")}, ids[:1])
	require.Equal(t, znode.CodeInvalidACL, code, "an address proves nothing")
	_, code = registry(t, auth.Config{DigestDisabled: true}).Expand([]znode.ACL{acl(1, "digest", "a:1")}, ids)
	require.Equal(t, znode.CodeInvalidACL, code)

	var many []znode.ACL
	var everybody []znode.ID
	for i := range 300 {
		many = append(many, acl(znode.Perms(i), "auth", ""))
		everybody = append(everybody, id("digest", strings.Repeat("u", i)+":h"))
	}
	_, code = r.Expand(many, everybody)
	require.Equal(t, znode.CodeInvalidACL, code, "90000 entries of 300")
	got, code = r.Expand(many, everybody[:200])
	require.Equal(t, znode.CodeOK, code)
	require.Len(t, got, 60000)

	var long, want []znode.ACL
	for i := range 40 {
		a := acl(znode.Perms(i%20), "world", "anyone")
		long = append(long, a)
		if i < 20 {
			want = append(want, a)
		}
	}
	got, _ = r.Expand(long, nil)
	require.Equal(t, want, got)
}

func TestMask(t *testing.T) {
	r := registry(t, auth.Config{})
	in := []znode.ACL{acl(31, "world", "anyone"), acl(1, "digest", "bob:hash:more"), acl(1, "ip", "::1"), acl(1, "digest", "odd")}
	require.Equal(t, []znode.ACL{in[0], acl(1, "digest", "bob:x"), in[2], in[3]}, r.Mask(in))
	require.Equal(t, "bob:hash:more", in[1].ID.Name, "the stored list stays")
	require.Equal(t, in[:1], r.Mask(in[:1]))
}

func TestEnforcedAuthentication(t *testing.T) {
	require.True(t, registry(t, auth.Config{EnforceSchemes: []string{"digest"}}).Admits(nil), "switched off")
	r := registry(t, auth.Config{Enforce: true, EnforceSchemes: []string{"digest"}})
	require.False(t, r.Admits([]znode.ID{id("ip", "1.2.3.4"), id("super", "")}))
	require.True(t, r.Admits([]znode.ID{id("ip", "1.2.3.4"), id("digest", "a:1")}))
	for why, c := range map[string]auth.Config{
		"no scheme":       {Enforce: true},
		"no such scheme":  {Enforce: true, EnforceSchemes: []string{"digest", "sasl"}},
		"disabled scheme": {Enforce: true, EnforceSchemes: []string{"digest"}, DigestDisabled: true},
	} {
		_, err := auth.New(c)
		require.Error(t, err, why)
	}
}

func FuzzACLNames(f *testing.F) {
	for _, s := range []string{"1.2.3.4/8", "::1/64", "a:b", "a:b::", "1.2.3.+4", "\xff:\xed\xa0\x80", ""} {
		f.Add("ip", s)
		f.Add("digest", s)
		f.Add("auth", s)
	}
	r := registry(f, auth.Config{})
	f.Fuzz(func(t *testing.T, scheme, name string) {
		ids := append(r.Initial(netip.MustParseAddr("1.2.3.4")), r.Initial(netip.MustParseAddr("::1"))...)
		ids, code := r.Authenticate("digest", []byte(name), netip.Addr{}, ids)
		require.Equal(t, znode.CodeOK, code)
		in := []znode.ACL{acl(31, scheme, name)}
		got, code := r.Expand(in, ids)
		if code != znode.CodeOK {
			require.Equal(t, znode.CodeInvalidACL, code)
			require.False(t, r.Permit(in, ids, znode.PermAll) && scheme != "world" && scheme != "digest", "who cannot be named cannot come in")
			return
		}
		again, code := r.Expand(got, ids)
		require.Equal(t, znode.CodeOK, code, "what is stored may be stored again")
		if scheme != "auth" {
			require.Equal(t, got, again)
		}
		r.Permit(got, ids, znode.PermAll)
		r.Mask(got)
	})
}

func BenchmarkPermit(b *testing.B) {
	r := registry(b, auth.Config{})
	ids := []znode.ID{id("ip", "10.1.2.3"), id("digest", "a:1")}
	for name, list := range map[string][]znode.ACL{"open": znode.OpenACL(), "network": {acl(31, "ip", "10.0.0.0/8")}, "digest": {acl(31, "digest", "a:1")}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !r.Permit(list, ids, znode.PermWrite) {
					b.Fatal("refused")
				}
			}
		})
	}
}
