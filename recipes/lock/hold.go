package lock

import (
	"context"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// Hold is a lock that is held, from Lock to Release. Its methods may be called by many goroutines.
type Hold struct {
	ticket *ticket.Ticket
	key    *rwKey // of the RWMutex it is of; nil: of another lock
}

// Context returns a context that ends when the lock is not held any more, with the cause: ErrReleased, ErrRemoved, or the cause of the
// session's end (client.ErrSessionExpired, client.ErrClosed). It ends by itself before somebody else can hold the lock, and its Err
// looks at the clocks. Work under the lock runs under it. It is not derived from the context given to Lock, and carries none of its
// values.
func (h *Hold) Context() context.Context {
	if h.key != nil {
		return rwContext{h.ticket.Context(), *h.key}
	}
	return h.ticket.Context()
}

// Token returns the fencing token: the transaction that created the holder's node, greater than the token of every holder of this path
// before. A reader's is greater than that of every writer before it, and smaller than that of every writer after it; among readers it
// means nothing. See ticket.Ticket.Token for where tokens compare.
func (h *Hold) Token() int64 { return h.ticket.Token() }

// Path returns the path of the holder's node.
func (h *Hold) Path() string { return h.ticket.Path() }

// Session returns the session the lock is held in.
func (h *Hold) Session() *client.Session { return h.ticket.Session() }

// Guard returns a check to be the first part of a multi on the same client: the multi fails with client.ErrNoNode, changing nothing, unless
// this holder's node is there at the very moment of the change. This is exact, where looking at Context is not.
func (h *Hold) Guard() client.Op { return client.CheckOp(h.ticket.Path(), client.AnyVersion) }

// Release gives the lock up. The hold's context ends at once; Release returns when this holder's node is certainly gone, by being deleted
// now or before, or by the end of its session. To release again is no error. If ctx ends before it is certain, Release fails with
// ctx's cause and client.ErrUnknown while the removal goes on in the background; a further Release waits for it. Nobody else's node
// is ever touched.
func (h *Hold) Release(ctx context.Context) error { return h.ticket.Return(ctx) }
