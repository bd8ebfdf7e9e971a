package client_test

import (
	"context"
	"fmt"
	"runtime/metrics"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

func holderCutOff(t *testing.T, s *stage, c contender) string {
	return whoIsTold(t, s, c, func() {
		s.way.Freeze(proxy.Request(proxy.OpAll, "").Always())
		s.way.Freeze(proxy.Reply(proxy.OpAll, "").Always())
	})
}

// A server that is cut off from its leader goes on answering reads; Apache's, pings too.
func holderBehindFollower(t *testing.T, s *stage, _ contender) string {
	follower := s.Follower()
	c := s.enter(t, follower.ConnectString())
	reading := make(chan struct{})
	defer func() { <-reading }()
	return whoIsTold(t, s, c, func() {
		s.CutFromLeader(follower.ID())
		go func() { // ends with the connection
			defer close(reading)
			for c.get(t.Context(), "/") == nil {
				time.Sleep(time.Second)
			}
		}()
	})
}

// whoIsTold lets the client hold something, and asks it what it knows when the servers give that to others.
func whoIsTold(t *testing.T, s *stage, c contender, cut func()) string {
	_, err := c.create(t.Context(), "/held", client.Ephemeral)
	require.NoError(t, err)
	require.NoError(t, c.keep(t.Context()))
	other := s.Leader().Connect(t)
	_, held, w, err := other.ExistsW(t.Context(), "/held")
	require.NoError(t, err)
	require.True(t, held)
	time.Sleep(time.Minute) // of virtual time
	require.False(t, c.told())
	cut()
	event, err := w.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, client.EventDeleted, event.Type)
	if c.told() {
		return "told before the servers gave it up"
	}
	state := "disconnected"
	if c.connected() {
		state = "connected"
	}
	time.Sleep(10 * time.Minute)
	require.False(t, c.told())
	return "not told for ten minutes; " + state + " when the servers gave it up"
}

// One server accepts, and does not answer; the others are well.
func silentServer(t *testing.T, s *stage, c contender) string {
	before, begun := c.session(), time.Now()
	s.breakTo(nothing)
	for c.get(t.Context(), "/") != nil && !c.told() {
	}
	if c.session() == before {
		require.Less(t, time.Since(begun), trapTimeout/2)
		return "the next server was asked in time"
	}
	require.Greater(t, time.Since(begun), 6*trapTimeout)
	return "waited for longer than the session lived"
}

// The client comes back to a server, asks for something, and learns only then that its session is over.
func queuedAcrossSessions(t *testing.T, s *stage, c contender) string {
	old := c.session()
	f := s.way.Freeze(proxy.Request(proxy.OpConnect, ""))
	s.way.Drop()
	<-f.Struck()
	failed := make(chan error)
	go func() { // ends with the create
		_, err := c.create(t.Context(), "/mine", client.Ephemeral)
		failed <- err
	}()
	synctest.Wait() // it is queued
	require.NoError(t, s.ExpireSession(t.Context(), old))
	f.End()
	err := <-failed
	synctest.Wait()
	node, made := s.Leader().Node("/mine")
	switch {
	case err == nil && made:
		require.NotEqual(t, old, node.Stat.EphemeralOwner)
		return "made in the next session"
	case err != nil && !made:
		require.ErrorIs(t, err, client.ErrSessionExpired)
		return "refused, and not made"
	}
	return fmt.Sprint(err, made)
}

func nextSession(t *testing.T, s *stage, c contender) string {
	_, err := c.create(t.Context(), "/mine", client.Ephemeral)
	require.NoError(t, err)
	require.NoError(t, s.ExpireSession(t.Context(), c.session()))
	time.Sleep(5 * time.Second) // it has reconnected
	_, err = c.create(t.Context(), "/more", client.Persistent)
	_, made := s.Leader().Node("/more")
	if err == nil && made {
		return "the second is carried out in another session"
	}
	require.ErrorIs(t, err, client.ErrSessionExpired)
	require.False(t, made)
	return "the second is refused"
}

// A listener does not come for a while, in which the connection breaks twice and the session ends.
func slowListener(t *testing.T, s *stage, c contender) string {
	heard := c.listen()
	for range 2 {
		s.way.Drop()
		time.Sleep(5 * time.Second)
		require.True(t, c.connected())
	}
	require.NoError(t, s.ExpireSession(t.Context(), c.session()))
	time.Sleep(5 * time.Second)
	require.True(t, c.told(), "it happened")
	for _, state := range heard() {
		if state == "StateExpired" || state == "lost" {
			return "has heard of the session's end"
		}
	}
	return "has not heard of the session's end"
}

// A server begins to answer the handshake, and stops in the middle.
func halfAnswer(t *testing.T, s *stage, c contender) string {
	s.breakTo(half)
	time.Sleep(10 * time.Minute)
	if c.connected() {
		return "connected again"
	}
	c.end()
	time.Sleep(10 * time.Minute)
	_, open := s.connections()
	require.Equal(t, 1, open)
	return "not connected within ten minutes, and not closed within ten more"
}

func cancelled(t *testing.T, s *stage, c contender) string {
	s.breakTo(nothing)
	synctest.Wait() // it tries to connect again
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	begun := time.Now()
	err := c.get(ctx, "/")
	if time.Since(begun) == time.Second {
		require.ErrorIs(t, err, context.DeadlineExceeded)
		return "returns at once"
	}
	require.Greater(t, time.Since(begun), time.Minute)
	return "goes on for more than a minute"
}

func shortOutage(t *testing.T, s *stage, c contender) string {
	begun := time.Now()
	s.way.Drop()
	for c.get(t.Context(), "/") != nil {
	}
	switch d := time.Since(begun); {
	case d >= time.Second && d < 2*time.Second:
		return "a second is lost"
	case d < 100*time.Millisecond:
		return "a few milliseconds are lost"
	default:
		return d.String()
	}
}

// Two servers have the same name, and are looked for under it again when the connection breaks.
func anotherAddress(t *testing.T, s *stage, c contender) string {
	c.close() // it was given addresses
	s.enter(t, "localhost:1,localhost:2")
	before, _ := s.connections()
	s.way.Drop()
	var after []string
	require.Eventually(t, func() bool {
		after, _ = s.connections()
		return len(after) > len(before)
	}, 10*time.Second, time.Millisecond)
	for _, addr := range after[len(before):] {
		if !strings.HasPrefix(addr, "localhost:") {
			return "its name is resolved once"
		}
	}
	return "its name is resolved each time"
}

func closedWhileConnecting(t *testing.T, s *stage, c contender) string {
	s.breakTo(nothing)
	time.Sleep(2 * time.Second) // a server has accepted, and is silent
	_, open := s.connections()
	require.Equal(t, 1, open)
	c.end()
	_, open = s.connections()
	if open == 0 {
		return "nothing is left"
	}
	time.Sleep(time.Minute)
	_, open = s.connections()
	require.Equal(t, 1, open)
	return "a connection is left for more than a minute"
}

// Somebody else listens on the server's port, and what he says looks like a length.
func garbage(t *testing.T, s *stage, c contender) string {
	before := allocated()
	s.breakTo(nothingKnown)
	time.Sleep(1100 * time.Millisecond)
	dialled, _ := s.connections()
	require.Greater(t, len(dialled), 1)
	if allocated()-before >= 64<<20 {
		return "64 MiB are reserved for it"
	}
	return "it is not believed"
}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
