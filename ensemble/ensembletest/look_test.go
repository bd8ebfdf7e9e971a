package ensembletest_test

import (
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
)

// The tree is what clients are told, on each server that is not behind.
func TestTree(t *testing.T) {
	opts := &ensembletest.Options{Server: ensemble.Options{TTLNodes: true}}
	bubble(t, 3, opts, func(t *testing.T, e *ensembletest.Ensemble) {
		require.NoError(t, e.Load(soon(t), map[string]string{"/a": "A", "/a/b/c": "C"}))
		require.NoError(t, e.Load(soon(t), map[string]string{"/a": "again", "/e": ""}), "what is there gets the data")
		c := e.Connect(t)
		acl := []client.ACL{{Perms: client.PermRead, Scheme: "world", ID: "anyone"}}
		for path, o := range map[string]client.CreateOptions{
			"/a/container": {Mode: client.Container},
			"/a/ephemeral": {Mode: client.Ephemeral, ACL: acl},
			"/a/ttl":       {Mode: client.PersistentTTL, TTL: time.Hour},
		} {
			_, err := c.Create(soon(t), path, []byte(path), &o)
			require.NoError(t, err)
		}
		mustCatchUp(t, e)

		nodes := e.Server(1).Tree()
		for path, n := range nodes {
			require.Equal(t, path, n.Path)
			data, stat, err := c.Get(soon(t), path)
			require.NoError(t, err)
			require.Equal(t, stat, n.Stat)
			require.Equal(t, string(data), string(n.Data))
			acl, _, err := c.ACL(soon(t), path)
			require.NoError(t, err)
			require.Equal(t, acl, n.ACL)
			one, ok := e.Server(2).Node(path)
			require.True(t, ok)
			require.Equal(t, n, one, "all servers have the same")
		}
		require.Equal(t, []string{"/", "/a", "/a/b", "/a/b/c", "/a/container", "/a/ephemeral", "/a/ttl", "/e"},
			slices.DeleteFunc(slices.Sorted(maps.Keys(nodes)), func(p string) bool { return strings.HasPrefix(p, "/zookeeper") }))
		require.Equal(t, "again", string(nodes["/a"].Data))
		require.Equal(t, "C", string(nodes["/a/b/c"].Data))
		require.Equal(t, []client.Mode{client.Persistent, client.Container, client.Ephemeral, client.PersistentTTL},
			[]client.Mode{nodes["/a"].Mode, nodes["/a/container"].Mode, nodes["/a/ephemeral"].Mode, nodes["/a/ttl"].Mode})
		require.Equal(t, time.Hour, nodes["/a/ttl"].TTL)
		_, ok := e.Server(1).Node("/none")
		require.False(t, ok)
		nodes["/a"].Data[0] = 'X'
		n, _ := e.Server(1).Node("/a")
		require.Equal(t, "again", string(n.Data), "it was a copy")

		cut := e.Follower()
		e.Partition([]int{cut.ID()})
		mustCreate(t, e.Leader().Connect(t), "/later", client.Persistent)
		_, ok = cut.Node("/later")
		require.False(t, ok, "it does not know yet")
		_, ok = e.Leader().Node("/later")
		require.True(t, ok)
		cut.Kill()
		require.Nil(t, cut.Tree())
		_, ok = cut.Node("/")
		require.False(t, ok)
		require.Error(t, e.Load(soon(t), map[string]string{"/a/ephemeral/child": ""}))
	})
}

// Who is alive, and where.
func TestSessions(t *testing.T) {
	opts := &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second}}
	bubble(t, 3, opts, func(t *testing.T, e *ensembletest.Ensemble) {
		require.Empty(t, e.Leader().Sessions())
		one, other := e.Server(1).Connect(t), e.Server(3).Connect(t)
		mustCreate(t, one, "/b", client.Ephemeral)
		mustCreate(t, one, "/a", client.Ephemeral)
		mustCatchUp(t, e)
		want := []ensembletest.Session{
			{ID: one.Session().ID(), Timeout: 10 * time.Second, Ephemerals: []string{"/a", "/b"}, Server: 1},
			{ID: other.Session().ID(), Timeout: 10 * time.Second, Server: 3},
		}
		for _, s := range e.Servers() {
			require.Equal(t, want, s.Sessions())
		}
		e.CutClient(one)
		time.Sleep(time.Minute)
		require.Equal(t, want[1:], e.Leader().Sessions())
		e.Server(3).Kill()
		require.Empty(t, e.Server(3).Sessions())
		require.Zero(t, mustLead(t, e).Sessions()[0].Server)
	})
}

// dialer is a function as the raw client takes it.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

func (d dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d(ctx, network, addr)
}

// Who waits for what, and waits no more when it has been told.
func TestWatches(t *testing.T) {
	bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		c := e.Server(1).Connect(t)
		conn, err := rawclient.Dial(t.Context(), rawclient.Options{Addr: e.Server(2).ConnectString(), Network: dialer(e.Dial)})
		require.NoError(t, err)
		defer conn.Close()
		mustCreate(t, c, "/n", client.Persistent)
		require.Empty(t, e.Watches())

		_, _, _, err = c.GetW(soon(t), "/n")
		require.NoError(t, err)
		_, _, _, err = c.ChildrenW(soon(t), "/n")
		require.NoError(t, err)
		_, _, _, err = c.ExistsW(soon(t), "/m")
		require.NoError(t, err)
		_, err = conn.Call(soon(t), wire.OpAddWatch, &wire.AddWatchRequest{Path: "/n", Mode: wire.WatchPersistent})
		require.NoError(t, err)
		_, err = conn.Call(soon(t), wire.OpAddWatch, &wire.AddWatchRequest{Path: "/n", Mode: wire.WatchPersistentRecursive})
		require.NoError(t, err)
		mine, theirs := c.Session().ID(), int64(conn.Session())
		here := []ensembletest.Watch{
			{Path: "/m", Kind: ensembletest.WatchData, Session: mine},
			{Path: "/n", Kind: ensembletest.WatchData, Session: mine},
			{Path: "/n", Kind: ensembletest.WatchChildren, Session: mine},
		}
		there := []ensembletest.Watch{
			{Path: "/n", Kind: ensembletest.WatchPersistent, Session: theirs},
			{Path: "/n", Kind: ensembletest.WatchRecursive, Session: theirs},
		}
		require.Equal(t, here, e.Server(1).Watches())
		require.Equal(t, there, e.Server(2).Watches())
		require.Empty(t, e.Server(3).Watches())
		require.Equal(t, append(here[:3:3], there...), e.Watches())

		mustSet(t, c, "/n", "x")
		synctest.Wait()
		require.Equal(t, []ensembletest.Watch{here[0], here[2]}, e.Server(1).Watches())
		require.Equal(t, there, e.Server(2).Watches())
		e.Server(2).Kill()
		require.Empty(t, e.Server(2).Watches())
	})
}

// A dump shows all that is different, and nothing that differs only from run to run.
func TestDump(t *testing.T) {
	made := func(t *testing.T, e *ensembletest.Ensemble) {
		c, other := e.Connect(t), e.Connect(t)
		for _, path := range []string{"/a", "/a/b", "/a.b"} {
			mustCreate(t, c, path, client.Persistent)
		}
		mustSet(t, c, "/a/b", "two\nlines")
		_, err := c.SetACL(soon(t), "/a/b", client.WorldACL(client.PermRead|client.PermAdmin), client.AnyVersion)
		require.NoError(t, err)
		mustCreate(t, c, "/a/c", client.Container)
		mustCreate(t, other, "/e", client.Ephemeral)
		mustCreate(t, c, "/f", client.Ephemeral)
		mustCreate(t, other, "/g", client.Ephemeral)
		mustCatchUp(t, e)
	}
	const want = `/ "" cversion=4
/a "/a" cversion=2
/a/b "two\nlines" version=1 aversion=1 acl=world:anyone:ra
/a/c "/a/c" container
/a.b "/a.b"
/e "/e" ephemeral=session-1
/f "/f" ephemeral=session-2
/g "/g" ephemeral=session-1
`
	bubble(t, 1, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		made(t, e)
		s := e.Server(1)
		require.Equal(t, want, s.Dump(nil))
		require.Equal(t, "/a/b \"two\\nlines\" version=1 aversion=1 acl=world:anyone:ra\n", s.Dump(&ensembletest.DumpOptions{Root: "/a/b"}))
		require.Contains(t, s.Dump(&ensembletest.DumpOptions{Own: true}), "\n/zookeeper/quota \"\"\n")
		exact := s.Dump(&ensembletest.DumpOptions{Exact: true, Root: "/f"})
		n, _ := s.Node("/f")
		require.Contains(t, exact, "ctime=2000-01-01T00:00:0")
		require.Contains(t, exact, "ephemeral=0x")
		require.Greater(t, n.Stat.Czxid, int64(1))
		mustSet(t, e.Connect(t), "/a", "x")
		require.NotEqual(t, want, s.Dump(nil))
		require.NoError(t, s.Stop())
		require.Empty(t, s.Dump(nil))
	})
	bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		time.Sleep(time.Hour)
		made(t, e)
		for _, s := range e.Servers() {
			require.Equal(t, want, s.Dump(nil))
		}
	})
}
