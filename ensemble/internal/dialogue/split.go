package dialogue

import "encoding/binary"

// MaxFrame is the longest frame that is read, in bytes without its length.
const MaxFrame = 4 << 20

// tooLong is a length that no frame has. The four letters of a word, read as a length, are beyond it, or negative.
const tooLong = 1 << 30

// lengthSize is the size of a frame's length in bytes.
const lengthSize = 4

// A splitter finds where frames begin in the bytes of one direction.
type splitter struct {
	begun []byte // of a frame that is not whole, at most lengthSize + MaxFrame
	skip  int    // bytes to come of a frame that is too long to be read
	raw   bool   // no frames are expected any more
}

// split appends the frames that b completes, with what read says about each.
func (s *splitter) split(b []byte, out []Frame, read func(body []byte) Message) []Frame {
	for len(b) > 0 || s.raw && len(s.begun) > 0 {
		piece, whole, rest := s.take(b)
		b = rest
		switch {
		case len(piece) == 0:
		case whole:
			out = append(out, Frame{Message: read(piece[lengthSize:]), Bytes: piece})
		default:
			out = append(out, Frame{Bytes: piece})
		}
	}
	return out
}

// take returns the next whole frame, or a piece of something else, or nothing when it has kept all of b until more comes. A piece
// aliases b or is given away.
func (s *splitter) take(b []byte) (piece []byte, whole bool, rest []byte) {
	switch {
	case s.raw && len(s.begun) > 0:
		return s.give(), false, b
	case s.raw:
		return b, false, nil
	case s.skip > 0:
		n := min(s.skip, len(b))
		s.skip -= n
		return b[:n], false, b[n:]
	}
	size, known := s.length(b)
	switch {
	case !known:
		return s.keep(b, lengthSize)
	case size < 0 || size > tooLong:
		s.raw = true
		return nil, false, b
	case size > MaxFrame:
		s.skip = lengthSize + size - len(s.begun)
		return s.give(), false, b
	case len(s.begun) == 0 && len(b) >= lengthSize+size:
		return b[:lengthSize+size], true, b[lengthSize+size:]
	}
	return s.keep(b, lengthSize+size)
}

// length is that of the frame whose bytes are in begun and b, if enough of them have come.
func (s *splitter) length(b []byte) (size int, known bool) {
	if len(s.begun)+len(b) < lengthSize {
		return 0, false
	}
	var head [lengthSize]byte
	copy(head[copy(head[:], s.begun):], b)
	return int(int32(binary.BigEndian.Uint32(head[:]))), true
}

// keep keeps of b what a frame of want bytes in all lacks, and gives it away when it is whole.
func (s *splitter) keep(b []byte, want int) (piece []byte, whole bool, rest []byte) {
	n := min(want-len(s.begun), len(b))
	s.begun = append(s.begun, b[:n]...)
	if len(s.begun) == want {
		return s.give(), true, b[n:]
	}
	return nil, false, b[n:]
}

// give gives away what has been kept.
func (s *splitter) give() []byte {
	b := s.begun
	s.begun = nil
	return b
}
