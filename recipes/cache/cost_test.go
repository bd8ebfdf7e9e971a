package cache_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
)

// What it costs the servers is what the package says.
func TestCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		mustCreate(t, other, "/s", "")
		for i := range 10 {
			mustCreate(t, other, fmt.Sprint("/s/", i), "")
		}
		_, err := other.Create(t.Context(), "/s/e", nil, &client.CreateOptions{Mode: client.Ephemeral})
		require.NoError(t, err)
		r := e.Record()
		reads := func() int {
			time.Sleep(time.Second)
			defer r.Reset()
			return len(r.Operations(ensembletest.Match{Session: c.Session().ID()}))
		}
		mustOpen(t, c, "/s", nil)
		require.Equal(t, 11*2+1, reads())
		require.Len(t, e.Watches(), 11*2+1)
		_, err = other.Set(t.Context(), "/s/3", nil, client.AnyVersion)
		require.NoError(t, err)
		require.Equal(t, 1, reads())
		mustCreate(t, other, "/s/new", "")
		require.Equal(t, 3, reads())
		require.NoError(t, other.Delete(t.Context(), "/s/new", client.AnyVersion))
		require.Equal(t, 3, reads())
		_, err = other.Create(t.Context(), "/s/f", nil, &client.CreateOptions{Mode: client.Ephemeral})
		require.NoError(t, err)
		require.Equal(t, 2, reads())
		require.NoError(t, other.Delete(t.Context(), "/s/f", client.AnyVersion))
		require.Equal(t, 2, reads())
		_, err = other.Multi(t.Context(), client.DeleteOp("/s/5", client.AnyVersion), client.CreateOp("/s/5", nil, nil))
		require.NoError(t, err)
		require.Contains(t, []int{4, 5, 6}, reads(), "by which answer comes first")
		e.Drop(c)
		require.Equal(t, 11*2+1, reads())
		require.Len(t, e.Watches(), 11*2+1)
	})
}
