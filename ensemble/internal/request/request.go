// Package request is one client request inside the ensemble, and the order in which a connection's answers leave.
//
// A connection's answers leave in the order of its requests, while its writes wait for the disk and other connections go on.
// The one idea is the [Lane]: a queue, per connection, of what could not be answered at once. A read is answered at once
// when its connection's lane is empty; otherwise it waits there behind the connection's own writes, and only behind those.
// A read between two writes must see the first and must not see the second, so whoever applies a write asks the lane for the
// reads that stand directly behind it before applying the next.
//
// Nothing here locks: a Lane is guarded by its connection.
package request

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A ConnID names a client connection in one run of a server; it is never used again. 0 is the server itself.
type ConnID uint64

// A Request is a client's, or with Conn 0 the server's own.
type Request struct {
	Conn    ConnID
	Session znode.SessionID
	Xid     int32
	Op      wire.Op
	Body    []byte      // a read's record, not decoded; it may alias the connection's buffer until the request enters a Lane
	Record  wire.Record // a write's record, decoded; nil for closeSession
	IDs     []znode.ID  // who asks: the connection's identities when the request was read; never changed afterwards

	Size    int   // bytes of its frame
	Arrived int64 // when it was read, in nanoseconds on the clock of its connection's listener

	// What is settled before the request gets its turn. Such a request takes no part in the order, whatever its op; it only
	// waits for its place among the answers.
	Answer []byte     // not nil: the whole answer, made already
	Err    znode.Code // not 0: why it is refused; the answer is a header with this code
	Last   bool       // after its answer the connection is closed
}

// Ordered reports whether r takes part in the order: it is a write, or a sync, which waits for the writes before it be they
// whose they may, and it is not settled already.
func (r *Request) Ordered() bool {
	return (r.Op.Write() || r.Op == wire.OpSync) && r.Answer == nil && r.Err == 0
}

// maxIdle is for how many requests an empty Lane keeps room.
const maxIdle = 64

// A Lane holds one connection's requests that are not answered yet, in order. The zero value is empty.
type Lane struct {
	queue  []Request // queue[head:] are waiting; queue[head] is a write or an answer, or a read that may run now
	head   int
	writes int // how many of the waiting are ordered; 0 ≤ writes ≤ Len()
	bytes  int // the sum of their sizes
}

// Len is how many requests wait.
func (l *Lane) Len() int { return len(l.queue) - l.head }

// Writes is how many of the waiting are writes that take part in the order.
func (l *Lane) Writes() int { return l.writes }

// Bytes is the sum of the sizes of the waiting.
func (l *Lane) Bytes() int { return l.bytes }

// Push lets r wait. A read's Body is copied, so the caller may use its buffer again.
func (l *Lane) Push(r Request) {
	if len(l.queue) == cap(l.queue) && l.head > len(l.queue)/2 {
		n := copy(l.queue, l.queue[l.head:])
		clear(l.queue[n:])
		l.queue, l.head = l.queue[:n], 0
	}
	if r.Ordered() {
		l.writes++
	} else {
		r.Body = append([]byte(nil), r.Body...)
	}
	l.bytes += r.Size
	l.queue = append(l.queue, r)
}

// Head is the first waiting request, nil when there is none. It is valid until the next Push or Pop.
func (l *Lane) Head() *Request {
	if l.Len() == 0 {
		return nil
	}
	return &l.queue[l.head]
}

// Runnable is the first waiting request if it is no ordered write: nothing of its connection stands before it any more, so it
// may be answered. Otherwise nil.
func (l *Lane) Runnable() *Request {
	if h := l.Head(); h != nil && !h.Ordered() {
		return h
	}
	return nil
}

// Pop takes the first request off: it has been answered.
func (l *Lane) Pop() {
	h := &l.queue[l.head]
	if h.Ordered() {
		l.writes--
	}
	l.bytes -= h.Size
	*h = Request{}
	if l.head++; l.head == len(l.queue) {
		l.queue, l.head = l.queue[:0], 0
		if cap(l.queue) > maxIdle {
			l.queue = nil
		}
	}
}
