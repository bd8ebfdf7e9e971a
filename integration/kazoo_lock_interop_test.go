//go:build interop

package integration

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

func kazooContender(t *testing.T, kind ...string) []string {
	return append([]string{process.MustEnv(t, "KAZOO_PYTHON"), "-B", filepath.Join("testdata", "lock", "contender.py")}, kind...)
}

// Our Mutex and RWMutex in kazoo's layout and kazoo's locks are one lock on one path, both ways.
func TestSharingWithKazoo(t *testing.T) {
	inTurn(t, func(t *testing.T, k process.Kind) {
		server := startPeer(t, k).Addr
		ctx, c := t.Context(), mustConnect(t, server)
		opts := &lock.Options{Layout: lock.KazooLayout}

		m := lock.NewMutex(c, "/locks/kazoo", opts)
		kazoo := startCuratorContender(t, kazooContender(t), server, "/locks/kazoo")
		ours, err := m.Lock(ctx)
		require.NoError(t, err)
		kazoo.mustAnswer(t, "acquire 300", "busy")
		require.NoError(t, ours.Release(ctx))
		kazoo.mustAnswer(t, "acquire 10000", "held")
		_, err = m.TryLock(ctx)
		require.ErrorIs(t, err, lock.ErrHeld)
		state, err := m.Inspect(ctx)
		require.NoError(t, err)
		require.Len(t, state.Holders, 1)
		require.Equal(t, "kazoo", string(state.Holders[0].Data))
		require.Empty(t, state.Foreign)

		strange, err := lock.NewMutex(c, "/locks/kazoo", nil).Inspect(ctx)
		require.NoError(t, err)
		require.Empty(t, strange.Holders)
		require.Equal(t, state.Holders[0].Path, strange.Foreign[0].Path, "in Curator's layout it is a foreign contender")
		kazoo.mustAnswer(t, "release", "released")
		contendTogether(t, server, "/locks/kazoo", opts, kazooContender(t))

		rw := lock.NewRWMutex(c, "/locks/kazoo-rw", opts)
		kazoo = startCuratorContender(t, kazooContender(t), server, "/locks/kazoo-rw", "rw")
		writer, err := rw.Lock(ctx)
		require.NoError(t, err)
		kazoo.mustAnswer(t, "acquire 300", "busy")
		kazoo.mustAnswer(t, "share 300", "busy")
		require.NoError(t, writer.Downgrade(ctx))
		kazoo.mustAnswer(t, "acquire 300", "busy")
		kazoo.mustAnswer(t, "share 10000", "held")
		require.NoError(t, writer.Release(ctx))
		_, err = rw.TryLock(ctx)
		require.ErrorIs(t, err, lock.ErrHeld)
		reader, err := rw.TryRLock(ctx)
		require.NoError(t, err)
		kazoo.mustAnswer(t, "unshare", "released")
		kazoo.mustAnswer(t, "acquire 300", "busy")
		require.NoError(t, reader.Release(ctx))
		kazoo.mustAnswer(t, "acquire 10000", "held")
		_, err = rw.TryRLock(ctx)
		require.ErrorIs(t, err, lock.ErrHeld)
		kazoo.mustAnswer(t, "release", "released")
	}, process.Bellwether, process.Apache39)
}

// Go, Java and Python are one lock in Curator's layout, if kazoo's lock is told to name its contenders as Curator does.
func shareThreeLanguages(t *testing.T, curator []string, server string) {
	const path = "/locks/three"
	python := startCuratorContender(t, kazooContender(t), server, path, "curator")
	java := startCuratorContender(t, curator, server, path)
	m := lock.NewMutex(mustConnect(t, server), path, nil)
	python.mustAnswer(t, "acquire 10000", "held")
	java.mustAnswer(t, "acquire 100", "busy")
	_, err := m.TryLock(t.Context())
	require.ErrorIs(t, err, lock.ErrHeld)
	python.mustAnswer(t, "release", "released")
	java.mustAnswer(t, "acquire 10000", "held")
	python.mustAnswer(t, "acquire 100", "busy")
	java.mustAnswer(t, "release", "released")
	ours, err := m.Lock(t.Context())
	require.NoError(t, err)
	python.mustAnswer(t, "acquire 100", "busy")
	java.mustAnswer(t, "acquire 100", "busy")
	require.NoError(t, ours.Release(t.Context()))
}
