package front

import (
	"encoding/binary"
	"errors"
	"io"
)

const (
	minInput = 4 << 10
	maxInput = 64 << 10 // room for frames that arrive together; only a frame longer than that makes the buffer longer
	patience = 8        // reads in a row that used little of the buffer before it is halved
)

var errFrameLength = errors.New("front: frame length out of bounds")

// input is what was read from a connection and not handled yet. The buffer grows when it is full, so its size is at most twice
// what the peer has really sent, and shrinks when it is not needed.
type input struct {
	buf    []byte
	r, w   int // buf[r:w] is not handled yet; 0 ≤ r ≤ w ≤ len(buf)
	sparse int // reads in a row that left most of the buffer unused
}

// len is how many bytes wait.
func (in *input) len() int { return in.w - in.r }

// fill reads once, waiting for at least one byte.
func (in *input) fill(from io.Reader) error {
	in.makeRoom()
	n, err := from.Read(in.buf[in.w:])
	in.w += n
	if in.w < len(in.buf)/8 {
		in.sparse++
	} else {
		in.sparse = 0
	}
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// makeRoom makes room for at least one more byte behind what waits, or for less than there was.
func (in *input) makeRoom() {
	size := len(in.buf)
	switch {
	case size == 0:
		size = minInput
	case in.len() == size:
		size *= 2
	case in.len() == 0 && size > maxInput:
		size = maxInput
	case in.len() == 0 && in.w == size && size < maxInput: // the last read filled it
		size *= 2
	case in.len() < size/8 && in.sparse >= patience && size > minInput:
		size /= 2
		in.sparse = 0
	case in.r == 0:
		return
	}
	to := in.buf
	if size != len(in.buf) {
		to = make([]byte, size)
	}
	in.w = copy(to, in.buf[in.r:in.w])
	in.buf, in.r = to, 0
}

// frame takes the next frame off, without its length; it is valid until fill. Until a whole one is there it returns nil, and
// the length of the one that has begun, 0 before that is known. A length below 0 or above limit is an error.
func (in *input) frame(limit int) (frame []byte, length int, err error) {
	if in.len() < 4 {
		return nil, 0, nil
	}
	n := int(int32(binary.BigEndian.Uint32(in.buf[in.r:])))
	if n < 0 || n > limit {
		return nil, 0, errFrameLength
	}
	if in.len() < 4+n {
		return nil, n, nil
	}
	frame = in.buf[in.r+4 : in.r+4+n : in.r+4+n]
	in.r += 4 + n
	return frame, n, nil
}

// take takes n bytes off, which are there.
func (in *input) take(n int) []byte {
	b := in.buf[in.r : in.r+n]
	in.r += n
	return b
}

// drop forgets what waits.
func (in *input) drop() { in.r, in.w = 0, 0 }
