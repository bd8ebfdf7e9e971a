package counter_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/typed"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/counter"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// Here is what Curator's and kazoo's counters and shared values are known to do wrong, and these do not.

// A change whose reply is lost is made once, and its answer is right, also when somebody has changed more before the client is back. Curator and
// kazoo add once more; whoever sets once more overwrites what the other did; and who compares once more finds another number than before.
func TestALostReply(t *testing.T) {
	for name, c := range map[string]struct {
		change func(ctx context.Context, n *counter.Counter) (int64, error)
		want   int64
	}{
		"add":    {func(ctx context.Context, n *counter.Counter) (int64, error) { return n.Add(ctx, 10) }, 17},
		"update": {func(ctx context.Context, n *counter.Counter) (int64, error) { return n.Update(ctx, double) }, 14},
		"set":    {func(ctx context.Context, n *counter.Counter) (int64, error) { return 20, n.Set(ctx, 20) }, 20},
		"compare and swap": {func(ctx context.Context, n *counter.Counter) (int64, error) {
			swapped, err := n.CompareAndSwap(ctx, 7, 30)
			if err == nil && !swapped {
				err = errors.New("not swapped")
			}
			return 30, err
		}, 30},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := ensembletest.Start(t, 3, nil)
				ours, others := e.Connect(t), counter.New(e.Connect(t), path, nil)
				require.NoError(t, others.Set(t.Context(), 7))
				require.NoError(t, e.WaitCaughtUp(t.Context()))
				lost := e.Proxy(ours).Swallow(proxy.Reply(proxy.OpMulti, ""))
				type answer struct {
					n   int64
					err error
				}
				answers := make(chan answer)
				go func() { // ends with its answer
					n, err := c.change(t.Context(), counter.New(ours, path, nil))
					answers <- answer{n, err}
				}()
				<-lost.Struck()
				sum, err := others.Add(t.Context(), 1000)
				require.NoError(t, err)
				require.Equal(t, c.want+1000, sum)
				lost.End()
				e.Drop(ours)
				require.Equal(t, answer{c.want, nil}, <-answers)
				v, err := others.Get(t.Context())
				require.NoError(t, err)
				require.Equal(t, c.want+1000, v)
			})
		})
	}
}

func double(v int64) (int64, error) { return 2 * v, nil }

// Many who change at once all get their turn, soon, and are told an error and no flag if they do not.
func TestContention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, each, roundTrip = 8, 25, 10 * time.Millisecond
		var seen telemetrytest.Recorder
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{MeterProvider: seen.MeterProvider()}})
		began := time.Now()
		var longest time.Duration
		var mu sync.Mutex
		var all sync.WaitGroup
		for range clients {
			c := e.Connect(t)
			e.DelayClient(c, roundTrip/2)
			all.Go(func() { // ends when it has counted so often
				n := counter.New(c, path, nil)
				for range each {
					asked := time.Now()
					if _, err := n.Add(t.Context(), 1); err != nil {
						t.Error(err)
					}
					mu.Lock()
					longest = max(longest, time.Since(asked))
					mu.Unlock()
				}
			})
		}
		all.Wait()
		took := time.Since(began)
		v, err := counter.New(e.Connect(t), path, nil).Get(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, clients*each, v)
		conflicts := int(seen.Sum("bellwether.counter.conflicts"))
		t.Logf("%d changes took %v, the longest %v, and were beaten %d times", v, took, longest, conflicts)
		require.Less(t, took, 3*clients*each*roundTrip, "one after the other would take two round trips each")
		require.Less(t, longest, took*2/3, "nobody is left until the end")
		require.Less(t, conflicts, 3*clients*each)
	})
}

// Who stands in line and loses his session stands in line again; a change that was not sent is not in doubt.
func TestASessionLostInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, admin := e.Connect(t), e.Connect(t)
		quick := counter.New(admin, path, nil)
		first, err := lock.NewMutex(admin, path+"-lock", nil).Lock(ctx)
		require.NoError(t, err)
		done := make(chan error)
		beaten := 0
		go func() { // ends with its answer
			_, err := counter.New(c, path, nil).Update(ctx, func(v int64) (int64, error) {
				if beaten++; beaten < 7 {
					_, err := quick.Add(ctx, 1)
					require.NoError(t, err)
				}
				return v + 100, nil
			})
			done <- err
		}()
		synctest.Wait()
		time.Sleep(time.Second)
		state, err := quick.Inspect(ctx)
		require.NoError(t, err)
		require.Len(t, state.Waiting, 2)
		require.NoError(t, e.Expire(ctx, c))
		time.Sleep(time.Minute)
		require.NoError(t, first.Release(ctx))
		require.NoError(t, <-done)
		v, err := quick.Get(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 106, v)
	})
}

// A counter that was deleted, and perhaps made again, between a change's read and its write is read again: nothing comes back that was deleted,
// and nothing of the new one is lost, but where its version is that of the old one, see the package's documentation. (Of CURATOR-688)
func TestARecreatedCounter(t *testing.T) {
	for name, c := range map[string]struct{ changes, want int64 }{"deleted": {0, 100}, "made again": {1, 102}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				e := ensembletest.Start(t, 1, nil)
				admin := e.Connect(t)
				n, others := counter.New(e.Connect(t), path, nil), counter.New(admin, path, nil)
				for range 7 {
					_, err := others.Add(ctx, 1)
					require.NoError(t, err)
				}
				first := true
				sum, err := n.Update(ctx, func(v int64) (int64, error) {
					if first {
						first = false
						require.EqualValues(t, 7, v)
						require.NoError(t, admin.Delete(ctx, path, client.AnyVersion))
						for range c.changes {
							_, err := others.Add(ctx, 2)
							require.NoError(t, err)
						}
					}
					return v + 100, nil
				})
				require.NoError(t, err)
				require.Equal(t, c.want, sum)
				v, err := others.Get(ctx)
				require.NoError(t, err)
				require.Equal(t, c.want, v)
			})
		})
	}
}

// A counter that was changed 2^32 times comes to the version that means any, and loses no change.
func TestVersionsComeRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 3, nil)
		n, others := counter.New(e.Connect(t), path, nil), counter.New(e.Connect(t), path, nil)
		require.NoError(t, n.Set(ctx, 0))
		require.NoError(t, e.SetVersion(ctx, path, make([]byte, 8), -3))
		for i := range int64(4) {
			first := true
			sum, err := n.Update(ctx, func(v int64) (int64, error) {
				if first {
					first = false
					_, err := others.Add(ctx, 1)
					require.NoError(t, err)
				}
				return v + 1, nil
			})
			require.NoError(t, err)
			require.Equal(t, 2*i+2, sum)
		}
	})
}

// A server that is behind has no change refused that was right: who was told that the number is 5 swaps it.
func TestAServerThatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 3, nil)
		leader, follower := e.Leader(), e.Follower()
		at, behind := counter.New(leader.Connect(t), path, nil), counter.New(follower.Connect(t), path, nil)
		require.NoError(t, at.Set(ctx, 4))
		require.NoError(t, e.WaitCaughtUp(ctx))
		e.Delay(leader.ID(), follower.ID(), time.Second)
		require.NoError(t, at.Set(ctx, 5))
		v, err := behind.Get(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 4, v, "it is behind")
		swapped, err := behind.CompareAndSwap(ctx, 5, 6)
		require.NoError(t, err)
		require.True(t, swapped)
		swapped, err = at.CompareAndSwap(ctx, 5, 7)
		require.NoError(t, err)
		require.False(t, swapped)
	})
}

// A counter that does not exist is 0, and one that is something else is not made.
func TestCompareAndSwapWithoutANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.Start(t, 1, nil).Connect(t)
		n := counter.New(c, path, nil)
		swapped, err := n.CompareAndSwap(ctx, 1, 2)
		require.NoError(t, err)
		require.False(t, swapped)
		_, there, err := c.Exists(ctx, path)
		require.NoError(t, err)
		require.False(t, there)
		swapped, err = n.CompareAndSwap(ctx, 0, 2) // Curator's fails where there is none
		require.NoError(t, err)
		require.True(t, swapped)
	})
}

// Where there is a value the initial one counts for nothing, also at version 0. (CURATOR-329)
func TestInitialIsNotWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.Start(t, 1, nil).Connect(t)
		_, err := c.Create(ctx, "/motto", []byte("theirs"), nil)
		require.NoError(t, err)
		v := counter.NewValue(c, "/motto", &counter.ValueOptions[string]{Codec: typed.Text(), Initial: "ours"})
		now, err := v.Get(ctx)
		require.NoError(t, err)
		require.Equal(t, "theirs", now)
		for now, err := range v.Watch(ctx) {
			require.NoError(t, err)
			require.Equal(t, "theirs", now)
			break
		}
		now, err = v.Update(ctx, func(s string) (string, error) { return s + ", too", nil })
		require.NoError(t, err)
		require.Equal(t, "theirs, too", now)
	})
}

// What changed while a client was cut off, or its session was over, its watch tells when it is back, and in order, also of a node
// that was made again, whose versions begin anew. (CURATOR-311, CURATOR-420, CURATOR-688)
func TestAWatchMissesNothing(t *testing.T) {
	for name, away := range map[string]time.Duration{"cut off": time.Second, "session over": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				e := ensembletest.Start(t, 3, nil)
				c, admin := e.Connect(t), e.Connect(t)
				session := c.Session()
				others := counter.New(admin, path, nil)
				for range 5 {
					_, err := others.Add(ctx, 1)
					require.NoError(t, err)
				}
				require.NoError(t, e.WaitCaughtUp(ctx))
				var seen []int64
				watching, enough := context.WithCancel(ctx)
				var watcher sync.WaitGroup
				watcher.Go(func() { // ends with watching
					for v, err := range counter.New(c, path, nil).Watch(watching) {
						if err == nil {
							seen = append(seen, v)
						}
					}
				})
				synctest.Wait()
				require.Equal(t, []int64{5}, seen)
				e.CutClient(c)
				require.NoError(t, admin.Delete(ctx, path, client.AnyVersion))
				require.NoError(t, others.Set(ctx, 3)) // at a version that is less
				time.Sleep(away)
				e.Heal()
				time.Sleep(time.Second)
				synctest.Wait()
				require.Equal(t, away == time.Minute, session.Err() != nil)
				require.EqualValues(t, 3, seen[len(seen)-1])
				_, err := others.Add(ctx, 1)
				require.NoError(t, err)
				time.Sleep(time.Second)
				enough()
				watcher.Wait()
				if seen[1] == 0 { // while there was none
					seen = slices.Delete(seen, 1, 2)
				}
				require.Equal(t, []int64{5, 3, 4}, seen)
			})
		})
	}
}

// Who counts in another size is refused, and overwrites nothing.
func TestSizesDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.Start(t, 1, nil).Connect(t)
		small, large := counter.New(c, path, &counter.Options{Bits: 32}), counter.New(c, path, nil)
		for _, pair := range [][2]*counter.Counter{{small, large}, {large, small}} {
			require.NoError(t, pair[0].Set(ctx, 5))
			_, err := pair[1].Add(ctx, 1)
			require.ErrorIs(t, err, typed.ErrDecode)
			require.ErrorIs(t, pair[1].Set(ctx, 1), typed.ErrDecode)
			v, err := pair[0].Get(ctx)
			require.NoError(t, err)
			require.EqualValues(t, 5, v)
			require.NoError(t, c.Delete(ctx, path, client.AnyVersion))
		}
	})
}
