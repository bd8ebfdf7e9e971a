//go:build interop

package integration

import (
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
)

// How long a test waits for servers, from nothing to the first write that is acknowledged: ours and Curator's for tests, one after the other
// on this machine, each several times in one warm process, 20 times with INTEROP_FULL. The figures are for people; what is required is that all write.
func TestFirstWriteBesideCurators(t *testing.T) {
	command := javaProgram(t, "CURATOR_TEST_CP", "FirstWrite", "curator-test/*")
	times := 5
	if full() {
		times = 20
	}
	for _, servers := range []int{1, 3} {
		out, err := exec.CommandContext(t.Context(), command[0], append(command[1:], strconv.Itoa(servers), strconv.Itoa(times))...).Output()
		require.NoError(t, err)
		var curators, ours []time.Duration
		for _, line := range strings.Fields(string(out)) {
			ns, err := strconv.ParseInt(line, 10, 64)
			require.NoError(t, err, line)
			curators = append(curators, time.Duration(ns))
		}
		require.Len(t, curators, times)
		for range times {
			ours = append(ours, firstWrite(t, servers))
		}
		t.Logf("%d servers, median of %d: Bellwether %v, Curator %v", servers, times, median(ours), median(curators))
	}
}

// firstWrite is what FirstWrite.java measures, of ours.
func firstWrite(t *testing.T, servers int) time.Duration {
	begun := time.Now()
	e, err := ensembletest.New(t.Context(), servers, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	c, err := bwclient.Connect(t.Context(), e.ConnectString(), &bwclient.Options{Dialer: e.Dial})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	_, err = c.Create(t.Context(), "/n", nil, nil)
	require.NoError(t, err)
	return time.Since(begun)
}

// median leaves its argument in order.
func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2].Round(10 * time.Microsecond)
}
