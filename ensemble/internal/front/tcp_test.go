package front_test

import (
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/front"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
)

// listenTCP also serves h over loopback.
func listenTCP(h *house) (dial func() *client) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(h.t, err)
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(l) }() // ends with the server
	h.t.Cleanup(func() {
		h.server.Close()
		require.NoError(h.t, <-served)
	})
	return func() *client {
		nc, err := net.Dial("tcp", l.Addr().String())
		require.NoError(h.t, err)
		return newClient(h.t, nc)
	}
}

func TestTCPClientThatSendsAllBeforeItReads(t *testing.T) {
	h := serve(t, front.Options{MaxOutput: 256 << 20})
	h.commitAlways()
	h.backend.data["/a"] = make([]byte, 100_000)
	c := listenTCP(h)()
	c.handshake(&wire.ConnectRequest{Timeout: 40_000})
	const n = 300 // 30 MB, more than the kernel holds
	for xid := range int32(n) {
		c.send(get(xid, "/a"))
	}
	c.send(set(n, "/b", "1"))
	for xid := range int32(n) {
		c.mustGet(xid, string(make([]byte, 100_000)))
	}
	c.mustReply(wire.ReplyHeader{Xid: n, Zxid: 1})
}

func TestTCPWordAndItsEnd(t *testing.T) {
	h := serve(t, front.Options{})
	dial := listenTCP(h)
	for _, sent := range []string{"ruok", "ruok\r\nand more that nobody reads"} {
		for _, half := range []bool{true, false} {
			c := dial()
			c.send([]byte(sent))
			if half {
				require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
			}
			got, err := io.ReadAll(c)
			require.NoError(t, err)
			require.Equal(t, "imok", string(got))
		}
	}
}

func TestTCPExcessIsReset(t *testing.T) {
	h := serve(t, front.Options{MaxPerHost: 1})
	dial := listenTCP(h)
	c := dial()
	c.handshake(&wire.ConnectRequest{Timeout: 4000})
	nc, err := net.Dial("tcp", c.RemoteAddr().String())
	if err == nil { // else the reset was faster than the dialer
		defer nc.Close()
		_, err = nc.Read(make([]byte, 1))
	}
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestTCPManyClientsAtOnce(t *testing.T) {
	h := serve(t, front.Options{})
	h.commitAlways()
	dial := listenTCP(h)
	t.Run("clients", func(t *testing.T) { // ends when all of them have
		for range 20 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				c := dial()
				c.t = t
				c.handshake(&wire.ConnectRequest{Timeout: 40_000})
				path := "/" + c.LocalAddr().String()
				for i := range int32(100) {
					value := string(rune('a' + i%26))
					b := append(set(3*i, path, value), get(3*i+1, path)...)
					c.send(append(append(b, set(3*i+2, path, "x")...), ping()...))
					head, _ := c.reply()
					require.Equal(t, 3*i, head.Xid)
					c.mustGet(3*i+1, value)
					head, _ = c.reply()
					require.Equal(t, 3*i+2, head.Xid)
					head, _ = c.reply()
					require.Equal(t, wire.XidPing, head.Xid)
				}
				require.NoError(t, c.Close())
			})
		}
	})
}
