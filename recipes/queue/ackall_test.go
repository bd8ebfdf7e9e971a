package queue_test

import (
	"context"
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

// mustTakeUpTo takes exactly so many.
func mustTakeUpTo(t *testing.T, q *queue.Queue, n int) []*queue.Delivery {
	t.Helper()
	all, err := q.TakeUpTo(t.Context(), n)
	require.NoError(t, err)
	require.Len(t, all, n)
	return all
}

// Several items, keys among them, are acknowledged in one request, and again without any.
func TestAckAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var requests atomic.Int64
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{Hooks: client.Hooks{Done: func(client.OperationDone) { requests.Add(1) }}}})
		c := e.Connect(t)
		q := queue.New(c, path, nil)
		mustPut(t, q, item("a"), queue.Item{Key: "b"}, item("c"))
		all := mustTakeUpTo(t, q, 3)
		synctest.Wait()
		requests.Store(0)
		require.NoError(t, queue.AckAll(ctx, append(all, all[1]), client.CreateOp("/done", nil, nil)))
		require.EqualValues(t, 1, requests.Load())
		for _, d := range all {
			require.ErrorIs(t, context.Cause(d.Context()), queue.ErrFinished)
		}
		require.NoError(t, queue.AckAll(ctx, all, client.CreateOp("/done", nil, nil)), "again")
		require.NoError(t, all[2].Ack(ctx))
		require.NoError(t, queue.AckAll(ctx, nil))
		require.ErrorIs(t, queue.AckAll(ctx, nil, client.CreateOp("/other", nil, nil)), client.ErrBadArguments)
		_, there, err := c.Exists(ctx, "/done")
		require.NoError(t, err)
		require.True(t, there)

		mustPut(t, q, queue.Item{Key: "b"}, item("d"))
		all = mustTakeUpTo(t, q, 2)
		require.NoError(t, all[1].Ack(ctx))
		require.NoError(t, queue.AckAll(ctx, all), "what is left")
		require.NoError(t, c.Close())
		mustBeGone(t, e)
	})
}

// When one item is lost, or something else cannot be done, nothing is, and whoever has the others goes on.
func TestAckNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, admin := e.Connect(t), e.Connect(t)
		q, other := queue.New(c, path, nil), queue.New(admin, path, nil)
		mustPut(t, q, item("a"), item("b"), item("c"))
		all := mustTakeUpTo(t, q, 3)
		require.ErrorIs(t, queue.AckAll(ctx, all, client.DeleteOp("/nowhere", 0)), client.ErrNoNode)
		require.NoError(t, admin.Delete(ctx, path+"-claims/"+all[1].Name(), client.AnyVersion))
		err := queue.AckAll(ctx, all)
		require.ErrorIs(t, err, queue.ErrLost)
		var known *client.Error
		require.ErrorAs(t, err, &known)
		require.Equal(t, path+"/"+all[1].Name(), known.Path)
		require.ErrorIs(t, context.Cause(all[1].Context()), queue.ErrLost)
		n, err := q.Len(ctx)
		require.NoError(t, err)
		require.Equal(t, 3, n)
		require.ErrorIs(t, queue.AckAll(ctx, all), queue.ErrLost, "it stays so")

		again := mustTake(t, other)
		require.Equal(t, all[1].Name(), again.Name())
		require.ErrorIs(t, queue.AckAll(ctx, []*queue.Delivery{all[0], again}), client.ErrBadArguments, "in one session")
		require.NoError(t, again.Ack(ctx))
		require.NoError(t, all[0].Context().Err())
		require.NoError(t, queue.AckAll(ctx, []*queue.Delivery{all[2], all[0]}))
		require.NoError(t, c.Close())
		require.NoError(t, admin.Close())
		mustBeGone(t, e)
	})
}

// Whatever becomes of the one request, it is known what was done; unless the session ends, which is unknown of each for ever.
func TestAckAllAmongLosses(t *testing.T) {
	for way, fail := range waysToFail {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 1, nil)
			c := e.Connect(t)
			q := queue.New(c, path, nil)
			mustPut(t, q, item("a"), item("b"))
			all := mustTakeUpTo(t, q, 2)
			f := fail(e.Proxy(c), proxy.OpMulti, 0)
			require.NoError(t, queue.AckAll(t.Context(), all, client.CreateOp("/done", nil, nil)), way)
			require.Equal(t, 1, f.Strikes())
			require.NoError(t, c.Close())
			mustBeGone(t, e)
		})
	}
	for _, lose := range []func(proxy.Op, string) proxy.Match{proxy.Request, proxy.Reply} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			e := ensembletest.Start(t, 1, nil)
			c := e.Connect(t)
			q := queue.New(c, path, nil)
			mustPut(t, q, item("a"), item("b"))
			all := mustTakeUpTo(t, q, 2)
			f := e.Proxy(c).Freeze(lose(proxy.OpMulti, "").Always())
			soon, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			require.ErrorIs(t, queue.AckAll(soon, all), client.ErrUnknown)
			require.ErrorIs(t, all[1].Ack(soon), client.ErrUnknown, "the other is about to")
			e.CutClient(c)
			require.ErrorIs(t, queue.AckAll(ctx, all), client.ErrUnknown)
			for _, d := range all {
				require.ErrorIs(t, d.Ack(ctx), client.ErrUnknown, "it stays so")
			}
			f.End()
			e.Heal()
		})
	}
}

// Those who acknowledge some of the same items at the same time, or give one of them back, do not wait for each other for ever; and the shards of a
// queue are acknowledged in one transaction, too.
func TestAckAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		q := queue.NewSharded(c, path, 4, nil)
		for range 50 {
			for range 8 {
				require.NoError(t, q.Put(ctx, item("x")))
			}
			var there, back []*queue.Delivery
			for range 8 {
				d, err := q.TryTake(ctx)
				require.NoError(t, err)
				there, back = append(there, d), append([]*queue.Delivery{d}, back...)
			}
			errs := make(chan error)
			go func() { errs <- queue.AckAll(ctx, there) }() // end with the answer
			go func() { errs <- queue.AckAll(ctx, back) }()
			go func() { errs <- there[3].Release(ctx) }()
			var failed int
			for range 3 {
				if err := <-errs; err != nil {
					require.ErrorIs(t, err, queue.ErrFinished)
					failed++
				}
			}
			if failed == 2 { // it was given back first
				require.NoError(t, queue.AckAll(ctx, append(there[:3:3], there[4:]...)))
				d, err := q.TryTake(ctx)
				require.NoError(t, err)
				require.NoError(t, d.Ack(ctx))
			} else {
				require.Equal(t, 1, failed)
			}
			_, err := q.TryTake(ctx)
			require.ErrorIs(t, err, queue.ErrEmpty)
		}
	})
}
