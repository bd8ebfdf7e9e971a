package sim_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/ensemble/sim"
)

var (
	one     = flag.Uint64("sim.seed", 0, "run this seed and say what happens (-sim.trace)")
	traced  = flag.Bool("sim.trace", false, "with -sim.seed: print everything that happens")
	from    = flag.Uint64("sim.from", 0, "the first seed of the campaign; 0: any")
	seeds   = flag.Int("sim.seeds", 0, "how many seeds the campaign has; 0: as many as the time allows")
	length  = flag.Duration("sim.time", 0, "how long the campaign lasts; 0: until its seeds are done")
	stop    = flag.Bool("sim.first", false, "the campaign ends with the first seed that fails")
	workers = flag.Int("sim.workers", 0, "how many seeds run at a time; 0: one for each processor")
	least   = flag.Int("sim.least", 0, "the campaign fails if fewer of its seeds than that prove something")
	twice   = flag.Bool("sim.twice", false, "the campaign runs each seed twice: the same has to happen")
)

// Runs leave much behind and need little at a time: collecting it a fourth as often as usual makes a campaign a fifth faster.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	goleak.VerifyTestMain(m)
}

// TestSeed runs the one seed that is asked for: go test ./ensemble/sim -run TestSeed -sim.seed=N -v
func TestSeed(t *testing.T) {
	seed := *one
	if seed == 0 {
		seed = 1
	}
	o := sim.Draw(seed)
	var rep sim.Report
	begun := time.Now()
	if *traced {
		rep = sim.Run(o, os.Stdout)
	} else {
		rep = sim.Run(o, nil)
	}
	t.Logf("%v\n%v\ntook %v\n%v", o, o.Plan, time.Since(begun), rep)
	require.Empty(t, rep.Violations, rep.Replay())
}

// stride is of how many seeds one is run with -short, as the race detector is: a run has one goroutine, which races with nobody.
const stride = 5

// TestKept runs the seeds that once found something, and a few besides. Together they strike servers in every phase of every role.
func TestKept(t *testing.T) {
	kept, err := os.ReadFile("testdata/seeds.txt")
	require.NoError(t, err)
	n, sum := 0, sim.Sum{}
	for line := range strings.Lines(string(kept)) {
		number, why, _ := strings.Cut(strings.TrimSpace(line), " ")
		if number == "" || strings.HasPrefix(number, "#") {
			continue
		}
		if n++; testing.Short() && n%stride != 0 {
			continue
		}
		seed, err := strconv.ParseUint(number, 10, 64)
		require.NoError(t, err, line)
		rep := sim.Run(sim.Draw(seed), nil)
		require.Empty(t, rep.Violations, "%s: %s", why, rep.Replay())
		sum.Add(&rep)
	}
	t.Logf("%v", sum.String())
	if !testing.Short() {
		require.Empty(t, sum.Struck.Never())
	}
}

// TestDeterminism runs seeds twice, cut short: everything happens again. TestCampaign -sim.twice does so with whole ones.
func TestDeterminism(t *testing.T) {
	seen := map[uint64]bool{}
	count := uint64(20)
	if testing.Short() {
		count /= stride
	}
	for seed := range count {
		o := sim.Draw(1000 + seed).Short()
		a, b := sim.Run(o, nil), sim.Run(o, nil)
		require.Equal(t, a.Hash, b.Hash, "seed %d", o.Seed)
		require.Equal(t, a.Events, b.Events, "seed %d", o.Seed)
		require.Equal(t, a.Violations, b.Violations, "seed %d", o.Seed)
		require.False(t, seen[a.Hash], "seed %d", o.Seed)
		seen[a.Hash] = true
	}
}

// TestCampaign runs seeds nobody has run before, as many as -sim.seeds and -sim.time allow:
//
//	go test ./ensemble/sim -run TestCampaign -v -timeout 0 -sim.time 6m
func TestCampaign(t *testing.T) {
	if *seeds == 0 && *length == 0 {
		*seeds = 3
		*from = max(*from, 1) // nobody asked for news: the same each time
	}
	first := *from
	if first == 0 {
		first = rand.Uint64N(1<<40) + 1_000_000
	}
	n := *workers
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
	}
	t.Logf("seeds from %d", first)
	c := campaign{next: first, begun: time.Now()}
	var all sync.WaitGroup
	for range n {
		all.Go(func() { // ends with the campaign
			for {
				seed, ok := c.take(first)
				if !ok {
					return
				}
				c.add(run(seed))
			}
		})
	}
	all.Wait()
	t.Logf("%v, %v", c.sum.String(), time.Since(c.begun).Round(time.Second))
	require.Empty(t, c.failed)
	require.GreaterOrEqual(t, c.sum.Proving, *least, "too few seeds prove anything")
}

// A campaign is what several workers share.
type campaign struct {
	mu     sync.Mutex
	next   uint64
	begun  time.Time
	sum    sim.Sum
	failed []string
}

func (c *campaign) take(first uint64) (uint64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *seeds > 0 && c.next-first >= uint64(*seeds) || *length > 0 && time.Since(c.begun) > *length || len(c.failed) > 20 || *stop && len(c.failed) > 0 {
		return 0, false
	}
	c.next++
	return c.next - 1, true
}

func (c *campaign) add(rep sim.Report, panicked string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum.Add(&rep)
	switch {
	case panicked != "":
		c.failed = append(c.failed, fmt.Sprintf("%s\n%s", rep.Replay(), panicked))
	case len(rep.Violations) > 0:
		c.failed = append(c.failed, fmt.Sprintf("%s\n%v", rep.Replay(), rep.Violations[0]))
	}
}

// run runs a seed, and takes a panic for what it is: a failure that is to be replayed. So is a second time that differs.
func run(seed uint64) (rep sim.Report, panicked string) {
	o := sim.Draw(seed)
	rep.Options = o
	defer func() {
		if p := recover(); p != nil {
			panicked = fmt.Sprintf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	rep = sim.Run(o, nil)
	if *twice {
		if again := sim.Run(o, nil); again.Hash != rep.Hash || again.Events != rep.Events {
			return rep, fmt.Sprintf("something else happened the second time: %d events, hash %016x; then %d, %016x", rep.Events, rep.Hash, again.Events, again.Hash)
		}
	}
	return rep, ""
}
