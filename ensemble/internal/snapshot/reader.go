package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"path/filepath"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

const remedy = "an older snapshot is used if there is one and the log goes back to it; otherwise restore the file from a copy, " +
	"or empty this server's data directory and let it copy the data from others"

// A Reader reads one image: Sessions, ACLs, then Next until io.EOF. Every failure is a *disk.Damage and final.
type Reader struct {
	fields
	path    string
	name    Name
	raw     rawReader
	trailer Trailer
}

// Open opens an image and checks its header.
func Open(fsys disk.FS, dir string, name Name) (*Reader, error) {
	r := &Reader{path: filepath.Join(dir, name.String()), name: name}
	r.fields = fields{ahead: true, max: maxField, sum: adler32.New(), failure: r.damage}
	f, err := fsys.Open(r.path)
	if err != nil {
		return nil, err
	}
	r.raw.f = f
	if r.raw.size, err = f.Size(); err != nil {
		f.Close()
		return nil, err
	}
	if name.Compression == None {
		r.left = func() int64 { return r.raw.size - r.offset() }
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

// damage is what the Reader fails with at offset at.
func (r *Reader) damage(at int64, err error, what string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err, what = nil, "the file ends too early"
	}
	if r.name.Compression != None {
		what += " (the offset is in the decompressed data)"
	}
	return &disk.Damage{File: r.path, Offset: at, What: what, Remedy: remedy, Err: err}
}

// Next reads one more node into n; its data is valid until the next call. It returns io.EOF when there are no more and the whole
// image has proved good; until then nothing of it may be believed.
func (r *Reader) Next(n *Node) error {
	if r.at == atEnd && r.err == nil {
		return io.EOF
	}
	if more, err := r.node(n); more || err != nil {
		return err
	}
	return r.finish()
}

// seal checks a seal.
func (r *Reader) seal() {
	if r.err != nil {
		return
	}
	r.summarize()
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
