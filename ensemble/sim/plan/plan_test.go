package plan

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

func shape(r *rand.Rand) Shape {
	return Shape{
		Voters: []int{1, 3, 5}[r.IntN(3)], Observers: r.IntN(3), Clients: 1 + r.IntN(6), Start: 2 * clock.Second, Span: 30 * clock.Second,
		Tick: []clock.Time{100, 200, 500}[r.IntN(3)] * clock.Millisecond,
	}
}

func draw(seed uint64) Plan {
	r := rand.New(rand.NewPCG(seed, 7))
	return Draw(r, shape(r))
}

func TestDrawKeepsItsRules(t *testing.T) {
	var all Tally
	quiet, few, on := 0, 0, map[Class]int{}
	for seed := range uint64(400) {
		p := draw(seed)
		require.Equal(t, p, draw(seed), "the seed is all there is")
		s := p.Shape
		require.LessOrEqual(t, len(p.Frail), (s.Voters-1)/2)
		require.Greater(t, 2*len(p.Quorum), s.Voters)
		require.True(t, slices.IsSortedFunc(p.Faults, func(a, b Fault) int { return int(a.At - b.At) }))
		if len(p.On) == 0 {
			quiet++
		}
		if len(p.Faults) < 20 {
			few++
		}
		for _, c := range p.On {
			on[c]++
		}
		for _, f := range p.Faults {
			all.Add(f.Class)
			require.True(t, s.allows(f.Class))
			require.GreaterOrEqual(t, f.At, s.Start)
			require.Less(t, f.At, s.Start+s.Span)
			for _, id := range f.Side {
				require.True(t, 1 <= id && id <= s.Voters+s.Observers)
			}
			require.Less(t, len(f.Side), max(s.Voters+s.Observers, 2), "somebody is on the other side")
			require.NotContains(t, f.String(), "%!")
			if f.Class == BitFlip || f.Class == BitFlipLog || f.Class == Amnesia {
				voters, observers := ids(1, s.Voters), ids(s.Voters+1, s.Observers)
				id := f.Who.Choose(1, voters, observers, p.Frail)
				require.True(t, id > s.Voters || slices.Contains(p.Frail, id))
			}
		}
	}
	require.InDelta(t, 4, quiet, 3)
	require.Less(t, few, 60, "most plans have enough to go wrong")
	for _, c := range Classes() {
		require.Greater(t, on[c], 90, "%v", c)
		require.NotZero(t, all[c], "%v", c)
	}
	require.Equal(t, strings.Count(all.String(), "\n"), len(Classes()))
}

func ids(from, n int) (list []int) {
	for i := range n {
		list = append(list, from+i)
	}
	return list
}

func TestChoose(t *testing.T) {
	voters, observers, frail := []int{1, 2, 3}, []int{4}, []int{2}
	for pick := range uint32(12) {
		require.Equal(t, 3, Target{Leader, pick}.Choose(3, voters, observers, frail))
		require.Zero(t, Target{Leader, pick}.Choose(0, voters, observers, frail))
		require.Contains(t, []int{1, 2}, Target{Follower, pick}.Choose(3, voters, observers, frail))
		require.Contains(t, []int{1, 2, 3, 4}, Target{Anyone, pick}.Choose(3, voters, observers, frail))
		require.Contains(t, []int{2, 4}, Target{Frail, pick}.Choose(3, voters, observers, frail))
	}
	require.Zero(t, Target{Frail, 1}.Choose(1, []int{1}, nil, nil))
}

// A plan reads as a story.
func TestStory(t *testing.T) {
	p := Plan{
		Shape: Shape{Voters: 3, Observers: 1, Clients: 2, Start: clock.Second, Span: 9 * clock.Second}, On: []Class{Kill, Split, Drift}, Frail: []int{2},
		Quorum: []int{1, 3}, Faults: []Fault{
			{At: 1500 * clock.Millisecond, Class: Kill, Who: Target{Role: Leader}, Span: clock.Second},
			{At: 2 * clock.Second, Class: Split, Side: []int{1, 4}, Port: QuorumPort, Span: 300 * clock.Millisecond},
			{At: 3 * clock.Second, On: OnNewLeader, Class: PowerLoss, Span: clock.Second},
			{At: 4 * clock.Second, Class: Drift, Who: Target{Pick: 23}, Rate: -0.05, Span: clock.Second},
		},
	}
	require.Equal(t, strings.TrimLeft(`
3 voters, 1 observers, 2 clients; frail: [2]; 4 faults of kill, split, drift
  1.500000s the leader is killed, back after 1.000000s
  2.000000s servers [1 4] are cut off from the others on the quorum port for 0.300000s
  3.000000s from then on, once: whoever has saved the new epoch loses its power, back after 1.000000s
  4.000000s the clocks of a server (draw 23) go wrong by -5.0 % for 1.000000s
  10.000000s servers [1 3] are healed, then all
`, "\n"), p.String())
}

func TestTally(t *testing.T) {
	var a, b Tally
	a.Add(Kill)
	a.Add(Split)
	b.Add(Split)
	a.Join(&b)
	require.Equal(t, 3, a.Total())
	require.True(t, strings.HasPrefix(a.String(), "       2  split\n       1  kill\n       3  in all; never: power loss, "))
}
