package disk

import (
	"math/rand/v2"
	"path"
	"slices"
)

// OpKind is the kind of a call.
type OpKind uint8

// The kinds of calls. From OpCreate on they are changes: what a crash may interrupt.
const (
	OpOpen OpKind = iota
	OpRead
	OpReadDir
	OpStat
	OpCreate
	OpWrite
	OpTruncate
	OpReserve
	OpSync
	OpMkdir
	OpRename
	OpRemove
	OpSyncDir
)

var opNames = [...]string{"open", "read", "readdir", "stat", "create", "write", "truncate", "reserve", "sync", "mkdir", "rename", "remove", "syncdir"}

func (k OpKind) String() string { return opNames[k] }

// Changes says whether calls of this kind change what is on the disk, or what of it is durable.
func (k OpKind) Changes() bool { return k >= OpCreate }

// An Op is one call of a Mem or its files.
type Op struct {
	Kind OpKind
	Path string // the file or directory
	To   string // the new name, of a rename
	Off  int64  // where, of a read or write; the size, of a truncate or reserve
	Len  int    // how much, of a read or write
	Step int64  // the number of this change, from 1; 0 if the call changes nothing

	partial func(n int) // writes the first n bytes
	drop    func()      // forgets what is not synced
}

// A Fault is what becomes of a call. The zero Fault lets it be.
type Fault struct {
	Err     error // the call fails with this error and has no effect, save as follows
	Partial int   // of a failed write: how many bytes are written all the same
	Drop    bool  // of a failed sync: what was not synced yet will never be, while reads still see it and later syncs succeed
}

// SetFault has every call ask f what is to become of it; nil asks nobody. f may block (a slow disk) and may use this Mem.
func (m *Mem) SetFault(f func(Op) Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// SetReadOnly makes every change fail with ErrReadOnly, or lets them succeed again.
func (m *Mem) SetReadOnly(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.readOnly = on
}

// SetBudget sets the size of the disk in bytes; 0 is no limit.
func (m *Mem) SetBudget(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opts.Budget = n
}

// Used is the number of bytes that files have been given.
func (m *Mem) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// Steps is the number of changes asked for so far.
func (m *Mem) Steps() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.steps
}

// CrashAt has the disk crash at change number step, counted from the first there ever was: before it is made, or after it
// has been made and before the caller hears of it. From then on every call fails with ErrCrashed; CrashClone says what is
// left.
func (m *Mem) CrashAt(step int64, after bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashAt, m.after = step, after
}

// Crashed says whether the crash point has been reached.
func (m *Mem) Crashed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.crashed
}

// do runs one call: numbers it, asks for its fault, makes the change.
func (m *Mem) do(op Op, change func() error) error {
	m.mu.Lock()
	if op.Kind.Changes() {
		m.steps++
		op.Step = m.steps
	}
	if fault := m.fault; fault != nil {
		m.mu.Unlock()
		f := fault(op)
		m.mu.Lock()
		if f.Err != nil && !m.crashed {
			if f.Drop && op.drop != nil {
				op.drop()
			}
			if f.Partial > 0 && op.partial != nil {
				op.partial(min(f.Partial, op.Len))
			}
			m.mu.Unlock()
			return f.Err
		}
	}
	defer m.mu.Unlock()
	if m.crashed {
		return ErrCrashed
	}
	crash := op.Step != 0 && op.Step == m.crashAt
	if crash {
		m.crashed = true
		if !m.after {
			return ErrCrashed
		}
	}
	if m.readOnly && op.Kind.Changes() {
		return ErrReadOnly
	}
	err := change()
	if crash {
		return ErrCrashed
	}
	return err
}

// Unsynced is one thing a crash may or may not leave: a sector of a write, a change of a file's size, or a change of a
// directory.
type Unsynced struct {
	Kind OpKind // OpWrite, OpTruncate (a size), OpCreate, OpRename or OpRemove
	Path string // the file; of a change of a directory, the name made, or the name removed
	Off  int64  // of a sector, where; of a size, how much
}

// KeepNone is a crash that loses everything unsynced.
func KeepNone(Unsynced) bool { return false }

// KeepAll is a crash that loses nothing.
func KeepAll(Unsynced) bool { return true }

// KeepSome is a crash that keeps each thing with probability p.
func KeepSome(r *rand.Rand, p float64) func(Unsynced) bool {
	return func(Unsynced) bool { return r.Float64() < p }
}

// CrashClone returns a new disk, as a crash at this moment would leave this one: everything durable, and of the rest what
// keep says, asked once for each thing, in order of paths and then of time. The Mem must have been made with CrashModel.
// Faults and locks are not inherited; this Mem goes on unharmed.
func (m *Mem) CrashClone(keep func(Unsynced) bool) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.opts.CrashModel {
		panic("disk: CrashClone of a Mem without CrashModel")
	}
	c := NewMem(&m.opts)
	c.root = c.survivor(m.root, "/", keep, map[*memNode]*memNode{})
	return c
}

// Reopen returns the disk as the next process finds it when this one has ended and the operating system lives on: all that was written
// can be read, and is as durable as it was, which includes what a failed sync has dropped. Faults and locks are not inherited. This Mem
// is of no use any more: every call fails with ErrCrashed.
func (m *Mem) Reopen() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashed = true
	next := NewMem(&m.opts)
	next.root, next.used = m.root, m.used
	return next
}

// survivor copies what is left of n.
func (m *Mem) survivor(n *memNode, at string, keep func(Unsynced) bool, seen map[*memNode]*memNode) *memNode {
	if s := seen[n]; s != nil {
		s.links++
		return s
	}
	var s *memNode
	if n.entries == nil {
		s = &memNode{links: 1, durable: n.survivingContent(at, keep)}
		s.now = s.durable.clone()
		s.alloc = s.now.size
		m.used += s.alloc
	} else {
		s = newMemDir()
		left := n.survivingNames(at, keep)
		for _, name := range sortedKeys(left) {
			child := m.survivor(left[name], path.Join(at, name), keep, seen)
			s.entries[name], s.durableEntries[name] = child, child
		}
	}
	seen[n] = s
	return s
}

func sortedKeys(m map[string]*memNode) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (n *memNode) survivingNames(at string, keep func(Unsynced) bool) map[string]*memNode {
	left := make(map[string]*memNode, len(n.durableEntries))
	for name, node := range n.durableEntries {
		left[name] = node
	}
	for _, c := range n.names {
		name := c.to
		if name == "" {
			name = c.from
		}
		if !keep(Unsynced{Kind: c.op, Path: path.Join(at, name)}) {
			continue
		}
		if c.from != "" && left[c.from] == c.node {
			delete(left, c.from)
		}
		if c.to != "" {
			left[c.to] = c.node
		}
	}
	return left
}

// survivingContent is what is left of a file. A sector reaches the disk as it was in memory at some time: one that has a later
// write has the earlier ones too.
func (n *memNode) survivingContent(at string, keep func(Unsynced) bool) content {
	c := n.durable.clone()
	behind := map[int64][]memWrite{} // by sector: what its copy on the disk lacks
	for _, w := range n.writes {
		end := w.off + int64(len(w.data))
		if w.data == nil || end > c.size {
			if keep(Unsynced{Kind: OpTruncate, Path: at, Off: end}) {
				c.resize(end)
			}
		}
		for off, data := w.off, w.data; len(data) > 0; {
			step := min(len(data), SectorSize-int(off%SectorSize))
			sector := off / SectorSize
			behind[sector] = append(behind[sector], memWrite{off: off, data: data[:step]})
			if keep(Unsynced{Kind: OpWrite, Path: at, Off: off}) {
				for _, piece := range behind[sector] {
					piece.apply(&c)
				}
				delete(behind, sector)
			}
			off, data = off+int64(step), data[step:]
		}
	}
	return c
}
