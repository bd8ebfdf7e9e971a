package counter_test

import (
	"context"
	"encoding/json"
	"math"
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
)

type limits struct{ Users, Files int }

func TestValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		v := counter.NewValue(c, "/app/limits", &counter.ValueOptions[limits]{Initial: limits{10, 20}})
		require.Equal(t, "/app/limits", v.Path())
		now, err := v.Get(ctx)
		require.NoError(t, err)
		require.Equal(t, limits{10, 20}, now)
		state, err := v.Inspect(ctx)
		require.NoError(t, err)
		require.Equal(t, counter.State[limits]{Value: limits{10, 20}}, state)

		seen := make(chan limits)
		go func() { // ends when all has been seen
			defer close(seen)
			for now, err := range v.Watch(ctx) {
				if err != nil {
					require.ErrorIs(t, err, typed.ErrDecode)
					now = limits{-1, -1}
				}
				seen <- now
				if now.Users == 99 {
					return
				}
			}
		}()
		require.Equal(t, limits{10, 20}, <-seen)
		now, err = v.Update(ctx, func(l limits) (limits, error) { l.Users++; return l, nil })
		require.NoError(t, err)
		require.Equal(t, limits{11, 20}, now)
		for now = range seen { // the initial value was written first
			if now.Users == 11 {
				break
			}
			require.Equal(t, limits{10, 20}, now)
		}
		_, err = c.Set(ctx, "/app/limits", []byte("text"), client.AnyVersion)
		require.NoError(t, err)
		require.Equal(t, limits{-1, -1}, <-seen)
		require.ErrorIs(t, v.Set(ctx, limits{}), typed.ErrDecode, "it is not overwritten")
		_, err = v.Inspect(ctx)
		require.ErrorIs(t, err, typed.ErrDecode)
		data, err := json.Marshal(limits{98, 1})
		require.NoError(t, err)
		_, err = c.Set(ctx, "/app/limits", data, client.AnyVersion)
		require.NoError(t, err)
		require.Equal(t, limits{98, 1}, <-seen)
		require.NoError(t, v.Set(ctx, limits{99, 2}))
		require.Equal(t, limits{99, 2}, <-seen)
		<-seen

		time.Sleep(time.Second) // marks are removed in the background
		state, err = v.Inspect(ctx)
		require.NoError(t, err)
		require.Equal(t, limits{99, 2}, state.Value)
		require.True(t, state.Exists)
		require.EqualValues(t, 4, state.Version)
		require.WithinDuration(t, time.Now(), state.Changed, time.Second)
		require.Empty(t, state.Waiting)
		require.Empty(t, state.Changes)
	})
}

// Inspect shows who was beaten, and what is under way.
func TestInspectFindsTheBeaten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		quick, slow := counter.New(e.Connect(t), path, nil), counter.New(e.Connect(t), path, nil)
		beaten := 0
		_, err := slow.Update(ctx, func(v int64) (int64, error) {
			if beaten++; beaten < 7 {
				_, err := quick.Add(ctx, 1)
				require.NoError(t, err)
			}
			if beaten == 6 {
				state, err := quick.Inspect(ctx)
				require.NoError(t, err)
				require.Len(t, state.Waiting, 1)
				require.EqualValues(t, 6, state.Value)
			}
			return v + 1, nil
		})
		require.NoError(t, err)

		c := e.Connect(t)
		frozen := e.Proxy(c).Freeze(proxy.Reply(proxy.OpMulti, ""))
		added := make(chan error)
		go func() { // ends when the reply comes
			_, err := counter.New(c, path, nil).Add(ctx, 1)
			added <- err
		}()
		<-frozen.Struck()
		state, err := quick.Inspect(ctx)
		require.NoError(t, err)
		require.Len(t, state.Changes, 1)
		require.EqualValues(t, 8, state.Value)
		frozen.End()
		require.NoError(t, <-added)
	})
}

func TestIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		anna := counter.NewIDs(c, path, &counter.IDsOptions{Block: 3})
		ben := counter.NewIDs(e.Connect(t), path, &counter.IDsOptions{Block: 5})
		next := func(g *counter.IDs) int64 {
			id, err := g.Next(ctx)
			require.NoError(t, err)
			return id
		}
		var got []int64
		for range 2 {
			got = append(got, next(anna), next(ben), next(anna))
		}
		require.Equal(t, []int64{1, 4, 2, 3, 5, 9}, got)
		v, err := counter.New(c, path, nil).Get(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 11, v)

		// All who ask at once are given one each, of as few blocks as there have to be.
		var mu sync.Mutex
		var all sync.WaitGroup
		given := map[int64]bool{}
		many := counter.NewIDs(c, path, nil)
		for range 250 {
			all.Go(func() {
				id, err := many.Next(ctx)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				given[id] = true
				mu.Unlock()
			})
		}
		all.Wait()
		require.Len(t, given, 250)
		v, err = counter.New(c, path, nil).Get(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 311, v)

		// A block that is in doubt is lost.
		lost := counter.NewIDs(c, path, &counter.IDsOptions{Block: 10})
		f := e.Proxy(c).Swallow(proxy.Reply(proxy.OpMulti, ""))
		bounded, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err = lost.Next(bounded)
		require.ErrorIs(t, err, client.ErrUnknown)
		f.End()
		require.EqualValues(t, 322, next(counter.NewIDs(e.Connect(t), path, nil)))
		_, err = lost.Next(bounded)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		require.NoError(t, counter.New(e.Connect(t), path, nil).Set(ctx, math.MaxInt64-3))
		last := counter.NewIDs(e.Connect(t), path, &counter.IDsOptions{Block: 3})
		require.EqualValues(t, math.MaxInt64-2, next(last))
		next(last)
		require.EqualValues(t, math.MaxInt64, next(last))
		_, err = last.Next(ctx)
		require.ErrorIs(t, err, counter.ErrOverflow)
		_, err = counter.NewIDs(c, path, &counter.IDsOptions{Block: -1}).Next(ctx)
		require.ErrorIs(t, err, client.ErrBadArguments)
	})
}
