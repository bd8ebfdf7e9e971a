package leader_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/leader"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const path = "/elections/one"

func startServer(t *testing.T) *ensembletest.Ensemble {
	t.Helper()
	return ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second}})
}

func election(c *client.Client, id string) *leader.Election {
	return leader.NewElection(c, path, &leader.Options{ID: id})
}

func mustLead(t *testing.T, e *leader.Election) *leader.Term {
	t.Helper()
	term, err := e.Lead(t.Context())
	require.NoError(t, err)
	require.NoError(t, term.Context().Err())
	return term
}

// mustStand tells who is in line, by their ids.
func mustStand(t *testing.T, c *client.Client, ids ...string) {
	t.Helper()
	all, err := election(c, "").Participants(t.Context())
	require.NoError(t, err)
	var got []string
	for _, p := range all {
		got = append(got, p.ID)
	}
	require.Equal(t, ids, got)
}

// A stand is a Run that goes on in the background.
type stand struct {
	terms  chan *leader.Term // those that have begun; the function returns when their context ends, or gets what it shall return
	answer chan error
	ended  chan error // Run's
	stop   context.CancelCauseFunc
}

var errStopped = errors.New("the test has seen enough")

func run(t *testing.T, e *leader.Election) *stand {
	t.Helper()
	ctx, stop := context.WithCancelCause(t.Context())
	s := &stand{terms: make(chan *leader.Term, 100), answer: make(chan error), ended: make(chan error, 1), stop: stop}
	inside := make(chan struct{}, 1)
	go func() { // ends with ctx
		s.ended <- e.Run(ctx, func(ctx context.Context, term *leader.Term) error {
			select {
			case inside <- struct{}{}:
			default:
				t.Error("the function is called while it runs")
			}
			defer func() { <-inside }()
			s.terms <- term
			select {
			case err := <-s.answer:
				return err
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}()
	synctest.Wait()
	return s
}

func (s *stand) mustEnd(t *testing.T) {
	t.Helper()
	s.stop(errStopped)
	require.ErrorIs(t, <-s.ended, errStopped)
}

func TestTermsFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		anna, ben := srv.Connect(t), srv.Connect(t)
		first := mustLead(t, election(anna, "anna"))
		require.Regexp(t, "^"+path+"/_c_[0-9a-f-]{36}-latch-0000000000$", first.Path())
		require.Same(t, anna.Session(), first.Session())
		next := make(chan *leader.Term)
		go func() { // ends with the election
			term, err := election(ben, "ben").Lead(t.Context())
			if err != nil {
				t.Error(err)
			}
			next <- term
		}()
		synctest.Wait()
		mustStand(t, anna, "anna", "ben")
		_, err := anna.Multi(t.Context(), first.Guard(), client.CreateOp("/decision", nil, nil))
		require.NoError(t, err)

		for range 2 {
			require.NoError(t, first.Resign(t.Context()))
		}
		require.ErrorIs(t, context.Cause(first.Context()), leader.ErrResigned)
		second := <-next
		require.Greater(t, second.Token(), first.Token())
		_, err = anna.Multi(t.Context(), first.Guard(), client.CreateOp("/late", nil, nil))
		require.ErrorIs(t, err, client.ErrNoNode)
		require.NoError(t, first.Resign(t.Context()), "late, and it touches nobody else's")
		require.NoError(t, second.Context().Err())
		require.NoError(t, second.Resign(t.Context()))
		mustStand(t, anna)
	})
}

// Run calls its function once a term, one call after the other, and stands again at the end of the line.
func TestRunStandsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c := srv.Connect(t)
		anna, ben := run(t, election(c, "anna")), run(t, election(srv.Connect(t), "ben"))
		token := int64(0)
		for range 3 {
			for _, s := range []*stand{anna, ben} {
				term := <-s.terms
				require.Greater(t, term.Token(), token)
				token = term.Token()
				synctest.Wait()
				require.Empty(t, anna.terms)
				require.Empty(t, ben.terms)
				s.answer <- nil
				<-term.Context().Done()
				require.ErrorIs(t, context.Cause(term.Context()), leader.ErrResigned)
			}
		}
		synctest.Wait()
		mustStand(t, c, "anna", "ben")
		ben.mustEnd(t)
		anna.mustEnd(t)
		require.Empty(t, ben.terms, "who has not led was not told to")
		mustStand(t, c)
	})
}

// An error ends Run while the term lasts, and not when the term was over before.
func TestRunEndsWithTheFunctionsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startServer(t).Connect(t)
		var log strings.Builder // what is not worth a line leaves none
		e := leader.NewElection(c, path, &leader.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		why := errors.New("no")
		calls := 0
		err := e.Run(t.Context(), func(ctx context.Context, term *leader.Term) error {
			if calls++; calls == 1 {
				if err := c.Delete(ctx, term.Path(), client.AnyVersion); err != nil {
					return err
				}
				<-ctx.Done()
				return fmt.Errorf("%w, of course", why)
			}
			return why
		})
		require.ErrorIs(t, err, why)
		require.EqualError(t, err, "no")
		require.Equal(t, 2, calls)
		require.Contains(t, log.String(), "no, of course")
		mustStand(t, c)
	})
}

func TestRunsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c := srv.Connect(t)
		type key struct{}
		ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
		err := election(c, "").Run(ctx, func(ctx context.Context, term *leader.Term) error {
			require.Equal(t, "value", ctx.Value(key{}))
			require.Equal(t, ctx, term.Context())
			inner, done := context.WithTimeout(ctx, time.Hour)
			defer done()
			cancel(errStopped)
			<-inner.Done()
			require.ErrorIs(t, context.Cause(inner), errStopped, "what is derived ends too, with the cause")
			line, err := election(c, "").Participants(context.WithoutCancel(ctx))
			require.NoError(t, err)
			require.Len(t, line, 1, "until the function has returned")
			return nil
		})
		require.ErrorIs(t, err, errStopped)
		mustStand(t, c)
		r := srv.Record()
		err = election(c, "").Run(ctx, nil)
		require.ErrorIs(t, err, errStopped)
		require.Empty(t, r.Operations(ensembletest.Match{Op: "create"}), "it does not begin")
	})
}

// A function that panics has led, and does not lead any more.
func TestRunLeavesTheLineWhenItPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startServer(t).Connect(t)
		require.PanicsWithValue(t, "ouch", func() {
			_ = election(c, "").Run(t.Context(), func(context.Context, *leader.Term) error { panic("ouch") })
		})
		mustStand(t, c)
	})
}

func TestCancelledCandidacyLeavesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c := srv.Connect(t)
		term := mustLead(t, election(c, "anna"))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errStopped)
		defer cancel()
		_, err := election(srv.Connect(t), "ben").Lead(ctx)
		require.ErrorIs(t, err, errStopped)
		require.ErrorContains(t, err, "lead "+path)
		mustStand(t, c, "anna")
		require.NoError(t, term.Context().Err())
	})
}

// A candidacy that is cancelled at any moment, with an answer lost or none, leaves nothing behind.
func TestCancelledAtEachStep(t *testing.T) {
	for _, lose := range []proxy.Op{proxy.OpConnect, proxy.OpCreate, proxy.OpGetData, proxy.OpGetChildren, proxy.OpDelete, proxy.OpSync} {
		for delay := range 16 {
			synctest.Test(t, func(t *testing.T) {
				srv := startServer(t)
				c, admin := srv.Connect(t), srv.Connect(t)
				p := srv.Proxy(c)
				p.Delay(proxy.Reply(proxy.OpAll, "").Always(), time.Millisecond) // so that there are moments
				p.Lose(proxy.Reply(lose, ""))
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Duration(delay)*time.Millisecond, errStopped)
				defer cancel()
				err := election(c, "").Run(ctx, func(ctx context.Context, _ *leader.Term) error {
					<-ctx.Done()
					return nil
				})
				require.ErrorIs(t, err, errStopped)
				time.Sleep(5 * time.Second)
				mustStand(t, admin)
			})
		}
	}
}

// Whatever answer gets lost, there is one node while somebody leads, and none after.
func TestLostAnswers(t *testing.T) {
	for _, op := range []proxy.Op{proxy.OpCreate, proxy.OpExists, proxy.OpGetData, proxy.OpGetChildren, proxy.OpDelete, proxy.OpSync} {
		t.Run(fmt.Sprint(op), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := startServer(t)
				c, admin := srv.Connect(t), srv.Connect(t)
				behind := run(t, election(admin, "ben"))
				<-behind.terms
				srv.Proxy(c).Lose(proxy.Reply(op, "").Times(2)) // the directory is created, too
				s := run(t, election(c, "anna"))
				time.Sleep(5 * time.Second)
				mustStand(t, admin, "ben", "anna")
				behind.answer <- nil
				<-s.terms
				time.Sleep(5 * time.Second)
				mustStand(t, admin, "anna", "ben")
				s.mustEnd(t)
				behind.mustEnd(t)
				mustStand(t, admin)
			})
		})
	}
}

// A session lost while leading ends the term before another begins, and who lost it stands again at the end, in the next session.
func TestSessionLostWhileLeading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, other := srv.Connect(t), srv.Connect(t)
		anna, ben := run(t, election(c, "anna")), run(t, election(other, "ben"))
		term := <-anna.terms
		srv.CutClient(c)
		next := <-ben.terms
		require.Error(t, term.Context().Err())
		require.ErrorIs(t, context.Cause(term.Context()), client.ErrSessionExpired)
		require.NoError(t, term.Resign(t.Context()), "there is nothing left to give up")
		srv.Heal()
		_, err := c.AwaitSession(t.Context())
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		mustStand(t, other, "ben", "anna")
		require.NoError(t, next.Context().Err())
		require.NoError(t, srv.Expire(t.Context(), other), "by force, of which its client cannot know before it is told")
		again := <-anna.terms
		require.Greater(t, again.Token(), next.Token())
		<-next.Context().Done()
		require.ErrorIs(t, context.Cause(next.Context()), client.ErrSessionExpired)
		anna.mustEnd(t)
		<-ben.terms
		ben.mustEnd(t)
	})
}

// A client that takes its session for lost before the servers do finds its own old node ahead in the line, and is not taken in by it.
func TestOwnOldNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, admin := srv.Connect(t), srv.Connect(t)
		anna := run(t, election(c, "anna"))
		term := <-anna.terms
		srv.CutClient(c)
		<-term.Context().Done()
		srv.Heal()
		for {
			all, err := election(admin, "").Participants(t.Context())
			require.NoError(t, err)
			if len(all) == 2 {
				require.Equal(t, term.Token(), all[0].Token)
				break
			}
			require.Len(t, all, 1)
			require.Empty(t, anna.terms)
			time.Sleep(10 * time.Millisecond)
		}
		again := <-anna.terms
		require.Greater(t, again.Token(), term.Token())
		_, exists, err := admin.Exists(t.Context(), term.Path())
		require.NoError(t, err)
		require.False(t, exists)
		anna.mustEnd(t)
	})
}

// A session lost while waiting costs the place, not the candidacy; a view of one session stays with it.
func TestSessionLostWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, other := srv.Connect(t), srv.Connect(t)
		term := mustLead(t, election(other, "anna"))
		ben, bound := run(t, election(c, "ben")), run(t, election(c.Session().Client(), "bound"))
		carl := run(t, election(other, "carl"))
		mustStand(t, other, "anna", "ben", "bound", "carl")
		require.NoError(t, srv.Expire(t.Context(), c))
		require.ErrorIs(t, <-bound.ended, client.ErrSessionExpired)
		_, err := c.AwaitSession(t.Context())
		require.NoError(t, err)
		synctest.Wait()
		mustStand(t, other, "anna", "carl", "ben")
		require.NoError(t, term.Resign(t.Context()))
		<-carl.terms
		carl.mustEnd(t)
		<-ben.terms
		require.Empty(t, bound.terms)

		require.NoError(t, c.Close())
		require.ErrorIs(t, <-ben.ended, client.ErrClosed)
		_, err = election(c, "").Lead(t.Context())
		require.ErrorIs(t, err, client.ErrClosed)
	})
}

// Whoever has lost its node, leading or waiting, is not taken in by it and stands again.
func TestNodeRemovedBySomebody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, admin := srv.Connect(t), srv.Connect(t)
		anna, ben := run(t, election(c, "anna")), run(t, election(srv.Connect(t), "ben"))
		term := <-anna.terms
		all, err := election(admin, "").Participants(t.Context())
		require.NoError(t, err)
		require.NoError(t, admin.Delete(t.Context(), all[1].Path, client.AnyVersion))
		synctest.Wait()
		mustStand(t, admin, "anna", "ben")
		require.NoError(t, term.Context().Err())

		require.NoError(t, admin.Delete(t.Context(), term.Path(), client.AnyVersion))
		<-ben.terms
		<-term.Context().Done()
		require.ErrorIs(t, context.Cause(term.Context()), leader.ErrRemoved)
		synctest.Wait()
		mustStand(t, admin, "ben", "anna")
		ben.mustEnd(t)
		<-anna.terms
		anna.mustEnd(t)
	})
}

// A node that is removed at the last moment is not led with.
func TestNodeRemovedAtTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, admin := srv.Connect(t), srv.Connect(t)
		held := srv.Proxy(c).Freeze(proxy.Request(proxy.OpGetChildren, "").Skip(2))
		removed := ""
		go func() { // ends with the fault
			<-held.Struck()
			if now, ok, err := election(admin, "").Leader(t.Context()); err != nil || !ok {
				t.Error(ok, err)
			} else if removed = now.Path; admin.Delete(t.Context(), removed, client.AnyVersion) != nil {
				t.Error("it cannot be removed")
			}
			held.End()
		}()
		term := mustLead(t, election(c, "anna"))
		require.NotEqual(t, removed, term.Path())
		mustStand(t, admin, "anna")
		require.NoError(t, term.Resign(t.Context()))
	})
}

// A reconnect within the lease ends no term, and changes no node.
func TestReconnectChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, admin := srv.Connect(t), srv.Connect(t)
		anna, ben := run(t, election(c, "anna")), run(t, election(admin, "ben"))
		term := <-anna.terms
		before, err := election(admin, "").Participants(t.Context())
		require.NoError(t, err)
		for range 5 {
			srv.Drop()
			time.Sleep(5 * time.Second)
		}
		after, err := election(admin, "").Participants(t.Context())
		require.NoError(t, err)
		require.Equal(t, before, after)
		require.NoError(t, term.Context().Err())
		anna.mustEnd(t)
		<-ben.terms
		ben.mustEnd(t)
	})
}

// Who wants that lets go as soon as it is not connected, keeps the node until its function has returned, and stands again behind the
// others.
func TestEndWhenSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, admin := srv.Connect(t), srv.Connect(t)
		anna := run(t, leader.NewElection(c, path, &leader.Options{ID: "anna", EndWhenSuspended: true}))
		ben := run(t, election(admin, "ben"))
		term := <-anna.terms
		time.Sleep(time.Minute)
		require.NoError(t, term.Context().Err())
		srv.Drop(c)
		start := time.Now()
		<-term.Context().Done()
		require.ErrorIs(t, context.Cause(term.Context()), leader.ErrSuspended)
		require.Zero(t, time.Since(start))
		next := <-ben.terms
		require.Greater(t, next.Token(), term.Token())
		time.Sleep(time.Second)
		mustStand(t, admin, "ben", "anna")
		require.Equal(t, 1, c.Session().Generation())
		anna.mustEnd(t)
		ben.mustEnd(t)
	})
}

func TestMaxTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c := srv.Connect(t)
		limited := func(id string) *leader.Election {
			return leader.NewElection(c, path, &leader.Options{ID: id, MaxTerm: time.Minute})
		}
		anna, ben := run(t, limited("anna")), run(t, limited("ben"))
		for range 3 {
			for _, s := range []*stand{anna, ben} {
				start := time.Now()
				term := <-s.terms
				<-term.Context().Done()
				require.ErrorIs(t, context.Cause(term.Context()), leader.ErrTermOver)
				require.Equal(t, time.Minute, time.Since(start))
				synctest.Wait()
			}
		}
		anna.mustEnd(t)
		ben.mustEnd(t)

		term := mustLead(t, limited("carl"))
		until, ok := term.Context().Deadline()
		require.True(t, ok)
		require.Equal(t, time.Minute, time.Until(until))
		time.Sleep(2 * time.Minute)
		require.Error(t, term.Context().Err())
		mustStand(t, c, "carl")
		require.NoError(t, term.Resign(t.Context()))
		mustStand(t, c)
	})
}

// A function that does not return is told of, and as long as the session lives nobody else leads while it goes on.
func TestOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		other := srv.Connect(t)
		var told, calls atomic.Int32
		e := leader.NewElection(srv.Connect(t), path, &leader.Options{MaxTerm: time.Second, Grace: 5 * time.Second, Overdue: func(term *leader.Term) {
			require.ErrorIs(t, context.Cause(term.Context()), leader.ErrTermOver)
			told.Add(1)
		}})
		ctx, stop := context.WithCancelCause(t.Context())
		ended := make(chan error)
		go func() { // ends with ctx
			ended <- e.Run(ctx, func(ctx context.Context, term *leader.Term) error {
				<-ctx.Done()
				if calls.Add(1) == 1 {
					time.Sleep(time.Minute) // it does not care
				}
				return nil
			})
		}()
		synctest.Wait()
		ben := run(t, election(other, "ben"))
		time.Sleep(5500 * time.Millisecond)
		require.Zero(t, told.Load())
		time.Sleep(time.Second)
		require.EqualValues(t, 1, told.Load())
		require.Empty(t, ben.terms)
		time.Sleep(time.Minute)
		require.Len(t, ben.terms, 1)
		require.EqualValues(t, 1, told.Load())
		ben.mustEnd(t)
		time.Sleep(10 * time.Second)
		require.Greater(t, calls.Load(), int32(1))
		stop(errStopped)
		require.ErrorIs(t, <-ended, errStopped)
		require.EqualValues(t, 1, told.Load(), "of functions that return in time nobody is told")
	})
}

func TestForeignChildrenAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startServer(t).Connect(t)
		for _, name := range []string{"notes", "_c_short", "lock-0000000000", "latch-1", "_c_0c1d2e3f-0011-2233-4455-66778899aabb-lock-0000000000"} {
			_, err := c.Create(t.Context(), path+"/"+name, nil, &client.CreateOptions{Parents: client.ContainerParents})
			require.NoError(t, err)
		}
		var log strings.Builder
		e := leader.NewElection(c, path, &leader.Options{ID: "anna", Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for range 3 {
			term := mustLead(t, e)
			mustStand(t, c, "anna")
			require.NoError(t, term.Resign(t.Context()))
		}
		require.Equal(t, 1, strings.Count(log.String(), "notes"))
	})
}

// The directory may be swept whenever it is empty; tokens grow, though numbers start again.
func TestDirectoryMayVanish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c := srv.Connect(t)
		last := int64(0)
		for range 3 {
			term := mustLead(t, election(c, ""))
			require.True(t, strings.HasSuffix(term.Path(), "latch-0000000000"))
			require.Greater(t, term.Token(), last)
			last = term.Token()
			_, err := srv.Sweep(t.Context())
			require.NoError(t, err)
			require.NoError(t, term.Resign(t.Context()))
			for range 2 { // parents go one by one
				found, err := srv.Sweep(t.Context())
				require.NoError(t, err)
				require.Equal(t, 1, found)
			}
			_, ok, err := election(c, "").Leader(t.Context())
			require.NoError(t, err)
			require.False(t, ok)
			mustStand(t, c)
		}
	})
}

// Somebody removes the directory with all who stand in it, and those above it: all stand again, and one of them leads. So does one who has
// no connection when it begins.
func TestDirectoryIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		srv := startServer(t)
		admin, late := srv.Connect(t), srv.Connect(t)
		srv.CutClient(late)
		stands := map[string]*stand{"late": run(t, election(late, "late"))}
		for _, id := range []string{"anna", "ben", "carl"} {
			stands[id] = run(t, election(srv.Connect(t), id))
		}
		term := <-stands["anna"].terms
		for range 3 {
			_, err := admin.DeleteTree(ctx, "/elections", nil)
			require.NoError(t, err)
			<-term.Context().Done()
			require.ErrorIs(t, context.Cause(term.Context()), leader.ErrRemoved)
			time.Sleep(time.Second)
			all, err := election(admin, "").Participants(ctx)
			require.NoError(t, err)
			require.Len(t, all, 3)
			term = nil
			for id, s := range stands {
				for len(s.terms) > 0 { // who is next may lead before its own node is removed, too
					if next := <-s.terms; next.Context().Err() == nil {
						require.Nil(t, term, "two lead")
						require.Equal(t, all[0].ID, id)
						term = next
					}
				}
			}
			require.NotNil(t, term, "nobody leads")
		}
		srv.Heal()
		time.Sleep(30 * time.Second)
		for _, id := range []string{"anna", "ben", "carl"} {
			stands[id].mustEnd(t)
		}
		term = <-stands["late"].terms
		require.NoError(t, term.Context().Err())
		stands["late"].mustEnd(t)
	})
}

func TestOrderHoldsAcrossTheWrap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c := srv.Connect(t)
		require.NoError(t, mustLead(t, election(c, "")).Resign(t.Context()))
		require.NoError(t, srv.SetSequence(t.Context(), path, math.MaxInt32-2))
		var stands []*stand
		var ids []string
		for i := range 6 {
			ids = append(ids, fmt.Sprint(i))
			stands = append(stands, run(t, election(c, ids[i])))
		}
		mustStand(t, c, ids...)
		for i, s := range stands {
			<-s.terms
			now, ok, err := election(c, "").Leader(t.Context())
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, ids[i], now.ID)
			s.mustEnd(t)
		}
	})
}

// Two of one name are two, told apart by their tokens.
func TestTwoOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		a, b := srv.Connect(t), srv.Connect(t)
		one, two := run(t, election(a, "same")), run(t, election(b, "same"))
		first := <-one.terms
		mustStand(t, a, "same", "same")
		require.Empty(t, two.terms)
		one.mustEnd(t)
		second := <-two.terms
		require.Greater(t, second.Token(), first.Token())
		two.mustEnd(t)
	})
}

// What would come again ends Run, and does not end it in silence.
func TestRunEndsWithWhatWouldComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c := srv.Connect(t)
		_, err := c.Create(t.Context(), "/closed", nil, &client.CreateOptions{ACL: client.WorldACL(client.PermRead)})
		require.NoError(t, err)
		never := func(context.Context, *leader.Term) error { t.Error("it leads"); return nil }
		err = leader.NewElection(c, "/closed", nil).Run(t.Context(), never)
		require.ErrorIs(t, err, client.ErrNoAuth)
		err = leader.NewElection(c, "no/path", nil).Run(t.Context(), never)
		require.ErrorIs(t, err, client.ErrInvalidPath)

		// Nobody may remove its node: it must not stand in line behind itself.
		_, err = c.Create(t.Context(), "/sticky", nil, &client.CreateOptions{ACL: client.WorldACL(client.PermRead | client.PermCreate)})
		require.NoError(t, err)
		calls := 0
		err = leader.NewElection(c, "/sticky", nil).Run(t.Context(), func(context.Context, *leader.Term) error { calls++; return nil })
		require.ErrorIs(t, err, client.ErrNoAuth)
		require.Equal(t, 1, calls)
	})
}

// The layout of LeaderSelector is a mutex's.
func TestSelectorLayoutIsAMutex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startServer(t).Connect(t)
		e := leader.NewElection(c, path, &leader.Options{ID: "anna", Layout: leader.SelectorLayout})
		term := mustLead(t, e)
		require.Regexp(t, "^"+path+"/_c_[0-9a-f-]{36}-lock-0000000000$", term.Path())
		m := lock.NewMutex(c, path, nil)
		_, err := m.TryLock(t.Context())
		require.ErrorIs(t, err, lock.ErrHeld)
		now, ok, err := e.Leader(t.Context())
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, "anna", now.ID)
		require.NoError(t, term.Resign(t.Context()))
		hold, err := m.TryLock(t.Context())
		require.NoError(t, err)
		require.NoError(t, hold.Release(t.Context()))
	})
}

// The layout of kazoo's Election is its Lock's, whose names without a dash and an id are read too; nobody else's candidate is in the way.
func TestKazooLayout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startServer(t).Connect(t)
		e := leader.NewElection(c, path, &leader.Options{ID: "anna", Layout: leader.KazooLayout})
		mustLead(t, leader.NewElection(c, path, nil))
		term := mustLead(t, e)
		require.Regexp(t, "^"+path+"/_c_[0-9a-f-]{36}-__lock__0000000001$", term.Path())
		kazoos, err := c.Create(t.Context(), path+"/2f8b0b1bb27a4c9f8a35e6b1f4a6b7d0__lock__", []byte("kazoo"), &client.CreateOptions{Mode: client.EphemeralSequential})
		require.NoError(t, err)
		all, err := e.Participants(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.Equal(t, "anna", all[0].ID)
		require.Equal(t, "kazoo", all[1].ID)
		require.NoError(t, term.Resign(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = e.Lead(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, c.Delete(t.Context(), kazoos, client.AnyVersion))
		mustLead(t, e)
	})
}

// An election of a view of the client is the whole client's, at the path where it is.
func TestElectionOfAView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c := srv.Connect(t)
		view, err := c.Sub("/elections")
		require.NoError(t, err)
		term := mustLead(t, leader.NewElection(view, "/one", &leader.Options{ID: "anna"}))
		s := run(t, election(c, "ben"))
		mustStand(t, c, "anna", "ben")
		require.NoError(t, term.HandOver(t.Context(), "ben"))
		<-s.terms
		s.mustEnd(t)
	})
}

// What it costs to lead, and who is woken when a term ends: the next candidate, and nobody else.
func TestCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		clients := []*client.Client{srv.Connect(t), srv.Connect(t), srv.Connect(t)}
		asked := func(r *ensembletest.Recorder) (ops [3][]string) {
			for _, o := range r.Operations(ensembletest.Match{}) {
				for i, c := range clients {
					if o.Session == c.Session().ID() && o.Op != "setData" { // which is how a session is kept
						ops[i] = append(ops[i], o.Op)
					}
				}
			}
			if own := ops[0]; len(own) > 2 && own[0] == "create2" {
				slices.Sort(own[2:4]) // these two are asked for at once, and come in any order
			}
			return ops
		}
		require.NoError(t, mustLead(t, election(clients[0], "")).Resign(t.Context())) // the directory is there, the session kept
		synctest.Wait()                                                               // nobody is about to look at the node that was
		r := srv.Record()
		term := mustLead(t, election(clients[0], ""))
		synctest.Wait()
		require.NoError(t, term.Resign(t.Context()))
		synctest.Wait()
		require.Equal(t, [3][]string{{"create2", "getChildren2", "getChildren2", "getData", "delete"}}, asked(r))

		term = mustLead(t, election(clients[0], "anna"))
		ben, carl := run(t, election(clients[1], "ben")), run(t, election(clients[2], "carl"))
		r = srv.Record()
		require.NoError(t, term.Resign(t.Context()))
		<-ben.terms
		synctest.Wait()
		require.Equal(t, [3][]string{{"delete"}, {"getChildren2", "getChildren2", "getData"}, nil}, asked(r))
		for _, w := range srv.Watches() {
			require.Equal(t, ensembletest.WatchData, w.Kind)
		}
		require.Len(t, srv.Watches(), 3, "each on its own node, and the one who waits on the one ahead")
		carl.mustEnd(t)
		ben.mustEnd(t)
	})
}
