package txnlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A crash while a group is being written leaves any part of it on the disk, sector by sector, perhaps in a file that is
// already as long as it was going to be. What was there before is zeros. So behind the last good record a crash can explain
//
//   - nothing but zeros;
//   - a record that breaks off: its last bytes are zeros, or the file ends before it does;
//   - a record with a sector of zeros in it, even if good records of the same group follow;
//   - all that only above the mark, since what is below was synced before.
//
// A crash cannot explain a record that is all there and has a wrong checksum, nor one that would be right if one bit of its
// length were another. That is damage, and so is everything without a mark that has good records behind it: whoever wrote
// the file (Apache writes no marks) may have acknowledged those. Where Apache's server takes an incomplete record for the end
// of the file and a wrong checksum for damage, this comes to the same.
//
// One case is beyond telling: in the last record, above a mark that lags, a bit flips, and the record holds a sector of zeros by nature.
// That passes for a record that a crash has torn.

// longestTorn is the longest payload that is taken for one, in bytes, when its end is not there to prove it. It is far above
// any sensible jute.maxbuffer.
const longestTorn = 256 << 20

// Tail is what Open found at the end of the log.
type Tail struct {
	File    string // path of the last file; empty if there was none
	Offset  int64  // end of its last good record
	Cut     int64  // bytes that were cut off there, not counting zeros at the end
	What    string // why, if Cut is not 0
	Removed []string
	// MarkStale: the file that the mark names is not the one the mark was taken from. The mark was not used.
	MarkStale bool
}

// openTail finds the end of the log and removes what a crash has left behind it.
func (l *Log) openTail() error {
	var drop []znode.Zxid
	var cut *fileTail
	keep := l.files
	for ; len(keep) > 0; keep = keep[:len(keep)-1] {
		t, err := l.scanTail(keep[len(keep)-1])
		if err != nil {
			return err
		}
		if t.last != 0 {
			cut = t
			break
		}
		drop = append(drop, keep[len(keep)-1])
	}
	if cut != nil {
		l.last, l.sum = cut.last, cut.sum
		l.mark = Mark{File: cut.file, Offset: cut.end, Zxid: cut.last, Sum: cut.sum}
		l.tail.File, l.tail.Offset = cut.name, cut.end
		if cut.garbage > 0 {
			l.tail.Cut, l.tail.What = cut.garbage, cut.what
		}
	}
	if m := l.opts.Mark; !l.tail.MarkStale && l.last < m.Zxid {
		name, at := l.path(m.File), m.Offset
		return &disk.Damage{File: name, Offset: at, Remedy: remedyRestore,
			What: fmt.Sprintf("records up to %v were synced, the log ends with %v", m.Zxid, l.last)}
	}
	return l.repair(keep, drop, cut)
}

// repair carries out what openTail has found, newest file first, so that a crash leaves no gap.
func (l *Log) repair(keep, drop []znode.Zxid, cut *fileTail) error {
	spare := false
	if _, err := l.fsys.Stat(l.sparePath()); err == nil {
		spare = true
		if err := l.fsys.Remove(l.sparePath()); err != nil {
			return err
		}
	}
	for _, z := range drop {
		if err := l.fsys.Remove(l.path(z)); err != nil {
			return err
		}
		l.tail.Removed = append(l.tail.Removed, l.path(z))
	}
	l.files = keep
	if len(drop) > 0 || spare || len(keep) > 0 {
		if err := l.fsys.SyncDir(l.dir); err != nil {
			return err
		}
	}
	if cut == nil {
		return nil
	}
	synced := int64(0)
	if m := l.opts.Mark; m.File == cut.file && !l.tail.MarkStale {
		synced = m.Offset
	}
	return settle(l.fsys, cut, synced)
}

// settle makes the end of a file durable, from where it is known to be, and cuts off what is behind it. What can be read need not be
// on the disk: the process before may have ended between a write and its sync, or because the sync failed, after which many systems show
// what was written and take it for synced. So it is written once more, and the size set, which may be that of a Truncate.
func settle(fsys disk.FS, t *fileTail, synced int64) error {
	return change(fsys, t.name, func(f disk.File) error {
		if err := rewrite(f, synced, t.end); err != nil {
			return err
		}
		return f.Truncate(t.end)
	})
}

// rewrite writes what is there between two offsets.
func rewrite(f disk.File, from, to int64) error {
	var b []byte
	for ; from < to; from += int64(len(b)) {
		b = slices.Grow(b[:0], int(min(windowSize, to-from)))[:min(windowSize, to-from)]
		if err := readFull(f, b, from); err != nil {
			return err
		}
		if _, err := f.WriteAt(b, from); err != nil {
			return err
		}
	}
	return nil
}

// truncateFile cuts a file, durably.
func truncateFile(fsys disk.FS, name string, size int64) error {
	return change(fsys, name, func(f disk.File) error { return f.Truncate(size) })
}

// change does something to a file, durably.
func change(fsys disk.FS, name string, do func(disk.File) error) error {
	f, err := fsys.Edit(name)
	if err != nil {
		return err
	}
	if err = do(f); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// fileTail is the end of one file.
type fileTail struct {
	file    znode.Zxid
	name    string
	size    int64
	end     int64      // of the last good record
	last    znode.Zxid // of the last good record; 0: there is none
	sum     uint32     // its checksum
	garbage int64      // bytes behind end up to the last one that is not zero
	what    string     // what is wrong with them
}

// scanTail reads a file that may be the last to the end of its good records and judges what is behind them.
func (l *Log) scanTail(file znode.Zxid) (*fileTail, error) {
	t := &fileTail{file: file, name: l.path(file)}
	s, what, err := openScanner(l.fsys, t.name, -1)
	if err != nil {
		return nil, err
	}
	defer s.close()
	t.size, t.end = s.size, s.off
	mark := l.opts.Mark
	marked := mark.File == file && mark.File != 0
	if what != "" {
		t.end, t.what = 0, what
		return t, l.judgeHeader(s, t, marked && mark.Offset > 0)
	}
	at := marked && mark.Offset <= t.end
	for {
		payload, found, what, err := s.next()
		if err != nil {
			return nil, &disk.Damage{File: t.name, Offset: s.off, What: "cannot be read", Remedy: remedyRestore, Err: err}
		}
		if found != more {
			t.what = what
			break
		}
		z := payloadZxid(payload)
		if t.last == 0 && z != file {
			return nil, damage(t.name, t.end, fmt.Sprintf("the first record is %v", z))
		}
		t.end, t.last, t.sum = s.off, max(t.last, z), adler32.Checksum(payload)
		if marked && s.off == mark.Offset {
			at = z == mark.Zxid && t.sum == mark.Sum
		}
	}
	if marked && !at {
		if t.end < mark.Offset {
			return nil, l.belowMark(t, mark)
		}
		l.tail.MarkStale, marked = true, false
	}
	return t, l.judge(s, t, marked)
}

// belowMark is the report of a file that ends before the mark.
func (l *Log) belowMark(t *fileTail, mark Mark) error {
	what := t.what
	if what == "" {
		what = "no record"
	}
	return damage(t.name, t.end, fmt.Sprintf("%s; what was synced goes on to byte %d, record %v", what, mark.Offset, mark.Zxid))
}

// judgeHeader decides on a file with a damaged header: a crash may have lost its first sector, or cut it short inside the
// header, if nothing in it was synced.
func (l *Log) judgeHeader(s *scanner, t *fileTail, synced bool) error {
	b, err := s.rest(0)
	if err != nil {
		return &disk.Damage{File: t.name, What: "cannot be read", Remedy: remedyRestore, Err: err}
	}
	if synced || trimZeros(b[:min(len(b), disk.SectorSize)]) > 0 && !bytes.HasPrefix(fileHeader(), b) {
		return damage(t.name, 0, t.what)
	}
	return l.judge(s, t, false)
}

// judge decides whether a crash explains what is behind the last good record of a file, and sets t.garbage if so. marked says
// that nothing there was synced.
func (l *Log) judge(s *scanner, t *fileTail, marked bool) error {
	b, err := s.rest(t.end)
	if err != nil {
		return &disk.Damage{File: t.name, Offset: t.end, What: "cannot be read", Remedy: remedyRestore, Err: err}
	}
	if t.garbage = int64(len(b)); len(b) == 0 {
		return nil
	}
	if t.what == "" {
		t.what = "no record, and not the end of what was written"
	}
	if behind := goodRecord(b, max(t.last, t.file-1)); behind > 0 {
		if marked && sectorMissing(b, int64(behind), t.end) {
			return nil
		}
		return damage(t.name, t.end, fmt.Sprintf("%s; a good record follows at byte %d", t.what, t.end+int64(behind)))
	}
	if breaksOff(b, t.end) && !lengthDamaged(b) {
		return nil
	}
	return damage(t.name, t.end, t.what)
}

// rest reads what is behind off, without the zeros at the end.
func (s *scanner) rest(off int64) ([]byte, error) {
	end := off
	for at := off; at < s.size; at += windowSize {
		b, err := s.peek(at, int(min(windowSize, s.size-at)))
		if err != nil {
			return nil, err
		}
		if n := trimZeros(b); n > 0 {
			end = at + int64(n)
		}
	}
	b := make([]byte, end-off)
	return b, readFull(s.f, b, off)
}

// trimZeros is the length of b without the zeros at its end.
func trimZeros(b []byte) int {
	return len(bytes.TrimRight(b, "\x00"))
}

// breaksOff says whether b, the last bytes of a file before its zeros, at off, are a record that a crash cut short.
func breaksOff(b []byte, off int64) bool {
	if len(b) < recordHead {
		return true
	}
	n := int64(int32(binary.BigEndian.Uint32(b[8:])))
	switch {
	case n < txn.HeaderLen:
		return sectorMissing(b, RecordOverhead, off)
	case n > longestTorn:
		return false
	case n+RecordOverhead > int64(len(b)):
		return true
	}
	return sectorMissing(b, n+RecordOverhead, off)
}

// sectorMissing says whether one of the sectors that the first n bytes of b lie in is zeros, as far as it is in b; b is at off.
// The first sector does not count if no more of it is in b than the half of a checksum that is zeros anyhow.
func sectorMissing(b []byte, n, off int64) bool {
	for at := int64(0); at < n; {
		step := disk.SectorSize - (off+at)%disk.SectorSize
		piece := b[min(at, int64(len(b))):min(at+step, int64(len(b)))]
		if trimZeros(piece) == 0 && (at > 0 || step > 4) {
			return true
		}
		at += step
	}
	return false
}

// goodRecord is where in b, behind its beginning, the first good record with a zxid above last begins; 0 if there is none.
func goodRecord(b []byte, last znode.Zxid) int {
	for i := 1; i+RecordOverhead+txn.HeaderLen <= len(b); i++ {
		if binary.BigEndian.Uint32(b[i:]) != 0 {
			continue
		}
		n := int64(int32(binary.BigEndian.Uint32(b[i+8:])))
		if n < txn.HeaderLen || int64(i)+n+RecordOverhead > int64(len(b)) || b[int64(i)+n+recordHead] != endOfRecord {
			continue
		}
		if z := payloadZxid(b[i+recordHead:]); z <= last || uint64(z-last) > 1<<40 {
			continue
		}
		if checkRecord(b[i:int64(i)+n+RecordOverhead]) == "" {
			return i
		}
	}
	return 0
}

// lengthDamaged says whether the record at the start of b would be good if one bit of its length were another.
func lengthDamaged(b []byte) bool {
	if len(b) < recordHead {
		return false
	}
	n := binary.BigEndian.Uint32(b[8:])
	fixed := bytes.Clone(b)
	for bit := range 32 {
		m := int64(n ^ 1<<bit)
		if m < txn.HeaderLen || m+RecordOverhead > int64(len(b)) || b[m+recordHead] != endOfRecord {
			continue
		}
		binary.BigEndian.PutUint32(fixed[8:], uint32(m))
		if checkRecord(fixed[:m+RecordOverhead]) == "" {
			return true
		}
	}
	return false
}
