package counter_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/counter"
)

// What it costs is what the package says.
func TestCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const trip = 20 * time.Millisecond
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		n := counter.New(c, path, nil)
		_, err := n.Add(t.Context(), 1) // and there are nodes
		require.NoError(t, err)
		time.Sleep(time.Second)
		e.DelayClient(c, trip/2)
		r := e.Record()
		begun := time.Now()
		costs := func(trips int, ops ...string) {
			t.Helper()
			require.Equal(t, time.Duration(trips)*trip, time.Since(begun))
			time.Sleep(time.Second)
			var asked []string
			for _, o := range r.Operations(ensembletest.Match{Session: c.Session().ID()}) {
				asked = append(asked, o.Op)
			}
			require.Equal(t, ops, asked)
			r.Reset()
			begun = time.Now()
		}
		_, err = n.Add(t.Context(), 1)
		require.NoError(t, err)
		costs(2, "getData", "multi", "delete")
		no := errors.New("no")
		_, err = n.Update(t.Context(), func(int64) (int64, error) { return 0, no })
		require.ErrorIs(t, err, no)
		costs(3, "getData", "sync", "getData")
		_, err = n.CompareAndSwap(t.Context(), 17, 0)
		require.NoError(t, err)
		costs(3, "getData", "sync", "getData")

		ids := counter.NewIDs(c, path, &counter.IDsOptions{Block: 10})
		for range 10 {
			_, err = ids.Next(t.Context())
			require.NoError(t, err)
		}
		costs(2, "getData", "multi", "delete")
		s, err := ids.Inspect(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 2+10, s.Value)

		require.Empty(t, e.Watches())
		watching, enough := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { // ends with watching
			defer close(ended)
			for range n.Watch(watching) {
			}
		}()
		time.Sleep(time.Second)
		require.Len(t, e.Watches(), 1)
		require.Equal(t, path, e.Watches()[0].Path)
		enough()
		<-ended
	})
}
