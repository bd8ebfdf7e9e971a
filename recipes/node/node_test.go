package node_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/trouble"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
	"github.com/bellwether-zk/bellwether/recipes/node"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	runs = flag.Int("node.runs", 6, "how many random runs there are")
	seed = flag.Uint64("node.seed", 0, "the first one's; 0: a random one")
)

const path = "/services/mail/1"

func mustKeep(t *testing.T, c *client.Client, data string, opts *node.Options) *node.Node {
	t.Helper()
	n, err := node.Keep(t.Context(), c, path, []byte(data), opts)
	require.NoError(t, err)
	return n
}

// look returns what is at the path, "" if nothing is.
func look(t *testing.T, c *client.Client) (string, client.Stat) {
	t.Helper()
	require.NoError(t, c.Sync(t.Context(), "/"))
	data, stat, err := c.Get(t.Context(), path)
	if errors.Is(err, client.ErrNoNode) {
		return "", stat
	}
	require.NoError(t, err)
	return string(data), stat
}

// seen collects the states of the node that somebody else sees.
type seen struct {
	mu     sync.Mutex
	states []string
}

func watch(t *testing.T, c *client.Client) *seen {
	s := &seen{}
	ctx := t.Context()
	go func() { // ends with the client
		for n, err := range c.WatchNode(ctx, path) {
			if err != nil {
				return
			}
			s.mu.Lock()
			s.states = append(s.states, fmt.Sprintf("%s %v", n.Data, n.Exists))
			s.mu.Unlock()
		}
	}()
	return s
}

func (s *seen) since() []string {
	time.Sleep(time.Second)
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.states
	s.states = nil
	return out
}

func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		n := mustKeep(t, c, "one", nil)
		require.Equal(t, path, n.Path())
		data, stat := look(t, other)
		require.Equal(t, "one", data)
		require.Equal(t, c.Session().ID(), stat.EphemeralOwner)
		require.Equal(t, node.Status{Present: true, Czxid: stat.Czxid, Session: c.Session().ID()}, n.Status())
		states := watch(t, other)
		require.Equal(t, []string{"one true"}, states.since())

		require.NoError(t, n.Set(ctx, []byte("two")))
		data, stat = look(t, other)
		require.Equal(t, "two", data)
		require.EqualValues(t, 1, stat.Version)
		require.NoError(t, n.Set(ctx, []byte("two")))
		_, same := look(t, other)
		require.Equal(t, stat, same, "nothing to write")
		require.Equal(t, []string{"two true"}, states.since())

		_, err := other.Set(ctx, path, []byte("not yours"), client.AnyVersion)
		require.NoError(t, err)
		lines := states.since()
		require.Equal(t, "two true", lines[len(lines)-1], "it is put right")
		require.NoError(t, other.Delete(ctx, path, client.AnyVersion))
		time.Sleep(time.Second)
		data, again := look(t, other)
		require.Equal(t, "two", data)
		require.Greater(t, again.Czxid, stat.Czxid)
		require.Equal(t, again.Czxid, n.Status().Czxid)

		require.NoError(t, n.Close(ctx))
		data, _ = look(t, other)
		require.Empty(t, data)
		require.False(t, n.Status().Present)
		require.ErrorIs(t, n.Status().Err, node.ErrClosed)
		require.NoError(t, n.Close(ctx))
		require.ErrorIs(t, n.Set(ctx, nil), client.ErrUnknown)
	})
}

// A node is there after one round trip, with what is known of it; seldom after two, if the read has overtaken the create.
func TestKeepTakesOneRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		c := e.Connect(t)
		_, err := c.Create(t.Context(), "/services", nil, nil)
		require.NoError(t, err)
		const way = 20 * time.Millisecond
		e.DelayClient(c, way)
		var trips []int
		for i := range 20 {
			start := time.Now()
			n, err := node.Keep(t.Context(), c, fmt.Sprint("/services/", i), nil, nil)
			require.NoError(t, err)
			trips = append(trips, int(time.Since(start)/(2*way)))
			require.NotZero(t, n.Status().Czxid)
			defer n.Close(context.Background())
		}
		require.Equal(t, 1, slices.Min(trips), trips)
		require.LessOrEqual(t, slices.Max(trips), 2, trips)
	})
}

// Ten reconnects are no change to those who watch, and a hundred reads no write.
func TestReconnectsAreNoChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		c, other := e.Connect(t), e.Connect(t)
		n := mustKeep(t, c, "one", nil)
		defer n.Close(context.Background())
		_, before := look(t, other)
		states := watch(t, other)
		require.Equal(t, []string{"one true"}, states.since())
		for range 10 {
			e.Drop(c)
			time.Sleep(time.Second)
		}
		require.Empty(t, states.since())
		_, after := look(t, other)
		require.Equal(t, before, after)
		require.Equal(t, 1, c.Session().Generation())
		require.True(t, n.Status().Present)
	})
}

// A session that the servers have ended took the node with it; the next one makes it again.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		n := mustKeep(t, c, "one", nil)
		require.NoError(t, e.Expire(t.Context(), c))
		time.Sleep(5 * time.Second)
		data, stat := look(t, other)
		require.Equal(t, "one", data)
		require.Equal(t, c.Session().ID(), stat.EphemeralOwner)
		require.Equal(t, 2, c.Session().Generation())
		require.NoError(t, n.Close(t.Context()))

		view := mustKeep(t, c.Session().Client(), "one", nil)
		statuses := make(chan error)
		go func() { // ends with the session of the view
			var last node.Status
			for last = range view.Watch(t.Context()) {
			}
			statuses <- last.Err
		}()
		require.NoError(t, e.Expire(t.Context(), c))
		require.ErrorIs(t, <-statuses, client.ErrSessionExpired, "a view of one session keeps it for that one")
		require.NoError(t, view.Close(t.Context()))
		time.Sleep(5 * time.Second)
		data, _ = look(t, other)
		require.Empty(t, data)
	})
}

// A session that ends on this side first leaves its node behind, which is not taken for the next one's, and never missed.
func TestTheFormerSessionsNodeIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{SessionTimeout: 30 * time.Second}})
		c, other := e.Connect(t), e.Connect(t)
		n := mustKeep(t, c, "one", nil)
		_, before := look(t, other)
		states := watch(t, other)
		require.Equal(t, []string{"one true"}, states.since())
		old := c.Session()
		_, err := old.Keep(t.Context())
		require.NoError(t, err)
		f := e.Proxy(c).Lose(proxy.Request(proxy.OpConnect, "").Always())
		e.Proxy(c).Drop()
		<-old.Context().Done()
		require.True(t, slices.ContainsFunc(e.Server(1).Sessions(), func(s ensembletest.Session) bool { return s.ID == old.ID() }),
			"the servers do not know yet")
		f.End()
		time.Sleep(2 * time.Second)
		data, after := look(t, other)
		require.Equal(t, "one", data)
		require.Equal(t, c.Session().ID(), after.EphemeralOwner)
		require.Greater(t, after.Czxid, before.Czxid)
		time.Sleep(time.Minute)
		require.NotContains(t, states.since(), " false")
		require.True(t, n.Status().Present)
		require.NoError(t, n.Close(t.Context()))
	})
}

func TestSomebodyElsesNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		theirs := mustKeep(t, other, "theirs", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := node.Keep(ctx, c, path, []byte("ours"), nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, node.ErrTaken)

		kept := make(chan *node.Node)
		go func() { // ends when the node is free
			n, err := node.Keep(t.Context(), c, path, []byte("ours"), nil)
			require.NoError(t, err)
			kept <- n
		}()
		time.Sleep(time.Minute)
		data, _ := look(t, c)
		require.Equal(t, "theirs", data)
		require.NoError(t, theirs.Close(t.Context()))
		ours := <-kept
		data, _ = look(t, c)
		require.Equal(t, "ours", data)

		_, err = other.Create(t.Context(), "/plain", nil, nil)
		require.NoError(t, err)
		bounded, cancelled := context.WithTimeout(t.Context(), time.Minute)
		defer cancelled()
		_, err = node.Keep(bounded, c, "/plain", nil, nil)
		require.ErrorIs(t, err, node.ErrTaken, "it is nobody's, and not to be removed")
		taker := mustKeep(t, other, "taken", &node.Options{Replace: true})
		time.Sleep(time.Second)
		require.ErrorIs(t, ours.Status().Err, node.ErrTaken)
		require.NoError(t, ours.Close(t.Context()), "it is not touched")
		data, _ = look(t, c)
		require.Equal(t, "taken", data)
		require.NoError(t, taker.Close(t.Context()))
	})
}

// What can never be there is refused at once.
func TestNoSuchNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.Start(t, 1, nil).Connect(t)
		for _, bad := range []string{"", "relative", "/a/../b", "/a/"} {
			_, err := node.Keep(t.Context(), c, bad, nil, nil)
			require.ErrorIs(t, err, client.ErrInvalidPath, bad)
		}
	})
}

// Who has no patience with somebody else's node is told so, and has left nothing; the node of one who has died is waited for.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		theirs := mustKeep(t, other, "theirs", nil)
		began := time.Now()
		_, err := node.Keep(t.Context(), c, path, []byte("ours"), &node.Options{Patience: -1})
		require.ErrorIs(t, err, node.ErrTaken)
		require.Zero(t, time.Since(began))
		_, err = node.Keep(t.Context(), c, path, []byte("ours"), &node.Options{Patience: 20 * time.Second})
		require.ErrorIs(t, err, node.ErrTaken)
		require.Equal(t, 20*time.Second, time.Since(began))
		require.True(t, theirs.Status().Present)

		e.CutClient(other)
		ours := mustKeep(t, c, "ours", &node.Options{Patience: 20 * time.Second})
		data, _ := look(t, c)
		require.Equal(t, "ours", data)
		e.Heal()
		require.NoError(t, theirs.Close(t.Context()))
		taker := mustKeep(t, other, "taken", &node.Options{Replace: true})
		time.Sleep(time.Minute)
		require.ErrorIs(t, ours.Status().Err, node.ErrTaken)
		require.NoError(t, taker.Close(t.Context()))
		time.Sleep(time.Second)
		require.True(t, ours.Status().Present, "once it was kept there is patience")
		require.NoError(t, ours.Close(t.Context()))
	})
}

// Two who take a node from each other leave the servers time for something else.
func TestReplaceIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		one := mustKeep(t, e.Connect(t), "one", &node.Options{Replace: true})
		two := mustKeep(t, e.Connect(t), "two", &node.Options{Replace: true})
		_, before := look(t, e.Connect(t))
		time.Sleep(10 * time.Second)
		_, after := look(t, e.Connect(t))
		require.Less(t, after.Czxid-before.Czxid, int64(1000))
		require.NoError(t, one.Close(t.Context()))
		require.NoError(t, two.Close(t.Context()))
		data, _ := look(t, e.Connect(t))
		require.Empty(t, data)
	})
}

// Whatever answer is lost, the node is there as it should be, once.
func TestLostAnswers(t *testing.T) {
	for _, op := range []proxy.Op{proxy.OpCreate, proxy.OpSetData, proxy.OpDelete, proxy.OpGetData, proxy.OpMulti, proxy.OpSync, proxy.OpExists} {
		for _, request := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				e := ensembletest.Start(t, 1, nil)
				c, other := e.Connect(t), e.Connect(t)
				match := proxy.Reply(op, "")
				if request {
					match = proxy.Request(op, "")
				}
				e.Proxy(c).Lose(match.Times(3))
				theirs := mustKeep(t, other, "theirs", nil)
				n := mustKeep(t, c, "one", &node.Options{Replace: true})
				require.NoError(t, theirs.Close(t.Context()))
				require.NoError(t, n.Set(t.Context(), []byte("two")))
				data, stat := look(t, other)
				require.Equal(t, "two", data)
				require.Equal(t, c.Session().ID(), stat.EphemeralOwner)
				require.NoError(t, n.Close(t.Context()))
				data, _ = look(t, other)
				require.Empty(t, data)
			})
		}
	}
}

func TestTimeToLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, &ensembletest.Options{Server: ensemble.Options{TTLNodes: true}})
		c, other := e.Connect(t), e.Connect(t)
		_, err := node.Keep(ctx, c, path, nil, &node.Options{TTL: time.Millisecond})
		require.ErrorIs(t, err, client.ErrBadArguments)
		opts := &node.Options{TTL: time.Minute}
		n := mustKeep(t, c, "one", opts)
		data, stat := look(t, other)
		require.Equal(t, "one", data)
		require.Zero(t, stat.EphemeralOwner)
		_, there, err := other.Exists(ctx, path+"/touch")
		require.NoError(t, err)
		require.True(t, there)
		states := watch(t, other)
		require.Equal(t, []string{"one true"}, states.since())
		for range 10 {
			time.Sleep(time.Minute)
			e.Sweep(ctx)
		}
		require.NoError(t, e.Expire(ctx, c))
		time.Sleep(5 * time.Second)
		require.Empty(t, states.since(), "it outlives its session, and to touch it is no change")
		_, now := look(t, other)
		require.Equal(t, stat.Czxid, now.Czxid)
		require.NoError(t, n.Close(ctx))
		data, _ = look(t, other)
		require.Empty(t, data)

		mustKeep(t, c, "two", opts)
		c.Close()
		time.Sleep(30 * time.Second)
		e.Sweep(ctx)
		data, _ = look(t, other)
		require.Equal(t, "two", data)
		for range 2 {
			time.Sleep(2 * time.Minute)
			e.Sweep(ctx)
		}
		data, _ = look(t, other)
		require.Empty(t, data, "nobody touches it any more")
	})
}

// Servers that have not been told to allow nodes with a time to live refuse them, which nobody waits for in vain.
func TestNoTimeToLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.Start(t, 1, nil).Connect(t)
		began := time.Now()
		_, err := node.Keep(t.Context(), c, path, nil, &node.Options{TTL: time.Minute})
		require.ErrorIs(t, err, client.ErrUnimplemented)
		require.Zero(t, time.Since(began))
		_, there, err := c.Exists(t.Context(), path)
		require.NoError(t, err)
		require.False(t, there)
	})
}

// A node with a time to live whose owner may not touch it for a while is touched as soon as that is possible again, and its owner knows.
func TestTouchIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, &ensembletest.Options{Server: ensemble.Options{TTLNodes: true}})
		c, other := e.Connect(t), e.Connect(t)
		n := mustKeep(t, c, "one", &node.Options{TTL: time.Minute})
		_, stat := look(t, other)
		allow := func(perms client.Perm) {
			t.Helper()
			_, err := other.SetACL(ctx, path+"/touch", client.WorldACL(perms|client.PermAdmin), client.AnyVersion)
			require.NoError(t, err)
		}
		allow(client.PermRead)
		time.Sleep(40 * time.Second)
		require.False(t, n.Status().Present)
		require.ErrorIs(t, n.Status().Err, client.ErrNoAuth)
		allow(client.PermAll)
		for range 5 {
			time.Sleep(30 * time.Second)
			_, err := e.Sweep(ctx)
			require.NoError(t, err)
		}
		require.True(t, n.Status().Present)
		_, now := look(t, other)
		require.Equal(t, stat.Czxid, now.Czxid, "it was never gone")
		require.NoError(t, n.Close(ctx))
	})
}

// A node with a time to live that went while its owner was cut off is there again when the owner is, who is told that it is another one. Its
// parents may have gone with it.
func TestTimeToLiveIsOver(t *testing.T) {
	for name, away := range map[string]time.Duration{"in the same session": 20 * time.Second, "in another session": 5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				e := ensembletest.Start(t, 1, &ensembletest.Options{
					Server: ensemble.Options{TTLNodes: true}, Client: client.Options{SessionTimeout: 30 * time.Second},
				})
				c, other := e.Connect(t), e.Connect(t)
				n := mustKeep(t, c, "one", &node.Options{TTL: 2 * time.Second})
				old, session := n.Status(), c.Session()
				e.CutClient(c)
				time.Sleep(away - 10*time.Second)
				require.Equal(t, away > time.Minute, n.Status().Err != nil, "as the session is over")
				for range 4 { // the child goes first, and the parents last
					_, err := e.Sweep(ctx)
					require.NoError(t, err)
					time.Sleep(2500 * time.Millisecond)
				}
				_, there, err := other.Exists(ctx, "/services")
				require.NoError(t, err)
				require.False(t, there)
				e.Heal()
				time.Sleep(15 * time.Second)
				require.Equal(t, away > time.Minute, session.Err() != nil)
				data, stat := look(t, other)
				require.Equal(t, "one", data)
				require.Greater(t, stat.Czxid, old.Czxid)
				require.Equal(t, node.Status{Present: true, Czxid: stat.Czxid, Session: c.Session().ID()}, n.Status())
				require.NoError(t, n.Close(ctx))
			})
		})
	}
}

// Close is bounded by its context, and what it began goes on.
func TestCloseInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		n := mustKeep(t, c, "one", nil)
		f := e.Proxy(c).Lose(proxy.Request(proxy.OpConnect, "").Always())
		e.Proxy(c).Drop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, n.Close(ctx), client.ErrUnknown)
		data, _ := look(t, other)
		require.Equal(t, "one", data)
		f.End()
		require.NoError(t, n.Close(t.Context()))
		data, _ = look(t, other)
		require.Empty(t, data)
		require.Equal(t, 1, c.Session().Generation())

		left := mustKeep(t, c, "one", nil)
		c.Close()
		require.NoError(t, left.Close(t.Context()), "it went with the client")
		data, _ = look(t, other)
		require.Empty(t, data)
		_, err := node.Keep(t.Context(), c, path, nil, nil)
		require.ErrorIs(t, err, client.ErrClosed)
	})
}

func TestWithoutPermission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		for _, p := range []string{"/services", "/services/mail"} {
			_, err := other.Create(ctx, p, nil, nil)
			require.NoError(t, err)
		}
		_, err := other.SetACL(ctx, "/services/mail", client.WorldACL(client.PermRead|client.PermAdmin), 0)
		require.NoError(t, err)
		bounded, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		_, err = node.Keep(bounded, c, path, nil, nil)
		require.ErrorIs(t, err, client.ErrNoAuth)
		_, err = other.SetACL(ctx, "/services/mail", client.WorldACL(client.PermAll), 1)
		require.NoError(t, err)
		n := mustKeep(t, c, "one", nil)
		_, err = other.SetACL(ctx, "/services/mail", client.WorldACL(client.PermRead|client.PermAdmin), 2)
		require.NoError(t, err)
		require.ErrorIs(t, n.Close(ctx), client.ErrNoAuth, "it stays until the session ends")
	})
}

// Whatever befalls it, its client and the servers, the node is there again when there is quiet, as it was last wished for, and gone after Close.
func TestRandomFaults(t *testing.T) {
	first := *seed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	runs := *runs
	if testing.Short() {
		runs = min(runs, 2)
	}
	struck := map[string]int{}
	for seed := first; seed < first+uint64(runs); seed++ {
		synctest.Test(t, func(t *testing.T) { amongFaults(t, rand.New(rand.NewPCG(seed, 8)), struck) })
		if t.Failed() {
			t.Fatalf("it was seed %d", seed)
		}
	}
	t.Logf("faults that took effect: %v", struck)
}

func amongFaults(t *testing.T, r *rand.Rand, struck map[string]int) {
	var seenBy telemetrytest.Recorder
	e := ensembletest.Start(t, 3, &ensembletest.Options{Client: client.Options{
		SessionTimeout: 10 * time.Second, TracerProvider: seenBy.TracerProvider(), MeterProvider: seenBy.MeterProvider(),
	}})
	c, other := e.Connect(t), e.Connect(t)
	wish := "0"
	n := mustKeep(t, c, wish, nil)
	maker := trouble.New(e, r)
	remove := func(ctx context.Context) bool { return other.Delete(ctx, path, client.AnyVersion) == nil }
	overwrite := func(ctx context.Context) bool {
		_, err := other.Set(ctx, path, []byte("wrong"), client.AnyVersion)
		return err == nil
	}
	for range 3 { // as often as this
		maker.Also("removed", remove)
		maker.Also("overwritten", overwrite)
	}
	maker.Also("expired", func(ctx context.Context) bool { return e.Expire(ctx, c) == nil })
	maker.Also("foreign sibling", func(ctx context.Context) bool {
		_, err := other.Create(ctx, path+"-", nil, &client.CreateOptions{Mode: client.EphemeralSequential})
		return err == nil
	})
	for i := range 60 {
		maker.Strike(c)
		if r.IntN(8) == 0 {
			wish = fmt.Sprint(i)
			bounded, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(2000))*time.Millisecond)
			_ = n.Set(bounded, []byte(wish))
			cancel()
		}
		time.Sleep(time.Duration(r.IntN(4000)) * time.Millisecond)
	}
	require.NoError(t, maker.End(t.Context()))
	for what, n := range maker.Struck() {
		struck[what] += n
	}
	time.Sleep(2 * time.Minute)
	data, stat := look(t, other)
	require.Equal(t, wish, data)
	require.Equal(t, c.Session().ID(), stat.EphemeralOwner)
	require.Equal(t, node.Status{Present: true, Czxid: stat.Czxid, Session: c.Session().ID()}, n.Status())
	require.EqualValues(t, 1, seenBy.Sum("bellwether.node.presence.count"))
	require.NoError(t, n.Close(t.Context()))
	data, _ = look(t, other)
	require.Empty(t, data)
	synctest.Wait()
	require.Empty(t, seenBy.Open(), "each span ends, and each count goes back")
}

// Data that the client never sends are refused at once, and are in the way of no others.
func TestTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.Start(t, 1, nil).Connect(t)
		began := time.Now()
		huge := make([]byte, client.DefaultMaxFrame)
		_, err := node.Keep(t.Context(), c, path, huge, nil)
		require.ErrorIs(t, err, client.ErrTooLarge)
		n, err := node.Begin(t.Context(), c, path, huge, nil)
		require.NoError(t, err)
		require.ErrorIs(t, n.Await(t.Context()), client.ErrTooLarge)
		require.False(t, n.Status().Present)
		require.NoError(t, n.Set(t.Context(), []byte("a")))
		before := n.Status()
		err = n.Set(t.Context(), huge)
		require.ErrorIs(t, err, client.ErrTooLarge)
		require.NotErrorIs(t, err, client.ErrUnknown)
		require.Zero(t, time.Since(began))
		require.Equal(t, before, n.Status())
		require.NoError(t, c.Delete(t.Context(), path, client.AnyVersion))
		time.Sleep(time.Minute)
		data, _ := look(t, c)
		require.Equal(t, "a", data)
		require.NoError(t, n.Set(t.Context(), []byte("b")))
		data, _ = look(t, c)
		require.Equal(t, "b", data)
		require.NoError(t, n.Close(t.Context()))
	})
}
