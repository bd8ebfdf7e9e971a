package choose

import (
	"math"
	"testing"
	"time"

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

// Who chooses waits for nobody: while another has the lock instances are chosen by each strategy, by a key and in another's place, of a part of
// them, while some are warming, and requests are done. What fails needs it, and what decides about an instance that was ejected.
func TestPickTakesNoLock(t *testing.T) {
	strategies := map[string]func() Strategy{
		"round robin": RoundRobin, "random": Random, "weighted": Weighted, "least": LeastOutstanding, "two": TwoChoices, "sticky": Sticky,
	}
	for name, opts := range map[string]*Options{
		"all": nil, "subset": {Subset: 3}, "aperture": {Subset: 3, Index: 1, Of: 4}, "zone": {Zone: "eu"}, "slow start": {SlowStart: time.Hour},
	} {
		for of, strategy := range strategies {
			mustPickWithoutLock(t, name+", "+of, strategy(), opts)
		}
	}
}

func mustPickWithoutLock(t *testing.T, name string, strategy Strategy, opts *Options) {
	t.Helper()
	source := stillOf("a", "b", "c", "d", "e")
	for _, e := range source[:3] {
		e.Zone = "eu"
	}
	c := New(source, strategy, opts)
	defer c.Close()
	if c.opts.SlowStart > 0 {
		for _, s := range c.slots {
			s.mode.Store(warming)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
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
