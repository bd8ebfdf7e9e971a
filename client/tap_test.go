package client

import (
	"encoding/binary"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func frame(body ...byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// However a stream is cut into reads, the same frames come out, with their first bytes.
func TestFramesDoNotDependOnTheCuts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bodies := rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 0, 60)).Draw(t, "bodies")
		var stream []byte
		var want [][]byte
		for _, b := range bodies {
			stream = append(stream, frame(b...)...)
			want = append(want, append([]byte{}, b[:min(16, len(b))]...))
		}
		var got [][]byte
		f := frames{complete: func(head []byte) { got = append(got, append([]byte{}, head...)) }}
		for len(stream) > 0 {
			n := rapid.IntRange(1, len(stream)).Draw(t, "cut")
			f.feed(stream[:n])
			stream = stream[n:]
		}
		require.Equal(t, want, got)
	})
}

func FuzzFrames(f *testing.F) {
	f.Add(frame(1, 2, 3), 2)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1}, 1)
	f.Fuzz(func(t *testing.T, stream []byte, cut int) {
		fr := frames{complete: func(head []byte) {
			if len(head) > 16 {
				t.Fatal("more than the head")
			}
		}}
		if cut < 0 || cut > len(stream) {
			cut = 0
		}
		fr.feed(stream[:cut])
		fr.feed(stream[cut:])
	})
}

func TestTapLearnsFromTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer server.Close()
		defer client.Close()
		tp := newTap(client, time.Now().Add(time.Second))
		var id int64
		var timeout time.Duration
		var heard, closed int
		tp.attached = func(i int64, d time.Duration) { id, timeout = i, d }
		tp.heard = func() { heard++ }
		tp.closed = func() { closed++ }
		exchange := func(b []byte) {
			go server.Write(b) // ends when all is read
			buf := make([]byte, len(b))
			_, err := tp.Read(buf)
			require.NoError(t, err)
		}
		write := func(b []byte) {
			go func() { _, _ = server.Read(make([]byte, len(b))) }() // ends when all is read
			_, err := tp.Write(b)
			require.NoError(t, err)
		}

		answer := binary.BigEndian.AppendUint32(nil, 0)
		answer = binary.BigEndian.AppendUint32(answer, 4000)
		answer = binary.BigEndian.AppendUint64(answer, 0x1234)
		answer = append(answer, make([]byte, 20)...)
		exchange(frame(answer...))
		require.Equal(t, int64(0x1234), id)
		require.Equal(t, 4*time.Second, timeout)
		require.Equal(t, 1, heard)

		reply := make([]byte, 16)
		reply[3] = 9 // xid
		exchange(frame(reply...))
		require.Equal(t, 0, closed, "nobody asked for the end")
		request := make([]byte, 8)
		request[3] = 9
		binary.BigEndian.PutUint32(request[4:], uint32(0xfffffff5)) // -11
		write(frame(request...))
		exchange(frame(reply...))
		require.Equal(t, 1, closed)
		require.Equal(t, 3, heard)
	})
}

// The library lifts its deadline after the first four bytes of the handshake's answer; a server that stops there would keep it for ever.
func TestTapBoundsTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer server.Close()
		defer client.Close()
		start := time.Now()
		tp := newTap(client, start.Add(time.Second))
		tp.heard = func() {}
		require.NoError(t, tp.SetReadDeadline(start.Add(time.Hour)))
		go server.Write([]byte{0, 0, 0, 40}) // ends when all is read
		_, err := tp.Read(make([]byte, 4))
		require.NoError(t, err)
		require.NoError(t, tp.SetReadDeadline(time.Time{}))
		_, err = tp.Read(make([]byte, 40))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
	})
}
