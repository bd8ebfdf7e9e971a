package snapshot

import (
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

const (
	bufferSize = 64 << 10
	firstSize  = 4 << 10 // of the buffer; it grows as long as it proves too small
)

// fields reads what an image and a stream have in common.
type fields struct {
	in      io.Reader // decompressed
	ahead   bool      // more may be read than is asked for, since nobody else reads in
	max     int       // length of the longest string or buffer, in bytes
	left    func() int64
	failure func(at int64, err error, what string) error // what to fail with

	buf    []byte
	from   int         // of buf, the next byte
	base   int64       // offset of buf
	data   []byte      // the last short buffer handed out
	sum    hash.Hash32 // nil: none is asked for
	summed int         // of buf, what sum has
	at     section
	err    error
}

// offset is that of the next byte.
func (r *fields) offset() int64 { return r.base + int64(r.from) }

// fail makes everything fail from now on, unless it has.
func (r *fields) fail(err error, what string) error {
	if r.err == nil {
		r.err = r.failure(r.offset(), err, what)
	}
	return r.err
}

// summarize adds what has been taken to the checksum.
func (r *fields) summarize() {
	if r.sum != nil {
		r.sum.Write(r.buf[r.summed:r.from])
		r.summed = r.from
	}
}

// fill reads on until n bytes (at most bufferSize) are buffered, or returns io.EOF with fewer.
func (r *fields) fill(n int) error {
	if len(r.buf)-r.from >= n {
		return nil
	}
	r.summarize()
	r.base += int64(r.from)
	left := r.buf[r.from:]
	if c := cap(r.buf); c < bufferSize && (n > c || len(r.buf) == c) {
		r.buf = make([]byte, 0, min(max(n, 4*c, firstSize), bufferSize))
	}
	r.buf = r.buf[:copy(r.buf[:cap(r.buf)], left)]
	r.from, r.summed = 0, 0
	end := n
	if r.ahead {
		end = cap(r.buf)
	}
	for idle := 0; len(r.buf) < n; {
		k, err := r.in.Read(r.buf[len(r.buf):end])
		r.buf = r.buf[:len(r.buf)+k]
		if k == 0 && err == nil {
			if idle++; idle > 100 {
				return io.ErrNoProgress
			}
			continue
		}
		if err != nil && len(r.buf) < n {
			return err
		}
	}
	return nil
}

// take returns the next n bytes (at most bufferSize), valid until the next call; nil after a failure.
func (r *fields) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if err := r.fill(n); err != nil {
		r.fail(err, "cannot be read")
		return nil
	}
	p := r.buf[r.from : r.from+n]
	r.from += n
	return p
}

func (r *fields) int32() int32 {
	if p := r.take(4); p != nil {
		return int32(binary.BigEndian.Uint32(p))
	}
	return 0
}

func (r *fields) int64() int64 {
	if p := r.take(8); p != nil {
		return int64(binary.BigEndian.Uint64(p))
	}
	return 0
}

// bytes reads n bytes; short ones are in the buffer and valid until the next call, owned tells.
func (r *fields) bytes(n int) (p []byte, owned bool) {
	if n <= bufferSize {
		return r.take(n), false
	}
	if r.left != nil && int64(n) > r.left() {
		r.fail(io.ErrUnexpectedEOF, "")
		return nil, true
	}
	for len(p) < n && r.err == nil {
		piece := r.take(min(n-len(p), bufferSize))
		if cap(p)-len(p) < len(piece) { // doubled only as bytes come
			p = append(make([]byte, 0, min(n, 2*len(p)+len(piece))), p...)
		}
		p = append(p, piece...)
	}
	return p, true
}

// buffer reads a buffer, nil if it is null; valid until the next buffer.
func (r *fields) buffer() []byte {
	n := r.int32()
	if r.err != nil || n == -1 {
		return nil
	}
	if n < 0 || int(n) > r.max {
		r.fail(nil, fmt.Sprintf("length %d", n))
		return nil
	}
	p, owned := r.bytes(int(n))
	if owned || r.err != nil {
		return p
	}
	if cap(r.data) < len(p) || r.data == nil {
		r.data = make([]byte, 0, max(512, 2*len(p)))
	}
	return append(r.data[:0], p...)
}

func (r *fields) string() string {
	n := r.int32()
	if r.err != nil {
		return ""
	}
	if n < 0 || int(n) > r.max {
		r.fail(nil, fmt.Sprintf("length %d of a string", n))
		return ""
	}
	p, _ := r.bytes(int(n))
	return string(p)
}

// count reads the length of a vector.
func (r *fields) count() int {
	n := r.int32()
	if r.err == nil && n < 0 {
		r.fail(nil, fmt.Sprintf("a vector of %d", n))
		return 0
	}
	return int(n)
}

func (r *fields) enter(at section) error {
	if r.err == nil && r.at != at {
		r.err = fmt.Errorf("%w: section %d read when %d was due", ErrMisuse, at, r.at)
	}
	return r.err
}

// Sessions reads the sessions.
func (r *fields) Sessions() ([]Session, error) {
	if err := r.enter(atSessions); err != nil {
		return nil, err
	}
	n := r.count()
	var v []Session
	for range n {
		s := Session{ID: znode.SessionID(r.int64()), Timeout: r.int32()}
		if r.err != nil {
			return nil, r.err
		}
		v = append(v, s)
	}
	r.at = atACLs
	return v, r.err
}

// ACLs reads the lists that nodes refer to.
func (r *fields) ACLs() ([]ACL, error) {
	if err := r.enter(atACLs); err != nil {
		return nil, err
	}
	n := r.count()
	var v []ACL
	for range n {
		a := ACL{ID: r.int64()}
		for range r.count() {
			a.List = append(a.List, znode.ACL{Perms: znode.Perms(r.int32()), ID: znode.ID{Scheme: r.string(), Name: r.string()}})
			if r.err != nil {
				return nil, r.err
			}
		}
		if r.err != nil {
			return nil, r.err
		}
		v = append(v, a)
	}
	r.at = atNodes
	return v, r.err
}

// node reads one more node; false if there are none, and what follows is to be read by others.
func (r *fields) node(n *Node) (more bool, err error) {
	if err := r.enter(atNodes); err != nil {
		return false, err
	}
	n.Path = r.string()
	switch {
	case r.err != nil:
		return false, r.err
	case n.Path == endOfNodes:
		return false, nil
	case n.Path == "":
		n.Path = "/"
	}
	n.Data = r.buffer()
	n.ACL = r.int64()
	if p := r.take(znode.StatPersistedLen); p != nil {
		d := jute.NewDecoder(p)
		n.Stat.DecodeJute(&d)
	}
	return r.err == nil, r.err
}
