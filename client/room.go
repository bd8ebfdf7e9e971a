package client

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/go-zookeeper/zk"
)

// firstBuffer is what the library gets for a request, and for an answer, before there was a larger one.
const firstBuffer int64 = 4096

// room keeps the library's buffers as small as they may be. The library makes both as large as the largest frame, the one for answers anew
// for each connection, and never makes the one for requests larger: two megabytes for each client that is idle.
//
// Its options are functions of a connection object, and do the same later as at the beginning. What they set is used by one goroutine
// each, without a lock; so they are called where that goroutine calls us: in the tap's Write and Read, and in the dialer before
// either is started.
type room struct {
	of          *zk.Conn
	most        int64        // bytes a request can have
	has, wanted atomic.Int64 // bytes for a request: there are, and there shall be
}

// receive sets the bound of answers. The library begins with a buffer of this size when it starts to read a connection, and makes a larger one
// for an answer that asks for it, up to the bound at that time.
func (r *room) receive(most int) { zk.WithMaxBufferSize(most)(r.of) }

// grow makes the buffer for requests as large as it shall be. The request just written is not in the new one.
func (r *room) grow() {
	if w := r.wanted.Load(); w > r.has.Load() {
		zk.WithMaxConnBufferSize(int(w))(r.of)
		r.has.Store(w)
	}
}

// want asks for room for a request, and tells whether it is there.
func (r *room) want(need int64) bool {
	size := firstBuffer
	for size < need {
		size *= 4
	}
	size = max(need, min(size, r.most))
	for {
		had := r.has.Load()
		if had >= need {
			return true
		}
		if w := r.wanted.Load(); w >= need || r.wanted.CompareAndSwap(w, size) {
			return false
		}
	}
}

// makeRoom sees to it that a request of so many bytes finds room in the library. The first large one in a session sends another request
// ahead, whose only purpose is to be written.
func (g *generation) makeRoom(ctx context.Context, size int) error {
	if g.foreign {
		return nil
	}
	need := int64(size + fixedSize + frameOverhead)
	if g.room.want(need) {
		return nil
	}
	_, err := call(ctx, g, func(conn *zk.Conn) (struct{}, error) {
		_, _, err := conn.Exists("/")
		return struct{}{}, err
	})
	switch {
	case g.room.want(need):
		return nil
	case errors.Is(err, errNotBegun), errors.Is(err, errAbandoned):
		return err
	}
	return errNeverSent
}
