package queue

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
)

// Who waits hears of it when another in its process does not come to claim what it was about to, of which no server tells.
func TestHandedBackUnclaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(ensembletest.Start(t, 1, nil).Connect(t), "/q", nil)
		require.NoError(t, q.Put(t.Context(), Item{}))
		l, err := q.look(t.Context(), q.client)
		require.NoError(t, err)
		q.fill(l)
		picked := q.choose(1)
		require.Len(t, picked, 1)
		got := make(chan error)
		go func() { // ends with the item
			_, err := q.Take(t.Context())
			got <- err
		}()
		synctest.Wait()
		q.unpick(picked, true)
		require.NoError(t, <-got)
	})
}

// The first is chosen, and one of the first few for some time when others have been quicker; nothing twice, and no more than Window of one listing.
func TestChoose(t *testing.T) {
	q := &Queue{opts: Options{Window: 8}, busy: map[string]bool{}, width: 1, changed: make(chan struct{})}
	names, _ := FIFO.parseAll([]string{
		"queue-0000000000", "queue-0000000001", "queue-0000000002", "queue-0000000003", "queue-0000000004", "queue-0000000005",
		"queue-0000000006", "queue-0000000007", "queue-0000000008", "queue-0000000009",
	})
	fill := func() { q.fill(&listing{free: append([]name(nil), names...)}) }
	fill()
	for i := range 8 {
		picked := q.choose(1)
		require.Equal(t, names[i:i+1], picked)
		q.unpick(picked, false)
	}
	require.Empty(t, q.choose(1), "it is time to list")
	for range 10 {
		q.beaten(true)
	}
	seen := map[int32]int{}
	for range 1000 {
		fill()
		picked := q.choose(1)
		seen[picked[0].number]++
		q.unpick(picked, false)
	}
	require.Len(t, seen, 8)
	for range 8 {
		q.beaten(false)
	}
	fill()
	first, second := q.choose(3), q.choose(3)
	require.Equal(t, names[:3], first)
	require.Equal(t, names[3:6], second)
	fill() // lists them again, while they are about to be claimed
	require.Equal(t, names[6:10], q.choose(5))
}
