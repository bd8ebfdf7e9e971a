package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/adler32"
	"io"
	"path/filepath"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

const (
	bufferSize = 64 << 10

	remedy = "an older snapshot is used if there is one and the log goes back to it; otherwise restore the file from a copy, " +
		"or empty this server's data directory and let it copy the data from others"
)

// A Reader reads one image: Sessions, ACLs, then Next until io.EOF. Every failure is a *disk.Damage and final.
type Reader struct {
	path    string
	name    Name
	raw     rawReader
	in      io.Reader // decompressed
	buf     []byte
	from    int    // of buf, the next byte
	summed  int    // of buf, what sum has
	base    int64  // offset of buf, decompressed
	data    []byte // the last short buffer handed out
	sum     hash.Hash32
	at      section
	trailer Trailer
	err     error
}

// Open opens an image and checks its header.
func Open(fsys disk.FS, dir string, name Name) (*Reader, error) {
	r := &Reader{path: filepath.Join(dir, name.String()), name: name, sum: adler32.New(), buf: make([]byte, 0, bufferSize)}
	f, err := fsys.Open(r.path)
	if err != nil {
		return nil, err
	}
	r.raw.f = f
	if r.raw.size, err = f.Size(); err != nil {
		f.Close()
		return nil, err
	}
	if r.in, err = decompress(&r.raw, name.Compression); err != nil {
		r.fail(err, "cannot be decompressed")
	} else if m, v := r.int32(), r.int32(); r.err == nil && (m != magic || v != version || r.int64() != -1) {
		r.fail(nil, fmt.Sprintf("header is %#x, version %d", uint32(m), v))
	}
	if r.err != nil {
		f.Close()
		return nil, r.err
	}
	return r, nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.raw.f.Close() }

// Name is the name of the image.
func (r *Reader) Name() Name { return r.name }

// Size is the size of the file in bytes.
func (r *Reader) Size() int64 { return r.raw.size }

// CRC is the CRC-32C of the file, after io.EOF from Next.
func (r *Reader) CRC() uint32 { return r.raw.crc }

// Trailer is what follows the nodes, after io.EOF from Next.
func (r *Reader) Trailer() Trailer { return r.trailer }

// fail makes the Reader fail, unless it has.
func (r *Reader) fail(err error, what string) error {
	if r.err == nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err, what = nil, "the file ends too early"
		}
		if r.name.Compression != None {
			what += " (the offset is in the decompressed data)"
		}
		r.err = &disk.Damage{File: r.path, Offset: r.base + int64(r.from), What: what, Remedy: remedy, Err: err}
	}
	return r.err
}

// fill reads on until n bytes (at most bufferSize) are buffered, or returns io.EOF with fewer.
func (r *Reader) fill(n int) error {
	if len(r.buf)-r.from >= n {
		return nil
	}
	r.sum.Write(r.buf[r.summed:r.from])
	r.base += int64(r.from)
	r.buf = r.buf[:copy(r.buf[:cap(r.buf)], r.buf[r.from:])]
	r.from, r.summed = 0, 0
	for idle := 0; len(r.buf) < n; {
		k, err := r.in.Read(r.buf[len(r.buf):cap(r.buf)])
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
func (r *Reader) take(n int) []byte {
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

func (r *Reader) int32() int32 {
	if p := r.take(4); p != nil {
		return int32(binary.BigEndian.Uint32(p))
	}
	return 0
}

func (r *Reader) int64() int64 {
	if p := r.take(8); p != nil {
		return int64(binary.BigEndian.Uint64(p))
	}
	return 0
}

// bytes reads n bytes; short ones are in the buffer and valid until the next call, owned tells.
func (r *Reader) bytes(n int) (p []byte, owned bool) {
	if n <= bufferSize {
		return r.take(n), false
	}
	if r.name.Compression == None && int64(n) > r.raw.size-r.base-int64(r.from) {
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
func (r *Reader) buffer() []byte {
	n := r.int32()
	if r.err != nil || n == -1 {
		return nil
	}
	if n < 0 || n > maxField {
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

func (r *Reader) string() string {
	n := r.int32()
	if r.err != nil {
		return ""
	}
	if n < 0 || n > maxField {
		r.fail(nil, fmt.Sprintf("length %d of a string", n))
		return ""
	}
	p, _ := r.bytes(int(n))
	return string(p)
}

// count reads the length of a vector.
func (r *Reader) count() int {
	n := r.int32()
	if r.err == nil && n < 0 {
		r.fail(nil, fmt.Sprintf("a vector of %d", n))
		return 0
	}
	return int(n)
}

func (r *Reader) enter(at section) error {
	if r.err == nil && r.at != at {
		r.err = fmt.Errorf("%w: section %d read when %d was due", ErrMisuse, at, r.at)
	}
	return r.err
}

// Sessions reads the sessions.
func (r *Reader) Sessions() ([]Session, error) {
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
func (r *Reader) ACLs() ([]ACL, error) {
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

// Next reads one more node into n; its data is valid until the next call. It returns io.EOF when there are no more and the whole
// image has proved good; until then nothing of it may be believed.
func (r *Reader) Next(n *Node) error {
	if r.at == atEnd && r.err == nil {
		return io.EOF
	}
	if err := r.enter(atNodes); err != nil {
		return err
	}
	n.Path = r.string()
	switch {
	case r.err != nil:
		return r.err
	case n.Path == "/":
		return r.finish()
	case n.Path == "":
		n.Path = "/"
	}
	n.Data = r.buffer()
	n.ACL = r.int64()
	if p := r.take(znode.StatPersistedLen); p != nil {
		d := jute.NewDecoder(p)
		n.Stat.DecodeJute(&d)
	}
	return r.err
}

// seal checks a seal.
func (r *Reader) seal() {
	if r.err != nil {
		return
	}
	r.sum.Write(r.buf[r.summed:r.from])
	r.summed = r.from
	want := uint64(r.sum.Sum32())
	if p := r.take(sealLen); p != nil {
		if got := binary.BigEndian.Uint64(p); got != want || string(p[8:]) != sealTail {
			r.from -= sealLen
			r.fail(nil, fmt.Sprintf("checksum %x, the seal says %x%x", want, got, p[8:]))
		}
	}
}

// finish checks the first seal, reads the sections that are there, and sees that nothing follows. Which sections these are only
// the number of bytes left can tell.
func (r *Reader) finish() error {
	r.seal()
	if r.err != nil {
		return r.err
	}
	const both = digestLen + sealLen + lastLen + sealLen
	if err := r.fill(both + 1); err != nil && err != io.EOF {
		return r.fail(err, "cannot be read")
	}
	left := len(r.buf) - r.from
	switch left {
	case 0, digestLen + sealLen, lastLen + sealLen, both:
	default:
		return r.fail(nil, fmt.Sprintf("%d bytes behind the nodes", left))
	}
	t := &r.trailer
	if left >= digestLen+sealLen {
		t.HasDigest = true
		t.DigestZxid = znode.Zxid(r.int64())
		if v := r.int32(); v != digestVersion {
			return r.fail(nil, fmt.Sprintf("digest version %d", v))
		}
		t.Digest = uint64(r.int64())
		r.seal()
	}
	if left == both || left == lastLen+sealLen {
		t.HasLast = true
		t.Last = znode.Zxid(r.int64())
		r.seal()
	}
	if r.err != nil {
		return r.err
	}
	r.at = atEnd
	return io.EOF
}

// Verify reads what is left of the image and checks it; nil if the whole image is good.
func (r *Reader) Verify() error {
	if r.at == atSessions {
		if _, err := r.Sessions(); err != nil {
			return err
		}
	}
	if r.at == atACLs {
		if _, err := r.ACLs(); err != nil {
			return err
		}
	}
	for {
		var n Node
		if err := r.Next(&n); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
