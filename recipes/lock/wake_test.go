package lock_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// Who hands over wakes one session of those that wait, the next, however many there are. The readers that a writer lets in are each woken
// once. A permit wakes the one behind the door, and that one, who leaves the door with it, wakes the next to come there: two hand-overs. It is
// counted what the servers tell; the one who hands over is told of its own node besides.
func TestHandOverWakesOne(t *testing.T) {
	type acquire = func(context.Context) (holding, error)
	mutex := func(c *client.Client) acquire {
		return func(ctx context.Context) (holding, error) { return lock.NewMutex(c, path, nil).Lock(ctx) }
	}
	writer := func(c *client.Client) acquire {
		return func(ctx context.Context) (holding, error) { return lock.NewRWMutex(c, path, nil).Lock(ctx) }
	}
	reader := func(c *client.Client) acquire {
		return func(ctx context.Context) (holding, error) { return lock.NewRWMutex(c, path, nil).RLock(ctx) }
	}
	permits := func(n int) func(c *client.Client) acquire {
		return func(c *client.Client) acquire {
			return func(ctx context.Context) (holding, error) { return lock.NewSemaphore(c, path, 2, nil).Acquire(ctx, n) }
		}
	}
	type kind = func(*client.Client) acquire
	for name, crowd := range map[string]struct {
		of    []kind
		woken []int // by each in turn
	}{
		"mutex":     {[]kind{mutex, mutex, mutex, mutex, mutex, mutex}, []int{1, 1, 1, 1, 1, 0}},
		"writers":   {[]kind{writer, writer, writer, writer, writer}, []int{1, 1, 1, 1, 0}},
		"rwmutex":   {[]kind{writer, reader, reader, reader, writer, reader}, []int{3, 0, 0, 1, 1, 0}},
		"semaphore": {[]kind{permits(2), permits(2), permits(2), permits(2), permits(2)}, []int{2, 2, 2, 1, 0}},
		"permits":   {[]kind{permits(1), permits(1), permits(1), permits(1), permits(1)}, []int{2, 2, 1, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := startServer(t)
				held := make([]chan holding, len(crowd.of))
				sessions := make([]int64, len(crowd.of))
				for i, k := range crowd.of {
					c := e.Connect(t)
					held[i], sessions[i] = make(chan holding, 1), c.Session().ID()
					go func() { // ends when it holds, as all do
						h, err := k(c)(t.Context())
						if err != nil {
							t.Error(err)
						}
						held[i] <- h
					}()
					synctest.Wait()
				}
				r := e.Record()
				var woken []int
				for i := range held {
					synctest.Wait()
					h := <-held[i]
					r.Reset()
					require.NoError(t, h.Release(t.Context()))
					synctest.Wait()
					n := 0
					for _, s := range r.Woken(ensembletest.Match{}) {
						if s != sessions[i] {
							n++
						}
					}
					woken = append(woken, n)
				}
				require.Equal(t, crowd.woken, woken)
			})
		})
	}
}
