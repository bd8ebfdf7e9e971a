package client

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A read sets a watch when one is wanted that the server does not have, and nothing is left over by reads that failed or waiters
// that went.
func TestSignals(t *testing.T) {
	c, err := newCore("nowhere", nil)
	require.NoError(t, err)
	g := newGeneration(c, 1)
	data := watchKey{watchData, "/a"}
	event := func(e EventType) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.watches.fire(e, "/a")
	}
	mustBeEmpty := func() {
		t.Helper()
		require.Empty(t, g.watches.signals)
		require.Empty(t, g.watches.arming)
		require.False(t, g.wanted(data))
	}

	s := g.take(data)
	require.True(t, g.wanted(data))
	require.False(t, g.wanted(watchKey{watchExists, "/a"}))
	g.settle(data, s, false)
	mustBeEmpty() // a failed read sets no watch

	s = g.take(data)
	g.settle(data, s, true)
	require.False(t, g.wanted(data), "nobody asks for it")
	again := g.take(data)
	require.Same(t, s, again, "waiters of one path share")
	require.False(t, g.wanted(data), "the server has it")
	g.settle(data, again, false)
	event(EventChildrenChanged)
	require.Len(t, g.watches.signals, 1)
	event(EventDataChanged)
	<-s.done
	mustBeEmpty()

	s = g.take(data)
	event(EventDataChanged) // before the read was answered, or even sent
	<-s.done
	require.True(t, g.wanted(data), "the read may still be on its way")
	g.settle(data, s, true)
	mustBeEmpty()

	s = g.take(data)
	g.settle(data, s, true)
	g.watches.fireAll(EventReconnected)
	require.Equal(t, Event{Type: EventReconnected, Path: "/a"}, s.event)
	mustBeEmpty()

	s = g.take(data)
	g.end(ErrClosed)
	<-s.done
	require.ErrorIs(t, s.err, ErrClosed)
	g.settle(data, s, false)
	s = g.take(data)
	<-s.done
	g.settle(data, s, false)
	mustBeEmpty()
}
