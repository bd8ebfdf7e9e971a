package queue_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/queue"
)

func mustPop(t *testing.T, q *queue.Queue) *queue.Delivery {
	t.Helper()
	d, err := q.Pop(t.Context())
	require.NoError(t, err)
	return d
}

// What is popped is gone, key and all, and finished; what is claimed is not popped.
func TestPop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		q, other := queue.New(c, path, nil), queue.New(c, path, nil)
		mustPut(t, q, item("a"), queue.Item{Data: []byte("b"), Key: "b"}, item("c"), item("d"))
		a := mustTake(t, other)
		require.Equal(t, "a", string(a.Data()))
		require.NoError(t, mustTake(t, other).Release(ctx))
		b := mustPop(t, q)
		require.Equal(t, "b", b.Item().Key)
		require.Equal(t, 1, b.Attempt())
		require.Greater(t, b.Token(), a.Token())
		require.ErrorIs(t, context.Cause(b.Context()), queue.ErrFinished)
		require.NoError(t, b.Ack(ctx), "again")
		require.ErrorIs(t, b.Nack(ctx, 0, nil), queue.ErrFinished)
		require.ErrorIs(t, b.Extend(time.Second), queue.ErrFinished)
		_, err := c.Multi(ctx, b.Guard()...)
		require.ErrorIs(t, err, client.ErrNoNode)
		mustPut(t, q, queue.Item{Key: "b"})
		require.Equal(t, "c", string(mustPop(t, q).Data()))
		require.Equal(t, "d", string(mustTake(t, other).Data()), "of a list in which there was c")
		require.Equal(t, "b", mustPop(t, q).Item().Key)
		_, err = q.TryPop(ctx)
		require.ErrorIs(t, err, queue.ErrEmpty)
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err = q.Pop(soon)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, client.ErrUnknown)
		got := make(chan *queue.Delivery)
		go func() { got <- mustPop(t, q) }() // ends with the item
		synctest.Wait()
		require.NoError(t, a.Nack(ctx, 0, nil))
		require.Equal(t, a.Name(), (<-got).Name())
	})
}

// A queue for SimpleDistributedQueue has its names and nothing but data, and nothing beside it but what Pop needs.
func TestSimple(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var asked atomic.Int64
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{Hooks: client.Hooks{Done: func(client.OperationDone) { asked.Add(1) }}}})
		c := e.Connect(t)
		q := queue.New(c, path, &queue.Options{Order: queue.Simple, MaxItems: 20})
		_, err := q.TryPop(ctx)
		require.ErrorIs(t, err, queue.ErrEmpty)
		for i := range 16 {
			mustPut(t, q, item("%d", i))
		}
		data, stat, err := c.Get(ctx, path+"/qn-0000000003")
		require.NoError(t, err)
		require.Equal(t, "3", string(data))
		require.Zero(t, stat.EphemeralOwner)
		_, err = c.Create(ctx, path+"/queue-0000000000", nil, nil)
		require.NoError(t, err)
		st, err := q.Inspect(ctx)
		require.NoError(t, err)
		require.Len(t, st.Items, 16)
		require.Equal(t, "15", string(st.Items[15].Item.Data))
		require.Equal(t, []string{"queue-0000000000"}, st.Foreign)

		_, err = q.Take(ctx)
		require.ErrorIs(t, err, client.ErrBadArguments)
		require.ErrorIs(t, q.Put(ctx, queue.Item{Key: "k"}), client.ErrBadArguments)
		require.ErrorIs(t, q.Put(ctx, queue.Item{Priority: 1}), client.ErrBadArguments)
		asked.Store(0)
		for i := range 16 {
			d := mustPop(t, q)
			require.Equal(t, fmt.Sprint(i), string(d.Data()))
			require.Equal(t, queue.Item{Data: d.Data()}, d.Item())
		}
		require.EqualValues(t, 16*2+1, asked.Load(), "a list, and of each item a read and its removal")
		got := make(chan *queue.Delivery)
		go func() { got <- mustPop(t, q) }() // ends with the item
		synctest.Wait()
		_, err = c.Create(ctx, path+"/qn-", []byte("theirs"), &client.CreateOptions{Mode: client.PersistentSequential})
		require.NoError(t, err)
		require.Equal(t, "theirs", string((<-got).Data()))
		for _, suffix := range []string{"-claims", "-later", "-dead", "-keys"} {
			_, there, err := c.Exists(ctx, path+suffix)
			require.NoError(t, err)
			require.False(t, there, suffix)
		}
	})
}

// Q1: whatever is lost with a connection, and whoever else pops, an item is popped once, and not lost.
func TestPopAmongLosses(t *testing.T) {
	for way, fail := range waysToFail {
		for _, order := range []queue.Order{queue.FIFO, queue.Simple} {
			synctest.Test(t, func(t *testing.T) {
				e := ensembletest.Start(t, 1, nil)
				struck := 0
				for _, op := range []proxy.Op{proxy.OpMulti, proxy.OpGetData, proxy.OpGetChildren} {
					for skip := range 3 {
						c, other := e.Connect(t), e.Connect(t)
						o := &queue.Options{Order: order}
						mustPut(t, queue.New(other, path, o), item("0"), item("1"), item("2"), item("3"))
						f := fail(e.Proxy(c), op, skip)
						done := map[string]bool{}
						for _, c := range []*client.Client{c, other, c, c} {
							d := mustPop(t, queue.New(c, path, o))
							require.False(t, done[string(d.Data())], "%s %s: twice", way, op)
							done[string(d.Data())] = true
						}
						require.Len(t, done, 4)
						struck += f.Strikes()
						f.End()
						require.NoError(t, c.Close())
						require.NoError(t, other.Close())
						mustBeGone(t, e)
					}
				}
				require.GreaterOrEqual(t, struck, 5, way)
			})
		}
	}
}

// A Pop that does not know whether it has removed the item returns it; and the item is there, or not.
func TestPopUnknown(t *testing.T) {
	for removed, lose := range map[bool]func(proxy.Op, string) proxy.Match{false: proxy.Request, true: proxy.Reply} {
		for _, end := range []string{"ctx", "session"} {
			synctest.Test(t, func(t *testing.T) {
				e := ensembletest.Start(t, 1, nil)
				c := e.Connect(t)
				q := queue.New(c, path, nil)
				mustPut(t, q, item("first"), item("x"))
				mustPop(t, q) // its directories are made
				f := e.Proxy(c).Freeze(lose(proxy.OpMulti, "").Always())
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if end == "ctx" {
					ctx, cancel = context.WithTimeout(ctx, time.Second)
				} else {
					time.AfterFunc(time.Second, func() { e.CutClient(c) })
				}
				defer cancel()
				d, err := q.Pop(ctx)
				require.ErrorIs(t, err, client.ErrUnknown)
				require.Equal(t, "x", string(d.Data()))
				require.ErrorIs(t, d.Ack(t.Context()), client.ErrUnknown, "it stays so")
				require.Zero(t, d.Token())
				n, err := queue.New(e.Connect(t), path, nil).Len(t.Context())
				require.NoError(t, err)
				require.Equal(t, map[bool]int{true: 0, false: 1}[removed], n)
				f.End()
				e.Heal()
			})
		}
	}
}
