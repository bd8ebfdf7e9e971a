package client_test

import (
	"context"
	"fmt"
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

// recorder keeps what it is told of spans and measurements.
type recorder struct {
	mu        sync.Mutex
	spans     []*span
	measured  map[string][]measurement
	callbacks map[*registration]bool
}

// measurement is one value of an instrument.
type measurement struct {
	value float64
	attrs attribute.Set
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

// instrument is what those of all kinds have in common.
type instrument struct {
	*recorder
	name string
}

type (
	histogram struct {
		metricnoop.Float64Histogram
		instrument
	}
	counter struct {
		metricnoop.Int64Counter
		instrument
	}
	upDown struct {
		metricnoop.Int64UpDownCounter
		instrument
	}
)

type registration struct {
	metricnoop.Registration
	*recorder
	ask metric.Callback
}

// observer hands on what a callback observes.
type observer struct {
	metricnoop.Observer
	values []int64
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

func (m meter) Float64Histogram(name string, _ ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return histogram{instrument: instrument{recorder: m.recorder, name: name}}, nil
}

func (m meter) Int64Counter(name string, _ ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return counter{instrument: instrument{recorder: m.recorder, name: name}}, nil
}

func (m meter) Int64UpDownCounter(name string, _ ...metric.Int64UpDownCounterOption) (metric.Int64UpDownCounter, error) {
	return upDown{instrument: instrument{recorder: m.recorder, name: name}}, nil
}

func (m meter) RegisterCallback(f metric.Callback, _ ...metric.Observable) (metric.Registration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &registration{recorder: m.recorder, ask: f}
	if m.callbacks == nil {
		m.callbacks = make(map[*registration]bool)
	}
	m.callbacks[r] = true
	return r, nil
}

func (r *registration) Unregister() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.callbacks, r)
	return nil
}

func (o *observer) ObserveInt64(_ metric.Int64Observable, value int64, _ ...metric.ObserveOption) {
	o.values = append(o.values, value)
}

func (i instrument) note(value float64, attrs attribute.Set) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.measured == nil {
		i.measured = make(map[string][]measurement)
	}
	i.measured[i.name] = append(i.measured[i.name], measurement{value, attrs})
}

func (h histogram) Record(_ context.Context, value float64, opts ...metric.RecordOption) {
	h.note(value, metric.NewRecordConfig(opts).Attributes())
}

func (c counter) Add(_ context.Context, value int64, opts ...metric.AddOption) {
	c.note(float64(value), metric.NewAddConfig(opts).Attributes())
}

func (c upDown) Add(_ context.Context, value int64, opts ...metric.AddOption) {
	c.note(float64(value), metric.NewAddConfig(opts).Attributes())
}

// values returns what an instrument was told so far.
func (r *recorder) values(name string) (values []float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.measured[name] {
		values = append(values, m.value)
	}
	return values
}

// attribute returns an attribute of the last measurement of an instrument.
func (r *recorder) attribute(name, key string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.measured[name]
	v, ok := all[len(all)-1].attrs.Value(attribute.Key(key))
	return v.String(), ok
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
		const duration = "db.client.operation.duration"
		require.Len(t, r.values(duration), 2)
		op, _ := r.attribute(duration, "db.operation.name")
		require.Equal(t, "get", op)
		_, hasPath := r.attribute(duration, "db.zookeeper.path")
		require.False(t, hasPath, "there is no end of paths")
	})
}

// The connection is measured as it comes and goes, and nothing asks a client that is closed.
func TestConnectionMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		c, l := connect(t, startServer(t, nil), &client.Options{MeterProvider: meters{recorder: r}})
		synctest.Wait()
		require.Equal(t, []float64{1}, r.values("db.client.connection.count"))
		l.drop()
		time.Sleep(time.Second)
		require.Equal(t, []float64{1, -1, 1}, r.values("db.client.connection.count"))
		require.Len(t, r.values("bellwether.client.suspended.duration"), 1)
		require.Empty(t, r.values("bellwether.client.session.lost"))
		l.cut()
		time.Sleep(time.Minute)
		require.Equal(t, []float64{1}, r.values("bellwether.client.session.lost"))
		why, _ := r.attribute("bellwether.client.session.lost", "error.type")
		require.Equal(t, "silence", why)
		outages := r.values("bellwether.client.suspended.duration")
		require.Len(t, outages, 2)
		require.InDelta(t, 10, outages[1], 6)
		l.plug()
		_, err := c.AwaitSession(t.Context())
		require.NoError(t, err)
		require.Len(t, r.values("db.client.connection.create_time"), 3)
		_, ok := r.attribute("db.client.connection.create_time", "server.port")
		require.True(t, ok)

		require.Len(t, r.callbacks, 1)
		ask := func() int64 {
			var o observer
			for callback := range r.callbacks {
				require.NoError(t, callback.ask(t.Context(), &o))
			}
			return o.values[0]
		}
		synctest.Wait()
		require.Zero(t, ask())
		l.mute()
		go c.Get(t.Context(), "/") // ends with the client
		synctest.Wait()
		require.EqualValues(t, 1, ask())
		c.Close()
		require.Empty(t, r.callbacks)
		require.Equal(t, []float64{1, -1, 1, -1, 1, -1}, r.values("db.client.connection.count"))
	})
}

func TestHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		var mu sync.Mutex
		say := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprintf(format, args...))
		}
		hear := func() []string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			out := told
			told = nil
			return out
		}
		c, l := connect(t, startServer(t, nil), &client.Options{Hooks: client.Hooks{
			State:   func(s client.StateChange) { say("state %v at %v", s.State, !s.At.IsZero()) },
			Dialled: func(server string, took time.Duration, err error) { say("dialled %v %v", took, err) },
			Retried: func(op, path string, pause time.Duration, err error) {
				say("retried %s %s %v %v", op, path, pause > 0, err)
			},
			Done: func(o client.OperationDone) { say("done %s %s %d %v", o.Op, o.Path, o.Tries, o.Err) },
		}})
		require.ElementsMatch(t, []string{"state connecting at true", "dialled 0s <nil>", "state connected at true"}, hear())
		_, _, err := c.Get(t.Context(), "/no")
		require.Error(t, err)
		require.Equal(t, []string{"done get /no 1 get /no: node does not exist"}, hear())
		l.loseAnswer(9)
		require.NoError(t, c.Sync(t.Context(), "/"))
		require.ElementsMatch(t, []string{
			"retried sync / true connection lost", "state suspended at true", "dialled 0s <nil>", "state reconnected at true", "done sync / 2 <nil>",
		}, hear())
		c.Close()
		require.Equal(t, []string{"state closed at true"}, hear())
		_, _, err = c.Get(t.Context(), "/")
		require.Error(t, err)
		require.Equal(t, []string{"done get / 0 get /: client closed"}, hear())
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

// What other packages measure with is made once for a client and its views, of the client's own providers, and not at all for nobody.
func TestInstruments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{ n int }
		srv := startServer(t, nil)
		r := &recorder{}
		c, _ := connect(t, srv, &client.Options{MeterProvider: meters{recorder: r}})
		builds := 0
		build := func(tp trace.TracerProvider, mp metric.MeterProvider) any {
			require.Nil(t, tp)
			require.Equal(t, meters{recorder: r}, mp)
			builds++
			return builds
		}
		require.Equal(t, 1, c.Instruments(key{1}, build))
		require.Equal(t, 2, c.Instruments(key{2}, build))
		below, err := c.Sub("/a")
		require.NoError(t, err)
		for _, view := range []*client.Client{c, c.Session().Client(), below} {
			require.Equal(t, 1, view.Instruments(key{1}, build))
		}
		quiet, _ := connect(t, srv, nil)
		require.Nil(t, quiet.Instruments(key{1}, build))
		require.Equal(t, 2, builds)
	})
}
