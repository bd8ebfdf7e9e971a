package partition

import (
	"fmt"
	"maps"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// chosen is what the rule says, reckoned in another language.
var chosen = []string{"ben", "carl", "ben", "carl", "ben", "carl", "anna", "anna", "ben", "carl"}

// assign chooses for a number of parts.
func assign(parts int, weights map[string]int) []string {
	owners := make([]string, parts)
	for i := range owners {
		owners[i] = Choose(fmt.Sprint("part ", i), weights)
	}
	return owners
}

func members(n int) map[string]int {
	weights := make(map[string]int)
	for i := range n {
		weights[fmt.Sprint("10.0.0.", i, ":80")] = 1
	}
	return weights
}

// Others must come to the same result, in other versions and languages too.
func TestChooseIsForEver(t *testing.T) {
	weights := map[string]int{"anna": 1, "ben": 2, "carl": 3}
	require.Equal(t, chosen, func() (got []string) {
		for _, part := range []string{"", "a", "b", "c", "part 1", "part 2", "ä", "0", "1", "2"} {
			got = append(got, Choose(part, weights))
		}
		return got
	}())
	require.Empty(t, Choose("a", nil))
	require.Empty(t, Choose("a", map[string]int{"anna": 0, "ben": -1}))
	require.Equal(t, Choose("a", map[string]int{"anna": MaxWeight, "ben": 1}), Choose("a", map[string]int{"anna": math.MaxInt, "ben": 1}))
}

// Shares are as the weights: within four standard deviations.
func TestChooseIsFair(t *testing.T) {
	const parts = 20_000
	for name, weights := range map[string]map[string]int{
		"like": members(10), "unlike": {"anna": 1, "ben": 2, "carl": 5, "none": 0}, "much unlike": {"anna": 1, "ben": 100},
	} {
		sum := 0
		for _, w := range weights {
			sum += w
		}
		count := map[string]int{}
		for _, id := range assign(parts, weights) {
			count[id]++
		}
		for id, w := range weights {
			p := float64(w) / float64(sum)
			require.InDelta(t, parts*p, count[id], 4*math.Sqrt(parts*p*(1-p))+1e-9, "%s: %s", name, id)
		}
	}
}

// Who goes gives its own parts and no other one moves; who comes takes what is its own; and a weight that grows takes, and takes from others only.
func TestChooseMovesLittle(t *testing.T) {
	const parts = 3_000
	all := members(12)
	before := assign(parts, all)
	for id := range all {
		fewer := maps.Clone(all)
		delete(fewer, id)
		for i, owner := range assign(parts, fewer) {
			if before[i] != id {
				require.Equal(t, before[i], owner)
			} else {
				require.NotEqual(t, id, owner)
			}
		}
		more := maps.Clone(all)
		more[id] = 3
		for i, owner := range assign(parts, more) {
			require.True(t, owner == before[i] || owner == id)
		}
	}
}

// Who is there is acted upon when nothing has changed for a while, or after five such times.
func TestSettler(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(1000+int64(seconds), 0) }
	of := func(ids ...string) census {
		c := census{weights: map[string]int{}, me: true}
		for _, id := range ids {
			c.weights[id] = 1
		}
		return c
	}
	s := settler{wait: 10 * time.Second}
	_, waits := s.due()
	require.False(t, waits, "nobody was seen yet")
	s.see(at(0), of("a"))
	require.False(t, s.act(at(9)))
	s.see(at(9), of("a", "b"))
	require.False(t, s.act(at(10)))
	due, waits := s.due()
	require.True(t, waits)
	require.Equal(t, at(19), due)
	s.see(at(12), of("a", "b"))
	require.True(t, s.act(at(19)))
	require.Equal(t, of("a", "b"), s.acted)
	require.False(t, s.act(at(50)), "once")

	s.see(at(100), of("a"))
	s.see(at(105), of("a", "b")) // back again
	_, waits = s.due()
	require.False(t, waits)
	for i := range 10 { // one that comes and goes all the time
		now := at(200 + 5*i)
		if i%2 == 0 {
			s.see(now, of("a"))
		} else {
			s.see(now, of("a", "c"))
		}
		require.False(t, s.act(now), i)
	}
	s.see(at(250), of("a"))
	require.True(t, s.act(at(250)))
	s.see(at(251), of("a", "b"))
	require.False(t, s.act(at(252)))
}

// A thousand parts among a hundred members.
func BenchmarkChoose(b *testing.B) {
	weights, names := members(100), []string{"part 1", "part 2", "part 3"}
	for b.Loop() {
		lots := drawers(weights)
		for i := range 1000 {
			lots.choose(names[i%len(names)])
		}
	}
}
