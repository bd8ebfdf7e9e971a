package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/queue"
)

const path = "/app/queue"

func mustPut(t *testing.T, q *queue.Queue, items ...queue.Item) {
	t.Helper()
	require.NoError(t, q.Put(t.Context(), items...))
}

func mustTake(t *testing.T, q *queue.Queue) *queue.Delivery {
	t.Helper()
	d, err := q.Take(t.Context())
	require.NoError(t, err)
	return d
}

func item(format string, a ...any) queue.Item {
	return queue.Item{Data: fmt.Appendf(nil, format, a...)}
}

// mustBeGone says that nothing is left of a queue but its directories.
func mustBeGone(t *testing.T, e *ensembletest.Ensemble) {
	t.Helper()
	c := e.Connect(t)
	defer c.Close()
	for _, suffix := range []string{"", "-claims", "-later", "-dead", "-keys", "-marks", "-takers", "-putters"} {
		names, _, err := c.Children(t.Context(), path+suffix)
		if err != nil {
			require.ErrorIs(t, err, client.ErrNoNode)
		}
		require.Empty(t, names, suffix)
	}
}

func TestFirstInFirstOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		producer, consumer := e.Connect(t), e.Connect(t)
		in, out := queue.New(producer, path, nil), queue.New(consumer, path, nil)
		require.Equal(t, path, in.Path())
		_, err := out.TryTake(ctx)
		require.ErrorIs(t, err, queue.ErrEmpty)
		for i := range 20 {
			mustPut(t, in, item("%d", 2*i), item("%d", 2*i+1))
		}
		n, err := in.Len(ctx)
		require.NoError(t, err)
		require.Equal(t, 40, n)
		last := int64(0)
		for i := range 40 {
			d := mustTake(t, out)
			require.Equal(t, fmt.Sprint(i), string(d.Data()))
			require.Equal(t, 1, d.Attempt())
			require.Greater(t, d.Token(), last)
			last = d.Token()
			require.NoError(t, d.Context().Err())
			require.NoError(t, d.Ack(ctx))
			require.ErrorIs(t, context.Cause(d.Context()), queue.ErrFinished)
			require.NoError(t, d.Ack(ctx), "again")
			require.ErrorIs(t, d.Nack(ctx, 0, nil), queue.ErrFinished)
		}
		require.NoError(t, producer.Close())
		require.NoError(t, consumer.Close())
		mustBeGone(t, e)
	})
}

// Who waits is woken by an item, and one of them.
func TestTakeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		in := queue.New(e.Connect(t), path, nil)
		got := make(chan *queue.Delivery)
		var sessions []int64
		for i := range 5 {
			c := e.Connect(t)
			sessions = append(sessions, c.Session().ID())
			go func() { got <- mustTake(t, queue.New(c, path, &queue.Options{ID: fmt.Sprint("taker ", i)})) }() // ends with its item
			time.Sleep(time.Second)
		}
		st, err := in.Inspect(t.Context())
		require.NoError(t, err)
		require.Len(t, st.Takers, 5)
		for i := range 5 {
			taker := st.Takers[i]
			require.Equal(t, fmt.Sprint("taker ", i), string(taker.Data), "in their order")
			require.Equal(t, sessions[i], taker.Session)
			require.Positive(t, taker.Token)
			require.WithinDuration(t, time.Now().Add(time.Duration(i-5)*time.Second), taker.Since, 10*time.Millisecond)
		}
		all := st.Takers
		for i := range 5 {
			mustPut(t, in, item("%d", i))
			d := <-got
			require.Equal(t, fmt.Sprint(i), string(d.Data()))
			time.Sleep(time.Second)
			st, err = in.Inspect(t.Context())
			require.NoError(t, err)
			require.ElementsMatch(t, all[i+1:], st.Takers)
			require.Equal(t, all[i].Session, st.Items[0].Claim.Session)
			require.Equal(t, string(all[i].Data), st.Items[0].Claim.ID)
			require.NoError(t, d.Ack(t.Context()))
		}
	})
}

// Of items that do not fit into one request together some are taken.
func TestTakeUpToWhatFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue.New(ensembletest.Start(t, 1, nil).Connect(t), path, nil)
		for range 5 {
			mustPut(t, q, queue.Item{Data: make([]byte, ensembletest.MaxFrame/3)})
		}
		taken := 0
		for taken < 5 {
			all, err := q.TakeUpTo(t.Context(), 5)
			require.NoError(t, err)
			for i, d := range all {
				require.Equal(t, fmt.Sprintf("queue-%010d", taken+i), d.Name())
			}
			taken += len(all)
		}
	})
}

// The largest item that can be put can be taken, given back, and buried.
func TestLargeItem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{MaxFrame: client.DefaultMaxFrame}})
		q := queue.New(e.Connect(t), path, &queue.Options{MaxAttempts: 2})
		large := make([]byte, client.DefaultMaxFrame-8<<10)
		mustPut(t, q, queue.Item{Data: large})
		reason := errors.New(strings.Repeat("€", 2000))
		require.NoError(t, mustTake(t, q).Nack(ctx, time.Second, reason))
		d := mustTake(t, q)
		require.Equal(t, large, d.Data())
		require.NoError(t, d.Nack(ctx, 0, reason))
		dead, err := q.DeadLetters(ctx)
		require.NoError(t, err)
		require.Equal(t, large, dead[0].Item.Data)
		require.Equal(t, strings.Repeat("€", 341), dead[0].Reason)
		require.NoError(t, q.Revive(ctx, dead[0].Name))
		require.NoError(t, mustTake(t, q).Ack(ctx))
	})
}

func TestByPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.Start(t, 1, nil).Connect(t)
		q := queue.New(c, path, &queue.Options{Order: queue.ByPriority, Window: 1})
		for i, p := range []int32{3, -1, 0, 3, -2, -1} {
			mustPut(t, q, queue.Item{Data: []byte{byte(i)}, Priority: p})
		}
		var got []byte
		for i := range 6 {
			d := mustTake(t, q)
			if i == 1 { // it keeps its priority, and its place among equals
				require.NoError(t, d.Nack(t.Context(), 0, nil))
				d = mustTake(t, q)
				require.Equal(t, 2, d.Attempt())
			}
			if i == 2 {
				mustPut(t, q, queue.Item{Data: []byte{9}, Priority: -9})
				next := mustTake(t, q)
				require.Equal(t, queue.Item{Data: []byte{9}, Priority: -9}, next.Item())
				require.NoError(t, next.Ack(t.Context()))
			}
			got = append(got, d.Data()...)
			require.NoError(t, d.Ack(t.Context()))
		}
		require.Equal(t, []byte{4, 1, 5, 2, 0, 3}, got)
	})
}

func TestByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		q := queue.New(e.Connect(t), path, &queue.Options{Order: queue.ByTime})
		start := time.Now()
		for _, s := range []int{5, 1, 3} {
			mustPut(t, q, queue.Item{Data: []byte{byte(s)}, At: start.Add(time.Duration(s) * time.Second)})
		}
		mustPut(t, q, item("now"))
		require.Equal(t, "now", string(mustTake(t, q).Data()))
		_, err := q.TryTake(ctx)
		require.ErrorIs(t, err, queue.ErrEmpty)
		for _, s := range []int{1, 3, 5} {
			d := mustTake(t, q)
			require.Equal(t, []byte{byte(s)}, d.Data())
			require.WithinDuration(t, start.Add(time.Duration(s)*time.Second), time.Now(), 50*time.Millisecond)
			require.WithinDuration(t, time.Now(), d.Item().At, 50*time.Millisecond)
			if s == 3 {
				require.NoError(t, d.Nack(ctx, 4*time.Second, nil))
				continue
			}
			require.NoError(t, d.Ack(ctx))
		}
		d := mustTake(t, q)
		require.Equal(t, []byte{3}, d.Data())
		require.Equal(t, 2, d.Attempt())
		require.WithinDuration(t, start.Add(7*time.Second), time.Now(), 50*time.Millisecond)
		go func() { // ends with the put
			time.Sleep(time.Second)
			mustPut(t, queue.New(e.Connect(t), path, &queue.Options{Order: queue.ByTime}), queue.Item{At: time.Now().Add(time.Second)})
		}()
		mustTake(t, q)
		require.WithinDuration(t, start.Add(9*time.Second), time.Now(), 50*time.Millisecond)
	})
}

func TestByID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		q := queue.New(ensembletest.Start(t, 1, nil).Connect(t), path, &queue.Options{Order: queue.ByID})
		for i, id := range []string{"a/b", "c", "a_b", "c", "a/b"} {
			mustPut(t, q, queue.Item{Data: []byte{byte(i)}, ID: id, Key: fmt.Sprint(i)})
		}
		d := mustTake(t, q)
		require.Equal(t, queue.Item{Data: []byte{0}, ID: "a_b", Key: "0"}, d.Item())
		n, err := q.Remove(ctx, "a/b")
		require.NoError(t, err)
		require.Equal(t, 2, n, "not the one that is claimed")
		n, err = q.Remove(ctx, "none")
		require.NoError(t, err)
		require.Zero(t, n)
		mustPut(t, q, queue.Item{Key: "2", ID: "again"})
		require.ErrorIs(t, q.Put(ctx, queue.Item{Key: "0"}), queue.ErrDuplicate)
		require.NoError(t, d.Ack(ctx))
		_, err = queue.New(ensembletest.Start(t, 1, nil).Connect(t), path, nil).Remove(ctx, "c")
		require.ErrorIs(t, err, client.ErrBadArguments)
	})
}

func TestWhatCannotBePut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.Start(t, 1, nil).Connect(t)
		fifo, byID := queue.New(c, path, nil), queue.New(c, path, &queue.Options{Order: queue.ByID})
		for _, i := range []queue.Item{{Priority: 1}, {At: time.Now()}, {ID: "x"}} {
			require.ErrorIs(t, fifo.Put(ctx, queue.Item{}, i), client.ErrBadArguments)
			_, err := fifo.Ops(i)
			require.ErrorIs(t, err, client.ErrBadArguments)
		}
		require.ErrorIs(t, byID.Put(ctx, queue.Item{Priority: 1}), client.ErrBadArguments)
		require.ErrorIs(t, queue.New(c, path, &queue.Options{Order: 9}).Put(ctx, item("")), client.ErrBadArguments)
		require.ErrorIs(t, fifo.Put(ctx, queue.Item{Data: make([]byte, 2<<20)}), client.ErrTooLarge)
		require.NoError(t, fifo.Put(ctx))
		require.ErrorIs(t, fifo.Put(ctx, item("x"), queue.Item{Data: make([]byte, client.DefaultMaxFrame-5000)}), client.ErrTooLarge)
		_, err := fifo.TakeUpTo(ctx, 0)
		require.ErrorIs(t, err, client.ErrBadArguments)
		n, err := fifo.Len(ctx)
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

// What is given back for later keeps its place, and Release does not count.
func TestGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		q := queue.New(e.Connect(t), path, &queue.Options{ID: "me"})
		mustPut(t, q, item("a"), item("b"), item("c"))
		a := mustTake(t, q)
		start := time.Now()
		require.NoError(t, a.Nack(ctx, 10*time.Second, fmt.Errorf("not yet")))
		n, err := q.Len(ctx)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		b := mustTake(t, q)
		require.Equal(t, "b", string(b.Data()))
		require.NoError(t, b.Release(ctx))
		b = mustTake(t, q)
		require.Equal(t, "b", string(b.Data()))
		require.Equal(t, 1, b.Attempt())

		st, err := q.Inspect(ctx)
		require.NoError(t, err)
		require.Len(t, st.Items, 3)
		entry := st.Items[0]
		require.Equal(t, "b", string(entry.Item.Data))
		require.Equal(t, b.Name(), entry.Name)
		require.Equal(t, queue.Claim{ID: "me", Session: b.Session().ID(), Token: b.Token(), Since: entry.Claim.Since}, *entry.Claim)
		require.True(t, b.Since().Equal(entry.Since))
		require.Nil(t, st.Items[1].Claim)
		require.Equal(t, "not yet", st.Items[2].Reason)
		require.Equal(t, 1, st.Items[2].Attempts)
		require.WithinDuration(t, start.Add(10*time.Second), st.Items[2].Later, time.Millisecond)

		time.Sleep(11 * time.Second)
		again := mustTake(t, q) // a new listing has it, ahead of what was there
		for string(again.Data()) == "c" {
			require.NoError(t, again.Release(ctx))
			again = mustTake(t, q)
		}
		require.Equal(t, "a", string(again.Data()))
		require.Equal(t, a.Name(), again.Name())
		require.Equal(t, 2, again.Attempt())

		c := mustTake(t, q)
		require.NoError(t, c.Nack(ctx, 30*time.Second, nil))
		start = time.Now()
		c = mustTake(t, q) // waits for it
		require.WithinDuration(t, start.Add(30*time.Second), time.Now(), 50*time.Millisecond)
		for _, d := range []*queue.Delivery{again, b, c} {
			require.NoError(t, d.Ack(ctx))
		}
		require.NoError(t, b.Session().Client().Close())
		mustBeGone(t, e)
	})
}

func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		q := queue.New(c, path, &queue.Options{MaxAttempts: 2})
		for _, key := range []string{"a/b", ".", "ü|%2F"} {
			mustPut(t, q, queue.Item{Key: key})
			require.ErrorIs(t, q.Put(ctx, queue.Item{Key: "other"}, queue.Item{Key: key}), queue.ErrDuplicate)
			d := mustTake(t, q)
			require.Equal(t, key, d.Item().Key)
			require.ErrorIs(t, q.Put(ctx, queue.Item{Key: key}), queue.ErrDuplicate)
			require.NoError(t, d.Nack(ctx, time.Second, nil))
			require.ErrorIs(t, q.Put(ctx, queue.Item{Key: key}), queue.ErrDuplicate)
			require.NoError(t, mustTake(t, q).Nack(ctx, 0, nil))
			dead, err := q.DeadLetters(ctx)
			require.NoError(t, err)
			require.Len(t, dead, 1)
			require.ErrorIs(t, q.Put(ctx, queue.Item{Key: key}), queue.ErrDuplicate)
			require.NoError(t, q.Revive(ctx, dead[0].Name))
			require.ErrorIs(t, q.Put(ctx, queue.Item{Key: key}), queue.ErrDuplicate)
			require.NoError(t, mustTake(t, q).Ack(ctx))
			mustPut(t, q, queue.Item{Key: key})
			require.NoError(t, mustTake(t, q).Ack(ctx))
		}
		mustPut(t, q, queue.Item{Key: "gone"})
		require.NoError(t, c.Delete(ctx, path+"-keys/key-gone", client.AnyVersion))
		require.NoError(t, mustTake(t, q).Ack(ctx), "a key that somebody has removed is nobody's problem")
		require.NoError(t, c.Close())
		mustBeGone(t, e)
	})
}

// A key outlives its item, if it shall, and not for ever.
func TestKeepKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		opts := &queue.Options{KeepKeys: time.Minute}
		q := queue.New(c, path, opts)
		mustPut(t, q, queue.Item{Key: "a"}, queue.Item{Key: "waits"})
		require.NoError(t, mustTake(t, q).Ack(ctx))
		for range 5 {
			require.ErrorIs(t, q.Put(ctx, queue.Item{Key: "a"}), queue.ErrDuplicate)
			time.Sleep(11 * time.Second)
		}
		time.Sleep(35 * time.Second)
		mustPut(t, q) // looks for what is over
		synctest.Wait()
		mustPut(t, q, queue.Item{Key: "a"})
		time.Sleep(5 * time.Minute)
		mustPut(t, q)
		synctest.Wait()
		for _, key := range []string{"a", "waits"} {
			require.ErrorIs(t, q.Put(ctx, queue.Item{Key: key}), queue.ErrDuplicate, "they are not done")
			require.NoError(t, mustTake(t, q).Ack(ctx))
		}
		time.Sleep(2 * time.Minute)
		mustPut(t, q)
		synctest.Wait()
		require.NoError(t, c.Close())
		mustBeGone(t, e)
	})
}

// A producer that does not know puts again until it does, and each item is done once.
func TestPutUntilKnown(t *testing.T) {
	for _, lose := range []func(proxy.Op, string) proxy.Match{proxy.Request, proxy.Reply} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			e := ensembletest.Start(t, 1, nil)
			c := e.Connect(t)
			opts := &queue.Options{KeepKeys: time.Hour}
			in, out := queue.New(c, path, opts), queue.New(e.Connect(t), path, opts)
			done := make(chan int)
			stop, cancel := context.WithCancel(ctx)
			go func() { // ends with stop
				n := 0
				for {
					d, err := out.Take(stop)
					if err != nil {
						done <- n
						return
					}
					n++
					if err := d.Ack(ctx); err != nil {
						t.Error(err)
					}
				}
			}()
			for i := range 5 {
				f := e.Proxy(c).Freeze(lose(proxy.OpMulti, ""))
				for {
					soon, cancel := context.WithTimeout(ctx, time.Second)
					err := in.Put(soon, queue.Item{Key: fmt.Sprint(i)})
					cancel()
					f.End()
					if err == nil || errors.Is(err, queue.ErrDuplicate) {
						break
					}
					require.ErrorIs(t, err, client.ErrUnknown)
					require.NoError(t, e.Expire(ctx, c)) // so that the client cannot find out
					time.Sleep(time.Second)
				}
			}
			time.Sleep(time.Second)
			cancel()
			require.Equal(t, 5, <-done)
		})
	}
}

// Q4: what fails again and again, and what nobody can read, is neither given out for ever nor thrown away.
func TestDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		q := queue.New(c, path, &queue.Options{Order: queue.ByPriority, MaxAttempts: 3})
		poison := queue.Item{Data: []byte("poison"), Priority: 7, Key: "p"}
		mustPut(t, q, poison, queue.Item{Data: []byte("next"), Priority: 8})
		require.NoError(t, mustTake(t, q).Nack(ctx, 0, nil))
		require.NoError(t, mustTake(t, q).Release(ctx))
		require.NoError(t, mustTake(t, q).Nack(ctx, 5*time.Second, nil))
		time.Sleep(5 * time.Second)
		q = queue.New(c, path, &queue.Options{Order: queue.ByPriority, MaxAttempts: 3})
		d := mustTake(t, q)
		require.Equal(t, 3, d.Attempt())
		require.NoError(t, d.Nack(ctx, time.Hour, fmt.Errorf("it is poison")))
		require.NoError(t, d.Nack(ctx, time.Hour, nil), "again")
		require.Equal(t, "next", string(mustTake(t, q).Data()))

		_, err := c.Create(ctx, path+"/queue-100000009", []byte("raw"), &client.CreateOptions{Mode: client.PersistentSequential})
		require.NoError(t, err)
		_, err = q.TryTake(ctx)
		require.ErrorIs(t, err, queue.ErrEmpty)
		all, err := q.DeadLetters(ctx)
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.Equal(t, poison, all[0].Item)
		require.Equal(t, [][]byte{poison.Data}, all[0].Records)
		require.Equal(t, 3, all[0].Attempts)
		require.Equal(t, "it is poison", all[0].Reason)
		require.Equal(t, "raw", string(all[1].Raw))
		require.NotEmpty(t, all[1].Reason)
		require.Nil(t, all[1].Records)
		require.EqualValues(t, 9, all[1].Item.Priority)
		require.ErrorIs(t, q.Revive(ctx, all[1].Name), client.ErrBadArguments)
		require.NoError(t, q.Discard(ctx, all[1].Name))
		require.ErrorIs(t, q.Discard(ctx, all[1].Name), client.ErrNoNode)
		require.ErrorIs(t, q.Discard(ctx, "x/queue-0000000001"), client.ErrBadArguments)
		require.NoError(t, q.Revive(ctx, all[0].Name))
		d = mustTake(t, q)
		require.Equal(t, poison, d.Item())
		require.Equal(t, 1, d.Attempt())
		all, err = q.DeadLetters(ctx)
		require.NoError(t, err)
		require.Empty(t, all)

		forever := queue.New(c, "/forever", &queue.Options{MaxAttempts: -1})
		mustPut(t, forever, item("x"))
		for range 40 {
			require.NoError(t, mustTake(t, forever).Nack(ctx, 0, nil))
		}
	})
}

// Q4: who dies of an item is counted, too.
func TestDeadlyItem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		opts := &queue.Options{MaxAttempts: 3}
		mustPut(t, queue.New(e.Connect(t), path, opts), item("deadly"), item("harmless"))
		for i := range 3 {
			c := e.Connect(t)
			d := mustTake(t, queue.New(c, path, opts))
			require.Equal(t, "deadly", string(d.Data()))
			require.Equal(t, i+1, d.Attempt())
			require.NoError(t, e.Expire(ctx, c))
			<-d.Context().Done()
			require.ErrorIs(t, context.Cause(d.Context()), client.ErrSessionExpired)
			require.ErrorIs(t, d.Ack(ctx), client.ErrSessionExpired)
			require.NotErrorIs(t, d.Ack(ctx), client.ErrUnknown)
		}
		q := queue.New(e.Connect(t), path, opts)
		require.Equal(t, "harmless", string(mustTake(t, q).Data()))
		dead, err := q.DeadLetters(ctx)
		require.NoError(t, err)
		require.Len(t, dead, 1)
		require.Equal(t, "deadly", string(dead[0].Item.Data))
		require.NotEmpty(t, dead[0].Reason)
	})
}

func TestMaxWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		q, other := queue.New(e.Connect(t), path, &queue.Options{MaxWork: 10 * time.Second}), queue.New(e.Connect(t), path, nil)
		mustPut(t, q, item("x"))
		d := mustTake(t, q)
		time.Sleep(8 * time.Second)
		require.NoError(t, d.Extend(5*time.Second))
		time.Sleep(4 * time.Second)
		require.NoError(t, d.Context().Err())
		start := time.Now()
		second := mustTake(t, other)
		require.WithinDuration(t, start.Add(time.Second), time.Now(), 50*time.Millisecond)
		require.ErrorIs(t, context.Cause(d.Context()), queue.ErrTooLong)
		require.ErrorIs(t, d.Ack(ctx), queue.ErrTooLong)
		require.ErrorIs(t, d.Extend(time.Second), queue.ErrTooLong)
		require.Equal(t, 2, second.Attempt())
		time.Sleep(time.Minute)
		require.NoError(t, second.Extend(0), "it has no limit")
		require.NoError(t, second.Ack(ctx))
	})
}

func TestMaxItems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		opts := &queue.Options{MaxItems: 3}
		q := queue.New(e.Connect(t), path, opts)
		require.ErrorIs(t, q.Put(ctx, make([]queue.Item, 4)...), client.ErrBadArguments)
		mustPut(t, q, item("0"), item("1"))
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		err := q.Put(soon, item("x"), item("y"))
		require.ErrorIs(t, err, queue.ErrFull)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, client.ErrUnknown)
		mustPut(t, q, item("2"))
		patient, giveUp := context.WithCancel(ctx)
		defer giveUp()
		late := make(chan error, 1)
		c := e.Connect(t)
		go func() { late <- queue.New(c, path, &queue.Options{MaxItems: 3, ID: "late"}).Put(patient, item("x")) }() // ends when it is given up
		time.Sleep(time.Second)
		st, err := q.Inspect(ctx)
		require.NoError(t, err)
		require.Len(t, st.Putters, 1)
		require.Equal(t, "late", string(st.Putters[0].Data))
		require.Equal(t, c.Session().ID(), st.Putters[0].Session)
		giveUp()
		require.ErrorIs(t, <-late, queue.ErrFull)

		const producers, each = 4, 10
		for p := range producers {
			q := queue.New(e.Connect(t), path, opts)
			go func() { // ends when all is put
				for i := range each {
					if err := q.Put(ctx, item("%d", p*each+i)); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		out := queue.New(e.Connect(t), path, nil)
		for range 3 + producers*each {
			n, err := out.Len(ctx)
			require.NoError(t, err)
			require.LessOrEqual(t, n, 3)
			d := mustTake(t, out)
			time.Sleep(100 * time.Millisecond)
			n, err = out.Len(ctx)
			require.NoError(t, err)
			require.LessOrEqual(t, n, 3, "there is never more")
			require.NoError(t, d.Ack(ctx))
		}
		_, err = out.TryTake(ctx)
		require.ErrorIs(t, err, queue.ErrEmpty)
	})
}

func TestTakeUpTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		q, other := queue.New(e.Connect(t), path, nil), queue.New(e.Connect(t), path, nil)
		for i := range 8 {
			mustPut(t, q, item("%d", i))
		}
		_, err := q.TakeUpTo(ctx, 1) // and has listed them
		require.NoError(t, err)
		claimed := mustTake(t, other)
		require.Equal(t, "1", string(claimed.Data()))
		require.NoError(t, mustTake(t, other).Ack(ctx))
		all, err := q.TakeUpTo(ctx, 5)
		require.NoError(t, err)
		var got string
		for _, d := range all {
			got += string(d.Data())
		}
		require.Equal(t, "345", got, "what others have meanwhile is left out")
		require.NoError(t, all[1].Nack(ctx, 0, nil))
		require.NoError(t, all[0].Ack(ctx))
		require.NoError(t, all[2].Ack(ctx))
		all, err = q.TakeUpTo(ctx, 100)
		require.NoError(t, err)
		require.Len(t, all, 3)
	})
}

// Somebody removes the claim, or the item: the one who has it is told, and what it does then has no effect.
func TestLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, admin := e.Connect(t), e.Connect(t)
		q := queue.New(c, path, nil)
		mustPut(t, q, item("a"), item("b"))
		d := mustTake(t, q)
		_, err := admin.Multi(ctx, append(d.Guard(), client.CreateOp("/guarded", nil, nil))...)
		require.NoError(t, err)
		require.NoError(t, admin.Delete(ctx, path+"-claims/"+d.Name(), client.AnyVersion))
		<-d.Context().Done()
		require.ErrorIs(t, context.Cause(d.Context()), queue.ErrLost)
		require.ErrorIs(t, d.Ack(ctx), queue.ErrLost)
		_, err = admin.Multi(ctx, d.Guard()...)
		require.ErrorIs(t, err, client.ErrNoNode)
		second := mustTake(t, queue.New(admin, path, nil))
		require.Equal(t, "a", string(second.Data()))
		_, err = admin.Multi(ctx, d.Guard()...)
		require.ErrorIs(t, err, client.ErrBadVersion, "the name of the claim is the same")
		require.NoError(t, second.Ack(ctx))

		mustPut(t, q, item("c"))
		d = mustTake(t, q)
		require.NoError(t, admin.Delete(ctx, path+"-claims/"+d.Name(), client.AnyVersion))
		second = mustTake(t, queue.New(admin, path, nil))
		require.Equal(t, "b", string(second.Data()))
		require.ErrorIs(t, d.Ack(ctx), queue.ErrLost)
		require.NoError(t, second.Ack(ctx), "it is not harmed by who had it before")

		d = mustTake(t, q)
		require.NoError(t, admin.Delete(ctx, path+"/"+d.Name(), client.AnyVersion))
		err = d.Ack(ctx, client.CreateOp("/never", nil, nil))
		require.ErrorIs(t, err, queue.ErrLost)
		require.ErrorIs(t, context.Cause(d.Context()), queue.ErrLost)
		_, there, err := admin.Exists(ctx, "/never")
		require.NoError(t, err)
		require.False(t, there)
		require.NoError(t, c.Close())
		require.NoError(t, admin.Close())
		mustBeGone(t, e)
	})
}

// An op of the caller's that cannot be done leaves the item where it is.
func TestAckWithOps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.Start(t, 1, nil).Connect(t)
		q := queue.New(c, path, nil)
		mustPut(t, q, item("a"))
		d := mustTake(t, q)
		err := d.Ack(ctx, client.SetOp("/sum", nil, 3))
		require.ErrorIs(t, err, client.ErrNoNode)
		require.NotErrorIs(t, err, queue.ErrLost)
		require.NoError(t, d.Context().Err())
		require.NoError(t, d.Ack(ctx, client.CreateOp("/sum", nil, nil)))
		_, there, err := c.Exists(ctx, "/sum")
		require.NoError(t, err)
		require.True(t, there)
	})
}

// The numbers wrap, and the order goes on.
func TestNumbersWrap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		for _, opts := range []*queue.Options{{}, {Order: queue.ByID}, {Order: queue.ByPriority}} {
			q := queue.New(c, fmt.Sprint("/wrap", opts.Order), opts)
			require.NoError(t, q.Make(ctx))
			require.NoError(t, e.SetSequence(ctx, q.Path(), 1<<31-3))
			for i := range 6 {
				mustPut(t, q, item("%d", i))
			}
			for i := range 6 {
				d := mustTake(t, q)
				require.Equal(t, fmt.Sprint(i), string(d.Data()))
				if i%2 == 0 {
					require.NoError(t, d.Nack(ctx, 0, nil))
					d = mustTake(t, q)
					require.Equal(t, fmt.Sprint(i), string(d.Data()), "it keeps its place")
				}
				require.NoError(t, d.Ack(ctx))
			}
		}
	})
}

// Whatever directory the servers remove, at whatever time, is made again.
func TestDirectoriesVanish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		q := queue.New(c, path, &queue.Options{MaxAttempts: 2, MaxItems: 2})
		vanish := func() {
			t.Helper()
			for range 3 { // parents after their children
				_, err := e.Sweep(ctx)
				require.NoError(t, err)
			}
			for _, dir := range []string{"", "-claims", "-marks"} {
				if _, err := c.DeleteTree(ctx, path+dir, nil); err != nil {
					require.ErrorIs(t, err, client.ErrNoNode)
				}
			}
		}
		for round := range 3 {
			vanish()
			mustPut(t, q, queue.Item{Key: "k"})
			d := mustTake(t, q)
			require.NoError(t, d.Nack(ctx, time.Second, nil))
			vanish()
			d = mustTake(t, q)
			require.Equal(t, 2, d.Attempt(), round)
			require.NoError(t, d.Nack(ctx, 0, nil))
			vanish()
			dead, err := q.DeadLetters(ctx)
			require.NoError(t, err)
			require.Len(t, dead, 1)
			require.NoError(t, q.Revive(ctx, dead[0].Name))
			require.NoError(t, mustTake(t, q).Ack(ctx))
			vanish()
			_, err = q.TryTake(ctx)
			require.ErrorIs(t, err, queue.ErrEmpty)
			got := make(chan *queue.Delivery)
			go func() { got <- mustTake(t, q) }() // ends with the item
			time.Sleep(time.Second)
			vanish()
			time.Sleep(time.Second)
			mustPut(t, q, item("x"))
			require.NoError(t, (<-got).Ack(ctx))
		}
	})
}

// However many put at once, few marks are left.
func TestFewMarksAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		q := queue.New(c, path, nil)
		e.Proxy(c).Delay(proxy.Reply(proxy.OpMulti, "").Always(), time.Second)
		errs := make(chan error)
		const n = 30
		for range n {
			go func() { errs <- q.Put(ctx, item("x")) }() // ends with its answer
		}
		for range n {
			require.NoError(t, <-errs)
		}
		time.Sleep(time.Minute)
		marks, _, err := c.Children(ctx, path+"-marks")
		require.NoError(t, err)
		require.Len(t, marks, 8)
		got, err := q.Len(ctx)
		require.NoError(t, err)
		require.Equal(t, n, got)
	})
}

// A view's root is a path like others.
func TestQueueAtARoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := ensembletest.Start(t, 1, nil).Connect(t).Sub("/somewhere")
		require.NoError(t, err)
		q := queue.New(c, "/", &queue.Options{MaxItems: 20})
		mustPut(t, q, item("a"), item("b"))
		d := mustTake(t, q)
		require.NoError(t, d.Nack(t.Context(), time.Second, nil))
		require.Equal(t, "b", string(mustTake(t, q).Data()))
		require.NoError(t, mustTake(t, q).Ack(t.Context()))
	})
}

// An item that comes back where another has its name by now, since the directory was made anew, stands behind.
func TestNameIsTakenMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.Start(t, 1, nil).Connect(t)
		q := queue.New(c, path, nil)
		mustPut(t, q, item("first"))
		require.NoError(t, mustTake(t, q).Nack(ctx, time.Minute, nil))
		require.NoError(t, c.Delete(ctx, path, client.AnyVersion))
		mustPut(t, q, item("second"), item("third"))
		time.Sleep(2 * time.Minute)
		for i, want := range []string{"second", "third", "first"} {
			d := mustTake(t, q)
			require.Equal(t, want, string(d.Data()), i)
			require.Equal(t, [][]byte{[]byte(want)}, d.Records())
			require.NoError(t, d.Ack(ctx))
		}
	})
}
