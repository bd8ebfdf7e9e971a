//go:build interop

package integration

import (
	"context"
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/integration/trial"
)

var (
	recipesFor  = flag.Duration("recipes.for", 0, "how long TestRecipes breaks things; default 5s, a minute with INTEROP_FULL")
	recipesSeed = flag.Uint64("recipes.seed", 0, "seed of TestRecipes' users and of what they meet; 0: a random one")
)

// recipeFaults are those from which Apache's ensembles recover within seconds, too: a minute is to have many.
var recipeFaults = []string{
	"leader killed", "follower killed", "leader stopped", "follower stopped", "leader isolated", "follower isolated",
	"leader mute", "leader deaf", "all connections reset", "everything late",
}

// Every recipe is used by several users at once, on one ensemble, whose servers are killed, stopped and cut off from one another while the
// users' connections are cut, silent, slow, and lose requests and replies: see package trial.
func TestRecipes(t *testing.T) {
	onEnsembleInTurn(t, func(t *testing.T, k process.Kind) {
		length := *recipesFor
		if length == 0 {
			length = 5 * time.Second
			if full() {
				length = time.Minute
			}
		}
		report := tryRecipes(t, k, length, trial.Recipes())
		require.Empty(t, report.Wrong)
		if full() && !k.Is(process.ApacheOld) { // twice will do
			findMistakes(t, k)
		}
	})
}

// findMistakes requires that mistakes are found which are planted, the slow ones of them in one of several runs.
func findMistakes(t *testing.T, k process.Kind) {
	sought := trial.Mistakes()
	for range 5 {
		var subjects []trial.Subject
		for _, m := range sought {
			subjects = append(subjects, m.Subject)
		}
		report := tryRecipes(t, k, time.Minute, subjects)
		sought = slices.DeleteFunc(sought, func(m trial.Mistake) bool {
			i := slices.IndexFunc(report.Wrong, func(w string) bool {
				return strings.Contains(w, " "+m.Name+": ") && strings.Contains(w, m.Finding)
			})
			if i >= 0 {
				t.Logf("found: %s", report.Wrong[i])
			}
			return i >= 0
		})
		if len(sought) == 0 {
			return
		}
	}
	t.Errorf("not found: %v", sought)
}

// tryRecipes puts recipes on trial, on an ensemble of its own.
func tryRecipes(t *testing.T, k process.Kind, length time.Duration, subjects []trial.Subject) *trial.Report {
	t.Helper()
	seed := *recipesSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-recipes.seed %d -recipes.for %v", seed, length)
	const tick = process.TickTime * time.Millisecond
	const session = 4 * tick // and so less than the time for which servers wait for a silent leader: one that is cut off goes on answering
	e := process.StartEnsemble(t, process.Options{
		Kinds: []process.Kind{k}, Size: 3, Proxied: true, Flags: []string{fast, "-Dznode.container.checkIntervalMs=1000"},
	})
	n := newNemesis(t, e, seed)
	n.faults = slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return !slices.Contains(recipeFaults, f.name) })
	n.random.Shuffle(len(n.faults), func(i, j int) { n.faults[i], n.faults[j] = n.faults[j], n.faults[i] })
	n.long = min(3*session, length/4)
	n.mercy = 4 * recovery // it is not the servers that are on trial

	begin, broken := make(chan struct{}), make(chan struct{})
	w := trial.World{
		Servers: e.Addrs(), For: length, Seed: seed, Patience: recovery,
		Client: bwclient.Options{SessionTimeout: session, TickTime: tick, ConnectTimeout: 2 * tick, MaxFrame: 64 << 10},
		Break: func(context.Context) { // which the test's own goroutine does, since that may end the test
			close(begin)
			<-broken
		},
	}
	var report *trial.Report
	var err error
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { // ends when all has been judged, or with ctx
		defer close(ended)
		report, err = trial.Run(ctx, w, subjects)
	}()
	mend := sync.OnceFunc(func() { close(broken) })
	defer func() {
		cancel()
		mend()
		<-ended
	}()
	select {
	case <-begin:
		n.run(length, func() bool { return true })
		mend()
	case <-ended:
	}
	<-ended
	require.NoError(t, err)
	t.Logf("%s: %d faults of servers (%v)\n%v", k.Name, n.struck, n, report)
	return report
}
