package client

import (
	"context"
	"fmt"
	"iter"

	"github.com/go-zookeeper/zk"
)

// EventType says what woke a watch.
type EventType int32

// The first four are the server's, with ZooKeeper's numbers; the last is this client's.
const (
	EventCreated         EventType = 1 // the node was created
	EventDeleted         EventType = 2 // the node was deleted
	EventDataChanged     EventType = 3 // its data changed
	EventChildrenChanged EventType = 4 // a child came or went
	EventReconnected     EventType = 5 // the connection was made anew, and changes may have been missed: look again
)

// String returns the event in one or two words.
func (t EventType) String() string {
	switch t {
	case EventCreated:
		return "created"
	case EventDeleted:
		return "deleted"
	case EventDataChanged:
		return "data changed"
	case EventChildrenChanged:
		return "children changed"
	case EventReconnected:
		return "reconnected"
	}
	return fmt.Sprintf("event %d", int32(t))
}

// Event is what a watch was woken by.
type Event struct {
	Type EventType
	Path string
}

// Watch waits for one change of what was read when it was set. It is woken once, by that change, by a reconnect (after which the
// server's word about what was missed is not relied on), or by the end of its session. So waking means "read again", never more. A
// Watch nobody waits for any longer needs no closing. Many goroutines may use it.
//
// Watches on the same path within one session share one watch on the server.
type Watch struct {
	signal *signal
	gen    *generation // in which it was set
	client *Client     // whose paths it speaks of
}

// Wait returns the event that woke the watch, waiting for it if need be. It fails with ctx's cause, or with the cause of the end of the
// watch's session. Once woken, it returns the same answer for ever.
func (w *Watch) Wait(ctx context.Context) (Event, error) {
	select {
	case <-w.signal.done:
		return w.woken()
	default:
	}
	select {
	case <-w.signal.done:
		return w.woken()
	case <-ctx.Done():
		return Event{}, context.Cause(ctx)
	}
}

// woken returns what the watch was woken by.
func (w *Watch) woken() (Event, error) {
	e := w.signal.event
	if w.signal.err == nil {
		e.Path = w.client.relative(e.Path)
	}
	return e, w.signal.err
}

// Done returns a channel that is closed when the watch has been woken, for use in a select; Wait then tells why without waiting.
func (w *Watch) Done() <-chan struct{} { return w.signal.done }

// GetW is Get and sets a watch for the next change of the data or the deletion of the node.
func (c *Client) GetW(ctx context.Context, path string) ([]byte, Stat, *Watch, error) {
	a, w, err := readW(ctx, c, "getw", path, watchData, readData)
	if err != nil {
		return nil, Stat{}, nil, err
	}
	return a.data, statOf(a.stat), w, nil
}

// ExistsW is Exists and sets a watch for the creation of the node, or for its deletion and the change of its data.
func (c *Client) ExistsW(ctx context.Context, path string) (Stat, bool, *Watch, error) {
	a, w, err := readW(ctx, c, "existsw", path, watchExists, readExistence)
	if err != nil {
		return Stat{}, false, nil, err
	}
	if !a.found {
		return Stat{}, false, w, nil
	}
	return statOf(a.stat), true, w, nil
}

// ChildrenW is Children and sets a watch for the coming and going of children, and for the deletion of the node.
func (c *Client) ChildrenW(ctx context.Context, path string) ([]string, Stat, *Watch, error) {
	a, w, err := readW(ctx, c, "childrenw", path, watchChildren, readChildren)
	if err != nil {
		return nil, Stat{}, nil, err
	}
	return a.names, statOf(a.stat), w, nil
}

// readW runs a read that sets a watch, which the tap sees to. The watch belongs to one session, and so does the read.
func readW(ctx context.Context, c *Client, name, path string, kind watchKind,
	fn func(conn *zk.Conn, full string) (answer, error)) (answer, *Watch, error) {
	key := watchKey{kind, c.absolute(path)}
	if err := c.permit(&Intent{Op: name, Path: path, Watch: true}); err != nil {
		return answer{}, nil, err
	}
	for {
		s, err := c.AwaitSession(ctx)
		if err != nil {
			return answer{}, nil, &Error{Op: name, Path: path, Err: reason(err)}
		}
		a, err := read(ctx, c.In(s), name, path, func(conn *zk.Conn, full string) (answer, error) {
			sig := s.gen.take(key)
			var a answer
			var err error
			if s.gen.foreign {
				a, err = s.gen.watchByLibrary(key, sig, fn)
			} else {
				a, err = fn(conn, full)
			}
			s.gen.settle(key, sig, err == nil)
			a.signal = sig
			return a, err
		})
		if err != nil && c.pin == nil && s.Err() != nil && ctx.Err() == nil {
			continue // in the next session, or to be told that there is none
		}
		return a, &Watch{a.signal, s.gen, c}, err
	}
}

// reason takes the outer Error off, for the operation that called another one to put its own on.
func reason(err error) error {
	if e, ok := err.(*Error); ok {
		return e.Err
	}
	return err
}

// Node is a node as WatchNode saw it. Two Nodes with different Stat.Czxid are different nodes: the first was deleted in between.
type Node struct {
	Exists bool
	Data   []byte
	Stat   Stat
}

// WatchNode follows a node: it yields its present state, existing or not, and then each new state. States that follow each other
// faster than the loop takes them are left out, but never the last one; after a reconnect, in the same session or another, the
// node is read again and yielded if it differs. An error ends the loop and is the last thing yielded: ctx's cause, ErrClosed, ErrNoAuth, …
func (c *Client) WatchNode(ctx context.Context, path string) iter.Seq2[Node, error] {
	look := func() (Node, *Watch, error) {
		for {
			data, stat, w, err := c.GetW(ctx, path)
			if !isNoNode(err) {
				return Node{Exists: true, Data: data, Stat: stat}, w, err
			}
			_, exists, w, err := c.ExistsW(ctx, path)
			if err != nil || !exists {
				return Node{}, w, err
			}
		}
	}
	same := func(a, b Node) bool {
		return a.Exists == b.Exists && a.Stat.Czxid == b.Stat.Czxid && a.Stat.Mzxid == b.Stat.Mzxid
	}
	return follow(ctx, c, path, look, same)
}

// Children is the set of a node's children as WatchChildren saw it.
type Children struct {
	Exists bool     // whether the parent exists; without it there are no names
	Names  []string // in no order
	Stat   Stat     // the parent's
}

// WatchChildren follows the set of a node's children as WatchNode follows a node.
func (c *Client) WatchChildren(ctx context.Context, path string) iter.Seq2[Children, error] {
	look := func() (Children, *Watch, error) {
		for {
			names, stat, w, err := c.ChildrenW(ctx, path)
			if !isNoNode(err) {
				return Children{Exists: true, Names: names, Stat: stat}, w, err
			}
			_, exists, w, err := c.ExistsW(ctx, path)
			if err != nil || !exists {
				return Children{}, w, err
			}
		}
	}
	same := func(a, b Children) bool {
		return a.Exists == b.Exists && a.Stat.Czxid == b.Stat.Czxid && a.Stat.Pzxid == b.Stat.Pzxid
	}
	return follow(ctx, c, path, look, same)
}

// follow looks, yields what is new, waits for the watch and looks again.
func follow[T any](ctx context.Context, c *Client, path string, look func() (T, *Watch, error), same func(a, b T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var last T
		for first := true; ; first = false {
			now, w, err := look()
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			if first || !same(last, now) {
				if !yield(now, nil) {
					return
				}
				last = now
			}
			if err := awaitChange(ctx, c, path, w); err != nil {
				var none T
				yield(none, err)
				return
			}
		}
	}
}

// awaitChange waits until a watch is woken. The end of its session is no end of the loop: the next look tells whether there is another,
// whose server must not know less than the last one.
func awaitChange(ctx context.Context, c *Client, path string, w *Watch) error {
	_, err := w.Wait(ctx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return c.Sync(ctx, path)
}
