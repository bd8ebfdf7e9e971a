//go:build interop

package integration

import (
	"context"
	"errors"
	"fmt"
	"path"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/process"
)

// Servers of ours and Apache's make one ensemble: it comes up, takes writes through each of its servers, loses its leader twice, and in the
// end all servers hold the same, which Apache's server reads from the directory of each.
func TestMixedEnsembles(t *testing.T) {
	ours, theirs := process.Bellwether, process.Apache39
	for _, c := range []struct {
		name      string
		kinds     []process.Kind
		observers int
		always    bool // in every run, not only in a full one
	}{
		{"TwoOursOneApache", []process.Kind{ours, ours, theirs}, 0, true},
		{"ApacheFirst", []process.Kind{theirs, ours, ours}, 0, false},
		{"OneOursTwoApache", []process.Kind{theirs, theirs, ours}, 0, true},
		{"OursFirst", []process.Kind{ours, theirs, theirs}, 0, false},
		{"OursObserves", []process.Kind{theirs, theirs, ours}, 1, true},
		{"ApacheObserves", []process.Kind{ours, ours, theirs}, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !c.always && !full() {
				return
			}
			if *subject == "apache" { // what the test asks of all
				c.kinds = []process.Kind{theirs, theirs, theirs}
			}
			e := process.StartEnsemble(t, process.Options{Kinds: c.kinds, Observers: c.observers, Flags: []string{fast}, Lines: []string{"extendedTypesEnabled=true"}})
			var rounds int
			everybodyWrites(t, e, &rounds)
			for range 2 {
				leader := e.MustLeader(t)
				t.Logf("server %d of %s leads", leader+1, e.Servers[leader].Kind.Name)
				e.Servers[leader].Kill()
				if len(c.kinds)-c.observers > 2 { // enough are left
					everybodyWrites(t, e, &rounds, leader)
				}
				require.NoError(t, e.Servers[leader].Restart())
				require.NoError(t, e.AwaitServing(t.Context()))
				everybodyWrites(t, e, &rounds)
			}
			mustAgree(t, e, rounds)
		})
	}
}

// everybodyWrites has a client of each server that is up change the tree in most of the ways there are. The first of a client's
// changes may take as long as an election. What belongs to the clients' sessions ends with them.
func everybodyWrites(t *testing.T, e *process.Ensemble, rounds *int, down ...int) {
	t.Helper()
	for i, s := range e.Servers {
		if len(down) > 0 && down[0] == i {
			continue
		}
		*rounds++
		c := reconnecting(t, s.Addr)
		root := fmt.Sprintf("/mixed/%d-%d", *rounds, i+1)
		mustEventually(t, recovery, func(ctx context.Context) error {
			_, err := c.Create(ctx, root, []byte(s.Kind.Name), &bwclient.CreateOptions{Parents: bwclient.PersistentParents})
			if errors.Is(err, bwclient.ErrNodeExists) {
				return nil
			}
			return err
		})
		changeTree(t, c, root)
		_ = c.Close()
	}
}

func changeTree(t *testing.T, c *bwclient.Client, root string) {
	t.Helper()
	ctx := t.Context()
	create := func(name string, mode bwclient.Mode, data string) string {
		t.Helper()
		made, err := c.Create(ctx, path.Join(root, name), []byte(data), &bwclient.CreateOptions{Mode: mode})
		require.NoError(t, err)
		return made
	}
	for i := range 20 {
		made := create("line-", bwclient.PersistentSequential, fmt.Sprint("member ", i))
		if i%3 == 0 {
			require.NoError(t, c.Delete(ctx, made, 0))
		}
	}
	create("plain", bwclient.Persistent, "first")
	for i := range 5 {
		stat, err := c.Set(ctx, path.Join(root, "plain"), fmt.Appendf(nil, "version %d", i+1), int32(i))
		require.NoError(t, err)
		require.EqualValues(t, i+1, stat.Version)
	}
	_, err := c.Set(ctx, path.Join(root, "plain"), nil, 2)
	require.ErrorIs(t, err, bwclient.ErrBadVersion)
	_, err = c.SetACL(ctx, path.Join(root, "plain"), append(bwclient.DigestACL(bwclient.PermAll, "bob", "secret"), bwclient.WorldACL(bwclient.PermRead|bwclient.PermAdmin)...), 0)
	require.NoError(t, err)
	create("alive", bwclient.Ephemeral, "while the session is")
	create("box", bwclient.Container, "")
	create("box/content", bwclient.Persistent, "")
	results, err := c.Multi(ctx, bwclient.CreateOp(path.Join(root, "multi"), []byte("a"), nil), bwclient.SetOp(path.Join(root, "multi"), []byte("b"), 0),
		bwclient.CheckOp(path.Join(root, "plain"), 5), bwclient.DeleteOp(path.Join(root, "box/content"), 0))
	require.NoError(t, err)
	require.Len(t, results, 4)
	_, err = c.Multi(ctx, bwclient.SetOp(path.Join(root, "multi"), []byte("never"), -1), bwclient.CheckOp(path.Join(root, "plain"), 99))
	require.ErrorIs(t, err, bwclient.ErrBadVersion)
}

// A leaf is all that a client can know of a node.
type leaf struct {
	data string
	stat bwclient.Stat
	acl  []bwclient.ACL
}

// mustReadTree is the tree as a server shows it, once it has heard of everything.
func mustReadTree(t *testing.T, addr string) map[string]leaf {
	t.Helper()
	c := reconnecting(t, addr)
	ctx, cancel := context.WithTimeout(t.Context(), recovery)
	defer cancel()
	require.NoError(t, c.Sync(ctx, "/"))
	tree := map[string]leaf{}
	var walk func(node string)
	walk = func(node string) {
		children, _, err := c.Children(ctx, node)
		require.NoError(t, err)
		for _, child := range children {
			at := path.Join(node, child)
			if at == "/zookeeper/config" { // every server writes it anew when it starts, with its own clock
				continue
			}
			data, stat, err := c.Get(ctx, at)
			require.NoError(t, err)
			acl, _, err := c.ACL(ctx, at)
			require.NoError(t, err)
			tree[at] = leaf{string(data), stat, acl}
			walk(at)
		}
	}
	walk("/")
	_ = c.Close() // some servers hang up before they have answered
	return tree
}

// mustAgree requires that all servers show the same tree, and that Apache's server shows it when it is started in the directory of each.
func mustAgree(t *testing.T, e *process.Ensemble, rounds int) {
	t.Helper()
	// Sessions that are over take their nodes with them; the one that stays has one.
	stays, err := bwclient.Connect(t.Context(), e.Addrs(), &bwclient.Options{SessionTimeout: 10 * time.Second})
	require.NoError(t, err)
	defer stays.Close()
	_, err = stays.Create(t.Context(), "/mixed/stays", nil, &bwclient.CreateOptions{Mode: bwclient.Ephemeral})
	require.NoError(t, err)
	want := mustReadTree(t, e.Servers[0].Addr)
	require.Greater(t, len(want), rounds*15)
	require.Contains(t, want, "/mixed/stays")
	for i, s := range e.Servers {
		require.Equal(t, want, mustReadTree(t, s.Addr), "server %d", i+1)
	}
	for i, s := range e.Servers {
		require.True(t, s.Stop(), "server %d does not end when it is asked to", i+1)
	}
	for i := range e.Servers {
		alone := process.Start(t, process.Apache39, []string{fast}, func(_ string, port int) string {
			return process.ServerConfig(e.DataDir(i), port, "extendedTypesEnabled=true")
		})
		require.Equal(t, want, mustReadTree(t, alone.Addr), "Apache in the directory of server %d, which was %s", i+1, e.Servers[i].Kind.Name)
		alone.Stop()
	}
}
