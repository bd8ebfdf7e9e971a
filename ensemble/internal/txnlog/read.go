package txnlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"iter"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

const (
	windowSize = 256 << 10

	remedyRestore = "restore the file from a copy, or empty this server's data directory and let it copy the data from others"
)

// A finding is why a scanner stopped.
type finding int

const (
	more    finding = iota // it has a record
	ended                  // the file ends here, or a length of zero says so
	torn                   // a record begins here and is not complete
	corrupt                // a complete record is here, and it is not what was written
)

// A scanner reads the records of one file in order.
type scanner struct {
	f      disk.File
	size   int64 // where to stop
	off    int64 // of the next record
	window []byte
	base   int64 // offset of window
}

// openScanner opens a file and checks its header. what is not empty if the header is damaged; a file too short for one has
// offset 0 and no records.
func openScanner(fsys disk.FS, name string, size int64) (s *scanner, what string, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, "", err
	}
	if size < 0 {
		if size, err = f.Size(); err != nil {
			f.Close()
			return nil, "", err
		}
	}
	s = &scanner{f: f, size: size}
	if size < fileHeaderLen {
		return s, "", nil
	}
	b, err := s.peek(0, fileHeaderLen)
	if err != nil {
		f.Close()
		return nil, "", err
	}
	switch {
	case binary.BigEndian.Uint32(b) != magic:
		what = fmt.Sprintf("header begins with %x, not ZKLG", b[:4])
	case binary.BigEndian.Uint32(b[4:]) != version:
		what = fmt.Sprintf("version %d, not %d", binary.BigEndian.Uint32(b[4:]), version)
	case binary.BigEndian.Uint64(b[8:]) != 0:
		what = fmt.Sprintf("dbid %d, not 0", binary.BigEndian.Uint64(b[8:]))
	}
	s.off = fileHeaderLen
	return s, what, nil
}

func (s *scanner) close() { s.f.Close() }

// peek returns n bytes at off, which must be within size; they are valid until the next peek.
func (s *scanner) peek(off int64, n int) ([]byte, error) {
	if off < s.base || off+int64(n) > s.base+int64(len(s.window)) {
		want := min(max(int64(n), windowSize), s.size-off)
		if int64(cap(s.window)) < want {
			s.window = make([]byte, want)
		}
		s.window, s.base = s.window[:want], off
		if err := readFull(s.f, s.window, off); err != nil {
			s.window = s.window[:0]
			return nil, err
		}
	}
	at := off - s.base
	return s.window[at : at+int64(n)], nil
}

// readFull reads all of p; a file that is shorter than it was is an error.
func readFull(f disk.File, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// next reads the record at off and steps over it. The payload is valid until the next call. If there is none, what says why
// and off stays. err is a failure to read.
func (s *scanner) next() (payload []byte, found finding, what string, err error) {
	left := s.size - s.off
	if left < recordHead {
		if left <= 0 {
			return nil, ended, "", nil
		}
		return nil, torn, "the file ends inside a record's header", nil
	}
	b, err := s.peek(s.off, recordHead)
	if err != nil {
		return nil, 0, "", err
	}
	sum, n := binary.BigEndian.Uint64(b), int64(int32(binary.BigEndian.Uint32(b[8:])))
	switch {
	case n == 0 && sum == 0:
		return nil, ended, "", nil
	case n == 0:
		return nil, ended, "length 0 with a checksum", nil
	case n < txn.HeaderLen:
		return nil, corrupt, fmt.Sprintf("length %d", n), nil
	case n+RecordOverhead > left:
		return nil, torn, fmt.Sprintf("length %d with %d bytes left", n, left-recordHead), nil
	}
	if b, err = s.peek(s.off, int(n)+RecordOverhead); err != nil {
		return nil, 0, "", err
	}
	if what = checkRecord(b); what != "" {
		if b[len(b)-1] == 0 {
			return nil, torn, what, nil
		}
		return nil, corrupt, what, nil
	}
	s.off += int64(len(b))
	return b[recordHead : len(b)-1], more, "", nil
}

// checkRecord says what is wrong with a record that is as long as its length says; nothing, if it is good.
func checkRecord(b []byte) string {
	end := len(b) - 1
	sum, want := uint64(adler32.Checksum(b[recordHead:end])), binary.BigEndian.Uint64(b)
	switch {
	case b[end] != endOfRecord:
		return fmt.Sprintf("a record ends with byte %#x, not 'B'", b[end])
	case sum != want:
		return fmt.Sprintf("checksum %x, the record says %x", sum, want)
	}
	return ""
}

// A reader goes through the files of a log.
type reader struct {
	l     *Log
	files []znode.Zxid
	curAt int64      // size to read of the last file, -1: all
	prev  znode.Zxid // of the record before
}

// From returns the records from zxid on, in order. The payload of each is the caller's to keep. The first record is the one of
// zxid itself or, if no record with that zxid was ever written, the first of a later epoch. A gap, a record that is damaged, or
// a log that does not reach back to zxid ends the sequence with a *disk.Damage as the last pair; a failure to read with that
// error. What is appended after the call of From may or may not be in it.
//
// Apache's logs may hold an error record with the zxid of the record before it (a request whose body it could not decode, since
// ZOOKEEPER-4575); these change nothing and are left out.
func (l *Log) From(zxid znode.Zxid) iter.Seq2[Record, error] {
	l.mu.Lock()
	r := reader{l: l, curAt: -1}
	if l.cur != nil {
		r.curAt = l.pos
	}
	r.files = slices.Clone(l.files)
	l.mu.Unlock()
	first := 0
	for i, f := range r.files {
		if f <= zxid {
			first = i
		}
	}
	r.files = r.files[first:]
	return func(yield func(Record, error) bool) {
		r.prev = 0
		var broke *breach // how the file before ended, if it did not end well
		for i := range r.files {
			var err error
			if broke, err = r.file(i, zxid, broke, yield); err != nil {
				if !errors.Is(err, errStop) {
					yield(Record{}, err)
				}
				return
			}
		}
		if broke != nil {
			yield(Record{}, broke.damage)
		}
	}
}

// errStop: the consumer has had enough.
var errStop = errors.New("stop")

// A breach is where a file ends in an incomplete or damaged record. The next file makes good for it if it goes on with the very
// zxid that this one lacks. If it begins an epoch, nobody can tell by it how far this one went; then there must be nothing here but what
// a crash leaves of records that were never synced.
type breach struct {
	damage *disk.Damage
	torn   bool // a crash explains it
}

// file yields the records of file i from zxid on.
func (r *reader) file(i int, zxid znode.Zxid, before *breach, yield func(Record, error) bool) (broke *breach, err error) {
	name, size := r.l.path(r.files[i]), int64(-1)
	if i == len(r.files)-1 {
		size = r.curAt
	}
	s, what, err := openScanner(r.l.fsys, name, size)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if what != "" {
		return nil, damage(name, 0, what)
	}
	for first := true; ; first = false {
		at := s.off
		payload, found, what, err := s.next()
		if err != nil {
			return nil, &disk.Damage{File: name, Offset: at, What: "cannot be read", Remedy: remedyRestore, Err: err}
		}
		if found != more {
			if found == ended && what == "" {
				if first {
					return before, nil
				}
				return nil, nil
			}
			torn := r.l.judge(s, &fileTail{file: r.files[i], name: name, end: at, last: r.prev, what: what}, false) == nil
			return &breach{damage(name, at, what), torn}, nil
		}
		z := payloadZxid(payload)
		if first && z != r.files[i] {
			return nil, damage(name, at, fmt.Sprintf("the first record is %v", z))
		}
		if z == r.prev && isError(payload) {
			continue
		}
		if err := r.order(z, zxid, name, at, before); err != nil {
			return nil, err
		}
		r.prev = z
		if z >= zxid && !yield(Record{Zxid: z, Payload: slices.Clone(payload)}, nil) {
			return nil, errStop
		}
	}
}

// order checks that a record with zxid z may come now. before is how the previous file broke off, if this is the next one.
func (r *reader) order(z, from znode.Zxid, name string, at int64, before *breach) error {
	if z <= r.prev {
		return damage(name, at, fmt.Sprintf("record %v after %v", z, r.prev))
	}
	prev := max(r.prev, from-1)
	fits := z < from || r.l.follows(prev, z)
	switch {
	case before != nil && !(fits && (before.torn || z == prev+1)):
		return before.damage
	case !fits:
		return damage(name, at, fmt.Sprintf("record %v after %v: those between are missing", z, prev))
	}
	return nil
}

func isError(payload []byte) bool {
	return wire.Op(int32(binary.BigEndian.Uint32(payload[txn.HeaderLen-4:]))) == wire.OpError
}

func damage(name string, at int64, what string) *disk.Damage {
	return &disk.Damage{File: name, Offset: at, What: what, Remedy: remedyRestore}
}
