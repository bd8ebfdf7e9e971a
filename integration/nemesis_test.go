//go:build interop

package integration

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/integration/process"
)

// A nemesis breaks an ensemble in every way it knows, one after another, and mends it each time.
type nemesis struct {
	t      *testing.T
	e      *process.Ensemble
	random *rand.Rand
	began  time.Time
	faults []fault        // in use; default: all
	mercy  time.Duration  // until all servers must serve after a fault; default: recovery
	long   time.Duration  // how much longer than usual one fault in four lasts at most; default: for longer than any server has patience
	struck int            // faults
	counts map[string]int // what happened how often
}

func newNemesis(t *testing.T, e *process.Ensemble, seed uint64) *nemesis {
	return &nemesis{t: t, e: e, faults: faults, mercy: recovery, random: rand.New(rand.NewPCG(seed, 0)), began: time.Now(), counts: map[string]int{}}
}

// recovery is how soon all servers must serve after a fault has ended.
const recovery = 45 * time.Second

// A fault breaks something, for the time given, and mends it.
type fault struct {
	name   string
	strike func(n *nemesis, d time.Duration)
}

var faults = []fault{
	{"relay", func(n *nemesis, d time.Duration) { // the leader killed whenever there is one, as long as a majority is left
		first := n.leader()
		n.e.Servers[first].Kill()
		second := n.leader()
		require.NoError(n.t, n.e.Servers[first].Restart())
		n.killed(d/4, second)
	}},
	{"leader killed", func(n *nemesis, d time.Duration) { n.killed(d, n.leader()) }},
	{"follower killed", func(n *nemesis, d time.Duration) { n.killed(d, n.follower()) }},
	{"all killed at once", func(n *nemesis, d time.Duration) { n.killed(d/4, n.servers()...) }},
	{"leader stopped", func(n *nemesis, d time.Duration) { n.stopped(d, n.leader()) }},
	{"follower stopped", func(n *nemesis, d time.Duration) { n.stopped(d, n.follower()) }},
	{"leader isolated", func(n *nemesis, d time.Duration) {
		n.network(d, func(net *process.Network) { net.Isolate(n.leader()) })
	}},
	{"follower isolated", func(n *nemesis, d time.Duration) {
		n.network(d, func(net *process.Network) { net.Isolate(n.follower()) })
	}},
	{"leader mute", func(n *nemesis, d time.Duration) { n.network(d, n.oneWay(n.leader(), true)) }},
	{"leader deaf", func(n *nemesis, d time.Duration) { n.network(d, n.oneWay(n.leader(), false)) }},
	{"leader refused by one", func(n *nemesis, d time.Duration) {
		leader, follower := n.leader(), n.follower()
		n.network(d, func(net *process.Network) { net.Refuse(leader, follower) })
	}},
	{"followers refuse each other", func(n *nemesis, d time.Duration) {
		leader := n.leader()
		others := slices.DeleteFunc(n.servers(), func(i int) bool { return i == leader })
		n.network(d, func(net *process.Network) { net.Refuse(others[0], others[1]) })
	}},
	{"all connections reset", func(n *nemesis, d time.Duration) { n.network(0, n.everywhere((*process.Network).Reset)) }},
	{"everything late", func(n *nemesis, d time.Duration) {
		late := time.Duration(n.random.IntN(50)) * time.Millisecond
		n.network(d, n.everywhere(func(net *process.Network, i, j int) { net.Delay(i, j, late) }))
	}},
	{"leader flapping", func(n *nemesis, d time.Duration) {
		leader := n.leader()
		for range 5 {
			n.network(d/10, func(net *process.Network) { net.Isolate(leader) })
			pause(n.t.Context(), d/10)
		}
	}},
	{"sleeper", func(n *nemesis, d time.Duration) { // the leader sleeps until the others have another
		leader := n.leader()
		require.NoError(n.t, n.e.Servers[leader].Pause())
		n.leader()
		pause(n.t.Context(), 300*time.Millisecond) // which makes writes that the sleeper does not know of
		require.NoError(n.t, n.e.Servers[leader].Resume())
	}},
}

// run strikes until the time is over and that was enough, or four times that time: first with the first fault, of all that one which changes
// the leader twice, then with each kind before any comes again.
func (n *nemesis) run(length time.Duration, enough func() bool) {
	n.t.Helper()
	began := time.Now()
	for order := []int{0}; ; order = n.random.Perm(len(n.faults)) {
		for _, i := range order {
			if passed := time.Since(began); passed > 4*length || passed > length && enough() {
				return
			}
			f := n.faults[i]
			d := time.Duration(300+n.random.IntN(2700)) * time.Millisecond
			if n.random.IntN(4) == 0 {
				d += n.longer()
			}
			n.t.Logf("%6.2fs %s for about %v", time.Since(n.began).Seconds(), f.name, d)
			f.strike(n, d)
			n.struck++
			n.counts[f.name]++
			n.mustRecover()
			pause(n.t.Context(), time.Duration(n.random.IntN(700))*time.Millisecond)
		}
	}
}

func (n *nemesis) longer() time.Duration {
	if n.long == 0 {
		return process.SyncLimit * process.TickTime * time.Millisecond
	}
	return time.Duration(n.random.Int64N(int64(n.long)))
}

// mustRecover requires that all servers serve soon. Those that were stopped only are asked too: some mend by restarting parts.
func (n *nemesis) mustRecover() {
	n.t.Helper()
	began := time.Now()
	mustEventually(n.t, n.mercy, func(context.Context) error {
		for i, s := range n.e.Servers {
			select {
			case <-s.Ended():
				// A server may give up when it learns what it has missed; whoever runs it starts it again.
				n.counts["servers that ended by themselves"]++
				require.NoError(n.t, s.Restart())
			default:
			}
			if s.Mode() == "" {
				return fmt.Errorf("server %d does not serve", i+1)
			}
		}
		return nil
	})
	n.t.Logf("%6.2fs all serve, after %v", time.Since(n.began).Seconds(), time.Since(began).Round(time.Millisecond))
}

func (n *nemesis) servers() []int {
	var all []int
	for i := range n.e.Servers {
		all = append(all, i)
	}
	return all
}

func (n *nemesis) leader() int { return n.e.MustLeader(n.t) }

// follower is any server but the leader.
func (n *nemesis) follower() int {
	return (n.leader() + 1 + n.random.IntN(len(n.e.Servers)-1)) % len(n.e.Servers)
}

func (n *nemesis) killed(d time.Duration, servers ...int) {
	for _, i := range servers {
		n.e.Servers[i].Kill()
	}
	pause(n.t.Context(), d)
	for _, i := range n.random.Perm(len(servers)) {
		require.NoError(n.t, n.e.Servers[servers[i]].Restart())
	}
}

func (n *nemesis) stopped(d time.Duration, i int) {
	require.NoError(n.t, n.e.Servers[i].Pause())
	pause(n.t.Context(), d)
	require.NoError(n.t, n.e.Servers[i].Resume())
}

func (n *nemesis) network(d time.Duration, breaks func(*process.Network)) {
	breaks(n.e.Network)
	pause(n.t.Context(), d)
	n.e.Network.Heal()
}

// oneWay stalls all that a server says, or all that it is told.
func (n *nemesis) oneWay(server int, out bool) func(*process.Network) {
	return func(net *process.Network) {
		for _, i := range n.servers() {
			switch {
			case i == server:
			case out:
				net.Stall(server, i)
			default:
				net.Stall(i, server)
			}
		}
	}
}

// everywhere does something to every direction there is.
func (n *nemesis) everywhere(do func(net *process.Network, from, to int)) func(*process.Network) {
	return func(net *process.Network) {
		for _, i := range n.servers() {
			for _, j := range n.servers() {
				if i != j {
					do(net, i, j)
				}
			}
		}
	}
}

// String says what was done how often.
func (n *nemesis) String() string {
	var text []string
	for _, name := range slices.Sorted(maps.Keys(n.counts)) {
		text = append(text, fmt.Sprintf("%d %s", n.counts[name], name))
	}
	return strings.Join(text, ", ")
}
