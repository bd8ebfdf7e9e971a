package trouble_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/trouble"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var seed = flag.Uint64("trouble.seed", 0, "seed of what happens; 0: a random one")

// All that the package names comes about, whoever is connected suffers from it, and after the End nothing of it is left.
func TestEverythingBreaks(t *testing.T) {
	first := *seed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	for servers, kinds := range map[int]int{1: 16, 3: 22} {
		t.Run(fmt.Sprint(servers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(first, uint64(servers)))
				e := ensembletest.Start(t, servers, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second}})
				m := trouble.New(e, r)
				m.Also("nothing", func(ctx context.Context) bool { return ctx.Err() == nil })
				m.Also("never", func(context.Context) bool { return false })
				a, b := e.Connect(t), e.Connect(t)
				stop, cancel := context.WithCancel(t.Context())
				var working sync.WaitGroup
				failed := 0
				working.Go(func() { failed = work(stop, a, "/a", "/b") })
				working.Go(func() { work(stop, b, "/b", "/a") })
				for strikes := 0; len(m.Struck()) < kinds+1; strikes++ {
					if strikes > 3000 {
						require.Fail(t, "not everything breaks", "%v", m.Struck())
					}
					m.Strike([]*client.Client{a, b}[strikes%2])
					time.Sleep(time.Duration(r.Int64N(int64(4 * time.Second))))
				}
				require.NoError(t, m.End(t.Context()))
				cancel()
				working.Wait()
				require.Positive(t, failed)
				t.Log(m.Struck())

				require.NoError(t, e.WaitCaughtUp(t.Context()))
				for _, c := range []*client.Client{a, b} {
					begun := time.Now()
					require.NoError(t, c.Sync(t.Context(), "/"))
					require.Less(t, time.Since(begun), 5*time.Second, "it connects, and nothing is slow")
				}
				begun := time.Now()
				_, err := a.Create(t.Context(), "/quiet", nil, nil)
				require.NoError(t, err)
				time.Sleep(time.Minute)
				require.NoError(t, b.Delete(t.Context(), "/quiet", client.AnyVersion))
				require.Equal(t, time.Minute, time.Since(begun))
				require.Len(t, m.Struck(), kinds+1, "what was to end later has ended")
			})
		})
	}
}

// A session is given up while the servers still know it: its node is there when the next one comes.
func TestOldNodesAreThere(t *testing.T) {
	found := false
	for first := rand.Uint64(); !found; first++ {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second}})
			m := trouble.New(e, rand.New(rand.NewPCG(first, 0)))
			c := e.Connect(t)
			node, err := c.Create(t.Context(), "/mine", nil, &client.CreateOptions{Mode: client.Ephemeral})
			require.NoError(t, err)
			if m.Strike(c) == "session given up" {
				found = true
				s := c.Session()
				<-s.Context().Done()
				_, err := c.AwaitSession(t.Context())
				require.NoError(t, err)
				stat, there, err := c.Exists(t.Context(), node)
				require.NoError(t, err)
				require.True(t, there)
				require.Equal(t, s.ID(), stat.EphemeralOwner)
			}
			require.NoError(t, m.End(t.Context()))
		})
	}
}

// work asks for all kinds of things, as well as it can, and returns how many have failed.
func work(ctx context.Context, c *client.Client, own, other string) (failed int) {
	for i := 0; ctx.Err() == nil; i++ {
		soon, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := c.Create(soon, own, nil, &client.CreateOptions{Mode: client.Ephemeral})
		_, there, _, _ := c.ExistsW(soon, other)
		if there {
			_, _, _ = c.Get(soon, other)
		}
		_, _, _ = c.Children(soon, "/")
		_, _ = c.Create(soon, fmt.Sprint("/held", own, "/n"), nil, &client.CreateOptions{Mode: client.Ephemeral, Parents: client.ContainerParents})
		_ = c.Delete(soon, fmt.Sprint("/held", own, "/n"), client.AnyVersion)
		_ = c.Delete(soon, own, client.AnyVersion)
		cancel()
		if err != nil {
			failed++
		}
		time.Sleep(100 * time.Millisecond)
	}
	return failed
}
