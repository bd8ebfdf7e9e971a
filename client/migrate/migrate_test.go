package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/migrate"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

const lockPath = "/locks"

// counting is a set whose migrations each make a node of a new name, in a directory that the first one makes: done twice, it shows.
func counting(n int) migrate.Set {
	set := migrate.Set{ID: "main"}
	for i := range n {
		ops := []client.Op{client.CreateOp("/n/done-", fmt.Append(nil, i), &client.CreateOptions{Mode: client.PersistentSequential})}
		if i == 0 {
			ops = append([]client.Op{client.CreateOp("/n", nil, nil)}, ops...)
		}
		set.Migrations = append(set.Migrations, migrate.Migration{Name: fmt.Sprint("m", i), Ops: ops})
	}
	return set
}

func names(from, to int) (names []string) {
	for i := from; i < to; i++ {
		names = append(names, fmt.Sprint("m", i))
	}
	return names
}

// below are the children of a directory, as the leader has them.
func below(e *ensembletest.Ensemble, dir string) map[string]string {
	synctest.Wait()
	children := make(map[string]string)
	for path, node := range e.Leader().Tree() {
		if name, ok := strings.CutPrefix(path, dir+"/"); ok && !strings.Contains(name, "/") {
			children[name] = string(node.Data)
		}
	}
	return children
}

func mustHaveDone(t *testing.T, e *ensembletest.Ensemble, n int) {
	t.Helper()
	want := make(map[string]string)
	for i := range n {
		want[fmt.Sprintf("done-%010d", i)] = fmt.Sprint(i)
	}
	require.Equal(t, want, below(e, "/n"))
	records := below(e, "/meta/main")
	require.Len(t, records, n)
	for i := range n {
		require.Len(t, records[fmt.Sprintf("meta-%010d", i)], 32)
	}
	require.Empty(t, below(e, lockPath), "nothing is left where Curator locks")
}

func TestApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		apply := func(n int, opts *migrate.Options) []string {
			t.Helper()
			applied, err := migrate.Apply(ctx, c, "/meta", counting(n), opts)
			require.NoError(t, err)
			return applied
		}
		require.Empty(t, apply(0, nil))
		require.Equal(t, names(0, 3), apply(3, &migrate.Options{DryRun: true}))
		require.Empty(t, below(e, "/meta"), "a dry run changes nothing")
		require.Equal(t, names(0, 3), apply(3, nil))
		mustHaveDone(t, e, 3)
		require.Empty(t, apply(3, nil))
		require.Equal(t, names(3, 5), apply(5, &migrate.Options{DryRun: true}))
		require.Equal(t, names(3, 5), apply(5, &migrate.Options{LockPath: lockPath}))
		mustHaveDone(t, e, 5)
		require.Empty(t, apply(5, &migrate.Options{DryRun: true}))
	})
}

func TestApplyTellsWhatIsWrongWithASet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.Start(t, 1, nil).Connect(t)
		_, err := migrate.Apply(t.Context(), c, "/meta", migrate.Set{ID: "a/b", Migrations: []migrate.Migration{
			{Ops: []client.Op{}},
			{Name: "twice", Ops: []client.Op{}},
			{Name: "twice", Func: func() []client.Op { return nil }},
			{Name: "both", Ops: []client.Op{}, Func: func() []client.Op { return nil }},
			{Name: "neither"},
			{Name: "paths", Ops: []client.Op{client.DeleteOp("a", 0), client.SetOp("/ok", nil, 0), client.CheckOp("/a//b", 0)}},
		}}, nil)
		for _, want := range []string{`"a/b"`, "migration 0 has no name", "migration 2", "migration 3 both", "migration 4 neither", `"a"`, `"/a//b"`} {
			require.ErrorContains(t, err, want)
		}
		require.ErrorIs(t, err, client.ErrInvalidPath)
		var e *migrate.Error
		require.ErrorAs(t, err, &e)
		_, err = migrate.Apply(t.Context(), c, "meta", counting(1), nil)
		require.ErrorIs(t, err, client.ErrInvalidPath)
		_, err = migrate.Apply(t.Context(), c, "/meta", counting(1), &migrate.Options{LockPath: "locks"})
		require.ErrorIs(t, err, client.ErrInvalidPath)
	})
}

// Whatever is not what was applied is a mismatch, and nothing happens then.
func TestMismatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		_, err := migrate.Apply(ctx, c, "/meta", counting(3), nil)
		require.NoError(t, err)

		changed, moved, other := counting(5), counting(5), counting(5)
		changed.Migrations[1].Ops = []client.Op{client.DeleteOp("/n", 0)}
		moved.Migrations[1], moved.Migrations[2] = moved.Migrations[2], moved.Migrations[1]
		other.Migrations[2].Func, other.Migrations[2].Ops = func() []client.Op {
			return []client.Op{client.CreateOp("/n/done-", []byte("2"), nil)}
		}, nil
		for name, set := range map[string]migrate.Set{"m1": changed, "m2": moved, "": counting(2)} {
			for _, dry := range []bool{true, false} {
				applied, err := migrate.Apply(ctx, c, "/meta", set, &migrate.Options{DryRun: dry})
				require.ErrorIs(t, err, migrate.ErrMismatch, name)
				require.NotErrorIs(t, err, client.ErrUnknown)
				require.Empty(t, applied)
				var of *migrate.Error
				require.ErrorAs(t, err, &of)
				if set.Migrations[1].Name == "m1" {
					require.Equal(t, name, of.Migration)
				}
			}
		}
		_, err = migrate.Apply(ctx, c, "/meta", other, nil)
		require.ErrorIs(t, err, migrate.ErrMismatch)
		mustHaveDone(t, e, 3)

		// A record that was taken back is done again, behind the numbers that were given.
		require.NoError(t, c.Delete(ctx, "/meta/main/meta-0000000002", 0))
		applied, err := migrate.Apply(ctx, c, "/meta", counting(4), nil)
		require.NoError(t, err)
		require.Equal(t, names(2, 4), applied)
		require.Len(t, below(e, "/meta/main"), 4)
		require.Contains(t, below(e, "/meta/main"), "meta-0000000004")
	})
}

// A refused migration is not done, what was before it is, and the next Apply goes on from there.
func TestApplyResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		set := counting(4)
		set.Migrations[2].Ops = append(set.Migrations[2].Ops, client.CheckOp("/permit", 0))
		applied, err := migrate.Apply(ctx, c, "/meta", set, &migrate.Options{LockPath: lockPath})
		require.Equal(t, names(0, 2), applied)
		require.ErrorIs(t, err, client.ErrNoNode)
		require.NotErrorIs(t, err, client.ErrUnknown)
		var of *migrate.Error
		require.ErrorAs(t, err, &of)
		require.Equal(t, "m2", of.Migration)
		require.ErrorContains(t, err, "/permit")
		mustHaveDone(t, e, 2)

		_, err = c.Create(ctx, "/permit", nil, nil)
		require.NoError(t, err)
		applied, err = migrate.Apply(ctx, c, "/meta", set, nil)
		require.NoError(t, err)
		require.Equal(t, names(2, 4), applied)
		mustHaveDone(t, e, 4)
	})
}

// Each request, and each reply, is lost once, with the connection, and the next two; nothing is done twice, and all is reported.
func TestApplyWithLostReplies(t *testing.T) {
	for _, frame := range []string{"request", "reply", "cut"} {
		struck := 0
		for skip := 0; ; skip++ {
			hit := false
			synctest.Test(t, func(t *testing.T) {
				e := ensembletest.Start(t, 1, nil)
				c := e.Connect(t)
				var f *proxy.Fault
				switch frame {
				case "request":
					f = e.Proxy(c).Lose(proxy.Request(proxy.OpAny, "").Skip(skip).Times(1 + skip%3))
				case "reply":
					f = e.Proxy(c).Lose(proxy.Reply(proxy.OpAny, "").Skip(skip).Times(1 + skip%3))
				default:
					f = e.Proxy(c).Cut(proxy.Request(proxy.OpAny, "").Skip(skip).Times(1 + skip%3))
				}
				applied, err := migrate.Apply(t.Context(), c, "/meta", counting(3), &migrate.Options{LockPath: lockPath})
				require.NoError(t, err, "%s %d", frame, skip)
				require.Equal(t, names(0, 3), applied, "%s %d", frame, skip)
				hit = f.Strikes() > 0
				mustHaveDone(t, e, 3)
			})
			if !hit || t.Failed() {
				break
			}
			struck++
		}
		require.Greater(t, struck, 12, frame)
	}
}

// The session ends while the reply is lost: the next one finds out.
func TestApplyInTheNextSession(t *testing.T) {
	for _, m := range []proxy.Match{proxy.Request(proxy.OpMulti, "").Skip(1), proxy.Reply(proxy.OpMulti, "").Skip(1)} {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 3, nil)
			c := e.Connect(t)
			f := e.Proxy(c).Swallow(m)
			ended := make(chan error)
			go func() { // ends when the session has, which this test's end waits for
				<-f.Struck()
				time.Sleep(time.Second)
				ended <- e.Expire(t.Context(), c)
			}()
			applied, err := migrate.Apply(t.Context(), c, "/meta", counting(3), nil)
			require.NoError(t, err)
			require.NoError(t, <-ended)
			require.Equal(t, names(0, 3), applied)
			require.Equal(t, 2, c.Session().Generation())
			mustHaveDone(t, e, 3)
		})
	}
}

// A runner that may not look again says that it does not know; the next one does.
func TestApplyCancelled(t *testing.T) {
	for reply, done := range map[string]int{"multi": 2, "sync": 0} {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 1, nil)
			c := e.Connect(t)
			m := proxy.Reply(proxy.OpMulti, "").Skip(1)
			if reply == "sync" {
				m = proxy.Reply(proxy.OpSync, "")
			}
			f := e.Proxy(c).Freeze(m)
			enough := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(enough) })
			applied, err := migrate.Apply(ctx, c, "/meta", counting(3), nil)
			require.ErrorIs(t, err, enough)
			var of *migrate.Error
			require.ErrorAs(t, err, &of)
			if done > 0 {
				require.ErrorIs(t, err, client.ErrUnknown)
				require.Equal(t, "m1", of.Migration)
				require.Equal(t, names(0, 1), applied)
			} else {
				require.NotErrorIs(t, err, client.ErrUnknown)
				require.Empty(t, applied)
			}
			f.End()
			applied, err = migrate.Apply(t.Context(), c, "/meta", counting(3), nil)
			require.NoError(t, err)
			require.Equal(t, names(done, 3), applied)
			mustHaveDone(t, e, 3)
		})
	}
}

// That a request has not happened is known when its own session sees nothing of it; of an earlier session's nobody knows, until the next
// transaction, which wants the same name.
func TestApplyKnowsOnlyItsSession(t *testing.T) {
	for _, expires := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 1, nil)
			c := e.Connect(t)
			lost, ended := e.Proxy(c).Swallow(proxy.Request(proxy.OpMulti, "").Skip(1)), make(chan error, 1)
			go func() { // ends when the session has, or the connection
				<-lost.Struck()
				if expires {
					ended <- e.Expire(t.Context(), c)
				} else {
					e.Drop(c)
					ended <- nil
				}
			}()
			e.Proxy(c).Freeze(proxy.Reply(proxy.OpExists, "").Skip(6).Always()) // three are asked for before each transaction
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			applied, err := migrate.Apply(ctx, c, "/meta", counting(3), &migrate.Options{LockPath: lockPath})
			require.NoError(t, <-ended)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, expires, errors.Is(err, client.ErrUnknown), "%v", err)
			require.Equal(t, names(0, 1), applied)
			mustHaveDone(t, e, 1)
		})
	}
}

// A view whose session ends cannot find out.
func TestApplyInAViewOfASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		f := e.Proxy(c).Swallow(proxy.Reply(proxy.OpMulti, "").Skip(1))
		ended := make(chan error)
		go func() { // ends when the session has, which this test's end waits for
			<-f.Struck()
			ended <- e.Expire(t.Context(), c)
		}()
		applied, err := migrate.Apply(t.Context(), c.Session().Client(), "/meta", counting(3), nil)
		require.ErrorIs(t, err, client.ErrUnknown)
		require.ErrorIs(t, err, client.ErrSessionExpired)
		require.Equal(t, names(0, 1), applied)
		require.NoError(t, <-ended)
		mustHaveDone(t, e, 2)
	})
}

// Two who begin at the same moment, and two of which one commits in the middle of the other, do all migrations once between them.
func TestRunnersRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		const runners, migrations = 5, 12
		var mu sync.Mutex
		count := make(map[string]int)
		var all sync.WaitGroup
		for i := range runners {
			c := e.Connect(t)
			e.DelayClient(c, time.Duration(i%3)*time.Millisecond)
			all.Go(func() {
				applied, err := migrate.Apply(t.Context(), c, "/meta", counting(migrations), &migrate.Options{LockPath: []string{"", lockPath}[i%2]})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, name := range applied {
					count[name]++
				}
			})
		}
		all.Wait()
		require.Len(t, count, migrations)
		for name, n := range count {
			require.Equal(t, 1, n, name)
		}
		mustHaveDone(t, e, migrations)
	})
}

func TestRunnerLosesARace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		slow, fast := e.Connect(t), e.Connect(t)
		f := e.Proxy(slow).Freeze(proxy.Request(proxy.OpMulti, ""))
		var applied []string
		var err error
		var all sync.WaitGroup
		all.Go(func() { applied, err = migrate.Apply(t.Context(), slow, "/meta", counting(3), nil) })
		<-f.Struck()
		first, fastErr := migrate.Apply(t.Context(), fast, "/meta", counting(2), nil)
		require.NoError(t, fastErr)
		require.Equal(t, names(0, 2), first)
		f.End()
		all.Wait()
		require.NoError(t, err)
		require.Equal(t, names(2, 3), applied)
		mustHaveDone(t, e, 3)
	})
}

// While somebody has Curator's lease nothing is applied; one who takes it between the proof and the transaction is noticed, too, wherever
// the lock's directories end.
func TestApplyWaitsForCurator(t *testing.T) {
	lease := func(t *testing.T, c *client.Client) string {
		path, err := c.Create(t.Context(), lockPath+"/main/leases/lease-", nil,
			&client.CreateOptions{Mode: client.EphemeralSequential, Parents: client.ContainerParents})
		require.NoError(t, err)
		return path
	}
	for _, there := range []string{"", lockPath, lockPath + "/main/leases"} {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 1, nil)
			c, curator := e.Connect(t), e.Connect(t)
			if there != "" {
				require.NoError(t, e.Load(t.Context(), map[string]string{there: ""}))
			}
			seen := e.Record()
			defer seen.Stop()
			f := e.Proxy(c).Freeze(proxy.Request(proxy.OpMulti, ""))
			var applied []string
			var err error
			var all sync.WaitGroup
			all.Go(func() {
				applied, err = migrate.Apply(t.Context(), c, "/meta", counting(2), &migrate.Options{LockPath: lockPath})
			})
			<-f.Struck() // the lock was free
			held := lease(t, curator)
			f.End()
			time.Sleep(time.Minute)
			require.Empty(t, below(e, "/n"))
			second := lease(t, curator) // another one stands in line
			require.NoError(t, curator.Delete(t.Context(), held, 0))
			time.Sleep(time.Minute)
			require.Empty(t, below(e, "/n"))

			impatient, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, otherErr := migrate.Apply(impatient, e.Connect(t), "/meta", counting(2), &migrate.Options{LockPath: lockPath})
			require.ErrorIs(t, otherErr, context.DeadlineExceeded)
			require.NotErrorIs(t, otherErr, client.ErrUnknown)

			require.NoError(t, curator.Delete(t.Context(), second, 0))
			all.Wait()
			require.NoError(t, err)
			require.Equal(t, names(0, 2), applied)
			require.Len(t, seen.Operations(ensembletest.Match{Op: "multi"}), 3, "it waits, and does not try")
			require.Equal(t, map[string]string{"leases": ""}, below(e, lockPath+"/main"), "a directory is left that Curator has found")
			require.Empty(t, below(e, lockPath+"/main/leases"))
		})
	}
}

// The directory of the metadata is a container, and may go between two tries.
func TestApplyInAContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		set := migrate.Set{ID: "main", Migrations: []migrate.Migration{{Name: "nothing", Ops: []client.Op{}}}}
		_, err := migrate.Apply(t.Context(), c, "/meta/deep", set, nil)
		require.NoError(t, err)
		require.NoError(t, c.Delete(t.Context(), "/meta/deep/main/meta-0000000000", 0))

		f := e.Proxy(c).Freeze(proxy.Request(proxy.OpMulti, ""))
		var all sync.WaitGroup
		all.Go(func() { _, err = migrate.Apply(t.Context(), c, "/meta/deep", set, nil) })
		<-f.Struck()
		swept, sweepErr := e.Sweep(t.Context())
		require.NoError(t, sweepErr)
		require.NotZero(t, swept)
		f.End()
		all.Wait()
		require.NoError(t, err)
		require.Len(t, below(e, "/meta/deep/main"), 1)
	})
}

// Curator has its namespace in the hash, and so has a view of a directory; a chroot is in neither.
func TestApplyBelowADirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		require.NoError(t, e.Load(t.Context(), map[string]string{"/space": ""}))
		c := e.Connect(t)
		set := func(path string) migrate.Set {
			return migrate.Set{ID: "main", Migrations: []migrate.Migration{{Name: "m", Ops: []client.Op{client.CreateOp(path, nil, nil)}}}}
		}
		sub, err := c.Sub("/space")
		require.NoError(t, err)
		_, err = migrate.Apply(t.Context(), sub, "/meta", set("/n"), &migrate.Options{LockPath: lockPath})
		require.NoError(t, err)
		missing, err := migrate.Apply(t.Context(), c, "/space/meta", set("/space/n"), &migrate.Options{DryRun: true})
		require.NoError(t, err)
		require.Empty(t, missing)
		require.Contains(t, below(e, "/space"), "n")

		rooted, err := client.Connect(t.Context(), e.ConnectString()+"/space", &client.Options{Dialer: e.Dial})
		require.NoError(t, err)
		defer rooted.Close()
		_, err = migrate.Apply(t.Context(), rooted, "/meta", set("/n"), nil)
		require.ErrorIs(t, err, migrate.ErrMismatch)
	})
}
