package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"
)

func TestTranslate(t *testing.T) {
	for _, c := range []struct {
		theirs error
		ours   error
	}{
		{zk.ErrNoNode, ErrNoNode},
		{zk.ErrNodeExists, ErrNodeExists},
		{zk.ErrBadVersion, ErrBadVersion},
		{zk.ErrNotEmpty, ErrNotEmpty},
		{zk.ErrNoAuth, ErrNoAuth},
		{zk.ErrAuthFailed, ErrAuthFailed},
		{zk.ErrInvalidACL, ErrInvalidACL},
		{zk.ErrSessionExpired, ErrSessionExpired},
		{zk.ErrSessionMoved, ErrSessionMoved},
		{zk.ErrNoChildrenForEphemerals, ErrNoChildrenEphemeral},
		{zk.ErrInvalidPath, ErrInvalidPath},
		{zk.ErrConnectionClosed, ErrConnectionLoss},
		{zk.ErrClosing, ErrConnectionLoss},
		{zk.ErrNoServer, ErrConnectionLoss},
		{io.ErrUnexpectedEOF, ErrConnectionLoss},
		// What the library writes for a code it has no name for.
		{fmt.Errorf("unknown error: %v", zk.ErrCode(-6)), ErrUnimplemented},
		{fmt.Errorf("unknown error: %v", zk.ErrCode(-125)), ErrQuotaExceeded},
		{fmt.Errorf("unknown error: %v", zk.ErrCode(-4711)), Code(-4711)},
	} {
		require.ErrorIs(t, translate(c.theirs), c.ours, "%v", c.theirs)
	}
	require.NoError(t, translate(nil))
	require.ErrorIs(t, translate(io.ErrUnexpectedEOF), io.ErrUnexpectedEOF, "the original stays visible")
}

// A write is reported as not done only when a server said so, or when it provably was not sent.
func TestOutcome(t *testing.T) {
	for _, c := range []struct {
		theirs error
		open   bool
	}{
		{zk.ErrConnectionClosed, true},
		{zk.ErrClosing, true},
		{io.EOF, true},
		{zk.ErrShortBuffer, true},
		{zk.ErrAPIError, true},
		{fmt.Errorf("unknown error: %v", zk.ErrCode(-1)), true},
		{fmt.Errorf("unknown error: %v", zk.ErrCode(-7)), true},
		{zk.ErrNoServer, false},
		{zk.ErrNoNode, false},
		{zk.ErrSessionExpired, false},
		{zk.ErrSessionMoved, false},
		{fmt.Errorf("unknown error: %v", zk.ErrCode(-6)), false},
	} {
		err := outcome(translate(c.theirs))
		require.Error(t, err)
		require.Equal(t, c.open, errors.Is(err, ErrUnknown), "%v", c.theirs)
		require.Equal(t, c.theirs == zk.ErrNoServer, repeatable(operation{write: true}, err), "%v", c.theirs)
	}
	require.NoError(t, outcome(nil))
}

func TestErrorSpeaks(t *testing.T) {
	err := error(&Error{Op: "set", Path: "/a", Err: unknown(context.DeadlineExceeded)})
	require.EqualError(t, err, "set /a: outcome unknown: context deadline exceeded")
	require.ErrorIs(t, err, ErrUnknown)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.EqualError(t, &Error{Op: "multi", Err: ErrNoAuth}, "multi: not authorised")
	require.EqualError(t, Code(-4711), "zookeeper error code -4711")

	code, ok := errors.AsType[Code](&Error{Op: "get", Path: "/a", Err: ErrNoNode})
	require.True(t, ok)
	require.Equal(t, ErrNoNode, code)
}

func TestErrorTypeIsOfFewWords(t *testing.T) {
	for err, want := range map[error]string{
		&Error{Err: ErrNoNode}:                    "-101",
		&Error{Err: unknown(ErrConnectionLoss)}:   "outcome_unknown",
		&Error{Err: context.Canceled}:             "canceled",
		&Error{Err: context.DeadlineExceeded}:     "deadline_exceeded",
		&Error{Err: ErrClosed}:                    "closed",
		&Error{Err: errors.New("something else")}: "_OTHER",
	} {
		require.Equal(t, want, ErrorType(err))
	}
}
