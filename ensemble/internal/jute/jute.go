// Package jute is ZooKeeper's binary encoding: big-endian numbers, length-prefixed strings, buffers and vectors, records
// without tags. Every message on a ZooKeeper wire and every record in its files is written in it.
//
// Encoding appends to a slice, after the manner of [encoding.BinaryAppender]: each Append function returns the extended
// slice, so a whole frame is built without an intermediate allocation. Decoding is a [Decoder] over a slice with a sticky
// error: read all fields, then look at Err once. A Decoder never panics and never allocates more than the input has
// paid for: a count is checked against the bytes that are left before anybody makes a slice of that size.
//
// A null string, buffer or vector has length -1. Buffers keep the difference between null and empty; strings and
// vectors tell it on request, since only a few records give it a meaning.
package jute

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed is the kind of every decoding failure; the wrapped message says what was wrong and where.
var ErrMalformed = errors.New("jute: malformed")

// AppendBool appends one byte, 0 or 1.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendInt32 appends v in four bytes.
func AppendInt32(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }

// AppendInt64 appends v in eight bytes.
func AppendInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

// AppendString appends the length of s in bytes, then its bytes. The empty string has length 0; null cannot be said.
func AppendString(b []byte, s string) []byte {
	return append(AppendInt32(b, int32(len(s))), s...)
}

// AppendBuffer appends the length of p, then its bytes; a nil p is null (length -1), an empty one is not.
func AppendBuffer(b, p []byte) []byte {
	if p == nil {
		return AppendInt32(b, -1)
	}
	return append(AppendInt32(b, int32(len(p))), p...)
}

// AppendStrings appends a vector of strings. A nil slice is written as an empty vector: many clients cannot read null.
func AppendStrings(b []byte, v []string) []byte {
	b = AppendInt32(b, int32(len(v)))
	for _, s := range v {
		b = AppendString(b, s)
	}
	return b
}

// A Decoder reads fields from a byte slice in order. The zero value reads from nothing. After the first failure every
// further call returns a zero value and Err reports the failure. Bytes after the last field are left unread, as
// ZooKeeper ignores them.
type Decoder struct {
	b   []byte
	off int
	err error
}

// NewDecoder returns a Decoder over b. Buffers it hands out alias b; strings are copies.
func NewDecoder(b []byte) Decoder { return Decoder{b: b} }

// Err is the first failure, or nil. It wraps ErrMalformed.
func (d *Decoder) Err() error { return d.err }

// Len is the number of bytes not yet read.
func (d *Decoder) Len() int { return len(d.b) - d.off }

// Rest is what has not been read yet; it aliases the input.
func (d *Decoder) Rest() []byte { return d.b[d.off:] }

// Fail makes the Decoder fail with a message of the caller's, unless it has failed before: for values that decode but may
// not be.
func (d *Decoder) Fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w at byte %d: %s", ErrMalformed, d.off, fmt.Sprintf(format, args...))
	}
	d.off = len(d.b)
}

func (d *Decoder) take(n int) []byte {
	if d.err != nil {
		return nil
	}
	if n > len(d.b)-d.off {
		d.Fail("%d bytes wanted, %d left", n, len(d.b)-d.off)
		return nil
	}
	p := d.b[d.off : d.off+n : d.off+n]
	d.off += n
	return p
}

// Bool reads one byte; any value but 0 is true.
func (d *Decoder) Bool() bool {
	p := d.take(1)
	return p != nil && p[0] != 0
}

// Int32 reads four bytes.
func (d *Decoder) Int32() int32 {
	if p := d.take(4); p != nil {
		return int32(binary.BigEndian.Uint32(p))
	}
	return 0
}

// Int64 reads eight bytes.
func (d *Decoder) Int64() int64 {
	if p := d.take(8); p != nil {
		return int64(binary.BigEndian.Uint64(p))
	}
	return 0
}

// Buffer reads a buffer that aliases the input: nil for null, empty but not nil for empty.
func (d *Decoder) Buffer() []byte {
	n := d.Int32()
	switch {
	case d.err != nil || n == -1:
		return nil
	case n < -1:
		d.Fail("length %d", n)
		return nil
	}
	return d.take(int(n))
}

// NullableString reads a string and whether it was null.
func (d *Decoder) NullableString() (s string, null bool) {
	p := d.Buffer()
	return string(p), p == nil
}

// String reads a string; null reads as the empty string.
func (d *Decoder) String() string { return string(d.Buffer()) }

// Count reads the length of a vector whose elements take at least elem bytes each, so that a made-up length fails here
// and not in an allocation. Null is -1; any other negative length is that of an empty vector, as for Java's reader.
func (d *Decoder) Count(elem int) int {
	n := d.Int32()
	switch {
	case d.err != nil:
		return 0
	case n < -1:
		return 0
	case n > 0 && int64(n)*int64(elem) > int64(d.Len()):
		d.Fail("count %d of at least %d bytes each, %d left", n, elem, d.Len())
		return 0
	}
	return int(n)
}

// Strings reads a vector of strings, nil for null.
func (d *Decoder) Strings() []string {
	n := d.Count(4)
	if n < 0 || d.err != nil {
		return nil
	}
	v := make([]string, n)
	for i := range v {
		v[i] = d.String()
	}
	if d.err != nil {
		return nil
	}
	return v
}
