package txnlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Reserve promises that n more bytes, each record counting its payload and RecordOverhead, can be appended without running
// out of space. It is disk.ErrNoSpace if they cannot be had; then nothing is promised, nothing is broken, and a later call
// may succeed. It may be called by any goroutine, and waits neither for an Append, Sync or Roll in progress nor for the disk as
// long as there is room ahead; once every Options.Prealloc bytes there is none, and it blocks for as long as these take and the
// file system needs to allocate.
//
// Promises add up; Append uses them by the size of what it appends. What turned out not to be needed is given back with
// Release.
func (l *Log) Reserve(n int64) error {
	ok, err := l.account.promise(n)
	if ok || err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if err := l.allocate(l.account.owed() + n); err != nil {
			return err
		}
		if ok, err := l.account.promise(n); ok || err != nil {
			return err
		}
		// Others have been promised what was there meanwhile.
	}
}

// Release gives back n bytes of what Reserve promised. It may be called by any goroutine.
func (l *Log) Release(n int64) {
	l.account.mu.Lock()
	defer l.account.mu.Unlock()
	l.account.promised = max(0, l.account.promised-n)
}

// allocate makes room for n bytes, in the file being written or, if there is none, in the spare.
func (l *Log) allocate(n int64) error {
	if l.cur == nil {
		err := l.prepareSpare(n)
		l.account.setRoom(l.spareRoom())
		return err
	}
	if l.pos+n <= l.reserved {
		return nil
	}
	size, err := l.extend(l.cur, l.reserved, l.pos+n)
	l.reserved = size
	l.account.setRoom(l.reserved - l.pos)
	return err
}

// spareRoom is how many bytes of records the spare has space for.
func (l *Log) spareRoom() int64 {
	if l.spare == nil {
		return 0
	}
	return l.spareLen - fileHeaderLen
}

// extend allocates a file of size bytes up to at least need, by steps of Prealloc if the disk has that much. It returns the
// new size. Errors other than a lack of space break the log.
func (l *Log) extend(f disk.File, size, need int64) (int64, error) {
	for _, goal := range []int64{max(size+max(l.opts.Prealloc, 0), need), need} {
		err := f.Reserve(goal)
		if err == nil {
			return goal, nil
		}
		if !errors.Is(err, disk.ErrNoSpace) {
			return size, l.broken(err)
		}
		if goal == need {
			return size, err
		}
	}
	return size, nil
}

// prepareSpare sees to a spare with room for n bytes of records: allocated, with its header, synced. If there is no space
// for it, whatever call says so, nothing is broken: no record is concerned.
func (l *Log) prepareSpare(n int64) error {
	if l.spare != nil {
		if fileHeaderLen+n <= l.spareLen {
			return nil
		}
		size, err := l.extend(l.spare, l.spareLen, fileHeaderLen+n)
		l.spareLen = size
		return err
	}
	f, err := l.fsys.Create(l.sparePath())
	if err != nil {
		return l.unlessFull(err)
	}
	size, err := l.extend(f, fileHeaderLen, fileHeaderLen+n)
	if err == nil {
		if _, err = f.WriteAt(fileHeader(), 0); err == nil {
			err = f.Sync()
		}
	}
	if err != nil {
		f.Close()
		if errors.Is(err, disk.ErrNoSpace) {
			if rerr := l.fsys.Remove(l.sparePath()); rerr != nil {
				return l.broken(rerr)
			}
		}
		return l.unlessFull(err)
	}
	l.spare, l.spareLen = f, size
	return nil
}

// unlessFull breaks the log unless the error is only a lack of space.
func (l *Log) unlessFull(err error) error {
	if errors.Is(err, disk.ErrNoSpace) || l.account.failure() != nil {
		return err
	}
	return l.broken(err)
}

func fileHeader() []byte {
	b := binary.BigEndian.AppendUint32(nil, magic)
	b = binary.BigEndian.AppendUint32(b, version)
	return binary.BigEndian.AppendUint64(b, 0)
}

// Append writes a group of records with one write. They are not durable before Sync. Their zxids must follow the last one
// and each other (ErrOrder), payloads must be transactions within Options.MaxRecord (ErrRecord), and there must be space
// (disk.ErrNoSpace, never after a Reserve): these refusals come before anything is written. Any other failure breaks the log.
// Payloads may be reused when Append has returned.
func (l *Log) Append(group []Record) error {
	if len(group) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.account.failure(); err != nil {
		return err
	}
	buf, sum, err := l.encode(group)
	if err != nil {
		return err
	}
	if err := l.allocate(int64(len(buf))); err != nil {
		return err
	}
	if l.cur == nil {
		if err := l.startFile(group[0].Zxid); err != nil {
			return err
		}
	}
	if _, err := l.cur.WriteAt(buf, l.pos); err != nil {
		return l.broken(err)
	}
	l.pos += int64(len(buf))
	l.account.use(int64(len(buf)))
	l.last, l.sum = group[len(group)-1].Zxid, sum
	return nil
}

// encode checks a group and lays it out in the buffer. It also returns the checksum of the last record.
func (l *Log) encode(group []Record) (buf []byte, sum uint32, err error) {
	last := l.last
	buf = l.buf[:0]
	for i := range group {
		r := &group[i]
		if err := l.check(last, r); err != nil {
			return nil, 0, err
		}
		sum = adler32.Checksum(r.Payload)
		buf = binary.BigEndian.AppendUint64(buf, uint64(sum))
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(r.Payload)))
		buf = append(buf, r.Payload...)
		buf = append(buf, endOfRecord)
		last = r.Zxid
	}
	if cap(buf) <= keepBuffer {
		l.buf = buf
	}
	return buf, sum, nil
}

func (l *Log) check(last znode.Zxid, r *Record) error {
	switch {
	case !l.follows(last, r.Zxid):
		return fmt.Errorf("%w: %v after %v", ErrOrder, r.Zxid, last)
	case len(r.Payload) < txn.HeaderLen:
		return fmt.Errorf("%w: payload of %d bytes", ErrRecord, len(r.Payload))
	case len(r.Payload) > l.opts.MaxRecord:
		return fmt.Errorf("%w: payload of %d bytes, at most %d", ErrRecord, len(r.Payload), l.opts.MaxRecord)
	case payloadZxid(r.Payload) != r.Zxid:
		return fmt.Errorf("%w: payload of %v called %v", ErrRecord, payloadZxid(r.Payload), r.Zxid)
	}
	return nil
}

// payloadZxid is the zxid in the transaction header a payload starts with.
func payloadZxid(payload []byte) znode.Zxid {
	return znode.Zxid(binary.BigEndian.Uint64(payload[12:]))
}

// startFile turns the spare into the file that begins with zxid.
func (l *Log) startFile(zxid znode.Zxid) error {
	if l.opts.BeforeFile != nil {
		if err := l.opts.BeforeFile(zxid); err != nil {
			return l.broken(err)
		}
	}
	if err := l.fsys.Rename(l.sparePath(), l.path(zxid)); err != nil {
		return l.broken(err)
	}
	l.cur, l.pos, l.reserved = l.spare, fileHeaderLen, l.spareLen
	l.spare, l.name, l.newDir = nil, zxid, true
	l.files = append(l.files, zxid)
	return nil
}

// Sync makes everything appended durable and returns the zxid of the last record that is. A failure breaks the log.
func (l *Log) Sync() (znode.Zxid, error) {
	l.mu.Lock()
	err, f, name := l.account.failure(), l.cur, l.newDir
	l.mu.Unlock()
	if err != nil || f == nil {
		return l.synced, err
	}
	if l.synced == l.last && !name {
		return l.synced, nil
	}
	err = f.Sync()
	if err == nil && name {
		err = l.fsys.SyncDir(l.dir)
	}
	if err != nil {
		return l.synced, l.broken(err)
	}
	l.noteSynced()
	return l.synced, nil
}

// noteSynced notes that everything in cur is synced, and its name.
func (l *Log) noteSynced() {
	l.newDir, l.synced = false, l.last
	l.mark = Mark{File: l.name, Offset: l.pos, Zxid: l.last, Sum: l.sum}
}

// Full says whether the file has reached Options.SizeLimit, so that it is time to Roll.
func (l *Log) Full() bool {
	return l.opts.SizeLimit > 0 && l.cur != nil && l.pos >= l.opts.SizeLimit
}

// Roll ends the file being written, if there is one, so that the next record begins a new one. What was appended is durable on
// return, and there is space for what Reserve has promised. Without space for that it is disk.ErrNoSpace, and the log goes on in
// the present file.
func (l *Log) Roll() error {
	if _, err := l.Sync(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur == nil {
		return nil
	}
	for moved := false; !moved; moved = l.account.moveTo(l.spareRoom()) {
		if err := l.prepareSpare(l.account.owed()); err != nil {
			return err
		}
	}
	return l.finishFile()
}

// finishFile syncs the file being written, cuts off the space reserved behind its last record and closes it.
func (l *Log) finishFile() error {
	if l.cur == nil {
		return nil
	}
	err := l.cur.Truncate(l.pos)
	if err == nil {
		err = l.cur.Sync()
	}
	if err == nil && l.newDir {
		err = l.fsys.SyncDir(l.dir)
	}
	if cerr := l.cur.Close(); err == nil {
		err = cerr
	}
	l.cur = nil
	if err != nil {
		return l.broken(err)
	}
	l.noteSynced()
	l.pos = 0
	l.account.setRoom(l.spareRoom())
	return nil
}
