package typed_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/typed"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// values are those of a listing, without their Stats.
func values[T any](l typed.Listing[T]) map[string]T {
	out := make(map[string]T)
	for name, s := range l.Nodes {
		out[name] = s.Value
	}
	return out
}

func TestDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := ensembletest.Start(t, 3, nil).Connect(t)
		d := typed.NewDirectory(c, "/d", &typed.Options[int]{Create: client.CreateOptions{Parents: client.PersistentParents}})
		require.Equal(t, "/d", d.Path())
		names, err := d.Names(ctx)
		require.NoError(t, err)
		require.Empty(t, names)
		l, err := d.List(ctx)
		require.NoError(t, err)
		require.Equal(t, typed.Listing[int]{Nodes: map[string]typed.State[int]{}, Bad: map[string]error{}}, l)

		want := make(map[string]int)
		for _, i := range rand.Perm(50) {
			n := d.Node(fmt.Sprintf("n%02d", i))
			require.NoError(t, n.Create(ctx, i))
			want[n.Name()] = i
		}
		l, err = d.List(ctx)
		require.NoError(t, err)
		require.Equal(t, want, values(l))
		require.Empty(t, l.Bad)
		require.Equal(t, 2, l.Nodes["n42"].Stat.DataLength)
		names, err = d.Names(ctx)
		require.NoError(t, err)
		require.Equal(t, slices.Sorted(maps.Keys(want)), names)

		for _, name := range []string{"", "a/b", "..", "/a"} {
			require.ErrorIs(t, d.Node(name).Create(ctx, 1), client.ErrInvalidPath, name)
		}
		require.NoError(t, typed.NewDirectory[int](c, "/", nil).Node("top").Create(ctx, 1))
	})
}

func TestAdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, &ensembletest.Options{})
		c := e.Connect(t)
		with := func(o client.CreateOptions) *typed.Directory[int] {
			o.Parents = client.PersistentParents
			return typed.NewDirectory(c, "/d", &typed.Options[int]{Create: o})
		}
		n, err := with(client.CreateOptions{}).Add(ctx, "job-", 1)
		require.NoError(t, err)
		require.Equal(t, "/d/job-0000000000", n.Path())
		v, stat, err := n.Get(ctx)
		require.NoError(t, err)
		require.Equal(t, 1, v)
		require.Zero(t, stat.EphemeralOwner)
		n, err = with(client.CreateOptions{Mode: client.Ephemeral}).Add(ctx, "", 2)
		require.NoError(t, err)
		require.Equal(t, "/d/0000000001", n.Path())
		_, stat, err = n.Get(ctx)
		require.NoError(t, err)
		require.Equal(t, c.Session().ID(), stat.EphemeralOwner)
		for _, mode := range []client.Mode{client.Container, client.PersistentSequential} {
			_, err = with(client.CreateOptions{Mode: mode}).Add(ctx, "x", 3)
			require.ErrorIs(t, err, client.ErrBadArguments)
		}

		e.Proxy(c).Lose(proxy.Reply(proxy.OpCreate, ""))
		_, err = with(client.CreateOptions{}).Add(ctx, "job-", 4)
		require.ErrorIs(t, err, client.ErrUnknown)
		e.Proxy(c).Lose(proxy.Reply(proxy.OpCreate, ""))
		n, err = with(client.CreateOptions{Protected: true}).Add(ctx, "job-", 5)
		require.NoError(t, err)
		_, rest, ok := client.ParseProtected(n.Name())
		require.True(t, ok)
		require.Equal(t, "job-0000000003", rest)
		l, err := with(client.CreateOptions{}).List(ctx)
		require.NoError(t, err)
		require.Len(t, l.Nodes, 4)
		require.Equal(t, 5, l.Nodes[n.Name()].Value)
	})
}

// What cannot be decoded or not be read is named, beside what can.
func TestBadNodesDoNotBreakAListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		require.NoError(t, e.Load(ctx, map[string]string{"/d/a": "1", "/d/b": "one", "/d/c": "3", "/d/d": ""}))
		c := e.Connect(t)
		_, err := c.SetACL(ctx, "/d/c", client.WorldACL(client.PermWrite|client.PermAdmin), client.AnyVersion)
		require.NoError(t, err)
		d := typed.NewDirectory[int](c, "/d", nil)
		mustBe := func(l typed.Listing[int]) {
			t.Helper()
			require.Equal(t, map[string]int{"a": 1}, values(l))
			require.Len(t, l.Bad, 3)
			require.ErrorIs(t, l.Bad["b"], typed.ErrDecode)
			require.ErrorContains(t, l.Bad["b"], "/d/b")
			require.ErrorIs(t, l.Bad["c"], client.ErrNoAuth)
			require.ErrorIs(t, l.Bad["d"], typed.ErrDecode)
		}
		l, err := d.List(ctx)
		require.NoError(t, err)
		mustBe(l)
		step := 0
		for l, err := range d.Watch(ctx) {
			require.NoError(t, err)
			switch step++; step {
			case 1:
				mustBe(l)
				_, err = d.Node("b").Set(ctx, 2, client.AnyVersion)
				require.NoError(t, err)
				continue
			case 2:
				require.Equal(t, map[string]int{"a": 1, "b": 2}, values(l))
				require.ErrorIs(t, l.Bad["c"], client.ErrNoAuth)
				_, err = c.SetACL(ctx, "/d/c", client.WorldACL(client.PermAll), client.AnyVersion)
				require.NoError(t, err)
				_, err = d.Node("c").Set(ctx, 4, client.AnyVersion)
				require.NoError(t, err)
				_, err = d.Node("a").Set(ctx, 5, client.AnyVersion)
				require.NoError(t, err)
				continue
			case 3:
				require.Equal(t, map[string]int{"a": 5, "b": 2, "c": 4}, values(l))
				require.Len(t, l.Bad, 1)
			}
			break
		}
		require.Equal(t, 3, step)
	})
}

// A loop over a directory that comes, goes and comes again.
func TestDirectoryWatchWithoutADirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		d := typed.NewDirectory[string](c, "/d", nil)
		create := func(path, data string) {
			_, err := other.Create(t.Context(), path, []byte(data), nil)
			require.NoError(t, err)
		}
		remove := func(paths ...string) {
			for _, path := range paths {
				require.NoError(t, other.Delete(t.Context(), path, client.AnyVersion))
			}
		}
		step := 0
		for l, err := range d.Watch(ctx) {
			if step++; step < 6 {
				require.NoError(t, err)
			}
			switch step {
			case 1:
				require.Empty(t, l.Nodes)
				create("/d", "")
				create("/d/a", `"x"`)
			case 2:
				require.Equal(t, map[string]string{"a": "x"}, values(l))
				remove("/d/a", "/d")
			case 3:
				require.Empty(t, l.Nodes)
				create("/d", "")
				create("/d/b", `"y"`)
			case 4:
				require.Equal(t, map[string]string{"b": "y"}, values(l))
				remove("/d/b")
				create("/d/b", `"z"`) // another node, at the same version
			case 5:
				require.Equal(t, map[string]string{"b": "z"}, values(l))
				cancel(errEnough)
			case 6:
				require.ErrorIs(t, err, errEnough)
			}
		}
		require.Equal(t, 6, step)
	})
}

// Whatever is changed, however fast, and whatever breaks meanwhile: the loop ends up with what there is, and leaves nothing behind.
func TestDirectoryWatchMissesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 3, nil)
		require.NoError(t, e.Load(ctx, map[string]string{"/d": ""}))
		c, other := e.Connect(t), e.Connect(t)
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		want := make(map[string]int)
		written := typed.NewDirectory[int](other, "/d", nil)
		change := func() {
			name := fmt.Sprint("n", r.IntN(20))
			n := written.Node(name)
			switch _, there := want[name]; {
			case !there:
				want[name] = r.Int()
				require.NoError(t, n.Create(ctx, want[name]))
			case r.IntN(3) == 0:
				delete(want, name)
				require.NoError(t, n.Delete(ctx, client.AnyVersion))
			case r.IntN(3) == 0: // another node of that name, at the same version
				want[name] = r.Int()
				require.NoError(t, n.Delete(ctx, client.AnyVersion))
				require.NoError(t, n.Create(ctx, want[name]))
			default:
				want[name] = r.Int()
				_, err := n.Set(ctx, want[name], client.AnyVersion)
				require.NoError(t, err)
			}
		}

		watching, stop := context.WithCancel(ctx)
		seen := make(chan map[string]int, 1)
		loops := 0
		done := make(chan struct{})
		go func() { // ends with stop
			defer close(done)
			for l, err := range typed.NewDirectory[int](c, "/d", nil).Watch(watching) {
				if err != nil {
					if watching.Err() == nil {
						t.Error(err)
					}
					return
				}
				loops++
				select {
				case <-seen:
				default:
				}
				seen <- values(l)
				if r := len(l.Nodes); r%3 == 0 {
					time.Sleep(time.Duration(r) * time.Millisecond) // a slow reader, at times
				}
			}
		}()
		last := map[string]int{}
		for range 60 {
			for range r.IntN(15) {
				change()
			}
			switch r.IntN(8) {
			case 0:
				e.Drop(c)
			case 1:
				require.NoError(t, e.Expire(ctx, c))
			case 2:
				e.Proxy(c).Lose(proxy.Reply(proxy.OpGetData, ""))
			case 3:
				e.CutClient(c)
				change()
				time.Sleep(time.Duration(r.IntN(40)) * time.Second)
				e.Heal()
			}
			time.Sleep(30 * time.Second)
			synctest.Wait()
			select {
			case last = <-seen:
			default: // nothing has changed
			}
			require.Equal(t, want, last)
		}
		require.Greater(t, loops, 40)
		stop()
		<-done
	})
}

// A loop that is left leaves nothing behind, though its client lives on.
func TestDirectoryWatchCanBeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		require.NoError(t, e.Load(t.Context(), map[string]string{"/d/a": "1", "/d/b": "2"}))
		c := e.Connect(t)
		listening := func() bool {
			synctest.Wait()
			var all strings.Builder
			require.NoError(t, pprof.Lookup("goroutine").WriteTo(&all, 1))
			return strings.Contains(all.String(), ".listen.")
		}
		for range typed.NewDirectory[int](c, "/d", nil).Watch(t.Context()) {
			require.True(t, listening())
			break
		}
		require.False(t, listening())
	})
}

// At most so many reads are under way, and all of them end when one ends the listing.
func TestListEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		nodes := make(map[string]string)
		for i := range 100 {
			nodes[fmt.Sprint("/d/", i)] = "1"
		}
		require.NoError(t, e.Load(t.Context(), nodes))
		c := e.Connect(t)
		held := e.Proxy(c).Freeze(proxy.Reply(proxy.OpGetData, "").Always())
		asked := e.Record()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errEnough)
		defer cancel()
		_, err := typed.NewDirectory[int](c, "/d", nil).List(ctx)
		require.ErrorIs(t, err, errEnough)
		require.Len(t, asked.Operations(ensembletest.Match{Op: "getData"}), 16)
		held.End()
	})
}
