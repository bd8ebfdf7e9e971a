//go:build interop

package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/history"
	"github.com/bellwether-zk/bellwether/integration/process"
)

var (
	faultTime = flag.Duration("fault-time", 0, "how long faults are injected; default 20s, two minutes with INTEROP_FULL")
	faultSeed = flag.Uint64("fault-seed", 0, "seed of the faults; 0 takes one from the clock")
)

// What the clients do: at most ten of them use a node, and after a while everybody goes on with fresh nodes, so that the search for an
// order of a node's operations stays short.
const (
	nodesInUse     = 10
	clientsPerNode = 5
	ownNodes       = 2 // that a client uses
	nodeLife       = 10 * time.Second
	maxRate        = 1000 // operations a second, of all clients
)

// Every other client has patience: it still waits for its server when a leader that slept wakes up and finds its request.
var patiences = []struct{ session, operation time.Duration }{{4 * time.Second, 3 * time.Second}, {10 * time.Second, 9 * time.Second}}

// A run does not count when so few operations are answered in a second, before the faults and after them; with fewer faults, or of
// fewer leaders. One that has not got enough when its time is over goes on for as long again, at most thrice.
const (
	minRateBefore = 100
	minRateAfter  = 30
	minFaults     = 5
	minEpochs     = 3
)

// Clients write, swap and read while servers are killed, stopped and cut off from one another; then their answers are judged. What the
// servers hold in the end must be the same everywhere, and what the history says.
func TestLinearizableUnderFaults(t *testing.T) {
	onEnsembles(t, func(t *testing.T, k process.Kind) {
		seed := *faultSeed
		if seed == 0 {
			seed = uint64(time.Now().UnixNano())
		}
		length := *faultTime
		if length == 0 {
			length = 20 * time.Second
			if full() {
				length = 2 * time.Minute
			}
		}
		t.Logf("-fault-seed %d -fault-time %v", seed, length)
		e := process.StartEnsemble(t, process.Options{Kinds: []process.Kind{k}, Size: 3, Proxied: true, Flags: []string{fast}})
		w := startWorkload(t, e, seed)
		before := w.rate(t, 3*time.Second)
		n := newNemesis(t, e, seed)
		n.run(length, func() bool { return n.struck >= minFaults && epochs(w.recorder.Operations()) >= minEpochs })
		pause(t.Context(), time.Second) // for clients to find their servers again
		after := w.rate(t, 2*time.Second)
		w.stop()
		all := w.finalReads(t, e)
		t.Logf("%s; %s; %d answers a second before the faults, %d after", n, count(all), before, after)
		require.NoError(t, history.Judge(all, history.Options{StaleSync: !k.Is(process.Bellwether)}))
		require.GreaterOrEqual(t, before, minRateBefore, "so few operations a second before the faults: the run does not count")
		require.GreaterOrEqual(t, after, minRateAfter, "so few operations a second after the faults: the run does not count")
		require.GreaterOrEqual(t, n.struck, minFaults, "so few faults: the run does not count")
		require.GreaterOrEqual(t, epochs(all), minEpochs, "the leader changed too seldom: the run does not count")
	})
}

// A workload is many clients at work.
type workload struct {
	began    time.Time
	recorder history.Recorder
	life     atomic.Int64 // which nodes are in use
	cancel   context.CancelFunc
	working  sync.WaitGroup
}

// startWorkload connects the clients, each to all servers, and lets them work until stop.
func startWorkload(t *testing.T, e *process.Ensemble, seed uint64) *workload {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &workload{began: time.Now(), cancel: cancel}
	t.Cleanup(w.stop) // before the clients are closed
	maker := reconnecting(t, e.Addrs())
	require.NoError(t, w.make(ctx, maker, 0))
	w.working.Go(func() { w.renew(ctx, maker) }) // ends with ctx, as the clients' goroutines do
	tokens := make(chan struct{})
	w.working.Go(func() { pace(ctx, tokens) })
	for i := range nodesInUse * clientsPerNode / ownNodes {
		c := reconnectingWithin(t, e.Addrs(), patiences[i%2].session)
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		w.working.Go(func() { w.work(ctx, c, i, random, tokens) })
	}
	return w
}

// pace hands out maxRate tokens a second.
func pace(ctx context.Context, tokens chan<- struct{}) {
	const step = 5 * time.Millisecond
	ticks := time.NewTicker(step)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
		for range maxRate * int(step) / int(time.Second) {
			select {
			case tokens <- struct{}{}:
			default: // nobody is free
			}
		}
	}
}

func nodeName(life, i int64) string { return fmt.Sprintf("/faults/%d/%d", life, i) }

// make makes the nodes of one life.
func (w *workload) make(ctx context.Context, c *bwclient.Client, life int64) error {
	for i := range int64(nodesInUse) {
		_, err := c.Create(ctx, nodeName(life, i), nil, &bwclient.CreateOptions{Parents: bwclient.PersistentParents})
		if err != nil && !errors.Is(err, bwclient.ErrNodeExists) {
			return err
		}
	}
	return nil
}

// renew gives the clients fresh nodes from time to time.
func (w *workload) renew(ctx context.Context, c *bwclient.Client) {
	for pause(ctx, nodeLife) {
		next := w.life.Load() + 1
		for w.make(ctx, c, next) != nil && pause(ctx, 100*time.Millisecond) {
		}
		if ctx.Err() == nil {
			w.life.Store(next)
		}
	}
}

// work is the life of one client.
func (w *workload) work(ctx context.Context, c *bwclient.Client, number int, random *rand.Rand, tokens <-chan struct{}) {
	versions := map[string]int32{} // as last seen
	for i := 0; ; i++ {
		select {
		case <-tokens:
		case <-ctx.Done():
			return
		}
		session := c.Session()
		if session == nil {
			continue
		}
		own := random.Int64N(ownNodes) * nodesInUse / ownNodes
		op := history.Operation{
			Client: number, Session: session.ID(), Node: nodeName(w.life.Load(), (int64(number)+own)%nodesInUse),
			Value: fmt.Sprintf("%d-%d", number, i),
		}
		switch dice := random.IntN(10); {
		case dice < 4:
			op.Kind = history.Write
		case dice < 6:
			op.Kind, op.Expect = history.Swap, versions[op.Node]
		case dice < 9:
			op.Kind = history.Read
		default:
			op.Kind = history.WeakRead
		}
		if w.do(ctx, session.Client(), &op, patiences[number%2].operation) {
			w.recorder.Add(op)
			if op.Outcome == history.Done {
				versions[op.Node] = op.Version
			}
		}
	}
}

// do carries an operation out. It reports whether the operation may have happened.
func (w *workload) do(ctx context.Context, c *bwclient.Client, op *history.Operation, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	op.Call = time.Since(w.began)
	stat, err := w.ask(ctx, c, op)
	op.Return = time.Since(w.began)
	changes := op.Kind == history.Write || op.Kind == history.Swap
	switch {
	case err == nil:
		op.Outcome, op.Version, op.Zxid = history.Done, stat.Version, stat.Mzxid
	case changes && errors.Is(err, bwclient.ErrBadVersion):
		op.Outcome = history.Refused
	case changes && errors.Is(err, bwclient.ErrUnknown):
		op.Outcome = history.Unknown
	default:
		return false
	}
	return true
}

func (w *workload) ask(ctx context.Context, c *bwclient.Client, op *history.Operation) (bwclient.Stat, error) {
	switch op.Kind {
	case history.Write:
		return c.Set(ctx, op.Node, []byte(op.Value), bwclient.AnyVersion)
	case history.Swap:
		return c.Set(ctx, op.Node, []byte(op.Value), op.Expect)
	case history.Read:
		if err := c.Sync(ctx, op.Node); err != nil {
			return bwclient.Stat{}, err
		}
	}
	data, stat, err := c.Get(ctx, op.Node)
	op.Value = string(data)
	return stat, err
}

// rate is how many operations a second are answered in the time to come.
func (w *workload) rate(t *testing.T, d time.Duration) int {
	t.Helper()
	before := w.recorder.Answered()
	require.True(t, pause(t.Context(), d))
	return int(math.Round(float64(w.recorder.Answered()-before) / d.Seconds()))
}

func (w *workload) stop() {
	w.cancel()
	w.working.Wait()
}

// finalReads reads every node on every server, which must agree, and returns the history with these reads.
func (w *workload) finalReads(t *testing.T, e *process.Ensemble) []history.Operation {
	t.Helper()
	type held struct {
		value string
		stat  bwclient.Stat
	}
	first := map[string]held{}
	for i, s := range e.Servers {
		c := reconnecting(t, s.Addr)
		for life := range w.life.Load() + 1 {
			for n := range int64(nodesInUse) {
				op := history.Operation{Client: -1 - i, Session: c.Session().ID(), Node: nodeName(life, n), Kind: history.Read}
				op.Call = time.Since(w.began)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				require.NoError(t, c.Sync(ctx, op.Node))
				data, stat, err := c.Get(ctx, op.Node)
				cancel()
				require.NoError(t, err)
				op.Return = time.Since(w.began)
				op.Outcome, op.Value, op.Version, op.Zxid = history.Done, string(data), stat.Version, stat.Mzxid
				w.recorder.Add(op)
				if i == 0 {
					first[op.Node] = held{op.Value, stat}
				}
				require.Equal(t, first[op.Node], held{op.Value, stat}, "%s on server %d and on server 1", op.Node, i+1)
			}
		}
	}
	return w.recorder.Operations()
}

// count describes a history by numbers.
func count(all []history.Operation) string {
	counts := map[string]int{}
	for _, op := range all {
		counts[op.Outcome.String()]++
		counts[op.Kind.String()]++
	}
	var text []string
	for _, what := range []string{"write", "swap", "read", "weak read", "done", "refused", "unknown"} {
		text = append(text, fmt.Sprintf("%d %s", counts[what], what))
	}
	return fmt.Sprintf("%d operations (%s) of %d epochs", len(all), strings.Join(text, ", "), epochs(all))
}

// epochs is how many leaders made writes that were answered.
func epochs(all []history.Operation) int {
	seen := map[int64]bool{}
	for _, op := range all {
		if op.Outcome == history.Done && op.Version > 0 {
			seen[op.Zxid>>32] = true
		}
	}
	return len(seen)
}
