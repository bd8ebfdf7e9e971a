package leader_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
	"github.com/bellwether-zk/bellwether/recipes/leader"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// watched starts a server whose clients are all seen by one recorder.
func watched(t *testing.T) (*ensembletest.Ensemble, *telemetrytest.Recorder) {
	t.Helper()
	r := new(telemetrytest.Recorder)
	return ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{
		SessionTimeout: 10 * time.Second, TracerProvider: r.TracerProvider(), MeterProvider: r.MeterProvider(),
	}}), r
}

func TestTermsAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, r := watched(t)
		anna := mustLead(t, election(srv.Connect(t), "anna"))
		require.Equal(t, "leader.term", trace.SpanFromContext(anna.Context()).(*telemetrytest.Span).Name)
		ben := run(t, election(srv.Connect(t), "ben"))
		require.EqualValues(t, 1, r.Sum("bellwether.leader.term.count"))
		require.EqualValues(t, 1, r.Sum("bellwether.leader.wait.count"))
		time.Sleep(time.Minute)
		require.NoError(t, anna.Resign(t.Context()))
		second := <-ben.terms
		synctest.Wait()
		require.EqualValues(t, 1, r.Sum("bellwether.leader.term.count"))
		require.EqualValues(t, 0, r.Sum("bellwether.leader.wait.count"))
		waits := r.Measured("bellwether.leader.wait.duration")
		require.Len(t, waits, 2)
		require.Equal(t, telemetrytest.Measurement{Value: 60, Attributes: map[string]string{"bellwether.recipe": "election"}}, waits[1])

		waited, term := r.Spans("leader.wait")[1], r.Spans("leader.term")[1]
		require.Equal(t, path, waited.Attributes["bellwether.path"])
		require.Equal(t, []trace.SpanID{waited.ID()}, term.Links)
		require.Equal(t, second.Path(), term.Attributes["bellwether.path"])
		require.Equal(t, term, trace.SpanFromContext(second.Context()), "what the leader does is below its term")
		ben.mustEnd(t)
		require.False(t, waited.Status == codes.Error)
	})
}

// Each way in which a term ends has its cause, and its word.
func TestEndsOfTerms(t *testing.T) {
	for _, end := range []struct {
		word  string
		lost  bool
		opts  leader.Options
		cause error
		says  string
		make  func(t *testing.T, srv *ensembletest.Ensemble, c *client.Client, term *leader.Term)
	}{
		{
			word: "resigned", cause: leader.ErrResigned, says: "leader resigned",
			make: func(t *testing.T, _ *ensembletest.Ensemble, _ *client.Client, term *leader.Term) {
				require.NoError(t, term.Resign(t.Context()))
			},
		},
		{
			word: "term_over", cause: leader.ErrTermOver, says: "leader's term is over", opts: leader.Options{MaxTerm: time.Minute},
			make: func(*testing.T, *ensembletest.Ensemble, *client.Client, *leader.Term) {},
		},
		{
			word: "suspended", lost: true, cause: leader.ErrSuspended, says: "leader is not connected", opts: leader.Options{EndWhenSuspended: true},
			make: func(_ *testing.T, srv *ensembletest.Ensemble, c *client.Client, _ *leader.Term) { srv.Drop(c) },
		},
		{
			word: "removed", lost: true, cause: leader.ErrRemoved, says: "ticket's node was removed",
			make: func(t *testing.T, srv *ensembletest.Ensemble, _ *client.Client, term *leader.Term) {
				require.NoError(t, srv.Connect(t).Delete(t.Context(), term.Path(), client.AnyVersion))
			},
		},
		{
			word: "session_lost", lost: true, cause: client.ErrSessionExpired, says: "session expired",
			make: func(t *testing.T, srv *ensembletest.Ensemble, c *client.Client, _ *leader.Term) {
				require.NoError(t, srv.Expire(t.Context(), c))
			},
		},
		{
			word: "session_lost", lost: true, cause: client.ErrSessionExpired, says: "session expired: ",
			make: func(_ *testing.T, srv *ensembletest.Ensemble, c *client.Client, _ *leader.Term) { srv.CutClient(c) },
		},
		{
			word: "client_closed", cause: client.ErrClosed, says: "client closed",
			make: func(t *testing.T, _ *ensembletest.Ensemble, c *client.Client, _ *leader.Term) {
				require.NoError(t, c.Close())
			},
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			srv, r := watched(t)
			c := srv.Connect(t)
			term := mustLead(t, leader.NewElection(c, path, &end.opts))
			end.make(t, srv, c, term)
			<-term.Context().Done()
			cause := context.Cause(term.Context())
			require.ErrorIs(t, cause, end.cause)
			require.ErrorContains(t, cause, end.says)
			synctest.Wait()
			require.Equal(t, end.word, r.Measured("bellwether.leader.term.duration")[0].Attributes["bellwether.end"])
			lost := 0.0
			if end.lost {
				lost = 1
			}
			require.Equal(t, lost, r.Sum("bellwether.leader.term.lost"), end.word)
			require.Zero(t, r.Sum("bellwether.leader.term.count"))
		})
	}
}

// A candidacy that fails is told of with the reason, and a Run that was stopped with that, whatever its cause says.
func TestFailedCandidaciesAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, r := watched(t)
		anna := run(t, election(srv.Connect(t), "anna"))
		<-anna.terms
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := election(srv.Connect(t), "ben").Lead(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, "deadline_exceeded", r.Measured("bellwether.leader.wait.duration")[1].Attributes["error.type"])
		require.Equal(t, codes.Error, r.Spans("leader.wait")[1].Status)
		anna.mustEnd(t)
		require.Equal(t, "canceled", r.Measured("bellwether.leader.term.duration")[0].Attributes["bellwether.end"])
	})
}

func TestChangesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, r := watched(t)
		c := srv.Connect(t)
		ctx, cancel := context.WithCancel(t.Context())
		watching := make(chan struct{})
		go func() { // ends with ctx
			defer close(watching)
			for range election(c, "").Watch(ctx) {
			}
		}()
		for range 3 {
			term := mustLead(t, election(srv.Connect(t), "anna"))
			synctest.Wait()
			require.NoError(t, term.Resign(t.Context()))
			synctest.Wait()
		}
		cancel()
		<-watching
		require.EqualValues(t, 2, r.Sum("bellwether.leader.changes"), "the first is none")
	})
}

func TestInspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		admin := srv.Connect(t)
		e := election(admin, "")
		none, err := e.Inspect(t.Context())
		require.NoError(t, err)
		require.Zero(t, none, "there is no directory")

		anna := srv.Connect(t)
		term := mustLead(t, election(anna, "anna"))
		ben := run(t, leader.NewElection(srv.Connect(t), path, &leader.Options{ID: "ben", Priority: 3}))
		carl := run(t, election(srv.Connect(t), ""))
		_, err = admin.Create(t.Context(), path+"/notes", nil, nil)
		require.NoError(t, err)
		s, err := e.Inspect(t.Context())
		require.NoError(t, err)
		all, err := e.Participants(t.Context())
		require.NoError(t, err)
		require.Equal(t, leader.State{Candidates: all, Foreign: []string{"notes"}}, s)
		require.Len(t, all, 3)
		require.Equal(t, "anna", all[0].ID)
		require.Equal(t, term.Token(), all[0].Token)
		require.Equal(t, anna.Session().ID(), all[0].Session)
		require.Equal(t, 3, all[1].Priority)
		require.Equal(t, ticket.Identity(), all[2].ID, "where it is from")

		// As a leader who has handed over to the last in line leaves it.
		_, err = admin.Set(t.Context(), path, []byte("next="+all[2].Path[len(path)+1:]), client.AnyVersion)
		require.NoError(t, err)
		s, err = e.Inspect(t.Context())
		require.NoError(t, err)
		require.Equal(t, all[2].Path, s.Next)
		require.NoError(t, term.Resign(t.Context()))
		<-carl.terms
		s, err = e.Inspect(t.Context())
		require.NoError(t, err)
		require.Equal(t, ticket.Identity(), s.Candidates[0].ID)
		require.Empty(t, s.Next, "it has its turn")

		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errStopped)
		_, err = e.Inspect(ctx)
		require.ErrorIs(t, err, errStopped)
		require.ErrorContains(t, err, "inspect "+path)
		carl.mustEnd(t)
		ben.mustEnd(t)
	})
}
