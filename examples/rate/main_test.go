package main

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/examples/internal/stage/stagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStory(t *testing.T) {
	require.Equal(t, `5 programs send 2 messages each, at most 2 in 50ms.
  The gateway has taken 10, and refused none.
The contract is changed: 3 messages each, at most 4 in 50ms.
  The gateway has taken 15, and refused none.
`, stagetest.Perform(t, run))
}

// Who is waiting gets a turn as soon as there is one: in virtual time, where work takes none, three in each window.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, all = 3, 12
		e := ensembletest.Start(t, 3, nil)
		rate := NewRate(e.Connect(t), "/rate", limit, time.Minute)
		start := time.Now()
		var (
			mu    sync.Mutex
			begun []time.Duration
			doing sync.WaitGroup
		)
		for range all {
			doing.Go(func() {
				err := rate.Do(t.Context(), func(context.Context) error {
					mu.Lock()
					defer mu.Unlock()
					begun = append(begun, time.Since(start).Round(time.Second))
					return nil
				})
				require.NoError(t, err)
			})
		}
		doing.Wait()
		require.Len(t, begun, all)
		for i, at := range begun {
			require.Equal(t, time.Duration(i/limit)*time.Minute, at)
		}
	})
}
