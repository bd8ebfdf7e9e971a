package job_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
	"github.com/bellwether-zk/bellwether/recipes/job"
)

// Each run is told of with its end and how late it was, and so are times that were left out and runs nobody knows the outcome of.
func TestRunsAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r telemetrytest.Recorder
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{
			SessionTimeout: 10 * time.Second, TracerProvider: r.TracerProvider(), MeterProvider: r.MeterProvider(),
		}})
		n := 0
		anna := start(t, e, &job.Options{AtMost: 90 * time.Second}, job.Every(time.Minute), func(ctx context.Context, x *job.Execution) error {
			require.Equal(t, "job.run", trace.SpanFromContext(ctx).(*telemetrytest.Span).Name)
			require.EqualValues(t, 1, r.Sum("bellwether.job.run.count"))
			switch n++; n {
			case 1:
				return nil
			case 2:
				return errors.New("no paper")
			default:
				return hold(ctx, x)
			}
		})
		time.Sleep(5*time.Minute + 10*time.Second) // the third overruns, and the fifth time is left out for the fourth
		require.EqualValues(t, 1, r.Sum("bellwether.job.run.count"))
		ends := func() (words []string) {
			synctest.Wait()
			for _, m := range r.Measured("bellwether.job.operation.duration") {
				words = append(words, m.Attributes["error.type"])
			}
			return words
		}
		require.Equal(t, []string{"", "failed", "overran"}, ends())
		late := r.Measured("bellwether.job.run.lateness")
		require.Len(t, late, 4)
		require.InDelta(t, 0, late[0].Value, 1)
		require.InDelta(t, 30, late[3].Value, 1)

		// Its client dies in the run: nobody knows what came of that.
		e.CutClient(anna.client)
		ben := start(t, e, nil, job.Every(time.Minute), quick)
		time.Sleep(3 * time.Minute)
		require.Equal(t, []string{"", "failed", "overran", "stopped"}, ends()[:4])
		require.EqualValues(t, 1, r.Sum("bellwether.job.unknown"))
		e.Heal()
		time.Sleep(time.Minute)
		anna.mustStop()
		ben.mustStop()
		require.Zero(t, r.Sum("bellwether.job.run.count"))
		require.Equal(t, path, r.Spans("job.run")[0].Attributes["bellwether.path"])
	})
}

// A gap in the schedule is counted once, by the run behind it; and a function that panics is an end, too.
func TestGapsAndPanicsAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r telemetrytest.Recorder
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{MeterProvider: r.MeterProvider()}})
		start(t, e, nil, job.Every(time.Minute), quick).mustStop()
		time.Sleep(time.Hour)
		ended := make(chan any)
		go func() { // ends with the panic
			defer func() { ended <- recover() }()
			_ = job.New(e.Connect(t), path, job.Every(time.Minute), nil).Run(t.Context(), func(context.Context, *job.Execution) error { panic("no ink") })
		}()
		require.Equal(t, "no ink", <-ended)
		require.EqualValues(t, 1, r.Sum("bellwether.job.gaps"))
		require.Equal(t, "panicked", r.Measured("bellwether.job.operation.duration")[0].Attributes["error.type"])
		require.Zero(t, r.Sum("bellwether.job.run.count"))
	})
}
