package client_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
)

// A session that is kept goes on through all that is shorter than a third of its timeout, and ends by itself at its deadline.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 24 * time.Second
		e := ensembletest.Start(t, 3, &ensembletest.Options{Client: client.Options{SessionTimeout: timeout}})
		c := e.Follower().Connect(t)
		s := c.Session()
		time.Sleep(time.Hour)
		require.Negative(t, time.Until(s.Deadline()), "nobody needed to know")
		require.NoError(t, s.Err(), "and nobody needs it to end")

		begun := time.Now()
		release, err := s.Keep(t.Context())
		require.NoError(t, err)
		require.Zero(t, time.Since(begun), "an answer")
		require.Greater(t, time.Until(s.Deadline()), timeout/4)
		for range 20 {
			time.Sleep(time.Minute)
			require.Greater(t, time.Until(s.Deadline()), timeout/3)
			e.CutClient(c)
			time.Sleep(timeout / 3)
			require.NoError(t, s.Err())
			e.Heal()
		}
		again, err := s.Keep(t.Context())
		require.NoError(t, err)
		release()
		release()

		time.Sleep(time.Minute)
		e.CutFromLeader(e.Follower().ID()) // who answers pings as ever
		time.Sleep(time.Second)            // what was on its way has come
		deadline := s.Deadline()
		time.Sleep(time.Until(deadline) - 1)
		require.NoError(t, s.Err(), "somebody keeps it")
		require.NoError(t, s.Context().Err())
		<-s.Context().Done()
		require.Equal(t, deadline, time.Now())
		require.ErrorIs(t, s.Err(), client.ErrSessionExpired)
		require.ErrorContains(t, s.Err(), "no majority answered in time")
		_, err = s.Keep(t.Context())
		require.ErrorIs(t, err, client.ErrSessionExpired)
		again()
	})
}

// Nothing is asked of the servers for who keeps nothing any more.
func TestKeepIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		s := c.Session()
		transactions := func(d time.Duration) int64 {
			before := e.Server(1).Zxid()
			time.Sleep(d)
			return e.Server(1).Zxid() - before
		}
		release, err := s.Keep(t.Context())
		require.NoError(t, err)
		require.InDelta(t, 80, transactions(10*s.Timeout()), 2)
		release()
		require.LessOrEqual(t, transactions(10*s.Timeout()), int64(1))
		release, err = s.Keep(t.Context())
		require.NoError(t, err)
		before := e.Server(1).Zxid()
		for range 100 {
			require.ErrorIs(t, c.Delete(t.Context(), "/nowhere", client.AnyVersion), client.ErrNoNode)
			time.Sleep(s.Timeout() / 10)
		}
		require.LessOrEqual(t, e.Server(1).Zxid()-before, int64(102), "a write is a sign")
		release()
		for range 3 { // it may have to begin anew while the last one ends
			release, err = s.Keep(t.Context())
			require.NoError(t, err)
			release()
		}
		release, err = s.Keep(t.Context())
		require.NoError(t, err)
		require.InDelta(t, 80, transactions(10*s.Timeout()), 2)
		require.NoError(t, c.Close())
		_, err = s.Keep(t.Context())
		require.ErrorIs(t, err, client.ErrClosed)
		release()
	})
}

// Who wants to be sure while no majority can be asked waits, as long as he likes or until the session is over.
func TestKeepWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, &ensembletest.Options{Client: client.Options{SessionTimeout: 60 * time.Second}})
		f := e.Follower()
		c := f.Connect(t)
		time.Sleep(time.Hour)
		e.CutFromLeader(f.ID())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Session().Keep(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		sure := make(chan error)
		go func() { // ends with the session, at the latest
			_, err := c.Session().Keep(t.Context())
			sure <- err
		}()
		synctest.Wait()
		e.Heal()
		require.NoError(t, <-sure)

		s := c.Session()
		require.NoError(t, e.Expire(t.Context(), c))
		<-s.Context().Done()
		_, err = s.Keep(t.Context())
		require.ErrorIs(t, err, client.ErrSessionExpired)
	})
}
