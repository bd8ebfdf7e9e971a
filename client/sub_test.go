package client_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// Everything in a view has to do with what is below its directory, and says so in the view's words.
func TestSub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		whole := e.Connect(t)
		mustCreate(t, whole, "/top", nil)
		at, err := client.Connect(ctx, e.ConnectString()+"/top", &client.Options{Dialer: e.Dial})
		require.NoError(t, err)
		defer at.Close()
		outer, err := at.Sub("/a/b")
		require.NoError(t, err)
		c, err := outer.Sub("/c")
		require.NoError(t, err)
		same, err := c.Sub("/")
		require.NoError(t, err)
		const dir = "/top/a/b/c"

		_, err = c.Create(ctx, "/n", nil, nil)
		require.ErrorIs(t, err, client.ErrNoNode)
		require.EqualError(t, err, "create /n: node does not exist")
		_, there, err := c.Exists(ctx, "/")
		require.NoError(t, err)
		require.False(t, there)

		made, err := c.Create(ctx, "/n", []byte("data"), &client.CreateOptions{Parents: client.ContainerParents})
		require.NoError(t, err)
		require.Equal(t, "/n", made)
		_, there, err = whole.Exists(ctx, dir+"/n")
		require.NoError(t, err)
		require.True(t, there, "namespace and all are made")
		data, _, err := same.Get(ctx, "/n")
		require.NoError(t, err)
		require.Equal(t, "data", string(data))

		_, _, watch, err := c.ChildrenW(ctx, "/")
		require.NoError(t, err)
		_, _, other, err := whole.ChildrenW(ctx, dir)
		require.NoError(t, err)
		made, err = c.Create(ctx, "/p-", nil, &client.CreateOptions{Mode: client.EphemeralSequential, Protected: true})
		require.NoError(t, err)
		require.Regexp(t, `^/_c_[-0-9a-f]{36}-p-\d{10}$`, made)
		event, err := watch.Wait(ctx)
		require.NoError(t, err)
		require.Equal(t, client.Event{Type: client.EventChildrenChanged, Path: "/"}, event)
		event, err = other.Wait(ctx)
		require.NoError(t, err)
		require.Equal(t, dir, event.Path, "each in its own words")

		results, err := c.MultiOnce(ctx, "/marks", client.CreateOp("/m", nil, nil), client.DeleteOp("/n", 0))
		require.NoError(t, err)
		require.Equal(t, "/m", results[0].Path)
		_, there, err = whole.Exists(ctx, dir+"/m")
		require.NoError(t, err)
		require.True(t, there)

		bound := c.Session().Client()
		_, there, err = bound.Exists(ctx, "/a/b/c/m")
		require.NoError(t, err)
		require.True(t, there, "a session is the whole client's")
		below, err := bound.Sub("/a")
		require.NoError(t, err)
		require.True(t, below.Bound())

		mustCreate(t, c, "/m/x", nil)
		gone, err := c.DeleteTree(ctx, "/m", nil)
		require.NoError(t, err)
		require.Equal(t, []string{"/m/x", "/m"}, gone)
		_, err = c.Sub("m/")
		require.ErrorIs(t, err, client.ErrInvalidPath)
		_, _, err = c.Get(ctx, "/../n")
		require.ErrorIs(t, err, client.ErrInvalidPath, "there is no way out")
	})
}

// What a view's caller left is undone where the view made it.
func TestSubIsUndoneInItsPlace(t *testing.T) {
	for _, ends := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 1, nil)
			whole, witness := e.Connect(t), e.Connect(t)
			mustCreate(t, witness, "/space", nil)
			mustCreate(t, witness, "/space/d", nil)
			c, err := whole.Sub("/space")
			require.NoError(t, err)
			f := e.Proxy(whole).Freeze(proxy.Reply(proxy.OpCreate, ""))
			ctx, cancel := context.WithCancel(t.Context())
			failed := make(chan error)
			go func() { // ends with the create
				_, err := c.Create(ctx, "/d/n", nil, &client.CreateOptions{Protected: true})
				failed <- err
			}()
			<-f.Struck()
			require.Equal(t, 1, mustCount(t, witness, "/space/d"))
			if ends {
				require.NoError(t, e.Expire(t.Context(), whole))
			} else {
				cancel()
			}
			require.ErrorIs(t, <-failed, client.ErrUnknown)
			cancel()
			f.End()
			time.Sleep(time.Minute)
			require.Zero(t, mustCount(t, witness, "/space/d"))
		})
	}
}

func mustCount(t *testing.T, c *client.Client, dir string) int {
	t.Helper()
	names, _, err := c.Children(t.Context(), dir)
	require.NoError(t, err)
	return len(names)
}

// Nodes without an ACL of their own get the one of their place, and so do the parents made on the way.
func TestACLFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		mustCreate(t, e.Connect(t), "/top", nil)
		open, closed := client.WorldACL(client.PermAll), client.WorldACL(client.PermRead|client.PermCreate|client.PermDelete)
		whole, err := client.Connect(ctx, e.ConnectString()+"/top", &client.Options{Dialer: e.Dial, ACLFor: func(path string) []client.ACL {
			if path == "/space/dir" || path == "/space/dir/n-" || path == "/space/m" {
				return closed
			}
			return nil
		}})
		require.NoError(t, err)
		defer whole.Close()
		c, err := whole.Sub("/space")
		require.NoError(t, err)
		made, err := c.Create(ctx, "/dir/n-", nil, &client.CreateOptions{Mode: client.PersistentSequential, Parents: client.PersistentParents})
		require.NoError(t, err)
		own, err := c.Create(ctx, "/dir/own", nil, &client.CreateOptions{ACL: open})
		require.NoError(t, err)
		_, err = c.Multi(ctx, client.CreateOp("/m", nil, nil), client.CreateOp("/o", nil, nil))
		require.NoError(t, err)
		for path, want := range map[string][]client.ACL{"/": open, "/dir": closed, made: closed, own: open, "/m": closed, "/o": open} {
			acl, _, err := c.ACL(ctx, path)
			require.NoError(t, err)
			require.Equal(t, want, acl, path)
		}
	})
}

// Every write is asked about, and what is refused is not sent.
func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		var asked []string
		refuse, refused := "", errors.New("not here")
		whole, err := client.Connect(ctx, e.ConnectString(), &client.Options{Dialer: e.Dial, Auth: []client.Auth{ann}, Check: func(i client.Intent) error {
			require.Equal(t, []string{"digest:ann"}, i.Identities, "and not its password")
			asked = append(asked, fmt.Sprintf("%s %s %q mode %d, %d ACL, version %d, watch %v", i.Op, i.Path, i.Data, i.Mode, len(i.ACL), i.Version, i.Watch))
			if i.Path == refuse {
				return refused
			}
			return nil
		}})
		require.NoError(t, err)
		defer whole.Close()
		c, err := whole.Sub("/s")
		require.NoError(t, err)

		_, err = c.Create(ctx, "/d/n-", []byte("x"), &client.CreateOptions{Mode: client.EphemeralSequential, Protected: true, Parents: client.ContainerParents})
		require.NoError(t, err)
		_, err = c.Create(ctx, "/n", nil, nil)
		require.NoError(t, err)
		_, err = c.Set(ctx, "/n", []byte("y"), 0)
		require.NoError(t, err)
		_, err = c.SetACL(ctx, "/n", client.WorldACL(client.PermAll), 0)
		require.NoError(t, err)
		_, err = c.Multi(ctx, client.CheckOp("/n", 1), client.SetOp("/n", []byte("z"), 1), client.CreateOp("/m", nil, nil), client.DeleteOp("/m", 0))
		require.NoError(t, err)
		_, _, _, err = c.GetW(ctx, "/n")
		require.NoError(t, err)
		_, _, err = c.Get(ctx, "/n")
		require.NoError(t, err)
		require.NoError(t, c.Delete(ctx, "/n", 2))
		require.Equal(t, []string{
			`create /s/d/n- "x" mode 3, 1 ACL, version 0, watch false`,
			`create /s/d "" mode 4, 1 ACL, version 0, watch false`,
			`create /s "" mode 4, 1 ACL, version 0, watch false`,
			`create /s/n "" mode 0, 1 ACL, version 0, watch false`,
			`set /s/n "y" mode 0, 0 ACL, version 0, watch false`,
			`setacl /s/n "" mode 0, 1 ACL, version 0, watch false`,
			`check /s/n "" mode 0, 0 ACL, version 1, watch false`,
			`set /s/n "z" mode 0, 0 ACL, version 1, watch false`,
			`create /s/m "" mode 0, 1 ACL, version 0, watch false`,
			`delete /s/m "" mode 0, 0 ACL, version 0, watch false`,
			`getw /s/n "" mode 0, 0 ACL, version 0, watch true`,
			`delete /s/n "" mode 0, 0 ACL, version 2, watch false`,
		}, asked)

		mustCreate(t, c, "/kept", nil)
		seen := e.Record()
		defer seen.Stop()
		refuse = "/s/kept"
		for name, do := range map[string]func() error{
			"create": func() error { _, err := c.Create(ctx, "/kept", nil, nil); return err },
			"protected": func() error {
				_, err := c.Create(ctx, "/kept", nil, &client.CreateOptions{Protected: true})
				return err
			},
			"set":    func() error { _, err := c.Set(ctx, "/kept", nil, 0); return err },
			"setacl": func() error { _, err := c.SetACL(ctx, "/kept", client.WorldACL(1), 0); return err },
			"delete": func() error { return c.Delete(ctx, "/kept", 0) },
			"multi": func() error {
				_, err := c.Multi(ctx, client.CreateOp("/x", nil, nil), client.DeleteOp("/kept", 0))
				return err
			},
			"once":  func() error { _, err := c.MultiOnce(ctx, "/m", client.DeleteOp("/kept", 0)); return err },
			"tree":  func() error { _, err := c.DeleteTree(ctx, "/kept", nil); return err },
			"watch": func() error { _, _, _, err := c.ExistsW(ctx, "/kept"); return err },
		} {
			err := do()
			require.ErrorIs(t, err, refused, name)
			require.NotErrorIs(t, err, client.ErrUnknown, name)
			var e *client.Error
			require.ErrorAs(t, err, &e, name)
			require.Equal(t, "/kept", e.Path, name)
		}
		refuse = "/s"
		for _, op := range seen.Operations(ensembletest.Match{}) {
			require.Contains(t, []string{"exists", "getChildren2"}, op.Op, "no write was sent, and no read with a watch")
			require.False(t, op.Watch)
		}
		_, there, err := c.Exists(ctx, "/kept")
		require.NoError(t, err)
		require.True(t, there)
	})
}

// An op tells what it is to those who compare transactions, in the words of Options.Check.
func TestIntent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		reading := client.WorldACL(client.PermRead)
		whole, err := client.Connect(ctx, e.ConnectString()+"/top", &client.Options{Dialer: e.Dial, Auth: []client.Auth{ann},
			ACLFor: func(path string) []client.ACL {
				if path == "/s/public" {
					return reading
				}
				return nil
			},
			Check: func(client.Intent) error { return errors.New("nobody is asked") },
		})
		require.NoError(t, err)
		defer whole.Close()
		c, err := whole.Sub("/s")
		require.NoError(t, err)
		who, all := []string{"digest:ann"}, client.WorldACL(client.PermAll)
		for _, tt := range []struct {
			op   client.Op
			want client.Intent
		}{
			{client.CreateOp("/n", []byte("x"), nil), client.Intent{Op: "create", Path: "/s/n", Data: []byte("x"), ACL: all}},
			{client.CreateOp("/public", nil, &client.CreateOptions{Mode: client.EphemeralSequential}),
				client.Intent{Op: "create", Path: "/s/public", Mode: client.EphemeralSequential, ACL: reading}},
			{client.CreateOp("/public", nil, &client.CreateOptions{ACL: all}), client.Intent{Op: "create", Path: "/s/public", ACL: all}},
			{client.SetOp("/n", []byte("y"), 7), client.Intent{Op: "set", Path: "/s/n", Data: []byte("y"), Version: 7}},
			{client.DeleteOp("/n", client.AnyVersion), client.Intent{Op: "delete", Path: "/s/n", Version: -1}},
			{client.CheckOp("/", 0), client.Intent{Op: "check", Path: "/s"}},
		} {
			got, err := c.Intent(tt.op)
			require.NoError(t, err)
			tt.want.Identities = who
			require.Equal(t, tt.want, got)
		}
		for _, op := range []client.Op{{}, client.SetOp("n", nil, 0)} {
			_, err = c.Intent(op)
			require.ErrorIs(t, err, client.ErrInvalidPath)
		}
		_, err = c.Intent(client.CreateOp("/n", nil, &client.CreateOptions{Mode: client.Container}))
		require.ErrorIs(t, err, client.ErrBadArguments)
	})
}
