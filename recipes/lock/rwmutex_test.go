package lock_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/lock"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

const writeMarker, readMarker = "__WRIT__", "__READ__"

// mustHold is what one of the methods that lock must return.
func mustHold(t *testing.T, acquire func(context.Context) (*lock.Hold, error)) *lock.Hold {
	t.Helper()
	h, err := acquire(t.Context())
	require.NoError(t, err)
	require.NoError(t, h.Context().Err())
	return h
}

// later starts to lock, and returns when it waits, or holds, for the result.
func later(t *testing.T, acquire func(context.Context) (*lock.Hold, error)) <-chan *lock.Hold {
	held := make(chan *lock.Hold, 1)
	go func() { // ends with the lock, or the test
		h, err := acquire(t.Context())
		if err != nil {
			t.Error(err)
		}
		held <- h
	}()
	synctest.Wait()
	return held
}

func requireWaits(t *testing.T, held ...<-chan *lock.Hold) {
	t.Helper()
	synctest.Wait()
	for i, h := range held {
		require.Empty(t, h, "number %d holds", i)
	}
}

func newRW(t *testing.T, e *ensembletest.Ensemble) *lock.RWMutex {
	t.Helper()
	return lock.NewRWMutex(e.Connect(t), path, nil)
}

func requireLine(t *testing.T, m *lock.RWMutex, markers ...string) {
	t.Helper()
	line, err := m.Line(t.Context())
	require.NoError(t, err)
	var got []string
	for _, p := range line {
		got = append(got, p.Marker)
	}
	require.Equal(t, markers, got)
}

func TestReadersShareAndWritersDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		ctx := t.Context()
		a, b := newRW(t, e), newRW(t, e)
		first, second := mustHold(t, a.RLock), mustHold(t, b.RLock)
		require.Regexp(t, "^"+path+"/_c_[0-9a-f-]{36}-__READ__0000000000$", first.Path())
		require.Equal(t, path, a.Path())
		_, err := b.TryLock(ctx)
		require.ErrorIs(t, err, lock.ErrHeld)
		w := later(t, b.Lock)
		require.NoError(t, first.Release(ctx))
		requireWaits(t, w)
		require.NoError(t, second.Release(ctx))
		write := <-w
		require.Regexp(t, "^"+path+"/_c_[0-9a-f-]{36}-__WRIT__[0-9]{10}$", write.Path())
		for _, try := range []func(context.Context) (*lock.Hold, error){a.TryLock, a.TryRLock, b.TryLock, b.TryRLock} {
			_, err := try(ctx)
			require.ErrorIs(t, err, lock.ErrHeld)
		}
		requireLine(t, a, writeMarker)
		require.NoError(t, write.Release(ctx))
		third := mustHold(t, a.TryRLock)
		fourth := mustHold(t, b.TryRLock)
		require.Greater(t, third.Token(), write.Token())
		_, err = a.Line(ctx)
		require.NoError(t, err)
		require.NoError(t, third.Release(ctx))
		require.NoError(t, fourth.Release(ctx))
		last := mustHold(t, a.TryLock)
		require.Greater(t, last.Token(), fourth.Token())
		require.NoError(t, last.Release(ctx))
		requireLine(t, a)
	})
}

// First come, first served: a reader does not overtake a writer that waits. A writer who leaves wakes the next writer or the readers up to it,
// a reader one writer at most.
func TestReadersAndWritersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		line := "WWRRWRW"
		var (
			mu    sync.Mutex
			looks = make([]int, len(line))
			holds = make([]<-chan *lock.Hold, len(line))
		)
		for i, kind := range line {
			m := lock.NewRWMutex(e.Connect(t), path, &lock.Options{Waiting: func(ticket.Place) {
				mu.Lock()
				defer mu.Unlock()
				looks[i]++
			}})
			acquire := m.Lock
			if kind == 'R' {
				acquire = m.RLock
			}
			holds[i] = later(t, acquire)
		}
		release := func(i int) {
			t.Helper()
			require.Len(t, holds[i], 1, "number %d", i)
			require.NoError(t, (<-holds[i]).Release(t.Context()))
			synctest.Wait()
		}
		release(0)
		requireWaits(t, holds[2:]...)
		release(1)
		requireWaits(t, holds[4:]...)
		release(3) // readers in any order
		requireWaits(t, holds[4:]...)
		release(2)
		requireWaits(t, holds[5:]...)
		release(4)
		requireWaits(t, holds[6:]...)
		release(5)
		release(6)
		// Number 4 was woken twice: by the nearest reader ahead of it, and by the one that was left.
		require.Equal(t, []int{0, 1, 1, 1, 2, 1, 1}, looks)
	})
}

// The hold that is waited for is not released before the wait is over: nobody is to wait for it.
func TestNestedLockIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		c := e.Connect(t)
		m := lock.NewRWMutex(c, path, nil)
		for _, outer := range []func(context.Context) (*lock.Hold, error){m.RLock, m.Lock} {
			h := mustHold(t, outer)
			ctx, cancel := context.WithCancel(h.Context())
			for _, inner := range []func(context.Context) (*lock.Hold, error){m.Lock, m.RLock, lock.NewRWMutex(c, path, nil).Lock} {
				_, err := inner(ctx)
				require.ErrorIs(t, err, lock.ErrNested)
			}
			_, err := m.TryLock(ctx)
			require.ErrorIs(t, err, lock.ErrHeld, "it does not wait")
			other, err := lock.NewRWMutex(c, "/locks/other", nil).Lock(ctx)
			require.NoError(t, err, "another lock may be waited for")
			cancel()
			require.NoError(t, other.Release(t.Context()))
			require.NoError(t, h.Release(t.Context()))
		}
	})
}

func TestDowngrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		ctx := t.Context()
		c := e.Connect(t)
		m := lock.NewRWMutex(c, path, &lock.Options{Data: []byte("me")})
		h := mustHold(t, m.Lock)
		token, guard, was := h.Token(), h.Guard(), h.Path()
		read := later(t, newRW(t, e).RLock)
		write := later(t, newRW(t, e).Lock)
		behind := later(t, newRW(t, e).RLock)

		for range 2 {
			require.NoError(t, h.Downgrade(ctx))
			require.Equal(t, strings.Replace(was, writeMarker, readMarker, 1), h.Path(), "its place")
			require.Equal(t, token, h.Token())
		}
		require.NoError(t, h.Context().Err())
		reader := <-read
		require.Greater(t, reader.Token(), token)
		requireWaits(t, write, behind)
		requireLine(t, m, readMarker, readMarker, writeMarker, readMarker)
		data, stat, err := c.Get(ctx, h.Path())
		require.NoError(t, err)
		require.Equal(t, "me", string(data))
		require.Equal(t, c.Session().ID(), stat.EphemeralOwner)
		_, err = c.Multi(ctx, guard, client.CreateOp("/written-by-a-reader", nil, nil))
		require.ErrorIs(t, err, client.ErrNoNode, "the guard of the writer")
		_, err = c.Multi(ctx, h.Guard(), client.CreateOp("/by-a-reader", nil, nil))
		require.NoError(t, err)

		require.NoError(t, c.Delete(ctx, h.Path(), client.AnyVersion))
		<-h.Context().Done()
		require.ErrorIs(t, context.Cause(h.Context()), lock.ErrRemoved, "it is watched over in its new form, too")
		require.ErrorIs(t, h.Downgrade(ctx), lock.ErrRemoved)
		require.NoError(t, h.Release(ctx))
		require.NoError(t, reader.Release(ctx))
		require.NoError(t, (<-write).Release(ctx))
		require.NoError(t, (<-behind).Release(ctx))
		requireLine(t, m)
	})
}

func TestDowngradeIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		c, ctx := e.Connect(t), t.Context()
		h := mustLock(t, lock.NewMutex(c, "/locks/mutex", nil))
		require.ErrorIs(t, h.Downgrade(ctx), client.ErrBadArguments)
		require.NoError(t, h.Context().Err())

		m := lock.NewRWMutex(c, path, nil)
		r := mustHold(t, m.RLock)
		require.NoError(t, r.Downgrade(ctx), "it is one already")
		require.NoError(t, r.Release(ctx))
		require.ErrorIs(t, r.Downgrade(ctx), lock.ErrReleased)
		w := mustHold(t, m.Lock)
		require.NoError(t, c.Delete(ctx, w.Path(), client.AnyVersion))
		require.ErrorIs(t, w.Downgrade(ctx), lock.ErrRemoved)
		requireLine(t, m)
	})
}

// Whatever gets lost of a downgrade, it has happened once when it returns, and there is one node.
func TestDowngradeWithLostAnswers(t *testing.T) {
	for name, fault := range map[string]func(p *proxy.Proxy){
		"request":     func(p *proxy.Proxy) { p.Lose(proxy.Request(proxy.OpMulti, "")) },
		"reply":       func(p *proxy.Proxy) { p.Lose(proxy.Reply(proxy.OpMulti, "")) },
		"two replies": func(p *proxy.Proxy) { p.Lose(proxy.Reply(proxy.OpMulti, "").Times(2)) },
		"connection":  func(p *proxy.Proxy) { p.Cut(proxy.Request(proxy.OpMulti, "")) },
		"the guard's": func(p *proxy.Proxy) { p.Lose(proxy.Reply(proxy.OpGetData, "")) },
		"event":       func(p *proxy.Proxy) { p.Lose(proxy.Event("")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := startServer(t)
				c, wire := connect(t, e)
				m := lock.NewRWMutex(c, path, nil)
				h := mustHold(t, m.Lock)
				write := later(t, newRW(t, e).Lock)
				fault(wire.p)
				require.NoError(t, h.Downgrade(t.Context()))
				time.Sleep(5 * time.Second)
				require.NoError(t, h.Context().Err())
				requireLine(t, newRW(t, e), readMarker, writeMarker)
				requireWaits(t, write)
				require.NoError(t, h.Release(t.Context()))
				require.NoError(t, (<-write).Release(t.Context()))
				requireLine(t, m)
			})
		})
	}
}

// A look at the own node that began before a downgrade, and is answered after it, does not take the node for removed.
func TestDowngradeMeetsALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		c, wire := connect(t, e)
		m := lock.NewRWMutex(c, path, nil)
		h := mustHold(t, m.Lock)
		lost := wire.p.Lose(proxy.Request(proxy.OpGetData, "").Times(3)) // it is asked for again later than the transaction
		_, err := e.Connect(t).Set(t.Context(), h.Path(), []byte("look"), client.AnyVersion)
		require.NoError(t, err)
		<-lost.Struck()
		require.NoError(t, h.Downgrade(t.Context()))
		time.Sleep(5 * time.Second)
		require.NoError(t, h.Context().Err())
		requireLine(t, m, readMarker)
		require.NoError(t, h.Release(t.Context()))
		requireLine(t, m)
	})
}

// A downgrade that is given up at any moment leaves a hold that is one, can be downgraded later, and leaves no node when it is released.
func TestCancelledDowngrade(t *testing.T) {
	for delay := range 8 {
		for _, finish := range []bool{false, true} {
			for _, lose := range []proxy.Match{proxy.Request(proxy.OpMulti, ""), proxy.Reply(proxy.OpMulti, ""), proxy.Reply(proxy.OpDelete, "")} {
				synctest.Test(t, func(t *testing.T) {
					e := startServer(t)
					c, wire := connect(t, e)
					m := lock.NewRWMutex(c, path, nil)
					h := mustHold(t, m.Lock)
					wire.p.Delay(proxy.Reply(proxy.OpAll, "").Always(), 2*time.Millisecond)
					wire.p.Delay(proxy.Request(proxy.OpAll, "").Always(), 2*time.Millisecond)
					wire.p.Lose(lose)
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(delay)*time.Millisecond)
					defer cancel()
					if err := h.Downgrade(ctx); err != nil {
						require.ErrorIs(t, err, context.DeadlineExceeded)
					}
					require.NoError(t, h.Context().Err())
					if finish {
						require.NoError(t, h.Downgrade(t.Context()))
						requireLine(t, newRW(t, e), readMarker)
						require.NoError(t, h.Context().Err())
					}
					require.NoError(t, h.Release(t.Context()))
					requireLine(t, newRW(t, e))
					time.Sleep(20 * time.Second)
					requireLine(t, newRW(t, e))
				})
			}
		}
	}
}

// Where the numbers end, the order goes on. A writer with the last number takes the one before it as a reader: newer servers of Apache's
// give the last one to all who come, and the reader's node would be younger than theirs.
func TestReadersAndWritersAtTheLastNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		m := newRW(t, e)
		require.NoError(t, mustHold(t, m.Lock).Release(t.Context()))
		require.NoError(t, e.SetSequence(t.Context(), path, math.MaxInt32))
		h := mustHold(t, m.Lock)
		require.True(t, strings.HasSuffix(h.Path(), fmt.Sprint(math.MaxInt32)), h.Path())
		write := later(t, newRW(t, e).Lock)
		read := later(t, newRW(t, e).RLock)
		require.NoError(t, h.Downgrade(t.Context()))
		require.True(t, strings.HasSuffix(h.Path(), fmt.Sprint(readMarker, math.MaxInt32-1)), h.Path())
		requireWaits(t, write, read)
		require.NoError(t, h.Release(t.Context()))
		w := <-write
		require.True(t, strings.HasSuffix(w.Path(), fmt.Sprint(writeMarker, math.MinInt32)), w.Path())
		requireWaits(t, read)
		require.NoError(t, w.Release(t.Context()))
		require.NoError(t, (<-read).Release(t.Context()))
	})
}

// Of those with the same number, as newer servers of Apache's give out in the end, who came first is ahead.
func TestTheLastNumberIsGivenToMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ctx := startServer(t), t.Context()
		admin, m := e.Connect(t), newRW(t, e)
		twin := func(marker string) string {
			name := fmt.Sprintf("%s/_c_%s-%s%d", path, client.NewProtectionID(), marker, math.MaxInt32)
			_, err := admin.Create(ctx, name, nil, &client.CreateOptions{Mode: client.Ephemeral, Parents: client.ContainerParents})
			require.NoError(t, err)
			return name
		}
		older := []string{twin(writeMarker), twin(readMarker), twin(writeMarker)}
		require.NoError(t, e.SetSequence(ctx, path, math.MaxInt32))
		write := later(t, m.Lock)
		require.Empty(t, write)
		younger := twin(writeMarker)
		for _, name := range older {
			requireWaits(t, write)
			require.NoError(t, admin.Delete(ctx, name, client.AnyVersion))
		}
		h := <-write
		require.True(t, strings.HasSuffix(h.Path(), fmt.Sprint(math.MaxInt32)), h.Path())
		require.NoError(t, h.Downgrade(ctx))
		line, err := m.Line(ctx)
		require.NoError(t, err)
		require.Len(t, line, 2)
		require.Equal(t, h.Path(), path+"/"+line[0].Name, "before the writer that came later")
		require.Equal(t, younger, path+"/"+line[1].Name)
		require.NoError(t, h.Release(ctx))
	})
}

// Others' nodes in the directory keep nobody out, and are told of: a Mutex, above all, which is not excluded.
func TestStrangersAreNoReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		c := e.Connect(t)
		var log strings.Builder
		m := lock.NewRWMutex(c, path, &lock.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		mustLock(t, lock.NewMutex(c, path, nil))
		for _, name := range []string{"__WRIT__", "__WRIT__1", "_c_short", "0123__rlock__0000000000", "__READ__0000000001x"} {
			_, err := c.Create(t.Context(), path+"/"+name, nil, nil)
			require.NoError(t, err)
		}
		for range 2 {
			require.NoError(t, mustHold(t, m.Lock).Release(t.Context()))
			require.NoError(t, mustHold(t, m.RLock).Release(t.Context()))
		}
		require.Equal(t, 1, strings.Count(log.String(), "no contenders"))
		require.Contains(t, log.String(), "-lock-0000000000")
	})
}

// Who gives up leaves neither a node nor, however often, more than one watch on the node it waited for, and wakes whom it held up.
func TestWriterThatGivesUpLetsReadersIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		m := newRW(t, e)
		h := mustHold(t, m.RLock)
		impatient := newRW(t, e)
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			var all sync.WaitGroup
			all.Go(func() {
				if _, err := impatient.Lock(ctx); err == nil {
					t.Error("it holds")
				}
			})
			synctest.Wait()
			read := later(t, newRW(t, e).RLock)
			requireWaits(t, read)
			all.Wait()
			require.NoError(t, (<-read).Release(t.Context()))
			cancel()
		}
		requireLine(t, m, readMarker)
		watches := 0
		for _, w := range e.Watches() {
			if w.Path == h.Path() {
				watches++
			}
		}
		require.Equal(t, 2, watches, "the holder's own, and one")
	})
}

// Directories come by themselves as containers, and may be swept whenever nobody stands in them.
func TestReadersAndWritersInASweptDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		m := newRW(t, e)
		last := int64(0)
		for range 3 {
			for _, acquire := range []func(context.Context) (*lock.Hold, error){m.Lock, m.RLock} {
				h := mustHold(t, acquire)
				require.Greater(t, h.Token(), last)
				last = h.Token()
				require.NoError(t, h.Release(t.Context()))
				_, err := e.Sweep(t.Context())
				require.NoError(t, err)
				_, there := e.Server(1).Node(path)
				require.False(t, there)
			}
		}
	})
}
