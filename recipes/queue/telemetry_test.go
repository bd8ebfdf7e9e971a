package queue_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
	"github.com/bellwether-zk/bellwether/recipes/queue"
)

func TestDeliveriesAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var r telemetrytest.Recorder
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{TracerProvider: r.TracerProvider(), MeterProvider: r.MeterProvider()}})
		c := e.Connect(t)
		var log bytes.Buffer
		q := queue.New(c, path, &queue.Options{MaxAttempts: 2, Logger: slog.New(slog.NewTextHandler(&log, nil)), MaxWork: time.Minute})
		go func() { // ends with the put
			time.Sleep(3 * time.Second)
			mustPut(t, q, item("a"), item("b"), item("c"))
		}()
		caller, span := r.TracerProvider().Tracer("test").Start(ctx, "caller")
		all, err := q.TakeUpTo(caller, 3)
		require.NoError(t, err)
		span.End()
		require.Equal(t, "queue.delivery", trace.SpanFromContext(all[0].Context()).(*telemetrytest.Span).Name)
		require.EqualValues(t, 3, r.Sum("bellwether.queue.delivery.count"))
		waits := r.Measured("bellwether.queue.wait.duration")
		require.Len(t, waits, 1, "what was waited for together is one wait")
		require.InDelta(t, 3, waits[0].Value, 0.1)
		require.Equal(t, trace.SpanFromContext(caller).(*telemetrytest.Span).ID(), r.Spans("queue.wait")[0].Parent)

		require.NoError(t, all[0].Ack(ctx))
		require.NoError(t, all[1].Nack(ctx, 0, nil))
		time.Sleep(2 * time.Minute) // the third takes too long
		for range 2 {
			require.NoError(t, mustTake(t, q).Nack(ctx, 0, nil))
		}
		_, err = q.TryTake(ctx)
		require.ErrorIs(t, err, queue.ErrEmpty)
		mustPut(t, q, queue.Item{Key: "k"})
		require.ErrorIs(t, q.Put(ctx, queue.Item{Key: "k"}), queue.ErrDuplicate)
		d := mustTake(t, q)
		require.NoError(t, e.Expire(ctx, c))
		<-d.Context().Done()
		synctest.Wait()

		ends, lost := map[string]int{}, map[string]int{}
		for _, m := range r.Measured("bellwether.queue.delivery.duration") {
			ends[m.Attributes["bellwether.end"]]++
		}
		for _, m := range r.Measured("bellwether.queue.delivery.lost") {
			lost[m.Attributes["bellwether.end"]]++
		}
		require.Equal(t, map[string]int{"acknowledged": 1, "given_back": 3, "too_long": 1, "session_lost": 1}, ends)
		require.Equal(t, map[string]int{"too_long": 1, "session_lost": 1}, lost)
		failures := map[string]int{}
		for _, m := range r.Measured("bellwether.queue.operation.duration") {
			failures[m.Attributes["bellwether.operation"]+" "+m.Attributes["error.type"]]++
		}
		require.Equal(t, map[string]int{"put ": 2, "put duplicate": 1, "ack ": 1, "nack ": 3}, failures)
		require.EqualValues(t, 2, r.Sum("bellwether.queue.dead"))
		require.Equal(t, 2, bytes.Count(log.Bytes(), []byte("dead letters")), log.String())
		require.NotEmpty(t, r.Measured("bellwether.queue.length"))
		spans := r.Spans("queue.delivery")
		require.Equal(t, codes.Error, spans[len(spans)-1].Status)
		require.NoError(t, c.Close())
		synctest.Wait()
		require.Empty(t, r.Open())
		require.ErrorIs(t, context.Cause(all[0].Context()), queue.ErrFinished)
	})
}
