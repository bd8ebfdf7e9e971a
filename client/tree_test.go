package client_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// planted starts a server with a tree of three levels and 1 + 4 + 4·30 nodes at /t, and one node beside it.
func planted(t *testing.T, test func(t *testing.T, e *ensembletest.Ensemble, c *client.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		nodes := map[string]string{"/beside": "", "/t": ""}
		for i := range 4 {
			nodes[fmt.Sprintf("/t/%d", i)] = ""
			for j := range 30 {
				nodes[fmt.Sprintf("/t/%d/%d", i, j)] = ""
			}
		}
		require.NoError(t, e.Load(t.Context(), nodes))
		test(t, e, e.Connect(t))
	})
}

const plantedNodes = 1 + 4 + 4*30

func TestDeleteTree(t *testing.T) {
	planted(t, func(t *testing.T, e *ensembletest.Ensemble, c *client.Client) {
		listed, err := c.DeleteTree(t.Context(), "/t", &client.DeleteTreeOptions{DryRun: true})
		require.NoError(t, err)
		require.Len(t, listed, plantedNodes)
		require.Equal(t, "/t", listed[plantedNodes-1])
		for i, path := range listed {
			parent := path[:max(1, strings.LastIndexByte(path, '/'))]
			require.Greater(t, slices.Index(append(listed, "/"), parent), i, "%s before its parent", path)
		}
		require.Len(t, e.Server(1).Tree(), plantedNodes+1+len(ownNodes), "it was a dry run")

		_, err = c.DeleteTree(t.Context(), "/t", &client.DeleteTreeOptions{Max: plantedNodes - 1})
		require.ErrorIs(t, err, client.ErrTooMany)
		require.Len(t, e.Server(1).Tree(), plantedNodes+1+len(ownNodes), "it is refused as a whole")

		deleted, err := c.DeleteTree(t.Context(), "/t", &client.DeleteTreeOptions{Max: plantedNodes})
		require.NoError(t, err)
		require.Equal(t, listed, deleted)
		_, there := e.Server(1).Node("/t")
		require.False(t, there)
		_, there = e.Server(1).Node("/beside")
		require.True(t, there)

		_, err = c.DeleteTree(t.Context(), "/t", nil)
		require.ErrorIs(t, err, client.ErrNoNode)
		require.EqualError(t, err, "deletetree /t: children /t: node does not exist")
		_, err = c.DeleteTree(t.Context(), "/", nil)
		require.ErrorIs(t, err, client.ErrBadArguments)
		_, err = c.DeleteTree(t.Context(), "/t/", nil)
		require.ErrorIs(t, err, client.ErrInvalidPath)
	})
}

// ownNodes are those that every server has.
var ownNodes = []string{"/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"}

// Connections break under it, before requests arrive and behind them, and others make nodes where it deletes: in the end all are gone, and
// each is told once.
func TestDeleteTreeUnderTrouble(t *testing.T) {
	for name, trouble := range map[string]func(p *proxy.Proxy){
		"none":          func(*proxy.Proxy) {},
		"multi lost":    func(p *proxy.Proxy) { p.Lose(proxy.Request(proxy.OpMulti, "")) },
		"multi unheard": func(p *proxy.Proxy) { p.Lose(proxy.Reply(proxy.OpMulti, "").Times(2)) },
		"delete unheard": func(p *proxy.Proxy) {
			p.Lose(proxy.Reply(proxy.OpMulti, ""))
			p.Lose(proxy.Reply(proxy.OpDelete, "").Times(3))
		},
		"list lost": func(p *proxy.Proxy) { p.Lose(proxy.Request(proxy.OpGetChildren, "").Times(3)) },
	} {
		t.Run(name, func(t *testing.T) {
			planted(t, func(t *testing.T, e *ensembletest.Ensemble, c *client.Client) {
				trouble(e.Proxy(c))
				other := e.Connect(t)
				come := 0
				held := e.Proxy(c).Freeze(proxy.Request(proxy.OpMulti, "")) // when it has read what there is
				go func() {                                                 // ends when some nodes have come
					<-held.Struck()
					for i := range 7 {
						path := fmt.Sprintf("/t/%d/%d/late", i%4, i)
						if _, err := other.Create(context.Background(), path, nil, nil); err == nil {
							come++
						}
					}
					held.End()
				}()
				deleted, err := c.DeleteTree(t.Context(), "/t", nil)
				require.NoError(t, err)
				require.Positive(t, come)
				slices.Sort(deleted)
				require.Equal(t, slices.Compact(slices.Clone(deleted)), deleted, "none is told twice")
				require.Len(t, deleted, plantedNodes+come)
				require.Len(t, e.Server(1).Tree(), 1+len(ownNodes))
			})
		})
	}
}

// It stops where it may not go on, and says where.
func TestDeleteTreeStops(t *testing.T) {
	planted(t, func(t *testing.T, e *ensembletest.Ensemble, c *client.Client) {
		_, err := c.SetACL(t.Context(), "/t/2", client.WorldACL(client.PermRead), client.AnyVersion)
		require.NoError(t, err)
		deleted, err := c.DeleteTree(t.Context(), "/t", nil)
		require.ErrorIs(t, err, client.ErrNoAuth)
		require.ErrorContains(t, err, "deletetree /t: delete /t/2/")
		for _, path := range deleted {
			_, there := e.Server(1).Node(path)
			require.False(t, there, path)
		}
		_, there := e.Server(1).Node("/t/2/0")
		require.True(t, there)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = c.DeleteTree(ctx, "/t", nil)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// A session that ends while nodes are deleted in it, and in no other, leaves open which of them are gone: the error says so.
func TestDeleteTreeWhoseSessionEnds(t *testing.T) {
	planted(t, func(t *testing.T, e *ensembletest.Ensemble, c *client.Client) {
		away := e.Proxy(c).Freeze(proxy.Request(proxy.OpConnect, "").Always())
		f := e.Proxy(c).Lose(proxy.Reply(proxy.OpMulti, ""))
		view := c.Session().Client()
		ended := make(chan error, 1)
		go func() { // ends when the session has
			<-f.Struck()
			ended <- e.Expire(t.Context(), c)
			away.End()
		}()
		deleted, err := view.DeleteTree(t.Context(), "/t", nil)
		require.NoError(t, <-ended)
		require.Empty(t, deleted)
		require.ErrorIs(t, err, client.ErrSessionExpired)
		require.ErrorIs(t, err, client.ErrUnknown)
		require.Len(t, e.Server(1).Tree(), plantedNodes+1+len(ownNodes)-100, "they are gone")
	})
}
