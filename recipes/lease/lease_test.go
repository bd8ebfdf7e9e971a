package lease_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/lease"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const path = "/leases/one"

func leaseOf(c *client.Client, id string) *lease.Lease {
	return lease.New(c, path, &lease.Options{ID: id})
}

func mustAcquire(t *testing.T, l *lease.Lease, d time.Duration) *lease.Grant {
	t.Helper()
	g, err := l.TryAcquire(t.Context(), d)
	require.NoError(t, err)
	return g
}

// over tells whether a context has ended, without asking it.
func over(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 3, nil)
		c, d := e.Connect(t), e.Connect(t)
		anna, ben := leaseOf(c, "anna"), leaseOf(d, "ben")
		status, err := anna.Inspect(ctx)
		require.NoError(t, err)
		require.Zero(t, status)
		time.Sleep(10 * time.Millisecond)
		g := mustAcquire(t, anna, time.Minute)
		require.Equal(t, time.Minute, time.Until(g.Until()).Round(time.Second))
		_, err = ben.TryAcquire(ctx, time.Minute)
		require.ErrorIs(t, err, lease.ErrHeld)
		data, _, err := c.Get(ctx, path+"/lease_holder")
		require.NoError(t, err)
		require.Contains(t, string(data), `{"version":1,"holder":"anna","end":"2000-01-01T00:01:02",`)
		status, err = ben.Inspect(ctx)
		require.NoError(t, err)
		require.Equal(t, "anna", status.Holder)
		require.Equal(t, g.Token(), status.Token)
		require.WithinDuration(t, time.Now(), status.Since, time.Second)

		time.Sleep(30 * time.Second)
		require.NoError(t, g.Renew(ctx, time.Minute))
		time.Sleep(45 * time.Second)
		require.NoError(t, g.Context().Err())
		_, err = c.Multi(ctx, append(g.Guard(), client.CreateOp("/a", nil, nil))...)
		require.NoError(t, err)
		_, err = ben.TryAcquire(ctx, time.Minute)
		require.ErrorIs(t, err, lease.ErrHeld)
		require.NoError(t, g.Renew(ctx, time.Second), "it lasts longer already")
		time.Sleep(14 * time.Second)
		require.False(t, over(g.Context()))
		time.Sleep(2 * time.Second)
		require.True(t, over(g.Context()))
		require.ErrorIs(t, context.Cause(g.Context()), lease.ErrExpired)
		require.ErrorIs(t, g.Renew(ctx, time.Minute), lease.ErrExpired)
		time.Sleep(2 * time.Second)

		next := mustAcquire(t, ben, time.Minute)
		require.Greater(t, next.Token(), g.Token())
		_, err = c.Multi(ctx, append(g.Guard(), client.CreateOp("/b", nil, nil))...)
		require.ErrorIs(t, err, client.ErrBadVersion)
		require.NoError(t, g.Release(ctx), "it is another's, and stays so")
		_, err = anna.TryAcquire(ctx, time.Minute)
		require.ErrorIs(t, err, lease.ErrHeld)
		require.NoError(t, next.Release(ctx))
		require.NoError(t, next.Release(ctx))
		require.ErrorIs(t, context.Cause(next.Context()), lease.ErrReleased)
		require.ErrorIs(t, next.Renew(ctx, time.Minute), lease.ErrReleased)
		last := mustAcquire(t, anna, time.Minute)
		require.NoError(t, last.Release(ctx))
		_, err = anna.TryAcquire(ctx, 0)
		require.ErrorIs(t, err, client.ErrBadArguments)

		names, _, err := c.Children(ctx, path)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"lease_fence", "lease_holder"}, names)
	})
}

// A lease outlives its session and its client; who comes back with its name has it again, and what was granted before is void.
func TestLeaseOutlivesItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 3, nil)
		c, d := e.Connect(t), e.Connect(t)
		g := mustAcquire(t, leaseOf(c, "anna"), 5*time.Minute)
		require.NoError(t, e.Expire(ctx, c))
		time.Sleep(time.Minute)
		require.NoError(t, g.Context().Err())
		require.NoError(t, g.Renew(ctx, 5*time.Minute), "in the next session")
		c.Close()
		time.Sleep(time.Minute)
		require.NoError(t, g.Context().Err())
		_, err := leaseOf(d, "ben").TryAcquire(ctx, time.Minute)
		require.ErrorIs(t, err, lease.ErrHeld)

		again := mustAcquire(t, leaseOf(d, "anna"), 10*time.Minute)
		require.Greater(t, again.Token(), g.Token())
		_, err = d.Multi(ctx, append(g.Guard(), client.CreateOp("/x", nil, nil))...)
		require.ErrorIs(t, err, client.ErrBadVersion)
		require.ErrorIs(t, g.Release(ctx), client.ErrClosed)
		_, err = leaseOf(d, "ben").TryAcquire(ctx, time.Minute)
		require.ErrorIs(t, err, lease.ErrHeld, "the void one released nothing")
		require.NoError(t, again.Release(ctx))
	})
}

// Whoever waits is granted the lease when it is released, or when its time is over.
func TestLeaseIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		first := mustAcquire(t, leaseOf(e.Connect(t), "anna"), time.Minute)
		begun := time.Now()
		waiting := leaseOf(e.Connect(t), "ben")
		granted := make(chan *lease.Grant)
		wait := func(d time.Duration) {
			g, err := waiting.Acquire(t.Context(), d)
			if err != nil {
				t.Error(err)
			}
			granted <- g
		}
		go wait(time.Minute) // ends when it is granted
		g := <-granted
		require.True(t, over(first.Context()))
		require.InDelta(t, 61.5, time.Since(begun).Seconds(), 1)
		require.Greater(t, g.Token(), first.Token())

		waiting = leaseOf(e.Connect(t), "carl")
		go wait(time.Second)
		time.Sleep(10 * time.Second)
		require.NoError(t, g.Release(t.Context()))
		require.InDelta(t, 71.5, time.Since(begun).Seconds(), 1.1)
		g = <-granted
		require.InDelta(t, 71.5, time.Since(begun).Seconds(), 1.1)

		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := leaseOf(e.Connect(t), "dora").Acquire(ctx, time.Minute)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, g.Release(t.Context()))
	})
}

// Those who wait are granted the lease in the order in which they came. When it is released, or its time is over, the first of them looks, and the
// next is woken to look on in its place; the others are left in peace, however many there are.
func TestWaitingWakesNoHerd(t *testing.T) {
	for _, released := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			const waiting = 5
			e := ensembletest.Start(t, 1, nil)
			holder := e.Connect(t)
			g := mustAcquire(t, leaseOf(holder, "anna"), time.Minute)
			var clients []*client.Client
			granted := make(chan *lease.Grant, waiting)
			for i := range waiting {
				clients = append(clients, e.Connect(t))
				go func() { // ends when it is granted
					g, err := leaseOf(clients[i], fmt.Sprint(i)).Acquire(t.Context(), time.Minute)
					if err != nil {
						t.Error(err)
					}
					granted <- g
				}()
				time.Sleep(time.Second)
			}
			state, err := leaseOf(holder, "anna").Inspect(t.Context())
			require.NoError(t, err)
			require.Empty(t, state.Looking)
			require.Len(t, state.Waiting, waiting)
			for i, w := range state.Waiting {
				require.Equal(t, fmt.Sprint(i), string(w.Data))
				require.Equal(t, clients[i].Session().ID(), w.Session)
			}
			watches := map[int64]int{}
			for _, w := range e.Watches() {
				watches[w.Session]++
			}
			for _, c := range clients {
				require.Equal(t, 2, watches[c.Session().ID()], "its own node, and who is ahead, or the record")
			}
			r := e.Record()
			for i, c := range clients {
				r.Reset()
				if released {
					require.NoError(t, g.Release(t.Context()))
				}
				g = <-granted
				time.Sleep(time.Second)
				var woken []int64 // but who has, and who had
				for _, s := range r.Woken(ensembletest.Match{}) {
					if s != holder.Session().ID() && s != c.Session().ID() {
						woken = append(woken, s)
					}
				}
				state, err := leaseOf(c, "").Inspect(t.Context())
				require.NoError(t, err)
				require.Equal(t, fmt.Sprint(i), state.Holder)
				require.Len(t, state.Waiting, waiting-1-i)
				if i+1 < waiting {
					require.Equal(t, []int64{clients[i+1].Session().ID()}, woken)
				} else {
					require.Empty(t, woken)
				}
				holder = c
			}
			require.NoError(t, g.Release(t.Context()))
			names, _, err := holder.Children(t.Context(), path)
			require.NoError(t, err)
			require.ElementsMatch(t, []string{"lease_fence", "lease_holder"}, names)
			require.Empty(t, e.Watches(), "none is left behind")
		})
	}
}

// Who waits and loses its place, with its session or without, waits on at the end of the line.
func TestThePlaceInLineIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		admin := e.Connect(t)
		g := mustAcquire(t, leaseOf(admin, "anna"), time.Hour)
		granted := make(chan string, 3)
		var clients []*client.Client
		var all sync.WaitGroup
		for _, id := range []string{"ben", "carl", "dora"} {
			c := e.Connect(t)
			clients = append(clients, c)
			all.Go(func() { // ends when it was granted
				g, err := leaseOf(c, id).Acquire(t.Context(), time.Second)
				if err != nil {
					t.Error(err)
				}
				granted <- id
				if err := g.Release(t.Context()); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(time.Second)
		}
		state, err := leaseOf(admin, "").Inspect(t.Context())
		require.NoError(t, err)
		require.NoError(t, admin.Delete(t.Context(), state.Waiting[0].Path, client.AnyVersion))
		time.Sleep(time.Second)
		require.NoError(t, e.Expire(t.Context(), clients[1]))
		time.Sleep(time.Second)
		require.NoError(t, g.Release(t.Context()))
		for _, id := range []string{"dora", "ben", "carl"} {
			require.Equal(t, id, <-granted)
		}
		all.Wait()
	})
}

// AtLeast keeps the lease from everybody though it was released.
func TestLeaseAtLeast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		anna := lease.New(c, path, &lease.Options{ID: "anna", AtLeast: 30 * time.Second})
		g := mustAcquire(t, anna, time.Minute)
		require.NoError(t, g.Release(ctx))
		for _, l := range []*lease.Lease{anna, leaseOf(c, "ben")} {
			_, err := l.TryAcquire(ctx, time.Minute)
			require.ErrorIs(t, err, lease.ErrHeld)
		}
		time.Sleep(33 * time.Second)
		require.NoError(t, mustAcquire(t, anna, time.Minute).Release(ctx))
	})
}

// AtLeast counts for a lease of a shorter time, too: nobody else is granted it, and its holder is.
func TestAtLeastIsLongerThanTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.Start(t, 1, nil).Connect(t)
		anna := lease.New(c, path, &lease.Options{ID: "anna", AtLeast: 30 * time.Second})
		g := mustAcquire(t, anna, time.Second)
		<-g.Context().Done()
		time.Sleep(20 * time.Second)
		_, err := leaseOf(c, "ben").TryAcquire(t.Context(), time.Minute)
		require.ErrorIs(t, err, lease.ErrHeld)
		require.NoError(t, mustAcquire(t, anna, time.Second).Release(t.Context()))
		time.Sleep(33 * time.Second)
		require.NoError(t, mustAcquire(t, leaseOf(c, "ben"), time.Minute).Release(t.Context()))
	})
}

// The time of a grant counts from when it was asked for, however late the answer comes.
func TestGrantedTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		late := e.Proxy(c).Freeze(proxy.Reply(proxy.OpMulti, ""))
		time.AfterFunc(3*time.Second, late.End)
		g := mustAcquire(t, leaseOf(c, "anna"), 2*time.Second)
		require.ErrorIs(t, g.Context().Err(), context.Canceled)
		require.ErrorIs(t, context.Cause(g.Context()), lease.ErrExpired)
		next, err := leaseOf(e.Connect(t), "ben").Acquire(t.Context(), time.Minute)
		require.NoError(t, err)
		require.NoError(t, next.Release(t.Context()))
	})
}

// Who has lost its place at the door writes nothing, though all it has read is there again: kazoo's records have the same version always.
func TestThePlaceAtTheDoorIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, admin := e.Connect(t), e.Connect(t)
		require.NoError(t, mustAcquire(t, leaseOf(admin, "first"), time.Minute).Release(ctx))
		kazoo := func(end string) {
			require.NoError(t, admin.Delete(ctx, path+"/lease_holder", client.AnyVersion))
			_, err := admin.Create(ctx, path+"/lease_holder", []byte(`{"version": 1, "holder": "py", "end": "`+end+`"}`), nil)
			require.NoError(t, err)
		}
		kazoo("1999-01-01T00:00:00")
		held := e.Proxy(c).Freeze(proxy.Request(proxy.OpMulti, ""))
		granted := make(chan error)
		go func() { // ends when it is refused
			_, err := leaseOf(c, "anna").TryAcquire(ctx, time.Minute)
			granted <- err
		}()
		<-held.Struck()
		state, err := leaseOf(admin, "").Inspect(ctx)
		require.NoError(t, err)
		require.NoError(t, admin.Delete(ctx, path+"/"+state.Looking[0].Name, client.AnyVersion))
		kazoo("2000-01-01T00:10:00")
		held.End()
		require.ErrorIs(t, <-granted, lease.ErrHeld)
	})
}

// A grant that was over when the servers' answer came is over, although it was renewed.
func TestRenewedTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		g := mustAcquire(t, leaseOf(c, "anna"), 3*time.Second)
		late := e.Proxy(c).Freeze(proxy.Reply(proxy.OpMulti, ""))
		time.AfterFunc(4*time.Second, late.End)
		require.ErrorIs(t, g.Renew(t.Context(), time.Hour), lease.ErrExpired)
		<-late.Struck()
		require.Less(t, time.Until(g.Until()), time.Duration(0))
		require.NoError(t, g.Release(t.Context()), "what nobody uses is given back")
		require.NoError(t, mustAcquire(t, leaseOf(c, "ben"), time.Minute).Release(t.Context()))
	})
}

// Guard knows the record that a renewal has written of which nobody has heard.
func TestGuardAfterARenewalInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		g := mustAcquire(t, leaseOf(c, "anna"), time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		lost := e.Proxy(c).Freeze(proxy.Reply(proxy.OpMulti, ""))
		go func() { // ends with the test, at the latest
			<-lost.Struck()
			cancel()
		}()
		require.ErrorIs(t, g.Renew(ctx, time.Minute), client.ErrUnknown)
		lost.End()
		time.Sleep(time.Second)
		_, err := c.Multi(t.Context(), append(g.Guard(), client.CreateOp("/guarded", nil, nil))...)
		require.NoError(t, err)
		require.NoError(t, g.Release(t.Context()))
	})
}

// Without its fence nobody can tell whose a lease is: it is not given back, but over when its time is.
func TestTheFenceIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.Start(t, 1, nil).Connect(t)
		g := mustAcquire(t, leaseOf(c, "anna"), time.Minute)
		require.NoError(t, c.Delete(t.Context(), path+"/lease_fence", client.AnyVersion))
		require.ErrorIs(t, g.Release(t.Context()), client.ErrNoNode)
		_, err := leaseOf(c, "ben").TryAcquire(t.Context(), time.Minute)
		require.ErrorIs(t, err, lease.ErrHeld)
		next, err := leaseOf(c, "ben").Acquire(t.Context(), time.Minute)
		require.NoError(t, err)
		require.Greater(t, next.Token(), g.Token())
		require.NoError(t, next.Release(t.Context()))
	})
}

// kazoo takes a lease by deleting the record and making it anew, which begins its versions anew.
func TestLeaseIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		kazoo := func() {
			require.NoError(t, c.Delete(ctx, path+"/lease_holder", client.AnyVersion))
			_, err := c.Create(ctx, path+"/lease_holder", []byte(`{"version": 1, "holder": "py", "end": "2000-01-01T00:10:00"}`), nil)
			require.NoError(t, err)
		}
		guarded := func(g *lease.Grant) error {
			_, err := c.Multi(ctx, append(g.Guard(), client.SetOp(path, nil, client.AnyVersion))...)
			return err
		}
		g := mustAcquire(t, leaseOf(c, "anna"), time.Minute)
		require.NoError(t, guarded(g))
		kazoo()
		require.ErrorIs(t, guarded(g), client.ErrBadVersion)
		<-g.Context().Done()
		require.ErrorIs(t, context.Cause(g.Context()), lease.ErrTaken)
		require.ErrorIs(t, g.Renew(ctx, time.Minute), lease.ErrTaken)
		require.NoError(t, g.Release(ctx))
		_, err := leaseOf(c, "ben").TryAcquire(ctx, time.Minute)
		require.ErrorIs(t, err, lease.ErrHeld)
		status, err := leaseOf(c, "ben").Inspect(ctx)
		require.NoError(t, err)
		require.Equal(t, lease.State{Holder: "py", Until: time.Date(2000, 1, 1, 0, 10, 0, 0, time.UTC)}, status)

		time.Sleep(10 * time.Minute)
		second := mustAcquire(t, leaseOf(c, "ben"), time.Minute) // its record has the version that g's had
		require.NoError(t, guarded(second))
		require.ErrorIs(t, guarded(g), client.ErrBadVersion)
		require.NoError(t, second.Release(ctx))

		_, err = c.Set(ctx, path+"/lease_holder", []byte(`{"version":2}`), client.AnyVersion)
		require.NoError(t, err)
		_, err = leaseOf(c, "ben").TryAcquire(ctx, time.Minute)
		require.ErrorIs(t, err, lease.ErrRecord)
		_, err = leaseOf(c, "ben").Inspect(ctx)
		require.ErrorIs(t, err, lease.ErrRecord)
	})
}

// Who has no name says where it is from, and is nobody else all the same.
func TestDefaultID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.Start(t, 1, nil).Connect(t)
		g := mustAcquire(t, lease.New(c, path, nil), time.Minute)
		s, err := lease.New(c, path, nil).Inspect(t.Context())
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(s.Holder, ticket.Identity()+"-"), s.Holder)
		_, err = lease.New(c, path, nil).TryAcquire(t.Context(), time.Minute)
		require.ErrorIs(t, err, lease.ErrHeld)
		require.NoError(t, g.Release(t.Context()))
	})
}
