package client_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// Nodes change while the client is away. It comes back, and says what it watches, in two requests, as there is much of it. The first is
// answered; before the second is, the connection breaks again. The next time it says what it has seen last: and that is what the answer said.
func missedChange(t *testing.T, s *stage, c contender) string {
	const watched = 6
	var woken []func() bool
	path := func(i int) string { return fmt.Sprintf("/%030000d", i) } // 128 KiB in one request
	for i := range watched {
		s.make(t, path(i), "")
		w, err := c.watch(t.Context(), path(i))
		require.NoError(t, err)
		woken = append(woken, w)
	}
	back := s.way.Freeze(proxy.Request(proxy.OpConnect, ""))
	s.way.Freeze(proxy.Request(proxy.OpSetWatches, "").Skip(1))
	s.way.Drop()
	<-back.Struck()
	for i := range watched {
		_, err := s.witness.Set(t.Context(), path(i), []byte("changed"), client.AnyVersion)
		require.NoError(t, err)
	}
	back.End()
	time.Sleep(5 * time.Second)
	require.True(t, c.connected())
	s.way.Drop()
	time.Sleep(time.Minute)
	require.NoError(t, c.get(t.Context(), "/"))
	require.False(t, c.told(), "it is the same session")
	n := 0
	for _, w := range woken {
		if w() {
			n++
		}
	}
	return fmt.Sprintf("%d of %d watches wake", n, watched)
}

// The servers take requests of 16 KiB, and the paths of all watches are longer.
func manyWatches(t *testing.T, s *stage, c contender) string {
	for i := range 200 {
		path := fmt.Sprintf("/%0100d", i)
		s.make(t, path, "")
		_, err := c.watch(t.Context(), path)
		require.NoError(t, err)
	}
	before, _ := s.connections()
	s.way.Drop()
	time.Sleep(59500 * time.Millisecond) // then the bare library pauses between two connections, on each of which it has a data race
	after, _ := s.connections()
	if n := len(after) - len(before); n > 50 {
		return "each new connection is broken by it"
	} else if n > 1 {
		return fmt.Sprint(n, " connections")
	}
	require.NoError(t, c.get(t.Context(), "/"))
	return "one connection, and it works"
}

// A hundred watches are set by callers who then lose interest.
func abandonedWatches(t *testing.T, s *stage, c contender) string {
	for i := range 100 {
		path := fmt.Sprint("/", i)
		s.make(t, path, "")
		_, err := c.watch(t.Context(), path)
		require.NoError(t, err)
	}
	require.Len(t, s.Watches(), 100)
	s.way.Drop()
	time.Sleep(5 * time.Second)
	require.True(t, c.connected())
	return fmt.Sprint(len(s.Watches()), " on the server after a reconnect")
}
