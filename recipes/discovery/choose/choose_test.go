package choose_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/choose"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type (
	entry   = discovery.Entry[struct{}]
	chooser = choose.Chooser[struct{}]
)

// list is a source whose instances the test sets.
type list struct {
	mu      sync.Mutex
	all     []*entry
	changed chan struct{}
}

func listOf(all ...*entry) *list { return &list{all: all, changed: make(chan struct{})} }

func (l *list) Snapshot() ([]*entry, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all, l.changed
}

// set changes the instances, and returns when everybody knows, in a bubble.
func (l *list) set(all ...*entry) {
	l.mu.Lock()
	l.all = all
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
	synctest.Wait()
}

// one is an instance; change changes it before it is used.
func one(id string, change ...func(*entry)) *entry {
	e := &entry{Path: "/services/mail/" + id}
	e.ID, e.Address, e.Port = id, "host-"+id, 25
	for _, c := range change {
		c(e)
	}
	return e
}

func some(n int, change ...func(*entry)) (all []*entry) {
	for i := range n {
		all = append(all, one(fmt.Sprintf("%03d", i), change...))
	}
	return all
}

func zone(z string) func(*entry)             { return func(e *entry) { e.Zone = z } }
func weight(w int) func(*entry)              { return func(e *entry) { e.Weight = w } }
func status(s discovery.Status) func(*entry) { return func(e *entry) { e.Status = s } }

func mustPick(t *testing.T, c *chooser) choose.Pick[struct{}] {
	t.Helper()
	p, err := c.Pick()
	require.NoError(t, err)
	return p
}

// shares tells how often each is chosen, when all goes well.
func shares(t *testing.T, c *chooser, picks int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range picks {
		p := mustPick(t, c)
		got[p.Entry.ID]++
		p.Done(nil)
	}
	return got
}

func ids(got map[string]int) []string { return slices.Sorted(maps.Keys(got)) }

var errDown = errors.New("connection refused")

func chosen(t *testing.T, l *list, s choose.Strategy, o *choose.Options) *chooser {
	t.Helper()
	c := choose.New(l, s, o)
	t.Cleanup(c.Close)
	return c
}

func TestNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listOf()
		c := chosen(t, l, choose.RoundRobin(), nil)
		_, err := c.Pick()
		require.ErrorIs(t, err, choose.ErrNone)
		_, err = c.PickFor("key")
		require.ErrorIs(t, err, choose.ErrNone)
		choose.Pick[struct{}]{}.Done(nil)
		l.set(one("a", status(discovery.Down)))
		_, err = c.Pick()
		require.ErrorIs(t, err, choose.ErrNone, "who says that he is down is left alone")
		l.set(one("a"))
		require.Equal(t, "a", mustPick(t, c).Entry.ID)
		c.Close()
		require.Equal(t, "a", mustPick(t, c).Entry.ID)
	})
}

func TestRoundRobin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chosen(t, listOf(some(3)...), choose.RoundRobin(), nil)
		require.Equal(t, map[string]int{"000": 100, "001": 100, "002": 100}, shares(t, c, 300))
		first, second, third := mustPick(t, c), mustPick(t, c), mustPick(t, c)
		require.Equal(t, mustPick(t, c).Entry, first.Entry)
		require.Equal(t, mustPick(t, c).Entry, second.Entry)
		require.Equal(t, mustPick(t, c).Entry, third.Entry)
	})
}

// Shares are as they should be, within six standard deviations.
func TestShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const picks = 40_000
		for name, s := range map[string]choose.Strategy{"random": choose.Random(), "weighted": choose.Weighted(), "two": choose.TwoChoices(), "least": choose.LeastOutstanding()} {
			c := chosen(t, listOf(some(7)...), s, nil)
			for id, n := range shares(t, c, picks) {
				mustBeShare(t, name+" "+id, 1.0/7, n, picks)
			}
		}
		var all []*entry
		sum := 0
		for i := range 10 {
			all = append(all, one(fmt.Sprint(i), weight(i*i)))
			sum += max(i*i, 1)
		}
		got := shares(t, chosen(t, listOf(all...), choose.Weighted(), nil), picks)
		for i, e := range all {
			mustBeShare(t, e.ID, float64(max(i*i, 1))/float64(sum), got[e.ID], picks)
		}
	})
}

func mustBeShare(t *testing.T, what string, p float64, n, picks int) {
	t.Helper()
	require.InDelta(t, p*float64(picks), float64(n), 6*math.Sqrt(float64(picks)*p*(1-p))+1, what)
}

// Who has much to do gets less: among all, and of two.
func TestOutstanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chosen(t, listOf(one("a"), one("b"), one("c", weight(2))), choose.LeastOutstanding(), nil)
		open := map[string][]choose.Pick[struct{}]{}
		for range 40 {
			p := mustPick(t, c)
			open[p.Entry.ID] = append(open[p.Entry.ID], p)
		}
		require.Len(t, open["a"], 10)
		require.Len(t, open["b"], 10)
		require.Len(t, open["c"], 20)
		for _, p := range open["b"] {
			p.Done(nil)
		}
		for range 10 {
			require.Equal(t, "b", mustPick(t, c).Entry.ID)
		}

		two := chosen(t, listOf(one("a"), one("b")), choose.TwoChoices(), nil)
		busy := mustPick(t, two)
		for range 100 {
			p := mustPick(t, two)
			require.NotEqual(t, busy.Entry, p.Entry)
			p.Done(nil)
		}
		single := chosen(t, listOf(one("a")), choose.TwoChoices(), nil)
		require.Equal(t, "a", mustPick(t, single).Entry.ID)
	})
}

// Who looks at outstanding requests is not misled by instances that have none since they are not to have any: while one is tried all others
// have as many as each other; one that is new begins with a tenth of its share, and one that is the caller's in part gets that part.
func TestOutstandingIsNotAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, strategy := range map[string]func() choose.Strategy{"least": choose.LeastOutstanding, "two": choose.TwoChoices} {
			c := chosen(t, listOf(some(5)...), strategy(), nil)
			spoil(t, c, "001")
			time.Sleep(11 * time.Second)
			synctest.Wait()
			open := map[string]int{}
			for range 1001 { // of which none is done
				open[mustPick(t, c).Entry.ID]++
			}
			require.Equal(t, 1, open["001"], name)
			for _, id := range []string{"000", "002", "003", "004"} {
				require.InDelta(t, 250, open[id], 5, name)
			}
		}

		l := listOf(some(20)...)
		c := chosen(t, l, choose.LeastOutstanding(), &choose.Options{SlowStart: 10 * time.Second})
		l.set(some(21)...)
		for _, step := range []struct {
			pause time.Duration
			share float64
		}{{0, 0.1}, {5 * time.Second, 0.5}} {
			time.Sleep(step.pause)
			mustBeShare(t, "warming", step.share/(20+step.share), busy(t, c, 200, 4000)["020"], 4000)
			mustBeShare(t, "idle", step.share/(20+step.share), busy(t, c, 0, 4000)["020"], 4000)
		}
		time.Sleep(6 * time.Second)
		require.InDelta(t, 4000/21, busy(t, c, 210, 4000)["020"], 40, "warm")

		load := map[string]int{}
		for i := range 7 {
			c := chosen(t, listOf(some(20)...), choose.LeastOutstanding(), &choose.Options{Subset: 3, Index: i, Of: 7})
			for id, n := range busy(t, c, 400, 4000) {
				load[id] += n
			}
		}
		for id, n := range load {
			require.InDelta(t, 7*4000/20, n, 70, id)
		}
	})
}

// busy tells how often each is chosen, where so many requests are under way at each time.
func busy(t *testing.T, c *chooser, atOnce, picks int) map[string]int {
	t.Helper()
	got := map[string]int{}
	var open []choose.Pick[struct{}]
	for range picks {
		p := mustPick(t, c)
		got[p.Entry.ID]++
		open = append(open, p)
		if len(open) > atOnce {
			open[0].Done(nil)
			open = open[1:]
		}
	}
	for _, p := range open {
		p.Done(nil)
	}
	return got
}

// With two choices no instance is far behind the others, where chance alone leaves them.
func TestTwoChoicesAreBetterThanOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		most := func(s choose.Strategy) int64 {
			c := chosen(t, listOf(some(100)...), s, nil)
			n := map[string]int64{}
			for range 10_000 { // of which none is done
				n[mustPick(t, c).Entry.ID]++
			}
			return slices.Max(slices.Collect(maps.Values(n)))
		}
		require.Less(t, most(choose.TwoChoices()), int64(110))
		require.Greater(t, most(choose.Random()), int64(110))
	})
}

func TestSticky(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := some(5)
		l := listOf(all...)
		c := chosen(t, l, choose.Sticky(), nil)
		id := mustPick(t, c).Entry.ID
		require.Len(t, shares(t, c, 100), 1)
		l.set(append(some(6), one("more"))...)
		require.Equal(t, []string{id}, ids(shares(t, c, 100)), "others come")
		l.set(slices.DeleteFunc(some(5), func(e *entry) bool { return e.ID == id })...)
		other := mustPick(t, c).Entry.ID
		require.NotEqual(t, id, other)
		l.set(all...)
		require.Equal(t, []string{other}, ids(shares(t, c, 100)))
	})
}

// A key stays where it is, whoever chooses, and moves only if its instance has gone, or to one that has come; weights are kept.
func TestPickFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys = 5_000
		all := some(10)
		all[3].Weight = 5
		l := listOf(all...)
		c := chosen(t, l, choose.Random(), nil)
		place := func(c *chooser) map[int]string {
			m := map[int]string{}
			for i := range keys {
				p, err := c.PickFor(fmt.Sprint("user-", i))
				require.NoError(t, err)
				p.Done(nil)
				m[i] = p.Entry.ID
			}
			return m
		}
		before := place(c)
		require.Equal(t, before, place(chosen(t, l, choose.Sticky(), nil)))
		count := map[string]int{}
		for _, id := range before {
			count[id]++
		}
		for _, e := range all {
			mustBeShare(t, e.ID, float64(e.Share())/14, count[e.ID], keys)
		}
		l.set(all[1:]...)
		for i, id := range place(c) {
			if before[i] != all[0].ID {
				require.Equal(t, before[i], id)
			}
		}
		l.set(append(some(10), one("new"))...)
		l.all[3].Weight = 5
		l.set(l.all...)
		for i, id := range place(c) {
			if id != "new" {
				require.Equal(t, before[i], id)
			}
		}
	})
}

// A request that is tried again gets to each instance once, also where the strategy stays with one; those that are half-open come last.
func TestPickOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listOf(some(4)...)
		c := chosen(t, l, choose.Sticky(), &choose.Options{Failures: 1, MaxEjected: 0.25, Eject: time.Second})
		bad := mustPick(t, c)
		bad.Done(errDown)
		time.Sleep(2 * time.Second)
		synctest.Wait() // it is half-open
		seen := map[string]int{}
		var tried []choose.Pick[struct{}]
		for range 4 {
			p, err := c.PickOther(tried...)
			require.NoError(t, err)
			seen[p.Entry.ID]++
			tried = append(tried, p)
		}
		require.Len(t, seen, 4)
		require.Equal(t, bad.Entry.ID, tried[3].Entry.ID)
		_, err := c.PickOther(tried...)
		require.ErrorIs(t, err, choose.ErrNone)
		for _, p := range tried {
			p.Done(nil)
		}

		again := some(4) // of them one was started anew, which the request has not been at
		again[2].Registered = time.Now()
		l.set(again...)
		p, err := c.PickOther(tried...)
		require.NoError(t, err)
		require.Same(t, again[2], p.Entry)
		p.Done(nil)
	})
}

func TestQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tagged := func(e *entry) { e.Tags = []string{"fast"} }
		l := listOf(one("a"), one("b", tagged), one("c", tagged, status(discovery.Draining)))
		c := chosen(t, l, choose.RoundRobin(), &choose.Options{Query: discovery.Query{Tags: []string{"fast"}}})
		require.Equal(t, []string{"b"}, ids(shares(t, c, 10)))
		l.set(one("a"), one("c", tagged, status(discovery.Draining)), one("d", tagged, status(discovery.Starting)), one("e", status(discovery.Starting)))
		require.Equal(t, []string{"c", "d"}, ids(shares(t, c, 10)), "the least bad")
	})
}

// The own zone comes first, and the others help when it is weak.
func TestZones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eu, us := zone("eu"), zone("us")
		l := listOf(one("a", eu), one("b", eu), one("c", eu), one("d", us))
		c := chosen(t, l, choose.RoundRobin(), &choose.Options{Zone: "eu", ZoneMin: 2})
		require.Equal(t, []string{"a", "b", "c"}, ids(shares(t, c, 10)))
		l.set(one("a", eu), one("b", eu), one("d", us))
		require.Equal(t, []string{"a", "b"}, ids(shares(t, c, 10)))
		l.set(one("a", eu), one("d", us))
		require.Equal(t, []string{"a", "d"}, ids(shares(t, c, 10)), "fewer than ZoneMin")
		far := chosen(t, l, choose.RoundRobin(), &choose.Options{Zone: "mars"})
		require.Equal(t, []string{"a", "d"}, ids(shares(t, far, 10)))

		many := append(some(5, eu), one("d", us), one("e", us), one("f", us), one("g", us), one("h", us))
		l.set(many...)
		for i := range 3 {
			require.Equal(t, 5-i, len(shares(t, c, 100)), "still half of them")
			spoil(t, c, fmt.Sprintf("00%d", i))
		}
		require.Len(t, shares(t, c, 100), 7, "less than half is fit")
	})
}

// spoil lets all requests to an instance fail until it is ejected.
func spoil(t *testing.T, c *chooser, id string) {
	t.Helper()
	for failures := 0; failures < 3; {
		p := mustPick(t, c)
		if p.Entry.ID != id {
			p.Done(nil)
			continue
		}
		p.Done(errDown)
		failures++
	}
	require.NotContains(t, shares(t, c, 100), id)
}

// An instance that fails is left out, tried once in a while, each time after a longer pause, and taken back when it has done well.
func TestEjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chosen(t, listOf(some(4)...), choose.RoundRobin(), nil)
		spoil(t, c, "001")
		for _, pause := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second} {
			time.Sleep(pause - time.Second)
			require.NotContains(t, shares(t, c, 100), "001")
			time.Sleep(2 * time.Second)
			synctest.Wait()
			var probe choose.Pick[struct{}]
			for range 100 { // which are all under way at the same time
				if p := mustPick(t, c); p.Entry.ID == "001" {
					require.Nil(t, probe.Entry, "one request at a time")
					probe = p
				}
			}
			require.NotNil(t, probe.Entry)
			probe.Done(errDown)
		}
		time.Sleep(81 * time.Second)
		synctest.Wait()
		for { // the caller gives up: it tells nothing, and another is tried
			if p := mustPick(t, c); p.Entry.ID == "001" {
				p.Done(context.Canceled)
				break
			}
		}
		require.Contains(t, shares(t, c, 100), "001", "it did well")
		require.InDelta(t, 100, shares(t, c, 400)["001"], 5)
	})
}

// A probe that nobody ever tells of is given up.
func TestProbeIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chosen(t, listOf(some(3)...), choose.RoundRobin(), nil)
		spoil(t, c, "001")
		time.Sleep(11 * time.Second)
		synctest.Wait()
		picked := func() (n int) {
			for range 100 {
				if mustPick(t, c).Entry.ID == "001" {
					n++
				}
			}
			return n
		}
		require.Equal(t, 1, picked())
		require.Zero(t, picked())
		time.Sleep(11 * time.Second)
		require.Equal(t, 1, picked())
	})
}

// Failures among many successes are no reason, half of all are; and what was long ago is forgotten.
func TestWhatIsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chosen(t, listOf(some(3)...), choose.RoundRobin(), nil)
		do := func(outcomes ...error) {
			for len(outcomes) > 0 {
				p := mustPick(t, c)
				if p.Entry.ID != "001" {
					p.Done(nil)
					continue
				}
				p.Done(outcomes[0])
				outcomes = outcomes[1:]
			}
		}
		for range 10 {
			do(nil, nil, errDown, errDown, nil)
		}
		require.Contains(t, shares(t, c, 10), "001")
		do(context.Canceled, context.Canceled, context.Canceled, context.Canceled)
		require.Contains(t, shares(t, c, 10), "001")
		time.Sleep(time.Minute)
		do(errDown, errDown, nil)
		time.Sleep(time.Minute)
		do(errDown, nil, errDown)
		require.Contains(t, shares(t, c, 10), "001", "it was long ago")
		time.Sleep(time.Minute)
		do(errDown, nil, errDown, nil, errDown)
		require.NotContains(t, shares(t, c, 10), "001", "half of all")
	})
}

// Not too many are ejected, nobody is if it is not wanted, and when everybody else has gone the ejected are better than nothing.
func TestLeastBad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := some(4)
		l := listOf(all...)
		c := chosen(t, l, choose.RoundRobin(), nil)
		for range 100 {
			mustPick(t, c).Done(errDown)
		}
		require.Len(t, shares(t, c, 100), 2)
		never := chosen(t, l, choose.RoundRobin(), &choose.Options{Failures: -1})
		for range 100 {
			mustPick(t, never).Done(errDown)
		}
		require.Len(t, shares(t, never, 100), 4)

		fresh := chosen(t, l, choose.RoundRobin(), nil)
		spoil(t, fresh, "000")
		spoil(t, fresh, "001")
		l.set(all[:2]...)
		require.Len(t, shares(t, fresh, 100), 2)
		l.set(all[0], one("more", status(discovery.Starting)))
		require.Equal(t, []string{"000"}, ids(shares(t, fresh, 100)))
		l.set(one("more", status(discovery.Starting)))
		require.Equal(t, []string{"more"}, ids(shares(t, fresh, 100)))
	})
}

// What was learnt of an instance stays when its data change, and goes when the process is another one.
func TestWhoIsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listOf(some(4)...)
		c := chosen(t, l, choose.RoundRobin(), nil)
		spoil(t, c, "001")
		l.set(some(4, weight(3))...)
		require.NotContains(t, shares(t, c, 100), "001")
		l.set(some(4, func(e *entry) { e.Registered = time.UnixMilli(5) })...)
		require.Contains(t, shares(t, c, 100), "001")
		spoil(t, c, "001")
		l.set(some(4, func(e *entry) { e.Registered, e.Port = time.UnixMilli(5), 26 })...)
		require.Contains(t, shares(t, c, 100), "001")
		spoil(t, c, "001")
		l.set(some(4, func(e *entry) { e.Registered, e.Port, e.TLSPort = time.UnixMilli(5), 26, 465 })...)
		require.Contains(t, shares(t, c, 100), "001")
	})
}

// Who has come gets its share little by little; of who was there nobody does.
func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range map[string]choose.Strategy{
			"round robin": choose.RoundRobin(), "random": choose.Random(), "weighted": choose.Weighted(), "least": choose.LeastOutstanding(), "two": choose.TwoChoices(),
		} {
			l := listOf(some(3)...)
			c := chosen(t, l, s, &choose.Options{SlowStart: 10 * time.Second})
			require.Len(t, shares(t, c, 1000), 3)
			l.set(some(4)...)
			last := 0
			for _, later := range []time.Duration{0, 5 * time.Second, 6 * time.Second} {
				time.Sleep(later)
				n := shares(t, c, 4000)["003"]
				require.Greater(t, n, last, name)
				last = n
			}
			mustBeShare(t, name, 0.25, last, 4000)
		}
		l := listOf()
		c := chosen(t, l, choose.RoundRobin(), &choose.Options{SlowStart: time.Minute})
		l.set(some(2)...)
		require.Len(t, shares(t, c, 100), 2, "all of them are new, and somebody has to")
	})
}

// Everybody has a part, parts differ, whoever comes or goes changes little, and together they are even.
func TestSubset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers, fleet, size = 300, 50, 10
		all := some(fleet)
		l := listOf(all...)
		load := map[string]int{}
		for i := range callers {
			o := &choose.Options{Subset: size, Self: fmt.Sprint("caller-", i)}
			c := chosen(t, l, choose.RoundRobin(), o)
			mine := ids(shares(t, c, size))
			require.Len(t, mine, size)
			for _, id := range mine {
				load[id]++
			}
			if i%10 == 0 {
				require.Equal(t, mine, ids(shares(t, chosen(t, l, choose.RoundRobin(), o), size)), "it does not depend on chance")
				less := listOf(slices.DeleteFunc(some(fleet), func(e *entry) bool { return e.ID == mine[0] })...)
				other := ids(shares(t, chosen(t, less, choose.RoundRobin(), o), size))
				kept := slices.DeleteFunc(other, func(id string) bool { return !slices.Contains(mine, id) })
				require.Len(t, kept, size-1)
			}
		}
		for id, n := range load {
			mustBeShare(t, id, float64(size)/fleet, n, callers)
		}
		require.Len(t, shares(t, chosen(t, listOf(some(5)...), choose.RoundRobin(), &choose.Options{Subset: size}), 100), 5)
	})
}

// Callers who know their numbers load all instances alike, exactly.
func TestAperture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, size := range [][3]int{{7, 20, 3}, {20, 7, 3}, {10, 10, 10}, {3, 100, 5}, {100, 3, 2}} {
			callers, fleet, subset := size[0], size[1], size[2]
			load := map[string]int{}
			const picks = 2000
			for i := range callers {
				c := chosen(t, listOf(some(fleet)...), choose.Random(), &choose.Options{Subset: subset, Index: i, Of: callers})
				mine := shares(t, c, picks)
				require.GreaterOrEqual(t, len(mine), min(subset, fleet), "%v", size)
				for id, n := range mine {
					load[id] += n
				}
			}
			require.Len(t, load, fleet, "%v", size)
			for id, n := range load {
				mustBeShare(t, fmt.Sprint(size, id), 1/float64(fleet), n, callers*picks)
			}
		}
	})
}

// Instances come, go and fail while many choose: nobody is chosen that is not there, and it is all well in the end.
func TestManyAtOnce(t *testing.T) {
	l := listOf(some(8)...)
	for name, s := range map[string]choose.Strategy{
		"round robin": choose.RoundRobin(), "random": choose.Random(), "weighted": choose.Weighted(),
		"least": choose.LeastOutstanding(), "two": choose.TwoChoices(), "sticky": choose.Sticky(),
	} {
		t.Run(name, func(t *testing.T) {
			c := chosen(t, l, s, &choose.Options{Eject: time.Microsecond, SlowStart: time.Millisecond, Subset: 6, Zone: "eu"})
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					for i := range 3000 {
						p, err := c.Pick()
						if i%5 == 0 {
							p, err = c.PickFor(fmt.Sprint(i))
						}
						if err != nil || p.Entry == nil {
							t.Error(err)
							return
						}
						if i%3 == 0 {
							p.Done(errDown)
						} else {
							p.Done(nil)
						}
					}
				})
			}
			for i := range 200 {
				l.mu.Lock()
				l.all = some(3+i%6, weight(i%3), zone([]string{"eu", "us"}[i%2]))
				close(l.changed)
				l.changed = make(chan struct{})
				l.mu.Unlock()
			}
			all.Wait()
		})
	}
}
