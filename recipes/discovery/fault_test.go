package discovery_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/trouble"
	"github.com/bellwether-zk/bellwether/recipes/cache"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
)

var (
	faultRuns = flag.Int("discovery.runs", 3, "how many runs with faults there are")
	faultSeed = flag.Uint64("discovery.seed", 0, "the first run's; 0: a random one")
)

// Registrants and watchers among faults of all kinds. When it is quiet, whoever lives is listed, once, as it wishes to be and with its own
// session; whoever is dead is not; and who watches knows that, and has been told so change by change. In the end nothing is left.
func TestDiscoveryAmongFaults(t *testing.T) {
	first := *faultSeed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	total := map[string]int{}
	for i := range *faultRuns {
		seed := first + uint64(i)
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("it was seed %d", seed)
				}
			}()
			w := &world{t: t, r: rand.New(rand.NewPCG(seed, 7)), taken: map[string]bool{}, done: total}
			w.witness.gone = map[mirrored]time.Time{}
			w.run()
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%v", total)
	require.Equal(t, 5**faultRuns, total["compared"])
	require.Greater(t, total["listed"], 10**faultRuns)
	require.Greater(t, total["together"], 5**faultRuns)
	require.Greater(t, total["owned"], 100**faultRuns)
	require.GreaterOrEqual(t, total["braked"], *faultRuns)
	require.Greater(t, total["kept"], 50**faultRuns)
}

// A world is some processes that register, some that watch, and what is done to them.
type world struct {
	t        *testing.T
	r        *rand.Rand
	e        *ensembletest.Ensemble
	maker    *trouble.Maker
	admin    *client.Client
	live     []*process
	watchers []*watcher
	clients  []*client.Client // of all, the dead too
	witness  witness
	taken    map[string]bool // paths where somebody else's node may be
	done     map[string]int
}

// A process has several registrations.
type process struct {
	client   *client.Client
	sessions map[int64]bool // it has had
	registry *registry
	ill      atomic.Bool // what its checks say
	wishes   []*wish
}

// A wish is a registration, or none at the moment.
type wish struct {
	instance
	checked bool
	held    *discovery.Registration[string]
}

// A watcher is a view, and what a loop over its changes has been told.
type watcher struct {
	client *client.Client
	view   *discovery.Service[string]
	opts   discovery.LookupOptions

	mu      sync.Mutex
	known   map[string]*discovery.Entry[string]
	current bool
}

const foreign = base + "/mail/foreign" // is nobody's here, and cannot be read

func (w *world) run() {
	t := w.t
	servers := 3
	if w.r.IntN(4) == 0 {
		servers = 1
	}
	w.e = ensembletest.Start(t, servers, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second}})
	w.admin = w.connect()
	for i := range 4 {
		w.start(i)
	}
	for i := range brakes {
		w.look(i)
	}
	for range 3 {
		w.maker = trouble.New(w.e, w.r)
		for range 12 {
			w.act()
			w.pass(w.upTo(5 * time.Second))
			w.mustOwn()
		}
		w.heal()
		w.compare()
	}
	w.lose()
	w.compare()
	for _, p := range w.live {
		require.NoError(t, p.registry.Close(t.Context()))
		for _, x := range p.wishes {
			x.held = nil
		}
	}
	w.pass(90 * time.Second) // sessions of those who died are over, what was lost is given up, and the slow loop has come to the end
	w.compare()
}

func (w *world) connect() *client.Client {
	c := w.e.Connect(w.t)
	w.clients = append(w.clients, c)
	return c
}

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.r.Int64N(int64(d))) }

// soon is a context that ends before long.
func (w *world) soon() context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), w.upTo(4*time.Second))
	w.t.Cleanup(cancel)
	return ctx
}

// start begins the process of a number. One of the same number has the same addresses and ids.
func (w *world) start(n int) {
	p := &process{client: w.connect(), sessions: map[int64]bool{}}
	p.registry = registryOf(p.client)
	w.t.Cleanup(func() { // if the run has failed
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = p.registry.Close(ctx)
	})
	for k, i := range []instance{
		{Name: "mail", ID: fmt.Sprint(n)}, {Name: "web", ID: fmt.Sprint(n)}, {Name: "mail", ID: "same", Type: discovery.DynamicSequential},
		{Name: "mail", ID: fmt.Sprint("static-", n), Type: discovery.Static}, {Name: "mail", ID: fmt.Sprint("checked-", n)},
	} {
		i.Address, i.Port, i.Payload = fmt.Sprint("host-", n), 100*n+k, "0"
		p.wishes = append(p.wishes, &wish{instance: i, checked: k == 4})
	}
	for _, x := range p.wishes {
		w.register(p, x)
	}
	if n%2 == 0 {
		w.registerCrowd(p, n)
	}
	if n < len(w.live) {
		w.live[n] = p
		return
	}
	w.live = append(w.live, p)
}

func (w *world) register(p *process, x *wish) {
	opts := &discovery.RegisterOptions{}
	if w.r.IntN(2) == 0 {
		opts.Drain = w.upTo(3 * time.Second)
	}
	if x.checked {
		opts.CheckEvery = time.Second
		opts.Check = func(context.Context) error {
			if p.ill.Load() {
				return errors.New("ill")
			}
			return nil
		}
	}
	held, err := p.registry.Register(w.soon(), x.instance, opts)
	if err == nil {
		x.held = held
	}
}

// registerCrowd registers enough instances at once for them to go together.
func (w *world) registerCrowd(p *process, n int) {
	var all []instance
	for k := range 8 {
		all = append(all, instance{
			Name: "web", ID: fmt.Sprintf("crowd-%d-%d", n, k), Address: fmt.Sprint("host-", n), Port: 100*n + 50 + k, Payload: "0",
		})
	}
	held, err := p.registry.RegisterAll(w.soon(), all, nil)
	for k, i := range all {
		x := &wish{instance: i}
		if err == nil {
			x.held = held[k]
			w.done["together"]++
		}
		p.wishes = append(p.wishes, x)
	}
}

func (w *world) look(n int) {
	c := w.connect()
	view, err := registryOf(c).Lookup(w.t.Context(), "mail", &brakes[n])
	require.NoError(w.t, err)
	x := &watcher{client: c, view: view, opts: brakes[n], known: map[string]*discovery.Entry[string]{}}
	w.watchers = append(w.watchers, x)
	pause := w.upTo(time.Duration(n%2)*time.Second + 1) // the second one is slow
	done := make(chan struct{})
	go func() { // ends with the view
		defer close(done)
		x.listen(w.t, pause)
	}()
	w.t.Cleanup(func() { view.Close(); <-done })
}

// listen makes sure that what is told can be so.
func (x *watcher) listen(t *testing.T, pause time.Duration) {
	for c := range x.view.Watch(context.Background()) {
		x.mu.Lock()
		switch c.Kind {
		case cache.Added:
			if x.known[c.New.Path] != nil {
				t.Errorf("%s is added twice", c.New.Path)
			}
			x.known[c.New.Path] = c.New
		case cache.Changed:
			if x.known[c.New.Path] != c.Old || c.Old.Path != c.New.Path {
				t.Errorf("%s was not what is told", c.New.Path)
			}
			x.known[c.New.Path] = c.New
		case cache.Removed:
			if x.known[c.Old.Path] != c.Old {
				t.Errorf("%s was not what is told", c.Old.Path)
			}
			delete(x.known, c.Old.Path)
		default:
			x.current = c.Kind == cache.Current
		}
		x.mu.Unlock()
		time.Sleep(pause)
	}
}

// act lets somebody wish something, or something break, or somebody do harm.
func (w *world) act() {
	n := w.r.IntN(len(w.live))
	p := w.live[n]
	x := p.wishes[w.r.IntN(len(p.wishes))]
	c := w.clients[w.r.IntN(len(w.clients))]
	if w.r.IntN(2) == 0 {
		w.maker.Strike(c)
		return
	}
	kinds := []struct {
		name string
		do   func()
	}{
		{"update", func() { w.update(x) }}, {"update", func() { w.update(x) }},
		{"close", func() {
			if x.held != nil {
				_ = x.held.Close(w.soon())
				x.held = nil
			} else {
				w.register(p, x)
			}
		}},
		{"crash", func() {
			w.e.Proxy(p.client).Lose(proxy.Request(proxy.OpConnect, "").Always()) // it comes back only to be buried
			w.e.Drop(p.client)
			w.start(n)
		}},
		{"ill", func() { p.ill.Store(!p.ill.Load()) }},
		{"removed", func() { _ = w.admin.Delete(w.soon(), w.anyPath(x), client.AnyVersion) }},
		{"overwritten", func() { _, _ = w.admin.Set(w.soon(), w.anyPath(x), []byte("{"), client.AnyVersion) }},
		{"replaced", func() {
			path := w.anyPath(x)
			_, _ = w.admin.Multi(w.soon(), client.DeleteOp(path, client.AnyVersion), client.CreateOp(path, nil, &client.CreateOptions{Mode: client.Ephemeral}))
			w.taken[path] = true // who had it waits for the end of that
		}},
		{"many cut off", func() { // until the network heals
			for _, p := range w.live {
				if w.r.IntN(4) > 0 {
					w.e.CutClient(p.client)
				}
			}
		}},
		{"many expired", func() {
			for _, p := range w.live {
				if w.r.IntN(4) > 0 {
					_ = w.e.ExpireSession(w.soon(), p.client.Session().ID())
				}
			}
		}},
		{"expired", func() { _ = w.e.ExpireSession(w.soon(), c.Session().ID()) }},
		{"foreign", func() {
			_, _ = w.admin.Create(w.soon(), foreign, []byte("no JSON"), &client.CreateOptions{Parents: client.ContainerParents})
		}},
	}
	k := kinds[w.r.IntN(len(kinds))]
	w.done[k.name]++
	k.do()
}

func (w *world) anyPath(x *wish) string {
	if x.held != nil {
		return x.held.Path()
	}
	return base + "/" + x.Name + "/" + x.ID
}

func (w *world) update(x *wish) {
	if x.held == nil {
		return
	}
	text := fmt.Sprint(w.r.IntN(1000))
	_ = x.held.Update(w.soon(), func(i *instance) { i.Payload = text })
}

// mustOwn makes sure that nobody takes another's node for its own: what says that it is present is.
func (w *world) mustOwn() {
	for _, p := range w.live {
		p.sessions[p.client.Session().ID()] = true
		for _, x := range p.wishes {
			if x.held == nil || x.Type == discovery.Static || !x.held.Status().Present {
				continue
			}
			for _, s := range w.e.Servers() {
				n, there := s.Node(x.held.Path())
				if there && n.Stat.Czxid == x.held.Status().Czxid {
					require.True(w.t, p.sessions[n.Stat.EphemeralOwner], "%s is of session 0x%x", x.held.Path(), n.Stat.EphemeralOwner)
					w.done["owned"]++
				}
			}
		}
	}
}

// heal ends all that is wrong.
func (w *world) heal() {
	w.pass(15 * time.Second) // what was to end by itself has
	w.bury()
	require.NoError(w.t, w.maker.End(w.t.Context()))
	for what, n := range w.maker.Struck() {
		w.done[what] += n
	}
	for path := range w.taken {
		w.release(path)
	}
	for _, p := range w.live {
		p.ill.Store(false)
	}
	w.pass(time.Minute) // the bound: pauses between tries, a session that ends, what is kept though it is lost, and a slow loop
}

// release removes what stands in a registrant's place.
func (w *world) release(path string) {
	delete(w.taken, path)
	for {
		stat, there, err := w.admin.Exists(w.t.Context(), path)
		if err == nil && (!there || stat.EphemeralOwner != w.admin.Session().ID()) {
			return
		}
		_ = w.admin.Delete(w.t.Context(), path, stat.Version)
		time.Sleep(time.Second)
	}
}

// bury ends the clients of processes that are dead, who stay cut off until then.
func (w *world) bury() {
	w.clients = slices.DeleteFunc(w.clients, func(c *client.Client) bool {
		if c == w.admin || slices.ContainsFunc(w.live, func(p *process) bool { return p.client == c }) || w.watches(c) {
			return false
		}
		_ = c.Close()
		return true
	})
}

func (w *world) watches(c *client.Client) bool {
	return slices.ContainsFunc(w.watchers, func(x *watcher) bool { return x.client == c })
}

// compare compares what is wished for with what the servers have, and that with what the watchers know and were told.
func (w *world) compare() {
	t := w.t
	require.NoError(t, w.admin.Sync(t.Context(), "/"))
	var want, got []string
	for _, p := range w.live {
		for _, x := range p.wishes {
			if x.held == nil {
				continue
			}
			i := x.held.Instance()
			owner := p.client.Session().ID()
			if i.Type == discovery.Static {
				owner = 0
			}
			want = append(want, fmt.Sprintf("%s/%s %s:%d %s owner 0x%x", i.Name, i.ID, i.Address, i.Port, i.Payload, owner))
			require.True(t, x.held.Status().Present, "%s: %v", x.held.Path(), x.held.Status().Err)
		}
	}
	truth := map[string]string{}
	for _, name := range []string{"mail", "web"} {
		all, err := registryOf(w.admin).Inspect(t.Context(), name)
		require.NoError(t, err)
		for _, e := range all {
			if name == "mail" {
				truth[e.Path] = fmt.Sprint(e.Token, " ", e.Payload)
			}
			if e.Path == foreign {
				require.Error(t, e.Err)
				continue
			}
			require.NoError(t, e.Err, e.Path)
			got = append(got, fmt.Sprintf("%s/%s %s:%d %s owner 0x%x", e.Name, e.ID, e.Address, e.Port, e.Payload, e.Owner))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	require.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"))
	for _, x := range w.watchers {
		require.Zero(t, x.view.StaleSince())
		require.Equal(t, truth, told2(x.view.Instances()))
		x.mu.Lock()
		known, current := told2(slices.Collect(maps.Values(x.known))), x.current
		x.mu.Unlock()
		require.Equal(t, truth, known)
		require.True(t, current)
	}
	w.done["compared"]++
	w.done["listed"] += len(want)
}

func told2(all []*discovery.Entry[string]) map[string]string {
	m := map[string]string{}
	for _, e := range all {
		m[e.Path] = fmt.Sprint(e.Token, " ", e.Payload)
		if !e.Lost.IsZero() {
			m[e.Path] += " lost"
		}
	}
	return m
}
