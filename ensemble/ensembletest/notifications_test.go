package ensembletest

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/memnet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/server"
)

// What one server says to another while they elect comes once and in order, twice, or in another order, as it is told to meanwhile. The
// other way nothing is different, and who dials says first who it is.
func TestVoices(t *testing.T) {
	var wires memnet.Network
	e := &Ensemble{}
	e.faults.init(&wires, 2)
	for id := range 2 {
		e.servers = append(e.servers, &Server{id: id + 1, host: serverHost(id + 1)})
	}
	l, err := wires.Listen(serverHost(2) + ":3888")
	require.NoError(t, err)
	one := &server.Ensemble{DialElection: func(ctx context.Context, addr string) (net.Conn, error) {
		return wires.DialFrom(ctx, serverHost(1), addr)
	}}
	other := &server.Ensemble{Election: l}
	e.faults.listenTo(serverHost(1), one)
	e.faults.listenTo(serverHost(2), other)
	a, err := one.DialElection(t.Context(), l.Addr().String())
	require.NoError(t, err)
	b, err := other.Election.Accept()
	require.NoError(t, err)

	says := func(from, to net.Conn, messages, heard string) {
		t.Helper()
		for i := range messages {
			n, err := from.Write([]byte(messages[i : i+1]))
			require.NoError(t, err)
			require.Equal(t, 1, n)
		}
		got := make([]byte, len(heard))
		_, err := io.ReadFull(to, got)
		require.NoError(t, err)
		require.Equal(t, heard, string(got))
	}
	e.Duplicate(1, 2)
	says(a, b, "h12", "h1122")
	says(b, a, "12", "12")
	e.Reorder(1, 2)
	says(a, b, "12345", "22114433")
	e.Heal()
	says(a, b, "67", "5567")
	e.Reorder(2, 1)
	says(a, b, "12", "12")
	says(b, a, "1234", "2143")
	require.NoError(t, a.Close())
	n, err := b.Read(make([]byte, 10))
	require.Equal(t, io.EOF, err)
	require.Zero(t, n)
	require.NoError(t, b.Close())
	require.NoError(t, other.Election.Close())
	_, err = other.Election.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = one.DialElection(t.Context(), l.Addr().String())
	require.Error(t, err)
}

// An election comes to its end although everything is said twice, and in the wrong order. When the first words of all wait for the second,
// it takes until things are said again.
func TestElectionsAreRobust(t *testing.T) {
	for name, garble := range map[string]func(e *Ensemble, from, to int){
		"duplicate": (*Ensemble).Duplicate,
		"reorder":   (*Ensemble).Reorder,
		"both":      func(e *Ensemble, from, to int) { e.Duplicate(from, to); e.Reorder(from, to) },
	} {
		late := name != "duplicate"
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := Start(t, 5, nil)
				for _, a := range e.servers {
					for _, b := range e.servers {
						if a != b {
							garble(e, a.id, b.id)
						}
					}
				}
				for round := range 2 {
					leader := e.Leader()
					leader.Kill()
					begun := time.Now()
					next, err := e.WaitLeader(t.Context())
					require.NoError(t, err)
					if late && round == 0 {
						require.Greater(t, time.Since(begun), 100*time.Millisecond)
					}
					require.NotEqual(t, leader, next)
					require.NoError(t, leader.Restart(t.Context()))
					require.NoError(t, e.WaitCaughtUp(t.Context()))
				}
			})
		})
	}
}
