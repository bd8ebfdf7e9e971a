package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// TreeChangeKind says what became of a node of a subtree.
type TreeChangeKind int

const (
	TreeAdded   TreeChangeKind = iota + 1 // the node is there; at first, and when it was created
	TreeChanged                           // its data were written
	TreeRemoved                           // it was deleted
	TreeCurrent                           // no node: everything that was there has been told, at first and after each reconnect
)

// String returns the kind in a word.
func (k TreeChangeKind) String() string {
	switch k {
	case TreeAdded:
		return "added"
	case TreeChanged:
		return "changed"
	case TreeRemoved:
		return "removed"
	case TreeCurrent:
		return "current"
	}
	return fmt.Sprintf("change %d", int(k))
}

// TreeChange is what became of one node of a subtree, as [Client.WatchTree] saw it.
type TreeChange struct {
	Kind TreeChangeKind
	Path string
	Data []byte // of a node that was added or changed
	Stat Stat   // of a node that was removed the last one that was seen
	Err  error  // why the node cannot be read, such as ErrNoAuth: it is known by its name, and nothing below it

	// Replaced is of a TreeRemoved: another node has been seen at the path, and is told next. Where both were done in one transaction nobody
	// has ever seen the path without a node.
	Replaced bool

	// At is of a TreeCurrent: all that was told is what a server knew then, or later. It is behind the end of the last outage.
	At time.Time
}

// NodeOnly is a depth: a node without its children.
const NodeOnly = -1

// WatchTreeOptions say what of a subtree is watched. The zero value works, and nil means the zero value.
type WatchTreeOptions struct {
	// Depth is how many levels below the path are watched: 1 for the path and its children, NodeOnly for the path alone. Default: all.
	Depth int
}

// WatchTree follows a node and all below it: first it yields what there is, parents before their children, then a TreeCurrent, then each
// change, children before their parents where they are removed. The node need not exist. Changes of one node that follow each other
// faster than the loop takes them are told as one, by its Stat.Version; [Queued] keeps a slow loop from being the reason. A node that was
// deleted and created again is always told as removed and added, whatever was missed, and one that stays never is, as long as its parent may
// be listed. After a reconnect, in the same session or another one, everything is read again and compared, and a TreeCurrent says that this
// is done.
//
// Nodes are not told in the order of their transactions: each by itself is.
//
// A node costs the server two watches, one if it is ephemeral, and this client about a kilobyte, without its data: they are not kept.
// An error ends the loop and is the last thing yielded: ctx's cause, ErrClosed, ….
func (c *Client) WatchTree(ctx context.Context, path string, opts *WatchTreeOptions) iter.Seq2[TreeChange, error] {
	depth := 0
	if opts != nil {
		depth = opts.Depth
	}
	return func(yield func(TreeChange, error) bool) {
		if err := checkPath(path, false); err != nil || depth < NodeOnly {
			if err == nil {
				err = fmt.Errorf("%w: depth %d", ErrBadArguments, depth)
			}
			yield(TreeChange{}, &Error{Op: "watchtree", Path: path, Err: err})
			return
		}
		ctx, cancel := context.WithCancelCause(ctx)
		w := treeWatch{
			c: c, subtree: newSubtree(path, depth), results: make(chan seen, walkers), awake: woken{some: make(chan struct{}, 1)}, since: time.Now(),
			pulse: look{node: &treeNode{gone: true}},
		}
		defer w.unfollow()
		defer w.reading.Wait()
		defer cancel(nil)
		w.run(ctx, yield)
	}
}

// treeWatch is the shell around a subtree: it has read what the subtree wants to be read, and tells the caller what the subtree finds.
type treeWatch struct {
	c       *Client
	subtree *subtree
	results chan seen // of the reads under way, of which there are at most as many as it holds
	reading sync.WaitGroup
	under   int       // how many reads are under way
	awake   woken     // watches that have fired
	session *Session  // that is read in: its server knows all that was seen in those before
	since   time.Time // all that was read, or will be before it is told that nothing is stale, is what a server knew then, or later
	pulse   look      // of nothing: it is woken by each reconnect, also when there is no watch, since what was watched is being read
	beat    *signal   // by which
}

// run goes on until the caller has enough, or an error.
func (w *treeWatch) run(ctx context.Context, yield func(TreeChange, error) bool) {
	for {
		for _, change := range w.subtree.told() {
			if change.Kind == TreeCurrent {
				change.At = w.since
			}
			if !yield(change, nil) {
				return
			}
		}
		if err := w.send(ctx); err != nil {
			yield(TreeChange{}, err)
			return
		}
		if w.under == 0 {
			w.wake()
			if w.subtree.settle() || len(w.subtree.wants) > 0 {
				continue
			}
		}
		select {
		case r := <-w.results:
			w.under--
			if err := w.take(r); err != nil {
				yield(TreeChange{}, err)
				return
			}
		case <-w.awake.some:
			w.wake()
		case <-ctx.Done():
			yield(TreeChange{}, &Error{Op: "watchtree", Path: w.subtree.root.path, Err: context.Cause(ctx)})
			return
		}
	}
}

// send begins as many reads as may be under way.
func (w *treeWatch) send(ctx context.Context) error {
	if len(w.subtree.wants) == 0 {
		return nil
	}
	if err := w.attach(ctx); err != nil {
		return err
	}
	for len(w.subtree.wants) > 0 && w.under < cap(w.results) {
		l, more := w.subtree.wants[0], w.subtree.wants[1:]
		w.subtree.wants = more
		if l.node.gone {
			continue
		}
		w.under++
		session := w.session
		w.reading.Go(func() { w.results <- w.read(ctx, session, l) }) // ends with the answer, or with session or ctx
	}
	return nil
}

// attach has a session to read in. A server does not go back in a session, but that of another one may be behind what was seen already, and is
// brought to know that first. So no read goes on in the next session.
func (w *treeWatch) attach(ctx context.Context) error {
	for w.session == nil || w.session.Err() != nil {
		s, err := w.c.AwaitSession(ctx)
		if err != nil {
			return err
		}
		if w.session != nil {
			err = w.c.In(s).Sync(ctx, w.subtree.root.path)
		}
		switch {
		case err == nil:
			if w.session != nil {
				w.since = time.Now() // all is read in the new one
			}
			w.session = s
			w.listen()
		case s.Err() == nil:
			return err
		}
	}
	return nil
}

// listen waits for the next reconnect in the session: by a watch on nothing, which no server has and no event wakes.
func (w *treeWatch) listen() {
	g, key := w.session.gen, watchKey{kind: watchData}
	w.beat = g.take(key)
	g.settle(key, w.beat, true)
	g.follow(w.beat, follower{w.pulse, w.awake.add})
}

// seen is what a read has brought.
type seen struct {
	look  look
	in    *Session
	data  []byte
	names []string
	found bool
	stat  Stat
	watch *Watch
	err   error
}

func (w *treeWatch) read(ctx context.Context, in *Session, l look) seen {
	r := seen{look: l, in: in, found: true}
	c := w.c.In(in)
	switch l.kind {
	case watchData:
		r.data, r.stat, r.watch, r.err = c.GetW(ctx, l.node.path)
	case watchChildren:
		r.names, r.stat, r.watch, r.err = c.ChildrenW(ctx, l.node.path)
	case watchExists:
		r.stat, r.found, r.watch, r.err = c.ExistsW(ctx, l.node.path)
	}
	if isNoNode(r.err) {
		r.found, r.err = false, nil
	}
	return r
}

// take hands a read to the subtree, and listens to the watch that was set with it.
func (w *treeWatch) take(r seen) error {
	switch {
	case r.err == nil || errors.Is(r.err, ErrNoAuth):
	case r.in.Err() != nil: // what ends all of it is found when the next one is awaited
		w.since = time.Now()
		w.subtree.again(r.look)
		return nil
	default:
		return r.err
	}
	if n := w.subtree.take(r); n != nil {
		r.watch.gen.follow(r.watch.signal, follower{look{n, r.look.kind}, w.awake.add})
	}
	return nil
}

// wake has read again what the watches that have fired were set on.
func (w *treeWatch) wake() {
	for _, a := range w.fired() {
		if a.again() && a.at.After(w.since) {
			w.since = a.at
		}
		if a.look == w.pulse && a.signal == w.beat && a.signal.err == nil {
			w.listen()
		}
		w.subtree.wake(a.look, a.signal, a.again())
	}
}

// fired returns the watches that have fired: if one has by a reconnect, all that have by that.
func (w *treeWatch) fired() []awoken {
	some := w.awake.all()
	if !slices.ContainsFunc(some, awoken.again) {
		return some
	}
	g := w.session.gen
	g.mu.Lock() // which is locked until all have
	defer g.mu.Unlock()
	return append(some, w.awake.all()...)
}

// unfollow forgets all watches, for those who share them.
func (w *treeWatch) unfollow() {
	if w.session != nil {
		w.session.gen.unfollow(w.beat, w.pulse)
	}
	for n := range w.subtree.root.all() {
		for kind, watch := range n.armed {
			if watch != nil {
				watch.gen.unfollow(watch.signal, look{n, watchKind(kind)})
			}
		}
	}
}

// woken collects watches that have fired.
type woken struct {
	some chan struct{} // holds one token when there may be some

	mu    sync.Mutex
	fired []awoken
}

// awoken is a watch that has fired, what was read when it was set, and when it was found to have fired: before what is read again.
type awoken struct {
	signal *signal
	look   look
	at     time.Time
}

// again tells whether it was by a reconnect, or the end of a session: everything has to be read again.
func (a awoken) again() bool { return a.signal.err != nil || a.signal.event.Type == EventReconnected }

func (w *woken) add(s *signal, l look) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fired = append(w.fired, awoken{s, l, time.Now()})
	select {
	case w.some <- struct{}{}:
	default:
	}
}

func (w *woken) all() []awoken {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.fired
	w.fired = nil
	return all
}

// subtree is what is known of a subtree: a machine that takes what was read and which watches have fired, and says what is to be read and
// what there is to tell.
type subtree struct {
	root    *treeNode
	depth   int // 0: all; or NodeOnly
	wants   []look
	changes []TreeChange
	stale   bool   // not everything was read since the beginning, or a reconnect
	denied  []look // what must not be read, and is tried again after a reconnect
}

// treeNode is a node that is there, or may be: it stands in a list of children. A node that was replaced by another of the same name is
// another treeNode.
type treeNode struct {
	path     string
	level    int
	parent   *treeNode
	children map[string]*treeNode
	told     bool // that it was added
	denied   bool // that it was read
	gone     bool
	unsure   bool // a node was seen here of which it is not known whether it is the parent's child, or that of another in its place
	unlisted bool // its children must not be listed
	stat     Stat
	lived    int64         // the last transaction at which this very node is known to have been there
	proves   int64         // one more, if the list finds it that is wanted or under way, and was not when that transaction was seen
	looking  [kinds]bool   // a read is wanted, or under way
	armed    [kinds]*Watch // that tells when to read again
}

// all yields a node and all below it.
func (n *treeNode) all() iter.Seq[*treeNode] {
	return func(yield func(*treeNode) bool) { n.each(yield) }
}

func (n *treeNode) each(yield func(*treeNode) bool) bool {
	if !yield(n) {
		return false
	}
	for _, child := range n.children {
		if !child.each(yield) {
			return false
		}
	}
	return true
}

// look is a read that sets a watch.
type look struct {
	node *treeNode
	kind watchKind
}

func newSubtree(path string, depth int) *subtree {
	t := &subtree{root: &treeNode{path: path}, depth: depth, stale: true}
	t.want(t.root, watchData)
	return t
}

func (t *subtree) want(n *treeNode, kind watchKind) {
	if !n.looking[kind] {
		n.looking[kind] = true
		t.wants = append(t.wants, look{n, kind})
	}
}

func (t *subtree) tell(c TreeChange) { t.changes = append(t.changes, c) }

// told returns what there is to tell, once.
func (t *subtree) told() []TreeChange {
	changes := t.changes
	t.changes = nil
	return changes
}

// settle is called when nothing is under way, and tells whether that brings something to tell.
func (t *subtree) settle() bool {
	if !t.stale || len(t.wants) > 0 {
		return false
	}
	t.stale = false
	t.tell(TreeChange{Kind: TreeCurrent, Path: t.root.path})
	return true
}

// wake notes that a watch has fired; again tells that it was by a reconnect, or the end of a session.
func (t *subtree) wake(l look, by *signal, again bool) {
	if again {
		t.stale = true
		for _, l := range t.denied {
			if !l.node.gone {
				t.want(l.node, l.kind)
			}
		}
		t.denied = nil
	}
	n := l.node
	if n.gone || n.armed[l.kind] == nil || n.armed[l.kind].signal != by {
		return
	}
	n.armed[l.kind] = nil
	if l.kind != watchExists || !n.told { // else its data are watched
		t.want(n, l.kind)
	}
}

// again wants a read that was not answered before its session was over, as all that was seen in that is to be read again.
func (t *subtree) again(l look) {
	t.stale = true
	l.node.looking[l.kind] = false
	if !l.node.gone {
		t.want(l.node, l.kind)
	}
}

// take notes what was read. If the watch is new that was set with it, it returns the node to be woken: that of the look, or the one in its place.
func (t *subtree) take(r seen) (follow *treeNode) {
	n, kind := r.look.node, r.look.kind
	n.looking[kind] = false
	if n.gone {
		return nil
	}
	if kind == watchData {
		there := r.found && r.err == nil
		n.unsure = there && !n.belongs(r.stat)
		if there && !n.unsure && n.told && !n.denied && n.stat.Czxid != r.stat.Czxid {
			n = t.replace(n)
		}
	}
	if r.watch != nil && (n.armed[kind] == nil || n.armed[kind].signal != r.watch.signal) {
		n.armed[kind], follow = r.watch, n
	}
	switch {
	case r.err != nil:
		t.deny(n, r)
	case n.unsure && kind == watchData:
		t.prove(n.parent, r.stat.Czxid)
	case kind == watchData:
		t.takeData(n, r)
	case kind == watchChildren:
		t.takeChildren(n, r)
	case r.found: // by watchExists, which is for the root alone
		t.want(n, watchData)
	}
	if n.gone {
		return nil
	}
	return follow
}

// belongs tells whether a node that was seen in n's place is known to be the child of n's parent: that was there when the child was, or later.
// Else it may be the child of another one that has taken the parent's place. That is told first, or the child would be told to be gone with
// the old parent while it is there.
func (n *treeNode) belongs(stat Stat) bool {
	switch {
	case n.parent == nil, n.parent.unlisted: // nobody can tell
		return true
	case n.told && !n.denied && n.stat.Czxid == stat.Czxid:
		return true
	}
	return stat.Czxid <= n.parent.lived
}

// prove lists a node's children, and reads again those of which it is unsure, to find out whether it was there at a transaction that was seen
// at one of them. A list that is asked for already may be older than that: if so there will be another one.
func (t *subtree) prove(n *treeNode, zxid int64) {
	if !n.looking[watchChildren] {
		n.proves = zxid
		t.want(n, watchChildren)
	}
}

// lives notes what a node's Stat tells of when it was there.
func (n *treeNode) lives(stat Stat) { n.lived = max(n.lived, stat.Czxid, stat.Mzxid, stat.Pzxid) }

func (t *subtree) takeData(n *treeNode, r seen) {
	if r.found {
		n.lives(r.stat)
	}
	switch {
	case !r.found && n == t.root:
		t.remove(n)
		t.root = &treeNode{path: n.path}
		t.want(t.root, watchExists)
	case !r.found:
		t.remove(n)
		t.want(n.parent, watchChildren) // a list that is newer than this answer may have come before it
	case !n.told, n.denied:
		kind := TreeAdded
		if n.told {
			kind = TreeChanged
		}
		n.told, n.denied, n.stat = true, false, r.stat
		t.tell(TreeChange{Kind: kind, Path: n.path, Data: r.data, Stat: r.stat})
		if r.stat.EphemeralOwner == 0 && t.depth != NodeOnly && (t.depth == 0 || n.level < t.depth) {
			t.want(n, watchChildren)
		}
	case n.stat.Mzxid != r.stat.Mzxid:
		n.stat = r.stat
		t.tell(TreeChange{Kind: TreeChanged, Path: n.path, Data: r.data, Stat: r.stat})
	}
}

// takeChildren compares. A list of a node that is not there, or is another one by now, is of no use: that is to be found out first.
func (t *subtree) takeChildren(n *treeNode, r seen) {
	proved := n.proves
	n.proves, n.unlisted = 0, false
	if !r.found || r.stat.Czxid != n.stat.Czxid {
		t.want(n, watchData)
		return
	}
	n.lives(r.stat)
	n.lived = max(n.lived, proved)
	there := make(map[string]bool, len(r.names))
	for _, name := range r.names {
		there[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		// Answers are taken in any order: a child that is newer than the list is not missing in it, and the next list is on its way.
		if child := n.children[name]; !there[name] && child.stat.Czxid <= r.stat.Pzxid {
			t.remove(child)
		}
	}
	t.askUnsure(n)
	slices.Sort(r.names)
	for _, name := range r.names {
		if n.children[name] == nil {
			t.want(n.add(name), watchData)
		}
	}
}

// askUnsure reads a node's children again of which it was not known whose they are.
func (t *subtree) askUnsure(n *treeNode) {
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		if child := n.children[name]; child.unsure {
			t.want(child, watchData)
		}
	}
}

// add notes a child.
func (n *treeNode) add(name string) *treeNode {
	if n.children == nil {
		n.children = make(map[string]*treeNode)
	}
	child := &treeNode{path: Join(n.path, name), level: n.level + 1, parent: n}
	n.children[name] = child
	return child
}

// deny notes that a node must not be read.
func (t *subtree) deny(n *treeNode, r seen) {
	t.denied = append(t.denied, r.look)
	switch r.look.kind {
	case watchData:
		n.denied = true
	case watchChildren:
		n.unlisted = true
		t.askUnsure(n)
	}
	kind := TreeChanged
	if !n.told {
		n.told, kind = true, TreeAdded
	}
	t.tell(TreeChange{Kind: kind, Path: n.path, Stat: n.stat, Err: r.err})
}

// replace begins anew with a node that was deleted and is there again. It returns the new one, which has been read.
func (t *subtree) replace(n *treeNode) *treeNode {
	t.remove(n)
	t.changes[len(t.changes)-1].Replaced = true // the last that is told is the node itself
	if n.parent == nil {
		t.root = &treeNode{path: n.path}
		return t.root
	}
	return n.parent.add(n.path[strings.LastIndexByte(n.path, '/')+1:])
}

// remove forgets a node and all below it, children first.
func (t *subtree) remove(n *treeNode) {
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		t.remove(n.children[name])
	}
	n.gone = true
	if n.parent != nil {
		delete(n.parent.children, n.path[strings.LastIndexByte(n.path, '/')+1:])
	}
	if n.told {
		t.tell(TreeChange{Kind: TreeRemoved, Path: n.path, Stat: n.stat})
	}
}
