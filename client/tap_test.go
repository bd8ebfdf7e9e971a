package client

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func frame(body ...byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// stream is a connection that yields bytes in given pieces, then ends.
type stream struct {
	net.Conn
	pieces [][]byte
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.pieces[0])
	if s.pieces[0] = s.pieces[0][n:]; len(s.pieces[0]) == 0 {
		s.pieces = s.pieces[1:]
	}
	return n, nil
}

func quietTap(conn net.Conn, limit time.Time) *tap {
	tp := newTap(conn, limit, 1000)
	tp.attached, tp.refused, tp.heard, tp.closed = func(grant) {}, func(error) {}, func() {}, func() {}
	tp.sends, tp.hears = func(int32, int32) {}, func(int32, int32) {}
	tp.wanted = func(watchKey) bool { return false }
	tp.written, tp.reading = func() {}, func() {}
	tp.listing = func([]byte) *listing { return nil }
	return tp
}

// However a stream is cut into reads, and wherever it ends, what comes out are its whole frames.
func TestTapHandsOnWholeFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bodies := rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 0, 300)).Draw(t, "bodies")
		var whole []byte
		for _, b := range append([][]byte{make([]byte, 36)}, bodies...) {
			whole = append(whole, frame(b...)...)
		}
		partial := frame(make([]byte, 40)...)[:rapid.IntRange(0, 43).Draw(t, "partial")]
		s := &stream{}
		for rest := append(whole[:len(whole):len(whole)], partial...); len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			s.pieces = append(s.pieces, rest[:n])
			rest = rest[n:]
		}
		tp := quietTap(s, time.Time{})
		got, err := io.ReadAll(iotest.OneByteReader(tp))
		require.NoError(t, err)
		require.Equal(t, whole, got)
	})
}

func TestTapRefusesSenselessFrames(t *testing.T) {
	for _, length := range []uint32{1001, 0x7fffffff, 0x80000000, 0xffffffff} {
		senseless := append(binary.BigEndian.AppendUint32(nil, length), make([]byte, 16)...) // it answers nobody
		tp := quietTap(&stream{pieces: [][]byte{frame(make([]byte, 36)...), senseless}}, time.Time{})
		got, err := io.ReadAll(tp)
		require.ErrorContains(t, err, "limit is 1000")
		require.Len(t, got, 40)
		require.LessOrEqual(t, cap(tp.buf), 4096)
	}
}

// However it is cut into reads, of an answer that is too large its head comes out, with an error, and the others come out whole.
func TestTapShortensAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, want := frame(make([]byte, 36)...), frame(make([]byte, 36)...)
		heard, bodies := []int32{}, rapid.SliceOf(rapid.IntRange(16, 10_000)).Draw(t, "sizes")
		for i, size := range bodies {
			reply := make([]byte, size)
			binary.BigEndian.PutUint32(reply, uint32(i+1))
			in = append(in, frame(reply...)...)
			if size > 1000 {
				reply = reply[:16]
				reply[12] = 0x80
			}
			want = append(want, frame(reply...)...)
			heard = append(heard, int32(i+1))
		}
		s := &stream{}
		for rest := in; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			s.pieces = append(s.pieces, rest[:n])
			rest = rest[n:]
		}
		tp, got := quietTap(s, time.Time{}), []int32{}
		tp.hears = func(xid, _ int32) { got = append(got, xid) }
		out, err := io.ReadAll(tp)
		require.NoError(t, err)
		require.Equal(t, want, out)
		require.Equal(t, heard, got)
		require.LessOrEqual(t, cap(tp.buf), 4096)
	})
}

// tapped is what comes out of a tap, the slow way.
func tapped(b []byte) (out []byte) {
	for shaken := false; len(b) >= 4; {
		size := int(int32(binary.BigEndian.Uint32(b)))
		if size > 1000 && shaken && len(b) >= 20 && int32(binary.BigEndian.Uint32(b[4:])) > 0 {
			out = append(append(append(out, 0, 0, 0, 16), b[4:16]...), 0x80, 0, 0, 0)
			b = b[min(4+size, len(b)):]
			continue
		}
		if size < 0 || size > 1000 || len(b) < 4+size {
			return out
		}
		if !shaken && (size < 20 || size < 20+int(int32(binary.BigEndian.Uint32(b[20:])))) {
			return out // no answer to a handshake
		}
		out, b, shaken = append(out, b[:4+size]...), b[4+size:], true
	}
	return out
}

func FuzzTap(f *testing.F) {
	f.Add(append(frame(make([]byte, 36)...), frame(1, 2, 3)...), 2)
	f.Add(append(frame(make([]byte, 36)...), append([]byte{0, 0, 4, 0, 0, 0, 0, 7}, make([]byte, 1100)...)...), 50)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1}, 1)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		if cut < 0 || cut > len(b) {
			cut = 0
		}
		want := tapped(b)
		tp := quietTap(&stream{pieces: [][]byte{b[:cut], b[cut:]}}, time.Time{})
		got, _ := io.ReadAll(tp)
		if !bytes.Equal(want, got) {
			t.Fatalf("%x came out, not %x", got, want)
		}
	})
}

func TestTapLearnsFromTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer server.Close()
		defer client.Close()
		tp := quietTap(client, time.Now().Add(time.Second))
		var given grant
		var heard, closed int
		tp.attached = func(g grant) { given = g }
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
		require.Equal(t, grant{id: 0x1234, timeout: 4 * time.Second}, given)
		require.Equal(t, 1, heard)

		reply := make([]byte, 16)
		reply[3] = 9 // xid
		exchange(frame(reply...))
		require.Equal(t, 0, closed, "nobody asked for the end")
		request := make([]byte, 8)
		request[3] = 9
		binary.BigEndian.PutUint32(request[4:], uint32(0xfffffff5)) // -11
		write(frame(request...))
		reply[15] = 1
		exchange(frame(reply...))
		require.Equal(t, 0, closed, "it was refused")
		reply[15] = 0
		exchange(frame(reply...))
		require.Equal(t, 1, closed)
		require.Equal(t, 4, heard)
	})
}

// The library waits ten read timeouts for the beginning of the handshake's answer and for ever for the rest.
func TestTapBoundsTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer server.Close()
		defer client.Close()
		start := time.Now()
		tp := quietTap(client, start.Add(time.Second))
		require.NoError(t, tp.SetReadDeadline(start.Add(time.Hour)))
		require.NoError(t, tp.SetReadDeadline(time.Time{}))
		go server.Write([]byte{0, 0, 0, 40}) // ends when all is read
		_, err := tp.Read(make([]byte, 4))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
	})
}

// sink is a connection that keeps the last write.
type sink struct {
	net.Conn
	last []byte
}

func (s *sink) Write(p []byte) (int, error) {
	s.last = bytes.Clone(p)
	return len(p), nil
}

func TestTapSetsWatches(t *testing.T) {
	s := &sink{}
	tp := quietTap(s, time.Time{})
	tp.shaken.Store(true)
	var asked []watchKey
	tp.sends, tp.hears = func(int32, int32) {}, func(int32, int32) {}
	tp.wanted = func(key watchKey) bool { asked = append(asked, key); return key.path == "/a" }
	request := func(op byte, path string, tail ...byte) []byte {
		body := append([]byte{0, 0, 0, 1, 0, 0, 0, op, 0, 0, 0, byte(len(path))}, path...)
		return frame(append(body, tail...)...)
	}
	for _, c := range []struct {
		op   byte
		path string
		key  watchKey
		set  bool
	}{
		{4, "/a", watchKey{watchData, "/a"}, true},
		{3, "/a", watchKey{watchExists, "/a"}, true},
		{12, "/a", watchKey{watchChildren, "/a"}, true},
		{4, "/b", watchKey{watchData, "/b"}, false},
	} {
		asked = nil
		sent := request(c.op, c.path, 0)
		before := bytes.Clone(sent)
		n, err := tp.Write(sent)
		require.NoError(t, err)
		require.Equal(t, len(sent), n)
		require.Equal(t, before, sent, "the library's buffer is not touched")
		require.Equal(t, []watchKey{c.key}, asked)
		if c.set {
			before[len(before)-1] = 1
		}
		require.Equal(t, before, s.last)
	}
	asked = nil
	for _, other := range [][]byte{request(2, "/a", 0, 0, 0, 0), request(9, "/a"), request(4, "/a", 0, 0), request(4, "/a"), frame(1, 2)} {
		_, err := tp.Write(other)
		require.NoError(t, err)
		require.Equal(t, other, s.last)
	}
	require.Empty(t, asked)
}

// What the library leaves out is put behind what it writes, and only if it is wanted.
func TestTapAsksForServersThatOnlyRead(t *testing.T) {
	handshake := frame(make([]byte, 44)...)
	for _, asked := range []bool{false, true} {
		s := &sink{}
		tp := quietTap(s, time.Time{})
		tp.readOnly = asked
		n, err := tp.Write(handshake)
		require.NoError(t, err)
		require.Len(t, handshake, n)
		want := handshake
		if asked {
			want = frame(append(make([]byte, 44), 1)...)
		}
		require.Equal(t, want, s.last)
		require.False(t, tp.greeted.IsZero())
	}
}

func TestTapReadsAnswersToTheHandshake(t *testing.T) {
	answer := func(password int32, rest int, last byte) []byte { // of a session 7 for a second
		b := append(make([]byte, 4), 0, 0, 3, 0xe8, 0, 0, 0, 0, 0, 0, 0, 7)
		b = binary.BigEndian.AppendUint32(b, uint32(password))
		return append(append(b, make([]byte, rest-1)...), last)
	}
	taken, reads := &grant{id: 7, timeout: time.Second}, &grant{id: 7, timeout: time.Second, readOnly: true}
	for name, c := range map[string]struct {
		answer  []byte
		granted *grant
		heard   bool
		err     string
	}{
		"without the byte":      {answer(16, 16, 9), taken, true, ""},
		"with a majority":       {answer(16, 17, 0), taken, true, ""},
		"without one":           {answer(16, 17, 1), reads, false, ""},
		"no password":           {answer(-1, 1, 1), reads, false, ""},
		"expired":               {make([]byte, 37), nil, true, ""},
		"refused":               {append(make([]byte, 12), 0xff, 0xff, 0xff, 0x89), nil, false, "opens no session: server is read-only"},
		"short":                 {answer(16, 15, 0), nil, false, "ends after 35 bytes"},
		"shorter":               {make([]byte, 17), nil, false, "ends after 17 bytes"},
		"with a huge password":  {answer(0x7fffffff, 16, 0), nil, false, "ends after 36 bytes"},
		"with another negative": {answer(-0x80000000, 16, 0), taken, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tp := quietTap(&stream{pieces: [][]byte{frame(c.answer...)}}, time.Time{})
			var granted *grant
			var heard bool
			var refused error
			tp.attached = func(g grant) { granted = &g }
			tp.heard = func() { heard = true }
			tp.refused = func(err error) { refused = err }
			got, err := io.ReadAll(tp)
			require.Equal(t, c.granted, granted)
			require.Equal(t, c.heard, heard)
			require.Equal(t, name == "refused", refused != nil)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				require.Empty(t, got, "the library would read what its buffer held before")
				return
			}
			require.NoError(t, err)
			require.Equal(t, frame(c.answer...), got)
		})
	}
}

// However the answers are cut into reads, and with other answers and events around them, of a create and the list behind it the library
// sees the create's answer alone, once both are here.
func TestTapKeepsLists(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &sink{}
		tp := quietTap(s, time.Time{})
		tp.shaken.Store(true)
		expected := map[string]*listing{}
		tp.listing = func(path []byte) *listing { return expected[string(path)] }
		reply := func(xid int32, zxid int64, code int32, body []byte) []byte {
			b := binary.BigEndian.AppendUint32(nil, uint32(xid))
			b = binary.BigEndian.AppendUint64(b, uint64(zxid))
			return frame(append(binary.BigEndian.AppendUint32(b, uint32(code)), body...)...)
		}
		var in, want []byte
		var heard, answered []int32
		tp.hears = func(xid, _ int32) { heard = append(heard, xid) }
		var told []func()
		for i := range rapid.IntRange(1, 8).Draw(t, "requests") {
			xid, zxid := int32(i+1), int64(2*i+1)
			if rapid.Bool().Draw(t, "other") {
				other := reply(xid, zxid, 0, rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "body"))
				in, want, answered = append(in, other...), append(want, other...), append(answered, xid)
				continue
			}
			path := "/d/" + string(rune('a'+i))
			l := &listing{}
			expected[path] = l
			body := append([]byte{0, 0, 0, byte(xid), 0, 0, 0, 1, 0, 0, 0, byte(len(path))}, path...)
			request := frame(body...)
			n, err := tp.Write(request)
			require.NoError(t, err)
			require.Equal(t, len(request), n)
			require.Equal(t, byte(1), request[11], "the library's buffer is not touched")
			request[11] = 15
			require.Equal(t, request, s.last[:n])
			require.Equal(t, frame(append(bytes.Clone(s.last[n+4:n+8]), 0, 0, 0, 12, 0, 0, 0, 2, '/', 'd', 0)...), s.last[n:])
			list := int32(binary.BigEndian.Uint32(s.last[n+4:]))
			require.Less(t, list, int32(-1000))

			code := rapid.SampledFrom([]int32{0, 0, -101}).Draw(t, "code")
			made := append(binary.BigEndian.AppendUint32(nil, uint32(len(path))), path...)
			made = append(made, make([]byte, 67)...)
			made = append(made, 7) // the last transaction among its children
			if code != 0 {
				made = nil
			}
			names := []byte{0, 0, 0, 1, 0, 0, 0, 1, byte('a' + i)}
			large := rapid.Bool().Draw(t, "large")
			if large {
				names = make([]byte, 3000)
			}
			in = append(in, reply(xid, zxid, code, made)...)
			if rapid.Bool().Draw(t, "event") {
				event := reply(-1, -1, 0, []byte{1, 2, 3})
				in, want = append(in, event...), append(want, event...)
			}
			in = append(in, reply(list, zxid+1, 0, append(names, make([]byte, statSize)...))...)
			want = append(want, reply(xid, zxid+1, code, made)...)
			answered = append(answered, xid, list)
			told = append(told, func() {
				require.Equal(t, code == 0, l.path == path)
				require.Equal(t, code == 0, l.stat.Pzxid == 7)
				require.Equal(t, large, l.names == nil)
			})
		}
		var pieces [][]byte
		for rest := in; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		tp.Conn = &stream{pieces: pieces}
		got, err := io.ReadAll(tp)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, answered, heard)
		require.Zero(t, tp.pairs.open.Load())
		for _, f := range told {
			f()
		}
	})
}

// What servers answer is read without trust.
func FuzzListing(f *testing.F) {
	f.Add(append([]byte{0, 0, 0, 1, '/'}, make([]byte, statSize)...))
	f.Add(append([]byte{0, 0, 0, 2, 0, 0, 0, 1, 'a', 0, 0, 0, 0}, make([]byte, statSize)...))
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if path, stat := created(b); stat != (Stat{}) && 4+len(path)+statSize != len(b) {
			t.Fatalf("%q and %v are not all of %x", path, stat, b)
		}
		size := 4 + statSize
		for _, name := range listed(b) {
			size += 4 + len(name)
		}
		if names := listed(b); names != nil && size != len(b) {
			t.Fatalf("%q is not all of %x", names, b)
		}
	})
}
