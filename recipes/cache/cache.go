package cache

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
)

// Options say what is mirrored and how. The zero value works, and nil means the zero value.
type Options struct {
	// Depth is how many levels below the path are mirrored: 1 for the path and its children, client.NodeOnly for the path alone. Default:
	// all.
	Depth int
	// NoData keeps paths and Stats alone.
	NoData bool
	// Index returns the keys under which [Cache.Find] finds a node, of which there may be none. It is called on the goroutine that follows
	// the tree, once for each state of a node, and must return soon. Default: no index.
	Index func(Node) []string
	// Logger is told, at Warn, of nodes that cannot be read. Default: silence.
	Logger *slog.Logger
}

// Node is a node as a cache has it. Two Nodes of one path with different Stat.Czxid are different nodes: the first was deleted in between.
type Node struct {
	Path string
	Data []byte // shared with everybody, and not to be changed
	Stat client.Stat
	Err  error // why it cannot be read, such as client.ErrNoAuth; then there are no data
}

// Cache is a mirror of a subtree, from Open until Close. Its methods may be called by many goroutines.
type Cache struct {
	client *client.Client
	path   string
	opts   Options

	cancel  context.CancelFunc
	running sync.WaitGroup
	ready   chan struct{} // closed when everything was read for the first time
	done    chan struct{} // closed when nothing follows the tree any more
	err     error         // why; written before done is closed

	// Read without the mutex, written with it.
	nodes sync.Map // path → *entry
	index sync.Map // key → *shelf
	count atomic.Int64

	kit *telemetry.Kit // nil: nobody looks

	mu         sync.Mutex
	watchers   map[*watcher]struct{}
	size       int64     // of all data
	staleSince time.Time // zero: it is not
	currentAt  time.Time // it has all that a server knew then; zero: it was never read to the end
	counted    bool      // among those that are stale, in kit
}

// entry is a node's place in the mirror.
type entry struct {
	node     atomic.Pointer[Node]
	children atomic.Pointer[sync.Map] // name → *entry; nil: none yet
	keys     []string                 // of the index, sorted; for writers
}

// shelf has the nodes of one key of the index.
type shelf struct {
	nodes sync.Map // path → *entry
	count int      // for writers
}

// Open begins to mirror what is at a path, which need not exist, and returns when all of it was read once. ctx bounds that alone, and the
// error is its cause, or why the path cannot be watched. The mirror lives until Close, and ends with the client, or, if that is a view of a
// session, with the session.
func Open(ctx context.Context, c *client.Client, path string, opts *Options) (*Cache, error) {
	m := &Cache{
		client: c, path: path, ready: make(chan struct{}), done: make(chan struct{}),
		watchers: make(map[*watcher]struct{}), staleSince: time.Now(), kit: telemetry.Of(c),
	}
	if opts != nil {
		m.opts = *opts
	}
	if m.opts.Logger == nil {
		m.opts.Logger = slog.New(slog.DiscardHandler)
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m.cancel = cancel
	m.running.Go(func() { m.suspect(life) }) // ends with life, or the client
	m.running.Go(func() { m.follow(life) })  // ends with life, or the client
	select {
	case <-m.ready:
		return m, nil
	case <-m.done:
		m.Close()
		return nil, m.err
	case <-ctx.Done():
		m.Close()
		return nil, &client.Error{Op: "cache", Path: path, Err: context.Cause(ctx)}
	}
}

// Close ends the mirror and its loops, and returns when nothing of it runs. What was mirrored can still be read, as stale.
func (m *Cache) Close() {
	m.cancel()
	m.running.Wait()
}

// Path returns the path that is mirrored.
func (m *Cache) Path() string { return m.path }

// Done returns a channel that is closed when the mirror has ended, and Err tells why.
func (m *Cache) Done() <-chan struct{} { return m.done }

// Err returns nil while the mirror is kept up, and after that why it is not: context.Canceled after Close, client.ErrClosed, the end of the
// session of a view, or an answer of the servers that cannot be dealt with.
func (m *Cache) Err() error {
	select {
	case <-m.done:
		return m.err
	default:
		return nil
	}
}

// StaleSince returns since when changes may have been missed that will be found when there is a connection again, and the zero time if none
// can have been, as far as this client knows.
func (m *Cache) StaleSince() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.staleSince
}

// Status is a mirror as it is.
type Status struct {
	Synced     bool      // all of it was read at least once, which is so when Open has returned it
	AsOf       time.Time // it has all that a server knew at this time, or later; zero until it is synced
	StaleSince time.Time // as StaleSince tells
	Nodes      int
	Bytes      int64 // of their data
	Loops      int   // over Watch that go on
	Err        error // as Err tells
}

// Status returns all that is known of the mirror without looking at its nodes. It asks nobody.
func (m *Cache) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Status{
		Synced: !m.currentAt.IsZero(), AsOf: m.currentAt, StaleSince: m.staleSince,
		Nodes: m.Len(), Bytes: m.size, Loops: len(m.watchers), Err: m.Err(),
	}
}

// Get returns the node at a path, and whether there is one. It does not wait.
func (m *Cache) Get(path string) (Node, bool) {
	e, ok := m.nodes.Load(path)
	if !ok {
		return Node{}, false
	}
	return *e.(*entry).node.Load(), true
}

// Len returns how many nodes there are.
func (m *Cache) Len() int { return int(m.count.Load()) }

// All yields all nodes, in no order. Nodes that come or go meanwhile may be yielded or not; each is yielded once.
func (m *Cache) All() iter.Seq[Node] { return each(&m.nodes) }

// Children yields the children of a node as All does.
func (m *Cache) Children(path string) iter.Seq[Node] {
	e, ok := m.nodes.Load(path)
	if !ok {
		return func(func(Node) bool) {}
	}
	return each(e.(*entry).children.Load())
}

// Find yields the nodes that Options.Index has put under a key as All does.
func (m *Cache) Find(key string) iter.Seq[Node] {
	found, ok := m.index.Load(key)
	if !ok {
		return func(func(Node) bool) {}
	}
	return each(&found.(*shelf).nodes)
}

func each(entries *sync.Map) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		if entries == nil {
			return
		}
		entries.Range(func(_, e any) bool { return yield(*e.(*entry).node.Load()) })
	}
}

// follow does to the mirror what happens to the tree.
func (m *Cache) follow(ctx context.Context) {
	defer close(m.done)
	for change, err := range m.client.WatchTree(ctx, m.path, &client.WatchTreeOptions{Depth: m.opts.Depth}) {
		if err != nil {
			m.end(err)
			return
		}
		m.apply(change)
	}
}

// end notes why nothing follows the tree any more.
func (m *Cache) end(err error) {
	m.err = err
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kit.Count(telemetry.CacheNodes, -m.count.Load())
	m.kit.Count(telemetry.CacheSize, -m.size)
	m.trusted()
	if m.staleSince.IsZero() {
		m.staleSince = time.Now()
		m.tell(Stale)
	}
}

// apply makes one change.
func (m *Cache) apply(c client.TreeChange) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch c.Kind {
	case client.TreeCurrent:
		m.current(c.At)
	case client.TreeRemoved:
		if !c.Replaced { // else the next change puts another in its place, and nobody sees it empty
			m.remove(c.Path)
		}
	default:
		n := &Node{Path: c.Path, Data: c.Data, Stat: c.Stat, Err: c.Err}
		if m.opts.NoData {
			n.Data = nil
		}
		if c.Err != nil {
			m.opts.Logger.Warn("node cannot be mirrored", "path", c.Path, "cause", c.Err)
		}
		m.put(n)
	}
}

// put adds a node, or its next state. The caller holds mu, as everybody who writes.
func (m *Cache) put(n *Node) {
	var old *Node
	found, there := m.nodes.Load(n.Path)
	e, _ := found.(*entry)
	if there {
		old = e.node.Load()
	} else {
		e = &entry{}
	}
	e.node.Store(n)
	m.grow(old, n)
	m.file(e, m.keys(n))
	if !there {
		m.nodes.Store(n.Path, e)
		m.count.Add(1)
		if dir, name := m.parent(n.Path); dir != nil {
			if dir.children.Load() == nil {
				dir.children.Store(new(sync.Map))
			}
			dir.children.Load().Store(name, e)
		}
	}
	m.note(n.Path, old)
}

func (m *Cache) remove(path string) {
	found, there := m.nodes.LoadAndDelete(path)
	if !there {
		return
	}
	m.count.Add(-1)
	e := found.(*entry)
	if dir, name := m.parent(path); dir != nil {
		dir.children.Load().Delete(name)
	}
	m.grow(e.node.Load(), nil)
	m.file(e, nil)
	m.note(path, e.node.Load())
}

// grow counts what one node takes the place of another, of which either may be none.
func (m *Cache) grow(old, now *Node) {
	nodes, bytes := int64(0), int64(0)
	if old != nil {
		nodes, bytes = -1, -int64(len(old.Data))
	}
	if now != nil {
		nodes, bytes = nodes+1, bytes+int64(len(now.Data))
	}
	m.size += bytes
	m.kit.Count(telemetry.CacheNodes, nodes)
	m.kit.Count(telemetry.CacheSize, bytes)
}

// parent returns the entry of a node's parent, nil if that is not mirrored, and the node's name in it.
func (m *Cache) parent(path string) (*entry, string) {
	i := strings.LastIndexByte(path, '/')
	if path == m.path || i < 0 {
		return nil, ""
	}
	dir, ok := m.nodes.Load(path[:max(i, 1)])
	if !ok {
		return nil, ""
	}
	return dir.(*entry), path[i+1:]
}

// keys returns under which keys a node is to be found.
func (m *Cache) keys(n *Node) []string {
	if m.opts.Index == nil {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(m.opts.Index(*n))))
}

// file puts a node where Find looks for it. Where it was and still belongs it is found all the time.
func (m *Cache) file(e *entry, keys []string) {
	path := e.node.Load().Path
	for _, key := range keys {
		if _, there := slices.BinarySearch(e.keys, key); !there {
			found, _ := m.index.LoadOrStore(key, new(shelf))
			found.(*shelf).nodes.Store(path, e)
			found.(*shelf).count++
		}
	}
	for _, key := range e.keys {
		if _, stays := slices.BinarySearch(keys, key); !stays {
			found, _ := m.index.Load(key)
			found.(*shelf).nodes.Delete(path)
			if found.(*shelf).count--; found.(*shelf).count == 0 {
				m.index.Delete(key)
			}
		}
	}
	e.keys = keys
}

// current notes that everything is what a server knew at that time, or later.
func (m *Cache) current(at time.Time) {
	m.currentAt = at
	select {
	case <-m.ready:
	default:
		close(m.ready)
	}
	if doubtful(m.client.State()) { // all was read, and then the connection went, of which suspect may have told already
		m.doubt(at)
		return
	}
	m.trusted()
	m.staleSince = time.Time{}
	m.tell(Current)
}

// trusted counts the mirror among the stale ones no longer.
func (m *Cache) trusted() {
	if m.counted {
		m.counted = false
		m.kit.Count(telemetry.CacheStale, -1)
		m.kit.Took(telemetry.CacheStaleDuration, time.Since(m.staleSince))
	}
}

// suspect notes when the connection goes, or is one to a server without a majority. That it is back is of no interest before everything was
// read again.
func (m *Cache) suspect(ctx context.Context) {
	for change := range m.client.States(ctx) {
		if !doubtful(change.State) {
			continue
		}
		m.mu.Lock()
		if change.At.After(m.currentAt) || doubtful(m.client.State()) { // it may have gone at the very moment when all was read
			m.doubt(change.At)
		}
		m.mu.Unlock()
	}
}

// doubtful tells whether changes may be missed: there is no connection, or the others may go on without the server that it is to.
func doubtful(s client.State) bool {
	return s == client.StateSuspended || s == client.StateLost || s == client.StateReadOnly
}

// doubt makes the mirror stale, if it is not. One that has not been current yet is counted once all of it was read.
func (m *Cache) doubt(since time.Time) {
	if m.staleSince.IsZero() {
		m.staleSince = since
		m.tell(Stale)
	}
	if !m.counted && !m.currentAt.IsZero() {
		m.counted = true
		m.kit.Count(telemetry.CacheStale, 1)
	}
}
