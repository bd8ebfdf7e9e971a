package client_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// said runs a loop over a subtree in the background and returns what it has said since the last call, when nothing happens any more.
func said(t *testing.T, ctx context.Context, changes iter.Seq2[client.TreeChange, error]) func() []string {
	var lines []string
	done := make(chan struct{})
	go func() { // ends with ctx
		defer close(done)
		for c, err := range changes {
			switch {
			case err != nil:
				lines = append(lines, "error")
			case c.Kind == client.TreeRemoved, c.Kind == client.TreeCurrent, c.Err != nil:
				lines = append(lines, fmt.Sprint(c.Kind, " ", c.Path))
			default:
				lines = append(lines, fmt.Sprint(c.Kind, " ", c.Path, " ", string(c.Data)))
			}
		}
	}()
	return func() []string {
		time.Sleep(time.Second)
		synctest.Wait()
		out := lines
		lines = nil
		if ctx.Err() != nil {
			<-done
		}
		return out
	}
}

func TestWatchTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		whole, other := e.Connect(t), e.Connect(t)
		mustCreate(t, other, "/s", nil)
		c, err := whole.Sub("/s")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		all := said(t, ctx, c.WatchTree(ctx, "/r", nil))
		top := said(t, ctx, c.WatchTree(ctx, "/r", &client.WatchTreeOptions{Depth: 1}))
		require.Equal(t, []string{"current /r"}, all(), "it need not exist")
		require.Equal(t, []string{"current /r"}, top())

		for _, path := range []string{"/s/r", "/s/r/a", "/s/r/a/x", "/s/r/b"} {
			mustCreate(t, other, path, nil)
		}
		require.ElementsMatch(t, []string{"added /r data", "added /r/a data", "added /r/a/x data", "added /r/b data"}, all())
		require.ElementsMatch(t, []string{"added /r data", "added /r/a data", "added /r/b data"}, top())
		_, err = other.Set(t.Context(), "/s/r/a/x", []byte("new"), 0)
		require.NoError(t, err)
		require.Equal(t, []string{"changed /r/a/x new"}, all())
		require.Empty(t, top())

		// What is missed while cut off is found out, though it looks the same but for its zxid.
		e.CutClient(whole)
		require.NoError(t, other.Delete(t.Context(), "/s/r/b", 0))
		mustCreate(t, other, "/s/r/b", nil)
		gone, err := other.DeleteTree(t.Context(), "/s/r/a", nil)
		require.NoError(t, err)
		require.Len(t, gone, 2)
		old := whole.Session()
		time.Sleep(time.Minute)
		require.Empty(t, all())
		e.Heal()
		_, err = whole.AwaitSession(t.Context())
		require.NoError(t, err)
		require.ErrorIs(t, old.Err(), client.ErrSessionExpired, "in another session")
		lines := all()
		require.Equal(t, "current /r", lines[len(lines)-1])
		require.ElementsMatch(t, []string{"removed /r/b", "added /r/b data", "removed /r/a/x", "removed /r/a", "current /r"}, lines)
		require.ElementsMatch(t, []string{"removed /r/b", "added /r/b data", "removed /r/a", "current /r"}, top())

		// And when the server fails in the same session.
		watching := whole.Session()
		e.Drop(whole)
		require.Equal(t, []string{"current /r"}, all())
		require.Equal(t, []string{"current /r"}, top())
		require.Same(t, watching, whole.Session())

		mustCreate(t, other, "/s/r/c", &client.CreateOptions{ACL: client.WorldACL(client.PermWrite | client.PermAdmin)})
		require.Equal(t, []string{"added /r/c"}, all(), "without what is in it")
		require.Equal(t, []string{"added /r/c"}, top())
		require.NoError(t, other.Delete(t.Context(), "/s/r/c", 0))
		gone, err = other.DeleteTree(t.Context(), "/s/r", nil)
		require.NoError(t, err)
		require.Len(t, gone, 2)
		require.ElementsMatch(t, []string{"removed /r/b", "removed /r/c", "removed /r"}, all())
		require.ElementsMatch(t, []string{"removed /r/b", "removed /r/c", "removed /r"}, top())

		cancel()
		require.Equal(t, []string{"error"}, all())
		require.Equal(t, []string{"error"}, top())
	})
}

// What is read of another session is told when its server has been brought to know what was seen in the one before, and not earlier: also
// what was asked for before that session ended.
func TestWatchTreeDoesNotGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		c, other := e.Connect(t), e.Connect(t)
		mustCreate(t, c, "/r", nil)
		ctx, cancel := context.WithCancel(t.Context())
		all := said(t, ctx, c.WatchTree(ctx, "/r", nil))
		require.Equal(t, []string{"added /r data", "current /r"}, all())

		asked := e.Proxy(c).Freeze(proxy.Reply(proxy.OpGetData, "").Always())
		_, err := other.Set(t.Context(), "/r", []byte("new"), 0)
		require.NoError(t, err)
		require.Empty(t, all(), "the answer is on its way")
		old := c.Session()
		e.CutClient(c)
		<-old.Context().Done()
		asked.End()
		sync := e.Proxy(c).Lose(proxy.Request(proxy.OpSync, "").Always())
		reads := e.Proxy(c).Delay(proxy.Request(proxy.OpGetData, "").Always(), 0)
		e.Heal()
		_, err = c.AwaitSession(t.Context())
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		require.Positive(t, sync.Strikes())
		require.Zero(t, reads.Strikes())
		require.Empty(t, all())
		sync.End()
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"changed /r new", "current /r"}, all())
		cancel()
		require.Equal(t, []string{"error"}, all())
	})
}

func TestWatchTreeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		for _, err := range c.WatchTree(t.Context(), "relative", nil) {
			require.ErrorIs(t, err, client.ErrInvalidPath)
		}
		for _, err := range c.WatchTree(t.Context(), "/", &client.WatchTreeOptions{Depth: -2}) {
			require.ErrorIs(t, err, client.ErrBadArguments)
		}
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		errs := 0
		for change, err := range c.WatchTree(ctx, "/", nil) {
			if err != nil {
				require.ErrorIs(t, err, why)
				errs++
			}
			if change.Kind == client.TreeCurrent {
				cancel(why)
			}
		}
		require.Equal(t, 1, errs)
		for _, err := range c.Session().Client().WatchTree(t.Context(), "/", nil) {
			if err != nil {
				require.ErrorIs(t, err, client.ErrSessionExpired, "a view's loop ends with its session")
				errs++
				continue
			}
			go e.Expire(t.Context(), c) // ends when the session does
		}
		require.Equal(t, 2, errs)
		for _, err := range c.WatchTree(t.Context(), "/", nil) {
			if err != nil {
				require.ErrorIs(t, err, client.ErrClosed)
				errs++
				continue
			}
			go c.Close() // ends when the client has
		}
		require.Equal(t, 3, errs)
	})
}

// A reconnect that meets the only read there is, so that there is no watch which could tell of it, is followed by a TreeCurrent as any other, of a
// time behind it.
func TestWatchTreeOfOneNodeThatIsRead(t *testing.T) {
	for name, stage := range map[string]func(e *ensembletest.Ensemble, c *client.Client) *proxy.Fault{
		"request": func(e *ensembletest.Ensemble, c *client.Client) *proxy.Fault {
			return e.Proxy(c).Lose(proxy.Request(proxy.OpGetData, "/r"))
		},
		"answer": func(e *ensembletest.Ensemble, c *client.Client) *proxy.Fault {
			return e.Proxy(c).Lose(proxy.Reply(proxy.OpGetData, "/r"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := ensembletest.Start(t, 1, nil)
				c, other := e.Connect(t), e.Connect(t)
				mustCreate(t, c, "/r", nil)
				changes := make(chan client.TreeChange, 10)
				go func() { // ends with the test
					for change, err := range c.WatchTree(t.Context(), "/r", &client.WatchTreeOptions{Depth: client.NodeOnly}) {
						if err == nil {
							changes <- change
						}
					}
				}()
				require.Equal(t, client.TreeAdded, (<-changes).Kind)
				require.Equal(t, client.TreeCurrent, (<-changes).Kind)
				session := c.Session()
				for range 3 {
					fault := stage(e, c)
					_, err := other.Set(t.Context(), "/r", []byte(name), client.AnyVersion)
					require.NoError(t, err)
					<-fault.Struck()
					require.Equal(t, client.TreeChanged, (<-changes).Kind)
					time.Sleep(5 * time.Second)
					synctest.Wait()
					require.Len(t, changes, 1)
					current := <-changes
					require.Equal(t, client.TreeCurrent, current.Kind)
					require.WithinRange(t, current.At, time.Now().Add(-6*time.Second), time.Now().Add(-5*time.Second))
				}
				require.Same(t, session, c.Session())
			})
		})
	}
}

// A loop that is left has nothing left over, though the watches it shared stay until they are woken.
func TestWatchTreeShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		mustCreate(t, c, "/r", nil)
		for i := range 50 {
			mustCreate(t, c, fmt.Sprint("/r/", i), nil)
		}
		for range 10 {
			for change, err := range c.WatchTree(t.Context(), "/r", nil) {
				require.NoError(t, err)
				if change.Kind == client.TreeCurrent {
					break
				}
			}
		}
		require.Len(t, e.Watches(), 102, "two for each node, however many watch them")
	})
}

// A queue hands on all that was seen, to whoever is slow, and says how much waits.
func TestQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		mustCreate(t, c, "/n", nil)
		longest := 0
		follow := func(ctx context.Context) iter.Seq2[client.Node, error] { return c.WatchNode(ctx, "/n") }
		var queued, last []int32
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		slow := func(changes iter.Seq2[client.Node, error], versions *[]int32) {
			for node, err := range changes {
				if err != nil {
					return
				}
				*versions = append(*versions, node.Stat.Version)
				time.Sleep(time.Minute)
			}
		}
		done := make(chan struct{}, 2)
		for _, f := range []func(){
			func() { slow(client.Queued(ctx, follow, func(n int) { longest = max(longest, n) }), &queued) },
			func() { slow(follow(ctx), &last) },
		} {
			go func() { f(); done <- struct{}{} }() // ends with ctx
		}
		for range 10 {
			time.Sleep(time.Second)
			_, err := c.Set(t.Context(), "/n", nil, client.AnyVersion)
			require.NoError(t, err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, queued)
		require.Equal(t, []int32{0, 10}, last)
		require.Equal(t, 10, longest)
		cancel()
		<-done
		<-done

		ends := errors.New("the end")
		for _, n := range []int{0, 3} {
			got, failed := 0, error(nil)
			for v, err := range client.Queued(t.Context(), func(context.Context) iter.Seq2[int, error] {
				return func(yield func(int, error) bool) {
					for i := range n {
						yield(i, nil)
					}
					yield(0, ends)
				}
			}, nil) {
				if failed = err; err == nil {
					require.Equal(t, got, v)
					got++
				}
			}
			require.Equal(t, n, got)
			require.ErrorIs(t, failed, ends)
		}
		for range client.Queued(t.Context(), follow, nil) {
			break // and nothing is left
		}
	})
}

// While directories are deleted and made again, with all that is in them, nothing comes twice.
func TestWatchTreeOfDirectoriesMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 8))
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		told := make(map[int64]int) // how often the node of a transaction was added
		removed := 0
		done := make(chan struct{})
		go func() { // ends with ctx
			defer close(done)
			for change, err := range c.WatchTree(ctx, "/r", nil) {
				switch {
				case err != nil:
					return
				case change.Kind == client.TreeAdded:
					told[change.Stat.Czxid]++
				case change.Kind == client.TreeRemoved:
					removed++
				}
			}
		}()
		pause := func() { time.Sleep(time.Duration(r.IntN(3)) * time.Millisecond) }
		e.DelayClient(c, time.Millisecond)
		for range 300 {
			for _, path := range []string{"/r", "/r/a", "/r/b", "/r/b/x"} {
				mustCreate(t, other, path, nil)
				pause()
			}
			for _, path := range []string{"/r/b/x", "/r/b", "/r/a", "/r"} {
				require.NoError(t, other.Delete(ctx, path, client.AnyVersion))
				pause()
			}
		}
		time.Sleep(time.Second)
		cancel()
		<-done
		require.Greater(t, len(told), 300)
		for czxid, times := range told {
			require.Equal(t, 1, times, "0x%x", czxid)
		}
		require.Equal(t, len(told), removed)
	})
}
