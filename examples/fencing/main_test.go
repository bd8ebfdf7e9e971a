package main

import (
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/examples/internal/stage/stagetest"
	"github.com/bellwether-zk/bellwether/recipes/lock/fence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStory(t *testing.T) {
	require.Regexp(t, regexp.MustCompile(`There are 10 boxes.
anna holds the lock, with token \d+, and finds 10 boxes.
anna's machine stands still.
ben holds the lock, with token \d+, and finds 10 boxes.
ben takes 4 and writes 6.
anna takes 3 and writes 7: fencing token is older than one that was seen: token \d+ came after token \d+.
anna's lock has ended meanwhile: session expired.*
anna holds the lock, with token \d+, and finds 6 boxes.
anna takes 3 and writes 3.
$`), stagetest.Perform(t, run))
}

// Whoever has seen the file under a greater token may rely on it, and so may who reads it after a restart.
func TestStock(t *testing.T) {
	s := &Stock{path: filepath.Join(t.TempDir(), "stock")}
	boxes, err := s.Load(1)
	require.NoError(t, err)
	require.Zero(t, boxes)
	require.NoError(t, s.Store(1, 5))
	require.NoError(t, s.Store(1, 6), "once more under the same hold")
	boxes, err = s.Load(9)
	require.NoError(t, err)
	require.Equal(t, 6, boxes)

	for _, s := range []*Stock{s, {path: s.path}} {
		require.ErrorIs(t, s.Store(8, 1), fence.ErrStale)
		_, err = s.Load(8)
		require.ErrorIs(t, err, fence.ErrStale)
		boxes, err = s.Load(9)
		require.NoError(t, err)
		require.Equal(t, 6, boxes)
	}
}
