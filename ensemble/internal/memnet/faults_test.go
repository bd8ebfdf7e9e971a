package memnet_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/memnet"
)

// between returns a connection from host "a" to host "b".
func between(t *testing.T, network *memnet.Network) (a, b net.Conn) {
	t.Helper()
	l, err := network.Listen("b:1")
	require.NoError(t, err)
	a, err = network.DialFrom(t.Context(), "a", "b:1")
	require.NoError(t, err)
	b, err = l.Accept()
	require.NoError(t, err)
	require.NoError(t, l.Close())
	t.Cleanup(func() {
		_ = a.Close()
		_ = b.Close()
	})
	return a, b
}

func mustWrite(t *testing.T, c net.Conn, s string) {
	t.Helper()
	_, err := io.WriteString(c, s)
	require.NoError(t, err)
}

func mustRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
	got := make([]byte, len(want))
	_, err := io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

// mustHearNothing waits for a second.
func mustHearNothing(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Second)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, c.SetReadDeadline(time.Time{}))
}

func TestCutInOneDirection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memnet.Network
		a, b := between(t, &network)
		mustWrite(t, a, "x")
		network.Cut("a", "b")
		mustHearNothing(t, b)
		mustWrite(t, a, "y")
		mustWrite(t, b, "answer")
		mustRead(t, a, "answer")
		network.Heal("b", "a")
		mustHearNothing(t, b)
		network.Heal("a", "b")
		mustRead(t, b, "xy")
	})
}

func TestCutHidesTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memnet.Network
		a, b := between(t, &network)
		network.Cut("a", "")
		mustWrite(t, a, "last words")
		require.NoError(t, a.Close())
		mustHearNothing(t, b)
		mustWrite(t, b, "into the void")
		network.Heal("a", "b") // not what was cut
		mustHearNothing(t, b)
		network.Heal("a", "")
		mustRead(t, b, "last words")
		_, err := b.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		_, err = b.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
	})
}

func TestCutHidesReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memnet.Network
		a, b := between(t, &network)
		network.Cut("a", "b")
		require.NoError(t, a.(interface{ SetLinger(int) error }).SetLinger(0))
		require.NoError(t, a.Close())
		mustHearNothing(t, b)
		mustWrite(t, b, "x")
		network.Heal("", "")
		_, err := b.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, err = b.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.ECONNRESET)
	})
}

func TestCutBlocksWriterInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memnet.Network
		a, b := between(t, &network)
		network.Cut("", "b")
		require.NoError(t, a.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err := a.Write(make([]byte, 100<<10))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 64<<10, n)
		network.Heal("", "b")
		_, err = io.ReadFull(b, make([]byte, n))
		require.NoError(t, err)
	})
}

func TestDialWaitsForBothWays(t *testing.T) {
	for _, cut := range [][2]string{{"a", "b"}, {"b", "a"}, {"", "a"}, {"a", ""}} {
		synctest.Test(t, func(t *testing.T) {
			var network memnet.Network
			l, err := network.Listen("b:1")
			require.NoError(t, err)
			defer l.Close()
			network.Cut(cut[0], cut[1])
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err = network.DialFrom(ctx, "a", "b:1")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			other, err := network.DialFrom(t.Context(), "c", "b:1")
			require.NoError(t, err, "it concerns two hosts only")
			require.NoError(t, other.Close())

			start := time.Now()
			time.AfterFunc(time.Second, func() { network.Heal(cut[0], cut[1]) })
			c, err := network.DialFrom(t.Context(), "a", "b:1")
			require.NoError(t, err)
			require.Equal(t, time.Second, time.Since(start))
			require.NoError(t, c.Close())
		})
	}
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memnet.Network
		network.Delay("a", "b", 3*time.Second)
		network.Delay("b", "", time.Second)
		start := time.Now()
		a, b := between(t, &network)
		require.Equal(t, 4*time.Second, time.Since(start), "there and back again")

		mustWrite(t, a, "x")
		time.Sleep(time.Second)
		mustWrite(t, a, "y")
		network.Delay("a", "b", time.Second)
		mustWrite(t, a, "z") // not before y
		start = time.Now()
		mustRead(t, b, "x")
		require.Equal(t, 2*time.Second, time.Since(start))
		mustRead(t, b, "yz")
		require.Equal(t, 3*time.Second, time.Since(start))

		mustWrite(t, b, "answer")
		require.NoError(t, b.Close())
		mustHearNothingBut(t, a, "answer", time.Second)
	})
}

// mustHearNothingBut reads to the end, all of which arrives at once after d.
func mustHearNothingBut(t *testing.T, c net.Conn, want string, d time.Duration) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Time{}))
	start := time.Now()
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
	require.Equal(t, d, time.Since(start))
}

func TestResetConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memnet.Network
		a, b := between(t, &network)
		mustWrite(t, a, "lost")
		network.Reset("a", "c")
		network.Reset("c", "")
		mustRead(t, b, "l")
		network.Reset("b", "a")
		for _, c := range []net.Conn{a, b} {
			_, err := c.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
			_, err = c.Write([]byte("x"))
			require.ErrorIs(t, err, syscall.ECONNRESET)
		}
		require.Equal(t, 1, network.Connections(), "it is reset, not closed")
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
		require.Zero(t, network.Connections())
		between(t, &network)
	})
}

// A reset is one at both ends, however quickly the other end closes when it hears of it.
func TestResetIsSeenAtBothEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memnet.Network
		for range 2000 {
			a, b := between(t, &network)
			var ends sync.WaitGroup
			for _, c := range []net.Conn{a, b} {
				ends.Go(func() {
					_, err := c.Read(make([]byte, 1))
					assert.ErrorIs(t, err, syscall.ECONNRESET)
					_ = c.Close()
				})
			}
			network.Reset("a", "b")
			ends.Wait()
		}
	})
}

// Whatever the network does short of a reset, all bytes arrive in their order.
func TestBytesSurviveFaults(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			var network memnet.Network
			a, b := between(t, &network)
			sent := make([]byte, 300_000)
			for i := range sent {
				sent[i] = byte(rng.Uint32())
			}
			go func() { // ends when all is written
				rng := rand.New(rand.NewPCG(seed, 1))
				for rest := sent; len(rest) > 0; {
					n, _ := a.Write(rest[:min(len(rest), 1+rng.IntN(20_000))])
					rest = rest[n:]
					time.Sleep(time.Duration(rng.IntN(10)) * time.Millisecond)
				}
				_ = a.Close()
			}()
			stop := make(chan struct{})
			go func() { // ends when all is read
				for {
					switch rng.IntN(4) {
					case 0:
						network.Cut("a", "b")
					case 1:
						network.Delay("a", "b", time.Duration(rng.IntN(100))*time.Millisecond)
					default:
						network.Heal("a", "")
					}
					select {
					case <-time.After(time.Duration(rng.IntN(20)) * time.Millisecond):
					case <-stop:
						return
					}
				}
			}()
			got, err := io.ReadAll(b)
			close(stop)
			require.NoError(t, err)
			require.Equal(t, sent, got)
		})
	}
}
