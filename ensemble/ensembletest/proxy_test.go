package ensembletest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// A client's proxy breaks what that client says, and nothing of others.
func TestProxy(t *testing.T) {
	everywhere(t, 3, func(t *testing.T, e *ensembletest.Ensemble) {
		c, other := e.Connect(t), e.Server(2).Connect(t)
		create := func(c *client.Client, path string) error {
			_, err := c.Create(soon(t), path, nil, nil)
			return err
		}
		there := func(path string) bool {
			require.NoError(t, other.Sync(soon(t), path))
			_, found, err := other.Exists(soon(t), path)
			require.NoError(t, err)
			return found
		}
		p := e.Proxy(c)
		require.Same(t, p, e.Proxy(c))
		require.NotSame(t, p, e.Proxy(other))

		lost := p.Lose(proxy.Request(proxy.OpCreate, "/*"))
		require.NoError(t, create(other, "/others"))
		require.ErrorIs(t, create(c, "/before"), client.ErrUnknown)
		require.Equal(t, 1, lost.Strikes())
		require.False(t, there("/before"))

		p.Lose(proxy.Reply(proxy.OpCreate, "/*"))
		require.ErrorIs(t, create(c, "/after"), client.ErrUnknown)
		require.True(t, there("/after"))

		frozen := p.Freeze(proxy.Request(proxy.OpCreate, "/late"))
		outcome := make(chan error)
		go func() { outcome <- create(c, "/late") }() // ends with the create, which soon bounds
		<-frozen.Struck()
		require.False(t, there("/late"))
		frozen.End()
		require.NoError(t, <-outcome)
	})
}

// A client that a frozen proxy keeps from its servers loses its session in time, and what is late comes too late.
func TestProxyFreezesASession(t *testing.T) {
	bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		c, other := e.Connect(t), e.Connect(t)
		mustCreate(t, c, "/n", client.Ephemeral)
		session := c.Session()
		p := e.Proxy(c)
		p.Freeze(proxy.Request(proxy.OpAll, "").Always())
		begun := time.Now()
		outcome := make(chan error)
		go func() { // ends when the session has
			_, err := session.Client().Create(t.Context(), "/late", nil, nil)
			outcome <- err
		}()
		<-session.Context().Done()
		require.GreaterOrEqual(t, time.Since(begun), session.Timeout())
		require.ErrorIs(t, <-outcome, client.ErrUnknown)
		time.Sleep(2 * silence)
		require.False(t, exists(t, other, "/n"))
		p.Heal()
		mustCreate(t, c, "/next", client.Ephemeral)
		require.False(t, exists(t, other, "/late"))
	})
}

func exists(t *testing.T, c *client.Client, path string) bool {
	t.Helper()
	require.NoError(t, c.Sync(soon(t), path))
	_, found, err := c.Exists(soon(t), path)
	require.NoError(t, err)
	return found
}

// Only clients of Connect have a proxy. What one of a test has frozen does not keep the test from ending, nor its session from being
// closed.
func TestProxyIsHealedInTheEnd(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	other := e.Connect(t)
	t.Run("", func(t *testing.T) {
		c := e.Connect(t)
		mustCreate(t, c, "/n", client.Ephemeral)
		e.Proxy(c).Freeze(proxy.Request(proxy.OpAll, "").Always())
	})
	require.False(t, exists(t, other, "/n"))
	stranger, err := client.Connect(t.Context(), e.ConnectString(), &client.Options{Dialer: e.Dial})
	require.NoError(t, err)
	defer stranger.Close()
	require.Panics(t, func() { e.Proxy(stranger) })
}
