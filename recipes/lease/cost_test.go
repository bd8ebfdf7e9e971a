package lease_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
)

// What the package comment says of requests and watches.
func TestCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		require.NoError(t, mustAcquire(t, leaseOf(e.Connect(t), "first"), time.Minute).Release(t.Context())) // so that there are records
		time.Sleep(time.Second)
		r := e.Record()
		defer r.Stop()
		mine := c.Session().ID()
		asked := func() (ops []string) {
			time.Sleep(time.Second)
			for _, o := range r.Operations(ensembletest.Match{Session: mine}) {
				ops = append(ops, o.Op)
			}
			r.Reset()
			return ops
		}
		ask := []string{
			"create2", "getChildren2", // stands at the door
			"exists", "getData", "exists", "multi", "delete", // looks, writes and leaves
			"getData", // watches
		}
		// The door's own node is looked at in the background, unless it is gone again.
		doorless := func(ops []string) []string {
			if len(ops) > len(ask) {
				i := slices.Index(ops, "getData")
				ops = slices.Delete(ops, i, i+1)
			}
			return ops
		}
		g := mustAcquire(t, leaseOf(c, "anna"), time.Hour)
		require.ElementsMatch(t, ask, doorless(asked()))
		require.Equal(t, path+"/lease_holder", e.Watches()[0].Path)
		require.NoError(t, g.Renew(t.Context(), time.Hour))
		require.ElementsMatch(t, ask, doorless(asked()))
		require.Len(t, e.Watches(), 1)
		require.NoError(t, g.Release(t.Context()))
		require.Equal(t, []string{"sync", "getData", "multi"}, asked())
		require.Empty(t, e.Watches())
	})
}
