package integration

import (
	"context"
	"fmt"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/queue"
)

// benchmarkQueues measures what it costs to hand an item over: to put it, take it and acknowledge it.
func (s *benchmarked) benchmarkQueues(b *testing.B) {
	b.Run("1_session", func(b *testing.B) { s.measure(b, 1, putTakeAck) })
	for _, n := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("%d_producers_%[1]d_consumers", n), func(b *testing.B) { s.handOver(b, n, nil, item, takeAck) })
	}
	b.Run("4_producers_4_consumers/popped", func(b *testing.B) { s.handOver(b, 4, nil, item, pop) })
	b.Run("1_session/16_items_at_once", func(b *testing.B) { s.measure(b, 1, putTakeAckMany) })
	b.Run("4_producers_4_consumers/at_most_64_items", func(b *testing.B) { s.handOver(b, 4, &queue.Options{MaxItems: 64}, item, takeAck) })
	b.Run("4_producers_4_consumers/with_keys", func(b *testing.B) {
		keyed := func(n int64) queue.Item { return queue.Item{Key: fmt.Sprint(n), Data: make([]byte, 100)} }
		s.handOver(b, 4, nil, keyed, takeAck)
	})
}

func item(int64) queue.Item { return queue.Item{Data: make([]byte, 100)} }

// putTakeAck puts an item and takes one.
func putTakeAck(_ int, c *bwclient.Client, dir string) operation {
	q := queue.New(c, path.Join(dir, "queue"), nil)
	return func(ctx context.Context) error {
		if err := q.Put(ctx, item(0)); err != nil {
			return err
		}
		return takeAck(ctx, q)
	}
}

func takeAck(ctx context.Context, q *queue.Queue) error {
	d, err := q.Take(ctx)
	if err != nil {
		return err
	}
	return d.Ack(ctx)
}

func pop(ctx context.Context, q *queue.Queue) error {
	_, err := q.Pop(ctx)
	return err
}

// putTakeAckMany puts 16 items and takes them.
func putTakeAckMany(_ int, c *bwclient.Client, dir string) operation {
	q := queue.New(c, path.Join(dir, "queue"), nil)
	return func(ctx context.Context) error {
		items := slices.Repeat([]queue.Item{item(0)}, 16)
		if err := q.Put(ctx, items...); err != nil {
			return err
		}
		all, err := q.TakeUpTo(ctx, len(items))
		if err != nil {
			return err
		}
		return queue.AckAll(ctx, all)
	}
}

// handOver passes b.N items on from n producers to n consumers, each with a client of its own.
func (s *benchmarked) handOver(
	b *testing.B, n int, o *queue.Options, item func(n int64) queue.Item, take func(ctx context.Context, q *queue.Queue) error,
) {
	var requests, numbers atomic.Int64
	where := fmt.Sprintf("/bench/%x/queue", time.Now().UnixNano())
	var in, out []*queue.Queue
	for range n {
		in = append(in, queue.New(s.connect(b, &requests), where, o))
		out = append(out, queue.New(s.connect(b, &requests), where, o))
	}
	pass := func(items int) {
		var wg sync.WaitGroup
		for i := range n {
			share := (items + i) / n
			wg.Go(func() {
				for range share {
					if !assert.NoError(b, in[i].Put(b.Context(), item(numbers.Add(1)))) {
						return
					}
				}
			})
			wg.Go(func() {
				for range share {
					if !assert.NoError(b, take(b.Context(), out[i])) {
						return
					}
				}
			})
		}
		wg.Wait()
		require.False(b, b.Failed())
	}
	pass(10 * n) // directories are made, connections are warm
	requests.Store(0)
	b.ResetTimer()
	pass(b.N)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	b.ReportMetric(float64(requests.Load())/float64(b.N), "requests/op")
}
