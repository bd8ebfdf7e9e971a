package client_test

import (
	"bytes"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// Requests and answers of every size go through, first as later, and on each connection.
func TestEverySizeHasRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{MaxFrame: client.DefaultMaxFrame}})
		for _, first := range []int{0, 4096 - 200, 4096, 16384, client.DefaultMaxFrame - 100} {
			c := e.Connect(t)
			mustCreate(t, c, "/n", nil)
			for _, size := range []int{first, 10, first + 1, 70_000, 4} {
				data := bytes.Repeat([]byte{'x'}, size)
				_, err := c.Set(t.Context(), "/n", data, client.AnyVersion)
				require.NoError(t, err, "%d after %d", size, first)
				got, _, err := c.Get(t.Context(), "/n")
				require.NoError(t, err)
				require.True(t, bytes.Equal(data, got))
				e.Drop(c)
				require.NoError(t, c.Sync(t.Context(), "/"))
			}
			require.NoError(t, c.Delete(t.Context(), "/n", client.AnyVersion))
		}
	})
}

// Many large ones at once, for the race detector.
func TestManyAskForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				path := "/n" + string(rune('a'+i))
				if _, err := c.Create(t.Context(), path, make([]byte, 2000*i), nil); err != nil {
					t.Error(err)
				}
				if data, _, err := c.Get(t.Context(), path); err != nil || len(data) != 2000*i {
					t.Error(err, len(data))
				}
			})
		}
		all.Wait()
	})
}

// A connection that is lost while room is made has lost nothing: the request was not sent, and is sent then.
func TestRoomIsMadeOverABreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		mustCreate(t, c, "/n", nil)
		for _, f := range []*proxy.Fault{
			e.Proxy(c).Lose(proxy.Request(proxy.OpExists, "/")),
			e.Proxy(c).Lose(proxy.Reply(proxy.OpExists, "/").Skip(1)),
		} {
			_, err := c.Set(t.Context(), "/n", make([]byte, 5000), client.AnyVersion)
			require.NoError(t, err)
			f.End()
		}
		_, err := c.Set(t.Context(), "/n", make([]byte, 60_000), client.AnyVersion)
		require.NoError(t, err)
	})
}

// A client that has nothing to say holds little, also after it has connected again.
func TestIdleClientsAreSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients = 50
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{MaxFrame: client.DefaultMaxFrame}})
		before := heap()
		all := make([]*client.Client, clients)
		for i := range all {
			all[i] = e.Connect(t)
		}
		for range 2 {
			each := (heap() - before) / clients
			t.Logf("%d KiB each, with their proxies and what the server has for them", each>>10)
			require.Less(t, each, 200<<10)
			e.Drop()
			for _, c := range all {
				require.NoError(t, c.Sync(t.Context(), "/"))
			}
		}
	})
}

func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
