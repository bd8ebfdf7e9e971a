package choose

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/recipes/discovery"
)

// still is a source whose instances stay what they are.
type still []*discovery.Entry[struct{}]

func (s still) Snapshot() ([]*discovery.Entry[struct{}], <-chan struct{}) { return s, nil }

func stillOf(ids ...string) (s still) {
	for _, id := range ids {
		s = append(s, &discovery.Entry[struct{}]{Instance: discovery.Instance[struct{}]{ID: id, Address: id}, Path: "/" + id})
	}
	return s
}

// Who chooses waits for nobody: while another has the lock instances are chosen by each strategy, by a key and in another's place, and
// requests are done. What fails needs it.
func TestPickTakesNoLock(t *testing.T) {
	for name, strategy := range map[string]Strategy{
		"round robin": RoundRobin(), "random": Random(), "weighted": Weighted(), "least": LeastOutstanding(), "two": TwoChoices(), "sticky": Sticky(),
	} {
		c := New(stillOf("a", "b", "c"), strategy, nil)
		defer c.Close()
		c.mu.Lock()
		for range 100 {
			p, err := c.Pick()
			require.NoError(t, err, name)
			other, err := c.PickOther(p)
			require.NoError(t, err, name)
			keyed, err := c.PickFor("key")
			require.NoError(t, err, name)
			p.Done(nil)
			other.Done(nil)
			keyed.Done(nil)
		}
		c.mu.Unlock()
	}
}

// After 2^64 requests round robin begins anew: with no negative number, as Curator after 2^31.
func TestRoundRobinOverflows(t *testing.T) {
	s := &roundRobin{}
	s.next.Store(math.MaxUint64 - 4)
	c := New(stillOf("a", "b", "c"), s, nil)
	defer c.Close()
	got := map[string]int{}
	for range 9 {
		p, err := c.Pick()
		require.NoError(t, err)
		got[p.Entry.ID]++
	}
	for _, id := range []string{"a", "b", "c"} {
		require.GreaterOrEqual(t, got[id], 2)
	}
}
