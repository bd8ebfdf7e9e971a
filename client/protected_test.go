package client

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestProtectionID(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for range 1000 {
		id := NewProtectionID()
		require.Regexp(t, form, id)
		require.False(t, seen[id])
		seen[id] = true
	}
}

func TestParseProtected(t *testing.T) {
	for _, c := range []struct{ name, id, rest string }{
		{"_c_0c1d2e3f-0011-2233-4455-66778899aabb-lock-0000000007", "0c1d2e3f-0011-2233-4455-66778899aabb", "lock-0000000007"},
		{"_c_0c1d2e3f00112233445566778899aabb-lock-0000000007", "0c1d2e3f00112233445566778899aabb", "lock-0000000007"},
		{"_c_0c1d2e3f00112233445566778899aabb-", "0c1d2e3f00112233445566778899aabb", ""},
	} {
		id, rest, ok := ParseProtected(c.name)
		require.True(t, ok, c.name)
		require.Equal(t, c.id, id)
		require.Equal(t, c.rest, rest)
	}
	// The library panics on the short ones.
	for _, name := range []string{
		"", "_c_", "_c_short", "_c_short-lock-1", "lock-0000000001", "_c_0c1d2e3f00112233445566778899aabb",
		"_c_zzzzzzzz00112233445566778899aabb-lock-1", "_c_0c1d2e3f-0011-2233-4455+66778899aabb-lock-1", "__c_x-lock-0000000001",
	} {
		_, rest, ok := ParseProtected(name)
		require.False(t, ok, name)
		require.Equal(t, name, rest)
	}
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.StringMatching(`[a-z-]{0,10}`).Draw(t, "base")
		id := NewProtectionID()
		if rapid.Bool().Draw(t, "short") {
			id = strings.ReplaceAll(id, "-", "")
		}
		got, rest, ok := ParseProtected(protectedPrefix + id + "-" + base)
		require.True(t, ok)
		require.Equal(t, id, got)
		require.Equal(t, base, rest)
	})
}

func FuzzParseProtected(f *testing.F) {
	for _, s := range []string{"_c_", "_c_0c1d2e3f-0011-2233-4455-66778899aabb-lock-0000000007", "_c_x-", "lock-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		id, rest, ok := ParseProtected(name)
		if ok && protectedPrefix+id+"-"+rest != name {
			t.Fatalf("%q became %q and %q", name, id, rest)
		}
	})
}
