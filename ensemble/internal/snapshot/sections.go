package snapshot

import (
	"fmt"
	"io"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// flushAt is how many bytes are gathered before they are written.
const flushAt = 256 << 10

// The sections of an image, in order.
type section int

const (
	atSessions section = iota
	atACLs
	atNodes
	atPublish
	atEnd
)

// endOfNodes is the path behind the last node.
const endOfNodes = "/"

// sections writes what an image and a stream have in common.
type sections struct {
	to    io.Writer
	buf   []byte // not written yet
	at    section
	nodes int
	err   error
}

// Err is the error that ended the writing, if any.
func (w *sections) Err() error { return w.err }

// enter checks that a section may begin.
func (w *sections) enter(at section) error {
	if w.err == nil && w.at != at {
		w.err = fmt.Errorf("%w: section %d when %d was due", ErrMisuse, at, w.at)
	}
	return w.err
}

// Sessions writes the open sessions, in any order.
func (w *sections) Sessions(v []Session) error {
	if err := w.enter(atSessions); err != nil {
		return err
	}
	w.buf = jute.AppendInt32(w.buf, int32(len(v)))
	for _, s := range v {
		w.buf = jute.AppendInt64(w.buf, int64(s.ID))
		w.buf = jute.AppendInt32(w.buf, s.Timeout)
		w.spill()
	}
	w.at = atACLs
	return w.err
}

// ACLs writes the lists that nodes refer to, in any order.
func (w *sections) ACLs(v []ACL) error {
	if err := w.enter(atACLs); err != nil {
		return err
	}
	w.buf = jute.AppendInt32(w.buf, int32(len(v)))
	for _, a := range v {
		w.buf = jute.AppendInt64(w.buf, a.ID)
		w.buf = znode.AppendACLs(w.buf, a.List)
		w.spill()
	}
	w.at = atNodes
	return w.err
}

// Nodes writes some more nodes. The very first must be the root, and parents come before their children. The slice and what
// is in it are the caller's again on return.
func (w *sections) Nodes(v []Node) error {
	if err := w.enter(atNodes); err != nil {
		return err
	}
	for i := range v {
		path := v[i].Path
		if root := path == "" || path == "/"; root != (w.nodes == 0) {
			w.err = fmt.Errorf("%w: node %d is %q", ErrMisuse, w.nodes, path)
			return w.err
		}
		if path == "/" {
			path = ""
		}
		w.buf = jute.AppendString(w.buf, path)
		w.buf = jute.AppendBuffer(w.buf, v[i].Data)
		w.buf = jute.AppendInt64(w.buf, v[i].ACL)
		w.buf = v[i].Stat.AppendJute(w.buf)
		w.nodes++
		w.spill()
	}
	return w.err
}

// spill writes the buffer if it is full.
func (w *sections) spill() {
	if len(w.buf) >= flushAt {
		w.flush()
	}
}

func (w *sections) flush() {
	if w.err == nil {
		_, w.err = w.to.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

// end ends the nodes, of which there must be one.
func (w *sections) end() error {
	if err := w.enter(atNodes); err != nil {
		return err
	}
	if w.nodes == 0 {
		w.err = fmt.Errorf("%w: an image without a root", ErrMisuse)
		return w.err
	}
	w.buf = jute.AppendString(w.buf, endOfNodes)
	return nil
}
