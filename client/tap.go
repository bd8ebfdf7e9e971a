package client

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// closeSession is the operation code of the request that ends a session.
const closeSession = -11

// xidEvent stands where answers have the number of their request.
const xidEvent = -1

// replyHeader is how many bytes an answer begins with: xid 4, zxid 8, error 4.
const replyHeader = 16

// answerTooLarge is the error of an answer that was shortened. No server has such a code.
const answerTooLarge Code = math.MinInt32

// Operation codes of the requests that can set a watch.
const (
	opExists      = 3
	opGetData     = 4
	opGetChildren = 12 // with Stat
)

// opReconfig is the operation code of the request that changes the ensemble's membership.
const opReconfig = 16

// tap is a connection to a server that is read and written along as the library uses it. From the frames passing by it learns what the
// library keeps to itself: what the server granted, when one with a majority was last heard, whether the end of the session was
// confirmed, and what configuration a reconfiguration has made. Beyond that it does five things the library does badly or not at all.
//
// It bounds the handshake. The library waits up to ten times its read timeout for the first bytes of the server's answer, and
// without any bound for the rest of it. It also reads an answer that is too short for one, such as the bare refusal of a read-only
// server that may open no session, as an answer whose rest is what the buffer held before.
//
// It tells the server that one will do which only reads, if that is so.
//
// It sets the watches: where one is wanted, it puts the flag into a read that the library sends without. So the library has no watches of
// its own. It would set them again on the next connection, claiming to have seen a transaction that its reader may be moving at
// that moment, unsynchronised; what happened in between can be lost by that. Our watches all wake after a reconnect instead.
//
// It asks for the list of a directory in the same breath as for a new node in it, see CreateAndList, and keeps that answer to itself.
//
// It takes care of answers that are larger than agreed on. The library would end the connection, for all who wait on it, and once more when
// the one who asked asks again. Here he gets an error, and the others their answers.
//
// The library reads from one goroutine and writes from one goroutine at a time, and writes each request with one call.
type tap struct {
	net.Conn
	limit    time.Time // of the handshake
	maxFrame int
	readOnly bool // a server will do that only reads
	attached func(grant)
	refused  func(error)           // the server opens no session, and says why
	heard    func()                // by a server with a majority, as far as it knows
	sends    func(xid, op int32)   // a request goes out
	hears    func(xid, code int32) // an answer is here
	greeted  time.Time             // when the handshake was sent
	closed   func()                // closeSession was carried out
	wanted   func(watchKey) bool   // whether a read is to set a watch
	written  func()                // after the handshake: a request was written, by the goroutine that writes
	reading  func()                // the goroutine that reads answers asks for the first one

	listing func(path []byte) *listing // what a create is to bring beside its path; nil: nothing
	pairs   pairs

	reconfigured func(body []byte) // a reconfiguration succeeded, and this is the answer behind its header

	shaken    atomic.Bool  // the answer to the handshake is complete
	closeXid  atomic.Int32 // of the closeSession that was written, 0 before
	open      atomic.Int32 // reconfigurations written and not answered: seldom any
	reconfigs sync.Map     // their xids

	flagged []byte // the writer's: a request as it goes out, if that is not as the library made it

	// Used by the reader only: buf[next:whole] are complete frames not handed on yet, buf[whole:] the beginning of one.
	buf         []byte
	next, whole int
	skip        int   // how many bytes that come next are not for the library
	failed      error // the connection's end; handed on behind the last whole frame
	minority    bool  // the server only reads
	begun       bool  // reading was called
}

// grant is what a server that takes a client says in the handshake.
type grant struct {
	id       int64 // of the session
	timeout  time.Duration
	readOnly bool // the server only reads
}

func newTap(conn net.Conn, limit time.Time, maxFrame int) *tap {
	return &tap{Conn: conn, limit: limit, maxFrame: maxFrame, buf: make([]byte, 0, 4096)}
}

// Read hands on whole frames, in pieces as large as the caller likes.
func (t *tap) Read(p []byte) (int, error) {
	if !t.begun && t.next == t.whole && t.shaken.Load() {
		t.begun = true
		t.reading()
	}
	for t.next == t.whole {
		if t.failed != nil {
			return 0, t.failed
		}
		t.fill()
	}
	n := copy(p, t.buf[t.next:t.whole])
	t.next += n
	return n, nil
}

// fill reads once from the connection, when everything whole was handed on.
func (t *tap) fill() {
	t.buf = t.buf[:copy(t.buf, t.buf[t.whole:])]
	t.next, t.whole = 0, 0
	if len(t.buf) == cap(t.buf) {
		t.buf = append(t.buf, 0)[:len(t.buf)] // room grows with what has come, not with what a length claims
	}
	n, err := t.Conn.Read(t.buf[len(t.buf):cap(t.buf)])
	t.buf = t.buf[:len(t.buf)+n]
	if cut := t.cut(); err == nil {
		err = cut
	}
	if n > 0 && t.shaken.Load() && !t.minority {
		t.heard()
	}
	t.failed = err
}

// cut moves whole behind the last complete frame.
func (t *tap) cut() error {
	for {
		t.discard()
		rest := t.buf[t.whole:]
		if len(rest) < 4 {
			return nil
		}
		size := int(int32(binary.BigEndian.Uint32(rest)))
		if size > t.maxFrame && t.shaken.Load() {
			if len(rest) < 4+replyHeader {
				return nil
			}
			xid := int32(binary.BigEndian.Uint32(rest[4:]))
			if one := t.pairs.answered(xid); one != nil && xid == one.list {
				_ = t.frame(rest[4 : 4+replyHeader]) // only a greeting can fail
				t.passOver(one, rest, size)
				continue
			}
			if xid > 0 {
				t.shorten(rest, size)
				continue
			}
		}
		if size < 0 || size > t.maxFrame {
			return fmt.Errorf("a frame of %d bytes came, the limit is %d", size, t.maxFrame)
		}
		if len(rest) < 4+size {
			return nil
		}
		if err := t.frame(rest[4 : 4+size]); err != nil {
			return err
		}
		if size >= replyHeader {
			if one := t.pairs.answered(int32(binary.BigEndian.Uint32(rest[4:]))); one != nil {
				t.keepBack(one, rest[:4+size])
				continue
			}
		}
		t.whole += 4 + size
	}
}

// shorten makes an answer that is too large for us into a failure of the one who asked, and of nobody else.
func (t *tap) shorten(b []byte, size int) {
	binary.BigEndian.PutUint32(b, replyHeader)
	code := answerTooLarge
	binary.BigEndian.PutUint32(b[4+12:], uint32(code))
	_ = t.frame(b[4 : 4+replyHeader]) // only a greeting can fail
	t.whole += 4 + replyHeader
	t.skip = size - replyHeader
}

// discard drops what is there of an answer that was too large.
func (t *tap) discard() {
	n := min(t.skip, len(t.buf)-t.whole)
	t.buf = append(t.buf[:t.whole], t.buf[t.whole+n:]...)
	t.skip -= n
}

// frame looks at a frame: first the answer to the handshake, then the beginnings of replies (xid 4, zxid 8, error 4).
func (t *tap) frame(b []byte) error {
	if !t.shaken.Load() {
		return t.greeting(b)
	}
	if len(b) < 16 {
		return nil
	}
	xid, code := int32(binary.BigEndian.Uint32(b)), int32(binary.BigEndian.Uint32(b[12:]))
	if xid > 0 && xid == t.closeXid.Load() && code == 0 {
		t.closed()
	}
	if xid != xidEvent {
		t.hears(xid, code)
	}
	if t.open.Load() == 0 {
		return nil
	}
	if _, ok := t.reconfigs.LoadAndDelete(xid); ok {
		t.open.Add(-1)
		if code == 0 {
			t.reconfigured(b[16:])
		}
	}
	return nil
}

// greeting reads the answer to the handshake: version 4, timeout 4, session 8, password with its length 4, and whether the server only
// reads 1, if it was asked. Apache's read-only servers that may not open a session send the beginning of a reply instead.
func (t *tap) greeting(b []byte) error {
	if len(b) == 16 {
		err := fmt.Errorf("the server opens no session: %w", Code(binary.BigEndian.Uint32(b[12:])))
		t.refused(err)
		return err
	}
	password := 0
	if len(b) >= 20 {
		password = max(int(int32(binary.BigEndian.Uint32(b[16:]))), 0)
	}
	if len(b) < 20+password {
		return fmt.Errorf("the server's answer to the handshake ends after %d bytes", len(b))
	}
	rest := b[20+password:]
	given := grant{
		id:      int64(binary.BigEndian.Uint64(b[8:])),
		timeout: time.Duration(int32(binary.BigEndian.Uint32(b[4:]))) * time.Millisecond,
	}
	given.readOnly = len(rest) > 0 && rest[0] != 0
	t.minority = given.readOnly
	if given.id != 0 {
		t.attached(given)
	}
	t.shaken.Store(true)
	return nil
}

// Write sends one request: length 4, xid 4, operation 4, body.
func (t *tap) Write(p []byte) (int, error) {
	if !t.shaken.Load() || len(p) < 12 {
		if t.greeted.IsZero() {
			return t.greet(p)
		}
		return t.Conn.Write(p)
	}
	defer t.written()
	op := int32(binary.BigEndian.Uint32(p[8:]))
	switch op {
	case codeCreate, codeCreateContainer, codeCreateTTL:
		if path, ok := counted(p[12:]); ok {
			if l := t.listing(path); l != nil {
				return t.writePair(p, path, l)
			}
		}
	}
	t.sends(int32(binary.BigEndian.Uint32(p[4:])), op)
	switch op {
	case closeSession:
		t.closeXid.Store(int32(binary.BigEndian.Uint32(p[4:])))
	case opReconfig:
		t.reconfigs.Store(int32(binary.BigEndian.Uint32(p[4:])), nil)
		t.open.Add(1)
	case opExists, opGetData, opGetChildren:
		if key, ok := watchable(op, p[12:]); ok && t.wanted(key) {
			t.flagged = append(t.flagged[:0], p...)
			t.flagged[len(p)-1] = 1
			return t.Conn.Write(t.flagged)
		}
	}
	return t.Conn.Write(p)
}

// greet writes the handshake, with the byte at its end that the library leaves out if a server will do that only reads.
func (t *tap) greet(p []byte) (int, error) {
	t.greeted = time.Now()
	if !t.readOnly {
		return t.Conn.Write(p)
	}
	asking := append(append(make([]byte, 0, len(p)+1), p...), 1)
	binary.BigEndian.PutUint32(asking, uint32(len(asking)-4))
	n, err := t.Conn.Write(asking)
	return min(n, len(p)), err
}

// watchable reads the body of a read: path 4 and its length, watch 1.
func watchable(op int32, body []byte) (watchKey, bool) {
	if len(body) < 5 || int(binary.BigEndian.Uint32(body)) != len(body)-5 {
		return watchKey{}, false
	}
	kind := watchData
	switch op {
	case opExists:
		kind = watchExists
	case opGetChildren:
		kind = watchChildren
	}
	return watchKey{kind, string(body[4 : len(body)-1])}, true
}

// SetReadDeadline keeps the library from waiting longer than the limit while the handshake lasts.
func (t *tap) SetReadDeadline(d time.Time) error {
	if !t.shaken.Load() && (d.IsZero() || d.After(t.limit)) {
		d = t.limit
	}
	return t.Conn.SetReadDeadline(d)
}
