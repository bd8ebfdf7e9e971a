package client

import (
	"encoding/binary"
	"net"
	"sync/atomic"
	"time"
)

// closeSession is the operation code of the request that ends a session.
const closeSession = -11

// tap is a connection to a server that is read along as the library uses it. From the bytes passing by it learns what the library
// keeps to itself: the session's id and negotiated timeout, when the server was last heard, and whether the end of the session was
// confirmed.
//
// It also bounds the handshake. The library waits up to ten times its read timeout for the first bytes of the server's answer, and
// without any bound for the rest of it.
//
// The library reads from one goroutine and writes from one goroutine at a time, and writes each request with one call.
type tap struct {
	net.Conn
	limit    time.Time // of the handshake
	attached func(id int64, timeout time.Duration)
	heard    func()
	closed   func() // the reply to closeSession came

	reply    frames
	shaken   atomic.Bool  // the answer to the handshake is complete
	closeXid atomic.Int32 // of the closeSession that was written, 0 before
}

func newTap(conn net.Conn, limit time.Time) *tap {
	t := &tap{Conn: conn, limit: limit}
	t.reply.complete = t.frame
	return t
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		t.reply.feed(p[:n])
		if t.shaken.Load() {
			t.heard()
		}
	}
	return n, err
}

func (t *tap) Write(p []byte) (int, error) {
	if t.shaken.Load() && len(p) >= 12 && int32(binary.BigEndian.Uint32(p[8:])) == closeSession {
		t.closeXid.Store(int32(binary.BigEndian.Uint32(p[4:])))
	}
	return t.Conn.Write(p)
}

// SetReadDeadline keeps the library from waiting longer than the limit while the handshake lasts.
func (t *tap) SetReadDeadline(d time.Time) error {
	if !t.shaken.Load() && (d.IsZero() || d.After(t.limit)) {
		d = t.limit
	}
	return t.Conn.SetReadDeadline(d)
}

// frame looks at the first bytes of a complete frame: of the answer to the handshake (version 4, timeout 4, session 8), then of replies
// (xid 4, zxid 8, error 4).
func (t *tap) frame(b []byte) {
	if len(b) < 16 {
		return
	}
	if !t.shaken.Load() {
		timeout := time.Duration(int32(binary.BigEndian.Uint32(b[4:]))) * time.Millisecond
		if id := int64(binary.BigEndian.Uint64(b[8:])); id != 0 {
			t.attached(id, timeout)
		}
		t.shaken.Store(true)
		return
	}
	if xid := int32(binary.BigEndian.Uint32(b)); xid > 0 && xid == t.closeXid.Load() {
		t.closed()
	}
}

// frames cuts a stream of bytes into ZooKeeper's frames, four bytes of length and a body, and keeps the first bytes of each.
type frames struct {
	complete func(head []byte)

	buf  [4 + 16]byte // length and the body's first bytes
	size int          // of the body, once the length is complete
	got  int          // bytes of this frame so far, length included
	lost bool         // the stream made no sense; the library ends such a connection
}

func (f *frames) feed(b []byte) {
	for len(b) > 0 && !f.lost {
		n := len(b)
		if f.got < 4 {
			n = min(n, 4-f.got)
		} else {
			n = min(n, 4+f.size-f.got)
		}
		if f.got < len(f.buf) {
			copy(f.buf[f.got:], b[:n])
		}
		f.got += n
		b = b[n:]
		f.end()
	}
}

// end reads the length when it is complete, and hands out the frame when that is.
func (f *frames) end() {
	if f.got == 4 {
		f.size = int(int32(binary.BigEndian.Uint32(f.buf[:])))
		f.lost = f.size < 0
	}
	if f.got >= 4 && !f.lost && f.got == 4+f.size {
		f.complete(f.buf[4 : 4+min(f.size, len(f.buf)-4)])
		f.got = 0
	}
}
