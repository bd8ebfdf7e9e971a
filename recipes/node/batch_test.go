package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/trouble"
	"github.com/bellwether-zk/bellwether/recipes/node"
)

const dir = "/services"

func wishes(dir string, count int) (all []node.Wish) {
	for i := range count {
		all = append(all, node.Wish{Path: fmt.Sprint(dir, "/", i), Data: fmt.Append(nil, i)})
	}
	return all
}

func mustMkdir(t *testing.T, c *client.Client) {
	t.Helper()
	_, err := c.Create(t.Context(), dir, nil, nil)
	require.NoError(t, err)
}

func mustBeginAll(t *testing.T, c *client.Client, wishes []node.Wish) []*node.Node {
	t.Helper()
	all, err := node.BeginAll(t.Context(), c, wishes)
	require.NoError(t, err)
	require.Len(t, all, len(wishes))
	return all
}

func mustAwait(t *testing.T, all []*node.Node) {
	t.Helper()
	for _, n := range all {
		require.NoError(t, n.Await(t.Context()))
	}
}

// mustBe compares nodes of a client with the wishes, and returns in how many transactions they were made.
func mustBe(t *testing.T, c *client.Client, all []*node.Node, wishes []node.Wish) int {
	t.Helper()
	made := map[int64]bool{}
	for i, n := range all {
		data, stat, err := c.Get(t.Context(), n.Path())
		require.NoError(t, err)
		require.Equal(t, string(wishes[i].Data), string(data))
		require.Zero(t, stat.Version)
		require.Equal(t, node.Status{Present: true, Czxid: stat.Czxid, Session: c.Session().ID()}, n.Status())
		made[stat.Czxid] = true
	}
	return len(made)
}

func mustCloseAll(t *testing.T, c *client.Client, all []*node.Node) {
	t.Helper()
	var closing sync.WaitGroup
	for _, n := range all {
		closing.Go(func() {
			if err := n.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	closing.Wait()
	for _, n := range all {
		_, there, err := c.Exists(t.Context(), n.Path())
		require.NoError(t, err)
		require.False(t, there, n.Path())
	}
}

// asked returns how many requests of each kind a client's session has sent since the recorder was reset.
func asked(r *ensembletest.Recorder, c *client.Client) map[string]int {
	synctest.Wait()
	ops := map[string]int{}
	for _, o := range r.Operations(ensembletest.Match{Session: c.Session().ID()}) {
		ops[o.Op]++
	}
	r.Reset()
	return ops
}

// Many nodes are made in few transactions and two round trips, few in one and each alone; and each is watched as any.
func TestBeginAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		c, other := e.Connect(t), e.Connect(t)
		mustMkdir(t, other)
		const way = 20 * time.Millisecond
		e.DelayClient(c, way)
		r := e.Record()
		defer r.Stop()
		many := wishes(dir, 300)
		all := mustBeginAll(t, c, many)
		mustAwait(t, all)
		mustCloseAll(t, c, all) // the client has made room for requests of this size, which takes one more
		r.Reset()
		began := time.Now()
		all = mustBeginAll(t, c, many)
		mustAwait(t, all)
		require.Equal(t, 2, int(time.Since(began)/(2*way)))
		require.Equal(t, map[string]int{"multi": 3, "getData": 300}, asked(r, c))
		require.Equal(t, 3, mustBe(t, c, all, many))

		before := all[7].Status().Czxid
		require.NoError(t, other.Delete(t.Context(), all[7].Path(), client.AnyVersion))
		time.Sleep(time.Second)
		require.True(t, all[7].Status().Present)
		require.NotEqual(t, before, all[7].Status().Czxid)
		require.NoError(t, all[8].Set(t.Context(), []byte("another")))
		mustCloseAll(t, c, all)

		r.Reset()
		few := wishes(dir, 7)
		all = mustBeginAll(t, c, few)
		mustAwait(t, all)
		require.Zero(t, asked(r, c)["multi"])
		require.Equal(t, 7, mustBe(t, c, all, few))
		mustCloseAll(t, c, all)
		none, err := node.BeginAll(t.Context(), c, nil)
		require.NoError(t, err)
		require.Empty(t, none)
	})
}

// One transaction takes so many bytes, and none the data that no client sends.
func TestBatchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		mustMkdir(t, c)
		large := wishes(dir, 60)
		for i := range large {
			large[i].Data = append(large[i].Data, make([]byte, 2000)...)
		}
		huge := node.Wish{Path: dir + "/huge", Data: make([]byte, client.DefaultMaxFrame)}
		r := e.Record()
		defer r.Stop()
		all := mustBeginAll(t, c, append(large[:len(large):len(large)], huge))
		mustAwait(t, all[:60])
		require.Equal(t, 3, asked(r, c)["multi"])
		require.Equal(t, 3, mustBe(t, c, all[:60], large))
		require.ErrorIs(t, all[60].Await(t.Context()), client.ErrTooLarge)
		mustCloseAll(t, c, all)
	})
}

// If one of the wishes cannot be meant none is kept.
func TestBeginAllOfTheImpossible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.Start(t, 1, nil).Connect(t)
		mustMkdir(t, c)
		_, err := node.BeginAll(t.Context(), c, append(wishes(dir, 20), node.Wish{Path: "relative"}))
		require.ErrorIs(t, err, client.ErrInvalidPath)
		time.Sleep(time.Minute)
		require.Empty(t, mustChildren(t, c, dir))
	})
}

// What is in a transaction's way is in the way of nobody else.
func TestBatchFails(t *testing.T) {
	t.Run("no directories", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 1, nil)
			c := e.Connect(t)
			r := e.Record()
			defer r.Stop()
			some := append(wishes("/services/mail", 20), wishes("/services/web", 20)...)
			all := mustBeginAll(t, c, some)
			mustAwait(t, all)
			ops := asked(r, c)
			require.Equal(t, 2, ops["multi"])
			require.Equal(t, 40, ops["getData"])
			require.Equal(t, 3, mustBe(t, c, all, some), "one of each alone, and the others together")
			mustCloseAll(t, c, all)
			some = nil
			for i := range 10 {
				some = append(some, wishes(fmt.Sprint("/others/", i), 1)...)
			}
			all = mustBeginAll(t, c, some)
			mustAwait(t, all)
			require.Equal(t, 1, asked(r, c)["multi"])
			require.Equal(t, 10, mustBe(t, c, all, some))
			mustCloseAll(t, c, all)
		})
	})
	t.Run("somebody else's", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 1, nil)
			c, other := e.Connect(t), e.Connect(t)
			theirs, err := node.Keep(t.Context(), other, dir+"/3", nil, nil)
			require.NoError(t, err)
			const way = 20 * time.Millisecond
			e.DelayClient(c, way)
			some := wishes(dir, 20)
			all := mustBeginAll(t, c, some)
			time.Sleep(3*2*way + time.Millisecond) // the transaction, a create and a read behind it, and seldom that once more
			for i, n := range all {
				require.Equal(t, i != 3, n.Status().Present)
			}
			require.ErrorIs(t, all[3].Status().Err, node.ErrTaken)
			require.NoError(t, theirs.Close(t.Context()))
			mustAwait(t, all)
			require.Equal(t, 20, mustBe(t, c, all, some))
			mustCloseAll(t, c, all)
		})
	})
	t.Run("a client's Check", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{Check: func(i client.Intent) error {
				if i.Op == "create" && i.Path == dir+"/5" {
					return client.ErrNoAuth
				}
				return nil
			}}})
			c := e.Connect(t)
			mustMkdir(t, c)
			all := mustBeginAll(t, c, wishes(dir, 20))
			time.Sleep(time.Second)
			for i, n := range all {
				require.Equal(t, i != 5, n.Status().Present)
			}
			require.ErrorIs(t, all[5].Status().Err, client.ErrNoAuth)
			mustCloseAll(t, c, all)
		})
	})
}

// Nodes that multis do not make are made alone, and persistent ones with the others.
func TestKindsInABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, &ensembletest.Options{Server: ensemble.Options{TTLNodes: true}})
		c := e.Connect(t)
		mustMkdir(t, c)
		some := wishes(dir, 20)
		some[0].Options, some[1].Options = &node.Options{TTL: time.Minute}, &node.Options{Sequential: true}
		some[2].Options, some[3].Options = &node.Options{Persistent: true}, &node.Options{Persistent: true, Leave: true}
		all := mustBeginAll(t, c, some)
		mustAwait(t, all)
		require.Equal(t, 3, mustBe(t, c, all, some))
		for i, n := range all {
			_, stat, err := c.Get(t.Context(), n.Path())
			require.NoError(t, err)
			ephemeral := i == 1 || i > 3
			require.Equal(t, ephemeral, stat.EphemeralOwner == c.Session().ID(), i)
		}
		require.NoError(t, all[3].Close(t.Context()))
		mustCloseAll(t, c, append(all[:3:3], all[4:]...))
		require.Equal(t, []string{"3"}, mustChildren(t, c, dir), "left as it is")
	})
}

// Whether a transaction was not heard or its answer not, each node is there in the end, and gone after Close.
func TestBatchLosesAnswers(t *testing.T) {
	for _, lost := range []proxy.Match{proxy.Request(proxy.OpMulti, ""), proxy.Reply(proxy.OpMulti, "")} {
		t.Run(lost.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := ensembletest.Start(t, 1, nil)
				c := e.Connect(t)
				mustMkdir(t, c)
				f := e.Proxy(c).Lose(lost)
				some := wishes(dir, 20)
				all := mustBeginAll(t, c, some)
				mustAwait(t, all)
				mustBe(t, c, all, some)
				require.Equal(t, 1, f.Strikes())
				mustCloseAll(t, c, all)
			})
		})
	}
}

// A session that ends on this side alone, when nodes were made in it or are being made, leaves them to the next one, which takes them over at
// once.
func TestBatchInTwoSessions(t *testing.T) {
	for _, answered := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{SessionTimeout: 30 * time.Second}})
			c, other := e.Connect(t), e.Connect(t)
			mustMkdir(t, c)
			old := c.Session()
			_, err := old.Keep(t.Context())
			require.NoError(t, err)
			away := e.Proxy(c).Lose(proxy.Request(proxy.OpConnect, "").Always())
			some := wishes(dir, 20)
			if !answered {
				e.Proxy(c).Lose(proxy.Reply(proxy.OpMulti, ""))
			}
			all := mustBeginAll(t, c, some)
			if answered {
				mustAwait(t, all)
				e.Drop(c)
			}
			<-old.Context().Done()
			require.Len(t, mustChildren(t, other, dir), 20, "the servers do not know yet")
			away.End()
			time.Sleep(5 * time.Second)
			require.NotEqual(t, old.ID(), c.Session().ID())
			mustBe(t, c, all, some)
			mustCloseAll(t, c, all)
		})
	}
}

// Who is not kept any more when the transaction is sent is not made by it, and if that is who would send it the others make themselves.
func TestBatchIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		mustMkdir(t, c)
		for _, leaves := range []int{0, 7} {
			seen := e.Record()
			require.NoError(t, e.Expire(t.Context(), c))
			away := e.Proxy(c).Lose(proxy.Request(proxy.OpConnect, "").Always())
			e.Drop(c)
			<-c.Session().Context().Done()
			some := wishes(dir, 20)
			all := mustBeginAll(t, c, some)
			time.Sleep(time.Second)
			gone, cancel := context.WithCancel(t.Context())
			cancel()
			require.ErrorIs(t, all[leaves].Close(gone), client.ErrUnknown)
			synctest.Wait()
			away.End()
			time.Sleep(time.Minute)
			require.NoError(t, all[leaves].Close(t.Context()))
			rest := append(all[:leaves:leaves], all[leaves+1:]...)
			for _, n := range rest {
				require.True(t, n.Status().Present)
			}
			names := mustChildren(t, other, dir)
			require.Len(t, names, 19)
			require.NotContains(t, names, fmt.Sprint(leaves))
			seen.Stop()
			for _, o := range seen.Operations(ensembletest.Match{Session: c.Session().ID()}) {
				require.NotEqual(t, "delete", o.Op, "it was never there")
			}
			mustCloseAll(t, other, rest)
		}
	})
}

// Whatever befalls nodes that begin together, those that are kept are there when it is quiet, of the session that is, and the others gone.
func TestBatchesAmongFaults(t *testing.T) {
	first := *seed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	for seed := first; seed < first+uint64(*runs); seed++ {
		synctest.Test(t, func(t *testing.T) { batchesAmongFaults(t, rand.New(rand.NewPCG(seed, 9))) })
		if t.Failed() {
			t.Fatalf("it was seed %d", seed)
		}
	}
}

func batchesAmongFaults(t *testing.T, r *rand.Rand) {
	e := ensembletest.Start(t, 3, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second}})
	c, other := e.Connect(t), e.Connect(t)
	maker := trouble.New(e, r)
	maker.Also("expired", func(ctx context.Context) bool { return e.Expire(ctx, c) == nil })
	maker.Also("multi lost", func(context.Context) bool {
		e.Proxy(c).Lose([]proxy.Match{proxy.Request(proxy.OpMulti, ""), proxy.Reply(proxy.OpMulti, "")}[r.IntN(2)])
		return true
	})
	kept := map[string]*node.Node{} // nil: closed
	for i := range 12 {
		maker.Strike(c)
		began, err := node.BeginAll(t.Context(), c, wishes(fmt.Sprint(dir, "/", i), 8+r.IntN(20)))
		require.NoError(t, err)
		time.Sleep(time.Duration(r.IntN(4000)*r.IntN(2)) * time.Millisecond)
		for _, n := range began {
			kept[n.Path()] = n
			if r.IntN(4) == 0 {
				at, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(1000))*time.Millisecond)
				_ = n.Close(at) // goes on
				cancel()
				kept[n.Path()] = nil
			}
		}
	}
	require.NoError(t, maker.End(t.Context()))
	time.Sleep(2 * time.Minute)
	require.NoError(t, other.Sync(t.Context(), "/"))
	for at, n := range kept {
		stat, there, err := other.Exists(t.Context(), at)
		require.NoError(t, err)
		require.Equal(t, n != nil, there, at)
		if n == nil {
			continue
		}
		require.Equal(t, c.Session().ID(), stat.EphemeralOwner)
		require.Equal(t, node.Status{Present: true, Czxid: stat.Czxid, Session: c.Session().ID()}, n.Status())
	}
	for _, n := range kept {
		if n != nil {
			require.NoError(t, n.Close(t.Context()))
		}
	}
}
