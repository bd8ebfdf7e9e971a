package lock

// Layout says how the contenders of a lock are named, and so with whom it is shared. Those of different layouts do not see each other: Inspect
// tells of them.
type Layout int

const (
	// CuratorLayout is that of Curator's InterProcessMutex, LeaderSelector and InterProcessReadWriteLock, and of go-zookeeper's Lock, which
	// takes readers for writers.
	CuratorLayout Layout = iota
	// KazooLayout is that of kazoo's Lock, Election, WriteLock and ReadLock, in Python. A kazoo Lock does not wait for readers; its WriteLock
	// does. The order is kazoo's until the numbers of a directory are used up.
	KazooLayout
)

// marks are what stands before the number in the names of the contenders, by layout.
var marks = [...]struct{ mutex, write, read string }{
	CuratorLayout: {marker, "__WRIT__", "__READ__"},
	KazooLayout:   {"__lock__", "__lock__", "__rlock__"},
}

// layout is that of some options; one that there is not is Curator's.
func (o *Options) layout() Layout {
	if o == nil || o.Layout != KazooLayout {
		return CuratorLayout
	}
	return o.Layout
}
