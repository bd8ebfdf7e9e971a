package barrier_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/barrier"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

func TestInspectBarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := barrier.New(ensembletest.Start(t, 1, nil).Connect(t), path)
		s, err := gate.Inspect(t.Context())
		require.NoError(t, err)
		require.Zero(t, s)
		require.NoError(t, gate.Raise(t.Context()))
		raised := time.Now()
		time.Sleep(time.Minute)
		s, err = gate.Inspect(t.Context())
		require.NoError(t, err)
		require.True(t, s.Raised)
		require.WithinDuration(t, raised, s.Since, time.Second)
	})
}

func TestInspectDouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		p := newParty(t, 2, 3)
		look := func() barrier.DoubleState {
			t.Helper()
			time.Sleep(time.Second)
			s, err := p.double(2).Inspect(ctx)
			require.NoError(t, err)
			return s
		}
		require.Equal(t, barrier.DoubleState{Missing: 2}, look())
		one := p.enter(ctx, 0)
		s := look()
		require.Equal(t, 1, s.Missing)
		require.Len(t, s.Present, 1)
		require.Equal(t, p.clients[0].Session().ID(), s.Present[0].Session)
		require.Equal(t, ticket.Identity(), string(s.Present[0].Data), "where it is from")
		require.False(t, s.Present[0].In)
		require.WithinDuration(t, time.Now(), s.Present[0].Joined, 2*time.Second)

		two := p.enter(ctx, 1)
		first, second := <-one, <-two
		began := time.Now()
		_, err := p.clients[2].Create(ctx, path+"/notes", nil, nil)
		require.NoError(t, err)
		third := p.enter(ctx, 2)
		s = look()
		require.Equal(t, []string{"notes"}, s.Foreign)
		require.Equal(t, 1, s.Missing, "of the next round")
		require.WithinDuration(t, began, s.Began, time.Second)
		require.Zero(t, s.Left)
		in := func() (in []bool) {
			for _, m := range look().Present {
				in = append(in, m.In)
			}
			return in
		}
		require.Equal(t, []bool{true, true, false}, in())
		require.Less(t, s.Present[0].Token, s.Present[1].Token)

		require.NoError(t, p.e.Expire(ctx, p.clients[0]))
		require.Equal(t, []bool{true, false}, in())
		require.Equal(t, 1, look().Left)
		require.NoError(t, second.Leave(ctx))
		require.ErrorIs(t, first.Leave(ctx), client.ErrSessionExpired)
		s = look()
		require.Equal(t, []bool{false}, in())
		require.True(t, s.Began.IsZero())
		p.enter(ctx, 0)
		require.NotNil(t, <-third)
	})
}

// Where Curator has let in who was there, that is who is in.
func TestInspectCuratorsRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.Start(t, 1, nil).Connect(t)
		names := []string{client.NewProtectionID(), client.NewProtectionID(), "ready", client.NewProtectionID()}
		for _, name := range names {
			_, err := c.Create(t.Context(), path+"/"+name, []byte(name), &client.CreateOptions{Parents: client.PersistentParents})
			require.NoError(t, err)
		}
		s, err := barrier.NewDouble(c, path, 2, nil).Inspect(t.Context())
		require.NoError(t, err)
		require.Len(t, s.Present, 3)
		for i, in := range []bool{true, true, false} {
			require.Equal(t, in, s.Present[i].In)
		}
		require.Equal(t, names[3], string(s.Present[2].Data))
		require.Equal(t, 1, s.Missing)
		require.Zero(t, s.Left)
	})
}

func TestMeetingsAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		p := newParty(t, 2, 2)
		e, r := p.e, &p.seen
		one := p.enter(ctx, 0)
		require.False(t, isIn(one))
		require.EqualValues(t, 1, r.Sum("bellwether.barrier.wait.count"))
		two := p.enter(ctx, 1)
		first, second := <-one, <-two
		require.Equal(t, r.Spans("barrier.wait")[0].ID(), r.Spans("create")[0].Parent)
		require.EqualValues(t, 0, r.Sum("bellwether.barrier.wait.count"))
		require.EqualValues(t, 2, r.Sum("bellwether.barrier.round.count"))
		time.Sleep(time.Minute)
		left := make(chan error)
		go func() { left <- first.Leave(ctx) }() // ends when the other has left
		require.NoError(t, second.Leave(ctx))
		require.NoError(t, <-left)
		synctest.Wait()
		require.Equal(t, []telemetrytest.Measurement{
			{Value: 60, Attributes: map[string]string{"bellwether.recipe": "double_barrier", "bellwether.end": "left"}},
			{Value: 60, Attributes: map[string]string{"bellwether.recipe": "double_barrier", "bellwether.end": "left"}},
		}, r.Measured("bellwether.barrier.round.duration"))
		var waits, links []trace.SpanID
		for i := range 2 {
			waits, links = append(waits, r.Spans("barrier.wait")[i].ID()), append(links, r.Spans("barrier.round")[i].Links...)
		}
		require.ElementsMatch(t, waits, links)

		one, two = p.enter(ctx, 0), p.enter(ctx, 1)
		first, second = <-one, <-two
		require.NoError(t, e.Expire(ctx, p.clients[0]))
		<-first.Context().Done()
		require.ErrorIs(t, context.Cause(first.Context()), client.ErrSessionExpired)
		require.NoError(t, second.Leave(ctx))
		synctest.Wait()
		require.Equal(t, []telemetrytest.Measurement{
			{Value: 1, Attributes: map[string]string{"bellwether.recipe": "double_barrier", "bellwether.end": "session_lost"}},
		}, r.Measured("bellwether.barrier.round.lost"))
		require.Zero(t, r.Sum("bellwether.barrier.round.count"))
	})
}

// Who does not wait for the others has left all the same, and a wait at a gate is one that holds nothing.
func TestOtherWaitsAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		p := newParty(t, 2, 2)
		r := &p.seen
		one, two := p.enter(ctx, 0), p.enter(ctx, 1)
		first, _ := <-one, <-two
		hasty, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		require.ErrorIs(t, first.Leave(hasty), context.DeadlineExceeded)
		synctest.Wait()
		require.EqualValues(t, 1, r.Sum("bellwether.barrier.round.count"))
		require.Empty(t, r.Measured("bellwether.barrier.round.lost"))

		gate := barrier.New(p.clients[0], "/gate")
		require.NoError(t, gate.Wait(ctx))
		require.NoError(t, gate.Raise(ctx))
		require.ErrorIs(t, gate.Wait(hasty), context.DeadlineExceeded)
		waits := r.Measured("bellwether.barrier.wait.duration")
		require.Equal(t, map[string]string{"bellwether.recipe": "barrier"}, waits[2].Attributes)
		require.Equal(t, map[string]string{"bellwether.recipe": "barrier", "error.type": "deadline_exceeded"}, waits[3].Attributes)
	})
}
