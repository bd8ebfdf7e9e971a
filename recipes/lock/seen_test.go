package lock_test

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
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// watched starts a server whose clients are all seen by one recorder.
func watched(t *testing.T) (*ensembletest.Ensemble, *telemetrytest.Recorder) {
	t.Helper()
	r := new(telemetrytest.Recorder)
	return ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{
		SessionTimeout: 10 * time.Second, TracerProvider: r.TracerProvider(), MeterProvider: r.MeterProvider(),
	}}), r
}

func TestHoldsAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e, r := watched(t)
		a, b := e.Connect(t), e.Connect(t)
		first := mustHold(t, lock.NewMutex(a, path, nil).Lock)
		next := later(t, lock.NewMutex(b, path, nil).Lock)
		require.EqualValues(t, 1, r.Sum("bellwether.lock.wait.count"))
		require.EqualValues(t, 1, r.Sum("bellwether.lock.hold.count"))
		_, err := lock.NewMutex(b, path, nil).TryLock(ctx)
		require.ErrorIs(t, err, lock.ErrHeld)
		time.Sleep(time.Minute)
		require.NoError(t, first.Release(ctx))
		second := <-next
		waits := r.Measured("bellwether.lock.wait.duration")
		require.Equal(t, map[string]string{"bellwether.recipe": "mutex", "error.type": "held"}, waits[1].Attributes)
		require.Equal(t, telemetrytest.Measurement{Value: 60, Attributes: map[string]string{"bellwether.recipe": "mutex"}}, waits[2])
		require.Equal(t, codes.Unset, r.Spans("lock.wait")[2].Status, "it is held: an answer as good as any")
		span := r.Spans("lock.hold")[1]
		require.Equal(t, []trace.SpanID{r.Spans("lock.wait")[1].ID()}, span.Links)
		require.Equal(t, second.Path(), span.Attributes["bellwether.path"])
		require.Equal(t, span, trace.SpanFromContext(second.Context()), "what is done under the lock is below its hold")
		require.Equal(t, r.Spans("lock.wait")[0].ID(), r.Spans("create")[0].Parent)
		release := func(h interface{ Release(context.Context) error }) {
			t.Helper()
			require.NoError(t, h.Release(ctx))
			synctest.Wait()
		}
		release(second)

		rw := lock.NewRWMutex(a, "/rw", nil)
		release(mustHold(t, rw.RLock))
		release(mustHold(t, rw.Lock))
		permits := mustAcquire(t, lock.NewSemaphore(a, "/permits", 3, nil), 2)
		require.EqualValues(t, 1, r.Sum("bellwether.lock.hold.count"), "permits are held as one")
		release(permits)
		var names []string
		for _, m := range r.Measured("bellwether.lock.hold.duration") {
			names = append(names, m.Attributes["bellwether.recipe"]+" "+m.Attributes["bellwether.end"])
		}
		require.Equal(t, []string{"mutex released", "mutex released", "rwmutex.read released", "rwmutex.write released", "semaphore released"}, names)
		require.Empty(t, r.Measured("bellwether.lock.hold.lost"))
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
		require.Empty(t, r.Open())
	})
}

// Each way in which a hold ends has its cause, and its word.
func TestEndsOfHolds(t *testing.T) {
	for _, end := range []struct {
		word  string
		lost  bool
		cause error
		says  string
		make  func(t *testing.T, e *ensembletest.Ensemble, c *client.Client, h *lock.Hold)
	}{
		{"released", false, lock.ErrReleased, "returned", func(t *testing.T, _ *ensembletest.Ensemble, _ *client.Client, h *lock.Hold) {
			require.NoError(t, h.Release(t.Context()))
		}},
		{"max_hold", true, lock.ErrMaxHold, "held for as long as it may be", func(*testing.T, *ensembletest.Ensemble, *client.Client, *lock.Hold) {}},
		{"removed", true, lock.ErrRemoved, "node was removed", func(t *testing.T, e *ensembletest.Ensemble, _ *client.Client, h *lock.Hold) {
			require.NoError(t, e.Connect(t).Delete(t.Context(), h.Path(), client.AnyVersion))
		}},
		{"session_lost", true, client.ErrSessionExpired, "session expired", func(t *testing.T, e *ensembletest.Ensemble, c *client.Client, _ *lock.Hold) {
			require.NoError(t, e.Expire(t.Context(), c))
		}},
		{"session_lost", true, client.ErrSessionExpired, "no majority answered in time", func(_ *testing.T, e *ensembletest.Ensemble, c *client.Client, _ *lock.Hold) {
			e.CutClient(c)
		}},
		{"client_closed", false, client.ErrClosed, "client closed", func(t *testing.T, _ *ensembletest.Ensemble, c *client.Client, _ *lock.Hold) {
			require.NoError(t, c.Close())
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			e, r := watched(t)
			c := e.Connect(t)
			h := mustHold(t, lock.NewMutex(c, path, &lock.Options{MaxHold: time.Hour}).Lock)
			end.make(t, e, c, h)
			<-h.Context().Done()
			require.ErrorIs(t, context.Cause(h.Context()), end.cause)
			require.ErrorContains(t, context.Cause(h.Context()), end.says)
			synctest.Wait()
			require.Equal(t, end.word, r.Measured("bellwether.lock.hold.duration")[0].Attributes["bellwether.end"])
			require.Equal(t, end.lost, len(r.Measured("bellwether.lock.hold.lost")) == 1, end.word)
			require.Zero(t, r.Sum("bellwether.lock.hold.count"))
		})
	}
}
