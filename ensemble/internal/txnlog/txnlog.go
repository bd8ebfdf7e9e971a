// Package txnlog is the transaction log on disk, in the format of Apache ZooKeeper (class FileTxnLog), so that either
// server opens what the other wrote.
//
// The log is a directory of files named log.<hex>, each after the zxid of its first record. A file is a header of 16
// bytes and records one behind the other; numbers are big-endian:
//
//	file    "ZKLG"  version 2 (int32)  dbid 0 (int64)  record...  zeros (space reserved ahead)
//	record  Adler-32 of the payload (int64)  length of the payload (int32)  payload  'B'
//
// A length of zero ends a file. The payload is a transaction as package txn encodes it; this package knows only that it
// starts with a transaction header that has the zxid in it.
//
// The one idea is that of the tail. A group of records is written with one call and synced, and nothing of it may be
// acknowledged before Sync has returned; so after a crash only the last group of the last file can be incomplete, and
// whatever else is wrong is damage. Open tells the two apart (see tail.go): what a crash explains it cuts off, everything
// else it reports as a [disk.Damage] and leaves as it is. It knows more with a [Mark], a note of what has been synced that
// a caller keeps outside the log: nothing below the mark is ever cut.
//
// After Open, Roll or Truncate writing goes to a new file. A new file comes from a spare, made beforehand with its space
// allocated and synced, so that a full disk is met by Reserve, before a record has its zxid, and not by Append.
//
// A Log belongs to one goroutine, with two exceptions that any goroutine may call at any time: Reserve and Release. A
// sequence from From may be read by another goroutine as long as nobody prunes or truncates what it reads. A write that
// failed has left the log in a state nobody knows: every later write fails with the same error (errors.Is disk.ErrBroken), and
// only a new Open may tell what is there. What a record means, when to roll, and the order of the log's effects with those
// of snapshots and epoch files is left to the caller.
package txnlog

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

const (
	fileHeaderLen = 16
	magic         = 0x5A4B4C47 // "ZKLG"
	version       = 2
	recordHead    = 12 // checksum and length
	endOfRecord   = 'B'

	// RecordOverhead is what a record takes in a file besides its payload, in bytes.
	RecordOverhead = recordHead + 1

	// SpareName is the name of the file made ahead of need. Apache ignores it.
	SpareName = "bellwether.spare"

	defaultPrealloc  = 64 << 20
	defaultMaxRecord = 2 * 0xfffff
	keepBuffer       = 4 << 20 // a larger group's buffer is not kept
)

// Kinds of refusal.
var (
	// ErrOrder: a record's zxid does not follow the last one.
	ErrOrder = errors.New("txnlog: zxid out of order")
	// ErrRecord: a record is too large, or too short to be a transaction, or does not carry its zxid.
	ErrRecord = errors.New("txnlog: not a record")
)

// A Record is one agreed transaction.
type Record struct {
	Zxid    znode.Zxid
	Payload []byte // as package txn encodes it; it carries Zxid in its header
}

// A Mark says what of a log is known to be synced. The zero Mark knows nothing.
type Mark struct {
	File   znode.Zxid // name of the last file; 0: no mark
	Offset int64      // everything of File up to here is synced; 0 if nothing is yet
	Zxid   znode.Zxid // every record up to this one is synced, here and in earlier files
	Sum    uint32     // checksum of the record that ends at Offset
}

// Options of a Log. The zero value, like a nil pointer, is Apache's defaults.
type Options struct {
	// Prealloc is how many bytes are allocated at a time; 0 is 64 MiB, negative none beyond what Reserve asks for
	// (zookeeper.preAllocSize, there in KiB).
	Prealloc int64
	// MaxRecord is the largest payload, in bytes; 0 is 2097150 (jute.maxbuffer and as much again, which is what Apache
	// with default settings can read back).
	MaxRecord int
	// SizeLimit is the size in bytes at which a file is Full; 0 is none (zookeeper.txnLogSizeLimitInKb, there in KiB).
	SizeLimit int64
	// CounterStart is the counter behind which the records of an epoch may begin besides 0; for tests of the counter's end.
	CounterStart uint32
	// Mark is what the caller knows to be synced.
	Mark Mark
	// BeforeFile, if not nil, is called by Append before a new file gets its name. An error breaks the log.
	BeforeFile func(name znode.Zxid) error
}

// A Log is an open transaction log.
type Log struct {
	fsys  disk.FS
	dir   string
	opts  Options
	files []znode.Zxid // ascending; those whose records count
	last  znode.Zxid   // of the last record, or what SetLast said
	tail  Tail

	mu       sync.Mutex // guards what follows; held while files are written
	cur      disk.File  // being written; nil before the first record after Open, Roll or Truncate
	pos      int64      // end of the last record in cur
	reserved int64      // cur has space up to here
	spare    disk.File  // nil or ready to become cur, header written and synced
	spareLen int64      // the spare has space up to here
	account  account

	name   znode.Zxid // of cur
	sum    uint32     // checksum of the last record in cur
	synced znode.Zxid // of the last record synced
	mark   Mark       // of synced
	newDir bool       // cur's name is not durable yet
	buf    []byte
}

// An account is what Reserve needs to know to answer at once. It has a lock of its own, never held while anything is done to
// the disk, so that a disk that hangs in a write or a sync does not hang those who plan.
type account struct {
	mu       sync.Mutex
	err      error // sticky; why the log is broken
	room     int64 // bytes allocated for records to come, in cur or, if there is none, in the spare
	promised int64 // bytes Reserve has promised and Append not used yet; at most room, but for records nobody reserved for
}

// promise promises n bytes more if there is room.
func (a *account) promise(n int64) (ok bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil || a.promised+n > a.room {
		return false, a.err
	}
	a.promised += n
	return true, nil
}

// owed is how many bytes are promised.
func (a *account) owed() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.promised
}

// use notes that records of n bytes have been written, and takes them from what is promised.
func (a *account) use(n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.room -= n
	a.promised = max(0, a.promised-n)
}

// setRoom notes how many bytes are allocated.
func (a *account) setRoom(n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.room = n
}

// moveTo makes the room of another file the one that promises count on, if it is enough for them.
func (a *account) moveTo(room int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.promised > room {
		return false
	}
	a.room = room
	return true
}

func (a *account) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// fail makes err final, unless there is one, and returns the final one.
func (a *account) fail(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = disk.Broken(err)
	}
	return a.err
}

// Name is the file name of the log file that begins with zxid.
func Name(zxid znode.Zxid) string { return "log." + zxid.Hex() }

// ParseName is the inverse of Name. Apache takes names with further parts (log.1f.bak) for log files; this does not.
func ParseName(name string) (znode.Zxid, bool) {
	hex, ok := strings.CutPrefix(name, "log.")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(hex, 16, 63)
	if err != nil || Name(znode.Zxid(n)) != name {
		return 0, false
	}
	return znode.Zxid(n), true
}

// Names returns the log files in dir, ascending.
func Names(fsys disk.FS, dir string) ([]znode.Zxid, error) {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []znode.Zxid
	for _, n := range names {
		if z, ok := ParseName(n); ok {
			files = append(files, z)
		}
	}
	slices.Sort(files)
	return files, nil
}

// Follows says whether a record with zxid z may come right after one with zxid prev: the next counter of the same epoch,
// or the first of a later one.
func Follows(prev, z znode.Zxid) bool {
	if z.Epoch() == prev.Epoch() {
		return z == prev+1
	}
	return z.Epoch() > prev.Epoch() && z.Counter() == 1
}

// follows is Follows, and what CounterStart allows besides.
func (l *Log) follows(prev, z znode.Zxid) bool {
	return Follows(prev, z) || l.opts.CounterStart > 0 && z.Epoch() > prev.Epoch() && uint32(z.Counter()) == l.opts.CounterStart+1
}

// Open opens the log in an existing directory: it reads the last file, cuts off a tail that a crash explains, and removes
// last files that hold no complete record and the spare. The changes are durable on return. Damage that it can see, in the
// last file or against the mark, is a *disk.Damage, and then nothing has been changed. nil options are the zero ones.
func Open(fsys disk.FS, dir string, opts *Options) (*Log, error) {
	l := &Log{fsys: fsys, dir: dir}
	if opts != nil {
		l.opts = *opts
	}
	if l.opts.Prealloc == 0 {
		l.opts.Prealloc = defaultPrealloc
	}
	if l.opts.MaxRecord <= 0 {
		l.opts.MaxRecord = defaultMaxRecord
	}
	files, err := Names(fsys, dir)
	if err != nil {
		return nil, err
	}
	l.files = files
	if err := l.openTail(); err != nil {
		return nil, err
	}
	l.synced = l.last
	return l, nil
}

// path is the path of the file that begins with zxid.
func (l *Log) path(zxid znode.Zxid) string { return filepath.Join(l.dir, Name(zxid)) }

func (l *Log) sparePath() string { return filepath.Join(l.dir, SpareName) }

// Tail is what Open found at the end and did about it.
func (l *Log) Tail() Tail { return l.tail }

// Last is the zxid of the last record, synced or not; 0 if there is none.
func (l *Log) Last() znode.Zxid { return l.last }

// Files returns the names of the files that hold records, ascending.
func (l *Log) Files() []znode.Zxid { return slices.Clone(l.files) }

// SetLast says that history up to zxid is held elsewhere, in a snapshot: the next record must follow it. It never goes
// back.
func (l *Log) SetLast(zxid znode.Zxid) {
	l.last = max(l.last, zxid)
	l.synced = max(l.synced, l.last)
}

// Mark says what is synced, to be kept for the next Open; it does not count what only SetLast spoke of. It is the zero Mark if
// the log has no record.
func (l *Log) Mark() Mark { return l.mark }

// Written is the number of bytes in the file being written.
func (l *Log) Written() int64 { return l.pos }

// broken makes the failure the log's last word.
func (l *Log) broken(err error) error { return l.account.fail(err) }

// Close syncs, gives back the space reserved ahead and closes. A broken Log only closes, and says so.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.account.failure()
	if err == nil {
		err = l.finishFile()
	} else if l.cur != nil {
		l.cur.Close()
		l.cur = nil
	}
	if l.spare != nil {
		l.spare.Close()
		l.spare = nil
		if err == nil {
			err = l.fsys.Remove(l.sparePath())
		}
	}
	l.broken(fs.ErrClosed)
	return err
}
