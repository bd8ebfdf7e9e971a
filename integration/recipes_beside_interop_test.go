//go:build interop

package integration

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/leader"
	"github.com/bellwether-zk/bellwether/recipes/queue"
)

var (
	besideRounds = flag.Int("beside.rounds", 0, "how many rounds of TestRecipesBesidePeers count; default 2, 7 with INTEROP_FULL")
	besideEach   = flag.Duration("beside.each", 0, "for how long it does one thing at a time; default 200 ms, 2 s with INTEROP_FULL")
	besideRows   = flag.String("beside.rows", "", "a regular expression of what it does; default: everything")
)

// What recipes do, beside Curator's, go-zookeeper's Lock and etcd's, each on three servers that sync what they write to this machine's disk:
// ours on ours, Curator's and go-zookeeper's on Apache's newest, in turns, and etcd's on etcd's:
//
//	go test -tags interop -run TestRecipesBesidePeers -v ./integration -beside.rounds 7 -beside.each 2s
//
// The table is for people; all that is required is that everything works. In a round all do the same one right after the other, in an order
// that moves on, while the servers of the others have nothing to do, and then the next thing. A first round warms up and does not count;
// where rounds are short, Java's compiler is still at work in those that do, which flatters ours. Each figure is the median of the
// rounds, and beside it how many requests one of it has taken: as the servers count them, pings and all, and for etcd's its client. The
// last column is the median of what ours does to what the best of the others does in the same round. Sessions have a connection each, as
// many at each server as at the others, and those that are alone are at a follower.
func TestRecipesBesidePeers(t *testing.T) {
	rounds, each := cmp.Or(*besideRounds, 2), cmp.Or(*besideEach, 200*time.Millisecond)
	if full() {
		rounds, each = cmp.Or(*besideRounds, 7), cmp.Or(*besideEach, 2*time.Second)
	}
	contests := []contest{
		{row: "lock and unlock, 1 session", what: "mutex", by: 1, of: 1},
		{row: "lock and unlock, 16 sessions on 16 locks", what: "mutex", by: 16, of: 16},
		{row: "lock and unlock, 16 sessions on 1 lock", what: "mutex", by: 16, of: 1},
		{row: "semaphore of 4, 16 sessions", what: "semaphore", by: 16, of: 4},
		{row: "increment, 8 sessions on 1 counter", what: "counter", by: 8, of: 1},
		{row: "double barrier of 8, rounds", what: "barrier", by: 8, of: 1},
		{row: "the lead changes hands, 8 candidates", what: "election", by: 8, of: 1, slow: true},
		{row: "put an item and pop it, 1 session", what: "pop", by: 1, of: 1},
		{row: "put, take and acknowledge, 1 session", what: "queue", by: 1, of: 1},
	}
	contests = slices.DeleteFunc(contests, func(c contest) bool { return !regexp.MustCompile(*besideRows).MatchString(c.row) })
	subjects := besideSubjects(t)
	for round := range rounds + 1 {
		for i := range contests {
			c := &contests[i]
			var taking []besideSubject
			for _, s := range subjects {
				if slices.Contains(s.knows, c.what) {
					taking = append(taking, s)
				}
			}
			for k := range taking {
				s := taking[(k+round)%len(taking)]
				did := s.do(t, c, each)
				require.Positive(t, did.done, "%s, %s", s.name, c.row)
				require.Positive(t, did.requests, "%s, %s", s.name, c.row)
				if round > 0 {
					c.note(s.name, did)
				}
			}
		}
	}
	t.Logf("%v each, median of %d rounds, and the requests of one:\n%s", each, rounds, besideTable(contests))
}

// A contest is a row of the table.
type contest struct {
	row    string
	what   string // as those who do it call it
	by, of int    // sessions, and how many locks or permits there are for all
	slow   bool   // to be told by how long one takes
	did    map[string][]besideFigure
}

// besideFigure is what one has done in one round.
type besideFigure struct {
	done     int64
	took     time.Duration
	requests int64
}

func (f besideFigure) rate() float64 { return float64(f.done) / f.took.Seconds() }

func (c *contest) note(subject string, did besideFigure) {
	if c.did == nil {
		c.did = make(map[string][]besideFigure)
	}
	c.did[subject] = append(c.did[subject], did)
}

// ours is what ours does to what the best of the others does, of each round.
func (c *contest) ours() (ratios []float64) {
	for round, ours := range c.did[besideOurs] {
		best := 0.0
		for subject, did := range c.did {
			if subject != besideOurs {
				best = max(best, did[round].rate())
			}
		}
		ratios = append(ratios, ours.rate()/best)
	}
	return ratios
}

func besideTable(contests []contest) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, subject := range besideNames {
		fmt.Fprintf(w, "\t%s\trequests", subject)
	}
	fmt.Fprintln(w, "\tours to the best\tfrom, to\t")
	for _, c := range contests {
		fmt.Fprint(w, c.row)
		for _, subject := range besideNames {
			did := c.did[subject]
			if did == nil {
				fmt.Fprint(w, "\t\t")
				continue
			}
			rate := medianOf(did, besideFigure.rate)
			figure := fmt.Sprintf("%.0f/s", rate)
			if c.slow {
				figure = fmt.Sprintf("%.2f ms", 1000/rate)
			}
			fmt.Fprintf(w, "\t%s\t%.1f", figure, medianOf(did, func(f besideFigure) float64 { return float64(f.requests) / float64(f.done) }))
		}
		ratios := c.ours()
		itself := func(x float64) float64 { return x }
		fmt.Fprintf(w, "\t%.2f\t%.2f, %.2f\t\n", medianOf(ratios, itself), slices.Min(ratios), slices.Max(ratios))
	}
	_ = w.Flush()
	return text.String()
}

func medianOf[T any](all []T, of func(T) float64) float64 {
	var figures []float64
	for _, one := range all {
		figures = append(figures, of(one))
	}
	slices.Sort(figures)
	n := len(figures)
	return (figures[(n-1)/2] + figures[n/2]) / 2
}

const (
	besideOurs    = "ours"
	besideCurator = "Curator"
	besideZk      = "go-zookeeper"
	besideEtcd    = "etcd"

	besideSessions       = 16
	besideSessionTimeout = 10 * time.Second
)

var besideNames = []string{besideOurs, besideCurator, besideZk, besideEtcd}

// A besideSubject is one of those that are compared.
type besideSubject struct {
	name  string
	knows []string
	do    func(t *testing.T, c *contest, d time.Duration) besideFigure
}

func besideSubjects(t *testing.T) []besideSubject {
	t.Helper()
	bellwethers := process.StartEnsemble(t, process.Options{Kinds: []process.Kind{process.Bellwether}, Size: 3})
	apaches := process.StartEnsemble(t, process.Options{Kinds: []process.Kind{process.Apache39}, Size: 3})
	classPath := process.MustEnv(t, "CURATOR_CP")
	classes := javaClasses(t, classPath, "recipesbench/*")
	bench := []string{"java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", classes + ":" + classPath, "Bench"}
	return []besideSubject{
		newOurRecipes(t, bellwethers).subject(),
		besideProgram(besideCurator, startCuratorProgram(t, bench, strings.Join(leaderLast(t, apaches), ",")), apaches,
			"mutex", "semaphore", "counter", "barrier", "election", "pop", "queue"),
		newGoZookeepers(t, apaches).subject(),
		besideProgram(besideEtcd, startCuratorProgram(t, []string{process.MustEnv(t, "ETCD_DRIVER")}, startEtcd(t)), nil,
			"mutex", "counter", "barrier", "election", "pop"),
	}
}

// leaderLast are the addresses of an ensemble's servers.
func leaderLast(t *testing.T, e *process.Ensemble) []string {
	t.Helper()
	leads := e.MustLeader(t)
	return append(strings.Split(e.Addrs(leads), ","), e.Servers[leads].Addr)
}

// withRequests tells also how many requests servers have had meanwhile.
func withRequests(t *testing.T, e *process.Ensemble, do func() besideFigure) besideFigure {
	t.Helper()
	before := requests(t, e)
	did := do()
	did.requests = requests(t, e) - before
	return did
}

// besideProgram is a subject that is a program of its own, see testdata/recipesbench and .ci/peers/etcd. Without servers it counts its
// requests itself. Where it cannot do what it is asked for, its answer is why.
func besideProgram(name string, program *curatorContender, servers *process.Ensemble, knows ...string) besideSubject {
	ask := func(t *testing.T, c *contest, d time.Duration) (did besideFigure) {
		t.Helper()
		answer, err := program.ask(fmt.Sprintf("%s %d %d %d", c.what, c.by, c.of, d.Milliseconds()))
		require.NoError(t, err, "%s, %s", name, c.row)
		fields := []any{&did.done, (*int64)(&did.took), &did.requests}
		if servers != nil {
			fields = fields[:2]
		}
		_, err = fmt.Sscan(answer, fields...)
		require.NoError(t, err, "%s: %q", name, answer)
		return did
	}
	return besideSubject{name: name, knows: knows, do: func(t *testing.T, c *contest, d time.Duration) besideFigure {
		t.Helper()
		if servers == nil {
			return ask(t, c, d)
		}
		return withRequests(t, servers, func() besideFigure { return ask(t, c, d) })
	}}
}

// startEtcd starts three servers of etcd's and returns where clients reach them.
func startEtcd(t *testing.T) string {
	t.Helper()
	server := process.MustEnv(t, "ETCD")
	version, err := exec.CommandContext(t.Context(), server, "--version").Output()
	require.NoError(t, err)
	first, _, _ := strings.Cut(string(version), "\n")
	t.Log(first)
	dir := t.TempDir()
	var clients, members []string
	var ports [3][2]int
	for i := range ports {
		ports[i] = [2]int{process.FreePort(t), process.FreePort(t)}
		clients = append(clients, fmt.Sprintf("127.0.0.1:%d", ports[i][0]))
		members = append(members, fmt.Sprintf("s%d=http://127.0.0.1:%d", i, ports[i][1]))
	}
	for i, p := range ports {
		client, peer := fmt.Sprintf("http://127.0.0.1:%d", p[0]), fmt.Sprintf("http://127.0.0.1:%d", p[1])
		cmd := exec.Command(server, "--name", fmt.Sprintf("s%d", i), "--data-dir", filepath.Join(dir, fmt.Sprint(i)),
			"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(members, ","), "--logger", "zap")
		log, err := os.Create(filepath.Join(dir, fmt.Sprint("log", i)))
		require.NoError(t, err)
		cmd.Stdout, cmd.Stderr = log, log
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // for the end by the signal
			require.NoError(t, log.Close())
			if t.Failed() {
				text, _ := os.ReadFile(log.Name())
				t.Logf("etcd at %s said:\n%s", client, text[max(0, len(text)-4000):])
			}
		})
	}
	return strings.Join(clients, ",")
}

// ourRecipes are ours.
type ourRecipes struct {
	servers *process.Ensemble
	clients []*bwclient.Client
	works   map[string][]operation // of each contest, by session, as soon as they were needed
	leads   chan *leader.Term      // from those who stand for election; nil: nobody does yet
	leader  *leader.Term
}

func newOurRecipes(t *testing.T, servers *process.Ensemble) *ourRecipes {
	t.Helper()
	o := &ourRecipes{servers: servers, works: make(map[string][]operation)}
	addrs := leaderLast(t, servers)
	for i := range besideSessions {
		c, err := bwclient.Connect(t.Context(), addrs[i%len(addrs)], &bwclient.Options{SessionTimeout: besideSessionTimeout})
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, c.Close()) })
		o.clients = append(o.clients, c)
	}
	return o
}

// preparations are what one of ours does in a contest of one name.
func (o *ourRecipes) preparations(c *contest) map[string]func(i int, client *bwclient.Client, dir string) operation {
	return map[string]func(i int, client *bwclient.Client, dir string) operation{
		"mutex":     mutexes(func(i int) string { return fmt.Sprintf("mutex-%d/%d", c.of, i%c.of) }),
		"semaphore": permits(c.of),
		"counter":   increments,
		"barrier":   meetings(c.by),
		"pop":       putPop,
		"queue":     putTakeAck,
	}
}

// putPop puts an item and takes one away.
func putPop(_ int, c *bwclient.Client, dir string) operation {
	q := queue.New(c, path.Join(dir, "simple"), &queue.Options{Order: queue.Simple})
	return func(ctx context.Context) error {
		if err := q.Put(ctx, item(0)); err != nil {
			return err
		}
		return pop(ctx, q)
	}
}

func (o *ourRecipes) subject() besideSubject {
	knows := append(slices.Collect(maps.Keys(o.preparations(&contest{by: 1, of: 1}))), "election")
	return besideSubject{name: besideOurs, knows: knows, do: func(t *testing.T, c *contest, d time.Duration) besideFigure {
		t.Helper()
		if c.what == "election" {
			if o.leads == nil {
				o.stand(t, o.clients[:c.by])
			}
			return withRequests(t, o.servers, func() besideFigure { return o.handOver(t, d) })
		}
		if o.works[c.row] == nil {
			prepare := o.preparations(c)[c.what]
			for i, client := range o.clients[:c.by] {
				o.works[c.row] = append(o.works[c.row], prepare(i, client, "/beside/"+c.what))
			}
		}
		return withRequests(t, o.servers, func() besideFigure { return again(t, d, c.what == "barrier", o.works[c.row]) })
	}}
}

// stand lets each client stand for election until the test ends, and returns when one of them leads.
func (o *ourRecipes) stand(t *testing.T, clients []*bwclient.Client) {
	o.leads = make(chan *leader.Term)
	var standing sync.WaitGroup
	t.Cleanup(standing.Wait) // the test's context has ended then
	for _, c := range clients {
		election := leader.NewElection(c, "/beside/election", nil)
		standing.Go(func() {
			for {
				term, err := election.Lead(t.Context())
				if err != nil {
					assert.ErrorIs(t, err, context.Canceled)
					return
				}
				select {
				case o.leads <- term:
				case <-t.Context().Done():
				}
				select { // until it has resigned
				case <-term.Context().Done():
				case <-t.Context().Done():
				}
			}
		})
	}
	o.leader = <-o.leads
}

func (o *ourRecipes) handOver(t *testing.T, d time.Duration) (did besideFigure) {
	t.Helper()
	begun := time.Now()
	for ; did.done == 0 || time.Since(begun) < d; did.done++ {
		require.NoError(t, o.leader.Resign(t.Context()))
		o.leader = <-o.leads
	}
	did.took = time.Since(begun)
	return did
}

// goZookeepers are go-zookeeper's Locks.
type goZookeepers struct {
	servers *process.Ensemble
	conns   []*zk.Conn
}

func newGoZookeepers(t *testing.T, servers *process.Ensemble) *goZookeepers {
	t.Helper()
	g := &goZookeepers{servers: servers}
	addrs := leaderLast(t, servers)
	for i := range besideSessions {
		c, events, err := zk.Connect(addrs[i%len(addrs):][:1], besideSessionTimeout, zk.WithLogInfo(false), zk.WithLogger(silent{}))
		require.NoError(t, err)
		t.Cleanup(c.Close)
		for e := range events {
			if e.State == zk.StateHasSession {
				break
			}
		}
		g.conns = append(g.conns, c)
	}
	return g
}

// silent is a logger.
type silent struct{}

func (silent) Printf(string, ...any) {}

func (g *goZookeepers) subject() besideSubject {
	return besideSubject{name: besideZk, knows: []string{"mutex"}, do: func(t *testing.T, c *contest, d time.Duration) besideFigure {
		t.Helper()
		var works []operation
		for i, conn := range g.conns[:c.by] {
			l := zk.NewLock(conn, fmt.Sprintf("/beside/go-%d/%d", c.of, i%c.of), zk.WorldACL(zk.PermAll))
			works = append(works, func(context.Context) error {
				if err := l.Lock(); err != nil {
					return err
				}
				return l.Unlock()
			})
		}
		return withRequests(t, g.servers, func() besideFigure { return again(t, d, false, works) })
	}}
}

// again does all works at once, each again and again for a time and once at least; if together, all equally often, which counts once.
func again(t *testing.T, d time.Duration, together bool, works []operation) (did besideFigure) {
	t.Helper()
	var mu sync.Mutex
	var most int64 // begun by one of them; guarded by mu
	begun := time.Now()
	another := func(done int64) bool {
		mu.Lock()
		defer mu.Unlock()
		if done > 0 && time.Since(begun) >= d && (!together || done == most) {
			return false
		}
		most = max(most, done+1)
		return true
	}
	var all atomic.Int64
	var working sync.WaitGroup
	for _, work := range works {
		working.Go(func() {
			for done := int64(0); another(done); done++ {
				if !assert.NoError(t, work(t.Context())) {
					return
				}
				all.Add(1)
			}
		})
	}
	working.Wait()
	require.False(t, t.Failed())
	did = besideFigure{done: all.Load(), took: time.Since(begun)}
	if together {
		did.done /= int64(len(works))
	}
	return did
}
