package judge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// A machine in another's place may have forgotten what that had promised; the same machine may not.
func TestReplace(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		v := NewInvariants(NewHistory(), Rules{Voters: []int{1, 2, 3}, Tick: clock.Second})
		v.Start(0, 2, Boot{})
		v.AcceptEpoch(1, 2, 7)
		v.Stop(2, 2)
		if replaced {
			v.Replace(2)
		}
		v.Start(3, 2, Boot{})
		require.Equal(t, replaced, len(v.Violations()) == 0, "%v", v.Violations())
	}
}
