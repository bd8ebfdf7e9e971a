//go:build interop

package integration

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/lost"
	"github.com/bellwether-zk/bellwether/integration/process"
)

var (
	lostRuns = flag.Int("lost.runs", 0, "how many operations lose something in TestLost; default 46, 300 with INTEROP_FULL")
	lostFrom = flag.Uint64("lost.from", 0, "the first one's seed; 0: a random one")
)

// Whatever is lost of whatever operation on Apache's servers, the client tells the truth about what became of it: see package lost. If
// all is to be tried, about half of the runs have three servers that agree, and the client may come back to another one of them.
func TestLost(t *testing.T) {
	runs := *lostRuns
	if runs == 0 {
		runs = 46 // one of each kind
		if full() {
			runs = 300
		}
	}
	first := *lostFrom
	if first == 0 {
		first = uint64(rand.Uint32())
	}
	t.Logf("seed %d", first)
	flags := []string{fast, "-Dznode.container.checkIntervalMs=86400000"} // what a run has left empty stays until it is judged
	worlds := []lost.World{lostWorld(t, startPeerWith(t, process.Apache39, flags).Addr)}
	if full() {
		e := process.StartEnsemble(t, process.Options{
			Kinds: []process.Kind{process.Apache39}, Size: 3, Flags: flags, Lines: []string{"extendedTypesEnabled=true"},
		})
		worlds = append(worlds, lostWorld(t, fmt.Sprintf("%s,%s,%s", e.Servers[0].Addr, e.Servers[1].Addr, e.Servers[2].Addr)))
	}
	var (
		table lost.Table
		mu    sync.Mutex
		all   sync.WaitGroup
		turn  = make(chan struct{}, 20) // they wait most of the time
	)
	for seed := first; seed < first+uint64(runs); seed++ {
		turn <- struct{}{}
		all.Go(func() { // ends with its run
			defer func() { <-turn }()
			w := worlds[rand.New(rand.NewPCG(seed, 2)).IntN(len(worlds))]
			result, err := lost.Run(t.Context(), w, lost.NewPlan(seed, &w))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			table.Add(result)
			if len(result.Wrong) > 0 {
				t.Errorf("%v", result)
			}
		})
	}
	all.Wait()
	t.Logf("%v", &table)
}

// lostWorld is one of servers whose sessions may be as short as two of their ticks.
func lostWorld(t *testing.T, servers string) lost.World {
	t.Helper()
	witness, err := bwclient.Connect(t.Context(), servers, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = witness.Close() })
	return lost.World{
		Servers: servers, Witness: witness, Settle: 100 * time.Millisecond,
		Client: bwclient.Options{SessionTimeout: 2 * time.Second, MaxFrame: 64 << 10},
	}
}
