// Package telemetrytest keeps what recipes are seen by, for their tests.
package telemetrytest

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Recorder keeps all that it is told, by the providers it gives. The zero Recorder is ready.
type Recorder struct {
	mu          sync.Mutex
	spans       []*Span
	measured    map[string][]Measurement
	instruments map[string]Instrument
	made        map[string]int
	callbacks   map[*registration]metric.Callback
}

// Instrument is what was said about one when it was made.
type Instrument struct{ Kind, Unit, Description string }

// Measurement is one value an instrument was told.
type Measurement struct {
	Value      float64
	Attributes map[string]string
}

func (m Measurement) same(other Measurement) bool { return maps.Equal(m.Attributes, other.Attributes) }

// Span is one that was begun. Its fields are for reading when nobody uses it any more.
type Span struct {
	tracenoop.Span
	Name       string
	Parent     trace.SpanID // zero: none
	Links      []trace.SpanID
	Attributes map[string]string
	Status     codes.Code
	Said       string // beside the status
	Ended      bool

	recorder *Recorder
	id       trace.SpanID
}

// Spans returns the spans of a name, in the order in which they began.
func (r *Recorder) Spans(name string) []*Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.spans), func(s *Span) bool { return s.Name != name })
}

// Measured returns what an instrument was told so far.
func (r *Recorder) Measured(name string) []Measurement {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.measured[name])
}

// Observed asks an instrument that is asked, and returns what it tells. What several clients tell with the same attributes is added up, as by
// OpenTelemetry's SDK; one may not tell it twice.
func (r *Recorder) Observed(name string) []Measurement {
	r.mu.Lock()
	callbacks := slices.Collect(maps.Values(r.callbacks))
	r.mu.Unlock()
	var all []Measurement
	for _, ask := range callbacks {
		var o observer
		if err := ask(context.Background(), &o); err != nil {
			panic(err)
		}
		for _, m := range o.told[name] {
			i := slices.IndexFunc(all, m.same)
			if i < 0 {
				all = append(all, m)
			} else {
				all[i].Value += m.Value
			}
		}
	}
	return all
}

// Callbacks returns how many are registered.
func (r *Recorder) Callbacks() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.callbacks)
}

// Sum adds up what an instrument was told so far: for one that goes up and down, what it says now.
func (r *Recorder) Sum(name string) (sum float64) {
	for _, m := range r.Measured(name) {
		sum += m.Value
	}
	return sum
}

// Instruments returns all that were made, and how often each was.
func (r *Recorder) Instruments() (all map[string]Instrument, made map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.instruments, r.made
}

// Open tells what goes on: spans that have not ended, and instruments that go up and down and are not back at zero, for any of their
// attributes. When all clients are closed, and whoever used them has returned, there is nothing.
func (r *Recorder) Open() (open []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if !s.Ended {
			open = append(open, fmt.Sprintf("%s %v", s.Name, s.Attributes))
		}
	}
	for name, what := range r.instruments {
		if what.Kind != "up-down" || !strings.HasPrefix(name, "bellwether.") { // others are the client's own
			continue
		}
		sums := make(map[string]float64)
		for _, m := range r.measured[name] {
			sums[fmt.Sprint(m.Attributes)] += m.Value
		}
		for attrs, sum := range sums {
			if sum != 0 {
				open = append(open, fmt.Sprintf("%s %s: %v", name, attrs, sum))
			}
		}
	}
	slices.Sort(open)
	return open
}

// TracerProvider returns one whose spans are kept.
func (r *Recorder) TracerProvider() trace.TracerProvider { return tracerProvider{recorder: r} }

// MeterProvider returns one whose measurements are kept.
func (r *Recorder) MeterProvider() metric.MeterProvider { return meterProvider{recorder: r} }

type tracerProvider struct {
	tracenoop.TracerProvider
	recorder *Recorder
}

func (p tracerProvider) Tracer(string, ...trace.TracerOption) trace.Tracer {
	return tracer{recorder: p.recorder}
}

type tracer struct {
	tracenoop.Tracer
	recorder *Recorder
}

// Start is trace.Tracer's.
func (t tracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	config := trace.NewSpanStartConfig(opts...)
	s := &Span{Name: name, Parent: trace.SpanContextFromContext(ctx).SpanID(), Attributes: make(map[string]string), recorder: t.recorder}
	for _, l := range config.Links() {
		s.Links = append(s.Links, l.SpanContext.SpanID())
	}
	s.SetAttributes(config.Attributes()...)
	t.recorder.mu.Lock()
	defer t.recorder.mu.Unlock()
	t.recorder.spans = append(t.recorder.spans, s)
	binary.BigEndian.PutUint64(s.id[:], uint64(len(t.recorder.spans)))
	return trace.ContextWithSpan(ctx, s), s
}

// ID returns the span's id.
func (s *Span) ID() trace.SpanID { return s.id }

// SpanContext is trace.Span's.
func (s *Span) SpanContext() trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: s.id})
}

// IsRecording is trace.Span's.
func (s *Span) IsRecording() bool { return true }

// SetAttributes is trace.Span's.
func (s *Span) SetAttributes(attrs ...attribute.KeyValue) {
	s.recorder.mu.Lock()
	defer s.recorder.mu.Unlock()
	for _, a := range attrs {
		s.Attributes[string(a.Key)] = a.Value.String()
	}
}

// SetStatus is trace.Span's.
func (s *Span) SetStatus(code codes.Code, said string) {
	s.recorder.mu.Lock()
	defer s.recorder.mu.Unlock()
	s.Status, s.Said = code, said
}

// End is trace.Span's.
func (s *Span) End(...trace.SpanEndOption) {
	s.recorder.mu.Lock()
	defer s.recorder.mu.Unlock()
	s.Ended = true
}

type meterProvider struct {
	metricnoop.MeterProvider
	recorder *Recorder
}

func (p meterProvider) Meter(string, ...metric.MeterOption) metric.Meter {
	return meter{recorder: p.recorder}
}

type meter struct {
	metricnoop.Meter
	recorder *Recorder
}

func (m meter) Float64Histogram(name string, opts ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	c := metric.NewFloat64HistogramConfig(opts...)
	return histogram{instrument: m.recorder.make(name, Instrument{"histogram", c.Unit(), c.Description()})}, nil
}

func (m meter) Int64Counter(name string, opts ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	c := metric.NewInt64CounterConfig(opts...)
	return counter{instrument: m.recorder.make(name, Instrument{"counter", c.Unit(), c.Description()})}, nil
}

func (m meter) Int64UpDownCounter(name string, opts ...metric.Int64UpDownCounterOption) (metric.Int64UpDownCounter, error) {
	c := metric.NewInt64UpDownCounterConfig(opts...)
	return upDown{instrument: m.recorder.make(name, Instrument{"up-down", c.Unit(), c.Description()})}, nil
}

func (m meter) Int64ObservableCounter(name string, opts ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	c := metric.NewInt64ObservableCounterConfig(opts...)
	return observable{instrument: m.recorder.make(name, Instrument{"asked counter", c.Unit(), c.Description()})}, nil
}

func (m meter) Int64ObservableUpDownCounter(name string, opts ...metric.Int64ObservableUpDownCounterOption) (metric.Int64ObservableUpDownCounter, error) {
	c := metric.NewInt64ObservableUpDownCounterConfig(opts...)
	return observableUpDown{instrument: m.recorder.make(name, Instrument{"asked up-down", c.Unit(), c.Description()})}, nil
}

func (m meter) Float64ObservableGauge(name string, opts ...metric.Float64ObservableGaugeOption) (metric.Float64ObservableGauge, error) {
	c := metric.NewFloat64ObservableGaugeConfig(opts...)
	return observableGauge{instrument: m.recorder.make(name, Instrument{"asked gauge", c.Unit(), c.Description()})}, nil
}

// RegisterCallback is metric.Meter's.
func (m meter) RegisterCallback(f metric.Callback, _ ...metric.Observable) (metric.Registration, error) {
	m.recorder.mu.Lock()
	defer m.recorder.mu.Unlock()
	if m.recorder.callbacks == nil {
		m.recorder.callbacks = make(map[*registration]metric.Callback)
	}
	r := &registration{recorder: m.recorder}
	m.recorder.callbacks[r] = f
	return r, nil
}

type registration struct {
	metricnoop.Registration
	recorder *Recorder
}

// Unregister is metric.Registration's.
func (r *registration) Unregister() error {
	r.recorder.mu.Lock()
	defer r.recorder.mu.Unlock()
	delete(r.recorder.callbacks, r)
	return nil
}

type observable struct {
	metricnoop.Int64ObservableCounter
	instrument
}

type observableUpDown struct {
	metricnoop.Int64ObservableUpDownCounter
	instrument
}

type observableGauge struct {
	metricnoop.Float64ObservableGauge
	instrument
}

// observer keeps what callbacks tell.
type observer struct {
	metricnoop.Observer
	told map[string][]Measurement
}

// ObserveInt64 is metric.Observer's.
func (o *observer) ObserveInt64(what metric.Int64Observable, value int64, opts ...metric.ObserveOption) {
	o.note(what, float64(value), opts)
}

// ObserveFloat64 is metric.Observer's.
func (o *observer) ObserveFloat64(what metric.Float64Observable, value float64, opts ...metric.ObserveOption) {
	o.note(what, value, opts)
}

func (o *observer) note(what any, value float64, opts []metric.ObserveOption) {
	m := Measurement{Value: value, Attributes: attributesOf(metric.NewObserveConfig(opts).Attributes())}
	name := what.(interface{ called() string }).called()
	if slices.ContainsFunc(o.told[name], m.same) {
		panic(fmt.Sprintf("%s is told twice for %v", name, m.Attributes))
	}
	if o.told == nil {
		o.told = make(map[string][]Measurement)
	}
	o.told[name] = append(o.told[name], m)
}

func attributesOf(attrs attribute.Set) map[string]string {
	all := make(map[string]string)
	for _, a := range attrs.ToSlice() {
		all[string(a.Key)] = a.Value.String()
	}
	return all
}

// instrument is what those of all kinds have in common.
type instrument struct {
	recorder *Recorder
	name     string
}

func (r *Recorder) make(name string, what Instrument) instrument {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.instruments == nil {
		r.instruments, r.made, r.measured = make(map[string]Instrument), make(map[string]int), make(map[string][]Measurement)
	}
	r.instruments[name] = what
	r.made[name]++
	return instrument{r, name}
}

func (i instrument) called() string { return i.name }

func (i instrument) note(value float64, attrs attribute.Set) {
	m := Measurement{Value: value, Attributes: attributesOf(attrs)}
	i.recorder.mu.Lock()
	defer i.recorder.mu.Unlock()
	i.recorder.measured[i.name] = append(i.recorder.measured[i.name], m)
}

type histogram struct {
	metricnoop.Float64Histogram
	instrument
}

// Record is metric.Float64Histogram's.
func (h histogram) Record(_ context.Context, value float64, opts ...metric.RecordOption) {
	h.note(value, metric.NewRecordConfig(opts).Attributes())
}

type counter struct {
	metricnoop.Int64Counter
	instrument
}

// Add is metric.Int64Counter's.
func (c counter) Add(_ context.Context, value int64, opts ...metric.AddOption) {
	c.note(float64(value), metric.NewAddConfig(opts).Attributes())
}

type upDown struct {
	metricnoop.Int64UpDownCounter
	instrument
}

// Add is metric.Int64UpDownCounter's.
func (u upDown) Add(_ context.Context, value int64, opts ...metric.AddOption) {
	u.note(float64(value), metric.NewAddConfig(opts).Attributes())
}
