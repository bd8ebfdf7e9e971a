package packet

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

const (
	chunkSize = 32 << 10 // what a Reader reads into; full ones are left to the packets that alias them
	leastRead = 2 << 10  // with less room than this a new chunk is begun
	fixedLen  = 16       // a packet up to and including the length of its data
	internLen = 256      // longer identities are decoded each time
	internMax = 1024     // identities remembered
)

// A Reader takes packets off a connection. It reads ahead into a chunk of its own; the Data of the packets aliases that chunk,
// which is never written again where a packet stands, so that packets may be kept and shared: nothing is copied, and nothing
// allocated for each. A Reader is for one goroutine.
type Reader struct {
	src      io.Reader
	max      int
	chunk    []byte // what has been read and not yet handed out is chunk[off:end]
	off, end int
	lent     bool                  // some packet's Data aliases the chunk
	known    map[string][]znode.ID // identities by their encoding: a learner sends the same ones over and over
}

// NewReader returns a Reader of src that refuses a packet whose data is longer than max bytes, or whose identities are.
func NewReader(src io.Reader, max int) *Reader { return &Reader{src: src, max: max} }

// Next reads the next packet into p. It blocks until the whole packet is here. Data and IDs are p's to keep but not to change.
//
// At the end of the stream between packets the error is io.EOF, inside one io.ErrUnexpectedEOF. One that wraps
// [jute.ErrMalformed] means that the stream cannot be read any further. After an error of src, such as a passed deadline, Next
// may be called again.
func (r *Reader) Next(p *Packet) error {
	if err := r.need(fixedLen); err != nil {
		return err
	}
	length := r.int32(fixedLen - 4)
	if length < -1 || int(length) > r.max {
		return r.malformed("data of %d bytes, at most %d", length, r.max)
	}
	ids := fixedLen + max(int(length), 0)
	end, err := r.needIDs(ids)
	if err != nil {
		return err
	}
	b := r.chunk[r.off : r.off+end]
	*p = Packet{Type: Type(binary.BigEndian.Uint32(b)), Zxid: znode.Zxid(binary.BigEndian.Uint64(b[4:]))}
	if length >= 0 {
		p.Data = b[fixedLen:ids:ids]
		r.lent = r.lent || length > 0
	}
	p.IDs = r.ids(b[ids:end])
	r.off += end
	return nil
}

// needIDs waits for the vector of identities at the given offset and returns where it ends.
func (r *Reader) needIDs(start int) (int, error) {
	end := start + 4
	if err := r.need(end); err != nil {
		return 0, err
	}
	count := int(r.int32(start))
	if count > r.max/8 {
		return 0, r.malformed("%d identities, at most %d bytes of them", count, r.max)
	}
	for range 2 * max(count, 0) {
		if err := r.need(end + 4); err != nil {
			return 0, err
		}
		length := int(r.int32(end))
		end += 4 + max(length, 0)
		if length < -1 || end-start > r.max+4 {
			return 0, r.malformed("an identity of %d bytes, at most %d of them", length, r.max)
		}
	}
	return end, r.need(end)
}

// ids decodes a whole vector of identities, or finds it among the known.
func (r *Reader) ids(b []byte) []znode.ID {
	if len(b) == 4 && int32(binary.BigEndian.Uint32(b)) == -1 {
		return nil
	}
	if ids, ok := r.known[string(b)]; ok {
		return ids
	}
	d := jute.NewDecoder(b)
	ids := decodeIDs(&d)
	if len(b) > internLen {
		return ids
	}
	if r.known == nil || len(r.known) >= internMax {
		r.known = make(map[string][]znode.ID)
	}
	r.known[string(b)] = ids
	return ids
}

// Buffered reports whether a part of the next packet, or all of it, has been read already: whoever gathers packets into a
// batch goes on while it has.
func (r *Reader) Buffered() bool { return r.end > r.off }

// Read reads the bytes behind the last packet, as those of a snapshot that follows SNAP. The next call of Next must find a
// packet where reading stopped.
func (r *Reader) Read(p []byte) (int, error) {
	if r.off == r.end {
		return r.src.Read(p)
	}
	n := copy(p, r.chunk[r.off:r.end])
	r.off += n
	return n, nil
}

func (r *Reader) int32(at int) int32 { return int32(binary.BigEndian.Uint32(r.chunk[r.off+at:])) }

func (r *Reader) malformed(format string, args ...any) error {
	var d jute.Decoder
	d.Fail(format, args...)
	return d.Err()
}

// need reads until n bytes behind off are here.
func (r *Reader) need(n int) error {
	for empty := 0; r.end-r.off < n; {
		r.room(n)
		got, err := r.src.Read(r.chunk[r.end:])
		r.end += got
		switch {
		case r.end-r.off >= n:
			return nil
		case errors.Is(err, io.EOF) && r.end > r.off:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case got > 0:
			empty = 0
		case empty == 100:
			return io.ErrNoProgress
		default:
			empty++
		}
	}
	return nil
}

// room makes room for more. A packet that does not fit gets a chunk that doubles with what has come of it, so that only bytes
// that were sent are paid for.
func (r *Reader) room(n int) {
	have := r.end - r.off
	if free := len(r.chunk) - r.end; free >= leastRead || free >= n-have && free > 0 {
		return
	}
	next := r.chunk
	if size := max(chunkSize, min(n, 2*have)); r.lent || len(next) < size || len(next) > chunkSize && size == chunkSize {
		next = make([]byte, size)
	}
	copy(next, r.chunk[r.off:r.end])
	r.chunk, r.off, r.end, r.lent = next, 0, have, false
}
