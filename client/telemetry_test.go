package client_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/bellwether-zk/bellwether/client"
)

// recorder keeps what it is told of spans and durations.
type recorder struct {
	tracenoop.TracerProvider
	metricnoop.MeterProvider
	mu        sync.Mutex
	spans     []*span
	durations []attribute.Set
}

type spans struct {
	tracenoop.TracerProvider
	*recorder
}

type meters struct {
	metricnoop.MeterProvider
	*recorder
}

type tracer struct {
	tracenoop.Tracer
	*recorder
}

type meter struct {
	metricnoop.Meter
	*recorder
}

type histogram struct {
	metricnoop.Float64Histogram
	*recorder
}

type span struct {
	tracenoop.Span
	name  string
	attrs []attribute.KeyValue
	code  codes.Code
	ended bool
}

func (s spans) Tracer(string, ...trace.TracerOption) trace.Tracer {
	return tracer{recorder: s.recorder}
}
func (m meters) Meter(string, ...metric.MeterOption) metric.Meter { return meter{recorder: m.recorder} }

func (m meter) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return histogram{recorder: m.recorder}, nil
}

func (h histogram) Record(_ context.Context, _ float64, opts ...metric.RecordOption) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.durations = append(h.durations, metric.NewRecordConfig(opts).Attributes())
}

func (t tracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	config := trace.NewSpanStartConfig(opts...)
	s := &span{name: name, attrs: config.Attributes()}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spans = append(t.spans, s)
	return ctx, s
}

func (s *span) SetStatus(code codes.Code, _ string)       { s.code = code }
func (s *span) SetAttributes(attrs ...attribute.KeyValue) { s.attrs = append(s.attrs, attrs...) }
func (s *span) End(...trace.SpanEndOption)                { s.ended = true }

func TestTelemetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		c, _ := connect(t, startServer(t, nil), &client.Options{TracerProvider: spans{recorder: r}, MeterProvider: meters{recorder: r}})
		mustCreate(t, c, "/a", nil)
		_, _, err := c.Get(t.Context(), "/b")
		require.Error(t, err)

		require.Len(t, r.spans, 2)
		require.Equal(t, "create", r.spans[0].name)
		require.Equal(t, codes.Unset, r.spans[0].code)
		require.Contains(t, r.spans[0].attrs, attribute.String("db.system.name", "zookeeper"))
		require.Contains(t, r.spans[0].attrs, attribute.String("db.zookeeper.path", "/a"))
		require.Equal(t, codes.Error, r.spans[1].code)
		require.Contains(t, r.spans[1].attrs, attribute.String("error.type", "-101"))
		for _, s := range r.spans {
			require.True(t, s.ended)
		}
		require.Len(t, r.durations, 2)
		op, _ := r.durations[1].Value("db.operation.name")
		require.Equal(t, "get", op.AsString())
		_, hasPath := r.durations[1].Value("db.zookeeper.path")
		require.False(t, hasPath, "there is no end of paths")
	})
}

func TestLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder // read after Close, which waits for the last line
		c, l := connect(t, startServer(t, nil), &client.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		l.cut()
		time.Sleep(20 * time.Second)
		l.plug()
		_, err := c.AwaitSession(t.Context())
		require.NoError(t, err)
		require.NoError(t, c.Close())
		var states []string
		for line := range strings.Lines(log.String()) {
			level, rest, _ := strings.Cut(line[strings.Index(line, "level=")+len("level="):], " ")
			_, rest, _ = strings.Cut(rest, "state=")
			state, _, _ := strings.Cut(rest, " ")
			states = append(states, level+" "+state)
		}
		require.Equal(t, []string{"INFO connected", "WARN suspended", "WARN lost", "INFO reconnected", "INFO closed"}, states)
	})
}
