package counter_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/typed"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/counter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const path = "/counters/one"

func TestCounter(t *testing.T) {
	for bits, want := range map[int][]byte{64: {0, 0, 0, 0, 0, 0, 1, 4}, 32: {0, 0, 1, 4}} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			e := ensembletest.Start(t, 1, nil)
			c := e.Connect(t)
			n := counter.New(c, path, &counter.Options{Bits: bits})
			require.Equal(t, path, n.Path())
			v, err := n.Get(ctx)
			require.NoError(t, err)
			require.Zero(t, v)
			v, err = n.Add(ctx, 261)
			require.NoError(t, err)
			require.EqualValues(t, 261, v)
			v, err = n.Add(ctx, -1)
			require.NoError(t, err)
			require.EqualValues(t, 260, v)
			data, _, err := c.Get(ctx, path)
			require.NoError(t, err)
			require.Equal(t, want, data)
			swapped, err := n.CompareAndSwap(ctx, 1, 2)
			require.NoError(t, err)
			require.False(t, swapped)
			swapped, err = n.CompareAndSwap(ctx, 260, -2)
			require.NoError(t, err)
			require.True(t, swapped)
			v, err = n.Get(ctx)
			require.NoError(t, err)
			require.EqualValues(t, -2, v)

			most := int64(math.MaxInt64)
			if bits == 32 {
				most = math.MaxInt32
			}
			require.NoError(t, n.Set(ctx, most))
			_, err = n.Add(ctx, 1)
			require.ErrorIs(t, err, counter.ErrOverflow)
			require.NoError(t, n.Set(ctx, -most-1))
			_, err = n.Add(ctx, -1)
			require.ErrorIs(t, err, counter.ErrOverflow)
			v, err = n.Get(ctx)
			require.NoError(t, err)
			require.Equal(t, -most-1, v)
			why := errors.New("no")
			_, err = n.Update(ctx, func(int64) (int64, error) { return 0, why })
			require.ErrorIs(t, err, why)

			_, err = c.Set(ctx, path, []byte("text"), client.AnyVersion)
			require.NoError(t, err)
			_, err = n.Add(ctx, 1)
			if bits == 64 {
				require.ErrorIs(t, err, typed.ErrDecode, "it is not overwritten")
			}
			_, err = c.Set(ctx, path, nil, client.AnyVersion)
			require.NoError(t, err)
			v, err = n.Add(ctx, 1)
			require.NoError(t, err)
			require.EqualValues(t, 1, v, "as kazoo makes it")
			_, err = counter.New(c, "/other", &counter.Options{Bits: 8}).Add(ctx, 1)
			require.ErrorIs(t, err, client.ErrBadArguments)
		})
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		n := counter.New(e.Connect(t), path, nil)
		next := int64(0)
		for v, err := range n.Watch(t.Context()) {
			require.NoError(t, err)
			require.LessOrEqual(t, v, next)
			if v == 3 {
				break
			}
			if v == next { // not there, 0, and then each
				next++
				go n.Add(t.Context(), 1) // ends with its answer
			}
		}
	})
}

// Whatever answers are lost and however many count, each counts once, and nothing is left but the number.
func TestEachCountsOnce(t *testing.T) {
	first := rand.Uint64()
	t.Logf("seed %d", first)
	for seed := first; seed < first+4; seed++ {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			e := ensembletest.Start(t, 3, nil)
			e.Delay(1, 2, time.Millisecond)
			e.Delay(2, 3, time.Millisecond)
			e.Delay(1, 3, time.Millisecond)
			var counting sync.WaitGroup
			const clients, each = 4, 15
			for range clients {
				c := e.Connect(t)
				for range 6 {
					op := []proxy.Op{proxy.OpMulti, proxy.OpCreate, proxy.OpGetData}[r.IntN(3)]
					match := proxy.Reply(op, "")
					if r.IntN(2) == 0 {
						match = proxy.Request(op, "")
					}
					e.Proxy(c).Lose(match.Skip(r.IntN(20)))
				}
				counting.Go(func() { // ends when all is counted
					n := counter.New(c, path, nil)
					for range each {
						_, err := n.Add(t.Context(), 1)
						require.NoError(t, err)
					}
				})
			}
			counting.Wait()
			time.Sleep(time.Minute)
			witness := e.Connect(t)
			v, err := counter.New(witness, path, nil).Get(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, clients*each, v)
			for _, dir := range []string{path + "-marks", path + "-lock"} {
				names, _, err := witness.Children(t.Context(), dir)
				if !errors.Is(err, client.ErrNoNode) {
					require.NoError(t, err)
				}
				require.Empty(t, names)
			}
		})
	}
}

// Who is always beaten gets a turn by the lock; and one who gives up says what may have happened.
func TestTheUnlucky(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		quick, slow := counter.New(e.Connect(t), path, nil), counter.New(e.Connect(t), path, nil)
		beaten := 0
		_, err := slow.Update(ctx, func(v int64) (int64, error) {
			if beaten < 7 {
				beaten++
				_, err := quick.Add(ctx, 1)
				require.NoError(t, err)
			}
			return v + 100, nil
		})
		require.NoError(t, err)
		v, err := quick.Get(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 107, v)
		witness := e.Connect(t)
		_, there, err := witness.Exists(ctx, path+"-lock")
		require.NoError(t, err)
		require.True(t, there, "it stood in line")

		c := e.Connect(t)
		f := e.Proxy(c).Swallow(proxy.Reply(proxy.OpMulti, ""))
		bounded, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err = counter.New(c, path, nil).Add(bounded, 1)
		require.ErrorIs(t, err, client.ErrUnknown)
		f.End()
		v, err = quick.Get(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 108, v)
	})
}

// Who stands in line and is cut off leaves when his time is over, and nothing of his stays.
func TestTheUnluckyLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		quick := counter.New(e.Connect(t), path, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		beaten := 0
		_, err := counter.New(c, path, nil).Update(ctx, func(v int64) (int64, error) {
			if beaten++; beaten < 7 {
				_, err := quick.Add(t.Context(), 1)
				require.NoError(t, err)
			} else {
				e.CutClient(c)
			}
			return v + 100, nil
		})
		require.ErrorIs(t, err, client.ErrUnknown)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		deadline, _ := ctx.Deadline()
		require.Equal(t, deadline, time.Now())
		state, err := quick.Inspect(t.Context())
		require.NoError(t, err)
		require.Len(t, state.Waiting, 1, "it was its turn")
		e.Heal()
		time.Sleep(10 * time.Second)
		state, err = quick.Inspect(t.Context())
		require.NoError(t, err)
		require.Empty(t, state.Waiting)
		require.Empty(t, state.Changes)
		require.EqualValues(t, 106, state.Value, "its write was late, and not lost")
	})
}

// An error of the change's own is none of ours, whatever it is.
func TestChangeRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := counter.New(ensembletest.Start(t, 1, nil).Connect(t), path, nil)
		for _, own := range []error{client.ErrSessionExpired, client.ErrNoNode, client.ErrUnknown} {
			asked := 0
			_, err := n.Update(t.Context(), func(int64) (int64, error) { asked++; return 0, own })
			require.ErrorIs(t, err, own)
			require.Equal(t, 2, asked, "the second time of what there is for certain")
			state, err := n.Inspect(t.Context())
			require.NoError(t, err)
			require.False(t, state.Exists)
		}
	})
}
