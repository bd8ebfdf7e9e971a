package judge_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// A timeline tells all there is, in order, and only what is asked for.
func TestTimeline(t *testing.T) {
	h := rich()
	all := slices.Collect(h.Timeline(0, clock.Never))
	answered := 0
	for i := range h.Ops {
		if h.Ops[i].Returned.Happened() {
			answered++
		}
	}
	count := func(part string) (n int) {
		for _, l := range all {
			if strings.Contains(l, part) {
				n++
			}
		}
		return n
	}
	require.Equal(t, len(h.Ops), count(" asks on connection "))
	require.Equal(t, answered, count(" is answered at "))
	require.Equal(t, len(h.Events), count(" is told "))
	require.Equal(t, len(h.Txns), count("committed, proposed by server "))
	require.Equal(t, len(h.Conns), count(" dials server "))
	part := slices.Collect(h.Timeline(2*clock.Second, 3*clock.Second))
	require.NotEmpty(t, part)
	from := slices.Index(all, part[0])
	require.Equal(t, all[from:from+len(part)], part)
	for _, l := range part {
		require.True(t, strings.HasPrefix(l, "2.") || strings.HasPrefix(l, "3.000000s"), l)
	}
	for range h.Timeline(0, clock.Never) {
		break // may be left early
	}
}
