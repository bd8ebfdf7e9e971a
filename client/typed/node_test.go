package typed_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/typed"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

type limits struct {
	Users int
	Hosts []string
}

var errEnough = errors.New("enough")

func increment(n int) (int, error) { return n + 1, nil }

func TestNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.Start(t, 1, nil).Connect(t)
		for name, opts := range map[string]*typed.Options[limits]{
			"default": nil,
			"gzip":    {Codec: typed.Gzip[limits](nil, 1000)},
			"once":    {Marks: "/marks/here"},
		} {
			n := typed.NewNode(c, "/"+name, opts)
			require.Equal(t, "/"+name, n.Path())
			require.Equal(t, name, n.Name())
			_, _, err := n.Get(ctx)
			require.ErrorIs(t, err, client.ErrNoNode)
			_, err = n.Set(ctx, limits{}, 0)
			require.ErrorIs(t, err, client.ErrNoNode)
			_, _, err = n.Update(ctx, func(v limits) (limits, error) { return v, nil })
			require.ErrorIs(t, err, client.ErrNoNode)
			require.ErrorIs(t, n.Delete(ctx, client.AnyVersion), client.ErrNoNode)

			first := limits{Users: 100, Hosts: []string{"a", "b"}}
			require.NoError(t, n.Create(ctx, first))
			require.ErrorIs(t, n.Create(ctx, first), client.ErrNodeExists)
			v, stat, err := n.Get(ctx)
			require.NoError(t, err)
			require.Equal(t, first, v)
			require.Zero(t, stat.Version)

			v.Users = 200
			version, err := n.Set(ctx, v, stat.Version)
			require.NoError(t, err)
			require.EqualValues(t, 1, version)
			_, err = n.Set(ctx, v, stat.Version)
			require.ErrorIs(t, err, client.ErrBadVersion)
			version, err = n.Set(ctx, v, client.AnyVersion)
			require.NoError(t, err)
			require.EqualValues(t, 2, version)

			v, version, err = n.Update(ctx, func(v limits) (limits, error) {
				v.Users++
				return v, nil
			})
			require.NoError(t, err)
			require.Equal(t, limits{Users: 201, Hosts: []string{"a", "b"}}, v)
			require.EqualValues(t, 3, version)
			_, _, err = n.Update(ctx, func(v limits) (limits, error) { return v, errEnough })
			require.Equal(t, errEnough, err)
			got, stat, err := n.Get(ctx)
			require.NoError(t, err)
			require.Equal(t, v, got)
			require.Equal(t, version, stat.Version)

			require.ErrorIs(t, n.Delete(ctx, 2), client.ErrBadVersion)
			require.NoError(t, n.Delete(ctx, version))
		}
	})
}

func TestNodeIsMadeAsOptionsSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.Start(t, 1, nil).Connect(t)
		n := typed.NewNode(c, "/deep/down/n", &typed.Options[int]{
			Create: client.CreateOptions{Mode: client.Ephemeral, Parents: client.PersistentParents},
		})
		require.NoError(t, n.Create(t.Context(), 1))
		_, stat, err := n.Get(t.Context())
		require.NoError(t, err)
		require.Equal(t, c.Session().ID(), stat.EphemeralOwner)
		for _, o := range []client.CreateOptions{
			{Mode: client.PersistentSequential}, {Mode: client.EphemeralSequential}, {Mode: client.PersistentSequentialTTL}, {Protected: true},
		} {
			err := typed.NewNode(c, "/n", &typed.Options[int]{Create: o}).Create(t.Context(), 1)
			require.ErrorIs(t, err, client.ErrBadArguments)
			require.ErrorContains(t, err, "create /n: ")
		}
	})
}

func TestBadValuesAreOfTheirOwnKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.Start(t, 1, nil).Connect(t)
		_, err := c.Create(ctx, "/n", []byte("not a number"), nil)
		require.NoError(t, err)
		n := typed.NewNode[int](c, "/n", nil)
		_, stat, err := n.Get(ctx)
		require.ErrorIs(t, err, typed.ErrDecode)
		require.ErrorContains(t, err, "decode /n: data do not decode: ")
		require.Equal(t, len("not a number"), stat.DataLength)
		_, _, err = n.Update(ctx, increment)
		require.ErrorIs(t, err, typed.ErrDecode)
		_, err = n.Set(ctx, 7, stat.Version)
		require.NoError(t, err)

		zipped := typed.NewNode(c, "/n", &typed.Options[int]{Codec: typed.Gzip[int](nil, 1)})
		_, _, err = zipped.Get(ctx)
		require.ErrorIs(t, err, typed.ErrDecode)
		_, err = zipped.Set(ctx, 10, client.AnyVersion)
		require.ErrorIs(t, err, typed.ErrEncode)
		require.ErrorIs(t, err, typed.ErrTooLarge)
		require.NotErrorIs(t, err, client.ErrUnknown)
		unheardOf := typed.NewNode[chan int](c, "/m", nil)
		require.ErrorIs(t, unheardOf.Create(ctx, nil), typed.ErrEncode)
		v, _, err := n.Get(ctx)
		require.NoError(t, err)
		require.Equal(t, 7, v)
	})
}

// A value that does not decode is told, and is not the end of the watch.
func TestNodeWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		e := ensembletest.Start(t, 3, nil)
		c, other := e.Connect(t), e.Connect(t)
		n := typed.NewNode[int](c, "/n", nil)
		set := func(data string) {
			_, err := other.Set(t.Context(), "/n", []byte(data), client.AnyVersion)
			require.NoError(t, err)
		}
		step := 0
		for state, err := range n.Watch(ctx) {
			switch step++; step {
			case 1:
				require.NoError(t, err)
				require.False(t, state.Exists)
				_, err = other.Create(t.Context(), "/n", []byte("1"), nil)
				require.NoError(t, err)
			case 2:
				require.NoError(t, err)
				require.True(t, state.Exists)
				require.Equal(t, 1, state.Value)
				set("two")
			case 3:
				require.ErrorIs(t, err, typed.ErrDecode)
				require.True(t, state.Exists)
				require.Zero(t, state.Value)
				require.EqualValues(t, 1, state.Stat.Version)
				e.Drop(c)
				set("3")
			case 4:
				require.NoError(t, err)
				require.Equal(t, 3, state.Value)
				require.NoError(t, other.Delete(t.Context(), "/n", client.AnyVersion))
			case 5:
				require.NoError(t, err)
				require.False(t, state.Exists)
				cancel(errEnough)
			case 6:
				require.ErrorIs(t, err, errEnough)
			}
		}
		require.Equal(t, 6, step)
	})
}

// losing loses answers, and now and then requests, of a client's writes until the test says stop.
func losing(e *ensembletest.Ensemble, c *client.Client, op proxy.Op, r *rand.Rand) (stop func() int) {
	over, done := make(chan struct{}), make(chan int)
	go func() { // ends with stop
		strikes := 0
		for {
			m := proxy.Reply(op, "")
			if r.IntN(4) == 0 {
				m = proxy.Request(op, "")
			}
			f := e.Proxy(c).Lose(m.Skip(r.IntN(3)))
			select {
			case <-f.Struck():
				strikes++
			case <-over:
				f.End()
				done <- strikes
				return
			}
		}
	}()
	return func() int { close(over); return <-done }
}

// Many who count in one node, and lose answers all the time: with marks each increment is there once.
func TestUpdateHappensOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, goroutines, times = 3, 2, 25
		e := ensembletest.Start(t, 3, nil)
		require.NoError(t, e.Load(t.Context(), map[string]string{"/n": "0"}))
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		lost := 0
		var all sync.WaitGroup
		var stops []func() int
		for i := range clients {
			c := e.Connect(t)
			stops = append(stops, losing(e, c, proxy.OpMulti, rand.New(rand.NewPCG(seed, uint64(i)))))
			n := typed.NewNode(c, "/n", &typed.Options[int]{Marks: "/marks"})
			for range goroutines {
				all.Go(func() {
					for range times {
						if _, _, err := n.Update(t.Context(), increment); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		all.Wait()
		for _, stop := range stops {
			lost += stop()
		}
		c := e.Connect(t)
		v, stat, err := typed.NewNode[int](c, "/n", nil).Get(t.Context())
		require.NoError(t, err)
		require.Equal(t, clients*goroutines*times, v)
		require.EqualValues(t, v, stat.Version)
		require.Greater(t, lost, v/4)
		time.Sleep(10 * time.Second)
		left, _, err := c.Children(t.Context(), "/marks")
		require.NoError(t, err)
		require.Empty(t, left)
	})
}

// Without marks it is said what is not known, and nothing else is left open.
func TestUpdateWithoutMarksIsHonest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, times = 3, 50
		e := ensembletest.Start(t, 3, nil)
		require.NoError(t, e.Load(t.Context(), map[string]string{"/n": "0"}))
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		var done, unknown atomic.Int64
		var all sync.WaitGroup
		var stops []func() int
		for i := range clients {
			c := e.Connect(t)
			stops = append(stops, losing(e, c, proxy.OpSetData, rand.New(rand.NewPCG(seed, uint64(i)))))
			n := typed.NewNode[int](c, "/n", nil)
			all.Go(func() {
				for range times {
					switch _, _, err := n.Update(t.Context(), increment); {
					case err == nil:
						done.Add(1)
					case errors.Is(err, client.ErrUnknown):
						unknown.Add(1)
					default:
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		for _, stop := range stops {
			stop()
		}
		v, _, err := typed.NewNode[int](e.Connect(t), "/n", nil).Get(t.Context())
		require.NoError(t, err)
		require.Positive(t, unknown.Load())
		require.GreaterOrEqual(t, int64(v), done.Load())
		require.Less(t, int64(v), done.Load()+unknown.Load(), "a lost request is not done")
		require.Greater(t, int64(v), done.Load(), "what lost its answer is")
	})
}

// An unconditional Set whose answers are lost happens once, and says which version it made; a lost Delete is no ErrNoNode.
func TestMarksFindOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		n := typed.NewNode(c, "/n", &typed.Options[int]{Marks: "/marks"})
		require.NoError(t, n.Create(t.Context(), 0))
		_, err := n.Set(t.Context(), 0, client.AnyVersion) // makes /marks
		require.NoError(t, err)
		for i := range int32(5) {
			f := e.Proxy(c).Lose(proxy.Reply(proxy.OpMulti, ""))
			version, err := n.Set(t.Context(), 7, client.AnyVersion)
			require.NoError(t, err)
			require.Equal(t, i+2, version)
			require.Equal(t, 1, f.Strikes())
		}
		f := e.Proxy(c).Lose(proxy.Reply(proxy.OpMulti, ""))
		require.NoError(t, n.Delete(t.Context(), 6))
		require.Equal(t, 1, f.Strikes())
		_, _, err = n.Get(t.Context())
		require.ErrorIs(t, err, client.ErrNoNode)
	})
}

// The version that means any is never asked for, since nobody leaves a node with it: who updates a node that was changed 2^32 times loses
// nobody's update, and is told the version as it is.
func TestVersionsComeRound(t *testing.T) {
	for marks, name := range map[string]string{"": "plain", "/marks": "with marks"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				e := ensembletest.Start(t, 1, nil)
				c := e.Connect(t)
				n := typed.NewNode(c, "/n", &typed.Options[int]{Marks: marks})
				other := typed.NewNode(e.Connect(t), "/n", &typed.Options[int]{Marks: marks})
				require.NoError(t, n.Create(ctx, 0))
				require.NoError(t, e.SetVersion(ctx, "/n", []byte("0"), -3))
				var versions []int32
				add := func(v int) (int, error) { return v + 1, nil }
				for i := range 4 {
					first := true
					v, version, err := n.Update(ctx, func(v int) (int, error) {
						if first {
							first = false
							_, version, err := other.Update(ctx, add)
							require.NoError(t, err)
							versions = append(versions, version)
						}
						return add(v)
					})
					require.NoError(t, err)
					require.Equal(t, 2*i+2, v)
					versions = append(versions, version)
				}
				require.Equal(t, []int32{-2, 0, 1, 2, 3, 4, 5, 6}, versions)
				v, stat, err := n.Get(ctx)
				require.NoError(t, err)
				require.Equal(t, 8, v)
				require.EqualValues(t, 6, stat.Version)
				if marks == "" {
					return
				}
				require.NoError(t, e.SetVersion(ctx, "/n", []byte("8"), -2))
				f := e.Proxy(c).Lose(proxy.Reply(proxy.OpMulti, ""))
				_, version, err := n.Update(ctx, add)
				require.NoError(t, err)
				require.Zero(t, version)
				require.Equal(t, 1, f.Strikes())
				version, err = n.Set(ctx, 10, version)
				require.NoError(t, err)
				require.EqualValues(t, 1, version)
			})
		})
	}
}

// Who has lost patience while others were faster is told why.
func TestUpdateEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.Start(t, 1, nil).Connect(t)
		n := typed.NewNode[int](c, "/n", nil)
		require.NoError(t, n.Create(t.Context(), 0))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errEnough)
		defer cancel()
		_, _, err := n.Update(ctx, func(v int) (int, error) {
			_, err := n.Set(t.Context(), v+1, client.AnyVersion) // somebody who is always faster
			return v, err
		})
		require.ErrorIs(t, err, errEnough)
		require.NotErrorIs(t, err, client.ErrUnknown)
		require.ErrorContains(t, err, "/n: ")
	})
}
