package history_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/history"
)

// work is what a client does all the time: it writes, swaps and reads, deletes now and then, and gives up on what takes longer than
// two seconds.
func work(ctx context.Context, c *history.Client, number int) {
	random := rand.New(rand.NewPCG(uint64(number), 0))
	versions := map[string]int32{}
	for i := 0; ctx.Err() == nil; i++ {
		path := []string{"/n/a", "/n/b"}[random.IntN(2)]
		data := []byte(fmt.Sprintf("%d of %d", i, number))
		once, cancel := context.WithTimeout(ctx, 2*time.Second)
		switch random.IntN(12) {
		case 0:
			_ = c.Delete(once, path, versions[path])
		case 1, 2:
			_, _ = c.Create(once, path, data, nil)
		case 3, 4:
			_, _ = c.Set(once, path, data, client.AnyVersion)
		case 5, 6:
			_, _ = c.Set(once, path, data, versions[path])
		case 7:
			_, _ = c.Multi(once, history.NodeInput{Op: history.NodeCheck, Path: "/n/a", Version: versions["/n/a"]},
				history.NodeInput{Op: history.NodeSet, Path: "/n/b", Data: string(data), Version: client.AnyVersion})
		case 8:
			_, _, _ = c.Exists(once, path)
		default:
			if _, stat, err := c.Get(once, path); err == nil {
				versions[path] = stat.Version
			}
		}
		cancel()
		time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
	}
}

// Five clients work while the leader is killed, while another one does not answer, and while connections break.
func TestLeaderKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		var nodes history.Nodes
		setup := e.Connect(t)
		_, err := setup.Create(t.Context(), "/n", nil, nil)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		var all sync.WaitGroup
		for number := range 5 {
			c := nodes.Client(number, e.Connect(t), "/n")
			all.Go(func() { work(ctx, c, number) }) // ends with ctx
		}
		for _, fault := range []func(){
			func() { e.Leader().Kill() },
			func() { require.NoError(t, e.Servers()[down(e)].Restart(ctx)) },
			func() { e.Drop() },
			func() { e.Partition([]int{e.Leader().ID()}) },
			func() { e.Heal() },
		} {
			time.Sleep(15 * time.Second)
			fault()
		}
		all.Wait()
		told, unknown := 0, 0
		for _, op := range nodes.Operations() {
			if op.Output == nil {
				unknown++
			} else if op.Output.Err == 0 {
				told++
			}
		}
		t.Logf("%d operations done, %d unknown", told, unknown)
		require.Greater(t, told, 500)
		require.Positive(t, unknown)
		require.NoError(t, nodes.Check(nil))
	})
}

// down is the first server that is not running.
func down(e *ensembletest.Ensemble) int {
	for i, s := range e.Servers() {
		if !s.Running() {
			return i
		}
	}
	panic("all run")
}

// What a client does is recorded as what it is, with what it was told.
func TestClientRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		plain := e.Connect(t)
		var nodes history.Nodes
		c := nodes.Client("one", plain, "/a", "/b")
		_, err := c.Create(ctx, "/a", []byte("x"), nil)
		require.NoError(t, err)
		_, err = c.Create(ctx, "/a", nil, nil)
		require.ErrorIs(t, err, client.ErrNodeExists)
		_, err = c.Set(ctx, "/a", []byte("y"), 0)
		require.NoError(t, err)
		_, err = c.Set(ctx, "/a", []byte("z"), 0)
		require.ErrorIs(t, err, client.ErrBadVersion)
		data, _, err := c.Get(ctx, "/a")
		require.NoError(t, err)
		require.Equal(t, "y", string(data))
		_, there, err := c.Exists(ctx, "/b")
		require.NoError(t, err)
		require.False(t, there)
		_, err = c.Multi(ctx, history.NodeInput{Op: history.NodeCheck, Path: "/a", Version: 1},
			history.NodeInput{Op: history.NodeCreate, Path: "/b/c", Data: "c"})
		require.ErrorIs(t, err, client.ErrNoNode)
		results, err := c.Multi(ctx, history.NodeInput{Op: history.NodeCreate, Path: "/b"},
			history.NodeInput{Op: history.NodeSet, Path: "/a", Data: "w", Version: 1})
		require.NoError(t, err)
		require.Equal(t, int32(2), results[1].Stat.Version)
		require.NoError(t, c.Delete(ctx, "/a", 2))
		_, err = c.Create(ctx, "/bb", nil, nil) // on none of its paths
		require.NoError(t, err)
		_, err = c.Multi(ctx, history.NodeInput{Op: history.NodeRead, Path: "/a"})
		require.ErrorIs(t, err, client.ErrBadArguments)
		gone, cancel := context.WithCancel(ctx)
		cancel()
		_, err = c.Set(gone, "/b", nil, client.AnyVersion)
		require.ErrorIs(t, err, context.Canceled)

		var lines []string
		for _, op := range nodes.Operations() {
			require.Equal(t, "one", op.Client)
			lines = append(lines, history.NodeModel().Describe(op.Input, op.Output))
		}
		require.Equal(t, []string{
			`create /a "x" -> done`, `create /a "" -> node already exists`, `set /a "y" if version 0 -> version 1`,
			`set /a "z" if version 0 -> version does not match`, `get /a -> "y", version 1`, `exists /b -> node does not exist`,
			`create /b "" -> done`, `set /a "w" if version 1 -> version 2`, `delete /a if version 2 -> done`,
		}, lines)
		require.NoError(t, nodes.Check(nil))
	})
}

// A write that somebody else has made, behind the recorder's back, is something that no order explains: the recorder is no rubber stamp.
func TestClientIsNotFooled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		plain := ensembletest.Start(t, 1, nil).Connect(t)
		var nodes history.Nodes
		c := nodes.Client(1, plain)
		_, err := c.Create(ctx, "/a", nil, nil)
		require.NoError(t, err)
		_, err = plain.Set(ctx, "/a", []byte("secretly"), client.AnyVersion)
		require.NoError(t, err)
		_, _, err = c.Get(ctx, "/a")
		require.NoError(t, err)
		err = nodes.Check(nil)
		require.ErrorIs(t, err, history.ErrIllegal)
		require.ErrorContains(t, err, `get /a -> "secretly", version 1`)
	})
}

// An answer that is lost leaves open whether the write happened: it is recorded so, and explained either way.
func TestClientLosesAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		lonely, other := e.Connect(t), e.Connect(t)
		var nodes history.Nodes
		a, b := nodes.Client("lonely", lonely), nodes.Client("other", other)
		_, err := a.Create(ctx, "/a", nil, nil)
		require.NoError(t, err)
		e.DelayClient(lonely, time.Second)
		brief, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		_, err = a.Set(brief, "/a", []byte("late"), client.AnyVersion)
		require.ErrorIs(t, err, client.ErrUnknown)
		_, stat, err := b.Get(ctx, "/a")
		require.NoError(t, err)
		require.Zero(t, stat.Version)
		time.Sleep(time.Second)
		data, _, err := b.Get(ctx, "/a")
		require.NoError(t, err)
		require.Equal(t, "late", string(data))
		require.Nil(t, nodes.Operations()[1].Output)
		require.NoError(t, nodes.Check(nil))
	})
}

func TestNodesThatVanishAreNotJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var nodes history.Nodes
		c := nodes.Client(1, ensembletest.Start(t, 1, nil).Connect(t))
		_, err := c.Create(ctx, "/p/s-", nil, &client.CreateOptions{Mode: client.PersistentSequential, Parents: client.PersistentParents})
		require.NoError(t, err)
		err = nodes.Check(nil)
		require.ErrorIs(t, err, history.ErrUndecided)
		require.ErrorContains(t, err, `"/p"`)
		require.NotContains(t, err.Error(), `s-`)
		_, err = c.Create(ctx, "/e", nil, &client.CreateOptions{Mode: client.Ephemeral})
		require.NoError(t, err)
		_, _, err = c.Get(ctx, "/e")
		require.NoError(t, err)
		err = nodes.Check(nil)
		require.ErrorContains(t, err, `"/e"`)
		require.NotErrorIs(t, err, history.ErrIllegal)
	})
}

// A server that hears of everything a second later shows the past; a recorded read does not.
func TestClientReadsThePresent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 3, nil)
		leader, late := e.Leader(), e.Follower()
		plain := late.Connect(t)
		var nodes history.Nodes
		writer, reader := nodes.Client("writer", leader.Connect(t)), nodes.Client("reader", plain)
		_, err := writer.Create(ctx, "/a", nil, nil)
		require.NoError(t, err)
		require.NoError(t, e.WaitCaughtUp(ctx))
		e.Delay(leader.ID(), late.ID(), time.Second)
		_, err = writer.Set(ctx, "/a", []byte("new"), client.AnyVersion)
		require.NoError(t, err)
		data, _, err := plain.Get(ctx, "/a")
		require.NoError(t, err)
		require.Empty(t, data, "the server is behind")
		data, _, err = reader.Get(ctx, "/a")
		require.NoError(t, err)
		require.Equal(t, "new", string(data))
		_, err = writer.Set(ctx, "/a", []byte("newer"), client.AnyVersion)
		require.NoError(t, err)
		stat, _, err := reader.Exists(ctx, "/a")
		require.NoError(t, err)
		require.Equal(t, int32(2), stat.Version)
		require.NoError(t, nodes.Check(nil))
	})
}
