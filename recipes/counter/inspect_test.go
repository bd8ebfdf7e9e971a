package counter_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/typed"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/counter"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

func TestInspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, admin := e.Connect(t), e.Connect(t)
		n := counter.New(admin, path, nil)
		s, err := n.Inspect(ctx)
		require.NoError(t, err)
		require.Zero(t, s)
		require.NoError(t, n.Set(ctx, 7))
		made := time.Now()
		time.Sleep(time.Minute)
		_, err = n.Add(ctx, 1)
		require.NoError(t, err)
		synctest.Wait()
		s, err = n.Inspect(ctx)
		require.NoError(t, err)
		_, stat, err := admin.Get(ctx, path)
		require.NoError(t, err)
		require.Equal(t, counter.State[int64]{Exists: true, Value: 8, Version: 2, Since: stat.Ctime, Changed: stat.Mtime, Zxid: stat.Mzxid}, s)
		require.WithinDuration(t, made, s.Since, time.Second)
		require.WithinDuration(t, made.Add(time.Minute), s.Changed, time.Second)

		// A change whose answer does not come has left its mark, and others stand in line.
		e.Proxy(c).Swallow(proxy.Reply(proxy.OpMulti, ""))
		waiting, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { // ends with waiting
			defer close(done)
			_, _ = counter.New(c, path, nil).Add(waiting, 1)
		}()
		hold, err := lock.NewMutex(admin, path+"-lock", nil).Lock(ctx)
		require.NoError(t, err)
		synctest.Wait()
		s, err = n.Inspect(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 9, s.Value)
		require.Len(t, s.Changes, 1)
		require.Equal(t, c.Session().ID(), s.Changes[0].Session)
		require.Len(t, s.Waiting, 1)
		require.Equal(t, hold.Path(), s.Waiting[0].Path)
		require.Equal(t, hold.Token(), s.Waiting[0].Token)
		require.NoError(t, hold.Release(ctx))
		cancel()
		<-done

		_, err = admin.Set(ctx, path, []byte("text"), client.AnyVersion)
		require.NoError(t, err)
		_, err = n.Inspect(ctx)
		require.ErrorIs(t, err, typed.ErrDecode)
		require.ErrorContains(t, err, "inspect "+path)
	})
}

func TestChangesAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var r telemetrytest.Recorder
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{TracerProvider: r.TracerProvider(), MeterProvider: r.MeterProvider()}})
		c := e.Connect(t)
		n := counter.New(c, path, nil)
		require.NoError(t, n.Set(ctx, 1))
		_, err := n.CompareAndSwap(ctx, 5, 6)
		require.NoError(t, err)
		require.Zero(t, r.Sum("bellwether.counter.conflicts"))
		beaten := 0
		_, err = n.Update(ctx, func(v int64) (int64, error) {
			if beaten < 7 {
				beaten++
				_, err := c.Set(ctx, path, []byte{0, 0, 0, 0, 0, 0, 0, 1}, client.AnyVersion)
				require.NoError(t, err)
			}
			return v + 100, nil
		})
		require.NoError(t, err)
		require.EqualValues(t, 7, r.Sum("bellwether.counter.conflicts"))
		_, err = n.Update(ctx, func(int64) (int64, error) { return 0, counter.ErrOverflow })
		require.ErrorIs(t, err, counter.ErrOverflow)
		var got []string
		for _, m := range r.Measured("bellwether.counter.operation.duration") {
			got = append(got, m.Attributes["bellwether.operation"]+" "+m.Attributes["error.type"])
		}
		require.Equal(t, []string{"set ", "compare_and_swap ", "update ", "update overflow"}, got)
		require.Equal(t, codes.Error, r.Spans("counter.update")[1].Status)
		require.Equal(t, path, r.Spans("counter.set")[0].Attributes["bellwether.path"])
	})
}
