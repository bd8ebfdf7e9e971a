//go:build interop

package integration

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// Our locks for readers and writers, our semaphores and Curator's are the same on one path.
func TestSharingWithCurator(t *testing.T) {
	command := javaProgram(t, "CURATOR_CP", "Contender", "lock/*")
	inTurn(t, func(t *testing.T, k process.Kind) {
		server := startPeer(t, k).Addr
		t.Run("RWMutex", func(t *testing.T) { shareRWMutex(t, command, server) })
		t.Run("Semaphore", func(t *testing.T) { shareSemaphore(t, command, server) })
		t.Run("SemaphoreMutex", func(t *testing.T) { shareSemaphoreMutex(t, command, server) })
	}, process.Bellwether, process.Apache39)
}

// soon is a context for what is sure to be busy.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// Our RWMutex and Curator's InterProcessReadWriteLock are one lock, whoever writes, reads, or has become a reader.
func shareRWMutex(t *testing.T, command []string, server string) {
	const path = "/locks/rw"
	ctx := t.Context()
	curator := startCuratorContender(t, command, server, path, "rw")
	m := lock.NewRWMutex(mustConnect(t, server), path, nil)
	must := func(acquire func(context.Context) (*lock.Hold, error)) *lock.Hold {
		t.Helper()
		h, err := acquire(ctx)
		require.NoError(t, err)
		return h
	}
	busy := func(acquires ...func(context.Context) (*lock.Hold, error)) {
		t.Helper()
		for _, acquire := range acquires {
			_, err := acquire(soon(t))
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
	}

	h := must(m.Lock)
	curator.mustAnswer(t, "acquire 100", "busy")
	curator.mustAnswer(t, "share 100", "busy")
	require.NoError(t, h.Downgrade(ctx))
	curator.mustAnswer(t, "acquire 100", "busy")
	curator.mustAnswer(t, "share 10000", "held")
	busy(m.Lock)
	other := must(m.RLock)
	require.NoError(t, other.Release(ctx))
	require.NoError(t, h.Release(ctx))
	busy(m.Lock)
	_, err := m.TryLock(ctx)
	require.ErrorIs(t, err, lock.ErrHeld)
	h = must(m.TryRLock)
	curator.mustAnswer(t, "unshare", "released")
	curator.mustAnswer(t, "acquire 100", "busy")
	require.NoError(t, h.Release(ctx))

	curator.mustAnswer(t, "acquire 10000", "held")
	busy(m.Lock, m.RLock)
	curator.mustAnswer(t, "share 10000", "held") // in the writer's place
	curator.mustAnswer(t, "release", "released")
	busy(m.Lock)
	h = must(m.RLock)
	line, err := m.Line(ctx)
	require.NoError(t, err)
	require.Len(t, line, 2, "the readers, and no trace of who gave up")
	curator.mustAnswer(t, "unshare", "released")
	require.NoError(t, h.Release(ctx))

	shareTogether(t, []*curatorContender{curator, startCuratorContender(t, command, server, path, "rw")}, server, path)
}

// shareTogether lets two processes of Java and two clients of ours read and write in turns, and counts who is inside.
func shareTogether(t *testing.T, curators []*curatorContender, server, path string) {
	const turns, all = 20, 100
	var inside, total atomic.Int32
	enter := func(weight int32) {
		if n := inside.Add(weight); n > all || weight == all && n != all {
			t.Errorf("%d are inside, a writer counting for %d", n, all)
		}
		time.Sleep(time.Millisecond) // so that others may come in
		total.Add(1)
		inside.Add(-weight)
	}
	var group sync.WaitGroup
	for _, curator := range curators {
		group.Go(func() {
			for i := range turns {
				words, weight := []string{"share 10000", "unshare"}, int32(1)
				if i%2 == 0 {
					words, weight = []string{"acquire 10000", "release"}, all
				}
				if answer, err := curator.ask(words[0]); err != nil || answer != "held" {
					t.Error(answer, err)
					return
				}
				enter(weight)
				if answer, err := curator.ask(words[1]); err != nil || answer != "released" {
					t.Error(answer, err)
					return
				}
			}
		})
		m := lock.NewRWMutex(mustConnect(t, server), path, nil)
		group.Go(func() {
			for i := range turns {
				acquire, weight := m.RLock, int32(1)
				if i%2 == 0 {
					acquire, weight = m.Lock, all
				}
				h, err := acquire(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				enter(weight)
				if weight == all {
					if err := h.Downgrade(t.Context()); err != nil {
						t.Error(err)
					}
					enter(1)
				}
				if err := h.Release(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 5*turns, total.Load())
}

// Our Semaphore and Curator's InterProcessSemaphoreV2 give out the same permits, and obey the same shared limit.
func shareSemaphore(t *testing.T, command []string, server string) {
	const path = "/semaphores/one"
	ctx := t.Context()
	curator := startCuratorContender(t, command, server, path, "semaphore", "3")
	s := lock.NewSemaphore(mustConnect(t, server), path, 3, nil)
	acquire := func(weight int) *lock.Holds {
		t.Helper()
		h, err := s.Acquire(ctx, weight)
		require.NoError(t, err)
		return h
	}
	h := acquire(2)
	curator.mustAnswer(t, "acquire 100 2", "busy")
	curator.mustAnswer(t, "acquire 10000 1", "held")
	_, err := s.Acquire(soon(t), 1)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = s.TryAcquire(ctx, 1)
	require.ErrorIs(t, err, lock.ErrHeld)
	require.NoError(t, h.Release(ctx))
	_, err = s.Acquire(soon(t), 3)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	later := make(chan *lock.Holds, 1)
	go func() { // ends with the permits
		h, err := s.Acquire(ctx, 3)
		if err != nil {
			t.Error(err)
		}
		later <- h
	}()
	curator.mustAnswer(t, "release", "released")
	h = <-later
	require.NotNil(t, h)
	curator.mustAnswer(t, "acquire 100 1", "busy")
	require.NoError(t, h.Release(ctx))
	permits, err := s.Permits(ctx)
	require.NoError(t, err)
	require.Empty(t, permits)

	const shared, limit = "/semaphores/shared", "/semaphores/limit"
	s = lock.NewSharedSemaphore(mustConnect(t, server), shared, limit, 2, nil)
	n, err := s.Limit(ctx)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	curator = startCuratorContender(t, command, server, shared, "shared-semaphore", limit)
	curator.mustAnswer(t, "acquire 10000 2", "held")
	_, err = s.TryAcquire(ctx, 1)
	require.ErrorIs(t, err, lock.ErrHeld)
	require.NoError(t, s.SetLimit(ctx, 4))
	h = acquire(2)
	require.NoError(t, s.SetLimit(ctx, 3))
	curator.mustAnswer(t, "release", "released")
	curator.mustAnswer(t, "acquire 100 2", "busy")
	curator.mustAnswer(t, "acquire 10000 1", "held")
	require.NoError(t, h.Release(ctx))
}

// Curator's InterProcessSemaphoreMutex is a semaphore with one permit, for us too.
func shareSemaphoreMutex(t *testing.T, command []string, server string) {
	const path = "/semaphores/mutex"
	curator := startCuratorContender(t, command, server, path, "semaphore-mutex")
	s := lock.NewSemaphore(mustConnect(t, server), path, 1, nil)
	h, err := s.Acquire(t.Context(), 1)
	require.NoError(t, err)
	curator.mustAnswer(t, "acquire 100", "busy")
	require.NoError(t, h.Release(t.Context()))
	curator.mustAnswer(t, "acquire 10000", "held")
	_, err = s.TryAcquire(t.Context(), 1)
	require.ErrorIs(t, err, lock.ErrHeld)
	_, err = s.Acquire(soon(t), 1)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	curator.mustAnswer(t, "release", "released")
	h, err = s.TryAcquire(t.Context(), 1)
	require.NoError(t, err)
	require.NoError(t, h.Release(t.Context()))
}
