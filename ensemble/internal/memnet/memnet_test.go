package memnet_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/ensemble/internal/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dialled returns both ends of a new connection.
func dialled(t testing.TB) (client, server net.Conn) {
	t.Helper()
	var network memnet.Network
	l, err := network.Listen("127.0.0.1:0")
	require.NoError(t, err)
	client, err = network.Dial(t.Context(), l.Addr().String())
	require.NoError(t, err)
	server, err = l.Accept()
	require.NoError(t, err)
	require.NoError(t, l.Close())
	t.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
	})
	return client, server
}

// everywhere runs a test of a connection in a bubble, and in real time with client and server swapped.
func everywhere(t *testing.T, test func(t *testing.T, a, b net.Conn)) {
	t.Run("bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := dialled(t)
			test(t, a, b)
		})
	})
	t.Run("real time", func(t *testing.T) {
		a, b := dialled(t)
		test(t, b, a)
	})
}

func TestBytesArriveInOrder(t *testing.T) {
	everywhere(t, func(t *testing.T, a, b net.Conn) {
		sent := make([]byte, 1<<20)
		for i := range sent {
			sent[i] = byte(rand.Uint32())
		}
		var writer sync.WaitGroup
		writer.Go(func() {
			for rest := sent; len(rest) > 0; {
				n := min(len(rest), 1+rand.IntN(100_000))
				m, err := a.Write(rest[:n])
				if m != n || err != nil {
					break
				}
				rest = rest[n:]
			}
			_ = a.(interface{ CloseWrite() error }).CloseWrite()
		})
		var got bytes.Buffer
		buf := make([]byte, 70_000)
		for {
			n, err := b.Read(buf[:1+rand.IntN(len(buf))])
			got.Write(buf[:n])
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
		}
		writer.Wait()
		require.Equal(t, sha256.Sum256(sent), sha256.Sum256(got.Bytes()))
	})
}

func TestWriterNeedsNoReader(t *testing.T) {
	everywhere(t, func(t *testing.T, a, b net.Conn) {
		for range 16 {
			_, err := a.Write(make([]byte, 4<<10))
			require.NoError(t, err)
		}
		require.NoError(t, a.SetWriteDeadline(time.Now().Add(time.Millisecond)))
		n, err := a.Write([]byte("x"))
		require.Zero(t, n, "more than 64 KiB went into the void")
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		got, err := io.ReadFull(b, make([]byte, 64<<10))
		require.NoError(t, err)
		require.Equal(t, 64<<10, got)
	})
}

func TestTryWriteDoesNotWait(t *testing.T) {
	everywhere(t, func(t *testing.T, a, b net.Conn) {
		try := a.(interface{ TryWrite([]byte) (int, error) }).TryWrite
		n, err := try(make([]byte, 100<<10))
		require.NoError(t, err)
		require.Equal(t, 64<<10, n)
		n, err = try([]byte("x"))
		require.NoError(t, err)
		require.Zero(t, n)
		_, err = io.ReadFull(b, make([]byte, 10))
		require.NoError(t, err)
		n, err = try(make([]byte, 100))
		require.NoError(t, err)
		require.Equal(t, 10, n)
		require.NoError(t, b.Close())
		_, err = try([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
	})
}

func TestConcurrentWritesDoNotMix(t *testing.T) {
	everywhere(t, func(t *testing.T, a, b net.Conn) {
		const size = 100_000 // more than the buffer holds
		var writers sync.WaitGroup
		for c := range byte(4) {
			writers.Go(func() { _, _ = a.Write(bytes.Repeat([]byte{c}, size)) })
		}
		buf := make([]byte, size)
		for range 4 {
			_, err := io.ReadFull(b, buf)
			require.NoError(t, err)
			require.Equal(t, bytes.Repeat(buf[:1], size), buf)
		}
		writers.Wait()
	})
}

func TestHalfClose(t *testing.T) {
	everywhere(t, func(t *testing.T, a, b net.Conn) {
		_, err := a.Write([]byte("ruok"))
		require.NoError(t, err)
		require.NoError(t, a.(interface{ CloseWrite() error }).CloseWrite())
		_, err = a.Write([]byte("more"))
		require.ErrorIs(t, err, syscall.EPIPE)
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, "ruok", string(got))
		_, err = b.Write([]byte("imok"))
		require.NoError(t, err)
		require.NoError(t, b.Close())
		got, err = io.ReadAll(a)
		require.NoError(t, err)
		require.Equal(t, "imok", string(got))
	})
}

func TestCloseUnblocks(t *testing.T) {
	for name, end := range map[string]func(a, b net.Conn) error{
		"own": func(a, _ net.Conn) error { return a.Close() },
		"peer": func(_, b net.Conn) error {
			return b.Close()
		},
		"reset": func(_, b net.Conn) error {
			_ = b.(interface{ SetLinger(int) error }).SetLinger(0)
			return b.Close()
		},
	} {
		want := map[string][2]error{"own": {net.ErrClosed, net.ErrClosed}, "peer": {io.EOF, syscall.EPIPE},
			"reset": {syscall.ECONNRESET, syscall.ECONNRESET}}[name]
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, a, b net.Conn) {
				var blocked sync.WaitGroup
				var readErr, writeErr error
				blocked.Go(func() { _, readErr = a.Read(make([]byte, 1)) })
				blocked.Go(func() { _, writeErr = a.Write(make([]byte, 1<<20)) })
				_, err := io.ReadFull(b, make([]byte, 100)) // the write is under way
				require.NoError(t, err)
				require.NoError(t, end(a, b))
				blocked.Wait()
				require.ErrorIs(t, readErr, want[0])
				require.ErrorIs(t, writeErr, want[1])
			})
		})
	}
}

func TestResetLosesWhatWasBuffered(t *testing.T) {
	everywhere(t, func(t *testing.T, a, b net.Conn) {
		_, err := a.Write([]byte("lost"))
		require.NoError(t, err)
		require.NoError(t, a.(interface{ SetLinger(int) error }).SetLinger(0))
		require.NoError(t, a.Close())
		_, err = b.Read(make([]byte, 4))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.ErrorIs(t, a.Close(), net.ErrClosed)
		require.ErrorIs(t, a.SetDeadline(time.Time{}), net.ErrClosed)
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := dialled(t)
		start := time.Now()
		require.NoError(t, a.SetReadDeadline(start.Add(3*time.Second)))
		_, err := a.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		var timeout net.Error
		require.True(t, errors.As(err, &timeout) && timeout.Timeout())
		require.Equal(t, 3*time.Second, time.Since(start))

		_, err = b.Write([]byte("x"))
		require.NoError(t, err)
		_, err = a.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "a passed deadline counts though there are bytes")
		require.NoError(t, a.SetReadDeadline(time.Time{}))
		_, err = a.Read(make([]byte, 1))
		require.NoError(t, err)

		// A deadline set while somebody waits counts for that wait, earlier or later.
		for _, d := range []time.Duration{time.Second, time.Hour} {
			require.NoError(t, a.SetReadDeadline(time.Now().Add(time.Minute)))
			start, done := time.Now(), make(chan error)
			go func() { // ends at the deadline
				_, err := a.Read(make([]byte, 1))
				done <- err
			}()
			synctest.Wait()
			require.NoError(t, a.SetReadDeadline(start.Add(d)))
			require.ErrorIs(t, <-done, os.ErrDeadlineExceeded)
			require.Equal(t, d, time.Since(start))
		}
	})
}

func TestDeadlineInRealTime(t *testing.T) {
	a, _ := dialled(t)
	require.NoError(t, a.SetDeadline(time.Now().Add(time.Millisecond)))
	_, err := a.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestAddresses(t *testing.T) {
	var network memnet.Network
	l, err := network.Listen("localhost:2181")
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:2181", l.Addr().String())
	_, err = network.Listen("127.0.0.1:2181")
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	all, err := network.Listen(":2182")
	require.NoError(t, err)
	other, err := network.Listen("127.0.0.1:0")
	require.NoError(t, err)
	require.NotEqual(t, "127.0.0.1:0", other.Addr().String())

	c, err := network.DialFrom(t.Context(), "10.0.0.7", "somewhere:2182")
	require.NoError(t, err)
	s, err := all.Accept()
	require.NoError(t, err)
	require.Equal(t, c.LocalAddr(), s.RemoteAddr())
	require.Equal(t, c.RemoteAddr(), s.LocalAddr())
	host, _, err := net.SplitHostPort(s.RemoteAddr().String())
	require.NoError(t, err)
	require.Equal(t, "10.0.0.7", host)

	_, err = network.Dial(t.Context(), "127.0.0.1:1")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	for _, bad := range []string{"nowhere", "a:b", "a:70000"} {
		_, err = network.Dial(t.Context(), bad)
		require.Error(t, err, bad)
		_, err = network.Listen(bad)
		require.Error(t, err, bad)
	}

	require.NoError(t, l.Close())
	_, err = network.Dial(t.Context(), "127.0.0.1:2181")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	again, err := network.Listen("127.0.0.1:2181")
	require.NoError(t, err, "a closed listener's address is free")
	require.NoError(t, l.Close(), "closing twice takes nothing from the next")
	_, err = network.Dial(t.Context(), again.Addr().String())
	require.NoError(t, err)
}

func TestListenerClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memnet.Network
		l, err := network.Listen("127.0.0.1:0")
		require.NoError(t, err)
		waiting, err := network.Dial(t.Context(), l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, l.Close())
		_, err = waiting.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, err = l.Accept()
		require.ErrorIs(t, err, net.ErrClosed)

		l, err = network.Listen("127.0.0.1:0")
		require.NoError(t, err)
		done := make(chan error)
		go func() { // ended by Close
			_, err := l.Accept()
			done <- err
		}()
		synctest.Wait()
		require.NoError(t, l.Close())
		require.ErrorIs(t, <-done, net.ErrClosed)
	})
}

func TestFullBacklogMakesDialWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memnet.Network
		l, err := network.Listen("127.0.0.1:0")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		dials := 0
		for ; err == nil; dials++ {
			_, err = network.Dial(ctx, l.Addr().String())
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 129, dials)
		_, err = network.Dial(ctx, l.Addr().String())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, l.Close())
	})
}

func BenchmarkPingPong(b *testing.B) {
	x, y := dialled(b)
	go func() { // ends when x is closed
		buf := make([]byte, 64)
		for {
			n, err := y.Read(buf)
			if err != nil {
				return
			}
			_, _ = y.Write(buf[:n])
		}
	}()
	buf := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = x.Write(buf)
		_, _ = io.ReadFull(x, buf)
	}
}

func BenchmarkThroughput(b *testing.B) {
	x, y := dialled(b)
	go func() { _, _ = io.Copy(io.Discard, y) }() // ends when x is closed
	buf := make([]byte, 32<<10)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = x.Write(buf)
	}
}

// A pipe is a connection like others, but in no network.
func TestPipe(t *testing.T) {
	a, b := memnet.Pipe("here:1", "there:2")
	require.Equal(t, "here:1", a.LocalAddr().String())
	require.Equal(t, "there:2", a.RemoteAddr().String())
	require.Equal(t, "there:2", b.LocalAddr().String())
	_, err := a.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, a.Close())
	got, err := io.ReadAll(b)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	require.NoError(t, b.Close())
}
