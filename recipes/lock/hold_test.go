package lock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/lock"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// A lock may be had again by who says, with its context, that it is held already; the last release is the release.
func TestReentrance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := startServer(t)
		c, other := e.Connect(t), e.Connect(t)
		m := lock.NewMutex(c, path, &lock.Options{Reentrant: true})
		outer := mustLock(t, m)
		synctest.Wait() // the own node is looked at
		r := e.Record()
		inner, err := m.Lock(outer.Context())
		require.NoError(t, err)
		third, err := m.TryLock(context.WithValue(inner.Context(), m, 1))
		require.NoError(t, err)
		require.Empty(t, asked(r, c), "for nothing")
		require.Equal(t, outer.Token(), third.Token())
		require.Equal(t, outer.Path(), third.Path())
		_, err = m.TryLock(ctx)
		require.ErrorIs(t, err, lock.ErrHeld, "who does not say so is somebody else")
		next := later(t, lock.NewMutex(other, path, nil).Lock)

		for range 2 {
			require.NoError(t, outer.Release(ctx))
			require.ErrorIs(t, context.Cause(outer.Context()), lock.ErrReleased)
			require.NoError(t, inner.Context().Err())
		}
		require.NoError(t, third.Release(ctx))
		require.NoError(t, inner.Context().Err())
		_, err = m.Lock(third.Context())
		require.ErrorIs(t, err, lock.ErrReleased, "what has ended carries nothing")
		synctest.Wait()
		require.Empty(t, next)
		require.NoError(t, inner.Release(ctx))
		require.ErrorIs(t, context.Cause(inner.Context()), lock.ErrReleased)
		require.NoError(t, (<-next).Release(ctx))

		h, err := m.Lock(context.WithoutCancel(outer.Context()))
		require.NoError(t, err, "a lock that was released is locked as any other")
		require.NotEqual(t, outer.Path(), h.Path())
		require.NoError(t, h.Release(ctx))
	})
}

// All holds of one place end with it, whatever ends it.
func TestReentranceEndsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		c, wire := connect(t, e)
		m := lock.NewMutex(c, path, &lock.Options{Reentrant: true})
		outer := mustLock(t, m)
		inner, err := m.Lock(outer.Context())
		require.NoError(t, err)
		require.NoError(t, c.Delete(t.Context(), inner.Path(), client.AnyVersion))
		<-inner.Context().Done()
		require.ErrorIs(t, context.Cause(outer.Context()), lock.ErrRemoved)
		require.ErrorIs(t, context.Cause(inner.Context()), lock.ErrRemoved)
		require.NoError(t, outer.Release(t.Context()))
		require.NoError(t, inner.Release(t.Context()))

		outer = mustLock(t, m)
		inner, err = m.Lock(outer.Context())
		require.NoError(t, err)
		wire.set(true)
		<-inner.Context().Done()
		require.ErrorIs(t, context.Cause(outer.Context()), client.ErrSessionExpired)
		require.ErrorIs(t, context.Cause(inner.Context()), client.ErrSessionExpired)
		// What is lost is not had again because it is remembered, as with Curator's: also not by who does not look whether his context has ended.
		other := mustLock(t, lock.NewMutex(e.Connect(t), path, nil))
		wire.set(false)
		_, err = m.TryLock(inner.Context())
		require.ErrorIs(t, err, client.ErrSessionExpired)
		_, err = m.TryLock(context.WithoutCancel(outer.Context()))
		require.ErrorIs(t, err, lock.ErrHeld)
		require.NoError(t, other.Context().Err())
	})
}

// Without the option, to lock what is held further up is refused, not waited for.
func TestNestedIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := startServer(t).Connect(t)
		m, too := lock.NewMutex(c, path, nil), lock.NewMutex(c, path+"-too", nil)
		h := mustLock(t, m)
		_, err := m.Lock(h.Context())
		require.ErrorIs(t, err, lock.ErrNested)
		_, err = m.TryLock(h.Context())
		require.ErrorIs(t, err, lock.ErrHeld)
		both, err := lock.NewMulti(too, m)
		require.NoError(t, err)
		_, err = both.Lock(h.Context())
		require.ErrorIs(t, err, lock.ErrNested)
		require.NoError(t, h.Release(ctx))
		all, err := both.Lock(ctx)
		require.NoError(t, err)
		for _, m := range []*lock.Mutex{m, too} {
			_, err = m.Lock(all.Context())
			require.ErrorIs(t, err, lock.ErrNested)
		}
		require.NoError(t, all.Release(ctx))
	})
}

func TestReentranceOfReadersAndWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := startServer(t).Connect(t)
		m := lock.NewRWMutex(c, path, &lock.Options{Reentrant: true})
		writer := mustHold(t, m.Lock)
		inner, err := m.RLock(writer.Context())
		require.NoError(t, err)
		require.ErrorIs(t, writer.Downgrade(ctx), lock.ErrNested)
		require.NoError(t, writer.Release(ctx))
		_, err = m.TryRLock(ctx)
		require.ErrorIs(t, err, lock.ErrHeld, "it is the write lock still")
		require.NoError(t, inner.Downgrade(ctx))
		reader, err := m.TryRLock(ctx)
		require.NoError(t, err)
		again, err := m.RLock(reader.Context())
		require.NoError(t, err)
		_, err = m.Lock(again.Context())
		require.ErrorIs(t, err, lock.ErrNested, "a reader never becomes a writer")
		for _, h := range []*lock.Hold{reader, again, inner} {
			require.NoError(t, h.Release(ctx))
		}
		require.NoError(t, mustHold(t, m.Lock).Release(ctx))
	})
}

// A hold that lasts too long ends, and the next one comes in, whatever its holder does.
func TestMaxHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := startServer(t)
		c, other := e.Connect(t), e.Connect(t)
		m := lock.NewMutex(c, path, &lock.Options{MaxHold: time.Minute, Reentrant: true})
		begun := time.Now()
		stuck := mustLock(t, m)
		deadline, ok := stuck.Context().Deadline()
		require.True(t, ok)
		require.Equal(t, begun.Add(time.Minute), deadline)
		inner, err := m.Lock(stuck.Context())
		require.NoError(t, err)
		next := mustLock(t, lock.NewMutex(other, path, nil))
		require.Equal(t, time.Minute, time.Since(begun))
		require.ErrorIs(t, context.Cause(stuck.Context()), lock.ErrMaxHold)
		require.ErrorIs(t, context.Cause(inner.Context()), lock.ErrMaxHold)
		require.NoError(t, inner.Release(ctx))
		require.NoError(t, stuck.Release(ctx), "it is late, and no error")
		require.NoError(t, next.Context().Err())
		require.NoError(t, next.Release(ctx))

		h := mustLock(t, m)
		require.NoError(t, h.Release(ctx))
		next = mustLock(t, lock.NewMutex(other, path, nil))
		time.Sleep(time.Hour)
		require.ErrorIs(t, context.Cause(h.Context()), lock.ErrReleased, "who has released has not held for too long")
		require.NoError(t, next.Context().Err())

		permits := mustAcquire(t, lock.NewSemaphore(c, "/permits", 2, &lock.Options{MaxHold: time.Minute}), 2)
		begun = time.Now()
		deadline, _ = permits.Context().Deadline()
		require.Equal(t, begun.Add(time.Minute), deadline)
		mustAcquire(t, lock.NewSemaphore(other, "/permits", 2, nil), 1)
		require.Equal(t, time.Minute, time.Since(begun))
	})
}

// A hold whose time is over while the servers cannot be reached is over all the same.
func TestMaxHoldWithoutConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startServer(t)
		c, wire := connect(t, e)
		h := mustLock(t, lock.NewMutex(c, path, &lock.Options{MaxHold: time.Second}))
		wire.set(true)
		<-h.Context().Done()
		require.ErrorIs(t, context.Cause(h.Context()), lock.ErrMaxHold)
		time.AfterFunc(time.Second, wire.plug)
		require.NoError(t, h.Release(t.Context()))
		line, err := lock.NewMutex(e.Connect(t), path, nil).Line(t.Context())
		require.NoError(t, err)
		require.Empty(t, line)
	})
}

// A holder is asked to let go, and agrees or refuses; who has asked is told.
func TestRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := startServer(t)
		c, other := e.Connect(t), e.Connect(t)
		revoke := func(ctx context.Context, h *lock.Hold) chan error {
			told := make(chan error, 1)
			go func() { told <- lock.Revoke(ctx, other, h.Path()) }() // ends with the answer
			synctest.Wait()
			return told
		}
		h := mustLock(t, lock.NewMutex(c, path, &lock.Options{Data: []byte("me")}))
		require.NoError(t, h.Refuse(ctx), "nobody has asked")
		_, stat, err := c.Get(ctx, h.Path())
		require.NoError(t, err)
		require.Zero(t, stat.Version)

		for range 2 {
			asked := h.Revoked()
			select {
			case <-asked:
				t.Fatal("nobody has asked")
			default:
			}
			told, too := revoke(ctx, h), revoke(ctx, h)
			<-asked
			require.NoError(t, h.Context().Err(), "it is only asked")
			require.NoError(t, h.Refuse(ctx))
			require.ErrorIs(t, <-told, lock.ErrRefused)
			require.ErrorIs(t, <-too, lock.ErrRefused)
			synctest.Wait()
			data, _, err := c.Get(ctx, h.Path())
			require.NoError(t, err)
			require.Equal(t, "me", string(data))
		}
		_, err = c.Multi(ctx, h.Guard(), client.CreateOp("/done", nil, nil))
		require.NoError(t, err, "the guard does not mind")

		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		told := revoke(short, h)
		require.ErrorIs(t, <-told, context.DeadlineExceeded)
		<-h.Revoked() // the request stands
		told = revoke(ctx, h)
		require.NoError(t, h.Release(ctx))
		require.NoError(t, <-told)
		require.NoError(t, lock.Revoke(ctx, other, h.Path()), "who is gone has let go")
		err = lock.Revoke(ctx, other, "no/path")
		require.ErrorIs(t, err, client.ErrInvalidPath)
	})
}

// Whoever waits, reads, or has permits can be asked too; an answer that gets lost on the way is asked for again.
func TestRevokeOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := startServer(t)
		c, other := e.Connect(t), e.Connect(t)
		m := lock.NewMutex(c, path, nil)
		h := mustLock(t, m)
		next := later(t, m.Lock)
		line, err := m.Line(ctx)
		require.NoError(t, err)
		told := make(chan error, 1)
		p := e.Proxy(other)
		p.Lose(proxy.Reply(proxy.OpSetData, path+"/*"))
		p.Lose(proxy.Reply(proxy.OpGetData, path+"/*"))
		go func() { told <- lock.Revoke(ctx, other, path+"/"+line[1].Name) }() // ends with the answer
		time.Sleep(time.Second)
		require.NoError(t, h.Release(ctx))
		h = <-next
		<-h.Revoked() // while it waited
		e.Proxy(c).Drop()
		require.NoError(t, h.Release(ctx))
		require.NoError(t, <-told)

		permits := mustAcquire(t, lock.NewSemaphore(c, "/permits", 2, nil), 2)
		go func() { told <- lock.Revoke(ctx, other, permits.All()[1].Path()) }() // ends with the answer
		<-permits.All()[1].Revoked()
		require.NoError(t, permits.Release(ctx))
		require.NoError(t, <-told)

		rw := lock.NewRWMutex(c, "/rw", nil)
		writer := mustHold(t, rw.Lock)
		require.NoError(t, writer.Downgrade(ctx))
		go func() { told <- lock.Revoke(ctx, other, writer.Path()) }() // ends with the answer
		<-writer.Revoked()
		require.NoError(t, writer.Release(ctx))
		require.NoError(t, <-told)
		require.Empty(t, e.Watches())
	})
}

func TestInspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := startServer(t)
		a, b := e.Connect(t), e.Connect(t)
		m := lock.NewMutex(a, path, nil)
		state, err := m.Inspect(ctx)
		require.NoError(t, err)
		require.Zero(t, state)

		first := mustLock(t, m)
		since := time.Now()
		time.Sleep(time.Minute)
		next := later(t, lock.NewMutex(b, path, &lock.Options{Data: []byte("b")}).Lock)
		stranger, err := b.Create(ctx, path+"/0123456789abcdef0123456789abcdef__lock__", []byte("kazoo"), &client.CreateOptions{Mode: client.EphemeralSequential})
		require.NoError(t, err)
		state, err = m.Inspect(ctx)
		require.NoError(t, err)
		require.Len(t, state.Holders, 1)
		holder := state.Holders[0]
		require.Equal(t, first.Path(), holder.Path)
		require.Equal(t, first.Token(), holder.Token)
		require.Equal(t, first.Session().ID(), holder.Session)
		require.Equal(t, since.UTC(), holder.Since.UTC())
		host, _ := os.Hostname()
		require.Equal(t, fmt.Sprintf("%s-%d", host, os.Getpid()), string(holder.Data))
		require.Len(t, state.Waiters, 1)
		require.Equal(t, "b", string(state.Waiters[0].Data))
		require.Equal(t, since.Add(time.Minute).UTC(), state.Waiters[0].Since.UTC())
		require.Len(t, state.Foreign, 1)
		require.Equal(t, stranger, state.Foreign[0].Path)
		require.Equal(t, "kazoo", string(state.Foreign[0].Data))
		require.Equal(t, b.Session().ID(), state.Foreign[0].Session)

		too := lock.NewMutex(a, path+"-too", &lock.Options{Data: []byte{}})
		h := mustLock(t, too)
		both, err := lock.NewMulti(too, m)
		require.NoError(t, err)
		states, err := both.Inspect(ctx)
		require.NoError(t, err)
		require.Equal(t, h.Path(), states[0].Holders[0].Path)
		require.Empty(t, states[0].Holders[0].Data)
		require.Equal(t, state, states[1])
		require.NoError(t, first.Release(ctx))
		require.NoError(t, (<-next).Release(ctx))
	})
}

func TestInspectReadersAndPermits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := startServer(t)
		a, b := e.Connect(t), e.Connect(t)
		names := func(all []ticket.Contender) (names []string) {
			for _, one := range all {
				names = append(names, one.Marker)
			}
			return names
		}
		rw, other := lock.NewRWMutex(a, path, nil), lock.NewRWMutex(b, path, nil)
		holds := []*lock.Hold{mustHold(t, rw.RLock), mustHold(t, rw.RLock)}
		writer, reader := later(t, other.Lock), later(t, other.RLock)
		state, err := rw.Inspect(ctx)
		require.NoError(t, err)
		require.Equal(t, []string{"__READ__", "__READ__"}, names(state.Holders))
		require.Equal(t, []string{"__WRIT__", "__READ__"}, names(state.Waiters))
		for _, h := range holds {
			require.NoError(t, h.Release(ctx))
		}
		h := <-writer
		state, err = rw.Inspect(ctx)
		require.NoError(t, err)
		require.Equal(t, []string{"__WRIT__"}, names(state.Holders))
		require.Equal(t, h.Token(), state.Holders[0].Token)
		require.NoError(t, h.Downgrade(ctx))
		state, err = rw.Inspect(ctx)
		require.NoError(t, err)
		require.Equal(t, []string{"__READ__", "__READ__"}, names(state.Holders))
		require.NoError(t, (<-reader).Release(ctx))

		s := lock.NewSemaphore(a, "/permits", 3, nil)
		permits := mustAcquire(t, s, 2)
		two := laterAcquire(t, lock.NewSemaphore(b, "/permits", 3, nil), 2)
		one := laterAcquire(t, lock.NewSemaphore(b, "/permits", 3, nil), 1)
		state, err = s.Inspect(ctx)
		require.NoError(t, err)
		require.Len(t, state.Holders, 2)
		require.Len(t, state.Waiters, 2)
		require.Equal(t, b.Session().ID(), state.Waiters[0].Session)
		require.Equal(t, 3, state.Limit)
		require.NoError(t, permits.Release(ctx))
		require.NoError(t, (<-two).Release(ctx))
		require.NoError(t, (<-one).Release(ctx))
		require.NoError(t, a.Close())
		_, err = s.Inspect(ctx)
		require.True(t, errors.Is(err, client.ErrClosed))
	})
}
