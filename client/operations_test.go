package client_test

import (
	"context"
	"encoding/binary"
	"errors"
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
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

func TestOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c, _ := connect(t, startServer(t, &ensemble.Options{TTLNodes: true}), nil)

		path, err := c.Create(ctx, "/a", []byte("one"), nil)
		require.NoError(t, err)
		require.Equal(t, "/a", path)
		data, stat, err := c.Get(ctx, "/a")
		require.NoError(t, err)
		require.Equal(t, "one", string(data))
		require.WithinDuration(t, time.Now(), stat.Ctime, time.Second)
		require.Equal(t, 3, stat.DataLength)

		changed, err := c.Set(ctx, "/a", []byte("two"), stat.Version)
		require.NoError(t, err)
		require.Equal(t, stat.Version+1, changed.Version)
		require.Equal(t, stat.Czxid, changed.Czxid)
		require.Greater(t, changed.Mzxid, stat.Mzxid)

		_, err = c.Create(ctx, "/a/b", nil, nil)
		require.NoError(t, err)
		names, stat, err := c.Children(ctx, "/a")
		require.NoError(t, err)
		require.Equal(t, []string{"b"}, names)
		require.Equal(t, 1, stat.NumChildren)
		data, _, err = c.Get(ctx, "/a/b")
		require.NoError(t, err)
		require.Empty(t, data)

		acl, stat, err := c.ACL(ctx, "/a")
		require.NoError(t, err)
		require.Equal(t, client.WorldACL(client.PermAll), acl)
		stat, err = c.SetACL(ctx, "/a", client.WorldACL(client.PermRead|client.PermDelete), stat.Aversion)
		require.NoError(t, err)
		require.EqualValues(t, 1, stat.Aversion)
		_, err = c.Set(ctx, "/a", nil, client.AnyVersion)
		require.ErrorIs(t, err, client.ErrNoAuth)

		require.NoError(t, c.Sync(ctx, "/"))
		require.NoError(t, c.Delete(ctx, "/a/b", client.AnyVersion))
		require.NoError(t, c.Delete(ctx, "/a", client.AnyVersion))
		_, exists, err := c.Exists(ctx, "/a")
		require.NoError(t, err)
		require.False(t, exists)
	})
}

func TestCreateEveryKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := connect(t, startServer(t, &ensemble.Options{TTLNodes: true}), nil)
		for _, k := range []struct {
			opts      client.CreateOptions
			numbered  bool
			ephemeral bool
		}{
			{client.CreateOptions{}, false, false},
			{client.CreateOptions{Mode: client.Ephemeral}, false, true},
			{client.CreateOptions{Mode: client.PersistentSequential}, true, false},
			{client.CreateOptions{Mode: client.EphemeralSequential}, true, true},
			{client.CreateOptions{Mode: client.Container}, false, false},
			{client.CreateOptions{Mode: client.PersistentTTL, TTL: time.Minute}, false, false},
			{client.CreateOptions{Mode: client.PersistentSequentialTTL, TTL: time.Minute}, true, false},
		} {
			for _, protected := range []bool{false, true} {
				k.opts.Protected = protected
				k.opts.Parents = client.ContainerParents
				asked := "/kinds/deep/n" + strings.Repeat("x", int(k.opts.Mode))
				made := mustCreate(t, c, asked, &k.opts)
				name := made[strings.LastIndexByte(made, '/')+1:]
				_, rest, ok := client.ParseProtected(name)
				require.Equal(t, protected, ok, made)
				if k.numbered {
					require.Regexp(t, `^nx*\d{10}$`, rest)
				} else {
					require.Equal(t, asked[len("/kinds/deep/"):], rest)
				}
				stat, exists, err := c.Exists(t.Context(), made)
				require.NoError(t, err)
				require.True(t, exists)
				owner := int64(0)
				if k.ephemeral {
					owner = c.Session().ID()
				}
				require.Equal(t, owner, stat.EphemeralOwner)
			}
		}
	})
}

// Containers vanish between any two operations; here the parent is removed as often as it was made.
func TestCreateMakesParentsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t, nil)
		c, _ := connect(t, srv, nil)
		for range 3 {
			made := mustCreate(t, c, "/a/b/c", &client.CreateOptions{Parents: client.PersistentParents})
			require.Equal(t, "/a/b/c", made)
			for _, p := range []string{"/a/b/c", "/a/b", "/a"} {
				require.NoError(t, c.Delete(t.Context(), p, client.AnyVersion))
			}
		}
	})
}

// Servers that know no containers get persistent nodes for parents.
func TestServersWithoutContainers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t, nil)
		refused := 0
		c, err := client.Connect(t.Context(), srv.ConnectString(), &client.Options{Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := srv.Dial(ctx, network, addr)
			return olderServer{conn, &refused}, err
		}})
		require.NoError(t, err)
		defer c.Close()
		mustCreate(t, c, "/a/b/c", &client.CreateOptions{Parents: client.ContainerParents})
		require.GreaterOrEqual(t, refused, 2, "one of them again, if the server hung up before it was heard")
	})
}

// olderServer is a connection to a server that does not know what createContainer is.
type olderServer struct {
	net.Conn
	refused *int
}

func (s olderServer) Write(frame []byte) (int, error) {
	const createContainer = 19
	if len(frame) < 12 || binary.BigEndian.Uint32(frame[8:]) != createContainer { // behind the length and the request's number
		return s.Conn.Write(frame)
	}
	*s.refused++
	frame = slices.Clone(frame)
	binary.BigEndian.PutUint32(frame[8:], 9999)
	return s.Conn.Write(frame)
}

func TestErrorsHaveKindOperationAndPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c, _ := connect(t, startServer(t, nil), nil)
		mustCreate(t, c, "/p/c", &client.CreateOptions{Parents: client.PersistentParents})
		mustCreate(t, c, "/e", &client.CreateOptions{Mode: client.Ephemeral})
		create := func(path string, o client.CreateOptions) error {
			_, err := c.Create(ctx, path, nil, &o)
			return err
		}
		set := func(path string, data []byte, version int32) error {
			_, err := c.Set(ctx, path, data, version)
			return err
		}
		get := func(path string) error { _, _, err := c.Get(ctx, path); return err }
		children := func(path string) error { _, _, err := c.Children(ctx, path); return err }
		for _, k := range []struct {
			err  error
			kind error
			op   string
			path string
		}{
			{create("/p", client.CreateOptions{}), client.ErrNodeExists, "create", "/p"},
			{create("/", client.CreateOptions{}), client.ErrNodeExists, "create", "/"},
			{create("/q/r", client.CreateOptions{}), client.ErrNoNode, "create", "/q/r"},
			{create("/e/x", client.CreateOptions{}), client.ErrNoChildrenEphemeral, "create", "/e/x"},
			{create("/t", client.CreateOptions{Mode: client.PersistentTTL, TTL: time.Second}), client.ErrUnimplemented, "create", "/t"},
			{create("/t", client.CreateOptions{Mode: client.PersistentTTL}), client.ErrBadArguments, "create", "/t"},
			{create("/t", client.CreateOptions{TTL: time.Second}), client.ErrBadArguments, "create", "/t"},
			{create("/t", client.CreateOptions{Mode: 7}), client.ErrBadArguments, "create", "/t"},
			{create("/t", client.CreateOptions{Protected: true, ProtectionID: "me"}), client.ErrBadArguments, "create", "/t"},
			{create("/t", client.CreateOptions{ACL: []client.ACL{{Perms: 1, Scheme: "world", ID: "nobody"}}}), client.ErrInvalidACL, "create", "/t"},
			{create("t", client.CreateOptions{}), client.ErrInvalidPath, "create", "t"},
			{set("/p", nil, 7), client.ErrBadVersion, "set", "/p"},
			{set("/p", make([]byte, 1<<20), 0), client.ErrTooLarge, "set", "/p"},
			{set("/p/", nil, 0), client.ErrInvalidPath, "set", "/p/"},
			{get("/q"), client.ErrNoNode, "get", "/q"},
			{get("/../q"), client.ErrInvalidPath, "get", "/../q"},
			{children("/q"), client.ErrNoNode, "children", "/q"},
			{c.Delete(ctx, "/p", client.AnyVersion), client.ErrNotEmpty, "delete", "/p"},
			{c.Delete(ctx, "/p/c", 7), client.ErrBadVersion, "delete", "/p/c"},
			{c.Delete(ctx, "//", 7), client.ErrInvalidPath, "delete", "//"},
		} {
			require.ErrorIs(t, k.err, k.kind)
			require.NotErrorIs(t, k.err, client.ErrUnknown)
			e, ok := errors.AsType[*client.Error](k.err)
			require.True(t, ok)
			require.Equal(t, k.op, e.Op, k.err)
			require.Equal(t, k.path, e.Path, k.err)
		}
	})
}

func TestMulti(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c, _ := connect(t, startServer(t, nil), nil)
		results, err := c.Multi(ctx,
			client.CreateOp("/a", []byte("x"), nil),
			client.SetOp("/a", []byte("y"), 0),
			client.CreateOp("/a/s-", nil, &client.CreateOptions{Mode: client.EphemeralSequential}),
			client.CheckOp("/a", 1),
			client.CreateOp("/b", nil, nil),
			client.DeleteOp("/b", 0))
		require.NoError(t, err)
		require.Len(t, results, 6)
		require.Equal(t, "/a", results[0].Path)
		require.EqualValues(t, 1, results[1].Stat.Version)
		require.Equal(t, "/a/s-0000000000", results[2].Path)

		results, err = c.Multi(ctx, client.SetOp("/a", nil, 1), client.DeleteOp("/nowhere", 0), client.CreateOp("/c", nil, nil))
		require.EqualError(t, err, "multi /nowhere: node does not exist")
		require.ErrorIs(t, err, client.ErrNoNode)
		require.Len(t, results, 3)
		require.ErrorIs(t, results[2].Err, client.ErrRuntimeInconsistency)
		data, _, err := c.Get(ctx, "/a")
		require.NoError(t, err)
		require.Equal(t, "y", string(data), "nothing of a failed multi happened")

		_, err = c.Multi(ctx, client.CreateOp("/c", nil, &client.CreateOptions{Mode: client.Container}))
		require.ErrorIs(t, err, client.ErrBadArguments)
		_, err = c.Multi(ctx, client.Op{})
		require.Error(t, err)
	})
}

func TestChrootIsTheRoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		srv := startServer(t, nil)
		root, _ := connectTo(t, srv, "memory", nil)
		c, _ := connectTo(t, srv, "memory/apps/search", nil)
		_, err := c.Create(ctx, "/x/y", nil, &client.CreateOptions{Parents: client.ContainerParents})
		require.ErrorIs(t, err, client.ErrNoNode, "the chroot is not made")
		require.ErrorContains(t, err, "chroot")

		mustCreate(t, root, "/apps/search", &client.CreateOptions{Parents: client.PersistentParents})
		made := mustCreate(t, c, "/x/n-", &client.CreateOptions{Mode: client.PersistentSequential, Parents: client.ContainerParents})
		require.Equal(t, "/x/n-0000000000", made)
		_, exists, err := root.Exists(ctx, "/apps/search/x/n-0000000000")
		require.NoError(t, err)
		require.True(t, exists)
		names, _, err := c.Children(ctx, "/")
		require.NoError(t, err)
		require.Equal(t, []string{"x"}, names)
		_, _, w, err := c.GetW(ctx, made)
		require.NoError(t, err)
		require.NoError(t, root.Delete(ctx, "/apps/search"+made, client.AnyVersion))
		event, err := w.Wait(ctx)
		require.NoError(t, err)
		require.Equal(t, client.Event{Type: client.EventDeleted, Path: made}, event)
	})
}

// What a write says when the answer is lost: it may have happened. Here it did.
func TestLostAnswerIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c, l := connect(t, startServer(t, nil), nil)
		session := c.Session().ID()
		mustCreate(t, c, "/a", nil)
		mustCreate(t, c, "/gone", nil)

		l.loseAnswer(opCreate)
		_, err := c.Create(ctx, "/new", nil, nil)
		require.ErrorIs(t, err, client.ErrUnknown)
		require.ErrorIs(t, err, client.ErrConnectionLoss)
		_, exists, err := c.Exists(ctx, "/new")
		require.NoError(t, err, "a read finds the connection made anew")
		require.True(t, exists)

		l.loseAnswer(opSetData)
		_, err = c.Set(ctx, "/a", []byte("set"), 0)
		require.ErrorIs(t, err, client.ErrUnknown)
		data, stat, err := c.Get(ctx, "/a")
		require.NoError(t, err)
		require.Equal(t, "set", string(data))
		require.EqualValues(t, 1, stat.Version, "and it was not repeated")

		l.loseAnswer(opDelete)
		require.ErrorIs(t, c.Delete(ctx, "/gone", 0), client.ErrUnknown)
		_, exists, err = c.Exists(ctx, "/gone")
		require.NoError(t, err)
		require.False(t, exists)

		l.loseAnswer(opMulti)
		_, err = c.Multi(ctx, client.SetOp("/a", []byte("multi"), 1))
		require.ErrorIs(t, err, client.ErrUnknown)
		data, _, err = c.Get(ctx, "/a")
		require.NoError(t, err)
		require.Equal(t, "multi", string(data))

		l.loseAnswer(opGetData)
		_, _, err = c.Get(ctx, "/a")
		require.NoError(t, err, "a read is repeated")
		require.Equal(t, session, c.Session().ID(), "all in one session")
	})
}

// Operation codes of the protocol.
const (
	opCreate  = 1
	opDelete  = 2
	opGetData = 4
	opSetData = 5
	opMulti   = 14
)

func TestProtectedCreateSurvivesALostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c, l := connect(t, startServer(t, nil), nil)
		mustCreate(t, c, "/d", nil)
		for i, mode := range []client.Mode{client.EphemeralSequential, client.PersistentSequential, client.Ephemeral, client.Persistent} {
			l.loseAnswer(opCreate)
			id := client.NewProtectionID()
			made, err := c.Create(ctx, "/d/n-", nil, &client.CreateOptions{Mode: mode, Protected: true, ProtectionID: id})
			require.NoError(t, err)
			names, _, err := c.Children(ctx, "/d")
			require.NoError(t, err)
			require.Len(t, names, i+1, "one node, not two")
			found, ok, err := c.FindProtected(ctx, "/d", id)
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, found, made)
		}
		_, ok, err := c.FindProtected(ctx, "/d", client.NewProtectionID())
		require.NoError(t, err)
		require.False(t, ok)
		_, ok, err = c.FindProtected(ctx, "/nowhere", client.NewProtectionID())
		require.NoError(t, err)
		require.False(t, ok)
	})
}

// A call returns when its context ends, whatever the connection does.
func TestContextEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := connect(t, startServer(t, nil), nil)
		mustCreate(t, c, "/a", nil)
		l.mute()
		why := errors.New("the user lost interest")
		for name, call := range map[string]func(context.Context) error{
			"read":  func(ctx context.Context) error { _, _, err := c.Get(ctx, "/a"); return err },
			"write": func(ctx context.Context) error { _, err := c.Set(ctx, "/a", nil, 0); return err },
			"watch": func(ctx context.Context) error { _, _, _, err := c.GetW(ctx, "/a"); return err },
		} {
			start := time.Now()
			ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, why)
			err := call(ctx)
			cancel()
			require.ErrorIs(t, err, why, name)
			require.Equal(t, 50*time.Millisecond, time.Since(start), name)
			require.Equal(t, name == "write", errors.Is(err, client.ErrUnknown), name)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		_, err := c.Set(ctx, "/a", nil, 0)
		require.ErrorIs(t, err, why)
		require.NotErrorIs(t, err, client.ErrUnknown, "it was not begun")
	})
}

func TestOperationsWaitWhileDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := connect(t, startServer(t, nil), nil)
		session := c.Session()
		l.cut()
		synctest.Wait()
		time.AfterFunc(3*time.Second, l.plug)
		start := time.Now()
		mustCreate(t, c, "/a", nil)
		require.GreaterOrEqual(t, time.Since(start), 3*time.Second)
		require.Less(t, time.Since(start), 6*time.Second)
		require.Same(t, session, c.Session())
	})
}

// A session that ends while a parent is to be made in it, and in no other, ends the create with an error of the create.
func TestParentsWhoseSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		away := e.Proxy(c).Freeze(proxy.Request(proxy.OpConnect, "").Always())
		e.Proxy(c).Cut(proxy.Reply(proxy.OpCreate, "/p/n"))
		_, err := c.Session().Client().Create(t.Context(), "/p/n", nil, &client.CreateOptions{Parents: client.PersistentParents})
		away.End()
		require.ErrorIs(t, err, client.ErrSessionExpired)
		var failed *client.Error
		require.ErrorAs(t, err, &failed)
		require.Equal(t, "create", failed.Op)
		require.Contains(t, []string{"/p", "/p/n"}, failed.Path, "it depends on who notices first")
	})
}
