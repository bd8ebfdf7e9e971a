//go:build unix

package process

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

// pair is a connection that server 0 dialed to server 1, through the network.
type pair struct{ dialer, acceptor net.Conn }

// mustConnect makes a network of two and a connection on one of its ports.
func mustConnect(t *testing.T, election bool) (*Network, func() pair) {
	t.Helper()
	var listeners []net.Listener
	var ports []int
	for range 4 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		listeners, ports = append(listeners, l), append(ports, portOf(l))
	}
	n := newNetwork(t, ports[:2], ports[2:])
	return n, func() pair {
		port, election1 := n.ports(0, 1)
		l := listeners[1]
		if election {
			port, l = election1, listeners[3]
		}
		dialer, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		require.NoError(t, err)
		acceptor, err := l.Accept()
		require.NoError(t, err)
		t.Cleanup(func() { _, _ = dialer.Close(), acceptor.Close() })
		return pair{dialer, acceptor}
	}
}

func mustPass(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(from, text)
	require.NoError(t, err)
	mustArrive(t, to, text)
}

func mustArrive(t *testing.T, to net.Conn, text string) {
	t.Helper()
	require.NoError(t, to.SetReadDeadline(time.Now().Add(10*time.Second)))
	got := make([]byte, len(text))
	_, err := io.ReadFull(to, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

// mustBeSilent requires that nothing arrives for a while, not even the end.
func mustBeSilent(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func mustEnd(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err := c.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestStallIsOneWayAndLosesNothing(t *testing.T) {
	n, connect := mustConnect(t, false)
	p := connect()
	mustPass(t, p.dialer, p.acceptor, "hello")
	n.Stall(0, 1)
	_, err := io.WriteString(p.dialer, "stalled")
	require.NoError(t, err)
	mustBeSilent(t, p.acceptor)
	mustPass(t, p.acceptor, p.dialer, "other way")
	later := connect()
	mustPass(t, later.acceptor, later.dialer, "made meanwhile")
	require.NoError(t, p.dialer.Close())
	mustBeSilent(t, p.acceptor)
	n.Heal()
	mustArrive(t, p.acceptor, "stalled")
	mustEnd(t, p.acceptor)
	mustPass(t, later.dialer, later.acceptor, "again")
}

func TestIsolationIsSilentBothWays(t *testing.T) {
	n, connect := mustConnect(t, false)
	p := connect()
	n.Isolate(1)
	for _, ways := range [][2]net.Conn{{p.dialer, p.acceptor}, {p.acceptor, p.dialer}} {
		_, err := io.WriteString(ways[0], "x")
		require.NoError(t, err)
		mustBeSilent(t, ways[1])
	}
	n.Heal()
	mustArrive(t, p.dialer, "x")
	mustArrive(t, p.acceptor, "x")
}

func TestRefusalAndReset(t *testing.T) {
	n, connect := mustConnect(t, false)
	p := connect()
	n.Refuse(1, 0)
	mustEnd(t, p.dialer)
	mustEnd(t, p.acceptor)
	port, _ := n.ports(0, 1)
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil { // or the reset was faster than the dialer
		defer c.Close()
		mustEnd(t, c)
	}
	n.Heal()
	p = connect()
	mustPass(t, p.dialer, p.acceptor, "healed")
	n.Reset(0, 1)
	mustEnd(t, p.dialer)
	mustEnd(t, p.acceptor)
	p = connect()
	mustPass(t, p.acceptor, p.dialer, "anew")
}

func TestDelay(t *testing.T) {
	n, connect := mustConnect(t, false)
	p := connect()
	const d = 80 * time.Millisecond
	n.Delay(1, 0, d)
	began := time.Now()
	mustPass(t, p.acceptor, p.dialer, "late")
	require.GreaterOrEqual(t, time.Since(began), d)
}

func TestEndOfOneServerIsTheEndOfTheConnection(t *testing.T) {
	_, connect := mustConnect(t, false)
	p := connect()
	_, err := io.WriteString(p.acceptor, "last words")
	require.NoError(t, err)
	require.NoError(t, p.acceptor.Close())
	mustArrive(t, p.dialer, "last words")
	mustEnd(t, p.dialer)
}

func TestElectionPortIsToldTheProxysAddress(t *testing.T) {
	n, connect := mustConnect(t, true)
	_, back := n.ports(1, 0)
	want := greetingOf(1, fmt.Sprintf("127.0.0.1:%d", back))
	p := connect()
	_, err := io.Copy(p.dialer, iotest.OneByteReader(strings.NewReader(greetingOf(1, "one.example:3888")+"and more")))
	require.NoError(t, err)
	mustArrive(t, p.acceptor, want+"and more")
	mustPass(t, p.acceptor, p.dialer, "what the acceptor says is left alone")
	for _, text := range []string{
		string(binary.BigEndian.AppendUint64(nil, 7)) + "the oldest form",
		string(binary.BigEndian.AppendUint64(nil, 1<<63)) + "12345678\x7fxxxnonsense",
	} {
		p = connect()
		mustPass(t, p.dialer, p.acceptor, text)
	}
}

func greetingOf(server uint64, addr string) string {
	b := binary.BigEndian.AppendUint64(nil, ^uint64(0xffff))
	b = binary.BigEndian.AppendUint64(b, server)
	return string(binary.BigEndian.AppendUint32(b, uint32(len(addr)))) + addr
}

func TestNobodyListens(t *testing.T) {
	n := newNetwork(t, []int{1, 1}, []int{1, 1}) // nobody listens on port 1
	port, _ := n.ports(0, 1)
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		defer c.Close()
		mustEnd(t, c)
	}
}
