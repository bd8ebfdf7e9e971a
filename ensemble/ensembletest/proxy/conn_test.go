package proxy_test

import (
	"bytes"
	"context"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/ensemble/internal/memnet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
)

// A full connection can end one way.
type full interface {
	net.Conn
	CloseWrite() error
	SetLinger(sec int) error
}

// between runs a test with both ends of a connection that goes through a proxy: in virtual time by Dial, in real time by Listen.
func between(t *testing.T, test func(t *testing.T, p *proxy.Proxy, client, server full)) {
	run := func(t *testing.T, p *proxy.Proxy, client, server net.Conn) {
		defer func() {
			_ = client.Close()
			_ = server.Close()
			require.NoError(t, p.Close())
		}()
		test(t, p, client.(full), server.(full))
	}
	t.Run("dial", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			inner, server := memnet.Pipe("client:1", "server:1")
			p := proxy.New(&proxy.Options{Dial: func(context.Context, string, string) (net.Conn, error) { return inner, nil }})
			client, err := p.Dial(t.Context(), "tcp", "server:1")
			require.NoError(t, err)
			require.Equal(t, "client:1", client.LocalAddr().String())
			require.Equal(t, "server:1", client.RemoteAddr().String())
			run(t, p, client, server)
		})
	})
	t.Run("listen", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		p := proxy.New(nil)
		addr, err := p.Listen(l.Addr().String())
		require.NoError(t, err)
		client, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		server, err := l.Accept()
		require.NoError(t, err)
		run(t, p, client, server)
	})
}

func mustWrite(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	_, err := c.Write(b)
	require.NoError(t, err)
}

// mustReadAll reads to an orderly end.
func mustReadAll(t *testing.T, c net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	return string(b)
}

// request is a whole request for a node.
func request(xid int32, op wire.Op, path string, data []byte) []byte {
	b, start := wire.BeginFrame(nil)
	b = wire.RequestHeader{Xid: xid, Op: op}.AppendJute(b)
	return wire.EndFrame((&wire.SetDataRequest{Path: path, Data: data}).AppendJute(b), start)
}

// hello is the first frame of a connection.
func hello() []byte {
	b, start := wire.BeginFrame(nil)
	return wire.EndFrame((&wire.ConnectRequest{Timeout: 1000, Password: make([]byte, wire.PasswordLen)}).AppendJute(b), start)
}

// The end of one way is not that of the other, and what has been said before arrives.
func TestEndOfOneWay(t *testing.T) {
	between(t, func(t *testing.T, p *proxy.Proxy, client, server full) {
		mustWrite(t, client, []byte("ruok"))
		require.NoError(t, client.CloseWrite())
		require.Equal(t, "ruok", mustReadAll(t, server))
		mustWrite(t, server, []byte("imok"))
		require.NoError(t, server.Close())
		require.Equal(t, "imok", mustReadAll(t, client))
	})
}

// In memory an end that hears nothing any more is known, as it is without a proxy.
func TestEndOfBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, swapped := range []bool{false, true} {
			inner, server := memnet.Pipe("client:1", "server:1")
			p := proxy.New(&proxy.Options{Dial: func(context.Context, string, string) (net.Conn, error) { return inner, nil }})
			client, err := p.Dial(t.Context(), "tcp", "server:1")
			require.NoError(t, err)
			first, second := client, server
			if swapped {
				first, second = server, client
			}
			mustWrite(t, first, []byte("last words"))
			require.NoError(t, first.Close())
			require.Equal(t, "last words", mustReadAll(t, second))
			_, err = second.Write([]byte("hello?"))
			require.ErrorIs(t, err, syscall.EPIPE)
			require.NoError(t, second.Close())
			require.NoError(t, p.Close())
		}
	})
}

// A frame that never came whole arrives as far as it came.
func TestHalfAFrame(t *testing.T) {
	between(t, func(t *testing.T, p *proxy.Proxy, client, server full) {
		all := append(hello(), request(1, wire.OpSetData, "/n", nil)...)
		mustWrite(t, client, all[:len(all)-1])
		require.NoError(t, client.Close())
		require.Equal(t, all[:len(all)-1], []byte(mustReadAll(t, server)))
	})
}

// A connection that breaks at one end breaks at the other.
func TestReset(t *testing.T) {
	between(t, func(t *testing.T, p *proxy.Proxy, client, server full) {
		require.NoError(t, server.SetLinger(0))
		require.NoError(t, server.Close())
		_, err := client.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
	})
	between(t, func(t *testing.T, p *proxy.Proxy, client, server full) {
		mustWrite(t, client, []byte("ruok"))
		_, err := io.ReadFull(server, make([]byte, 4)) // now the proxy knows of it
		require.NoError(t, err)
		p.Drop()
		_, err = client.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, err = server.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
	})
}

// What goes before a lost request arrives, what goes behind it does not, and both ends read the end.
func TestWhatIsLost(t *testing.T) {
	for _, cut := range []bool{false, true} {
		between(t, func(t *testing.T, p *proxy.Proxy, client, server full) {
			m, want := proxy.Request(proxy.OpSetData, "/lost"), hello()
			f := p.Lose
			if cut {
				f = p.Cut
			}
			fault := f(m.Always())
			before, met := request(1, wire.OpSetData, "/n", nil), request(2, wire.OpSetData, "/lost", nil)
			want = append(want, before...)
			if cut {
				want = append(want, met...)
			}
			mustWrite(t, client, bytes.Join([][]byte{hello(), before, met, met, before}, nil))
			require.Equal(t, want, []byte(mustReadAll(t, server)))
			require.Empty(t, mustReadAll(t, client))
			require.Equal(t, 1, fault.Strikes(), "what comes behind does not count")
		})
	}
}

// A client that gives up does not take back what is on its way.
func TestFrozenBeyondTheEnd(t *testing.T) {
	between(t, func(t *testing.T, p *proxy.Proxy, client, server full) {
		f := p.Freeze(proxy.Request(proxy.OpSetData, "/n"))
		late := request(1, wire.OpSetData, "/n", []byte("late"))
		mustWrite(t, client, append(hello(), late...))
		<-f.Struck()
		require.NoError(t, client.Close())
		_, err := io.ReadFull(server, make([]byte, len(hello())))
		require.NoError(t, err)
		require.NoError(t, server.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
		_, err = server.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, server.SetReadDeadline(time.Time{}))
		f.End()
		require.Equal(t, late, []byte(mustReadAll(t, server)))
	})
}

// What is frozen takes no more than so much memory: who writes waits in the end. Later it arrives, all of it, in order.
func TestFrozenMemory(t *testing.T) {
	between(t, func(t *testing.T, p *proxy.Proxy, client, server full) {
		f := p.Freeze(proxy.Request(proxy.OpSetData, "/n"))
		mustWrite(t, client, hello())
		sent, stream := 0, bytes.Repeat(request(1, wire.OpSetData, "/n", []byte(strings.Repeat("much", 1000))), 32<<20/4000)
		require.NoError(t, client.SetWriteDeadline(time.Now().Add(200*time.Millisecond)))
		sent, err := client.Write(stream)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "%d bytes were taken", sent)
		require.Greater(t, sent, 1<<20)
		f.End()
		require.NoError(t, client.SetWriteDeadline(time.Time{}))
		var writing sync.WaitGroup
		writing.Go(func() { // ends when all has been taken
			_, _ = client.Write(stream[sent:])
			_ = client.CloseWrite()
		})
		require.True(t, bytes.Equal(append(hello(), stream...), []byte(mustReadAll(t, server))))
		writing.Wait()
	})
}

// Whatever is late, frozen for a while and cut into pieces arrives as it was, in order.
func TestOrder(t *testing.T) {
	between(t, func(t *testing.T, p *proxy.Proxy, client, server full) {
		r := rand.New(rand.NewPCG(1, 2))
		all := hello()
		for xid := range int32(2000) {
			path := []string{"/fast", "/late", "/later", "/frozen"}[r.IntN(4)]
			all = append(all, request(xid+1, wire.OpSetData, path, make([]byte, r.IntN(200)))...)
		}
		p.Delay(proxy.Request(proxy.OpAny, "/late").Always(), 100*time.Microsecond)
		p.Delay(proxy.Request(proxy.OpAny, "/later").Times(300), time.Millisecond)
		var others sync.WaitGroup
		others.Go(func() { // ends when all is written
			for rest := all; len(rest) > 0; {
				n := min(len(rest), 1+r.IntN(2000))
				_, _ = client.Write(rest[:n])
				rest = rest[n:]
			}
			_ = client.CloseWrite()
		})
		others.Go(func() { // ends after so many faults
			for range 20 {
				f := p.Freeze(proxy.Request(proxy.OpAny, "/frozen"))
				time.Sleep(100 * time.Microsecond)
				f.End()
			}
		})
		require.True(t, bytes.Equal(all, []byte(mustReadAll(t, server))))
		others.Wait()
	})
}

// A server that ends is seen to end as it does.
func TestEndsOfServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		p := proxy.New(&proxy.Options{Dial: e.Dial})
		defer p.Close()
		heard := func(end func()) error {
			c, err := p.Dial(t.Context(), "tcp", e.ConnectString())
			require.NoError(t, err)
			defer c.Close()
			synctest.Wait() // until it is accepted
			end()
			_, err = c.Read(make([]byte, 1))
			return err
		}
		require.Equal(t, io.EOF, heard(func() { require.NoError(t, e.Server(1).Stop()) }))
		require.NoError(t, e.Server(1).Restart(soon(t)))
		require.ErrorIs(t, heard(e.Server(1).Kill), syscall.ECONNRESET)
	})
}

// Other clients are served as well.
func TestGoZookeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		p := proxy.New(&proxy.Options{Dial: e.Dial})
		defer p.Close()
		c, _, err := zk.Connect([]string{e.ConnectString()}, 10*time.Second, zk.WithLogger(log.New(io.Discard, "", 0)),
			zk.WithDialer(func(network, addr string, _ time.Duration) (net.Conn, error) {
				return p.Dial(t.Context(), network, addr)
			}))
		require.NoError(t, err)
		defer c.Close()
		p.Lose(proxy.Reply(proxy.OpCreate, "/n"))
		_, err = c.Create("/n", nil, 0, zk.WorldACL(zk.PermAll))
		require.ErrorIs(t, err, zk.ErrConnectionClosed)
		found, _, err := c.Exists("/n")
		require.NoError(t, err)
		require.True(t, found)
	})
}

// Nobody comes through a proxy that is closed, or to a server that is not there.
func TestClosed(t *testing.T) {
	between(t, func(t *testing.T, p *proxy.Proxy, client, server full) {
		f := p.Freeze(proxy.Request(proxy.OpConnect, ""))
		mustWrite(t, client, hello())
		<-f.Struck()
		require.NoError(t, p.Close())
		_, err := server.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, err = p.Listen("127.0.0.1:1")
		require.ErrorIs(t, err, net.ErrClosed)
		require.NoError(t, p.Close())
	})
	p := proxy.New(nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	elsewhere, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer elsewhere.Close()
	nobody := elsewhere.LocalAddr().String() // does not listen, and nobody else is given the port
	addr, err := p.Listen(nobody)
	require.NoError(t, err)
	c, err := net.Dial("tcp", addr)
	if err == nil { // it has not been told before
		_, err = c.Read(make([]byte, 1))
		require.NoError(t, c.Close())
	}
	require.ErrorIs(t, err, syscall.ECONNRESET)
	_, err = p.Dial(t.Context(), "tcp", nobody)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NoError(t, p.Close())

	inner, server := memnet.Pipe("a:1", "b:1")
	p = proxy.New(&proxy.Options{Dial: func(context.Context, string, string) (net.Conn, error) { return inner, nil }})
	require.NoError(t, p.Close())
	_, err = p.Dial(t.Context(), "tcp", "b:1")
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = server.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
}
