package client_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// everyKind is one create of each kind of node.
var everyKind = map[string]client.CreateOptions{
	"persistent":            {},
	"persistent sequential": {Mode: client.PersistentSequential},
	"ephemeral":             {Mode: client.Ephemeral},
	"ephemeral sequential":  {Mode: client.EphemeralSequential},
	"container":             {Mode: client.Container},
	"ttl":                   {Mode: client.PersistentTTL, TTL: time.Hour},
	"ttl sequential":        {Mode: client.PersistentSequentialTTL, TTL: time.Hour},
}

// creating starts a server and runs a test of each kind of protected create; below tells how many nodes it has left.
func creating(t *testing.T, test func(t *testing.T, e *ensembletest.Ensemble, c *client.Client, o *client.CreateOptions, below func() int)) {
	t.Helper()
	for name, o := range everyKind {
		o.Protected = true
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := ensembletest.Start(t, 1, &ensembletest.Options{Server: ensemble.Options{TTLNodes: true}})
				c := e.Connect(t)
				mustCreate(t, c, "/d", nil)
				test(t, e, c, &o, func() int {
					synctest.Wait()
					return len(childrenOf(e, "/d"))
				})
			})
		})
	}
}

func childrenOf(e *ensembletest.Ensemble, path string) (names []string) {
	for p := range e.Server(1).Tree() {
		if len(p) > len(path)+1 && p[:len(path)+1] == path+"/" {
			names = append(names, p)
		}
	}
	return names
}

// Whoever leaves a protected create leaves no node behind, wherever its request or its answer is at that moment, and though the connection
// breaks.
func TestACancelledCreateLeavesNothing(t *testing.T) {
	for name, trouble := range map[string]func(p *proxy.Proxy) *proxy.Fault{
		"request": func(p *proxy.Proxy) *proxy.Fault { return p.Freeze(proxy.Request(proxy.OpCreate, "")) },
		"answer":  func(p *proxy.Proxy) *proxy.Fault { return p.Freeze(proxy.Reply(proxy.OpCreate, "")) },
		"answer that is lost": func(p *proxy.Proxy) *proxy.Fault {
			p.Lose(proxy.Reply(proxy.OpCreate, ""))
			return p.Freeze(proxy.Request(proxy.OpSync, ""))
		},
		"deletion that is lost": func(p *proxy.Proxy) *proxy.Fault {
			p.Lose(proxy.Request(proxy.OpDelete, "").Times(2))
			return p.Freeze(proxy.Reply(proxy.OpCreate, ""))
		},
	} {
		t.Run(name, func(t *testing.T) {
			creating(t, func(t *testing.T, e *ensembletest.Ensemble, c *client.Client, o *client.CreateOptions, below func() int) {
				f := trouble(e.Proxy(c))
				why := errors.New("nobody wants it any more")
				ctx, cancel := context.WithCancelCause(t.Context())
				go func() { // ends when the create is under way
					<-f.Struck()
					cancel(why)
				}()
				begun := time.Now()
				_, err := c.Create(ctx, "/d/n-", nil, o)
				require.ErrorIs(t, err, why)
				require.ErrorIs(t, err, client.ErrUnknown)
				require.Less(t, time.Since(begun), time.Second)
				f.End()
				time.Sleep(5 * time.Second)
				require.Zero(t, below())
				require.Zero(t, c.Session().Generation()-1, "in the same session")
			})
		})
	}
}

// A session that ends under a protected create takes the node with it, whatever kind it is of.
func TestACreateWhoseSessionEndsLeavesNothing(t *testing.T) {
	creating(t, func(t *testing.T, e *ensembletest.Ensemble, c *client.Client, o *client.CreateOptions, below func() int) {
		f := e.Proxy(c).Swallow(proxy.Reply(proxy.OpCreate, ""))
		failed := make(chan error)
		go func() { // ends with the create
			_, err := c.Create(t.Context(), "/d/n-", nil, o)
			failed <- err
		}()
		<-f.Struck()
		require.Equal(t, 1, below(), "it is there")
		require.NoError(t, e.Expire(t.Context(), c))
		err := <-failed
		require.ErrorIs(t, err, client.ErrSessionExpired)
		require.ErrorIs(t, err, client.ErrUnknown)
		time.Sleep(5 * time.Second)
		require.Zero(t, below())
		require.Equal(t, 2, c.Session().Generation())
	})
}

// Close does not wait for what cannot be removed.
func TestCloseEndsTheReaping(t *testing.T) {
	creating(t, func(t *testing.T, e *ensembletest.Ensemble, c *client.Client, o *client.CreateOptions, below func() int) {
		f := e.Proxy(c).Freeze(proxy.Reply(proxy.OpCreate, ""))
		ctx, cancel := context.WithCancel(t.Context())
		go func() { // ends when the create is under way
			<-f.Struck()
			cancel()
		}()
		_, err := c.Create(ctx, "/d/n-", nil, o)
		require.ErrorIs(t, err, client.ErrUnknown)
		begun := time.Now()
		_ = c.Close()
		require.Less(t, time.Since(begun), 10*time.Second)
	})
}

// Who has an id to look for the node is left alone.
func TestACreateWithAnIdIsNotUndone(t *testing.T) {
	creating(t, func(t *testing.T, e *ensembletest.Ensemble, c *client.Client, o *client.CreateOptions, below func() int) {
		f := e.Proxy(c).Freeze(proxy.Reply(proxy.OpCreate, ""))
		ctx, cancel := context.WithCancel(t.Context())
		go func() { // ends when the create is under way
			<-f.Struck()
			cancel()
		}()
		o.ProtectionID = client.NewProtectionID()
		_, err := c.Create(ctx, "/d/n-", nil, o)
		require.ErrorIs(t, err, client.ErrUnknown)
		f.End()
		time.Sleep(time.Minute)
		require.Equal(t, 1, below())
		_, found, err := c.FindProtected(t.Context(), "/d", o.ProtectionID)
		require.NoError(t, err)
		require.True(t, found)
	})
}
