package ticket_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() { // as the race detector is run
		*faultRuns = min(*faultRuns, 1)
	}
	goleak.VerifyTestMain(m)
}

const dir, marker = "/lines/one", "spot-"

func startServer(t *testing.T) *ensembletest.Ensemble {
	t.Helper()
	return ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second}})
}

func connect(t *testing.T, e *ensembletest.Ensemble) (*client.Client, *way) {
	t.Helper()
	c := e.Connect(t)
	return c, &way{p: e.Proxy(c)}
}

// A way is that from a client to its server.
type way struct {
	p    *proxy.Proxy
	down *proxy.Fault
}

// cut ends the connection and lets no other be made, until plug.
func (w *way) cut() {
	w.down = w.p.Lose(proxy.Request(proxy.OpConnect, "").Always())
	w.p.Drop()
}

func (w *way) plug() { w.down.End() }

func mustTake(t *testing.T, c *client.Client, opts *ticket.Options) *ticket.Ticket {
	t.Helper()
	tk, err := ticket.Take(t.Context(), c, dir, marker, opts)
	require.NoError(t, err)
	return tk
}

func mustLine(t *testing.T, c *client.Client, want ...*ticket.Ticket) {
	t.Helper()
	line, err := ticket.Line(t.Context(), c, dir, marker)
	require.NoError(t, err)
	var places []ticket.Place
	for _, tk := range want {
		places = append(places, tk.Place())
	}
	require.Equal(t, places, line)
}

func TestLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		srv := startServer(t)
		c, _ := connect(t, srv)
		other, _ := connect(t, srv)
		line, err := ticket.Line(ctx, c, dir, marker)
		require.NoError(t, err)
		require.Empty(t, line)

		a := mustTake(t, c, &ticket.Options{Data: []byte("a")})
		b := mustTake(t, other, nil)
		d := mustTake(t, c, nil)
		mustLine(t, c, a, b, d)
		require.Regexp(t, "^"+dir+"/_c_[0-9a-f-]{36}-spot-0000000000$", a.Path())
		data, stat, err := c.Get(ctx, a.Path())
		require.NoError(t, err)
		require.Equal(t, "a", string(data))
		require.Equal(t, c.Session().ID(), stat.EphemeralOwner)
		require.Equal(t, stat.Czxid, a.Token())
		require.Less(t, a.Token(), b.Token())
		require.Less(t, b.Token(), d.Token())
		require.Same(t, other.Session(), b.Session())

		require.NoError(t, a.Wait(ctx))
		first, err := b.First(ctx)
		require.NoError(t, err)
		require.False(t, first)
		ahead, err := d.Ahead(ctx)
		require.NoError(t, err)
		require.Equal(t, []ticket.Place{a.Place(), b.Place()}, ahead)

		labelled := mustTake(t, c, &ticket.Options{Label: "red-"})
		require.Regexp(t, "^"+dir+"/_c_[0-9a-f-]{36}-red-spot-0000000003$", labelled.Path())
		mustLine(t, c, a, b, d, labelled)
		require.NoError(t, labelled.Return(ctx))

		require.NoError(t, b.Return(ctx), "from the middle")
		require.NoError(t, b.Return(ctx), "again")
		require.ErrorIs(t, context.Cause(b.Context()), ticket.ErrReturned)
		mustLine(t, c, a, d)
		require.NoError(t, a.Return(ctx))
		first, err = d.First(ctx)
		require.NoError(t, err)
		require.True(t, first)
		require.NoError(t, d.Return(ctx))
		mustLine(t, c)
	})
}

// One departure wakes one waiter: the one behind.
func TestWaitersAreWokenOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		const n = 10
		woken := make([]int, n)
		var tickets []*ticket.Ticket
		arrived := make(chan int)
		for i := range n {
			c, _ := connect(t, srv)
			tk := mustTake(t, c, &ticket.Options{Waiting: func(ahead ticket.Place) {
				woken[i]++
				require.Equal(t, tickets[i-1].Place(), ahead)
			}})
			tickets = append(tickets, tk)
			go func() { // ends when it is first
				if err := tk.Wait(t.Context()); err != nil {
					t.Error(err)
				}
				arrived <- i
			}()
			synctest.Wait()
			if i == 0 {
				require.Equal(t, 0, <-arrived)
			}
		}
		for i := range n - 1 {
			require.NoError(t, tickets[i].Return(t.Context()))
			require.Equal(t, i+1, <-arrived)
			synctest.Wait()
		}
		for i := 1; i < n; i++ {
			require.Equal(t, 1, woken[i], "number %d looked once, and again when it was first", i)
		}
	})
}

func TestForeignChildrenAreTolerated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := connect(t, startServer(t))
		foreign := []string{"0", "_c_short", "spot-1", "lock-0000000000", "zzz__lock__0000000001"}
		for _, name := range foreign {
			_, err := c.Create(t.Context(), dir+"/"+name, nil, &client.CreateOptions{Parents: client.ContainerParents})
			require.NoError(t, err)
		}
		var told []string
		tk := mustTake(t, c, &ticket.Options{Foreign: func(names []string) { told = names }})
		require.NoError(t, tk.Wait(t.Context()))
		require.ElementsMatch(t, foreign, told)
	})
}

// The context of a place ends when its node is gone, whoever did it, and not before.
func TestPlaceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, l := connect(t, srv)
		admin, _ := connect(t, srv)
		tk := mustTake(t, c, nil)
		require.NoError(t, tk.Wait(t.Context()))
		_, err := admin.Set(t.Context(), tk.Path(), []byte("__REVOKE__"), client.AnyVersion)
		require.NoError(t, err)
		l.p.Drop()
		time.Sleep(5 * time.Second)
		require.NoError(t, tk.Context().Err(), "neither a change of the data nor a reconnect ends a place")
		require.NoError(t, admin.Delete(t.Context(), tk.Path(), client.AnyVersion))
		<-tk.Context().Done()
		require.ErrorIs(t, context.Cause(tk.Context()), ticket.ErrGone)
		require.ErrorIs(t, tk.Wait(t.Context()), ticket.ErrGone)
		require.NoError(t, tk.Return(t.Context()))

		tk = mustTake(t, c, nil)
		l.cut()
		<-tk.Context().Done()
		require.ErrorIs(t, context.Cause(tk.Context()), client.ErrSessionExpired)
		require.Error(t, tk.Wait(t.Context()))
		require.NoError(t, tk.Return(t.Context()), "the end of the session is certain enough")

		tk = mustTake(t, admin, nil)
		require.NoError(t, admin.Close())
		require.ErrorIs(t, context.Cause(tk.Context()), client.ErrClosed)
	})
}

// Waiting ends when the own place does: somebody removed it, or the session is over.
func TestWaitEndsWithThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, l := connect(t, srv)
		admin, _ := connect(t, srv)
		holder := mustTake(t, admin, nil)
		wait := func(tk *ticket.Ticket) chan error {
			errs := make(chan error, 1)
			go func() { errs <- tk.Wait(t.Context()) }() // ends with the place
			synctest.Wait()
			return errs
		}
		tk := mustTake(t, c, nil)
		errs := wait(tk)
		require.NoError(t, admin.Delete(t.Context(), tk.Path(), client.AnyVersion))
		require.ErrorIs(t, <-errs, ticket.ErrGone)

		errs = wait(mustTake(t, c, nil))
		l.cut()
		require.ErrorIs(t, <-errs, client.ErrSessionExpired)
		l.plug()
		_, err := c.AwaitSession(t.Context())
		require.NoError(t, err)
		time.Sleep(20 * time.Second) // the servers have noticed too
		mustLine(t, admin, holder)
	})
}

// Whatever answer gets lost on the way in or out, there is one node while the place is held and none after.
func TestLostAnswers(t *testing.T) {
	for _, op := range []proxy.Op{proxy.OpCreate, proxy.OpGetData, proxy.OpGetChildren, proxy.OpDelete, proxy.OpSync} {
		t.Run(fmt.Sprint(op), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := startServer(t)
				c, l := connect(t, srv)
				admin, _ := connect(t, srv)
				l.p.Lose(proxy.Reply(op, "").Times(2)) // the directory is created, too
				tk := mustTake(t, c, nil)
				require.NoError(t, tk.Wait(t.Context()))
				mustLine(t, admin, tk)
				require.NoError(t, tk.Return(t.Context()))
				mustLine(t, admin)
			})
		})
	}
}

// A Take that is cancelled at any moment leaves no node behind, nor does one whose connection breaks besides.
func TestCancelledTakeLeavesNothing(t *testing.T) {
	why := errors.New("the user lost interest")
	for _, lose := range []proxy.Op{proxy.OpConnect, proxy.OpCreate, proxy.OpDelete, proxy.OpGetData} { // it is connected: the first is none
		for delay := range 8 {
			synctest.Test(t, func(t *testing.T) {
				srv := startServer(t)
				c, l := connect(t, srv)
				admin, _ := connect(t, srv)
				l.p.Delay(proxy.Reply(proxy.OpAll, "").Always(), time.Millisecond) // so that there are moments
				l.p.Lose(proxy.Reply(lose, ""))
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Duration(delay)*2*time.Millisecond, why)
				defer cancel()
				tk, err := ticket.Take(ctx, c, dir, marker, nil)
				if err == nil {
					require.NoError(t, tk.Return(t.Context()))
				} else {
					require.ErrorIs(t, err, why)
				}
				mustLine(t, admin)
				time.Sleep(5 * time.Second)
				mustLine(t, admin)
			})
		}
	}
}

// A Take cancelled without a connection comes back after its bound; the removal goes on when the connection does, in the same session.
func TestCancelledTakeIsCleanedUpLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, l := connect(t, srv)
		admin, _ := connect(t, srv)
		l.cut()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := ticket.Take(ctx, c, dir, marker, &ticket.Options{Cleanup: 2 * time.Second})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(start))
		l.plug()
		time.Sleep(4 * time.Second)
		require.NoError(t, c.Session().Err())
		require.Equal(t, 1, c.Session().Generation())
		mustLine(t, admin)
	})
}

// A Take that is cancelled says so, also when the session ends while it cleans up.
func TestCancelledTakeWhoseSessionEnds(t *testing.T) {
	for range 20 { // the end of the session and that of the wait for it arrive together, in either order
		synctest.Test(t, func(t *testing.T) {
			c, l := connect(t, startServer(t))
			s := c.Session()
			l.cut()
			ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
			defer cancel()
			_, err := ticket.Take(ctx, c, dir, marker, nil)
			require.ErrorIs(t, s.Err(), client.ErrSessionExpired)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	}
}

// Return without a connection ends with its context and goes on by itself.
func TestReturnGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, l := connect(t, srv)
		admin, _ := connect(t, srv)
		tk := mustTake(t, c, nil)
		l.cut()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := tk.Return(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, client.ErrUnknown)
		mustLine(t, admin, tk)
		l.plug()
		require.NoError(t, tk.Return(t.Context()))
		mustLine(t, admin)
	})
}

// A container may be swept at any moment; the token still grows, though the numbers start again.
func TestDirectoryMayVanish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := connect(t, startServer(t))
		last := int64(0)
		for range 3 {
			tk := mustTake(t, c, nil)
			require.True(t, strings.HasSuffix(tk.Path(), "spot-0000000000"))
			require.Greater(t, tk.Token(), last)
			last = tk.Token()
			require.NoError(t, tk.Return(t.Context()))
			require.NoError(t, c.Delete(t.Context(), dir, client.AnyVersion))
			require.NoError(t, c.Delete(t.Context(), "/lines", client.AnyVersion))
		}
	})
}

// Two kinds in one line, one of which waits for the other only. Who is first becomes one of the other kind in its place.
func TestTwoKindsInOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c, _ := connect(t, startServer(t))
		const guest = "guest-"
		take := func(marker, other string, rule func([]ticket.Place) *ticket.Place) *ticket.Ticket {
			tk, err := ticket.Take(ctx, c, dir, marker, &ticket.Options{
				Others: []string{other}, Rule: rule, Foreign: func(names []string) { t.Error(names) },
			})
			require.NoError(t, err)
			return tk
		}
		behindGuests := func(ahead []ticket.Place) *ticket.Place {
			for _, p := range ahead {
				if p.Marker == guest {
					return &p
				}
			}
			return nil
		}
		isFirst := func(want bool, tk *ticket.Ticket) {
			t.Helper()
			first, err := tk.First(ctx)
			require.NoError(t, err)
			require.Equal(t, want, first)
		}
		a := take(guest, marker, nil)
		b := take(marker, guest, behindGuests)
		d := take(marker, guest, behindGuests)
		e := take(guest, marker, nil)
		isFirst(true, a)
		for _, tk := range []*ticket.Ticket{b, d, e} {
			isFirst(false, tk)
		}
		was := a.Place()
		require.ErrorIs(t, a.Exchange(ctx, "other-"), client.ErrBadArguments)
		require.Equal(t, was, a.Place())
		for range 2 {
			require.NoError(t, a.Exchange(ctx, marker))
			name := strings.Replace(was.Name, guest, marker, 1)
			require.Equal(t, ticket.Place{Name: name, ID: was.ID, Marker: marker, Number: was.Number}, a.Place())
		}
		for _, tk := range []*ticket.Ticket{a, b, d} {
			require.NoError(t, tk.Wait(ctx))
		}
		isFirst(false, e)
		line, err := ticket.Line(ctx, c, dir, marker, guest)
		require.NoError(t, err)
		require.Equal(t, []ticket.Place{a.Place(), b.Place(), d.Place(), e.Place()}, line)
		mustLine(t, c, a, b, d)

		require.NoError(t, a.Return(ctx))
		require.ErrorIs(t, a.Exchange(ctx, guest), ticket.ErrReturned)
		require.NoError(t, b.Return(ctx))
		require.NoError(t, d.Return(ctx))
		require.NoError(t, e.Wait(ctx))
	})
}

// What cannot be read in a listing is no marker, and leaves nothing that others would wait for.
func TestNoMarkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := connect(t, startServer(t))
		for _, marker := range []string{"", "0", "7", "-", "12"} {
			_, err := ticket.Take(t.Context(), c, dir, marker, nil)
			require.ErrorIs(t, err, client.ErrBadArguments, marker)
		}
		_, exists, err := c.Exists(t.Context(), dir)
		require.NoError(t, err)
		require.False(t, exists)
		for _, marker := range []string{"x", "lock-", "__READ__", "p7"} {
			tk, err := ticket.Take(t.Context(), c, dir, marker, nil)
			require.NoError(t, err)
			require.NoError(t, tk.Return(t.Context()))
		}
	})
}

func TestTakeRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := connect(t, startServer(t))
		_, err := ticket.Take(t.Context(), c, dir, "", nil)
		require.ErrorIs(t, err, client.ErrBadArguments)
		_, err = ticket.Take(t.Context(), c, "no/path", marker, nil)
		require.ErrorIs(t, err, client.ErrInvalidPath)
		_, err = c.Create(t.Context(), "/e", nil, &client.CreateOptions{Mode: client.Ephemeral})
		require.NoError(t, err)
		_, err = ticket.Take(t.Context(), c, "/e", marker, nil)
		require.ErrorIs(t, err, client.ErrNoChildrenEphemeral)
		require.NoError(t, c.Close())
		_, err = ticket.Take(t.Context(), c, dir, marker, nil)
		require.ErrorIs(t, err, client.ErrClosed)
	})
}

// A ticket whose node is removed before it was looked at ends as one does that was taken long ago, and neither becomes the first later.
func TestNoTurnWithoutANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		srv := startServer(t)
		admin, _ := connect(t, srv)
		remove := func() {
			line, err := ticket.Line(ctx, admin, dir, marker)
			if err == nil {
				err = admin.Delete(ctx, dir+"/"+line[0].Name, client.AnyVersion)
			}
			if err != nil {
				t.Error(err)
			}
		}
		for range 20 {
			c, l := connect(t, srv)
			freeze := l.p.Freeze(proxy.Request(proxy.OpGetData, dir+"/*"))
			young := mustTake(t, c, nil)
			<-freeze.Struck()
			remove()
			freeze.End()
			<-young.Context().Done()
			require.ErrorIs(t, context.Cause(young.Context()), ticket.ErrGone)
			require.ErrorIs(t, young.Wait(ctx), ticket.ErrGone)

			tk := mustTake(t, c, nil)
			remove()
			<-tk.Context().Done()
			_, err := tk.First(ctx)
			require.ErrorIs(t, err, ticket.ErrGone)
			require.ErrorIs(t, tk.Wait(ctx), ticket.ErrGone)
			mustLine(t, admin)
		}
	})
}

// Who gives a ticket back while it is asked whether it is first does not wait for that answer.
func TestReturnWhileItIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, w := connect(t, srv)
		tk := mustTake(t, c, nil)
		time.Sleep(9 * time.Second) // nothing was written for so long that the session is not sure to live
		w.cut()
		asked := make(chan error, 1)
		go func() { // ends with the place
			_, err := tk.First(t.Context())
			asked <- err
		}()
		synctest.Wait()
		require.Empty(t, asked)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		begun := time.Now()
		require.ErrorIs(t, tk.Return(ctx), context.DeadlineExceeded)
		require.Equal(t, 10*time.Millisecond, time.Since(begun))
		require.ErrorIs(t, <-asked, ticket.ErrReturned)
		w.plug()
		require.NoError(t, tk.Return(t.Context()))
	})
}
