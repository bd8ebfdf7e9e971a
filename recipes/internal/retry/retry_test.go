package retry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/retry"
)

func TestReasons(t *testing.T) {
	for _, c := range []struct {
		err                        error
		transient, race, lookAgain bool
	}{
		{err: nil},
		{err: client.ErrConnectionLoss, transient: true},
		{err: client.ErrThrottled, transient: true},
		{err: fmt.Errorf("%w: %w", client.ErrUnknown, client.ErrConnectionLoss), transient: true, lookAgain: true},
		{err: fmt.Errorf("%w: %w", client.ErrUnknown, client.ErrClosed), transient: true, lookAgain: true},
		{err: client.ErrNodeExists, race: true, lookAgain: true},
		{err: client.ErrNoNode, race: true, lookAgain: true},
		{err: client.ErrBadVersion, race: true, lookAgain: true},
		{err: client.ErrNoAuth},
		{err: client.ErrNotEmpty},
		{err: client.ErrSessionExpired},
		{err: client.ErrClosed},
		{err: context.Canceled},
		{err: errors.New("another")},
	} {
		if c.err != nil {
			c.err = &client.Error{Op: "set", Path: "/n", Err: c.err}
		}
		require.Equal(t, c.transient, retry.Transient(c.err), "%v", c.err)
		require.Equal(t, c.race, retry.LostRace(c.err), "%v", c.err)
		require.Equal(t, c.lookAgain, retry.LookAgain(c.err), "%v", c.err)
	}
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		require.True(t, retry.Pause(t.Context(), time.Minute))
		require.Equal(t, time.Minute, time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.False(t, retry.Pause(ctx, time.Minute))
		require.Equal(t, time.Minute+time.Second, time.Since(began))
	})
}
