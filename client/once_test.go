package client_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// marks is how many nodes below /marks are there.
func marks(e *ensembletest.Ensemble) int {
	synctest.Wait()
	n := 0
	for path := range e.Leader().Tree() {
		if strings.HasPrefix(path, "/marks/") {
			n++
		}
	}
	return n
}

// Wherever the connection breaks, and as often as it likes, a set without a version is done once, and no mark of that is left.
func TestMultiOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		c := e.Connect(t)
		mustCreate(t, c, "/n", nil)
		r := rand.New(rand.NewPCG(1, 1))
		const times = 300
		lost := 0
		for i := range times {
			var f *proxy.Fault
			switch m := []proxy.Match{
				proxy.Request(proxy.OpMulti, ""), proxy.Reply(proxy.OpMulti, ""), proxy.Reply(proxy.OpSync, ""), proxy.Reply(proxy.OpDelete, ""),
			}[r.IntN(4)].Times(1 + r.IntN(3)); r.IntN(3) {
			case 0:
				f = e.Proxy(c).Lose(m)
			case 1:
				f = e.Proxy(c).Cut(m)
			default:
				f = e.Proxy(c).Lose(proxy.Reply(proxy.OpMulti, ""))
			}
			results, err := c.MultiOnce(t.Context(), "/marks", client.SetOp("/n", nil, client.AnyVersion))
			require.NoError(t, err)
			require.Len(t, results, 1)
			if results[0].Stat.Mtime.IsZero() {
				lost++
			} else {
				require.EqualValues(t, i+1, results[0].Stat.Version)
			}
			f.End()
		}
		require.Greater(t, lost, times/4)
		time.Sleep(10 * time.Second)
		stat, _, err := c.Exists(t.Context(), "/n")
		require.NoError(t, err)
		require.EqualValues(t, times, stat.Version)
		require.Zero(t, marks(e))
	})
}

// What is refused is refused as by Multi, and nothing is left of it.
func TestMultiOnceRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		mustCreate(t, c, "/n", nil)
		results, err := c.MultiOnce(t.Context(), "/marks/deep", client.CreateOp("/m", nil, nil), client.SetOp("/n", nil, 7))
		require.ErrorIs(t, err, client.ErrBadVersion)
		require.NotErrorIs(t, err, client.ErrUnknown)
		require.Len(t, results, 2)
		require.ErrorIs(t, results[1].Err, client.ErrBadVersion)
		require.Equal(t, 0, marks(e))

		results, err = c.MultiOnce(t.Context(), "/marks/deep", client.CreateOp("/m", nil, nil), client.SetOp("/n", nil, 0), client.DeleteOp("/m", 0))
		require.NoError(t, err)
		require.Equal(t, "/m", results[0].Path)
		require.EqualValues(t, 1, results[1].Stat.Version)
		require.Equal(t, 1, marks(e), "the directory")

		_, err = c.MultiOnce(t.Context(), "/marks", client.CreateOp("/s-", nil, &client.CreateOptions{Mode: client.PersistentSequential}))
		require.ErrorIs(t, err, client.ErrBadArguments)
		_, err = c.MultiOnce(t.Context(), "marks", client.SetOp("/n", nil, 0))
		require.ErrorIs(t, err, client.ErrInvalidPath)
	})
}

// A session that ends in between takes the answer with it, which is said; so is the end of the caller's patience.
func TestMultiOnceMayStayUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		mustCreate(t, c, "/n", nil)
		f := e.Proxy(c).Swallow(proxy.Reply(proxy.OpMulti, ""))
		failed := make(chan error)
		go func() { // ends with its session
			_, err := c.MultiOnce(t.Context(), "/marks", client.SetOp("/n", nil, client.AnyVersion))
			failed <- err
		}()
		<-f.Struck()
		time.Sleep(time.Second) // the first one only found that there is no directory
		require.NoError(t, e.Expire(t.Context(), c))
		err := <-failed
		require.ErrorIs(t, err, client.ErrSessionExpired)
		require.ErrorIs(t, err, client.ErrUnknown)

		_, err = c.AwaitSession(t.Context())
		require.NoError(t, err)
		f = e.Proxy(c).Freeze(proxy.Reply(proxy.OpMulti, ""))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = c.MultiOnce(ctx, "/marks", client.SetOp("/n", nil, client.AnyVersion))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, client.ErrUnknown)
		f.End()
		time.Sleep(10 * time.Second)
		require.Zero(t, marks(e))
	})
}
