package lock

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/retry"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// delay is how long a lock stays free after a holder that did not release it. It rests on a mark beside the lock's directory, which a holder
// makes before it holds, and removes before its node when it releases: who becomes the first in line and finds one waits. It stands
// beside the directory, not in it, where Curator would take it for a contender.
type delay struct {
	client *client.Client
	path   string // of the mark
	acl    []client.ACL
	length time.Duration

	mu    sync.Mutex
	found int64     // the transaction that wrote the mark that was found last
	at    time.Time // when that was found first
}

// newDelay is nil if there shall be none.
func newDelay(l *line) *delay {
	if l.opts.Delay <= 0 {
		return nil
	}
	return &delay{client: l.client, path: l.path + ".held", acl: l.opts.ACL, length: l.opts.Delay}
}

// left is how much is left of the delay behind a holder whose mark was written by that transaction.
func (d *delay) left(written int64) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.found != written {
		d.found, d.at = written, time.Now()
	}
	return d.length - time.Since(d.at)
}

// mark is what one contender has to do with the mark: nothing, if it is nil.
type mark struct {
	delay *delay

	mu      sync.Mutex
	made    bool // it is this one's
	version int32
}

func (d *delay) mark() *mark {
	if d == nil {
		return nil
	}
	return &mark{delay: d}
}

// set makes the mark that of a contender whose turn it is, as soon as there is none, or the delay is over. If it is to try only, it fails
// with ErrHeld where it would wait.
func (m *mark) set(ctx context.Context, t *ticket.Ticket, try bool) error {
	if m == nil {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(t.Context(), func() { cancel(context.Cause(t.Context())) })()
	for {
		left, err := m.trySet(ctx, t)
		switch {
		case err == nil && left <= 0:
			return nil
		case err == nil && try:
			return ErrHeld
		case err != nil && !retry.Transient(err) && !retry.LostRace(err):
			return err // whether the race was for the mark, or the own node is gone, the next try tells
		}
		if !retry.Pause(ctx, max(left, retry.Soon)) {
			return context.Cause(ctx)
		}
	}
}

// trySet makes the mark the contender's, in a transaction in which its node is there, or tells how much is left of the delay.
func (m *mark) trySet(ctx context.Context, t *ticket.Ticket) (left time.Duration, err error) {
	view, guard := m.delay.client.In(t.Session()), client.CheckOp(t.Path(), client.AnyVersion)
	own := []byte(strconv.FormatInt(t.Token(), 10))
	_, err = view.Multi(ctx, guard, client.CreateOp(m.delay.path, own, &client.CreateOptions{ACL: m.delay.acl}))
	switch {
	case err == nil:
		m.is(0)
		return 0, nil
	case errors.Is(err, client.ErrNoNode):
		return 0, ticket.ErrGone
	case !errors.Is(err, client.ErrNodeExists):
		return 0, err
	}
	data, stat, err := view.Get(ctx, m.delay.path)
	if err != nil {
		return 0, err
	}
	if bytes.Equal(data, own) { // by an earlier try
		m.is(stat.Version)
		return 0, nil
	}
	if left := m.delay.left(stat.Mzxid); left > 0 {
		return left, nil
	}
	_, err = view.Multi(ctx, guard, client.SetOp(m.delay.path, own, stat.Version))
	if err == nil {
		m.is(stat.Version + 1)
	}
	return 0, err
}

func (m *mark) is(version int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.made, m.version = true, version
}

// remove removes the mark of a holder that releases, in a transaction in which its node is there. If that cannot be, it stays, and the next
// holder waits for nothing.
func (m *mark) remove(ctx context.Context, t *ticket.Ticket) {
	m.mu.Lock()
	made, version := m.made, m.version
	m.mu.Unlock()
	for view := m.delay.client.In(t.Session()); made; {
		_, err := view.Multi(ctx, client.CheckOp(t.Path(), client.AnyVersion), client.DeleteOp(m.delay.path, version))
		if err == nil || !retry.Transient(err) || !retry.Pause(ctx, retry.Soon) {
			return
		}
	}
}
