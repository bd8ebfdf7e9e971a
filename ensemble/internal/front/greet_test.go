package front_test

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/front"
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
)

func TestHandshake(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		resp := h.dial().handshake(&wire.ConnectRequest{Timeout: 7000, ReadOnly: true})
		require.Equal(t, wire.ConnectResponse{Timeout: 7000, Session: 1, Password: make([]byte, 16)}, resp)
		resp = h.dial().handshake(&wire.ConnectRequest{Timeout: 7000, Legacy: true})
		require.Equal(t, wire.ConnectResponse{Timeout: 7000, Session: 2, Password: make([]byte, 16), Legacy: true}, resp)
		require.Equal(t, int64(2), h.server.Totals().Handshakes)
		sessions := map[int64]bool{}
		for c := range h.server.Conns() {
			sessions[int64(c.Session())] = true
			require.Equal(t, "10.0.0.1", c.Remote().Addr().String())
		}
		require.Equal(t, map[int64]bool{1: true, 2: true}, sessions)
	})
}

func TestRequestsBehindTheFirstFrameWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		h.backend.data["/a"] = []byte("1")
		c := h.dial()
		b, start := wire.BeginFrame(nil)
		b = wire.EndFrame((&wire.ConnectRequest{Timeout: 4000}).AppendJute(b), start)
		c.send(append(b, get(1, "/a")...))
		c.frame()
		c.mustGet(1, "1")
	})
}

func TestRefusedSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		h.backend.answer = func(*wire.ConnectRequest) (wire.ConnectResponse, bool) {
			return wire.ConnectResponse{Password: make([]byte, 16)}, true
		}
		for _, legacy := range []bool{false, true} {
			c := h.dial()
			resp := c.handshake(&wire.ConnectRequest{Timeout: 7000, Session: 5, Legacy: legacy})
			require.Equal(t, wire.ConnectResponse{Password: make([]byte, 16), Legacy: legacy}, resp)
			c.mustEnd()
		}
		require.Zero(t, h.server.Totals().Handshakes)
	})
}

func TestHandshakeWithoutAWord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		h.backend.answer = func(*wire.ConnectRequest) (wire.ConnectResponse, bool) { return wire.ConnectResponse{}, false }
		c := h.dial()
		b, start := wire.BeginFrame(nil)
		c.send(wire.EndFrame((&wire.ConnectRequest{Timeout: 4000, LastZxidSeen: 99}).AppendJute(b), start))
		c.mustEnd()
	})
}

func TestFourLetterWords(t *testing.T) {
	for _, c := range []struct{ sent, want string }{
		{"ruok", "imok"},
		{"ruok\n", "imok"},
		{"srvr", "srvr is not executed because it is not in the whitelist.\n"},
		{"\xff\xf4\xff\xfd", "\xff\xf4\xff\xfd is not executed because it is not in the whitelist.\n"},
		{"stmk\x00\x00\x00\x00\x3b\x9a\xca\x00", "1s"},
		{"stmk", ""},
		{"wchp", string(make([]byte, 1<<20))},
		{"abcd", ""},
		{"ruo", ""},
		{"", ""},
	} {
		bubble(t, func(t *testing.T) {
			peer := serve(t, front.Options{}).dial()
			peer.send([]byte(c.sent))
			require.NoError(t, peer.Conn.(interface{ CloseWrite() error }).CloseWrite())
			got, err := io.ReadAll(peer)
			require.NoError(t, err)
			require.Equal(t, c.want, string(got), "%q", c.sent)
		})
	}
}

func TestWordWithoutHalfClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		c := h.dial()
		c.send([]byte("ru"))
		synctest.Wait()
		c.send([]byte("ok"))
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, "imok", string(got))
	})
}

func TestWordsOnlyOpenAConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := serve(t, front.Options{}).join()
		c.send([]byte("ruok"))
		c.mustEnd()
	})
}

// TestGarbage sends what is no protocol at all, fresh and after a handshake. The connection ends without a word, and nobody else
// notices.
func TestGarbage(t *testing.T) {
	frame := func(length int32, body string) string { return string(jute.AppendInt32(nil, length)) + body }
	for name, sent := range map[string]string{
		"http":           "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"tls":            "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"negative":       frame(-1, ""),
		"very negative":  frame(-1<<31, "xxxx"),
		"too long":       frame(wire.DefaultMaxFrame+1, "xxxx"),
		"longest":        frame(1<<31-1, "xxxx"),
		"empty":          frame(0, ""),
		"short header":   frame(7, "1234567"),
		"short connect":  frame(12, "123456789012"),
		"negative bytes": frame(28, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0f\xa0\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xf0"),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := serve(t, front.Options{})
				h.backend.data["/a"] = []byte("1")
				other := h.join()
				fresh := h.dial()
				fresh.send([]byte(sent))
				fresh.mustEnd()
				if name != "short connect" && name != "negative bytes" { // these are requests, unknown ones, to a session
					joined := h.join()
					joined.send(append(get(1, "/a"), sent...))
					joined.mustGet(1, "1")
					joined.mustEnd()
				}
				other.send(get(1, "/a"))
				other.mustGet(1, "1")
				synctest.Wait()
				require.Equal(t, 1, h.server.Totals().Connections)
			})
		})
	}
}

func TestLongestFrameIsTaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{MaxFrame: 1000})
		c := h.join()
		full := get(1, "/"+string(make([]byte, 1000-8-4-1-1)))
		require.Len(t, full, 4+1000)
		c.send(full)
		h1, _ := c.reply()
		require.Equal(t, int32(1), h1.Xid)
		c.send(get(2, "/"+string(make([]byte, 1000-8-4-1))))
		c.mustEnd()
	})
}

func TestFrameInSingleBytes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		h.backend.data["/a"] = []byte("1")
		c := h.dial()
		b, start := wire.BeginFrame(nil)
		b = wire.EndFrame((&wire.ConnectRequest{Timeout: 4000}).AppendJute(b), start)
		for _, x := range append(b, get(1, "/a")...) {
			c.send([]byte{x})
			synctest.Wait()
		}
		c.frame()
		c.mustGet(1, "1")
	})
}

func TestHangUpAtAnyPoint(t *testing.T) {
	b, start := wire.BeginFrame(nil)
	b = wire.EndFrame((&wire.ConnectRequest{Timeout: 4000}).AppendJute(b), start)
	b = append(b, set(1, "/a", "1")...)
	b = append(b, get(2, "/a")...)
	for n := range b {
		bubble(t, func(t *testing.T) {
			h := serve(t, front.Options{})
			c := h.dial()
			c.send(b[:n])
			synctest.Wait()
			require.NoError(t, c.Close())
			synctest.Wait()
			h.backend.commit(h.backend.pending())
			require.Zero(t, h.server.Totals().Connections)
		})
	}
}

func TestCloseWaitsForConnect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		let := make(chan struct{})
		h.backend.answer = func(*wire.ConnectRequest) (wire.ConnectResponse, bool) {
			<-let
			return wire.ConnectResponse{}, false
		}
		c := h.dial()
		b, start := wire.BeginFrame(nil)
		c.send(wire.EndFrame((&wire.ConnectRequest{}).AppendJute(b), start))
		synctest.Wait()
		closed := make(chan struct{})
		go func() { // ends with the handshake
			h.server.Close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Fatal("Close did not wait")
		default:
		}
		close(let)
		<-closed
	})
}

func TestServeAfterClose(t *testing.T) {
	h := serve(t, front.Options{})
	h.server.Close()
	l, err := h.network.Listen("127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, h.server.Serve(l))
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestListenerClosedByItsOwner(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		l, err := h.network.Listen("127.0.0.1:0")
		require.NoError(t, err)
		done := make(chan error)
		go func() { done <- h.server.Serve(l) }() // ends with l
		synctest.Wait()
		require.NoError(t, l.Close())
		require.ErrorIs(t, <-done, net.ErrClosed)
		h.join()
	})
}

// tired is a listener that fails before it works.
type tired struct {
	net.Listener
	failures int
}

func (l *tired) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, &net.OpError{Op: "accept", Err: io.ErrUnexpectedEOF}
	}
	return l.Listener.Accept()
}

func TestAcceptIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		l, err := h.network.Listen("127.0.0.1:0")
		require.NoError(t, err)
		h.addr = l.Addr().String()
		done := make(chan error)
		start := time.Now()
		go func() { done <- h.server.Serve(&tired{Listener: l, failures: 10}) }() // ends with the server
		h.join()
		require.Less(t, time.Since(start), 5*time.Second)
		require.Greater(t, time.Since(start), 2*time.Second, "it should have paused longer and longer")
		h.server.Close()
		require.NoError(t, <-done)
	})
}
