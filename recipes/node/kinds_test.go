package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/node"
)

func mustChildren(t *testing.T, c *client.Client, dir string) []string {
	t.Helper()
	require.NoError(t, c.Sync(t.Context(), dir))
	names, _, err := c.Children(t.Context(), dir)
	if errors.Is(err, client.ErrNoNode) {
		return nil
	}
	require.NoError(t, err)
	return names
}

func TestOneKindOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.Start(t, 1, nil).Connect(t)
		for _, opts := range []*node.Options{
			{TTL: time.Minute, Persistent: true}, {Persistent: true, Sequential: true}, {TTL: time.Minute, Sequential: true},
		} {
			_, err := node.Keep(t.Context(), c, path, nil, opts)
			require.ErrorIs(t, err, client.ErrBadArguments)
		}
	})
}

// A sequential node is made once, whatever answer is lost, has its name for good, and goes.
func TestSequential(t *testing.T) {
	for name, match := range map[string]proxy.Match{
		"quiet": proxy.Event("/nowhere"), "request": proxy.Request(proxy.OpCreate, ""), "reply": proxy.Reply(proxy.OpCreate, ""),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := ensembletest.Start(t, 1, nil)
				c, other := e.Connect(t), e.Connect(t)
				e.Proxy(c).Lose(match.Times(2))
				n := mustKeep(t, c, "one", &node.Options{Sequential: true})
				made := n.Path()
				require.Regexp(t, `^/services/mail/_c_[0-9a-f-]{36}-1\d{10}$`, made)
				mustBe := func(want string) {
					t.Helper()
					names := mustChildren(t, other, "/services/mail")
					require.Equal(t, []string{made[strings.LastIndexByte(made, '/')+1:]}, names)
					data, stat, err := other.Get(t.Context(), made)
					require.NoError(t, err)
					require.Equal(t, want, string(data))
					require.Equal(t, c.Session().ID(), stat.EphemeralOwner)
				}
				mustBe("one")
				require.NoError(t, n.Set(t.Context(), []byte("two")))
				mustBe("two")
				require.NoError(t, other.Delete(t.Context(), made, client.AnyVersion))
				time.Sleep(time.Second)
				mustBe("two")
				require.NoError(t, e.Expire(t.Context(), c))
				time.Sleep(5 * time.Second)
				mustBe("two")
				require.Equal(t, made, n.Path())
				require.NoError(t, n.Close(t.Context()))
				require.Empty(t, mustChildren(t, other, "/services/mail"))
			})
		})
	}
}

// A sequential node that never came about leaves nothing behind.
func TestSequentialIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		f := e.Proxy(c).Freeze(proxy.Reply(proxy.OpCreate, "").Always())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := node.Keep(ctx, c, path, nil, &node.Options{Sequential: true})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		f.End()
		time.Sleep(time.Minute)
		require.Empty(t, mustChildren(t, other, "/services/mail"))
	})
}

// A persistent node outlives its sessions, is put right, and goes with Close, which says so if it cannot.
func TestPersistent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		opts := &node.Options{Persistent: true}
		n := mustKeep(t, c, "one", opts)
		states := watch(t, other)
		require.Equal(t, []string{"one true"}, states.since())
		require.NoError(t, e.Expire(ctx, c))
		time.Sleep(5 * time.Second)
		require.Empty(t, states.since())
		_, stat := look(t, other)
		require.Zero(t, stat.EphemeralOwner)
		require.NoError(t, other.Delete(ctx, path, client.AnyVersion))
		told := states.since()
		require.Equal(t, "one true", told[len(told)-1])
		require.NoError(t, n.Close(ctx))
		data, _ := look(t, other)
		require.Empty(t, data)

		left := mustKeep(t, c, "left", &node.Options{Persistent: true, Leave: true})
		require.NoError(t, left.Close(ctx))
		<-left.Done()
		data, _ = look(t, other)
		require.Equal(t, "left", data)
		n = mustKeep(t, c, "again", opts)
		require.NoError(t, c.Close())
		require.ErrorIs(t, n.Close(ctx), client.ErrClosed, "it stays")
		data, _ = look(t, other)
		require.Equal(t, "again", data)
	})
}

// Who comes last and believes that the node is its own former one has it; who had it waits.
func TestSuccession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		opts := &node.Options{Succeeds: func(data []byte) bool { return string(data) == "same" }}
		theirs := mustKeep(t, other, "same", opts)
		states := watch(t, e.Connect(t))
		require.Equal(t, []string{"same true"}, states.since())
		ours := mustKeep(t, c, "same", opts)
		require.NotContains(t, states.since(), " false", "it was never missing")
		time.Sleep(time.Minute)
		_, stat := look(t, c)
		require.Equal(t, c.Session().ID(), stat.EphemeralOwner)
		require.ErrorIs(t, theirs.Status().Err, node.ErrTaken)
		require.NoError(t, ours.Set(t.Context(), []byte("different")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := node.Keep(ctx, e.Connect(t), path, nil, opts)
		require.ErrorIs(t, err, node.ErrTaken)
		require.NoError(t, ours.Close(t.Context()))
		time.Sleep(time.Second)
		data, stat := look(t, c)
		require.Equal(t, "same", data)
		require.Equal(t, other.Session().ID(), stat.EphemeralOwner)
		require.NoError(t, theirs.Close(t.Context()))
	})
}

// Who does not wait is told later.
func TestBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		theirs := mustKeep(t, other, "theirs", nil)
		_, err := node.Begin(ctx, c, path, nil, &node.Options{TTL: 1})
		require.ErrorIs(t, err, client.ErrBadArguments)
		n, err := node.Begin(ctx, c, path, []byte("ours"), nil)
		require.NoError(t, err)
		bounded, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		err = n.Await(bounded)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, node.ErrTaken)
		require.NoError(t, theirs.Close(ctx))
		require.NoError(t, n.Await(ctx))
		data, _ := look(t, other)
		require.Equal(t, "ours", data)
		require.NoError(t, n.Close(ctx))
		<-n.Done()
		given, err := node.Begin(ctx, c, path, nil, nil)
		require.NoError(t, err)
		require.NoError(t, given.Close(ctx))
		require.ErrorIs(t, given.Await(ctx), node.ErrClosed)
	})
}

// Two who share a persistent node and want different data do not keep the servers busy.
func TestTwoOpinionsOfOneNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		opts := &node.Options{Persistent: true}
		one, other := mustKeep(t, e.Connect(t), "one", opts), mustKeep(t, e.Connect(t), "other", opts)
		time.Sleep(time.Minute)
		_, stat := look(t, e.Connect(t))
		require.Less(t, stat.Version, int32(60))
		require.NoError(t, one.Set(t.Context(), []byte("the same")))
		require.NoError(t, other.Set(t.Context(), []byte("the same")), "without waiting for the pause to end")
		_, stat = look(t, e.Connect(t))
		time.Sleep(time.Minute)
		_, now := look(t, e.Connect(t))
		require.Equal(t, stat, now)
		require.NoError(t, one.Close(t.Context()))
		require.NoError(t, other.Close(t.Context()))
	})
}
