package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// ErrCrashed is what every call of a Mem returns after its crash point (see Mem.CrashAt).
var ErrCrashed = errors.New("the disk has crashed")

var (
	errIsDir   = errors.New("is a directory")
	errNotDir  = errors.New("not a directory")
	errOffset  = errors.New("negative offset")
	errTwoDirs = errors.New("rename to another directory")
)

// MemOptions are the options of a Mem. The zero value, like a nil pointer, is a disk without end that never fails.
type MemOptions struct {
	// CrashModel keeps account of what is durable and what is not yet, for CrashClone. It costs a copy of every write.
	CrashModel bool
	// Budget is the size of the disk in bytes of file content, written or reserved; 0 is no limit.
	Budget int64
	// LateNoSpace lets writes through when the budget is spent and fails Sync instead, as delayed allocation may.
	LateNoSpace bool
}

// Mem is a file system in memory. It has no goroutines and never waits, so it may be used in a synctest bubble. Its methods
// may be called concurrently. The directory "." and the root "/" exist from the start.
type Mem struct {
	mu       sync.Mutex
	opts     MemOptions
	root     *memNode
	used     int64 // bytes allocated, against opts.Budget
	readOnly bool
	locks    map[string]bool
	steps    int64 // changes asked for so far, whatever became of them
	crashAt  int64 // the change at which the disk crashes; 0: none
	after    bool  // whether that change is still made
	crashed  bool
	fault    func(Op) Fault
}

// A memNode is a file, or a directory if entries is not nil.
type memNode struct {
	now     content
	alloc   int64 // bytes of the budget this file has
	links   int   // names it has; one without names gives its space back
	entries map[string]*memNode

	// With the crash model: what a crash is sure to leave, and what came after that, in order.
	durable        content
	durableEntries map[string]*memNode
	writes         []memWrite
	names          []memName
}

// A memWrite is an unsynced write, or with nil data an unsynced change of size to off.
type memWrite struct {
	off  int64
	data []byte
}

// A memName is an unsynced change of a directory: node gets the name to and loses the name from, either perhaps empty.
type memName struct {
	op       OpKind
	from, to string
	node     *memNode
}

// NewMem returns an empty disk; nil options are the zero ones.
func NewMem(opts *MemOptions) *Mem {
	m := &Mem{root: newMemDir(), locks: map[string]bool{}}
	if opts != nil {
		m.opts = *opts
	}
	return m
}

func newMemDir() *memNode {
	return &memNode{entries: map[string]*memNode{}, durableEntries: map[string]*memNode{}}
}

// clean splits a name into the names on its way from the root.
func clean(name string) []string {
	p := strings.Trim(path.Clean(filepath.ToSlash(name)), "/")
	if p == "" || p == "." {
		return nil
	}
	return strings.Split(p, "/")
}

// walk finds the node of a name; nil if there is none.
func (m *Mem) walk(name string) *memNode {
	n := m.root
	for _, s := range clean(name) {
		if n = n.entries[s]; n == nil {
			return nil
		}
	}
	return n
}

// parent finds the directory of a name and the last part of the name.
func (m *Mem) parent(name string) (*memNode, string, error) {
	parts := clean(name)
	if len(parts) == 0 {
		return nil, "", errIsDir
	}
	n := m.root
	for _, s := range parts[:len(parts)-1] {
		if n = n.entries[s]; n == nil {
			return nil, "", fs.ErrNotExist
		}
		if n.entries == nil {
			return nil, "", errNotDir
		}
	}
	return n, parts[len(parts)-1], nil
}

func failed(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// file finds a file that is not a directory.
func (m *Mem) file(name string) (*memNode, error) {
	n := m.walk(name)
	switch {
	case n == nil:
		return nil, fs.ErrNotExist
	case n.entries != nil:
		return nil, errIsDir
	}
	return n, nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) { return m.open(name, false) }

// Edit implements FS.
func (m *Mem) Edit(name string) (File, error) { return m.open(name, true) }

func (m *Mem) open(name string, write bool) (File, error) {
	var f File
	err := m.do(Op{Kind: OpOpen, Path: name}, func() error {
		n, err := m.file(name)
		if err == nil && write && m.readOnly {
			err = ErrReadOnly
		}
		f = &memFile{m: m, node: n, name: name, write: write}
		return err
	})
	if err != nil {
		return nil, failed("open", name, err)
	}
	return f, nil
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	var f File
	err := m.do(Op{Kind: OpCreate, Path: name}, func() error {
		dir, base, err := m.parent(name)
		if err != nil {
			return err
		}
		n := dir.entries[base]
		switch {
		case n == nil:
			n = &memNode{links: 1}
			dir.entries[base] = n
			m.noteName(dir, memName{op: OpCreate, to: base, node: n})
		case n.entries != nil:
			return errIsDir
		default:
			m.resize(n, 0)
		}
		f = &memFile{m: m, node: n, name: name, write: true}
		return nil
	})
	if err != nil {
		return nil, failed("create", name, err)
	}
	return f, nil
}

// ReadDir implements FS.
func (m *Mem) ReadDir(dir string) (names []string, err error) {
	err = m.do(Op{Kind: OpReadDir, Path: dir}, func() error {
		n := m.walk(dir)
		switch {
		case n == nil:
			return fs.ErrNotExist
		case n.entries == nil:
			return errNotDir
		}
		names = slices.Sorted(maps.Keys(n.entries))
		return nil
	})
	return names, failed("readdir", dir, err)
}

// Stat implements FS.
func (m *Mem) Stat(name string) (i Info, err error) {
	err = m.do(Op{Kind: OpStat, Path: name}, func() error {
		n := m.walk(name)
		if n == nil {
			return fs.ErrNotExist
		}
		i = Info{Size: n.now.size, Dir: n.entries != nil}
		return nil
	})
	return i, failed("stat", name, err)
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(dir string) error {
	n := m.root
	if d := m.peek(dir); d != nil && d.entries != nil {
		return nil
	}
	return failed("mkdir", dir, m.do(Op{Kind: OpMkdir, Path: dir}, func() error {
		for _, s := range clean(dir) {
			if n.entries == nil {
				return errNotDir
			}
			next := n.entries[s]
			if next == nil {
				next = newMemDir()
				n.entries[s] = next
				n.durableEntries[s] = next
			}
			n = next
		}
		if n.entries == nil {
			return errNotDir
		}
		return nil
	}))
}

// peek is walk for callers without the lock.
func (m *Mem) peek(name string) *memNode {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.walk(name)
}

// Rename implements FS.
func (m *Mem) Rename(from, to string) error {
	return failed("rename", from, m.do(Op{Kind: OpRename, Path: from, To: to}, func() error {
		dir, base, err := m.parent(from)
		if err != nil {
			return err
		}
		toDir, toBase, err := m.parent(to)
		switch {
		case err != nil:
			return err
		case toDir != dir:
			return errTwoDirs
		}
		n, old := dir.entries[base], dir.entries[toBase]
		switch {
		case n == nil:
			return fs.ErrNotExist
		case n == old:
			return nil
		case old != nil && old.entries != nil:
			return errIsDir
		}
		m.unlink(old)
		delete(dir.entries, base)
		dir.entries[toBase] = n
		m.noteName(dir, memName{op: OpRename, from: base, to: toBase, node: n})
		return nil
	}))
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	return failed("remove", name, m.do(Op{Kind: OpRemove, Path: name}, func() error {
		dir, base, err := m.parent(name)
		if err != nil {
			return err
		}
		n := dir.entries[base]
		switch {
		case n == nil:
			return fs.ErrNotExist
		case n.entries != nil:
			return errIsDir
		}
		m.unlink(n)
		delete(dir.entries, base)
		m.noteName(dir, memName{op: OpRemove, from: base, node: n})
		return nil
	}))
}

// unlink takes a name from a file and its space from the budget's account.
func (m *Mem) unlink(n *memNode) {
	if n != nil {
		n.links--
		m.used -= n.alloc
		n.alloc = 0
	}
}

// SyncDir implements FS.
func (m *Mem) SyncDir(dir string) error {
	return failed("syncdir", dir, m.do(Op{Kind: OpSyncDir, Path: dir}, func() error {
		n := m.walk(dir)
		switch {
		case n == nil:
			return fs.ErrNotExist
		case n.entries == nil:
			return errNotDir
		}
		if m.opts.CrashModel {
			n.durableEntries, n.names = maps.Clone(n.entries), nil
		}
		return nil
	}))
}

// Free implements FS.
func (m *Mem) Free(string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opts.Budget == 0 {
		return 1 << 62, nil
	}
	return max(0, m.opts.Budget-m.used), nil
}

// Lock implements FS. The lock is this Mem's, it makes no file; a CrashClone has none.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := strings.Join(clean(name), "/")
	if m.locks[key] {
		return nil, failed("lock", name, ErrLocked)
	}
	m.locks[key] = true
	return closerFunc(func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.locks, key)
		return nil
	}), nil
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

// grow takes space for a file that is to have bytes up to end.
func (m *Mem) grow(n *memNode, end int64, late bool) error {
	need := end - n.alloc
	if need <= 0 || n.links == 0 {
		return nil
	}
	if !late && m.opts.Budget > 0 && m.used+need > m.opts.Budget {
		return ErrNoSpace
	}
	m.used += need
	n.alloc = end
	return nil
}

func (m *Mem) write(n *memNode, p []byte, off int64) {
	if len(p) == 0 {
		return // extends nothing, on real disks too
	}
	n.now.writeAt(p, off)
	if m.opts.CrashModel {
		n.writes = append(n.writes, memWrite{off: off, data: append([]byte{}, p...)})
	}
}

func (m *Mem) resize(n *memNode, size int64) {
	n.now.resize(size) // also where it has this size, which need not be durable
	if n.alloc > size {
		m.used -= n.alloc - size
		n.alloc = size
	}
	if m.opts.CrashModel {
		n.writes = append(n.writes, memWrite{off: size})
	}
}

func (m *Mem) noteName(dir *memNode, c memName) {
	if m.opts.CrashModel {
		dir.names = append(dir.names, c)
	}
}

// A memFile is an open file of a Mem.
type memFile struct {
	m      *Mem
	node   *memNode
	name   string
	write  bool
	closed atomic.Bool
}

func (f *memFile) do(op Op, change func() error) error {
	if f.closed.Load() {
		return failed(op.Kind.String(), f.name, fs.ErrClosed)
	}
	op.Path = f.name
	return failed(op.Kind.String(), f.name, f.m.do(op, func() error {
		if op.Kind.Changes() && !f.write {
			return fs.ErrPermission
		}
		return change()
	}))
}

func (f *memFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.do(Op{Kind: OpRead, Off: off, Len: len(p)}, func() error {
		if off < 0 {
			return errOffset
		}
		n = f.node.now.readAt(p, off)
		return nil
	})
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	n := 0
	op := Op{Kind: OpWrite, Off: off, Len: len(p)}
	op.partial = func(k int) {
		f.m.write(f.node, p[:k], off)
		n = k
	}
	err := f.do(op, func() error {
		if off < 0 {
			return errOffset
		}
		if err := f.m.grow(f.node, off+int64(len(p)), f.m.opts.LateNoSpace); err != nil {
			return err
		}
		f.m.write(f.node, p, off)
		n = len(p)
		return nil
	})
	return n, err
}

func (f *memFile) Size() (size int64, err error) {
	err = f.do(Op{Kind: OpStat}, func() error {
		size = f.node.now.size
		return nil
	})
	return size, err
}

func (f *memFile) Truncate(size int64) error {
	return f.do(Op{Kind: OpTruncate, Off: size}, func() error {
		if size < 0 {
			return errOffset
		}
		f.m.resize(f.node, size)
		return nil
	})
}

func (f *memFile) Reserve(size int64) error {
	return f.do(Op{Kind: OpReserve, Off: size}, func() error {
		if err := f.m.grow(f.node, size, false); err != nil {
			return err
		}
		if size > f.node.now.size {
			f.m.resize(f.node, size)
		}
		return nil
	})
}

func (f *memFile) Sync() error {
	n := f.node
	op := Op{Kind: OpSync, drop: func() { n.writes = nil }}
	return f.do(op, func() error {
		if f.m.opts.LateNoSpace && f.m.opts.Budget > 0 && f.m.used > f.m.opts.Budget {
			return ErrNoSpace
		}
		for _, w := range n.writes {
			w.apply(&n.durable)
		}
		n.writes = nil
		return nil
	})
}

func (w memWrite) apply(c *content) {
	if w.data == nil {
		c.resize(w.off)
		return
	}
	c.writeAt(w.data, w.off)
}

func (f *memFile) Close() error {
	if f.closed.Swap(true) {
		return failed("close", f.name, fs.ErrClosed)
	}
	return nil
}

// FlipBit turns over one bit of a file, behind the back of everybody, durably: bit 0 is the lowest of the byte at off.
func (m *Mem) FlipBit(name string, off int64, bit uint) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.file(name)
	if err == nil && (off < 0 || off >= n.now.size) {
		err = fmt.Errorf("byte %d of %d", off, n.now.size)
	}
	if err != nil {
		return failed("flip", name, err)
	}
	for _, c := range []*content{&n.now, &n.durable} {
		var b [1]byte
		if c.readAt(b[:], off) == 1 {
			b[0] ^= 1 << (bit % 8)
			c.writeAt(b[:], off)
		}
	}
	return nil
}
