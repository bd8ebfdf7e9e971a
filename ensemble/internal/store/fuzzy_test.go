package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/store"
)

func TestTheMarkOfAFuzzySnapshotIsDurable(t *testing.T) {
	m := disk.NewMem(&disk.MemOptions{CrashModel: true})
	for _, on := range []bool{false, true, true, false, false} {
		s, err := store.Open(m, store.Options{DataDir: "data"})
		require.NoError(t, err)
		require.NoError(t, s.SetFuzzy(on))
		m = m.CrashClone(disk.KeepNone)
		s, err = store.Open(m, store.Options{DataDir: "data"})
		require.NoError(t, err)
		is, err := s.Fuzzy()
		require.NoError(t, err)
		require.Equal(t, on, is)
		require.NoError(t, s.Close())
	}
}
