package discovery_test

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/bellwether-zk/bellwether/recipes/cache"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/node"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const base = "/services"

type (
	registry = discovery.Registry[string]
	instance = discovery.Instance[string]
)

func registryOf(c *client.Client) *registry { return discovery.NewRegistry[string](c, base, nil) }

// mail is an instance of the service that tests are about. Its port tells it from others.
func mail(id string, port int) instance {
	return instance{Name: "mail", ID: id, Address: "10.0.0.7", Port: port, Payload: "smtp"}
}

func mustRegister(t *testing.T, r *registry, i instance, opts *discovery.RegisterOptions) *discovery.Registration[string] {
	t.Helper()
	g, err := r.Register(t.Context(), i, opts)
	require.NoError(t, err)
	return g
}

func mustLookup(t *testing.T, c *client.Client, opts *discovery.LookupOptions) *discovery.Service[string] {
	t.Helper()
	require.NoError(t, c.Sync(t.Context(), "/"))
	s, err := registryOf(c).Lookup(t.Context(), "mail", opts)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// brief is an entry in a few words.
func brief(e *discovery.Entry[string]) string {
	s := fmt.Sprintf("%s:%d", e.ID, e.Port)
	if !e.Available() {
		s += " " + string(e.Status)
	}
	if !e.Lost.IsZero() {
		s += " lost"
	}
	if e.Err != nil {
		s += " unreadable"
	}
	return s
}

func briefs(all []*discovery.Entry[string]) string {
	var out []string
	for _, e := range all {
		out = append(out, brief(e))
	}
	return strings.Join(out, ", ")
}

// mustStand shows what the servers have of the service.
func mustStand(t *testing.T, c *client.Client, want string) []*discovery.Entry[string] {
	t.Helper()
	require.NoError(t, c.Sync(t.Context(), "/"))
	all, err := registryOf(c).Inspect(t.Context(), "mail")
	require.NoError(t, err)
	require.Equal(t, want, briefs(all))
	return all
}

// told collects in the background what a loop over a service is told.
type told struct {
	mu    sync.Mutex
	lines []string
}

func listen(ctx context.Context, s *discovery.Service[string]) *told {
	l := &told{}
	go func() { // ends with ctx or the service
		for c := range s.Watch(ctx) {
			line := c.Kind.String()
			switch {
			case c.New != nil:
				line += " " + brief(c.New)
			case c.Old != nil:
				line += " " + brief(c.Old)
			}
			l.mu.Lock()
			l.lines = append(l.lines, line)
			l.mu.Unlock()
		}
	}()
	return l
}

// since returns what was told since the last call, when nothing happens any more.
func (l *told) since() string {
	time.Sleep(time.Second)
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.lines
	l.lines = nil
	return strings.Join(out, ", ")
}

func TestRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		r := registryOf(c)
		names, err := r.Names(ctx)
		require.NoError(t, err)
		require.Empty(t, names, "nobody has registered anything, and that is no failure")
		s := mustLookup(t, other, nil)
		require.Equal(t, "mail", s.Name())
		require.Empty(t, s.Instances())
		changes := listen(ctx, s)
		require.Equal(t, "current", changes.since())

		g := mustRegister(t, r, mail("one", 25), nil)
		all := mustStand(t, other, "one:25")
		require.Equal(t, base+"/mail/one", g.Path())
		require.Equal(t, g.Path(), all[0].Path)
		require.Equal(t, c.Session().ID(), all[0].Owner)
		require.Equal(t, node.Status{Present: true, Czxid: all[0].Token, Session: c.Session().ID()}, g.Status())
		require.Equal(t, time.Now(), all[0].Since)
		require.WithinDuration(t, time.Now(), all[0].Registered, 2*time.Second)
		require.Equal(t, "smtp", all[0].Payload)
		require.Equal(t, "added one:25", changes.since())
		require.Equal(t, all, s.Instances())
		names, err = r.Names(ctx)
		require.NoError(t, err)
		require.Equal(t, []string{"mail"}, names)

		nameless := mustRegister(t, r, instance{Name: "mail", Address: "10.0.0.8"}, nil)
		require.Len(t, nameless.Instance().ID, 36)
		require.NoError(t, nameless.Close(ctx))
		changes.since()

		require.NoError(t, g.Update(ctx, func(i *instance) { i.Port, i.Status = 26, discovery.Starting }))
		require.Equal(t, "changed one:26 starting", changes.since())
		require.NoError(t, g.Update(ctx, func(i *instance) {}))
		require.Empty(t, changes.since(), "nothing to write")
		require.ErrorIs(t, g.Update(ctx, func(i *instance) { i.ID = "two" }), client.ErrBadArguments)
		require.Equal(t, 26, g.Instance().Port)
		now := mustStand(t, other, "one:26 starting")
		require.Equal(t, all[0].Token, now[0].Token, "in place")

		_, err = other.Set(ctx, g.Path(), []byte("{}"), client.AnyVersion)
		require.NoError(t, err)
		changes.since()
		mustStand(t, other, "one:26 starting")
		require.NoError(t, r.Remove(ctx, "mail", "one"))
		time.Sleep(time.Second)
		mustStand(t, other, "one:26 starting")

		require.NoError(t, g.Close(ctx))
		mustStand(t, other, "")
		require.False(t, g.Status().Present)
		require.ErrorIs(t, g.Status().Err, node.ErrClosed)
		require.NoError(t, g.Close(ctx))
		require.ErrorIs(t, g.Update(ctx, func(*instance) {}), node.ErrClosed)
		require.ErrorIs(t, r.Remove(ctx, "mail", "one"), client.ErrNoNode, "it says so")
	})
}

func TestBadArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.Start(t, 1, nil).Connect(t)
		r := registryOf(c)
		for _, i := range []instance{{}, {Name: "a/b"}, {Name: "mail", ID: ".."}, {Name: "mail", ID: "a/b"}} {
			_, err := r.Register(ctx, i, nil)
			require.ErrorIs(t, err, client.ErrBadArguments, "%+v", i)
		}
		_, err := r.Register(ctx, instance{Name: "mail\x00"}, nil)
		require.ErrorIs(t, err, client.ErrInvalidPath)
		_, err = r.Register(ctx, instance{Name: "mail", Type: discovery.Permanent}, &discovery.RegisterOptions{
			Check: func(context.Context) error { return nil },
		})
		require.ErrorIs(t, err, client.ErrBadArguments)
		_, err = discovery.NewRegistry[chan int](c, base, nil).Register(ctx, discovery.Instance[chan int]{Name: "mail", Payload: make(chan int)}, nil)
		require.ErrorIs(t, err, client.ErrBadArguments)
		_, err = r.Lookup(ctx, "", nil)
		require.ErrorIs(t, err, client.ErrBadArguments)
		_, err = r.Inspect(ctx, "")
		require.ErrorIs(t, err, client.ErrBadArguments)
		require.ErrorIs(t, r.Remove(ctx, "mail", ""), client.ErrBadArguments)
		names, err := r.Names(ctx)
		require.NoError(t, err)
		require.Empty(t, names)
	})
}

// D1: ten reconnects of a registrant, and ten of its watcher, are no change at all.
func TestReconnectsAreNoChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		c, other := e.Connect(t), e.Connect(t)
		for i := range 3 {
			mustRegister(t, registryOf(c), mail(fmt.Sprint(i), i), nil)
		}
		changes := listen(t.Context(), mustLookup(t, other, nil))
		require.Equal(t, "added 0:0, added 1:1, added 2:2, current", changes.since())
		_, before, err := other.Get(t.Context(), base+"/mail/1")
		require.NoError(t, err)
		for range 10 {
			e.Drop(c)
			time.Sleep(time.Second)
		}
		require.Empty(t, changes.since())
		_, after, err := other.Get(t.Context(), base+"/mail/1")
		require.NoError(t, err)
		require.Equal(t, before, after)
		require.Equal(t, 1, c.Session().Generation())
		for range 10 {
			e.Drop(other)
			time.Sleep(time.Second)
		}
		require.Empty(t, strings.Trim(strings.NewReplacer("stale", "", "current", "").Replace(changes.since()), ", "), "it tells that it did not know")
	})
}

// D2 and D9: an instance whose session has died while its node stands is registered by the next session, never missing, and never with the
// dead one's node; and however often somebody is faster.
func TestTheDeadSessionsNodeIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{SessionTimeout: 30 * time.Second}})
		c, other := e.Connect(t), e.Connect(t)
		g := mustRegister(t, registryOf(c), mail("one", 25), nil)
		changes := listen(t.Context(), mustLookup(t, other, nil))
		require.Equal(t, "added one:25, current", changes.since())
		old := c.Session()
		release, err := old.Keep(t.Context())
		require.NoError(t, err)
		defer release()
		f := e.Proxy(c).Lose(proxy.Request(proxy.OpConnect, "").Always())
		e.Proxy(c).Drop()
		<-old.Context().Done()
		require.Equal(t, old.ID(), mustStand(t, other, "one:25")[0].Owner, "the servers do not know yet")
		f.End()
		require.Equal(t, "changed one:25", changes.since())
		now := mustStand(t, other, "one:25")
		require.Equal(t, c.Session().ID(), now[0].Owner)
		time.Sleep(time.Minute)
		require.Empty(t, changes.since())
		require.NoError(t, g.Close(t.Context()))

		again := mustRegister(t, registryOf(c), mail("one", 25), nil)
		for range 20 {
			_ = other.Delete(t.Context(), again.Path(), client.AnyVersion)
			_, _ = other.Create(t.Context(), again.Path(), []byte("{}"), nil)
			_ = other.Delete(t.Context(), again.Path(), client.AnyVersion)
		}
		time.Sleep(time.Minute)
		mustStand(t, other, "one:25")
		require.True(t, again.Status().Present)
	})
}

// A process that starts again has its instance at once; who claims the id for another address waits; of two of one address the later has it.
func TestFormerLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		dead, c, other := e.Connect(t), e.Connect(t), e.Connect(t)
		former := mustRegister(t, registryOf(dead), mail("one", 25), nil)
		changes := listen(ctx, mustLookup(t, other, nil))
		require.Equal(t, "added one:25, current", changes.since())
		e.CutClient(dead)
		g := mustRegister(t, registryOf(c), mail("one", 25), nil)
		require.Equal(t, "changed one:25", changes.since())
		require.Equal(t, c.Session().ID(), mustStand(t, other, "one:25")[0].Owner)

		bounded, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		_, err := registryOf(other).Register(bounded, mail("one", 26), nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, node.ErrTaken)
		e.Heal()
		time.Sleep(time.Minute)
		require.Equal(t, c.Session().ID(), mustStand(t, other, "one:25")[0].Owner, "who had it before does not take it again")
		require.ErrorIs(t, former.Status().Err, node.ErrTaken)
		require.NoError(t, g.Close(ctx))
		time.Sleep(time.Second)
		require.Equal(t, dead.Session().ID(), mustStand(t, other, "one:25")[0].Owner, "but when it is free")
		require.NoError(t, former.Close(ctx))
	})
}

// D3: an instance that was replaced while the watcher was away, with the same id and the same version, is seen.
func TestReplacedWhileAway(t *testing.T) {
	for _, outage := range []time.Duration{2 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 3, nil)
			c, other := e.Connect(t), e.Connect(t)
			g := mustRegister(t, registryOf(c), mail("one", 1111), nil)
			mustRegister(t, registryOf(c), mail("two", 2), nil)
			s := mustLookup(t, other, nil)
			changes := listen(t.Context(), s)
			require.Equal(t, "added one:1111, added two:2, current", changes.since())
			f := e.Proxy(other).Lose(proxy.Request(proxy.OpConnect, "").Always())
			e.Proxy(other).Drop()
			synctest.Wait()
			cut := time.Now()
			require.NoError(t, g.Close(t.Context()))
			mustRegister(t, registryOf(c), mail("one", 2222), nil)
			time.Sleep(outage)
			require.Equal(t, "one:1111, two:2", briefs(s.Instances()), "D8: the last known")
			require.Equal(t, cut, s.StaleSince())
			require.Equal(t, "stale", changes.since())
			f.End()
			_, err := other.AwaitSession(t.Context())
			require.NoError(t, err)
			time.Sleep(10 * time.Second)
			require.Zero(t, s.StaleSince())
			require.Equal(t, "changed one:2222, current", changes.since())
		})
	}
}

// D4: two services with one id are two, and two instances of one id of one registry are refused.
func TestKeyIsServiceAndID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		r := registryOf(c)
		one := mustRegister(t, r, mail("one", 25), nil)
		web := mustRegister(t, r, instance{Name: "web", ID: "one", Address: "10.0.0.7", Port: 80}, nil)
		_, err := r.Register(ctx, mail("one", 25), nil)
		require.ErrorIs(t, err, client.ErrNodeExists)
		require.NoError(t, web.Close(ctx))
		mustStand(t, c, "one:25")
		all, err := r.Inspect(ctx, "web")
		require.NoError(t, err)
		require.Empty(t, all)
		require.NoError(t, one.Close(ctx))
		again := mustRegister(t, r, mail("one", 26), nil)
		mustStand(t, c, "one:26")
		mustRegister(t, r, instance{Name: "web", ID: "one"}, nil)
		require.NoError(t, r.Close(ctx))
		require.False(t, again.Status().Present)
		mustStand(t, c, "")
		all, err = r.Inspect(ctx, "web")
		require.NoError(t, err)
		require.Empty(t, all)
	})
}

// D6: a sequential instance is found again, by update and by close; two may have one id.
func TestSequential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		r := registryOf(c)
		e.Proxy(c).Lose(proxy.Reply(proxy.OpCreate, base+"/mail/*"))
		i := mail("one", 1)
		i.Type = discovery.DynamicSequential
		one := mustRegister(t, r, i, nil)
		i.Port = 2
		two := mustRegister(t, r, i, nil)
		require.Len(t, mustStand2(t, other), 2, "once each, though an answer was lost")
		require.NoError(t, one.Update(ctx, func(i *instance) { i.Port = 3 }))
		require.ElementsMatch(t, []string{"one:3", "one:2"}, mustStand2(t, other))
		require.NoError(t, e.Expire(ctx, c))
		time.Sleep(10 * time.Second)
		require.ElementsMatch(t, []string{"one:3", "one:2"}, mustStand2(t, other))
		require.NoError(t, one.Close(ctx))
		require.Equal(t, []string{"one:2"}, mustStand2(t, other))
		require.NoError(t, two.Close(ctx))
		mustStand(t, other, "")
	})
}

func mustStand2(t *testing.T, c *client.Client) []string {
	t.Helper()
	all, err := registryOf(c).Inspect(t.Context(), "mail")
	require.NoError(t, err)
	return strings.Split(briefs(all), ", ")
}

// D5, and the types that outlive sessions.
func TestStaticAndPermanent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		r := registryOf(c)
		i := mail("static", 1)
		i.Type, i.Status = discovery.Static, discovery.Down
		static := mustRegister(t, r, i, nil)
		i.ID, i.Type = "permanent", discovery.Permanent
		permanent := mustRegister(t, r, i, &discovery.RegisterOptions{Drain: time.Hour})
		data, _, err := other.Get(ctx, static.Path())
		require.NoError(t, err)
		require.Contains(t, string(data), `"enabled":false`)
		all := mustStand(t, other, "permanent:1 down, static:1 down")
		require.Zero(t, all[0].Owner)
		require.NoError(t, e.Expire(ctx, c))
		time.Sleep(time.Minute)
		mustStand(t, other, "permanent:1 down, static:1 down")
		require.NoError(t, r.Close(ctx))
		mustStand(t, other, "permanent:1 down")
		require.ErrorIs(t, permanent.Status().Err, node.ErrClosed)
		again := mustRegister(t, r, mail("permanent", 1), nil)
		require.ErrorIs(t, again.Status().Err, nil)
	})
}

// Close drains, then removes; it is bounded, and what it began goes on.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		r := registryOf(c)
		changes := listen(ctx, mustLookup(t, other, nil))
		opts := &discovery.RegisterOptions{Drain: 20 * time.Second}
		mustRegister(t, r, mail("one", 1), opts)
		mustRegister(t, r, mail("two", 2), opts)
		changes.since()
		start := time.Now()
		done := make(chan error)
		go func() { done <- r.Close(ctx) }() // ends when all are gone
		require.Contains(t, changes.since(), "changed one:1 draining")
		require.NoError(t, <-done)
		require.Equal(t, 20*time.Second, time.Since(start).Round(time.Second), "both at once")
		mustStand(t, other, "")

		g := mustRegister(t, r, mail("one", 1), opts)
		bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		require.ErrorIs(t, g.Close(bounded), client.ErrUnknown)
		require.NoError(t, g.Close(ctx))
		require.Less(t, time.Since(start), 30*time.Second, "it does not drain any longer")
		mustStand(t, other, "")

		g = mustRegister(t, r, mail("one", 1), nil)
		f := e.Proxy(c).Lose(proxy.Request(proxy.OpConnect, "").Always())
		e.Proxy(c).Drop()
		updated := make(chan error)
		go func() { updated <- g.Update(ctx, func(i *instance) { i.Port = 9 }) }() // ends with the registration
		synctest.Wait()
		bounded, cancelled := context.WithTimeout(ctx, time.Second)
		defer cancelled()
		require.ErrorIs(t, g.Close(bounded), client.ErrUnknown)
		err := <-updated
		require.ErrorIs(t, err, client.ErrUnknown)
		require.ErrorIs(t, err, node.ErrClosed)
		again := make(chan *discovery.Registration[string])
		go func() { again <- mustRegister(t, r, mail("one", 3), nil) }() // ends when it stands
		time.Sleep(time.Second)
		f.End()
		g = <-again
		time.Sleep(time.Minute)
		mustStand(t, other, "one:3")
		require.NoError(t, c.Close())
		for range g.Watch(ctx) { // ends with the client
		}
		require.NoError(t, g.Close(ctx), "it went with the client")
		mustStand(t, other, "")
	})
}

// What could not be registered in time is not there later.
func TestRegisterIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		f := e.Proxy(c).Freeze(proxy.Reply(proxy.OpAll, "").Always())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := registryOf(c)
		_, err := r.Register(ctx, mail("one", 1), nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		f.End()
		time.Sleep(time.Minute)
		mustStand(t, other, "")
		mustRegister(t, r, mail("one", 1), nil)
		mustStand(t, other, "one:1")
	})
}

// Several are registered in the time of one, or none is.
func TestRegisterAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		r := registryOf(c)
		mustRegister(t, r, mail("first", 1), nil) // so that there is a directory
		const way = 20 * time.Millisecond
		e.DelayClient(c, way)
		start := time.Now()
		all, err := r.RegisterAll(t.Context(), []instance{mail("a", 2), mail("b", 3), mail("c", 4)}, nil)
		require.NoError(t, err)
		require.LessOrEqual(t, time.Since(start), 2*2*way, "one round trip, seldom two")
		for i, g := range all {
			require.True(t, g.Status().Present)
			require.Equal(t, i+2, g.Instance().Port)
		}
		none, err := r.RegisterAll(t.Context(), nil, nil)
		require.NoError(t, err)
		require.Empty(t, none)
		mustStand(t, other, "a:2, b:3, c:4, first:1")

		_, err = r.RegisterAll(t.Context(), []instance{mail("d", 5), mail("first", 6), mail("e", 7)}, &discovery.RegisterOptions{Drain: time.Hour})
		require.ErrorIs(t, err, client.ErrNodeExists, "there is one of this registry")
		require.Less(t, time.Since(start), 2*time.Second, "nobody is waited for who was never noted")
		mustStand(t, other, "a:2, b:3, c:4, first:1")

		theirs := mail("taken", 8)
		mustRegister(t, registryOf(other), theirs, nil)
		theirs.Port = 9
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = r.RegisterAll(ctx, []instance{mail("d", 5), theirs}, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, node.ErrTaken)
		mustStand(t, other, "a:2, b:3, c:4, first:1, taken:8")
	})
}

func mails(count int) (all []instance) {
	for i := range count {
		all = append(all, mail(fmt.Sprintf("%03d", i), i+1))
	}
	return all
}

// Many are registered with a request for each and few transactions, and in two round trips; also if there is no directory, in some more.
func TestRegisterMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		c := e.Connect(t)
		const way = 20 * time.Millisecond
		e.DelayClient(c, way)
		seen := e.Record()
		defer seen.Stop()
		asked := func() map[string]int {
			time.Sleep(time.Second)
			ops := map[string]int{}
			for _, o := range seen.Operations(ensembletest.Match{Session: c.Session().ID()}) {
				ops[o.Op]++
			}
			seen.Reset()
			return ops
		}
		r := registryOf(c)
		register := func() []*discovery.Registration[string] {
			all, err := r.RegisterAll(t.Context(), mails(300), nil)
			require.NoError(t, err)
			for i, g := range all {
				require.True(t, g.Status().Present)
				require.Equal(t, i+1, g.Instance().Port)
			}
			return all
		}
		for _, g := range register() { // without a directory
			_ = g.Close(t.Context())
		}
		mustRegister(t, r, mail("first", 1), nil)
		asked()
		start := time.Now()
		all := register()
		require.Equal(t, 2, int(time.Since(start)/(2*way)))
		require.Equal(t, map[string]int{"multi": 3, "getData": 300}, asked())
		made := map[int64]bool{}
		for _, g := range all {
			made[g.Status().Czxid] = true
		}
		require.Len(t, made, 3)
		require.NoError(t, r.Close(t.Context()))
		mustStand(t, c, "")
	})
}

// One of many that cannot be registered at once is waited for, and keeps nobody else from being listed; in the end it is all or none.
func TestRegisterManyAndOneWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		r := registryOf(c)
		many := mails(20)
		draining := mustRegister(t, r, many[7], &discovery.RegisterOptions{Drain: time.Minute})
		go func() { _ = draining.Close(t.Context()) }() // ends when it is gone
		synctest.Wait()
		start := time.Now()
		type outcome struct {
			all []*discovery.Registration[string]
			err error
		}
		done := make(chan outcome)
		go func() { // ends when the one that drains is gone
			all, err := r.RegisterAll(t.Context(), many, nil)
			done <- outcome{all, err}
		}()
		time.Sleep(time.Second)
		listed, err := registryOf(other).Inspect(t.Context(), "mail")
		require.NoError(t, err)
		require.Len(t, listed, 20, "the one that drains is among them")
		o := <-done
		require.NoError(t, o.err)
		require.Equal(t, time.Minute, time.Since(start).Round(time.Second))
		for _, g := range o.all {
			require.True(t, g.Status().Present)
		}

		mustRegister(t, registryOf(other), mail("theirs", 1), nil)
		more := []instance{mail("theirs", 2)}
		for i := range 20 {
			more = append(more, mail(fmt.Sprint("more-", i), i))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = r.RegisterAll(ctx, more, nil)
		require.ErrorIs(t, err, node.ErrTaken)
		listed, err = registryOf(other).Inspect(t.Context(), "mail")
		require.NoError(t, err)
		require.Len(t, listed, 21)

		seen := e.Record()
		_, err = r.RegisterAll(t.Context(), append(more[1:], mail("a/b", 1)), nil)
		require.ErrorIs(t, err, client.ErrBadArguments)
		time.Sleep(time.Minute)
		require.Empty(t, seen.Operations(ensembletest.Match{}), "nothing was begun")
		seen.Stop()
		require.NoError(t, r.Close(t.Context()))
		mustStand(t, other, "theirs:1")
	})
}

// With a check those that are registered at once are listed when it says so, and RegisterAll waits for none.
func TestRegisterManyWithACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		r := registryOf(e.Connect(t))
		var ill atomic.Bool
		ill.Store(true)
		start := time.Now()
		all, err := r.RegisterAll(t.Context(), mails(20), &discovery.RegisterOptions{Check: func(context.Context) error {
			if ill.Load() {
				return errors.New("ill")
			}
			return nil
		}})
		require.NoError(t, err)
		require.Zero(t, time.Since(start))
		time.Sleep(time.Second)
		mustStand(t, r.Client(), "")
		ill.Store(false)
		time.Sleep(time.Minute)
		for _, g := range all {
			require.True(t, g.Status().Present)
		}
		require.NoError(t, r.Close(t.Context()))
	})
}

// A check decides whether an instance is listed.
func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		var ill atomic.Value
		ill.Store(errors.New("warming up"))
		checks := 0
		opts := &discovery.RegisterOptions{
			CheckEvery: 10 * time.Second, Rise: 2, Fall: 3, Drain: 5 * time.Second,
			Check: func(ctx context.Context) error {
				checks++
				err, _ := ill.Load().(error)
				switch err.Error() {
				case "":
					return nil
				case "slow":
					<-ctx.Done()
					return nil
				}
				return err
			},
		}
		changes := listen(ctx, mustLookup(t, other, nil))
		g := mustRegister(t, registryOf(c), mail("one", 1), opts)
		require.Equal(t, base+"/mail/one", g.Path())
		var states []string
		go func() { // ends with the registration
			for s := range g.Watch(ctx) {
				switch {
				case s.Present:
					states = append(states, "listed")
				case s.Err != nil: // that it is about to be listed may be passed over
					states = append(states, fmt.Sprint(s.Err))
				}
			}
		}()
		time.Sleep(time.Minute)
		require.ErrorIs(t, g.Status().Err, discovery.ErrUnhealthy)
		require.ErrorContains(t, g.Status().Err, "warming up")
		require.NoError(t, g.Update(ctx, func(i *instance) { i.Port = 2 }), "who is not listed has nothing to wait for")
		require.Equal(t, "current", changes.since())
		ill.Store(errors.New(""))
		time.Sleep(9 * time.Second)
		require.Empty(t, changes.since(), "once is not enough")
		time.Sleep(10 * time.Second)
		require.Equal(t, "added one:2", changes.since())
		ill.Store(errors.New("slow"))
		time.Sleep(20 * time.Second)
		require.Empty(t, changes.since())
		time.Sleep(20 * time.Second)
		require.Equal(t, "removed one:2", changes.since())
		require.ErrorContains(t, g.Status().Err, "too long")
		ill.Store(errors.New(""))
		time.Sleep(30 * time.Second)
		require.Equal(t, "added one:2", changes.since())
		require.NoError(t, g.Close(ctx))
		require.Equal(t, "changed one:2 draining, removed one:2 draining", changes.since())
		n := checks
		time.Sleep(time.Minute)
		require.Equal(t, n, checks)
		require.Contains(t, strings.Join(states, "; "), "warming up; listed; instance is not healthy: the check takes too long; listed")
		require.LessOrEqual(t, len(states), 6, "the same again is nothing to tell")
	})
}

// What the client never sends fails at once, and changes nothing: the instance stands as it was, in the next session, too.
func TestTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		r := registryOf(c)
		for _, kind := range []discovery.Type{discovery.Dynamic, discovery.DynamicSequential} {
			i := mail("one", 1)
			i.Type = kind
			huge := i
			huge.Payload = strings.Repeat("x", client.DefaultMaxFrame)
			start := time.Now()
			_, err := r.Register(ctx, huge, nil)
			require.ErrorIs(t, err, client.ErrTooLarge)
			mustStand(t, other, "")

			g := mustRegister(t, r, i, nil)
			before := g.Status()
			err = g.Update(ctx, func(i *instance) { i.Payload = huge.Payload })
			require.ErrorIs(t, err, client.ErrTooLarge)
			require.NotErrorIs(t, err, client.ErrUnknown)
			require.Less(t, time.Since(start), time.Second)
			time.Sleep(time.Minute)
			require.Equal(t, before, g.Status())
			require.Equal(t, "smtp", g.Instance().Payload)
			require.NoError(t, e.Expire(ctx, c))
			time.Sleep(time.Minute)
			require.True(t, g.Status().Present)
			mustStand(t, other, "one:1")
			require.NoError(t, g.Update(ctx, func(i *instance) { i.Port = 2 }))
			mustStand(t, other, "one:2")
			require.NoError(t, g.Close(ctx))
		}
	})
}

// That is so while the instance is not listed, too: since it is not healthy, its id is taken, or there is no session.
func TestTooLargeWhileNotListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		r := registryOf(c)
		refused := func(g *discovery.Registration[string]) {
			t.Helper()
			start := time.Now()
			before := g.Instance()
			bounded, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			err := g.Update(bounded, func(i *instance) { i.Payload = strings.Repeat("x", client.DefaultMaxFrame) })
			require.ErrorIs(t, err, client.ErrTooLarge)
			require.NotErrorIs(t, err, client.ErrUnknown)
			require.Zero(t, time.Since(start))
			require.Equal(t, before, g.Instance())
		}
		var well atomic.Bool
		opts := &discovery.RegisterOptions{CheckEvery: time.Second, Check: func(context.Context) error {
			if well.Load() {
				return nil
			}
			return errors.New("ill")
		}}
		huge := mail("one", 1)
		huge.Payload = strings.Repeat("x", client.DefaultMaxFrame)
		_, err := r.Register(ctx, huge, opts)
		require.ErrorIs(t, err, client.ErrTooLarge, "with a check, too")
		checked := mustRegister(t, r, mail("one", 1), opts)
		refused(checked)
		require.NoError(t, checked.Update(ctx, func(i *instance) { i.Port = 2 }))
		well.Store(true)
		time.Sleep(10 * time.Second)
		mustStand(t, other, "one:2")

		ours := mustRegister(t, r, mail("three", 4), nil)
		_, err = other.Multi(ctx, client.DeleteOp(ours.Path(), client.AnyVersion),
			client.CreateOp(ours.Path(), nil, &client.CreateOptions{Mode: client.Ephemeral}))
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.ErrorIs(t, ours.Status().Err, node.ErrTaken)
		refused(ours)
		require.NoError(t, other.Delete(ctx, ours.Path(), client.AnyVersion))
		time.Sleep(time.Second)

		f := e.Proxy(c).Lose(proxy.Request(proxy.OpConnect, "").Always())
		session := c.Session()
		e.Proxy(c).Drop()
		<-session.Context().Done()
		synctest.Wait()
		refused(ours)
		f.End()
		time.Sleep(time.Minute)
		mustStand(t, other, "one:2, three:4")
	})
}

// Who is not up is not drained: Draining would be more than it was.
func TestOnlyWhoIsUpIsDrained(t *testing.T) {
	for status, want := range map[discovery.Status]string{
		discovery.Up: "changed one:1 draining, removed one:1 draining", discovery.Down: "removed one:1 down", discovery.Starting: "removed one:1 starting",
	} {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 1, nil)
			c, other := e.Connect(t), e.Connect(t)
			i := mail("one", 1)
			i.Status = status
			g := mustRegister(t, registryOf(c), i, &discovery.RegisterOptions{Drain: 20 * time.Second})
			changes := listen(t.Context(), mustLookup(t, other, nil))
			changes.since()
			require.NoError(t, g.Close(t.Context()))
			require.Equal(t, want, changes.since())
		})
	}
}

// Nothing is checked for a client that is closed, nor for a session that is over, whether the instance was listed or not.
func TestChecksEndWithTheClient(t *testing.T) {
	for _, ill := range []error{nil, errors.New("ill")} {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 1, nil)
			for _, end := range []func(c *client.Client){
				func(c *client.Client) { require.NoError(t, c.Close()) },
				func(c *client.Client) { require.NoError(t, e.Expire(t.Context(), c)) },
			} {
				c := e.Connect(t)
				var checks atomic.Int64
				check := func(context.Context) error { checks.Add(1); return ill }
				g := mustRegister(t, registryOf(c.In(c.Session())), mail("one", 1), &discovery.RegisterOptions{Check: check})
				time.Sleep(time.Minute)
				require.Equal(t, ill == nil, g.Status().Present)
				end(c)
				for range g.Watch(t.Context()) { // ends with the session
				}
				done := checks.Load()
				time.Sleep(time.Minute)
				require.Equal(t, done, checks.Load())
				require.ErrorIs(t, g.Update(t.Context(), func(*instance) {}), node.ErrClosed)
				require.NoError(t, g.Close(t.Context()))
			}
		})
	}
}

// D7: what cannot be read harms nobody else, is reported, and does not unlist what was known.
func TestUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		i := mail("static", 1)
		i.Type = discovery.Permanent
		require.NoError(t, mustRegister(t, registryOf(c), i, nil).Close(ctx))
		_, err := other.Create(ctx, base+"/mail/bad", []byte(`{"name":`), nil)
		require.NoError(t, err)
		s := mustLookup(t, c, nil)
		changes := listen(ctx, s)
		require.Equal(t, "added bad:0 down unreadable, added static:1, current", changes.since())
		require.Equal(t, "static:1", briefs(s.Find(discovery.Query{})))
		_, err = other.Set(ctx, base+"/mail/static", []byte(`{"name":"mail","id":"static","payload":{}}`), client.AnyVersion)
		require.NoError(t, err)
		require.Equal(t, "changed static:1 unreadable", changes.since(), "it is what it was")
		require.ErrorContains(t, s.Instances()[1].Err, "payload")
		require.Equal(t, "static:1 unreadable", briefs(s.Find(discovery.Query{})))
		_, err = other.Set(ctx, base+"/mail/bad", []byte(`{"port":7}`), client.AnyVersion)
		require.NoError(t, err)
		require.Equal(t, "changed bad:7", changes.since(), "its names are those of the directories")
		require.Equal(t, "mail", s.Instances()[0].Name)
		_, err = other.SetACL(ctx, base+"/mail/bad", client.WorldACL(client.PermDelete), client.AnyVersion)
		require.NoError(t, err)
		e.Drop(c)
		changes.since()
		require.ErrorIs(t, s.Instances()[0].Err, client.ErrNoAuth)
		all := mustStand(t, other, "bad:0 down unreadable, static:0 down unreadable")
		require.ErrorIs(t, all[0].Err, client.ErrNoAuth)
	})
}

func TestFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		for n, i := range []instance{
			{Zone: "eu", Version: "1", Tags: []string{"a", "b"}}, {Zone: "eu", Version: "2", Tags: []string{"a"}}, {Zone: "us", Version: "2"},
			{Zone: "eu", Version: "2", Status: discovery.Draining}, {Status: discovery.Starting},
		} {
			i.Name, i.ID, i.Port = "mail", fmt.Sprint(n), n
			mustRegister(t, registryOf(c), i, nil)
		}
		s := mustLookup(t, c, nil)
		for want, q := range map[string]discovery.Query{
			"0:0, 1:1, 2:2": {}, "0:0, 1:1": {Zone: "eu"}, "1:1, 2:2": {Version: "2"}, "1:1": {Zone: "eu", Version: "2"},
			"0:0": {Tags: []string{"b", "a"}}, "": {Tags: []string{"c"}}, "3:3 draining, 4:4 starting": {Statuses: []discovery.Status{discovery.Starting, discovery.Draining}},
			"2:2": {Zone: "us", Statuses: []discovery.Status{discovery.Up}},
		} {
			require.Equal(t, want, briefs(s.Find(q)))
		}
	})
}

// A mass loss is not believed for a while, what comes again is taken as it is, and who says goodbye is let go.
func TestMassLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		watcher := e.Connect(t)
		s := mustLookup(t, watcher, &discovery.LookupOptions{KeepLost: 5 * time.Minute})
		everything := mustLookup(t, watcher, &discovery.LookupOptions{MassLoss: 1})
		var clients []*client.Client
		for n := range 6 {
			clients = append(clients, e.Connect(t))
			mustRegister(t, registryOf(clients[n]), mail(fmt.Sprint(n), n), nil)
		}
		changes := listen(ctx, s)
		changes.since()
		e.CutClient(clients[0])
		e.CutClient(clients[1])
		time.Sleep(time.Minute)
		gone := changes.since()
		require.Contains(t, gone, "removed 0:0", "two of six are no mass")
		require.Contains(t, gone, "removed 1:1")
		for _, c := range clients[3:] {
			e.CutClient(c)
		}
		time.Sleep(time.Minute)
		require.Equal(t, "2:2, 3:3 lost, 4:4 lost, 5:5 lost", briefs(s.Instances()))
		require.Equal(t, "2:2", briefs(everything.Instances()))
		require.Equal(t, "2:2, 3:3 lost, 4:4 lost, 5:5 lost", briefs(s.Find(discovery.Query{})))
		changes.since()
		e.Heal()
		time.Sleep(10 * time.Second)
		require.Equal(t, "0:0, 1:1, 2:2, 3:3, 4:4, 5:5", briefs(s.Instances()))
		changes.since()
		for _, c := range clients[:5] {
			e.CutClient(c)
		}
		time.Sleep(2 * time.Minute)
		require.Equal(t, "0:0 lost, 1:1 lost, 2:2 lost, 3:3 lost, 4:4 lost, 5:5", briefs(s.Instances()))
		time.Sleep(4 * time.Minute)
		require.Equal(t, "5:5", briefs(s.Instances()), "in the end it is believed")
		mustStand(t, watcher, "5:5")
	})
}

// A loop ends with its context, with the service, and with the client; what was known stays, as stale.
func TestServiceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		other := e.Connect(t)
		mustRegister(t, registryOf(other), mail("one", 1), nil)
		var c *client.Client
		for name, end := range map[string]func(s *discovery.Service[string], cancel func()){
			"context": func(_ *discovery.Service[string], cancel func()) { cancel() },
			"service": func(s *discovery.Service[string], _ func()) { s.Close() },
			"client":  func(*discovery.Service[string], func()) { require.NoError(t, c.Close()) },
		} {
			c = e.Connect(t)
			s := mustLookup(t, c, nil)
			loop, cancel := context.WithCancel(ctx)
			var kinds []cache.Kind
			for change := range s.Watch(loop) {
				kinds = append(kinds, change.Kind)
				if change.Kind == cache.Current {
					time.AfterFunc(time.Second, func() { end(s, cancel) })
				}
			}
			cancel()
			if name == "context" {
				require.Equal(t, []cache.Kind{cache.Added, cache.Current}, kinds)
				continue
			}
			require.Equal(t, []cache.Kind{cache.Added, cache.Current, cache.Stale}, kinds, name)
			<-s.Done()
			require.Error(t, s.Err())
			require.NotZero(t, s.StaleSince())
			require.Equal(t, "one:1", briefs(s.Instances()))
		}
		require.NoError(t, c.Close())
		_, err := registryOf(c).Lookup(ctx, "mail", nil)
		require.ErrorIs(t, err, client.ErrClosed)
	})
}
