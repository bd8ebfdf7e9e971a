package client_test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/integration/lost"
)

var (
	lostRuns = flag.Int("lost.runs", 60, "how many operations lose something in TestLost")
	lostFrom = flag.Uint64("lost.from", 0, "the first one's seed; 0: a random one")
)

// Whatever is lost, of whatever operation, the client tells the truth about what became of it: see package lost.
func TestLost(t *testing.T) {
	first := *lostFrom
	if first == 0 {
		first = uint64(rand.Uint32())
	}
	t.Logf("seed %d", first)
	var table lost.Table
	for seed := first; seed < first+uint64(*lostRuns); seed++ {
		var result lost.Result
		synctest.Test(t, func(t *testing.T) { result = lose(t, seed) })
		table.Add(result)
		if len(result.Wrong) > 0 {
			t.Errorf("%v", result)
		}
	}
	if testing.Verbose() {
		t.Logf("%v", &table)
	}
}

// lose carries out one run, with servers of its own. In every third run the client may come back to another server, which may be behind.
func lose(t *testing.T, seed uint64) lost.Result {
	r := rand.New(rand.NewPCG(seed, 2))
	servers := 1
	if seed%3 == 0 {
		servers = 3
	}
	e := ensembletest.Start(t, servers, &ensembletest.Options{
		Server: ensemble.Options{TTLNodes: true, Containers: ensemble.Containers{CheckInterval: -1}},
	})
	for _, from := range e.Servers() {
		for _, to := range e.Servers() {
			e.Delay(from.ID(), to.ID(), time.Duration(r.IntN(4))*20*time.Millisecond)
		}
	}
	w := lost.World{
		Servers: e.ConnectString(), Dial: e.Dial, Witness: e.Connect(t), Expire: e.ExpireSession,
		Client: client.Options{SessionTimeout: 10 * time.Second, MaxFrame: ensembletest.MaxFrame}, Settle: 30 * time.Second,
	}
	result, err := lost.Run(t.Context(), w, lost.NewPlan(seed, &w))
	require.NoError(t, err)
	return result
}
