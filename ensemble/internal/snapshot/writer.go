package snapshot

import (
	"encoding/binary"
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
	tmpPrefix = "bellwether." // keeps an unfinished image out of Apache's sight
	tmpSuffix = ".tmp"

	flushAt = 256 << 10
)

// The sections of an image, in order.
type section int

const (
	atSessions section = iota
	atACLs
	atNodes
	atPublish
	atEnd
)

// A Writer writes one image: Sessions, ACLs, Nodes as often as need be, Finish, Publish; or Abandon at any time. An error is
// final: every later call but Abandon returns it.
type Writer struct {
	fsys  disk.FS
	dir   string
	name  Name
	raw   rawWriter
	comp  io.WriteCloser
	buf   []byte // not yet summed nor written
	sum   hash.Hash32
	at    section
	nodes int
	err   error
}

// Create begins an image of a tree that has every transaction up to zxid in it. It is written to a file beside until Publish.
func Create(fsys disk.FS, dir string, zxid znode.Zxid, c Compression) (*Writer, error) {
	w := &Writer{fsys: fsys, dir: dir, name: Name{Zxid: zxid, Compression: c}, sum: adler32.New(), buf: make([]byte, 0, flushAt+4096)}
	if !c.Valid() {
		return nil, fmt.Errorf("%w: compression %q", ErrMisuse, string(c))
	}
	f, err := fsys.Create(w.tmp())
	if err != nil {
		return nil, err
	}
	w.raw.f = f
	if w.comp, err = compress(&w.raw, c); err != nil {
		f.Close()
		return nil, err
	}
	w.buf = jute.AppendInt32(w.buf, magic)
	w.buf = jute.AppendInt32(w.buf, version)
	w.buf = jute.AppendInt64(w.buf, -1)
	return w, nil
}

func (w *Writer) tmp() string { return filepath.Join(w.dir, tmpPrefix+w.name.String()+tmpSuffix) }

// Name is the name the image will have.
func (w *Writer) Name() Name { return w.name }

// Size is the number of bytes written to the file so far; CRC their CRC-32C (Castagnoli). Both are final after Finish.
func (w *Writer) Size() int64 { return w.raw.size }

// CRC is the CRC-32C of the file so far.
func (w *Writer) CRC() uint32 { return w.raw.crc }

// Err is the error that ended the Writer, if any.
func (w *Writer) Err() error { return w.err }

// enter checks that a section may begin.
func (w *Writer) enter(at section) error {
	if w.err == nil && w.at != at {
		w.err = fmt.Errorf("%w: section %d when %d was due", ErrMisuse, at, w.at)
	}
	return w.err
}

// Sessions writes the open sessions, in any order.
func (w *Writer) Sessions(v []Session) error {
	if err := w.enter(atSessions); err != nil {
		return err
	}
	w.buf = jute.AppendInt32(w.buf, int32(len(v)))
	for _, s := range v {
		w.buf = jute.AppendInt64(w.buf, int64(s.ID))
		w.buf = jute.AppendInt32(w.buf, s.Timeout)
		w.spill()
	}
	w.at = atACLs
	return w.err
}

// ACLs writes the lists that nodes refer to, in any order.
func (w *Writer) ACLs(v []ACL) error {
	if err := w.enter(atACLs); err != nil {
		return err
	}
	w.buf = jute.AppendInt32(w.buf, int32(len(v)))
	for _, a := range v {
		w.buf = jute.AppendInt64(w.buf, a.ID)
		w.buf = znode.AppendACLs(w.buf, a.List)
		w.spill()
	}
	w.at = atNodes
	return w.err
}

// Nodes writes some more nodes. The very first must be the root, and parents come before their children. The slice and what
// is in it are the caller's again on return.
func (w *Writer) Nodes(v []Node) error {
	if err := w.enter(atNodes); err != nil {
		return err
	}
	for i := range v {
		path := v[i].Path
		if root := path == "" || path == "/"; root != (w.nodes == 0) {
			w.err = fmt.Errorf("%w: node %d is %q", ErrMisuse, w.nodes, path)
			return w.err
		}
		if path == "/" {
			path = ""
		}
		w.buf = jute.AppendString(w.buf, path)
		w.buf = jute.AppendBuffer(w.buf, v[i].Data)
		w.buf = jute.AppendInt64(w.buf, v[i].ACL)
		w.buf = v[i].Stat.AppendJute(w.buf)
		w.nodes++
		w.spill()
	}
	return w.err
}

// spill writes the buffer if it is full.
func (w *Writer) spill() {
	if len(w.buf) >= flushAt {
		w.flush()
	}
}

func (w *Writer) flush() {
	if w.err == nil {
		w.sum.Write(w.buf)
		_, w.err = w.comp.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

func (w *Writer) seal() {
	w.flush()
	w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(w.sum.Sum32()))
	w.buf = append(w.buf, sealTail...)
}

// Finish ends the nodes, writes the trailer and the seals, and syncs the file. The two sections of the trailer are written both
// or, without a digest, neither: Apache's readers take one for the other. A node must have been written.
func (w *Writer) Finish(t Trailer) error {
	if err := w.enter(atNodes); err != nil {
		return err
	}
	if w.nodes == 0 {
		w.err = fmt.Errorf("%w: an image without a root", ErrMisuse)
		return w.err
	}
	w.buf = jute.AppendString(w.buf, "/")
	w.seal()
	if t.HasDigest {
		w.buf = jute.AppendInt64(w.buf, int64(t.DigestZxid))
		w.buf = jute.AppendInt32(w.buf, digestVersion)
		w.buf = jute.AppendInt64(w.buf, int64(t.Digest))
		w.seal()
		w.buf = jute.AppendInt64(w.buf, int64(t.Last))
		w.seal()
	}
	w.flush()
	if w.err == nil {
		w.err = w.comp.Close()
	}
	if w.err == nil {
		w.err = w.raw.f.Sync()
	}
	if err := w.raw.f.Close(); w.err == nil {
		w.err = err
	}
	w.raw.f = nil
	w.at = atPublish
	return w.err
}

// Publish gives the image its name, in place of one of that name, and makes it durable.
func (w *Writer) Publish() error {
	if err := w.enter(atPublish); err != nil {
		return err
	}
	if w.err = w.fsys.Rename(w.tmp(), filepath.Join(w.dir, w.name.String())); w.err == nil {
		w.err = w.fsys.SyncDir(w.dir)
	}
	w.at = atEnd
	return w.err
}

// Abandon removes what has been written of an image that was not published. Its error is that of the removal.
func (w *Writer) Abandon() error {
	if w.raw.f != nil {
		w.raw.f.Close()
		w.raw.f = nil
	}
	if w.at == atEnd {
		return nil
	}
	w.at = atEnd
	return w.fsys.Remove(w.tmp())
}
