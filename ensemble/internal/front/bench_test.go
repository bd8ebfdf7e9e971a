package front_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/front"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
)

// overTCP is n sessions over loopback.
func overTCP(b *testing.B, n int) []*client {
	h := serve(b, front.Options{MaxOutstanding: 1 << 20})
	h.commitAlways()
	h.backend.data["/a"] = make([]byte, 100)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(l) }() // ends with the server
	b.Cleanup(func() {
		h.server.Close()
		require.NoError(b, <-served)
	})
	clients := make([]*client, n)
	for i := range clients {
		nc, err := net.Dial("tcp", l.Addr().String())
		require.NoError(b, err)
		clients[i] = newClient(b, nc)
		clients[i].handshake(&wire.ConnectRequest{Timeout: 40_000})
	}
	return clients
}

// exchange sends request, which holds per of them, and reads as many bytes as answers, until all are done.
func exchange(b *testing.B, clients []*client, request []byte, per, answers int) {
	var all sync.WaitGroup
	b.ResetTimer()
	for _, c := range clients {
		all.Go(func() {
			buf := make([]byte, answers)
			for i := 0; i < b.N/len(clients); i += per {
				if _, err := c.Write(request); err != nil {
					b.Error(err)
					return
				}
				if _, err := io.ReadFull(c, buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

const replyLen = 4 + wire.ReplyHeaderLen

func BenchmarkReadsPipelined(b *testing.B) {
	const window = 1000
	var request []byte
	for xid := range int32(window) {
		request = append(request, get(xid, "/a")...)
	}
	exchange(b, overTCP(b, 4), request, window, window*(replyLen+4+100+68))
}

func BenchmarkReadsOneByOne(b *testing.B) {
	exchange(b, overTCP(b, 16), get(1, "/a"), 1, replyLen+4+100+68)
}

func BenchmarkReadsOneClient(b *testing.B) {
	exchange(b, overTCP(b, 1), get(1, "/a"), 1, replyLen+4+100+68)
}

func BenchmarkWritesPipelined(b *testing.B) {
	const window = 1000
	var request []byte
	for xid := range int32(window) {
		request = append(request, set(xid, "/a", string(make([]byte, 100)))...)
	}
	exchange(b, overTCP(b, 4), request, window, window*replyLen)
}

func BenchmarkWritesOneByOne(b *testing.B) {
	exchange(b, overTCP(b, 16), set(1, "/a", string(make([]byte, 100))), 1, replyLen)
}

// BenchmarkMixedPipelined reads and writes in turn, so that every read runs between two writes.
func BenchmarkMixedPipelined(b *testing.B) {
	const window = 1000
	var request []byte
	for xid := int32(0); xid < window; xid += 2 {
		request = append(request, set(xid, "/a", string(make([]byte, 100)))...)
		request = append(request, get(xid+1, "/a")...)
	}
	exchange(b, overTCP(b, 4), request, window, window*replyLen+window/2*(4+100+68))
}
