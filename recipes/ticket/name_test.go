package ticket

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name string
		id   string
		n    int32
	}{
		{"_c_0c1d2e3f-0011-2233-4455-66778899aabb-lock-0000000007", "0c1d2e3f-0011-2233-4455-66778899aabb", 7},
		{"_c_0c1d2e3f00112233445566778899aabb-lock-0000000008", "0c1d2e3f00112233445566778899aabb", 8}, // go-zookeeper's Lock
		{"lock-0000000009", "", 9},
		{"my-lock-lock-0000000010", "", 10},
		{"lock-2147483647", "", math.MaxInt32},
		{"lock--2147483648", "", math.MinInt32},
		{"lock--000000001", "", -1}, // Java's %010d counts the minus
	} {
		p, ok := Parse(c.name, "lock-")
		require.True(t, ok, c.name)
		require.Equal(t, Place{Name: c.name, ID: c.id, Marker: "lock-", Number: c.n}, p)
	}
	for _, name := range []string{
		"", "lock-", "lock-1", "lock-000000001", "lock-00000000001", "lock-0000000007x", "lock-2147483648", "lock-9999999999",
		"lock--2147483649", "lock-+000000001", "lock--0000000001", "_c_short", "latch-0000000001", "0c1d__lock__0000000001",
		"lock-0000000001-backup", "lock-00000000٠1",
	} {
		_, ok := Parse(name, "lock-")
		require.False(t, ok, "%q", name)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"lock-0000000001", "lock--000000001", "_c_-lock-2147483647", "lock-lock-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		p, ok := Parse(name, "lock-")
		if !ok {
			return
		}
		suffix := fmt.Sprintf("lock-%010d", p.Number)
		if p.Name != name || len(name) < len(suffix) || name[len(name)-len(suffix):] != suffix {
			t.Fatalf("%q became %+v", name, p)
		}
	})
}

// A line of contenders whose numbers were given out one after the other is put in that order from every starting point of the counter, the
// wrap included, in whatever order the server lists it.
func TestPlacesKeepTheOrderAcrossTheWrap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.Int32(), rapid.Int32Range(math.MaxInt32-20, math.MaxInt32)).Draw(t, "first")
		var want, names []string
		for range rapid.IntRange(0, 40).Draw(t, "contenders") {
			want = append(want, fmt.Sprintf("_c_x-lock-%010d", n))
			n += rapid.Int32Range(1, 1000).Draw(t, "gap") // overflows as the server's counter does
		}
		foreign := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"lock-", "leases", "_c_", "lock-77"}), rapid.ID[string]).Draw(t, "foreign")
		names = append(append(names, want...), foreign...)
		rand.New(rand.NewPCG(uint64(n), 1)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })

		line, others := places(names, []string{"lock-"})
		var got []string
		for _, p := range line {
			got = append(got, p.Name)
		}
		require.Equal(t, want, got)
		require.ElementsMatch(t, foreign, others)
	})
}

func TestBefore(t *testing.T) {
	require.True(t, before(1, 2))
	require.False(t, before(2, 2))
	require.False(t, before(2, 1))
	require.True(t, before(math.MaxInt32, math.MinInt32), "the wrap")
	require.False(t, before(math.MinInt32, math.MaxInt32))
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Int32().Draw(t, "a")
		d := rapid.Int32Range(1, math.MaxInt32).Draw(t, "distance")
		require.True(t, before(a, a+d))
		require.False(t, before(a+d, a))
	})
}
