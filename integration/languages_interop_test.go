//go:build interop

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/integration/trial"
	"github.com/bellwether-zk/bellwether/recipes/barrier"
	"github.com/bellwether-zk/bellwether/recipes/counter"
	"github.com/bellwether-zk/bellwether/recipes/leader"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// A company shares recipes, on paths of its own, and a journal: we and some processes in other languages.
type company struct {
	name    string
	recipes []string
	names   string // of contenders are as in "curator" or "kazoo"
	others  int    // who play with us
	journal string
}

// A player is a process in another language, which may play in several companies.
type player struct {
	who       string
	command   []string
	companies []*company

	process *exec.Cmd
	in      io.Writer
	said    bytes.Buffer // on standard error
}

// Go, Java and Python take turns by the same recipes at the same places. Each says in one journal when it enters and when it is about to
// leave, with its token: whoever enters before another has left shows there, and so does who is let ahead. The others are Curator, as Debian
// has it and the newest, and kazoo. All three languages share a place only if kazoo names its contenders as Curator does, see turns.py.
func TestLanguagesTakeTurns(t *testing.T) {
	onEnsembleInTurn(t, func(t *testing.T, k process.Kind) {
		turns := 12
		if full() {
			turns = 200
		}
		all := []string{"lock", "rw", "semaphore", "latch", "selector", "counter", "value", "double"}
		newest := &company{name: "newest Curator", names: "curator", recipes: all}
		debian := &company{name: "Debian's Curator", names: "curator", recipes: all}
		python := &company{name: "kazoo", names: "kazoo", recipes: []string{"lock", "selector", "value"}}
		three := &company{name: "all three", names: "curator", recipes: []string{"lock", "selector", "value"}}
		companies := []*company{newest, debian, python, three}

		// Compiled with the older one, since what is in that is in both.
		classes := javaClasses(t, process.MustEnv(t, "CURATOR38_CP"), "languages/*")
		curator := func(variable string) []string { return java(classes+":"+process.MustEnv(t, variable), "Turns") }
		kazoo := []string{process.MustEnv(t, "KAZOO_PYTHON"), "-B", filepath.Join("testdata", "languages", "turns.py")}
		players := []*player{
			{who: "java", command: curator("CURATOR_CP"), companies: []*company{newest, three}},
			{who: "java", command: curator("CURATOR38_CP"), companies: []*company{debian}},
			{who: "python", command: kazoo, companies: []*company{python, three}},
		}

		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		const session = 30 * time.Second // which nobody is to lose, however busy the machine
		server := startPeer(t, k, "maxSessionTimeout=60000").Addr
		client, err := bwclient.Connect(ctx, server, &bwclient.Options{SessionTimeout: session})
		require.NoError(t, err)
		t.Cleanup(func() { _ = client.Close() })
		for _, c := range companies {
			c.journal = filepath.Join(t.TempDir(), "journal")
			// kazoo would make it empty, which Curator cannot read.
			require.NoError(t, counter.New(client, c.path("value"), &counter.Options{Bits: 32}).Set(ctx, 0))
		}
		var starting, playing sync.WaitGroup
		for _, p := range players {
			for _, c := range p.companies {
				c.others++
			}
			starting.Go(func() { p.start(t, ctx, server, turns) }) // ends when it is ready, or with ctx
		}
		starting.Wait() // so that nobody plays alone
		if t.Failed() {
			return
		}
		for _, p := range players {
			playing.Go(func() { p.play(t) }) // ends with the process, which ends with ctx
		}
		for _, c := range companies {
			for _, r := range c.recipes {
				playing.Go(func() { c.playOurselves(t, ctx, client, r, turns) }) // ends when all turns are taken, or with ctx
			}
		}
		playing.Wait()
		for _, c := range companies {
			text, err := os.ReadFile(c.journal)
			require.NoError(t, err)
			c.judge(t, string(text), turns)
		}
	})
}

// path is that of one of the recipes.
func (c *company) path(recipe string) string {
	return "/" + strings.ReplaceAll(c.name, " ", "-") + "/" + recipe
}

// start starts the process, and returns when it is ready.
func (p *player) start(t *testing.T, ctx context.Context, server string, turns int) {
	args := append(slices.Clone(p.command), server, fmt.Sprint(turns), p.who)
	for _, c := range p.companies {
		for _, r := range c.recipes {
			args = append(args, c.names+"/"+r, c.path(r), c.journal)
		}
	}
	p.process = exec.CommandContext(ctx, args[0], args[1:]...)
	p.process.Stderr = &p.said
	in, err := p.process.StdinPipe()
	if err != nil {
		t.Error(err)
		return
	}
	out, err := p.process.StdoutPipe()
	if err == nil {
		err = p.process.Start()
	}
	if err != nil {
		t.Error(err)
		return
	}
	p.in = in
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Errorf("%s is not ready: %v", p.who, errors.Join(err, p.process.Wait()))
	}
}

// play lets a process that is ready take its turns.
func (p *player) play(t *testing.T) {
	_, err := fmt.Fprintln(p.in)
	if err := errors.Join(err, p.process.Wait()); err != nil {
		t.Errorf("%s: %v\n%s", p.who, err, &p.said)
	}
}

// playOurselves takes our turns at one of the recipes.
func (c *company) playOurselves(t *testing.T, ctx context.Context, client *bwclient.Client, recipe string, turns int) {
	journal, err := os.OpenFile(c.journal, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Error(err)
		return
	}
	defer journal.Close()
	g := &gopher{client: client, recipe: recipe, path: c.path(recipe), kazoo: c.names == "kazoo", journal: journal}
	for i := range turns {
		if err := g.turn(ctx, i); err != nil {
			t.Errorf("%s: %s: turn %d: %v", c.name, recipe, i, err)
			return
		}
	}
}

// A gopher is who takes turns for us.
type gopher struct {
	client       *bwclient.Client
	recipe, path string
	kazoo        bool
	journal      *os.File
}

// say makes an entry, in one write.
func (g *gopher) say(verb string, number int64) error {
	_, err := fmt.Fprintf(g.journal, "%s go %s %d\n", g.recipe, verb, number)
	return err
}

func (g *gopher) turn(ctx context.Context, i int) error {
	layout := leader.SelectorLayout
	switch g.recipe {
	case "lock":
		o := &lock.Options{}
		if g.kazoo {
			o.Layout = lock.KazooLayout
		}
		return g.hold(ctx, lock.NewMutex(g.client, g.path, o).Lock, "enters")
	case "rw":
		m := lock.NewRWMutex(g.client, g.path, nil)
		if i%2 == 0 {
			return g.hold(ctx, m.Lock, "enters")
		}
		return g.hold(ctx, m.RLock, "joins")
	case "semaphore":
		weight := 1 + i%2
		h, err := lock.NewSemaphore(g.client, g.path, 3, nil).Acquire(ctx, weight)
		if err != nil {
			return err
		}
		return g.within(ctx, "joins", int64(weight), h.Release)
	case "latch":
		layout = leader.LatchLayout
		fallthrough
	case "selector":
		if g.kazoo {
			layout = leader.KazooLayout
		}
		term, err := leader.NewElection(g.client, g.path, &leader.Options{ID: "go", Layout: layout}).Lead(ctx)
		if err != nil {
			return err
		}
		return g.within(ctx, "enters", term.Token(), term.Resign)
	case "counter":
		return g.count(ctx, 64)
	case "value":
		return g.count(ctx, 32)
	case "double":
		return g.meet(ctx, int64(i))
	}
	return fmt.Errorf("there is no %s", g.recipe)
}

func (g *gopher) hold(ctx context.Context, acquire func(context.Context) (*lock.Hold, error), enters string) error {
	h, err := acquire(ctx)
	if err != nil {
		return err
	}
	return g.within(ctx, enters, h.Token(), h.Release)
}

func (g *gopher) within(ctx context.Context, enters string, number int64, release func(context.Context) error) error {
	if err := g.say(enters, number); err != nil {
		return err
	}
	pause(ctx, time.Millisecond)
	if err := g.say("leaves", number); err != nil {
		return err
	}
	return release(ctx)
}

func (g *gopher) count(ctx context.Context, bits int) error {
	n, err := counter.New(g.client, g.path, &counter.Options{Bits: bits}).Add(ctx, 1)
	if err != nil {
		return err
	}
	pause(ctx, 10*time.Millisecond) // the others are not as quick
	return g.say("counts", n)
}

func (g *gopher) meet(ctx context.Context, round int64) error {
	if err := g.say("comes", round); err != nil {
		return err
	}
	r, err := barrier.NewDouble(g.client, g.path, 2, nil).Enter(ctx)
	if err != nil {
		return err
	}
	if err := g.say("enters", round); err != nil {
		return err
	}
	pause(ctx, time.Millisecond)
	if err := g.say("leaves", round); err != nil {
		return err
	}
	if err := r.Leave(ctx); err != nil {
		return err
	}
	return g.say("goes", round)
}

// An entry is one in a journal, which one of its recipe's participants has made.
type entry struct {
	at        int // its line
	who, verb string
	number    int64
}

// judge finds what the journal says that must not be, and how often one language came after another.
func (c *company) judge(t *testing.T, journal string, turns int) {
	entries := map[string][]entry{}
	for i, line := range strings.Split(strings.TrimSpace(journal), "\n") {
		var recipe string
		e := entry{at: i}
		if _, err := fmt.Sscan(line, &recipe, &e.who, &e.verb, &e.number); err != nil {
			t.Errorf("%s: line %d of the journal: %q: %v", c.name, i, line, err)
		}
		entries[recipe] = append(entries[recipe], e)
	}
	var said []string
	for _, recipe := range c.recipes {
		all := entries[recipe]
		var wrong []string
		switch recipe {
		case "counter", "value":
			wrong = countedOnce(all)
		case "double":
			wrong = metEachOther(all)
		case "semaphore":
			wrong = trial.Crowded(spans(all), 3)
		default:
			wrong = trial.Ordered(spans(all))
		}
		for _, w := range wrong {
			t.Errorf("%s: %s: %s", c.name, recipe, w)
		}
		players, changes := 0, 0
		for i, e := range all {
			if e.verb == "enters" || e.verb == "joins" || e.verb == "counts" {
				players++
				if i > 0 && all[i-1].who != e.who {
					changes++
				}
			}
		}
		if want := turns * (1 + c.others); players != want {
			t.Errorf("%s: %s: %d turns, not %d", c.name, recipe, players, want)
		}
		said = append(said, fmt.Sprintf("%s %d of %d", recipe, changes, players))
	}
	t.Logf("%s: turns taken after somebody in another language: %s", c.name, strings.Join(said, ", "))
}

// spans are the times between entering and leaving, counted in lines of the journal.
func spans(all []entry) (spans []trial.Span) {
	inside := map[string]int{}
	for _, e := range all {
		switch e.verb {
		case "leaves":
			spans[inside[e.who]].Until = time.Duration(e.at)
		default:
			inside[e.who] = len(spans)
			spans = append(spans, trial.Span{
				What: "it, as " + e.who, Token: e.number, Weight: int(e.number), Shared: e.verb == "joins",
				From: time.Duration(e.at), Until: 1 << 60,
			})
		}
	}
	return spans
}

// countedOnce finds numbers that were counted twice or not at all.
func countedOnce(all []entry) (wrong []string) {
	numbers := make([]int64, len(all))
	for i, e := range all {
		numbers[i] = e.number
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		if n != int64(i)+1 {
			return []string{fmt.Sprintf("of %d who counted, number %d got %d: %v", len(all), i+1, n, numbers)}
		}
	}
	return nil
}

// metEachOther finds who enters before both have come, or goes before both are leaving.
func metEachOther(all []entry) (wrong []string) {
	since := map[string]int{}
	for _, e := range all {
		key := func(verb string) string { return fmt.Sprint(verb, e.number) }
		since[key(e.verb)]++
		if e.verb == "enters" && since[key("comes")] < 2 || e.verb == "goes" && since[key("leaves")] < 2 {
			wrong = append(wrong, fmt.Sprintf("%s %s in round %d before the other %v", e.who, e.verb, e.number, since))
		}
	}
	return wrong
}

// The judges of the journals find what is wrong in them.
func TestJournalsAreJudged(t *testing.T) {
	entries := func(text string) (all []entry) {
		for i, line := range strings.Split(text, "; ") {
			e := entry{at: i}
			_, err := fmt.Sscan(line, &e.who, &e.verb, &e.number)
			require.NoError(t, err)
			all = append(all, e)
		}
		return all
	}
	require.Empty(t, trial.Ordered(spans(entries("a enters 1; a leaves 1; b enters 2; b leaves 2; a joins 3; b joins 4; a leaves 3; b leaves 4"))))
	require.Len(t, trial.Ordered(spans(entries("a enters 1; b enters 2; a leaves 1; b leaves 2"))), 1)
	require.Len(t, trial.Ordered(spans(entries("a enters 2; a leaves 2; b enters 1; b leaves 1"))), 1)
	require.Len(t, trial.Ordered(spans(entries("a enters 2; b enters 3; b leaves 3"))), 1, "a never leaves")
	require.Empty(t, countedOnce(entries("a counts 1; b counts 3; a counts 2")))
	require.Len(t, countedOnce(entries("a counts 1; b counts 2; a counts 2")), 1)
	require.Len(t, countedOnce(entries("a counts 1; b counts 2; a counts 4")), 1)
	require.Empty(t, metEachOther(entries("a comes 0; b comes 0; a enters 0; b enters 0; a leaves 0; b leaves 0; b goes 0; a goes 0")))
	require.Len(t, metEachOther(entries("a comes 0; a enters 0; b comes 0; b enters 0")), 1)
	require.Len(t, metEachOther(entries("a comes 0; b comes 0; a enters 0; b enters 0; a leaves 0; a goes 0; b leaves 0")), 1)
}
