package queue_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/queue"
)

// What is put into any of the shards is done once, by consumers that wait for all of them, and nothing is left.
func TestSharded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		var clients []*client.Client
		connect := func() *queue.Sharded {
			clients = append(clients, e.Connect(t))
			return queue.NewSharded(clients[len(clients)-1], path, 4, nil)
		}
		in := connect()
		_, err := in.TryTake(ctx)
		require.ErrorIs(t, err, queue.ErrEmpty)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err = in.Take(short)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		stop, end := context.WithCancel(ctx)
		defer end()
		var (
			working sync.WaitGroup
			mu      sync.Mutex
			done    = map[string]int{}
		)
		for range 3 {
			out := connect()
			working.Go(func() { // ends with stop
				for {
					d, err := out.Take(stop)
					if errors.Is(err, context.Canceled) {
						return
					}
					require.NoError(t, err)
					require.Equal(t, 1, d.Attempt())
					mu.Lock()
					done[string(d.Data())]++
					mu.Unlock()
					require.NoError(t, d.Ack(ctx))
				}
			})
		}
		const n = 60
		for i := range n {
			require.NoError(t, in.Put(ctx, item("%d", i)))
			if i%7 == 0 {
				time.Sleep(time.Second)
			}
		}
		time.Sleep(time.Second)
		left, err := in.Len(ctx)
		require.NoError(t, err)
		require.Zero(t, left)
		require.Len(t, done, n)
		for i := range n {
			require.Equal(t, 1, done[fmt.Sprint(i)])
		}
		for _, q := range in.Shards() {
			st, err := q.Inspect(ctx)
			require.NoError(t, err)
			require.Len(t, st.Takers, 3)
		}
		end()
		working.Wait()
		for range 8 { // whatever shards they come to
			if err := in.Put(ctx, queue.Item{Key: "same"}); err != nil {
				require.ErrorIs(t, err, queue.ErrDuplicate)
			}
		}
		left, err = in.Len(ctx)
		require.NoError(t, err)
		require.Equal(t, 1, left)
		d, err := in.TryTake(ctx)
		require.NoError(t, err)
		require.NoError(t, d.Ack(ctx))

		for _, c := range clients {
			require.NoError(t, c.Close())
		}
		for _, znode := range e.Leader().Tree() {
			require.Zero(t, znode.Stat.EphemeralOwner, znode.Path)
		}
	})
}
