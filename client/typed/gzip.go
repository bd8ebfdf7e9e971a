package typed

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
)

// DefaultMax is the bound of Gzip where none is given.
const DefaultMax = 16 << 20

// ErrTooLarge tells that a value takes more bytes than its Gzip codec allows. It is always found together with ErrEncode or ErrDecode.
var ErrTooLarge = errors.New("more bytes than allowed")

// Gzip is a codec that compresses what another one, or JSON for nil, writes, as Curator's GzipCompressionProvider does: data are exactly one gzip
// member, of 20 bytes where there is nothing to compress. Data that are empty, have a second member or anything else behind the
// first, or do not match their checksum, are an error, as they are for Curator.
//
// max bounds what the other codec is given and may write, in bytes; 0 stands for DefaultMax. A megabyte of gzip can stand for a gigabyte:
// decoding stops at the bound with ErrTooLarge, and never holds more than a few times of what it has read so far.
func Gzip[T any](inner Codec[T], max int) Codec[T] {
	if inner == nil {
		inner = JSON[T]()
	}
	if max <= 0 {
		max = DefaultMax
	}
	return gzipCodec[T]{inner, min(max, math.MaxInt-1)}
}

type gzipCodec[T any] struct {
	inner Codec[T]
	max   int
}

func (c gzipCodec[T]) Encode(v T) ([]byte, error) {
	plain, err := c.inner.Encode(v)
	if err != nil {
		return nil, err
	}
	if len(plain) > c.max {
		return nil, fmt.Errorf("%w: %d, and %d is the most", ErrTooLarge, len(plain), c.max)
	}
	return deflate(plain)
}

func (c gzipCodec[T]) Decode(data []byte) (v T, err error) {
	plain, err := inflate(data, c.max)
	if err != nil {
		return v, err
	}
	return c.inner.Decode(plain)
}

// nothing is the member that java.util.zip and Curator write for empty data: a final block of fixed codes with only its end in it.
// compress/gzip would take three bytes more.
var nothing = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0}

// deflaters keeps writers for the next value: each has tables of most of a megabyte.
var deflaters = sync.Pool{New: func() any { return gzip.NewWriter(io.Discard) }}

func deflate(plain []byte) ([]byte, error) {
	if len(plain) == 0 {
		return bytes.Clone(nothing), nil
	}
	var out bytes.Buffer
	w := deflaters.Get().(*gzip.Writer)
	defer deflaters.Put(w)
	w.Reset(&out)
	defer w.Reset(io.Discard) // it must not hold on to the data
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// inflater is a reader of one member, kept for the next value.
type inflater struct {
	from   bytes.Reader // an io.ByteReader, so that gzip takes nothing beyond the member's end
	member gzip.Reader
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// inflate reads one member of at most max bytes. What it allocates follows what has come out, never what the data announce.
func inflate(data []byte, max int) ([]byte, error) {
	z := inflaters.Get().(*inflater)
	defer inflaters.Put(z)
	z.from.Reset(data)
	defer z.from.Reset(nil) // it must not hold on to the data
	if err := z.member.Reset(&z.from); err != nil {
		return nil, notGzip(err)
	}
	z.member.Multistream(false)
	var out bytes.Buffer
	if _, err := out.ReadFrom(io.LimitReader(&z.member, int64(max)+1)); err != nil {
		return nil, notGzip(err)
	}
	switch {
	case out.Len() > max:
		return nil, fmt.Errorf("%w: %d is the most", ErrTooLarge, max)
	case z.from.Len() > 0:
		return nil, fmt.Errorf("gzip: %d bytes behind the end of the member", z.from.Len())
	}
	return out.Bytes(), nil
}

// notGzip gives an end that comes too early its name: io.EOF would look like a good one.
func notGzip(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("gzip: %w", err)
}
