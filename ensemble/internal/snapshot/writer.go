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
)

// A Writer writes one image: Sessions, ACLs, Nodes as often as need be, Finish, Publish; or Abandon at any time. An error is
// final: every later call but Abandon returns it.
type Writer struct {
	sections
	fsys disk.FS
	dir  string
	name Name
	raw  rawWriter
	comp io.WriteCloser
	sum  hash.Hash32
}

// Create begins an image of a tree that has every transaction up to zxid in it. It is written to a file beside until Publish.
func Create(fsys disk.FS, dir string, zxid znode.Zxid, c Compression) (*Writer, error) {
	w := &Writer{fsys: fsys, dir: dir, name: Name{Zxid: zxid, Compression: c}, sum: adler32.New()}
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
	w.to = io.MultiWriter(w.sum, w.comp)
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

func (w *Writer) seal() {
	w.flush()
	w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(w.sum.Sum32()))
	w.buf = append(w.buf, sealTail...)
}

// Finish ends the nodes, writes the trailer and the seals, and syncs the file. The two sections of the trailer are written both
// or, without a digest, neither: Apache's readers take one for the other. A node must have been written.
func (w *Writer) Finish(t Trailer) error {
	if err := w.end(); err != nil {
		return err
	}
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
