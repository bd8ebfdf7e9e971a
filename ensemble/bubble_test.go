package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
)

// An ensemble in memory lives in virtual time as a server alone does: hours pass in milliseconds, and every duration below is exact.

// bubble runs a test with three servers in virtual time.
func bubble(t *testing.T, opts ensemble.Options, test func(t *testing.T, e *ensemble.Several)) {
	synctest.Test(t, func(t *testing.T) {
		opts.Logger = logger()
		e, err := ensemble.StartSeveral(t.Context(), 3, &opts)
		require.NoError(t, err)
		test(t, e)
		require.NoError(t, e.Close())
	})
}

// A session lives as long as its client, through whichever server, and ends everywhere when the client does not.
func TestSessionsInABubble(t *testing.T) {
	bubble(t, ensemble.Options{TickTime: time.Second}, func(t *testing.T, e *ensemble.Several) {
		var conns []*zk.Conn
		for i, s := range e.Servers() {
			c := quiet(t, s)
			_, err := c.Create(fmt.Sprint("/e", i), nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
			require.NoError(t, err)
			conns = append(conns, c)
		}
		time.Sleep(time.Hour) // of virtual time
		for i, c := range conns {
			_, err := c.Sync("/")
			require.NoError(t, err)
			names, _, err := c.Children("/")
			require.NoError(t, err)
			require.Len(t, names, 1+3, "server %d", i+1)
		}
		for _, c := range conns {
			c.Close()
		}
	})
}

// A cable is a way to the servers that can be pulled out.
type cable struct {
	e      *ensemble.Several
	mu     sync.Mutex
	pulled bool
	conns  []net.Conn
}

func (c *cable) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := c.e.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pulled {
		conn.Close()
		return nil, errors.New("the cable is pulled out")
	}
	c.conns = append(c.conns, conn)
	return conn, nil
}

func (c *cable) pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = true
	for _, conn := range c.conns {
		conn.Close()
	}
}

// A client is cut off: its session ends after its timeout, rounded up to ticks, and its node goes on every server. When the leader is
// lost meanwhile, the next one gives it all of its time again, and no more.
func TestExpiryInABubble(t *testing.T) {
	const tick, timeout = time.Second, 6 * time.Second
	for _, lost := range []bool{false, true} {
		bubble(t, ensemble.Options{TickTime: tick}, func(t *testing.T, e *ensemble.Several) {
			leader, wire := e.Leader(), &cable{e: e}
			c, err := client.Connect(t.Context(), follower(t, e).ConnectString(), &client.Options{Dialer: wire.dial, SessionTimeout: timeout})
			require.NoError(t, err)
			mustCreate(t, c, "/e", client.Ephemeral)
			var gone []*client.Watch
			var others []*client.Client
			for _, s := range e.Servers() {
				if lost && s == leader {
					continue
				}
				o, err := client.Connect(t.Context(), s.ConnectString(), &client.Options{Dialer: e.Dial})
				require.NoError(t, err)
				require.NoError(t, o.Sync(t.Context(), "/e"))
				_, there, w, err := o.ExistsW(t.Context(), "/e")
				require.NoError(t, err)
				require.True(t, there)
				gone, others = append(gone, w), append(others, o)
			}
			time.Sleep(time.Minute)
			begun, least := time.Now(), timeout-tick
			wire.pull()
			if lost {
				time.Sleep(timeout - 2*tick)
				require.NoError(t, leader.Close())
				begun, least = time.Now(), timeout
			}
			for _, w := range gone {
				event, err := w.Wait(t.Context())
				require.NoError(t, err)
				require.Equal(t, client.EventDeleted, event.Type)
				require.GreaterOrEqual(t, time.Since(begun), least)
				require.Less(t, time.Since(begun), timeout+2*tick)
			}
			for _, o := range others {
				require.NoError(t, o.Close())
			}
			_ = c.Close() // it does not reach anybody
		})
	}
}

// The leader ends, and nobody waits for a timeout: its connections say so, and all who are left agree at once.
func TestFailoverInABubble(t *testing.T) {
	bubble(t, ensemble.Options{}, func(t *testing.T, e *ensemble.Several) {
		for range 20 {
			leader, other := e.Leader(), follower(t, e)
			c, err := client.Connect(t.Context(), other.ConnectString(), &client.Options{Dialer: e.Dial})
			require.NoError(t, err)
			before, err := c.Create(t.Context(), "/n-", nil, &client.CreateOptions{Mode: client.PersistentSequential})
			require.NoError(t, err)
			begun := time.Now()
			require.NoError(t, leader.Close())
			stat, err := c.Set(t.Context(), before, []byte("x"), 0)
			require.NoError(t, err)
			require.Less(t, time.Since(begun), 20*time.Millisecond)
			require.Positive(t, stat.Mzxid>>32-stat.Czxid>>32, "another epoch")
			require.NoError(t, c.Close())
			s, err := e.Restart(t.Context(), leader.ServerID())
			require.NoError(t, err)
			require.NoError(t, s.Serving(t.Context()))
		}
	})
}

// A session goes with its client from server to server.
func TestSessionMovesInABubble(t *testing.T) {
	bubble(t, ensemble.Options{}, func(t *testing.T, e *ensemble.Several) {
		c, err := client.Connect(t.Context(), e.ConnectString(), &client.Options{Dialer: e.Dial})
		require.NoError(t, err)
		mustCreate(t, c, "/e", client.Ephemeral)
		id := c.Session().ID()
		for round := range 6 {
			s := e.Servers()[round%3]
			require.NoError(t, s.Close())
			require.Equal(t, "/e", mustRead(t, c, "/e"))
			s, err := e.Restart(t.Context(), s.ServerID())
			require.NoError(t, err)
			require.NoError(t, s.Serving(t.Context()))
			time.Sleep(time.Minute)
		}
		require.Equal(t, id, c.Session().ID())
		require.NoError(t, c.Close())
		for _, s := range e.Servers() {
			o, err := client.Connect(t.Context(), s.ConnectString(), &client.Options{Dialer: e.Dial})
			require.NoError(t, err)
			require.NoError(t, o.Sync(t.Context(), "/"))
			_, there, err := o.Exists(t.Context(), "/e")
			require.NoError(t, err)
			require.False(t, there)
			require.NoError(t, o.Close())
		}
	})
}
