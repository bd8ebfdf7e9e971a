package client_test

import (
	"errors"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// What is made is told with its Stat and with what stands beside it, in one round trip, whatever it is.
func TestCreateAndList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		c := e.Connect(t)
		mustCreate(t, c, "/dir", nil)
		mustCreate(t, c, "/dir/other", nil)
		const trip = time.Second / 10
		e.DelayClient(c, trip/2)
		begun := time.Now()
		for _, o := range []client.CreateOptions{
			{}, {Mode: client.Ephemeral}, {Mode: client.PersistentSequential, Protected: true}, {Mode: client.EphemeralSequential, Protected: true},
			{Mode: client.Container},
		} {
			made, err := c.CreateAndList(t.Context(), "/dir/n", []byte("four"), &o)
			require.NoError(t, err)
			require.Equal(t, trip, time.Since(begun))
			stat, exists, err := c.Exists(t.Context(), made.Path)
			require.NoError(t, err)
			require.True(t, exists)
			require.Equal(t, stat, made.Stat)
			require.ElementsMatch(t, []string{"other", path.Base(made.Path)}, made.Names)
			require.NoError(t, c.Delete(t.Context(), made.Path, 0))
			begun = time.Now()
		}
		e.DelayClient(c, 0)

		_, err := c.CreateAndList(t.Context(), "/dir/other", nil, nil)
		require.ErrorIs(t, err, client.ErrNodeExists)
		require.NotErrorIs(t, err, client.ErrUnknown)
		_, err = c.CreateAndList(t.Context(), "/none/n", nil, nil)
		require.ErrorIs(t, err, client.ErrNoNode)
		_, err = c.CreateAndList(t.Context(), "dir", nil, nil)
		require.ErrorIs(t, err, client.ErrInvalidPath)
		made, err := c.CreateAndList(t.Context(), "/a/b/n-", nil, &client.CreateOptions{Mode: client.EphemeralSequential, Parents: client.ContainerParents})
		require.NoError(t, err)
		require.Equal(t, []string{"n-0000000000"}, made.Names)
		made, err = c.CreateAndList(t.Context(), "/n", nil, nil)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"n", "a", "dir", "zookeeper"}, made.Names)
		sub, err := c.Sub("/dir")
		require.NoError(t, err)
		made, err = sub.CreateAndList(t.Context(), "/n", nil, nil)
		require.NoError(t, err)
		require.Equal(t, "/n", made.Path)
		require.ElementsMatch(t, []string{"n", "other"}, made.Names)
		require.NoError(t, c.Close())
		_, err = c.CreateAndList(t.Context(), "/m", nil, nil)
		require.ErrorIs(t, err, client.ErrClosed)
	})
}

// A directory that may not be read, or whose list is too large, takes nothing from what was made in it.
func TestCreateWithoutAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		_, err := c.Create(t.Context(), "/dark", nil, &client.CreateOptions{ACL: client.WorldACL(client.PermAll &^ client.PermRead)})
		require.NoError(t, err)
		made, err := c.CreateAndList(t.Context(), "/dark/n", nil, nil)
		require.NoError(t, err)
		require.NotZero(t, made.Stat.Czxid)
		require.Nil(t, made.Names)

		small, err := client.Connect(t.Context(), e.ConnectString(), &client.Options{Dialer: e.Dial, MaxFrame: 1024})
		require.NoError(t, err)
		defer small.Close()
		mustCreate(t, c, "/wide", nil)
		told := 0
		for i := range 30 {
			made, err = small.CreateAndList(t.Context(), "/wide/n-", nil, &client.CreateOptions{Mode: client.EphemeralSequential, Protected: true})
			require.NoError(t, err)
			require.Equal(t, small.Session().ID(), made.Stat.EphemeralOwner)
			if made.Names != nil {
				told++
				require.Len(t, made.Names, i+1)
			}
		}
		require.Greater(t, told, 5)
		require.Less(t, told, 25)
		names, _, err := c.Children(t.Context(), "/wide")
		require.NoError(t, err)
		require.Len(t, names, 30)
	})
}

// Wherever the connection breaks, a protected create happens once; and what is told of it is either true or nothing.
func TestCreateAndListAmongFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		c := e.Connect(t)
		mustCreate(t, c, "/dir", nil)
		r := rand.New(rand.NewPCG(1, 1))
		known := 0
		for i := range 300 {
			f := e.Proxy(c).Cut([]proxy.Match{
				proxy.Request(proxy.OpCreate, ""), proxy.Reply(proxy.OpCreate, ""), proxy.Request(proxy.OpGetChildren, ""), proxy.Reply(proxy.OpGetChildren, ""),
			}[i%4].Skip(r.IntN(2)))
			made, err := c.CreateAndList(t.Context(), "/dir/n-", nil, &client.CreateOptions{Mode: client.PersistentSequential, Protected: true})
			require.NoError(t, err)
			f.End()
			stat, exists, err := c.Exists(t.Context(), made.Path)
			require.NoError(t, err)
			require.True(t, exists)
			names, _, err := c.Children(t.Context(), "/dir")
			require.NoError(t, err)
			require.Len(t, names, i+1)
			require.Equal(t, made.Stat.Czxid == 0, made.Names == nil)
			if made.Names != nil {
				known++
				require.Equal(t, stat, made.Stat)
				require.ElementsMatch(t, names, made.Names)
			}
		}
		require.Greater(t, known, 100)
		require.Less(t, known, 250)
	})
}

// Many do it at once, and each is told of its own.
func TestCreateAndListBesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		c := e.Connect(t)
		mustCreate(t, c, "/dir", nil)
		_, _, w, err := c.ChildrenW(t.Context(), "/dir")
		require.NoError(t, err)
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				made, err := c.CreateAndList(t.Context(), "/dir/n-", make([]byte, i), &client.CreateOptions{Mode: client.EphemeralSequential, Protected: true})
				if err == nil && (made.Stat.DataLength != i || !slices.Contains(made.Names, path.Base(made.Path))) {
					err = errors.New("told of another")
				}
				if err != nil {
					t.Error(err)
				}
				if _, _, err := c.Get(t.Context(), made.Path); err != nil {
					t.Error(err)
				}
			})
			all.Go(func() { // which has no name of its own
				made, err := c.CreateAndList(t.Context(), "/dir/same-", nil, &client.CreateOptions{Mode: client.EphemeralSequential})
				if err == nil && made.Names != nil && !slices.Contains(made.Names, path.Base(made.Path)) {
					err = errors.New("told of another")
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		<-w.Done()
	})
}
