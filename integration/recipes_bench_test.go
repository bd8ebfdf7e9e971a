package integration

import (
	"context"
	"flag"
	"fmt"
	"path"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/barrier"
	"github.com/bellwether-zk/bellwether/recipes/counter"
	"github.com/bellwether-zk/bellwether/recipes/leader"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

var benchServers = flag.String("servers", "", "which servers BenchmarkRecipes asks; default: three in this process, which sync what they write to this disk")

// BenchmarkRecipes measures what recipes cost their users, each session a client of its own:
//
//	go test ./integration -run '^$' -bench Recipes -servers 127.0.0.1:2181,127.0.0.1:2182,127.0.0.1:2183
//
// Beside the time of one operation it tells how many operations a second all sessions do together, and how many requests each takes.
func BenchmarkRecipes(b *testing.B) {
	s := newBenchServers(b)
	b.Run("mutex/1_session", func(b *testing.B) { s.measure(b, 1, mutexes(func(int) string { return "one" })) })
	b.Run("mutex/16_sessions_16_locks", func(b *testing.B) {
		s.measure(b, 16, mutexes(func(i int) string { return fmt.Sprint("each", i) }))
	})
	b.Run("mutex/16_sessions_1_lock", func(b *testing.B) { s.measure(b, 16, mutexes(func(int) string { return "hot" })) })
	b.Run("semaphore_of_4/16_sessions", func(b *testing.B) { s.measure(b, 16, permits(4)) })
	b.Run("counter/1_session", func(b *testing.B) { s.measure(b, 1, increments) })
	b.Run("counter/8_sessions", func(b *testing.B) { s.measure(b, 8, increments) })
	b.Run("double_barrier_of_8", func(b *testing.B) { s.measure(b, 8, meetings(8)) })
	b.Run("leader_handover/8_candidates", s.handover)
	b.Run("queue", s.benchmarkQueues)
}

// An operation is what is measured: once from beginning to end.
type operation func(ctx context.Context) error

// benchmarked are the servers of a benchmark.
type benchmarked struct {
	connect func(b *testing.B, requests *atomic.Int64) *bwclient.Client
}

func newBenchServers(b *testing.B) *benchmarked {
	servers := *benchServers
	if servers == "" {
		servers = ensembletest.Start(b, 3, &ensembletest.Options{OnDisk: true, TCP: true}).ConnectString()
	}
	return &benchmarked{connectTo(servers)}
}

// connectTo connects clients that count what they ask.
func connectTo(servers string) func(b *testing.B, requests *atomic.Int64) *bwclient.Client {
	return func(b *testing.B, requests *atomic.Int64) *bwclient.Client {
		c, err := bwclient.Connect(b.Context(), servers, &bwclient.Options{
			SessionTimeout: 30 * time.Second,
			Hooks:          bwclient.Hooks{Done: func(bwclient.OperationDone) { requests.Add(1) }},
		})
		require.NoError(b, err)
		b.Cleanup(func() { c.Close() })
		return c
	}
}

// measure lets so many sessions do an operation, b.N times each, in a directory that nothing was in before.
func (s *benchmarked) measure(b *testing.B, sessions int, prepare func(i int, c *bwclient.Client, dir string) operation) {
	var requests atomic.Int64
	dir := fmt.Sprintf("/bench/%x", time.Now().UnixNano())
	var ops []operation
	for i := range sessions {
		c := s.connect(b, &requests)
		ops = append(ops, prepare(i, c, dir))
	}
	all := func(n int) {
		var wg sync.WaitGroup
		for _, op := range ops {
			wg.Go(func() {
				for range n {
					if !assert.NoError(b, op(b.Context())) {
						return
					}
				}
			})
		}
		wg.Wait()
		require.False(b, b.Failed())
	}
	all(10) // directories are made, connections are warm
	requests.Store(0)
	b.ResetTimer()
	all(b.N)
	b.StopTimer()
	done := float64(b.N * sessions)
	b.ReportMetric(done/b.Elapsed().Seconds(), "op/s")
	b.ReportMetric(float64(requests.Load())/done, "requests/op")
}

// mutexes locks and unlocks the lock of each session.
func mutexes(name func(i int) string) func(i int, c *bwclient.Client, dir string) operation {
	return func(i int, c *bwclient.Client, dir string) operation {
		m := lock.NewMutex(c, path.Join(dir, name(i)), nil)
		return func(ctx context.Context) error {
			hold, err := m.Lock(ctx)
			if err != nil {
				return err
			}
			return hold.Release(ctx)
		}
	}
}

// permits takes a permit of a semaphore that has so many, and gives it back.
func permits(of int) func(i int, c *bwclient.Client, dir string) operation {
	return func(_ int, c *bwclient.Client, dir string) operation {
		sem := lock.NewSemaphore(c, path.Join(dir, "semaphore"), of, nil)
		return func(ctx context.Context) error {
			holds, err := sem.Acquire(ctx, 1)
			if err != nil {
				return err
			}
			return holds.Release(ctx)
		}
	}
}

// meetings enters a double barrier of so many, and leaves it.
func meetings(of int) func(i int, c *bwclient.Client, dir string) operation {
	return func(_ int, c *bwclient.Client, dir string) operation {
		meeting := barrier.NewDouble(c, path.Join(dir, "barrier"), of, nil)
		return func(ctx context.Context) error {
			round, err := meeting.Enter(ctx)
			if err != nil {
				return err
			}
			return round.Leave(ctx)
		}
	}
}

func increments(_ int, c *bwclient.Client, dir string) operation {
	n := counter.New(c, path.Join(dir, "counter"), nil)
	return func(ctx context.Context) error {
		_, err := n.Add(ctx, 1)
		return err
	}
}

// handover measures from the word of one leader that it leaves to the next one's that it leads. The others stand in line all the time.
func (s *benchmarked) handover(b *testing.B) {
	var requests atomic.Int64
	dir := fmt.Sprintf("/bench/%x", time.Now().UnixNano())
	leads := make(chan *leader.Term)
	ctx, cancel := context.WithCancel(b.Context())
	var candidates sync.WaitGroup
	for range 8 {
		election := leader.NewElection(s.connect(b, &requests), path.Join(dir, "leader"), nil)
		candidates.Go(func() { // until ctx ends
			for {
				term, err := election.Lead(ctx)
				if err != nil {
					return
				}
				select {
				case leads <- term:
				case <-ctx.Done():
					assert.NoError(b, term.Resign(b.Context()))
					return
				}
			}
		})
	}
	term := <-leads
	b.ResetTimer()
	for range b.N {
		assert.NoError(b, term.Resign(ctx))
		term = <-leads
	}
	b.StopTimer()
	cancel()
	assert.NoError(b, term.Resign(b.Context()))
	candidates.Wait()
}
