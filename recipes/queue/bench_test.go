package queue_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/queue"
)

// connectCounting connects a client and counts its operations, those that keep its session left out.
func connectCounting(t testing.TB, e *ensembletest.Ensemble, count *atomic.Int64) *client.Client {
	c, err := client.Connect(t.Context(), e.ConnectString(), &client.Options{
		Dialer: e.Dial,
		Hooks:  client.Hooks{Done: func(client.OperationDone) { count.Add(1) }},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// What the package comment says of cost.
func TestCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		var puts, takes atomic.Int64
		producer, consumer := connectCounting(t, e, &puts), connectCounting(t, e, &takes)
		other := queue.New(consumer, "/other", nil)
		mustPut(t, other, item("x"))
		mustTake(t, other) // so that the session is kept all the time
		in, out := queue.New(producer, path, nil), queue.New(consumer, path, nil)
		mustPut(t, in, item("first"))
		require.NoError(t, mustTake(t, out).Ack(t.Context()))
		_, err := out.TryTake(t.Context())
		require.ErrorIs(t, err, queue.ErrEmpty)
		synctest.Wait()
		puts.Store(0)
		takes.Store(0)
		const n = 10 * 16 // listings
		for i := range n {
			mustPut(t, in, item("%d", i))
		}
		synctest.Wait()
		require.EqualValues(t, n, puts.Load())
		for range n {
			require.NoError(t, mustTake(t, out).Ack(t.Context()))
		}
		synctest.Wait()
		require.EqualValues(t, 3*n+3*10, takes.Load())

		for range 2 { // the first makes the line's directory
			takes.Store(0)
			got := make(chan *queue.Delivery)
			go func() { got <- mustTake(t, out) }() // ends with the item
			synctest.Wait()
			mustPut(t, in, item("x"))
			d := <-got
			time.Sleep(time.Second) // it has a watch
			require.NoError(t, d.Ack(t.Context()))
			synctest.Wait()
		}
		require.EqualValues(t, 3+1+11, takes.Load(), "who waits, and takes long")

		bounded := queue.New(producer, path, &queue.Options{MaxItems: 100})
		mustPut(t, bounded, item("x"))
		mustPut(t, bounded, item("x"))
		puts.Store(0)
		for range 50 {
			mustPut(t, bounded, item("x"))
		}
		synctest.Wait()
		require.EqualValues(t, 50, puts.Load(), "nobody else puts, and there is room")
		mustPut(t, in, item("x")) // which tells nobody, and needs no room
		other = queue.New(consumer, path, &queue.Options{MaxItems: 100})
		mustPut(t, other, item("x"))
		puts.Store(0)
		mustPut(t, bounded, item("x"))
		mustPut(t, bounded, item("x"))
		synctest.Wait()
		require.EqualValues(t, 3+2, puts.Load(), "the first one finds that another has put, and the second one looks")

		full := queue.New(producer, "/full", &queue.Options{MaxItems: 1})
		drain := queue.New(consumer, "/full", nil)
		mustPut(t, full, item("x"))
		for range 2 { // the first makes the line's directory
			puts.Store(0)
			go func() { mustPut(t, full, item("x")) }() // ends when there is room
			synctest.Wait()
			require.NoError(t, mustTake(t, drain).Ack(t.Context()))
			synctest.Wait()
		}
		require.EqualValues(t, 2+7, puts.Load(), "who waits for room")

		watches := e.Watches()
		require.Len(t, watches, 1, "of the item that is claimed still")
	})
}

// One server, in memory: items are put by some producers while as many consumers do them.
func BenchmarkPutTakeAck(b *testing.B) {
	for _, workers := range []int{1, 4, 16} {
		b.Run(fmt.Sprint("workers=", workers), func(b *testing.B) {
			w := newBench(b, workers)
			b.ResetTimer()
			var putting sync.WaitGroup
			for i := range workers {
				putting.Go(func() { w.put(b, i) }) // ends when all is put
			}
			w.takeAll(b)
			putting.Wait()
			b.ReportMetric(float64(w.asked.Load())/float64(b.N), "requests/item")
		})
	}
}

// The same, but all items are there before they are taken.
func BenchmarkTakeAck(b *testing.B) {
	for _, workers := range []int{1, 4, 16} {
		b.Run(fmt.Sprint("workers=", workers), func(b *testing.B) {
			w := newBench(b, workers)
			for i := range workers {
				w.put(b, i)
			}
			w.asked.Store(0)
			b.ResetTimer()
			w.takeAll(b)
			b.ReportMetric(float64(w.asked.Load())/float64(b.N), "requests/item")
		})
	}
}

// A bench is a queue with producers and consumers, each with a client of its own.
type bench struct {
	asked     atomic.Int64
	ins, outs []*queue.Queue
}

func newBench(b *testing.B, workers int) *bench {
	e := ensembletest.Start(b, 1, nil)
	w := &bench{}
	for range workers {
		w.ins = append(w.ins, queue.New(connectCounting(b, e, &w.asked), path, nil))
		w.outs = append(w.outs, queue.New(connectCounting(b, e, &w.asked), path, nil))
	}
	b.ReportAllocs()
	return w
}

// share is how many of b.N items are one worker's.
func (w *bench) share(b *testing.B, worker int) int {
	n := len(w.ins)
	return (b.N + n - 1 - worker) / n
}

func (w *bench) put(b *testing.B, worker int) {
	for range w.share(b, worker) {
		if err := w.ins[worker].Put(b.Context(), queue.Item{Data: make([]byte, 100)}); err != nil {
			b.Error(err)
		}
	}
}

func (w *bench) takeAll(b *testing.B) {
	var taking sync.WaitGroup
	for i := range w.outs {
		taking.Go(func() { // ends when its share is done
			for range w.share(b, i) {
				d, err := w.outs[i].Take(b.Context())
				if err == nil {
					err = d.Ack(b.Context())
				}
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	taking.Wait()
}
