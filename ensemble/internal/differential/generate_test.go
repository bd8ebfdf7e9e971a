package differential

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
)

// deaf plays steps to a server that answers nothing at all.
func deaf(g *Generator, operations int, see func(*Step)) {
	for g.Operations() < operations {
		s := g.Next()
		g.Learn(s, &Outcome{Replies: make([]rawclient.Message, len(s.Calls))})
		see(s)
	}
}

func TestSameSeedSameSteps(t *testing.T) {
	steps := func(seed uint64) (all []string) {
		g := NewGenerator(seed, 3)
		g.MaxBurst = 5
		deaf(g, 2000, func(s *Step) { all = append(all, s.String()) })
		return all
	}
	require.Equal(t, steps(7), steps(7))
	require.NotEqual(t, steps(7), steps(8))
}

func TestEveryKindIsAHundredthOfTheMix(t *testing.T) {
	for _, burst := range []int{1, 60} {
		g := NewGenerator(1, 8)
		g.MaxBurst = burst
		count := map[Kind]int{}
		longest := 0
		deaf(g, 100_000, func(s *Step) {
			for _, k := range s.kinds() {
				count[k]++
			}
			longest = max(longest, len(s.Calls))
			for i := range s.Calls {
				require.True(t, i == 0 || s.Calls[i].Kind != "auth" && s.Calls[i].Kind != "malformed", "%v", s)
				require.True(t, i == len(s.Calls)-1 || s.Calls[i].Kind != "closeSession" && s.Calls[i].Kind != "setACL", "%v", s)
			}
		})
		require.LessOrEqual(t, longest, burst)
		for _, k := range Kinds() {
			if k == "open" {
				continue // comes with the answers: after every closeSession
			}
			require.GreaterOrEqual(t, 100*count[k], g.Operations(), "%q in bursts of %d", k, burst)
		}
	}
}
