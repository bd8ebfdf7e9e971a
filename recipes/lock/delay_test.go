package lock_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

const delay = time.Minute

var delayed = &lock.Options{Delay: delay}

// mustBeMarked tells whether the mark of a holder is there.
func mustBeMarked(t *testing.T, c *client.Client, want bool) {
	t.Helper()
	_, exists, err := c.Exists(t.Context(), path+".held")
	require.NoError(t, err)
	require.Equal(t, want, exists)
}

// Behind who did not release, in whatever way, the next one waits for the delay, and who comes later too; behind who did, nobody waits.
func TestDelay(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, h *lock.Hold, c *client.Client, wire *cable){
		"dies":   func(t *testing.T, h *lock.Hold, c *client.Client, wire *cable) { wire.set(true) },
		"closes": func(t *testing.T, h *lock.Hold, c *client.Client, wire *cable) { require.NoError(t, c.Close()) },
		"is removed": func(t *testing.T, h *lock.Hold, c *client.Client, wire *cable) {
			require.NoError(t, c.Delete(t.Context(), h.Path(), client.AnyVersion))
		},
		"holds too long": func(t *testing.T, h *lock.Hold, c *client.Client, wire *cable) { time.Sleep(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				e := startServer(t)
				other, third := e.Connect(t), e.Connect(t)
				m := lock.NewMutex(other, path, delayed)
				for _, waits := range []bool{true, false} { // at the time, or comes later
					c, wire := connect(t, e)
					h := mustLock(t, lock.NewMutex(c, path, &lock.Options{Delay: delay, MaxHold: time.Hour}))
					mustBeMarked(t, other, true)
					var next <-chan *lock.Hold
					if waits {
						next = later(t, m.Lock)
					}
					lose(t, h, c, wire)
					<-h.Context().Done()
					time.Sleep(20 * time.Second) // the servers know
					if !waits {
						_, err := m.TryLock(ctx)
						require.ErrorIs(t, err, lock.ErrHeld)
						next = later(t, m.Lock)
					}
					begun := time.Now()
					time.Sleep(time.Second)
					line, err := m.Line(ctx)
					require.NoError(t, err)
					require.Len(t, line, 1, "it waits, as the first in the line")
					held := <-next
					require.NoError(t, held.Context().Err())
					if waits {
						require.GreaterOrEqual(t, time.Since(begun), delay-20*time.Second)
					} else {
						require.Equal(t, delay, time.Since(begun))
					}
					require.NoError(t, h.Release(ctx), "which is late")
					mustBeMarked(t, other, true)
					require.NoError(t, held.Release(ctx))
					mustBeMarked(t, other, false)

					begun = time.Now()
					require.NoError(t, mustLock(t, lock.NewMutex(third, path, delayed)).Release(ctx))
					h, err = m.TryLock(ctx)
					require.NoError(t, err)
					require.NoError(t, h.Release(ctx))
					require.Zero(t, time.Since(begun), "behind who releases nobody waits")
				}
				mustBeMarked(t, other, false)
			})
		})
	}
}

// The delay is over for all who try, however short they are, a while after one of them has found out.
func TestDelayOfThoseWhoTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		c, m := e.Connect(t), lock.NewMutex(e.Connect(t), path, delayed)
		mustLock(t, lock.NewMutex(c, path, delayed))
		require.NoError(t, c.Close())
		begun := time.Now()
		for time.Since(begun) < delay { // none of them ends just when the delay does
			_, err := m.TryLock(t.Context())
			require.ErrorIs(t, err, lock.ErrHeld)
			ctx, cancel := context.WithTimeout(t.Context(), delay*3/10)
			h, err := m.Lock(ctx)
			cancel()
			if err == nil {
				require.Equal(t, delay, time.Since(begun))
				require.NoError(t, h.Release(t.Context()))
				return
			}
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		t.Fatal("nobody has had it when the delay was over")
	})
}

// Whatever answer gets lost, a holder that releases leaves no mark, and one that does not leaves it.
func TestDelayWithLostAnswers(t *testing.T) {
	for _, lose := range []proxy.Match{
		proxy.Reply(proxy.OpMulti, ""), proxy.Request(proxy.OpMulti, ""), proxy.Reply(proxy.OpMulti, "").Skip(1), proxy.Reply(proxy.OpMulti, "").Times(3),
		proxy.Reply(proxy.OpDelete, "").Times(2), proxy.Reply(proxy.OpGetData, path+".held"),
	} {
		synctest.Test(t, func(t *testing.T) {
			e := startServer(t)
			c, wire := connect(t, e)
			admin := e.Connect(t)
			fault := wire.p.Lose(lose)
			for range 3 {
				h := mustLock(t, lock.NewMutex(c, path, delayed))
				mustBeMarked(t, admin, true)
				require.NoError(t, h.Release(t.Context()))
				mustBeMarked(t, admin, false)
			}
			fault.End()
			mustLock(t, lock.NewMutex(admin, path, delayed))
			require.NoError(t, admin.Close())
			wire.p.Lose(lose)
			begun := time.Now()
			h := mustLock(t, lock.NewMutex(c, path, delayed))
			require.GreaterOrEqual(t, time.Since(begun), delay)
			require.NoError(t, h.Release(t.Context()))
			mustBeMarked(t, c, false)
		})
	}
}

// Who waits for the delay and gives up leaves the line, and the mark; who loses its place goes to the end of the line.
func TestDelayIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		c, other := e.Connect(t), e.Connect(t)
		m := lock.NewMutex(other, path, delayed)
		mustLock(t, lock.NewMutex(c, path, delayed))
		require.NoError(t, c.Close())
		ctx, cancel := context.WithTimeout(t.Context(), delay/2)
		defer cancel()
		_, err := m.Lock(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		line, err := m.Line(t.Context())
		require.NoError(t, err)
		require.Empty(t, line)
		mustBeMarked(t, other, true)

		next := later(t, m.Lock)
		line, err = m.Line(t.Context())
		require.NoError(t, err)
		require.NoError(t, other.Delete(t.Context(), path+"/"+line[0].Name, client.AnyVersion))
		h := <-next
		require.NotEqual(t, path+"/"+line[0].Name, h.Path())
		require.NoError(t, h.Release(t.Context()))
		mustBeMarked(t, other, false)
	})
}

// Without the option there is no mark, and no request more.
func TestNoDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startServer(t).Connect(t)
		h := mustLock(t, lock.NewMutex(c, path, nil))
		mustBeMarked(t, c, false)
		require.NoError(t, h.Release(t.Context()))
	})
}
