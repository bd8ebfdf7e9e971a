package lock

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/retry"
)

// revokeMessage is what asks a holder to let go, written to its node: Curator's own (Revoker, LockInternals.REVOKE_MESSAGE in Java).
var revokeMessage = []byte("__REVOKE__")

// ErrRefused tells that a holder was asked to let go, and will not.
var ErrRefused = errors.New("holder refuses to let go")

// Revoke asks whoever holds a lock to let go, as Curator's Revoker does, by the path of the holder's node: see Inspect. Whoever may write to
// the node can ask. It returns nil when the node is gone, be it that the holder agreed or went anyway, and ErrRefused when the holder
// said no, see Hold.Refuse. When ctx ends before there is an answer, Revoke fails with its cause, and the request stands: the holder finds it
// also when it is only one who waits, and is asked when its turn comes. A holder of Curator's that is not revocable never answers.
func Revoke(ctx context.Context, c *client.Client, node string) error {
	for {
		err := revoke(ctx, c, node)
		if err == nil {
			return nil
		}
		lost := errors.Is(err, client.ErrSessionExpired) && !c.Bound()
		again := retry.Transient(err) || lost // to ask once more does no harm
		if again && retry.Pause(ctx, retry.Soon) {
			continue
		}
		if again {
			err = context.Cause(ctx)
		}
		return &client.Error{Op: "revoke", Path: node, Err: err}
	}
}

// revoke asks once, and waits for the answer.
func revoke(ctx context.Context, c *client.Client, node string) error {
	_, err := c.Set(ctx, node, revokeMessage, client.AnyVersion)
	for err == nil {
		var data []byte
		var w *client.Watch
		data, _, w, err = c.GetW(ctx, node)
		if err == nil && !bytes.Equal(data, revokeMessage) {
			return ErrRefused
		}
		if err == nil {
			_, err = w.Wait(ctx)
		}
	}
	if errors.Is(err, client.ErrNoNode) {
		return nil
	}
	return err
}

// request is whether a holder is asked to let go.
type request struct {
	mu    sync.Mutex
	is    bool
	asked chan struct{} // closed if it is
}

func newRequest() *request { return &request{asked: make(chan struct{})} }

// written hears what somebody has written to the holder's node.
func (r *request) written(data []byte) { r.set(bytes.Equal(data, revokeMessage)) }

func (r *request) set(is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case is && !r.is:
		close(r.asked)
	case !is && r.is:
		r.asked = make(chan struct{})
	}
	r.is = is
}

// Revoked returns a channel that is closed when somebody asks the holder to let go, with Revoke or Curator's Revoker. To agree is to
// Release; to Refuse makes another channel, for the next who asks. Nothing happens by itself: a holder that does not listen holds on.
func (h *Hold) Revoked() <-chan struct{} {
	r := h.held.request
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// Refuse answers whoever has asked the holder to let go that it will not, by writing Options.Data to its node again. Without a request it
// does nothing. If it fails with client.ErrUnknown the answer may have been given, and may be given once more.
func (h *Hold) Refuse(ctx context.Context) error {
	r := h.held.request
	select {
	case <-h.Revoked():
	default:
		return nil
	}
	view := h.held.line.client.In(h.Session())
	if _, err := view.Set(ctx, h.Path(), h.held.line.opts.Data, client.AnyVersion); err != nil {
		return &client.Error{Op: "refuse", Path: h.Path(), Err: err}
	}
	r.set(false)
	return nil
}
