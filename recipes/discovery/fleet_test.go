package discovery_test

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/cache"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
)

var (
	fleetSize     = flag.Int("discovery.fleet", 60, "how many instances there are in TestFleet")
	fleetWatchers = flag.Int("discovery.watchers", 6, "and how many processes that watch them all")
)

// Many instances and many who watch them: everybody sees every change, soon. What soon is, and what it takes, is logged.
func TestFleet(t *testing.T) {
	const registrants = 10
	ctx := t.Context()
	srv, err := ensemble.Start(ctx, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = srv.Close() }) // when the instances are gone
	connect := func() *client.Client {
		c, err := client.Connect(ctx, srv.ConnectString(), &client.Options{Dialer: srv.Dial})
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	fleet := make([]*discovery.Registration[string], *fleetSize)
	start := time.Now()
	var all sync.WaitGroup
	for i := range registrants {
		r := registryOf(connect())
		for j := i; j < len(fleet); j += registrants {
			all.Go(func() {
				g, err := r.Register(ctx, mail(fmt.Sprintf("%04d", j), 1), nil)
				if err != nil {
					t.Error(err)
				}
				fleet[j] = g
			})
		}
	}
	all.Wait()
	require.False(t, t.Failed())
	t.Logf("%d registered by %d processes in %v", len(fleet), registrants, time.Since(start).Round(time.Millisecond))
	t.Cleanup(func() { closeAll(t, fleet) })

	before := live()
	views := make([]*discovery.Service[string], *fleetWatchers)
	start = time.Now()
	for i := range views {
		views[i], err = registryOf(connect()).Lookup(ctx, "mail", nil)
		require.NoError(t, err)
		defer views[i].Close()
		require.Len(t, views[i].Instances(), len(fleet))
	}
	t.Logf("looked up by %d, one after the other, in %v", len(views), time.Since(start).Round(time.Millisecond))
	t.Logf("%.1f MB a watcher, with its client and its watches on the server", float64(live()-before)/float64(len(views))/1e6)

	const changes = 30
	seen := make(chan time.Duration, changes*len(views))
	var changed [changes + 2]time.Time // by port, written before the change is made
	listen, stop := context.WithCancel(ctx)
	defer stop()
	var watching, ready sync.WaitGroup
	var mu sync.Mutex
	for _, v := range views {
		ready.Add(1)
		watching.Go(func() { // ends with listen
			for c := range v.Watch(listen) {
				switch c.Kind {
				case cache.Current:
					ready.Done() // there is no outage
				case cache.Changed:
					mu.Lock()
					seen <- time.Since(changed[c.New.Port])
					mu.Unlock()
				}
			}
		})
	}
	ready.Wait()
	var took []time.Duration
	for n := range changes {
		mu.Lock()
		changed[n+2] = time.Now()
		mu.Unlock()
		require.NoError(t, fleet[n*7%len(fleet)].Update(ctx, func(i *instance) { i.Port = n + 2 }))
		for range views {
			select {
			case d := <-seen:
				took = append(took, d)
			case <-time.After(30 * time.Second):
				t.Fatal("somebody has not seen a change")
			}
		}
	}
	stop()
	watching.Wait()
	slices.Sort(took)
	t.Logf("a change is seen by all of them after %v (half), %v (p99), %v (the last)", took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
}

func closeAll(t *testing.T, fleet []*discovery.Registration[string]) {
	var all sync.WaitGroup
	for _, g := range fleet {
		all.Go(func() {
			if err := g.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func live() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// What it costs to register and be gone again, one after the other, and to ask a view.
func BenchmarkDiscovery(b *testing.B) {
	srv, err := ensemble.Start(b.Context(), nil)
	require.NoError(b, err)
	defer srv.Close()
	c, err := client.Connect(b.Context(), srv.ConnectString(), &client.Options{Dialer: srv.Dial})
	require.NoError(b, err)
	defer c.Close()
	r := registryOf(c)
	b.Run("register", func(b *testing.B) {
		for b.Loop() {
			g, err := r.Register(b.Context(), mail("one", 1), nil)
			require.NoError(b, err)
			require.NoError(b, g.Close(b.Context()))
		}
	})
	for n := range 1000 {
		i := mail(fmt.Sprintf("%04d", n), n)
		i.Zone = []string{"eu", "us"}[n%2]
		_, err := r.Register(b.Context(), i, nil)
		require.NoError(b, err)
	}
	defer r.Close(context.Background())
	b.Run("lookup-1000", func(b *testing.B) {
		for b.Loop() {
			s, err := r.Lookup(b.Context(), "mail", nil)
			require.NoError(b, err)
			s.Close()
		}
	})
	s, err := r.Lookup(b.Context(), "mail", nil)
	require.NoError(b, err)
	defer s.Close()
	b.Run("instances", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if len(s.Instances()) != 1000 {
				b.Fatal("not all")
			}
		}
	})
	b.Run("find-1000", func(b *testing.B) {
		for b.Loop() {
			if len(s.Find(discovery.Query{Zone: "eu"})) != 500 {
				b.Fatal("not all")
			}
		}
	})
}
