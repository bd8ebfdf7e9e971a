package queue_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/queue"
)

// waysToFail are what may become of one request: it is lost, its reply is, or the connection breaks behind it.
var waysToFail = map[string]func(p *proxy.Proxy, op proxy.Op, skip int) *proxy.Fault{
	"request": func(p *proxy.Proxy, op proxy.Op, skip int) *proxy.Fault {
		return p.Lose(proxy.Request(op, "").Skip(skip))
	},
	"reply": func(p *proxy.Proxy, op proxy.Op, skip int) *proxy.Fault {
		return p.Lose(proxy.Reply(op, "").Skip(skip))
	},
	"cut": func(p *proxy.Proxy, op proxy.Op, skip int) *proxy.Fault {
		return p.Cut(proxy.Request(op, "").Skip(skip))
	},
}

// Q1, Q2: whatever is lost with one connection, an item is put once, taken, and done once, and all who did so know it.
func TestOneLossAtEachStep(t *testing.T) {
	for way, fail := range waysToFail {
		for _, who := range []int{0, 1} {
			synctest.Test(t, func(t *testing.T) {
				e := ensembletest.Start(t, 1, nil)
				struck := 0
				for _, op := range []proxy.Op{proxy.OpMulti, proxy.OpCreate, proxy.OpGetData, proxy.OpGetChildren, proxy.OpExists, proxy.OpDelete} {
					for skip := range 3 {
						both := []*client.Client{e.Connect(t), e.Connect(t)}
						f := fail(e.Proxy(both[who]), op, skip)
						mustHandOver(t, both[0], both[1], fmt.Sprint(way, who, op, skip))
						struck += f.Strikes()
						f.End()
						require.NoError(t, both[0].Close())
						require.NoError(t, both[1].Close())
						mustBeGone(t, e)
					}
				}
				require.GreaterOrEqual(t, struck, 6, "%s of %d", way, who)
			})
		}
	}
}

// mustHandOver lets one client put three items, and the other do them, each once.
func mustHandOver(t *testing.T, from, to *client.Client, during string) {
	t.Helper()
	in, out := queue.New(from, path, &queue.Options{MaxItems: 3}), queue.New(to, path, nil)
	got := make(chan string)
	go func() { // ends with the third item
		defer close(got)
		for range 3 {
			d := mustTake(t, out)
			if d.Attempt() != 1 {
				t.Errorf("%s: attempt %d", during, d.Attempt())
			}
			got <- string(d.Data())
			if err := d.Ack(t.Context()); err != nil {
				t.Error(during, err)
			}
		}
	}()
	for i := range 3 {
		mustPut(t, in, item("%d", i))
		require.Equal(t, fmt.Sprint(i), <-got, during)
	}
	for range got {
		t.Error("done twice", during)
	}
	_, err := out.TryTake(t.Context())
	require.ErrorIs(t, err, queue.ErrEmpty, during)
}

// Q3: a consumer whose session has ended in the middle of its work, and who does not look, has no effect beside that of the next; and its context has
// ended by itself before the next was given the item, however it was cut off.
func TestTwoAtWork(t *testing.T) {
	for name, cut := range map[string]func(e *ensembletest.Ensemble, c *client.Client, at *ensembletest.Server){
		"client":      func(e *ensembletest.Ensemble, c *client.Client, _ *ensembletest.Server) { e.CutClient(c) },
		"from leader": func(e *ensembletest.Ensemble, _ *client.Client, at *ensembletest.Server) { e.CutFromLeader(at.ID()) },
		"server":      func(e *ensembletest.Ensemble, _ *client.Client, at *ensembletest.Server) { e.Partition([]int{at.ID()}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				e := ensembletest.Start(t, 3, nil)
				at := e.Follower()
				c := at.Connect(t)
				q, other := queue.New(c, path, nil), queue.New(e.Leader().Connect(t), path, nil)
				mustPut(t, other, item("a"), item("b"))
				first := mustTake(t, q)
				time.Sleep(time.Minute)
				cut(e, c, at)
				mustTake(t, other) // b
				second := mustTake(t, other)
				select {
				case <-first.Context().Done():
				default:
					t.Error("it is given to another while it is claimed")
				}
				require.Equal(t, first.Name(), second.Name())
				require.Greater(t, second.Token(), first.Token())
				require.Equal(t, 2, second.Attempt())
				e.Heal()
				_, err := c.AwaitSession(ctx)
				require.NoError(t, err)
				require.ErrorIs(t, first.Ack(ctx, client.CreateOp("/done", nil, nil)), client.ErrSessionExpired)
				require.NoError(t, c.Sync(ctx, path))
				_, err = c.Multi(ctx, append(first.Guard(), client.CreateOp("/done", nil, nil))...)
				require.ErrorIs(t, err, client.ErrBadVersion, "in another session, where the claim stands by the same name")
				require.NoError(t, second.Ack(ctx, client.CreateOp("/done", nil, nil)))
				n, err := other.Len(ctx)
				require.NoError(t, err)
				require.Equal(t, 1, n)
			})
		})
	}
}

// Q5: a consumer whose claim was removed, and who has not heard of it, is told so, and does not finish what another has now, nor take it from him: neither one of ours,
// whose claim has the same name and version, nor one of Curator's, who does not write the item.
func TestFinishWithoutClaim(t *testing.T) {
	for name, finish := range map[string]func(ctx context.Context, d *queue.Delivery) error{
		"ack":     func(ctx context.Context, d *queue.Delivery) error { return d.Ack(ctx) },
		"nack":    func(ctx context.Context, d *queue.Delivery) error { return d.Nack(ctx, 0, nil) },
		"later":   func(ctx context.Context, d *queue.Delivery) error { return d.Nack(ctx, time.Minute, nil) },
		"release": func(ctx context.Context, d *queue.Delivery) error { return d.Release(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				e := ensembletest.Start(t, 1, nil)
				c, admin := e.Connect(t), e.Connect(t)
				q, other := queue.New(c, path, nil), queue.New(admin, path, nil)
				for _, curators := range []bool{false, true} {
					mustPut(t, other, item("a"))
					first := mustTake(t, q)
					synctest.Wait()
					f := e.Proxy(c).Swallow(proxy.Event(""))
					claim := path + "-claims/" + first.Name()
					require.NoError(t, admin.Delete(ctx, claim, client.AnyVersion))
					if curators {
						_, err := admin.Create(ctx, claim, nil, &client.CreateOptions{Mode: client.Ephemeral})
						require.NoError(t, err)
						require.ErrorIs(t, finish(ctx, first), queue.ErrLost)
						require.NoError(t, admin.Delete(ctx, claim, 0), "it is there")
						f.End()
						require.NoError(t, mustTake(t, other).Ack(ctx))
						continue
					}
					second := mustTake(t, other)
					require.ErrorIs(t, finish(ctx, first), queue.ErrLost)
					f.End()
					synctest.Wait()
					require.NoError(t, second.Context().Err())
					require.NoError(t, second.Ack(ctx))
				}
			})
		})
	}
}

// Q5: what has vanished in the hands of its consumer is not done, whatever he does; nothing of it is left, and he is given the next.
func TestItemVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		q := queue.New(c, path, nil)
		finishes := []func(d *queue.Delivery) error{
			func(d *queue.Delivery) error { return d.Ack(ctx) },
			func(d *queue.Delivery) error { return queue.AckAll(ctx, []*queue.Delivery{d}) },
			func(d *queue.Delivery) error { return d.Nack(ctx, time.Minute, nil) },
			func(d *queue.Delivery) error { return d.Release(ctx) },
		}
		for i, finish := range finishes {
			mustPut(t, q, item("%d", i), item("next"))
			d := mustTake(t, q)
			require.NoError(t, c.Delete(ctx, path+"/"+d.Name(), client.AnyVersion))
			require.ErrorIs(t, finish(d), queue.ErrLost, i)
			names, _, err := c.Children(ctx, path+"-claims")
			require.NoError(t, err)
			require.Empty(t, names)
			next := mustTake(t, q)
			require.Equal(t, "next", string(next.Data()))
			require.NoError(t, next.Ack(ctx))
		}
		require.NoError(t, c.Close())
		mustBeGone(t, e)
	})
}

// Q4: an item keeps its priority however it comes back.
func TestGivenBackWithItsPriority(t *testing.T) {
	ctx := context.Background()
	for name, giveBack := range map[string]func(e *ensembletest.Ensemble, c *client.Client, d *queue.Delivery) error{
		"nack": func(_ *ensembletest.Ensemble, _ *client.Client, d *queue.Delivery) error { return d.Nack(ctx, 0, nil) },
		"later": func(_ *ensembletest.Ensemble, _ *client.Client, d *queue.Delivery) error {
			return d.Nack(ctx, time.Second, nil)
		},
		"release": func(_ *ensembletest.Ensemble, _ *client.Client, d *queue.Delivery) error { return d.Release(ctx) },
		"too long": func(_ *ensembletest.Ensemble, _ *client.Client, d *queue.Delivery) error {
			<-d.Context().Done()
			return nil
		},
		"death": func(e *ensembletest.Ensemble, c *client.Client, _ *queue.Delivery) error { return e.Expire(ctx, c) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := ensembletest.Start(t, 1, nil)
				c := e.Connect(t)
				o := &queue.Options{Order: queue.ByPriority, MaxWork: time.Hour}
				q, other := queue.New(c, path, o), queue.New(e.Connect(t), path, o)
				mustPut(t, q, queue.Item{Priority: 7})
				require.NoError(t, giveBack(e, c, mustTake(t, q)))
				mustPut(t, other, queue.Item{Priority: 9}, queue.Item{Priority: 3}, queue.Item{Priority: -1})
				time.Sleep(time.Minute)
				for _, priority := range []int32{-1, 3, 7, 9} {
					d := mustTake(t, other)
					require.Equal(t, priority, d.Item().Priority)
					require.NoError(t, d.Ack(t.Context()))
				}
			})
		})
	}
}

// Q1: an item of several records is given out again with all of them, and done with all of them.
func TestSeveralRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		q := queue.New(c, path, nil)
		require.NoError(t, q.Make(ctx))
		data := []byte("\x00\x01\x00\x01\x01\x00\x00\x00\x01a\x01\x00\x00\x00\x00\x01\x00\x00\x00\x02bc\x02") // as Curator's putMulti has it
		_, err := c.Create(ctx, path+"/queue-", data, &client.CreateOptions{Mode: client.PersistentSequential})
		require.NoError(t, err)
		for attempt := 1; attempt <= 2; attempt++ {
			d := mustTake(t, q)
			require.Equal(t, attempt, d.Attempt())
			require.Equal(t, [][]byte{[]byte("a"), {}, []byte("bc")}, d.Records())
			require.Equal(t, "a", string(d.Data()))
			require.NoError(t, d.Nack(ctx, 0, nil))
		}
		require.Len(t, mustPop(t, q).Records(), 3)
		require.NoError(t, c.Close())
		mustBeGone(t, e)
	})
}

// Q2: several items that are put at once are there once, and their producer knows it, whatever is lost.
func TestPutSeveralAmongLosses(t *testing.T) {
	for way, fail := range waysToFail {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 1, nil)
			c := e.Connect(t)
			q := queue.New(c, path, nil)
			mustPut(t, q, item("first"))
			f := fail(e.Proxy(c), proxy.OpMulti, 0)
			mustPut(t, q, item("a"), queue.Item{Key: "b"}, item("c"))
			require.Equal(t, 1, f.Strikes(), way)
			n, err := q.Len(t.Context())
			require.NoError(t, err)
			require.Equal(t, 4, n, way)
		})
	}
}

// What one of Curator's consumers has begun is not put among the dead letters, whatever its note says.
func TestNoBurialOfWhatIsClaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, curator := e.Connect(t), e.Connect(t)
		mustPut(t, queue.New(curator, path, nil), item("a"))
		require.NoError(t, mustTake(t, queue.New(curator, path, nil)).Nack(ctx, 0, nil))
		f := e.Proxy(c).Freeze(proxy.Request(proxy.OpMulti, ""))
		got := make(chan error)
		q := queue.New(c, path, &queue.Options{MaxAttempts: 1})
		go func() { // ends with its answer
			_, err := q.TryTake(ctx)
			got <- err
		}()
		<-f.Struck()
		_, err := curator.Create(ctx, path+"-claims/queue-0000000000", nil, &client.CreateOptions{Mode: client.Ephemeral})
		require.NoError(t, err)
		f.End()
		require.ErrorIs(t, <-got, queue.ErrEmpty)
		n, err := q.Len(ctx)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.NoError(t, curator.Delete(ctx, path+"-claims/queue-0000000000", 0))
		_, err = q.TryTake(ctx)
		require.ErrorIs(t, err, queue.ErrEmpty)
		dead, err := q.DeadLetters(ctx)
		require.NoError(t, err)
		require.Len(t, dead, 1)
	})
}

// Who is about to claim an item as it was, when another has had it meanwhile, claims it as it is.
func TestClaimOfWhatHasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		other := queue.New(e.Connect(t), path, nil)
		mustPut(t, other, item("a"))
		f := e.Proxy(c).Freeze(proxy.Request(proxy.OpMulti, ""))
		got := make(chan *queue.Delivery)
		go func() { got <- mustTake(t, queue.New(c, path, nil)) }() // ends with the item
		<-f.Struck()
		require.NoError(t, mustTake(t, other).Nack(ctx, 0, errors.New("no")))
		f.End()
		d := <-got
		require.Equal(t, 2, d.Attempt())
		require.NoError(t, d.Ack(ctx))
	})
}

// What was about to be claimed when the session ended is the next to be taken, and not what stands behind it.
func TestOrderOverSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		q := queue.New(c, path, nil)
		mustPut(t, q, item("a"), item("b"), item("c"))
		f := e.Proxy(c).Freeze(proxy.Request(proxy.OpMulti, ""))
		got := make(chan *queue.Delivery)
		go func() { got <- mustTake(t, q) }() // ends with the item
		<-f.Struck()
		require.NoError(t, e.Expire(t.Context(), c))
		f.End()
		require.Equal(t, "a", string((<-got).Data()))
	})
}

// Many who put at the same moment do not all count on the same room.
func TestNoMoreThanMaxItems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		errs := make(chan error)
		const producers = 8
		for range producers {
			c := e.Connect(t)
			e.Proxy(c).Delay(proxy.Reply(proxy.OpAll, "").Always(), 10*time.Millisecond)
			go func() { errs <- queue.New(c, path, &queue.Options{MaxItems: 3}).Put(ctx, item("x")) }() // ends with its context
		}
		full := 0
		for range producers {
			if err := <-errs; err != nil {
				require.ErrorIs(t, err, queue.ErrFull)
				full++
			}
		}
		require.Equal(t, producers-3, full)
		n, err := queue.New(e.Connect(t), path, nil).Len(t.Context())
		require.NoError(t, err)
		require.Equal(t, 3, n)
	})
}

// Q6: a put that fails is told, and hinders no other.
func TestPutThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		_, err := c.Create(ctx, "/app", nil, nil)
		require.NoError(t, err)
		_, err = c.Create(ctx, path, nil, &client.CreateOptions{ACL: client.WorldACL(client.PermRead | client.PermAdmin)})
		require.NoError(t, err)
		for _, max := range []int{0, 1} {
			q := queue.New(c, path, &queue.Options{MaxItems: max})
			require.ErrorIs(t, q.Put(ctx, item("x")), client.ErrNoAuth)
		}
		_, err = c.SetACL(ctx, path, client.WorldACL(client.PermAll), client.AnyVersion)
		require.NoError(t, err)
		mustPut(t, queue.New(c, path, &queue.Options{MaxItems: 1}), item("x"))
	})
}

// Q7: of those who wait one looks on, and one is woken by an item; and consumers who are at it at the same time seldom want the same.
func TestNoHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		const consumers = 20
		var asked [consumers]atomic.Int32
		type delivered struct {
			who int
			*queue.Delivery
		}
		got := make(chan delivered)
		for i := range consumers {
			c, err := client.Connect(ctx, e.ConnectString(), &client.Options{Dialer: e.Dial, Hooks: client.Hooks{Done: func(client.OperationDone) { asked[i].Add(1) }}})
			require.NoError(t, err)
			defer c.Close()
			go func() { // ends with its item
				got <- delivered{i, mustTake(t, queue.New(c, path, nil))}
			}()
			time.Sleep(time.Second)
		}
		var before [consumers]int32
		for i := range asked {
			before[i] = asked[i].Load()
		}
		mustPut(t, queue.New(e.Connect(t), path, nil), item("x"))
		d := <-got
		synctest.Wait()
		require.NoError(t, d.Ack(ctx))
		synctest.Wait()
		woken := 0
		for i := range asked {
			if i != d.who && asked[i].Load() != before[i] {
				woken++
			}
		}
		require.Equal(t, 1, woken, "the next in line, who looks on now")
		mustPut(t, queue.New(e.Connect(t), path, nil), make([]queue.Item, consumers-1)...)
		for range consumers - 1 {
			<-got
		}
	})
}

// What is given back for later while somebody who is about to wait reads what there is comes to his notice, in whichever order he reads.
func TestGivenBackBeforeWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		q, other := queue.New(c, path, nil), queue.New(e.Connect(t), path, nil)
		for i := range 12 {
			mustPut(t, other, item("x"))
			d := mustTake(t, other)
			late := []string{path, path + "-claims"}[i%2]
			f := e.Proxy(c).Freeze(proxy.Request(proxy.OpGetChildren, late).Skip(1))
			got := make(chan *queue.Delivery)
			go func() { // ends with the item
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				d, err := q.Take(ctx)
				if err != nil {
					t.Error(err)
				}
				got <- d
			}()
			<-f.Struck()
			synctest.Wait()
			require.NoError(t, d.Nack(t.Context(), time.Minute, nil))
			f.End()
			if d = <-got; d == nil {
				return
			}
			require.NoError(t, d.Ack(t.Context()))
		}
	})
}

// Q7: many who take at the same time seldom want the same. What it costs them, beside the three requests of each item, is part of a listing, and what
// they lose to one another.
func TestManyConsumers(t *testing.T) {
	most := map[int]float64{1: 3.3, 4: 4, 16: 5}
	for n := range most {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			var asked atomic.Int64
			e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{Hooks: client.Hooks{
				Done: func(client.OperationDone) { asked.Add(1) },
			}}})
			const items = 480
			in := queue.New(e.Connect(t), path, nil)
			for i := range items / 8 {
				mustPut(t, in, item("%d", i), item(""), item(""), item(""), item(""), item(""), item(""), item(""))
			}
			asked.Store(0)
			var working sync.WaitGroup
			for range n {
				c := e.Connect(t)
				e.DelayClient(c, time.Millisecond)
				q := queue.New(c, path, nil)
				working.Go(func() { // ends when there is nothing left
					for {
						d, err := q.TryTake(ctx)
						if errors.Is(err, queue.ErrEmpty) {
							return
						}
						if err == nil {
							err = d.Ack(ctx)
						}
						if err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			working.Wait()
			each := float64(asked.Load()) / items
			t.Logf("%d consumers: %.2f requests an item", n, each)
			require.Less(t, each, most[n], "%d consumers", n)
			left, err := in.Len(ctx)
			require.NoError(t, err)
			require.Zero(t, left)
		})
	}
}

// A Take whose context ends leaves nothing claimed, whatever was on its way, and has made no attempt.
func TestTakeIsCancelled(t *testing.T) {
	for ms := 1; ms < 55; ms += 3 {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 1, nil)
			c := e.Connect(t)
			q := queue.New(c, path, nil)
			mustPut(t, q, item("x"))
			e.Proxy(c).Delay(proxy.Request(proxy.OpAll, "").Always(), 5*time.Millisecond)
			e.Proxy(c).Delay(proxy.Reply(proxy.OpAll, "").Always(), 5*time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(ms)*time.Millisecond)
			defer cancel()
			d, err := q.Take(ctx)
			if err == nil {
				require.NoError(t, d.Release(t.Context()))
			} else {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.NotErrorIs(t, err, client.ErrUnknown)
			}
			other := e.Connect(t)
			d = mustTake(t, queue.New(other, path, nil))
			require.Equal(t, 1, d.Attempt())
			require.NoError(t, d.Ack(t.Context()))
			require.NoError(t, c.Close())
			require.NoError(t, other.Close())
			mustBeGone(t, e)
		})
	}
}

// Who waits in vain leaves the line, wherever it stands, and the others go on.
func TestWaitIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		q := queue.New(e.Connect(t), path, nil)
		got := make(chan *queue.Delivery)
		for i := range 6 {
			go func() { // ends with its context, or the item
				ctx := t.Context()
				if i < 5 {
					soon, cancel := context.WithTimeout(ctx, time.Duration(1+(i*3)%5)*time.Second)
					defer cancel()
					ctx = soon
				}
				q := q
				if i%2 == 0 {
					q = queue.New(e.Connect(t), path, nil)
				}
				d, err := q.Take(ctx)
				if i < 5 && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(i, err)
				}
				got <- d
			}()
			synctest.Wait()
		}
		for range 5 {
			require.Nil(t, <-got)
		}
		mustPut(t, q, item("x"))
		require.NoError(t, (<-got).Ack(t.Context()))
	})
}

// An Ack whose context ends says that it does not know, and another finds out.
func TestAckIsCancelled(t *testing.T) {
	for _, lose := range []func(proxy.Op, string) proxy.Match{proxy.Request, proxy.Reply} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			e := ensembletest.Start(t, 1, nil)
			c := e.Connect(t)
			q := queue.New(c, path, nil)
			mustPut(t, q, item("x"))
			d := mustTake(t, q)
			f := e.Proxy(c).Freeze(lose(proxy.OpMulti, ""))
			soon, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			require.ErrorIs(t, d.Ack(soon), client.ErrUnknown)
			go func() { // ends with the sleep
				time.Sleep(time.Second)
				f.End()
			}()
			require.NoError(t, d.Ack(ctx))
			require.NoError(t, c.Close())
			mustBeGone(t, e)
		})
	}
}

// A Put, or an Ack, on its way when its session ends, says that it does not know; the key of an item, or an effect, tells.
func TestUnknown(t *testing.T) {
	for _, lose := range []func(proxy.Op, string) proxy.Match{proxy.Request, proxy.Reply} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			e := ensembletest.Start(t, 1, nil)
			c := e.Connect(t)
			q := queue.New(c, path, nil)
			mustPut(t, q, item("x"))
			d := mustTake(t, q)
			errs := make(chan error, 2)
			f := e.Proxy(c).Freeze(lose(proxy.OpMulti, "").Always())
			go func() { errs <- q.Put(ctx, queue.Item{Key: "k"}) }() // end with their sessions
			go func() { errs <- d.Ack(ctx, client.CreateOp("/effect", nil, nil)) }()
			time.Sleep(time.Second)
			e.CutClient(c)
			for range 2 {
				require.ErrorIs(t, <-errs, client.ErrUnknown)
			}
			require.ErrorIs(t, d.Ack(ctx), client.ErrUnknown, "it stays so")
			f.End()
			e.Heal()
			_, err := c.AwaitSession(ctx)
			require.NoError(t, err)
			if err := q.Put(ctx, queue.Item{Key: "k"}); err != nil {
				require.ErrorIs(t, err, queue.ErrDuplicate)
			}
			time.Sleep(time.Minute)
			_, done, err := c.Exists(ctx, "/effect")
			require.NoError(t, err)
			n := 0
			for {
				d, err := q.TryTake(ctx)
				if errors.Is(err, queue.ErrEmpty) {
					break
				}
				require.NoError(t, err)
				require.NoError(t, d.Ack(ctx))
				n++
			}
			require.Equal(t, map[bool]int{true: 1, false: 2}[done], n)
		})
	}
}
