package counter

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNewest(t *testing.T) {
	var n newest
	for _, c := range []struct {
		mzxid int64
		old   bool
	}{{0, false}, {5, false}, {5, false}, {4, true}, {0, false}, {4, true}, {6, false}, {5, true}, {1 << 40, false}} {
		require.Equal(t, c.old, n.old(c.mzxid), "%d after %d", c.mzxid, n)
	}
}
