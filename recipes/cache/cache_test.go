package cache_test

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
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/trouble"
	"github.com/bellwether-zk/bellwether/recipes/cache"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	runs = flag.Int("cache.runs", 6, "how many random runs there are")
	seed = flag.Uint64("cache.seed", 0, "the first one's; 0: a random one")
)

func mustCreate(t *testing.T, c *client.Client, path, data string) {
	t.Helper()
	_, err := c.Create(t.Context(), path, []byte(data), nil)
	require.NoError(t, err)
}

func mustOpen(t *testing.T, c *client.Client, path string, opts *cache.Options) *cache.Cache {
	t.Helper()
	m, err := cache.Open(t.Context(), c, path, opts)
	require.NoError(t, err)
	t.Cleanup(m.Close)
	return m
}

func paths(nodes func(func(cache.Node) bool)) []string {
	var out []string
	for n := range nodes {
		out = append(out, n.Path+"="+string(n.Data))
	}
	slices.Sort(out)
	return out
}

// told collects in the background what a loop is told.
type told struct {
	mu    sync.Mutex
	lines []string
}

func listen(ctx context.Context, m *cache.Cache, pause time.Duration) *told {
	l := &told{}
	go func() { // ends with ctx or the mirror
		for c := range m.Watch(ctx) {
			l.mu.Lock()
			line := c.Kind.String() + " " + c.Path
			if c.Kind == cache.Changed {
				line += " " + string(c.Old.Data) + ">" + string(c.New.Data)
			}
			l.lines = append(l.lines, line)
			l.mu.Unlock()
			time.Sleep(pause)
		}
	}()
	return l
}

// since returns what was told since the last call, when nothing happens any more.
func (l *told) since() []string {
	time.Sleep(time.Second)
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.lines
	l.lines = nil
	return out
}

func TestMirror(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		m := mustOpen(t, c, "/s", &cache.Options{Index: func(n cache.Node) []string { return strings.Fields(string(n.Data)) }})
		require.Equal(t, "/s", m.Path())
		require.Zero(t, m.Len(), "it need not exist")
		require.Zero(t, m.StaleSince())
		require.NoError(t, m.Err())
		changes := listen(ctx, m, 0)
		require.Equal(t, []string{"current /s"}, changes.since())

		mustCreate(t, other, "/s", "")
		mustCreate(t, other, "/s/a", "red round")
		mustCreate(t, other, "/s/a/x", "red")
		mustCreate(t, other, "/s/b", "blue")
		lines := changes.since()
		require.ElementsMatch(t, []string{"added /s", "added /s/a", "added /s/a/x", "added /s/b"}, lines)
		require.Less(t, slices.Index(lines, "added /s/a"), slices.Index(lines, "added /s/a/x"))
		require.Equal(t, 4, m.Len())
		require.Equal(t, []string{"/s/a=red round", "/s/b=blue"}, paths(m.Children("/s")))
		require.Equal(t, []string{"/s/a/x=red", "/s/a=red round"}, paths(m.Find("red")))
		require.Equal(t, []string{"/s/a=red round"}, paths(m.Find("round")))
		require.Empty(t, paths(m.Find("green")))
		require.Empty(t, paths(m.Children("/s/b")))
		require.Empty(t, paths(m.Children("/t")))
		for range m.All() {
			break
		}

		_, err := other.Set(ctx, "/s/a", []byte("green round"), 0)
		require.NoError(t, err)
		require.Equal(t, []string{"changed /s/a red round>green round"}, changes.since())
		require.Equal(t, []string{"/s/a/x=red"}, paths(m.Find("red")))
		require.Equal(t, []string{"/s/a=green round"}, paths(m.Find("green")))
		n, ok := m.Get("/s/a")
		require.True(t, ok)
		require.EqualValues(t, 1, n.Stat.Version)
		_, err = other.DeleteTree(ctx, "/s", nil)
		require.NoError(t, err)
		lines = changes.since()
		require.ElementsMatch(t, []string{"removed /s/a/x", "removed /s/a", "removed /s/b", "removed /s"}, lines)
		require.Equal(t, "removed /s", lines[3])
		require.Zero(t, m.Len())
		require.Empty(t, paths(m.All()))
		require.Empty(t, paths(m.Find("round")))
	})
}

func TestMirrorOfAPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		for _, p := range []string{"/s", "/s/a", "/s/a/x"} {
			mustCreate(t, c, p, "data")
		}
		for depth, want := range map[int][]string{
			client.NodeOnly: {"/s="}, 0: {"/s/a/x=", "/s/a=", "/s="}, 1: {"/s/a=", "/s="},
		} {
			m := mustOpen(t, c, "/s", &cache.Options{Depth: depth, NoData: true})
			require.Equal(t, want, paths(m.All()))
		}
		whole := mustOpen(t, c, "/", nil)
		require.Equal(t, []string{"/s=data"}, slices.DeleteFunc(paths(whole.Children("/")), func(s string) bool { return s == "/zookeeper=" }))
	})
}

// The last known nodes stay through an outage and are called stale; what was missed is found behind it, though it looks the same by
// name and version.
func TestNeverSilentlyStale(t *testing.T) {
	for _, outage := range []time.Duration{2 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 3, nil)
			c, other := e.Connect(t), e.Connect(t)
			for _, p := range []string{"/s", "/s/kept", "/s/replaced", "/s/gone"} {
				mustCreate(t, other, p, "one")
			}
			m := mustOpen(t, c, "/s", nil)
			changes := listen(t.Context(), m, 0)
			require.Len(t, changes.since(), 5)
			session := c.Session()

			f := e.Proxy(c).Lose(proxy.Request(proxy.OpConnect, "").Always())
			e.Proxy(c).Drop()
			synctest.Wait()
			cut := time.Now()
			require.Equal(t, cut, m.StaleSince())
			require.NoError(t, other.Delete(t.Context(), "/s/replaced", 0))
			mustCreate(t, other, "/s/replaced", "two")
			require.NoError(t, other.Delete(t.Context(), "/s/gone", 0))
			mustCreate(t, other, "/s/new", "one")
			time.Sleep(outage)
			require.Equal(t, []string{"stale /s"}, changes.since())
			require.Equal(t, 4, m.Len(), "the last known")
			require.Equal(t, cut, m.StaleSince())
			f.End()
			_, err := c.AwaitSession(t.Context())
			require.NoError(t, err)
			time.Sleep(10 * time.Second)
			require.Equal(t, outage > 30*time.Second, session.Err() != nil)
			require.Zero(t, m.StaleSince())
			lines := changes.since()
			require.ElementsMatch(t, []string{"removed /s/replaced", "added /s/replaced", "removed /s/gone", "added /s/new", "current /s"}, lines)
			require.Equal(t, "current /s", lines[4])
			n, ok := m.Get("/s/replaced")
			require.True(t, ok)
			require.Equal(t, "two", string(n.Data))
			require.Zero(t, n.Stat.Version)
		})
	}
}

// A mirror whose connection goes when all was read, and not taken in yet, is not current, though it has all that was there.
func TestStaleFromTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		last := func() {} // is called when the last node is read, and not taken in yet
		var seen telemetrytest.Recorder
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{
			MeterProvider: seen.MeterProvider(),
			Hooks: client.Hooks{Done: func(o client.OperationDone) {
				if o.Op == "childrenw" && o.Path == "/s/last" {
					last()
				}
			}},
		}})
		c, other := e.Connect(t), e.Connect(t)
		mustCreate(t, other, "/s", "one")
		mustCreate(t, other, "/s/last", "one")
		var lost *proxy.Fault
		began := time.Now()
		last = sync.OnceFunc(func() {
			lost = e.Proxy(c).Lose(proxy.Request(proxy.OpConnect, "").Always())
			time.Sleep(time.Second)
			e.Proxy(c).Drop()
			time.Sleep(time.Second)
		})
		m := mustOpen(t, c, "/s", nil)
		changes := listen(t.Context(), m, 0)
		require.Equal(t, []string{"added /s", "added /s/last", "stale /s"}, changes.since())
		require.Equal(t, began, m.StaleSince())
		require.True(t, m.Status().Synced)
		require.EqualValues(t, 1, seen.Sum("bellwether.cache.stale.count"))
		_, err := other.Set(t.Context(), "/s/last", []byte("two"), 0)
		require.NoError(t, err)
		lost.End()
		time.Sleep(10 * time.Second)
		require.Zero(t, m.StaleSince())
		require.Zero(t, seen.Sum("bellwether.cache.stale.count"))
		require.Equal(t, []string{"changed /s/last one>two", "current /s"}, changes.since())
	})
}

// What is to be told at one moment is told at once.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		for _, p := range []string{"/s", "/s/a", "/s/b"} {
			mustCreate(t, other, p, "one")
		}
		m := mustOpen(t, c, "/s", nil)
		var batches [][]string
		for batch := range m.WatchBatches(ctx) {
			var lines []string
			for _, change := range batch {
				lines = append(lines, change.Kind.String()+" "+change.Path)
			}
			batches = append(batches, lines)
			switch len(batches) {
			case 1:
				require.NoError(t, other.Delete(ctx, "/s/a", 0))
				mustCreate(t, other, "/s/a", "two")
				mustCreate(t, other, "/s/c", "one")
				time.Sleep(time.Second) // the loop is slow
			case 2:
				m.Close()
			}
		}
		require.Equal(t, [][]string{
			{"added /s", "added /s/a", "added /s/b", "current /s"},
			{"removed /s/a", "added /s/a", "added /s/c"},
			{"stale /s"},
		}, batches)
	})
}

// What is replaced in one transaction is never missing: both changes come at once.
func TestReplacedInOneTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		mustCreate(t, other, "/s", "")
		mustCreate(t, other, "/s/a", "0")
		m := mustOpen(t, c, "/s", nil)
		const times = 20
		go func() { // ends when it is done
			for i := range times {
				time.Sleep(time.Second)
				_, err := other.Multi(ctx, client.DeleteOp("/s/a", 0), client.CreateOp("/s/a", []byte(fmt.Sprint(i+1)), nil))
				if err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Second)
			cancel()
		}()
		seen := 0
		for batch := range m.WatchBatches(ctx) {
			removed := slices.IndexFunc(batch, func(c cache.Change) bool { return c.Kind == cache.Removed })
			if removed < 0 {
				continue
			}
			require.Equal(t, cache.Added, batch[removed+1].Kind)
			require.Equal(t, batch[removed].Path, batch[removed+1].Path)
			require.NotEqual(t, batch[removed].Old.Stat.Czxid, batch[removed+1].New.Stat.Czxid)
			seen++
		}
		require.Equal(t, times, seen)
		require.Equal(t, 2, m.Len())
	})
}

// A slow loop is told the difference.
func TestSlowLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		for _, p := range []string{"/s", "/s/a", "/s/b"} {
			mustCreate(t, c, p, "0")
		}
		m := mustOpen(t, c, "/s", nil)
		slow := listen(ctx, m, time.Minute)
		synctest.Wait()
		for i := range 10 {
			_, err := c.Set(ctx, "/s/a", fmt.Append(nil, i+1), client.AnyVersion)
			require.NoError(t, err)
			time.Sleep(time.Second)
			mustCreate(t, c, "/s/short", "")
			time.Sleep(time.Second)
			require.NoError(t, c.Delete(ctx, "/s/short", 0))
		}
		require.NoError(t, c.Delete(ctx, "/s/b", 0))
		time.Sleep(time.Second)
		mustCreate(t, c, "/s/b", "0")
		time.Sleep(10 * time.Minute)
		require.Equal(t, []string{
			"added /s", "added /s/a", "added /s/b", "current /s", "removed /s/b", "changed /s/a 0>10", "added /s/b",
		}, slow.since())
	})
}

func TestNodesThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		mustCreate(t, c, "/s", "")
		_, err := c.Create(t.Context(), "/s/secret", nil, &client.CreateOptions{ACL: client.WorldACL(client.PermWrite)})
		require.NoError(t, err)
		m := mustOpen(t, c, "/s", nil)
		n, ok := m.Get("/s/secret")
		require.True(t, ok)
		require.ErrorIs(t, n.Err, client.ErrNoAuth)
		require.NoError(t, c.Delete(t.Context(), "/s/secret", 0))
		time.Sleep(time.Second)
		require.Equal(t, 1, m.Len())
	})
}

// A directory that cannot be listed in one answer is not mirrored in part and called the whole: who opens the mirror is told, and one that was
// open ends, stale.
func TestTooManyChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{MaxFrame: 4 << 10}})
		c := e.Connect(t)
		mustCreate(t, c, "/s", "")
		m := mustOpen(t, c, "/s", nil)
		changes := listen(t.Context(), m, 0)
		for i := range 100 {
			mustCreate(t, c, fmt.Sprintf("/s/%050d", i), "")
		}
		<-m.Done()
		require.ErrorIs(t, m.Err(), client.ErrTooLarge)
		require.NotZero(t, m.StaleSince())
		lines := changes.since()
		require.Equal(t, "stale /s", lines[len(lines)-1])
		_, err := cache.Open(t.Context(), c, "/s", nil)
		require.ErrorIs(t, err, client.ErrTooLarge)
		require.Equal(t, 1, mustOpen(t, c, "/s", &cache.Options{Depth: client.NodeOnly}).Len())
	})
}

func TestMirrorEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		mustCreate(t, c, "/s", "data")
		looped := func(m *cache.Cache) (ended chan struct{}) {
			ended = make(chan struct{})
			go func() { // ends with the mirror
				defer close(ended)
				for range m.Watch(t.Context()) {
				}
			}()
			return ended
		}

		m := mustOpen(t, c, "/s", nil)
		ended := looped(m)
		m.Close()
		<-ended
		require.ErrorIs(t, m.Err(), context.Canceled)
		require.NotZero(t, m.StaleSince())
		require.Equal(t, []string{"/s=data"}, paths(m.All()), "what is known is still there")
		m.Close()

		view := mustOpen(t, c.Session().Client(), "/s", nil)
		whole := mustOpen(t, c, "/s", nil)
		ended = looped(view)
		require.NoError(t, e.Expire(t.Context(), c))
		<-ended
		<-view.Done()
		require.ErrorIs(t, view.Err(), client.ErrSessionExpired)
		time.Sleep(time.Second)
		require.NoError(t, whole.Err(), "another session will do")
		require.Zero(t, whole.StaleSince())

		_, err := cache.Open(t.Context(), c, "no path", nil)
		require.ErrorIs(t, err, client.ErrInvalidPath)
		_, err = cache.Open(t.Context(), c, "/s", &cache.Options{Depth: -7})
		require.ErrorIs(t, err, client.ErrBadArguments)
		e.CutClient(c)
		why := errors.New("no time")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
		defer cancel()
		_, err = cache.Open(ctx, c, "/s", nil)
		require.ErrorIs(t, err, why)
		e.Heal()
		c.Close()
		<-whole.Done()
		require.ErrorIs(t, whole.Err(), client.ErrClosed)
	})
}

// Whatever happens to tree, connection and servers, in the end the mirror is the tree, and every loop, fast or slow, has been told so in steps
// that can be taken.
func TestRandomMirror(t *testing.T) {
	first := *seed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	runs := *runs
	if testing.Short() {
		runs = min(runs, 2)
	}
	seeds := []uint64{15918198461958217224} // the connection goes at the very moment when all was read
	for i := range uint64(runs) {
		seeds = append(seeds, first+i)
	}
	changes, doubtful, struck := 0, 0, map[string]int{}
	for _, seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			told, times := randomly(t, rand.New(rand.NewPCG(seed, 6)), struck)
			changes, doubtful = changes+told, doubtful+times
		})
		if t.Failed() {
			t.Fatalf("it was seed %d", seed)
		}
	}
	t.Logf("%d changes told, found without a connection %d times, faults that took effect: %v", changes, doubtful, struck)
	require.Greater(t, changes, 20*runs)
	require.Greater(t, doubtful, runs)
}

// randomly is one run. It returns how many changes were told, and how often the mirror was looked at while there was no connection.
func randomly(t *testing.T, r *rand.Rand, struck map[string]int) (changes, doubtful int) {
	var seen telemetrytest.Recorder
	e := ensembletest.Start(t, 3, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second, MeterProvider: seen.MeterProvider()}})
	c, other := e.Connect(t), e.Connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	depth := r.IntN(4) - 1 // client.NodeOnly among them
	m := mustOpen(t, c, "/s", &cache.Options{Depth: depth})
	var loops sync.WaitGroup
	var told atomic.Int64
	known := make([]map[string]string, 4)
	for i := range known {
		pause := time.Duration(r.IntN(3)*i) * 100 * time.Millisecond
		known[i] = map[string]string{}
		loops.Go(func() { // ends with ctx
			for change := range m.Watch(ctx) {
				step(t, known[i], change)
				told.Add(1)
				time.Sleep(pause)
			}
		})
	}
	names := []string{"/s"}
	for _, p := range []string{"a", "b", "c"} {
		names = append(names, "/s/"+p)
		for _, q := range []string{"a", "b"} {
			names = append(names, "/s/"+p+"/"+q, "/s/"+p+"/"+q+"/a")
		}
	}
	maker := trouble.New(e, r)
	maker.Also("expired", func(ctx context.Context) bool { return e.Expire(ctx, c) == nil })
	for i := range 300 {
		path := names[r.IntN(len(names))]
		soon, enough := context.WithTimeout(ctx, time.Second)
		switch r.IntN(9) {
		case 0, 1, 2:
			_, _ = other.Create(soon, path, fmt.Append(nil, i), nil)
		case 3, 4:
			_, _ = other.Set(soon, path, fmt.Append(nil, i), client.AnyVersion)
		case 5:
			_ = other.Delete(soon, path, client.AnyVersion)
		case 6: // of the same version as before
			_, _ = other.Multi(soon, client.DeleteOp(path, client.AnyVersion), client.CreateOp(path, fmt.Append(nil, i), nil))
		case 7:
			_, _ = other.Create(soon, path, fmt.Append(nil, i), &client.CreateOptions{Mode: client.Container})
		case 8:
			maker.Strike(c)
		}
		enough()
		time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
		synctest.Wait()
		if s := c.State(); s == client.StateSuspended || s == client.StateLost {
			require.NotZero(t, m.StaleSince(), "%v", s)
			doubtful++
		}
	}
	require.NoError(t, maker.End(t.Context()))
	for what, n := range maker.Struck() {
		struck[what] += n
	}
	time.Sleep(2 * time.Minute)
	require.Zero(t, m.StaleSince())
	want := map[string]string{}
	for _, path := range names {
		data, _, err := other.Get(ctx, path)
		if err == nil && (depth == 0 || strings.Count(path, "/") <= max(depth, 0)+1) {
			want[path] = string(data)
		}
	}
	cancel()
	loops.Wait()
	have := map[string]string{}
	for n := range m.All() {
		have[n.Path] = string(n.Data)
	}
	require.Equal(t, want, have)
	for i := range known {
		require.Equal(t, want, known[i])
	}
	size := 0
	for _, data := range want {
		size += len(data)
	}
	require.EqualValues(t, size, m.Status().Bytes)
	require.EqualValues(t, size, seen.Sum("bellwether.cache.size"))
	require.EqualValues(t, len(want), seen.Sum("bellwether.cache.nodes"))
	m.Close()
	require.NoError(t, c.Close())
	require.NoError(t, other.Close())
	require.Empty(t, seen.Open(), "each count goes back")
	return int(told.Load()), doubtful
}

// step takes a change, which must be possible.
func step(t *testing.T, known map[string]string, c cache.Change) {
	parent, _, _ := strings.Cut(c.Path[1:], "\x00")
	parent = "/" + parent[:max(strings.LastIndexByte(parent, '/'), 0)]
	switch c.Kind {
	case cache.Added:
		require.NotContains(t, known, c.Path)
		if c.Path != "/s" {
			require.Contains(t, known, parent)
		}
		known[c.Path] = string(c.New.Data)
	case cache.Changed:
		require.Equal(t, known[c.Path], string(c.Old.Data))
		known[c.Path] = string(c.New.Data)
	case cache.Removed:
		require.Equal(t, known[c.Path], string(c.Old.Data))
		for p := range maps.Keys(known) {
			require.False(t, strings.HasPrefix(p, c.Path+"/"), "%s is still there", p)
		}
		delete(known, c.Path)
	}
}
