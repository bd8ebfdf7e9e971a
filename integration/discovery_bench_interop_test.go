//go:build interop

package integration

import (
	"cmp"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/choose"
)

var benchInstances = flag.Int("discovery.instances", 0, "how many instances TestDiscoveryBesideCurators registers each time; default 50, 300 with INTEROP_FULL")

// What it takes to register services, to look them up and to choose an instance: Curator on Apache's three servers, and ours on our three, in
// one process each, in turns, on this machine's disk, which all servers wait for:
//
//	go test -tags interop -run TestDiscoveryBesideCurators -v ./integration -discovery.instances 300
//
// The table is for people: of each figure the median of the rounds after a first one that warms up, and how many requests the servers have had
// for one of it. All that is required is that everything works. Both wait for one round trip to register an instance; ours sends a read
// behind the create, whose watch tells when somebody removes the node.
func TestDiscoveryBesideCurators(t *testing.T) {
	n, rounds := cmp.Or(*benchInstances, 50), 3
	if full() {
		n, rounds = cmp.Or(*benchInstances, 300), 7
	}
	classPath := process.MustEnv(t, "CURATOR_CP")
	command := []string{"java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", javaClasses(t, classPath, "discovery/*") + ":" + classPath, "Registrant"}
	apaches := process.StartEnsemble(t, process.Options{Kinds: []process.Kind{process.Apache39}, Size: 3})
	curator := &curatorDiscovery{servers: apaches, program: startCuratorProgram(t, command, apaches.Addrs(), "/services", "old")}
	bellwethers := process.StartEnsemble(t, process.Options{Kinds: []process.Kind{process.Bellwether}, Size: 3})
	ours := &ourDiscovery{servers: bellwethers, client: mustConnect(t, bellwethers.Addrs())}
	ours.registry = discovery.NewRegistry[any](ours.client, "/services", nil)

	var all measures
	for round := range rounds + 1 {
		if round == 1 {
			all = measures{}
		}
		curator.measure(t, &all, round, n)
		ours.measure(t, &all, round, n)
	}
	t.Logf("%d instances, median of %d rounds:\n%s", n, rounds, all.table())
	require.NoError(t, ours.registry.Close(t.Context()))
}

// measures are what was measured, in the order in which it was for the first time.
type measures struct {
	rows  []string
	cells map[[2]string]*figure // by row and subject
}

type figure struct {
	each     []time.Duration // of one, by round
	requests float64         // for one
}

// note notes how long n of something took.
func (f *measures) note(row, subject string, n int, took time.Duration, requests int64) {
	if f.cells == nil {
		f.cells = make(map[[2]string]*figure)
	}
	if !slices.Contains(f.rows, row) {
		f.rows = append(f.rows, row)
	}
	key := [2]string{row, subject}
	if f.cells[key] == nil {
		f.cells[key] = &figure{}
	}
	f.cells[key].each = append(f.cells[key].each, took/time.Duration(n))
	f.cells[key].requests = float64(requests) / float64(n)
}

func (f *measures) table() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tCurator\trequests\tours\trequests\ttimes as fast\t")
	for _, row := range f.rows {
		curators, ours := f.cells[[2]string{row, "Curator"}], f.cells[[2]string{row, "ours"}]
		fmt.Fprintf(w, "%s\t%s\t%s\t", row, curators, ours)
		if curators != nil && ours != nil {
			fmt.Fprintf(w, "%.1f", curators.median().Seconds()/ours.median().Seconds())
		}
		fmt.Fprintln(w, "\t")
	}
	_ = w.Flush()
	return text.String()
}

func (f *figure) median() time.Duration {
	slices.Sort(f.each)
	return f.each[len(f.each)/2]
}

// String is a rate and, of what asks the servers, how many requests it takes.
func (f *figure) String() string {
	if f == nil {
		return "\t"
	}
	rate, asked := fmt.Sprintf("%.0f/s", 1/f.median().Seconds()), ""
	if f.median() < 10*time.Microsecond {
		rate = fmt.Sprintf("%.1f M/s", 1e-6/f.median().Seconds())
	}
	if f.requests >= 0.1 {
		asked = fmt.Sprintf("%.1f", f.requests)
	}
	return rate + "\t" + asked
}

// requests is how many the servers have had.
func requests(t *testing.T, e *process.Ensemble) (sum int64) {
	t.Helper()
	for _, s := range e.Servers {
		text, err := process.FourLetterWord(s.Addr, "mntr")
		require.NoError(t, err)
		found := regexp.MustCompile(`zk_packets_received\s+(\d+)`).FindStringSubmatch(text)
		require.NotNil(t, found, text)
		n, err := strconv.ParseInt(found[1], 10, 64)
		require.NoError(t, err)
		sum += n - 1 // for the question
	}
	return sum
}

const (
	rowCreate   = "create a node, the client alone"
	rowOneByOne = "register, one after the other"
	rowAtOnce   = "register, all at once"
	rowLookUp   = "look up, per instance"
	rowPick     = "choose, "
)

var strategies = map[string]func() choose.Strategy{
	"round-robin": choose.RoundRobin, "random": choose.Random, "sticky": choose.Sticky,
	"weighted": choose.Weighted, "two choices": choose.TwoChoices, "least outstanding": choose.LeastOutstanding,
}

type curatorDiscovery struct {
	servers *process.Ensemble
	program *curatorContender
}

func (c *curatorDiscovery) measure(t *testing.T, all *measures, round, n int) {
	t.Helper()
	ask := func(row string, n int, line string, args ...any) {
		t.Helper()
		before := requests(t, c.servers)
		answer, err := c.program.ask(fmt.Sprintf(line, args...))
		require.NoError(t, err)
		took, err := strconv.ParseInt(answer, 10, 64)
		require.NoError(t, err, answer)
		all.note(row, "Curator", n, time.Duration(took), requests(t, c.servers)-before)
	}
	ask(rowCreate, n, "create-many /creates-%d %d", round, n)
	ask(rowOneByOne, n, "register-many one-%d %d 1", round, n)
	_, err := c.program.ask(fmt.Sprintf("register-many many-%d 1 1", round)) // so that there is a directory
	require.NoError(t, err)
	ask(rowAtOnce, n, "register-many many-%d %d %d", round, n, n)
	const picks = 1_000
	for _, strategy := range []string{"round-robin", "random", "sticky"} {
		ask(rowLookUp, n, "provide one-%d %s", round, strategy)
		ask(rowPick+strategy, picks, "choose one-%d %s %d", round, strategy, picks)
	}
}

type ourDiscovery struct {
	servers  *process.Ensemble
	client   *bwclient.Client
	registry *discovery.Registry[any]
}

func (o *ourDiscovery) measure(t *testing.T, all *measures, round, n int) {
	t.Helper()
	do := func(row string, n int, what func()) {
		t.Helper()
		before := requests(t, o.servers)
		start := time.Now()
		what()
		took := time.Since(start)
		all.note(row, "ours", n, took, requests(t, o.servers)-before)
	}
	dir := fmt.Sprintf("/creates-%d", round)
	_, err := o.client.Create(t.Context(), dir, nil, nil)
	require.NoError(t, err)
	do(rowCreate, n, func() {
		for i := range n {
			_, err := o.client.Create(t.Context(), fmt.Sprint(dir, "/", i), make([]byte, 200), &bwclient.CreateOptions{Mode: bwclient.Ephemeral})
			require.NoError(t, err)
		}
	})
	fleet := func(service string, n int) (all []discovery.Instance[any]) {
		for i := range n {
			all = append(all, discovery.Instance[any]{Name: fmt.Sprint(service, "-", round), ID: fmt.Sprint("go-", i), Address: "10.0.0.1", Port: 80})
		}
		return all
	}
	register := func(i discovery.Instance[any]) {
		_, err := o.registry.Register(t.Context(), i, nil)
		require.NoError(t, err)
	}
	do(rowOneByOne, n, func() {
		for _, i := range fleet("one", n) {
			register(i)
		}
	})
	many := fleet("many", n+1)
	register(many[n]) // so that there is a directory
	do(rowAtOnce, n, func() {
		_, err := o.registry.RegisterAll(t.Context(), many[:n], nil)
		require.NoError(t, err)
	})
	var view *discovery.Service[any]
	do(rowLookUp, n, func() {
		view, err = o.registry.Lookup(t.Context(), fmt.Sprint("one-", round), nil)
		require.NoError(t, err)
	})
	defer view.Close()
	require.Len(t, view.Instances(), n)
	const picks = 200_000
	for _, strategy := range []string{"round-robin", "random", "sticky", "weighted", "two choices", "least outstanding"} {
		c := choose.New(view, strategies[strategy](), nil)
		do(rowPick+strategy, picks, func() {
			for range picks {
				if _, err := c.Pick(); err != nil {
					t.Fatal(err)
				}
			}
		})
		c.Close()
	}
}
