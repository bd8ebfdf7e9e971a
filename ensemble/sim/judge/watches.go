package judge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// watchKind is a way of watching a path; several can be combined.
type watchKind uint8

const (
	watchData watchKind = 1 << iota
	watchChild
	watchPersistent
	watchRecursive
)

// Watches is C9. What a connection is told of changes leaves no choice: a watch is left at the zxid of the reply that left it,
// a reply shows that its server had come to its zxid, and every event of a change up to there must have been told before it.
// So each connection's stream of events is worked out and compared, event by event.
func (c *Case) Watches() []Violation {
	f := findings{check: "C9"}
	r := c.replay()
	for i := range c.h.Conns {
		if len(c.h.Conns[i].Received) > 0 {
			w := watcher{c: c, r: r, f: &f, conn: i, marks: map[string]watchKind{}}
			w.follow()
		}
	}
	return f.list
}

// A watcher follows one connection.
type watcher struct {
	c     *Case
	r     *replay
	f     *findings
	conn  int
	marks map[string]watchKind
	deep  int // marks with watchRecursive

	at    int     // changes up to here have been looked at
	begun bool    // a reply has said where the server is
	due   []event // events that must come next, in order
	late  []Event // received with zxid -1, until the reply to the setWatches they belong to
}

type event struct {
	typ  znode.EventType
	path string
	zxid znode.Zxid
}

func (e event) String() string { return fmt.Sprintf("%v %s at %v", e.typ, e.path, e.zxid) }

func (w *watcher) follow() {
	for _, item := range w.c.h.Conns[w.conn].Received {
		ok := true
		if item.IsEvent {
			ok = w.event(&w.c.h.Events[item.Index])
		} else {
			ok = w.reply(item.Index)
		}
		if !ok {
			return // the rest of the stream is its echo
		}
	}
}

func (w *watcher) fail(e Moment, format string, args ...any) bool {
	c := &w.c.h.Conns[w.conn]
	w.f.add(e.At, "connection %d (client %d to server %d): %s", w.conn, c.Client, c.Server, fmt.Sprintf(format, args...))
	return false
}

// event checks that it is the one that has to come.
func (w *watcher) event(e *Event) bool {
	if e.Zxid == -1 {
		w.late = append(w.late, *e)
		return true
	}
	if w.beyond(e.Zxid) {
		return false
	}
	if !w.begun {
		return w.fail(e.At, "told %v %s at %v, and watches nothing", e.Type, e.Path, e.Zxid)
	}
	w.advance(e.Zxid - 1)
	if len(w.due) == 0 {
		w.advance(e.Zxid)
	}
	got := event{e.Type, e.Path, e.Zxid}
	switch {
	case len(w.due) == 0:
		return w.fail(e.At, "told %v, which it does not watch (any more), or which did not happen", got)
	case w.due[0] != got:
		return w.fail(e.At, "told %v, must be told %v", got, w.due[0])
	case e.State != wire.StateSyncConnected:
		return w.fail(e.At, "told %v with the state %d", got, e.State)
	}
	w.due = w.due[1:]
	return true
}

// beyond reports whether the replay did not get that far.
func (w *watcher) beyond(zxid znode.Zxid) bool { return w.r.broken && zxid > w.r.until }

// reply checks that all events it shows have come, and leaves watches.
func (w *watcher) reply(i int) bool {
	o := &w.c.h.Ops[i]
	if !inOrder(o.Zxid) && o.Zxid != 0 || w.beyond(o.Zxid) {
		return !w.beyond(o.Zxid)
	}
	if !w.begun {
		w.begun, w.at = true, w.after(o.Zxid)
	}
	w.advance(o.Zxid)
	if len(w.due) > 0 {
		return w.fail(o.Returned, "was not told %v before this showed it: %s", w.due[0], w.c.describe(i))
	}
	u, returned := w.r.returns[i]
	if returned && o.Err == znode.CodeOK {
		if !w.caughtUp(o, u.events) {
			return false
		}
		for _, l := range u.left {
			w.mark(l.path, w.marks[l.path]|l.kind)
		}
	}
	if len(w.late) > 0 {
		return w.fail(w.late[0].At, "told %v %s late, and had not asked for what it missed", w.late[0].Type, w.late[0].Path)
	}
	return w.leave(o, i)
}

// caughtUp compares what a client that came back was told at once.
func (w *watcher) caughtUp(o *Op, want []wire.WatcherEvent) bool {
	got := w.late
	w.late = nil
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got):
			return w.fail(o.Returned, "came back and was not told %v %s", want[i].Type, want[i].Path)
		case i >= len(want):
			return w.fail(o.Returned, "came back and was told %v %s, which it had not missed", got[i].Type, got[i].Path)
		case got[i].WatcherEvent != want[i]:
			return w.fail(o.Returned, "came back and was told %v %s, must be %v %s", got[i].Type, got[i].Path, want[i].Type, want[i].Path)
		}
	}
	return true
}

// leave is what a reply leaves of watches, or takes away.
func (w *watcher) leave(o *Op, i int) bool {
	switch q := o.Request.(type) {
	case *wire.WatchRequest:
		switch {
		case !q.Watch:
		case o.Type == wire.OpExists && (o.Err == znode.CodeOK || o.Err == znode.CodeNoNode), o.Type == wire.OpGetData && o.Err == znode.CodeOK:
			w.mark(q.Path, w.marks[q.Path]|watchData)
		case o.Err == znode.CodeOK:
			w.mark(q.Path, w.marks[q.Path]|watchChild)
		}
	case *wire.AddWatchRequest:
		kind := watchPersistent
		if q.Mode == wire.WatchPersistentRecursive {
			kind = watchRecursive
		}
		if o.Err == znode.CodeOK {
			w.mark(q.Path, w.marks[q.Path]|kind)
		}
	case *wire.WatcherRequest:
		kinds := map[wire.WatcherType]watchKind{
			wire.WatcherChildren: watchChild, wire.WatcherData: watchData, wire.WatcherAny: watchData | watchChild | watchPersistent | watchRecursive,
			wire.WatcherPersistent: watchPersistent, wire.WatcherPersistentRecursive: watchRecursive,
		}[q.Type]
		want := znode.CodeOK
		if w.marks[q.Path]&kinds == 0 {
			want = znode.CodeNoWatcher
		}
		if o.Err != want {
			return w.fail(o.Returned, "must be answered %v: %s", want, w.c.describe(i))
		}
		if o.Type == wire.OpRemoveWatches {
			w.mark(q.Path, w.marks[q.Path]&^kinds)
		}
	}
	return true
}

func (w *watcher) mark(path string, kinds watchKind) {
	if w.marks[path]&watchRecursive != 0 {
		w.deep--
	}
	if kinds&watchRecursive != 0 {
		w.deep++
	}
	if kinds == 0 {
		delete(w.marks, path)
	} else {
		w.marks[path] = kinds
	}
}

// after is the place of the first change behind zxid.
func (w *watcher) after(zxid znode.Zxid) int {
	i, _ := slices.BinarySearchFunc(w.r.changes, zxid, func(ch Change, zxid znode.Zxid) int {
		if ch.Zxid <= zxid {
			return -1
		}
		return 1
	})
	return i
}

// advance adds to due what all changes up to zxid must be told of.
func (w *watcher) advance(zxid znode.Zxid) {
	if len(w.marks) == 0 {
		w.at = max(w.at, w.after(zxid))
		return
	}
	for ; w.at < len(w.r.changes) && w.r.changes[w.at].Zxid <= zxid; w.at++ {
		w.fire(w.r.changes[w.at])
	}
}

// fire is one change, and whom it is told to, in the order of the protocol: the watches of data at the node and above it, those of its
// own children, those of its parent's.
func (w *watcher) fire(ch Change) {
	here := w.marks[ch.Path]
	told := here&(watchData|watchPersistent|watchRecursive) != 0 || w.deep > 0 && w.above(ch.Path)
	if told {
		w.due = append(w.due, event{ch.Type, ch.Path, ch.Zxid})
	}
	if ch.Type == znode.EventDeleted && !told && here&watchChild != 0 {
		w.due = append(w.due, event{ch.Type, ch.Path, ch.Zxid})
	}
	spent := watchData
	if ch.Type == znode.EventDeleted {
		spent |= watchChild
	}
	if here&spent != 0 {
		w.mark(ch.Path, here&^spent)
	}
	if ch.Type == znode.EventDataChanged {
		return
	}
	parent := parentOf(ch.Path)
	if there := w.marks[parent]; there&(watchChild|watchPersistent) != 0 {
		w.due = append(w.due, event{znode.EventChildrenChanged, parent, ch.Zxid})
		if there&watchChild != 0 {
			w.mark(parent, there&^watchChild)
		}
	}
}

// above reports whether a node above path is watched with all below it.
func (w *watcher) above(path string) bool {
	for p, kinds := range w.marks {
		if kinds&watchRecursive != 0 && (p == znode.Root || strings.HasPrefix(path, p+"/")) {
			return true
		}
	}
	return false
}
