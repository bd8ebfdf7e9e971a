package queue

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

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

// mustNames are so many items' names, in order.
func mustNames(t *testing.T, n int) []name {
	t.Helper()
	var texts []string
	for i := range n {
		texts = append(texts, fmt.Sprintf("queue-%010d", i))
	}
	names, foreign := FIFO.parseAll(texts)
	require.Empty(t, foreign)
	return names
}

// Who is alone takes one after the other, and lists again after Window names, or when the listing is old.
func TestAlone(t *testing.T) {
	names, now := mustNames(t, 100), time.Now()
	s := newStock(8)
	for range 3 {
		s.fill(names, now)
		for i := range 8 {
			require.Equal(t, names[i:i+1], s.choose(1, now))
			require.Len(t, s.busy, 1)
			clear(s.busy)
			s.won()
		}
		require.Empty(t, s.choose(1, now), "it is time to list")
	}
	s.fill(names, now)
	require.Equal(t, names[:3], s.choose(3, now))
	s.fill(names, now) // lists them again, while they are about to be claimed
	require.Equal(t, names[3:6], s.choose(3, now.Add(maxAge)))
	require.Empty(t, s.choose(1, now.Add(maxAge+1)), "it is old")
}

// When others are quicker, a run begins somewhere among the first names, not further than Window runs of as many as are taken; and at the first again
// when nobody has been quicker for as long.
func TestRuns(t *testing.T) {
	names, now := mustNames(t, 100), time.Now()
	s := newStock(8)
	s.fill(names, now)
	var begun [64]int
	for range 4000 {
		for s.runs < 7 {
			s.beaten()
		}
		s.fill(names, now)
		picked := append(s.choose(1, now), s.choose(1, now)...)
		s.chosen = 8 // as if all of them were taken
		clear(s.busy)
		require.Equal(t, picked[0].number+1, picked[1].number, "one after the other")
		begun[picked[0].number]++
	}
	for i, n := range begun {
		require.Equal(t, i < 7*8, n > 0, i)
	}
	s.chosen = 1 // who takes one of each listing passes over a few only
	for range 100 {
		s.fill(names, now)
		s.chosen = 1
		require.Less(t, s.at, 7)
	}
	for range 7 {
		s.won()
	}
	s.fill(names, now)
	require.Equal(t, names[:1], s.choose(1, now))

	strict := newStock(1)
	strict.beaten()
	strict.fill(names, now)
	require.Equal(t, names[:1], strict.choose(1, now), "a Window of 1")
}

// What others have taken is not tried again and again.
func TestBeaten(t *testing.T) {
	names, now := mustNames(t, 100), time.Now()
	s := newStock(8)
	s.fill(names, now)
	for range maxLost - 1 {
		require.Len(t, s.choose(1, now), 1)
		s.beaten()
	}
	require.Len(t, s.choose(1, now), 1)
	s.won()
	for range maxLost - 1 {
		s.beaten()
	}
	require.Len(t, s.choose(1, now), 1)
	s.beaten()
	require.Empty(t, s.choose(1, now), "it is time to list")
	for range 100 {
		s.beaten()
	}
	require.Equal(t, 7, s.runs)
	for range 100 {
		s.won()
	}
	require.Equal(t, 1, s.runs)
}
