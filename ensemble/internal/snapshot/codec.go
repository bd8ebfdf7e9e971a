package snapshot

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A rawWriter writes a file from its beginning and keeps the CRC-32C of what it wrote. It syncs every so often, so that the
// last Sync has little left to do and others who sync meanwhile do not wait for all of it.
type rawWriter struct {
	f        disk.File
	size     int64
	unsynced int
	crc      uint32
}

const syncEvery = 16 << 20

func (w *rawWriter) Write(p []byte) (int, error) {
	n, err := w.f.WriteAt(p, w.size)
	w.size += int64(n)
	w.crc = crc32.Update(w.crc, castagnoli, p[:n])
	if w.unsynced += n; err == nil && w.unsynced >= syncEvery {
		w.unsynced = 0
		err = w.f.Sync()
	}
	return n, err
}

// A rawReader reads a file from its beginning.
type rawReader struct {
	f    disk.File
	off  int64
	size int64
	crc  uint32
}

func (r *rawReader) Read(p []byte) (int, error) {
	if r.off >= r.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.size-r.off)]
	n, err := r.f.ReadAt(p, r.off)
	r.off += int64(n)
	r.crc = crc32.Update(r.crc, castagnoli, p[:n])
	if err == io.EOF {
		err = nil
		if n == 0 {
			err = io.ErrUnexpectedEOF // the file has become shorter
		}
	}
	return n, err
}

// compress returns a writer that compresses into w. Close ends the compressed stream.
func compress(w io.Writer, c Compression) (io.WriteCloser, error) {
	switch c {
	case None:
		return &plainWriter{w}, nil
	case Gzip:
		return gzip.NewWriter(w), nil
	case Snappy:
		return newSnappyWriter(w)
	}
	return nil, fmt.Errorf("%w: compression %q", ErrMisuse, string(c))
}

type plainWriter struct{ io.Writer }

func (*plainWriter) Close() error { return nil }

// decompress returns a reader of what is compressed in r.
func decompress(r io.Reader, c Compression) (io.Reader, error) {
	switch c {
	case Gzip:
		return gzip.NewReader(bufio.NewReaderSize(r, 64<<10))
	case Snappy:
		return newSnappyReader(bufio.NewReaderSize(r, 64<<10))
	}
	return r, nil
}

// The stream format of snappy-java: a header, then blocks, each with its compressed length before it.
const (
	snappyHeader   = "\x82SNAPPY\x00" + "\x00\x00\x00\x01" + "\x00\x00\x00\x01"
	snappyBlock    = 32 << 10 // as snappy-java cuts; a reader takes any
	snappyMaxBlock = 64 << 20
	snappyMaxGain  = 32 // no snappy element makes more bytes out of one
)

var errSnappy = errors.New("not a snappy stream")

type snappyWriter struct {
	w   io.Writer
	in  []byte
	out []byte
}

func newSnappyWriter(w io.Writer) (*snappyWriter, error) {
	_, err := io.WriteString(w, snappyHeader)
	return &snappyWriter{w: w}, err
}

func (s *snappyWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		step := min(len(p), snappyBlock-len(s.in))
		s.in = append(s.in, p[:step]...)
		p = p[step:]
		if len(s.in) == snappyBlock {
			if err := s.flush(); err != nil {
				return n - len(p), err
			}
		}
	}
	return n, nil
}

func (s *snappyWriter) flush() error {
	if len(s.in) == 0 {
		return nil
	}
	if s.out == nil {
		s.out = make([]byte, 4+snappy.MaxEncodedLen(snappyBlock))
	}
	block := snappy.Encode(s.out[4:], s.in)
	binary.BigEndian.PutUint32(s.out, uint32(len(block)))
	s.in = s.in[:0]
	_, err := s.w.Write(s.out[:4+len(block)])
	return err
}

func (s *snappyWriter) Close() error { return s.flush() }

type snappyReader struct {
	r     io.Reader
	block []byte // compressed
	out   []byte // decompressed
	left  []byte // of out, not handed out yet
}

func newSnappyReader(r io.Reader) (*snappyReader, error) {
	head := make([]byte, len(snappyHeader))
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	if string(head) != snappyHeader {
		return nil, fmt.Errorf("%w: header %x", errSnappy, head)
	}
	return &snappyReader{r: r}, nil
}

func (s *snappyReader) Read(p []byte) (int, error) {
	for len(s.left) == 0 {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	return n, nil
}

func (s *snappyReader) fill() error {
	var head [4]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return err // io.EOF at the end of a block is the end
	}
	n := int(int32(binary.BigEndian.Uint32(head[:])))
	if n <= 0 || n > snappyMaxBlock {
		return fmt.Errorf("%w: block of %d bytes", errSnappy, n)
	}
	var err error
	if s.block, err = readGrowing(s.r, s.block[:0], n); err != nil {
		return err
	}
	size, err := snappy.DecodedLen(s.block)
	if err != nil || size > snappyMaxGain*n {
		return fmt.Errorf("%w: a block of %d bytes that claims to hold %d", errSnappy, n, size)
	}
	if cap(s.out) < size {
		s.out = make([]byte, size)
	}
	if s.out, err = snappy.Decode(s.out[:cap(s.out)], s.block); err != nil {
		return fmt.Errorf("%w: %w", errSnappy, err)
	}
	s.left = s.out
	return nil
}

// readGrowing appends n bytes from r to b, and takes memory only as they come.
func readGrowing(r io.Reader, b []byte, n int) ([]byte, error) {
	for n > 0 {
		step := min(n, max(64<<10, len(b)))
		at := len(b)
		if cap(b)-at < step {
			b = append(make([]byte, 0, at+step), b...)
		}
		b = b[:at+step]
		if _, err := io.ReadFull(r, b[at:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return b[:at], err
		}
		n -= step
	}
	return b, nil
}
