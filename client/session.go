package client

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Session is one session with the ensemble: what ephemeral nodes and locks live and die with. A client has one at a time, and opens
// another when it is lost; nothing that was begun in one session goes on in the next. Its methods may be called by many goroutines at
// any time, also after its end.
type Session struct {
	gen     *generation
	id      int64
	timeout atomic.Int64
	ctx     context.Context
}

// ID returns the session's id, as it stands in Stat.EphemeralOwner of its ephemeral nodes. It is never 0.
func (s *Session) ID() int64 { return s.id }

// Timeout returns the negotiated timeout: so long after the last sign of life the servers end the session.
func (s *Session) Timeout() time.Duration { return time.Duration(s.timeout.Load()) }

// Generation counts the sessions of one client, from 1.
func (s *Session) Generation() int { return s.gen.number }

// Context returns a context that ends with the session. Its cause, from context.Cause, answers errors.Is with ErrSessionExpired when
// the session was lost and with ErrClosed when the client was closed. The package comment says how soon a loss is noticed, and [Session.Keep]
// what makes it certain.
func (s *Session) Context() context.Context { return s.ctx }

// Err returns nil while the session lives, and the cause of its end after that.
func (s *Session) Err() error {
	if s.ctx.Err() == nil {
		return nil
	}
	return context.Cause(s.ctx)
}

// Client returns a view of the client whose operations run in this session only: once it is over they fail with its cause, where the
// client itself would go on in the next one. Its paths are relative to the connect string's chroot; [Client.In] keeps those of a view.
// Closing the view closes the client.
func (s *Session) Client() *Client { return s.gen.core.client().In(s) }

// Go runs f on a goroutine that belongs to the session, for work that must go on when the one who began it has left, and must not go on
// when the session is over. The context is the session's; f returns soon after it ended, since the next session and Client.Close
// wait for that; so f must not call Close. Go fails, and f is not run, with the cause of the session's end when it is over.
func (s *Session) Go(f func(ctx context.Context)) error {
	if err := s.gen.begin(); err != nil {
		return err
	}
	go func() { // ends when f does, which the session's context asks for
		defer s.gen.calls.Done()
		f(s.ctx)
	}()
	return nil
}

// String returns the id as ZooKeeper's logs write it.
func (s *Session) String() string { return fmt.Sprintf("0x%x", uint64(s.id)) }

// Causes of the end of sessions given up by this side alone.
var (
	errSilence        = fmt.Errorf("%w: no server heard for the whole timeout", ErrSessionExpired)
	errUnknownSession = fmt.Errorf("%w: the read-only server that opened it is left, and no other knows it", ErrSessionExpired)
)

// lost tells whether the cause of a session's end is anything but the wish of its user.
func lost(cause error) bool { return !errors.Is(cause, ErrClosed) }
